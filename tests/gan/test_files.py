import json
import math
import os

import pytest

from gan import files
from gan.errors import UserError


def test_a_file_is_written_with_its_folders_and_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    for data in (b"first, which is longer", b"second"):
        files.write_whole(path, data)
        assert path.read_bytes() == data
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    path = tmp_path / "file.bin"
    files.write_whole(str(path), b"old")

    def fail(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_is_looked_at_before_the_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path, folder in (("new/grid.png", False), ("file", False), ("new/run", True), (".", True)):
        files.check_output("out", tmp_path / path, folder=folder)
    for path, folder, why in (
        (".", False, "is a folder; expected the path of a file"),
        ("file", True, "is a file; expected a folder"),
        ("file/grid.png", False, "cannot be written: a file is where a folder is needed"),
        ("file/run", True, "cannot be written: a file is where a folder is needed"),
    ):
        with pytest.raises(UserError, match=why):
            files.check_output("out", tmp_path / path, folder=folder)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_a_line_and_other_errors_are_not(tmp_path):
    with (
        pytest.raises(UserError, match=r"--out='o' cannot be written: No space left on device\."),
        files.reported("out", "o", only=files.DISK_ERRORS),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"1")
    with pytest.raises(FileNotFoundError), files.reported("out", "o", only=files.DISK_ERRORS):
        (tmp_path / "nothing").read_bytes()


def test_json_is_what_any_reader_takes(tmp_path):
    path = tmp_path / "record.json"
    files.write_json(path, {"fid": math.nan, "rows": [1.5, (math.inf, None)], "name": "ö"})
    text = path.read_text()
    assert text.endswith("}\n")
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text) == {"fid": None, "rows": [1.5, [None, None]], "name": "ö"}
