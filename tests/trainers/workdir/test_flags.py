"""flags.txt: what a run was started with, by which version."""

import os

import pytest

from gan import __version__
from gan.errors import UserError
from trainers.workdir.flags import flag_texts, write_flags


def test_odd_names_come_back_below_the_version(tmp_path):
    odd = {"dataset": f"folder:{os.fsdecode(bytes([255]))} \x85\u2028é= ", "x": "", "y": True}
    write_flags(tmp_path, odd)
    assert flag_texts(tmp_path) == odd | {"y": "true"}
    first = (tmp_path / "flags.txt").read_bytes().splitlines()[0]
    assert first.decode() == f"# Tapestry {__version__}"
    with pytest.raises(UserError, match="holds a line break"):
        write_flags(tmp_path, {"dataset": "folder:a\n--trainer=b:c"})


def test_a_folder_without_it_is_no_run(tmp_path):
    missing = f"{tmp_path}/flags.txt is missing"
    with pytest.raises(UserError, match=rf"^--workdir='{tmp_path}' holds no run: {missing}"):
        flag_texts(tmp_path)
    with pytest.raises(UserError, match=rf"^'{tmp_path}' holds no run: {missing}"):
        flag_texts(tmp_path, flag="")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="holds no run"):
        flag_texts(tmp_path / "file")
