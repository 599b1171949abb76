"""Which of a run's checkpoints an evaluation judges while the run goes on."""

import shutil
import types

from toys import ToySource, toy_gan

from experiments.settings import EvaluateOptions
from experiments.subjects import of_run
from trainers.checkpoints import Checkpoints


def test_a_checkpoint_that_goes_meanwhile_is_left_out_with_a_line(tmp_path, capsys):
    source, trainer = ToySource(), toy_gan()
    checkpoints = Checkpoints(tmp_path, keep=9)
    for step in (1, 2, 3, 4):
        trainer._step.assign(step)
        checkpoints.save(trainer)
    run = types.SimpleNamespace(trainer=trainer, source=source)
    evaluator = types.SimpleNamespace(source=source)
    found = of_run(evaluator, run, EvaluateOptions(workdir=tmp_path, checkpoint="all"))
    assert next(found).about["step"] == 1
    shutil.rmtree(checkpoints.path(2))  # as the training does that it runs beside
    (checkpoints.path(3) / "state.json").write_text("{")
    assert [subject.about["step"] for subject in found] == [4]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 2 is left out: the running training has deleted it."
    assert lines[1].startswith("step 3 is left out: No checkpoint") and len(lines) == 2
    (subject,) = of_run(evaluator, run, EvaluateOptions(workdir=tmp_path))
    assert subject.about["step"] == 4 and len(subject.about["sha256"]) == 64
    assert subject.title == "step 4, 0 kimg"
