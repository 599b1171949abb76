"""Names that strangers chose, on the user's terminal."""

import os

import pytest

from gan.errors import UserError, printable
from scripts import cli


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cats/é 猫.png", "cats/é 猫.png"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\r\nb", "a\\r\\nb"),
        ("gnp.\u202e", "gnp.\\u202e"),
        (os.fsdecode(b"\xff.png"), "\\udcff.png"),
    ],
)
def test_what_would_act_on_a_terminal_is_spelled_out(text, shown):
    assert printable(text) == shown
    printable(text).encode()


def test_an_error_of_a_script_is_one_harmless_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli._fail(UserError("folder '\x1b]0;owned\x07'\nis\u202e wrong"))
    assert capsys.readouterr().err == "error: folder '\\x1b]0;owned\\x07' is\\u202e wrong\n"
