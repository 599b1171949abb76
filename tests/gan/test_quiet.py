import os

import pytest

from gan.quiet import quiet


def noisy():
    with quiet():
        os.write(2, b"in C\n")
        raise ValueError("passes")


@pytest.mark.parametrize(("level", "kept"), [("3", ""), ("0", "in C\n"), (None, "in C\n")])
def test_it_drops_what_c_writes_unless_it_is_asked_for(monkeypatch, capfd, level, kept):
    if level is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with pytest.raises(ValueError, match="passes"):
        noisy()
    os.write(2, b"behind\n")
    assert capfd.readouterr().err == f"{kept}behind\n"
