import json
import math
import os

import pytest

from gan import files


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


def test_json_is_what_any_reader_takes(tmp_path):
    path = tmp_path / "record.json"
    files.write_json(path, {"fid": math.nan, "rows": [1.5, (math.inf, None)], "name": "ö"})
    text = path.read_text()
    assert text.endswith("}\n")
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text) == {"fid": None, "rows": [1.5, [None, None]], "name": "ö"}
