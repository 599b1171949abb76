"""A run's data and files: found from anywhere, moved, changed, gone."""

import shutil
from dataclasses import asdict

import pytest
from PIL import Image

from experiments import experiment, parts, run_flags
from experiments.settings import CompressOptions, Names
from gan import options
from gan.errors import UserError
from trainers.workdir.data import check_data, record_data
from trainers.workdir.flags import write_flags


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Three pictures in ./photos, and a run in ./run that has a checkpoint."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.new("L", (8, 8), i).save(tmp_path / "photos" / f"{i}.png")
    values = start("folder:photos")
    write_flags(tmp_path / "run", values)
    record_data("run", experiment.load_source(values), anew=True)
    (tmp_path / "run" / "checkpoints" / "step-0000000001").mkdir(parents=True)
    return tmp_path / "photos"


def start(dataset, **more):
    """The values of the command that began the run."""
    return run_flags.absolute({**asdict(Names()), "dataset": dataset, "workdir": "run", **more})


def test_the_same_command_resumes_and_the_same_words_elsewhere_mean_other_data(
    photos, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    run_flags.check_resumable(run, start("folder:photos"))
    run_flags.check_resumable(run, start(f"folder:{photos}"))
    (run / "data.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(
        UserError, match=rf"elsewhere/photos differs from --dataset=folder:{photos}"
    ):
        run_flags.check_resumable(run, start("folder:photos"))


def test_a_run_is_used_from_anywhere(photos, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    values = run_flags.read(tmp_path / "run")
    assert values["dataset"] == f"folder:{photos}"
    assert experiment.load_source(values).spec.size == 3


def test_data_that_moved_is_asked_for_and_taken_where_it_is_now(photos, tmp_path):
    run = tmp_path / "run"
    shutil.move(photos, tmp_path / "disk")
    with pytest.raises(UserError) as caught:
        experiment.restore(run)
    assert str(caught.value) == (
        f"folder:{photos}: no such folder. '{run}' was trained on it; if it was moved, say where "
        "to with --dataset=folder:..."
    )
    run_flags.check_resumable(run, start("folder:disk"))
    values = run_flags.read(run, dataset="folder:disk")
    assert values["dataset"] == f"folder:{tmp_path}/disk"
    check_data(run, experiment.load_source(values))
    with pytest.raises(UserError, match=r"--dataset='ring': the run's is 'folder:"):
        run_flags.read(run, dataset="ring")


def test_data_that_changed_is_refused_before_anything_is_built(photos, tmp_path):
    (photos / "1.png").unlink()
    with pytest.raises(UserError) as caught:
        experiment.restore(tmp_path / "run")
    assert str(caught.value) == (
        f"folder:{photos} held 3 examples of shape 8x8x1 when the run began, and now 2 examples of "
        "shape 8x8x1: gone: 1.png. Put it back as it was, or take another --workdir; to go on with "
        f"the data as it is, delete {tmp_path}/run/data.json."
    )


def test_files_that_options_name_are_absolute_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = start(
        "tfds:mnist", trainer="distillation", teacher="t.keras", data_dir="~", feature_weights="w"
    )
    monkeypatch.setenv("HOME", "/home/me")
    assert values["teacher"] == f"{tmp_path}/t.keras"
    assert values["feature_weights"] == f"{tmp_path}/w"
    assert values["workdir"] == f"{tmp_path}/run"
    assert start("tfds:mnist", data_dir="~/x")["data_dir"] == "/home/me/x"
    assert start("ring", data_dir="x")["data_dir"] == "x"


def test_a_teacher_may_move_but_not_become_another(photos, tmp_path):
    run = tmp_path / "run"
    options = {"trainer": "distillation"}
    (tmp_path / "a.keras").touch()
    (tmp_path / "b.keras").touch()
    write_flags(run, start("folder:photos", teacher="a.keras", **options))
    with pytest.raises(UserError, match=r"b\.keras differs from"):
        run_flags.check_resumable(run, start("folder:photos", teacher="b.keras", **options))
    (tmp_path / "a.keras").unlink()
    run_flags.check_resumable(run, start("folder:photos", teacher="b.keras", **options))


def test_a_complaint_about_the_data_says_what_it_was(photos, tmp_path):
    Image.new("L", (9, 8)).save(photos / "new.png")
    with pytest.raises(UserError, match=r"2 sizes.* When the run began it held 3 examples of shap"):
        experiment.restore(tmp_path / "run")


def test_no_path_is_the_same_none_wherever_it_is_asked_for(tmp_path):
    known = [parts.Part("", None, options=options.of(CompressOptions))]
    values = {"feature_weights": None, "width": 0.5}
    write_flags(tmp_path, values)
    run_flags.check_resumable(tmp_path, values, known, flag="out")
    with pytest.raises(UserError, match=r"--feature_weights=.*vgg\.h5 differs from .*=none"):
        run_flags.check_resumable(tmp_path, values | {"feature_weights": "vgg.h5"}, known)
