"""What a run's data was: kept once, compared, and made anew where it is damaged."""

import json
import logging

import pytest
from PIL import Image

from gan.data import load
from gan.errors import UserError
from trainers.workdir.data import check_data, class_names, data_before, record_data


@pytest.fixture
def photos(tmp_path):
    """Three pictures, and a run beside them that has a checkpoint."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.new("L", (8, 8), i).save(folder / f"{i}.png")
    record_data(tmp_path / "run", load(f"folder:{folder}"), anew=True)
    (tmp_path / "run" / "checkpoints" / "step-0000000001").mkdir(parents=True)
    return folder


def test_nothing_was_learnt_from_data_without_a_checkpoint(photos, tmp_path):
    run, checkpoint = tmp_path / "run", tmp_path / "run" / "checkpoints" / "step-0000000001"
    (photos / "1.png").unlink()
    source = load(f"folder:{photos}")
    with pytest.raises(UserError, match=r"gone: 1\.png"):
        check_data(run, source)
    checkpoint.rmdir()
    check_data(run, source)
    record_data(run, source, anew=True)
    checkpoint.mkdir()
    check_data(run, source)


def test_what_was_recorded_stays_until_the_run_begins_anew(photos, tmp_path):
    run = tmp_path / "run"
    (photos / "1.png").unlink()
    record_data(run, load(f"folder:{photos}"), anew=False)
    assert data_before(run) == " When the run began it held 3 examples of shape 8x8x1."
    record_data(run, load(f"folder:{photos}"), anew=True)
    assert data_before(run) == " When the run began it held 2 examples of shape 8x8x1."
    assert (data_before(tmp_path), class_names(tmp_path)) == ("", ())


@pytest.mark.parametrize("content", ["", "[]", '{"spec": 1}', "\x00", "[" * 100_000])
def test_a_damaged_record_is_told_and_kept_beside_a_new_one(photos, tmp_path, caplog, content):
    run, source = tmp_path / "run", load(f"folder:{photos}")
    for number in ("", ".2"):
        (run / "data.json").write_text(content)
        with caplog.at_level(logging.WARNING):
            check_data(run, source)
        assert "run/data.json is damaged" in caplog.text
        record_data(run, source, anew=False)
        assert json.loads((run / "data.json").read_text())["spec"]["size"] == 3
        assert (run / f"data.json.damaged{number}").read_text() == content
        assert f"It is kept as {run}/data.json.damaged{number}." in caplog.text
