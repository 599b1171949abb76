"""The one exception for mistakes a user can fix: scripts print its line and exit with status 2."""

import re


class UserError(ValueError):
    """Something the user typed or pointed at is wrong.

    The message is one line that quotes what was given and says what would be right.
    """

    # AutoGraph, if a user's tf.function brings it in, would make a page of traceback of one line.
    ag_pass_through = True


class CodeError(UserError):
    """Something in a user's code is wrong: file and line, the message, the line itself.

    Its message has at most four lines.
    """


class MissingError(UserError):
    """A data set's folder is not where its name says."""


class ReadError(UserError):
    """Data could no longer be read, in the middle of the work."""


def from_graph(error: Exception) -> ReadError | None:
    """The `UserError` that a Python function raised inside a TensorFlow graph, else None.

    Only data sources are called so.

    Args:
        error: TensorFlow's exception, whose message holds the function's traceback.
    """
    match = re.search(rf"{UserError.__module__}\.UserError: (.*)", str(error))
    return ReadError(match[1]) if match else None


def printable(text: str) -> str:
    r"""Text from elsewhere, such as a file's name, as a terminal may show it.

    Whatever acts instead of showing (escape sequences, line breaks, marks that turn the direction
    of writing) and bytes that are no text are spelled out, as in `\x1b[2J`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
