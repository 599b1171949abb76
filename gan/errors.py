"""The one exception for mistakes a user can mend: scripts print its line and exit with status 2."""


class UserError(ValueError):
    """Something the user typed or pointed at is wrong.

    The message is one line that quotes what was given and says what would be right.
    """
