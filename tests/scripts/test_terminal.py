import io
import sys

import pytest

from scripts._terminal import waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_is_shown_on_a_terminal_and_taken_away_once(monkeypatch):
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with waiting("Building") as ready:
        assert screen.getvalue() == "Building ..."
        ready()
    assert screen.getvalue() == "Building ...\r\x1b[K"
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with pytest.raises(ValueError, match="x"), waiting("Building"):
        raise ValueError("x")
    assert screen.getvalue().endswith("\r\x1b[K")


def test_nothing_in_a_file(monkeypatch):
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    with waiting("Building") as ready:
        ready()
    assert file.getvalue() == ""
