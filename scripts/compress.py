"""Takes a trained generator to a device: python -m scripts.compress --workdir=RUN --out=DIR

Makes smaller students of it (slimmed, pruned, trained with int8's rounding), which learn from it
and against its discriminator; exports each as .tflite; judges the files: report.json, report.html,
report.png, comparison.png and a table. With --budget_kb, --max_latency_ms or --max_fid_ratio it
looks for the variant to take; --variants makes those that are named. A stopped one goes on where
it was.
"""

import contextlib
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from callbacks.nan_guard import TrainingDiverged
from gan import files, options
from gan.compression import debugging, export, quantization, report, search, table, variants
from gan.compression.search import Limits
from gan.compression.variants import Student, Variant
from gan.errors import UserError
from gan.interface import Image
from gan.metrics.evaluation import Evaluator
from gan.options import Free
from scripts import _seeking, _students, cli, experiment, parts
from scripts._compression import Compression
from trainers.workdir.flags import write_flags
from trainers.workdir.lock import locked
from trainers.workdir.paths import Workdir

FLAGS = flags.FLAGS


@dataclass(frozen=True, kw_only=True)
class CompressOptions:
    """What is made of a generator.

    Attributes:
        workdir: folder of the trained run.
        out: folder of the exported files and the report.
        checkpoint: which of the run's checkpoints: latest, best or a step.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code of the run's own that its flags name by import path.
        variants: files to make: words joined by _, slim or slim0.25, pruned or pruned0.9 or
            pruned2of4, qat, and last float32, float16, dynamic or int8; none makes those that a
            search finds, or float32, int8 and pruned_int8.
        budget_kb: look for the best variant of at most so many kB when gzipped.
        max_latency_ms: look for the best of at most so many milliseconds a call on one thread.
        max_fid_ratio: look for the best of at most so many times float32's FID; alone, for the
            smallest.
        trials: students trained in a search at most.
        width: what slim stands for: share of the channels that stay.
        target_macs: what slim stands for instead: the multiply-accumulates of an image, wherever
            the channels go.
        sparsity: what pruned stands for: share of zeros.
        finetune_kimg: thousands of images each student learns on; zeros come and rates stay in the
            first half, rates fall to 0 in the second.
        output_weight: of the difference between the student's and the teacher's images.
        feature_weight: of the difference between the discriminator's features of them.
        adversarial_weight: of the game against the discriminator; 0 leaves it out.
        allocation: where zeros go, layer: that share in each kernel; global: over all together.
        keep_output_dense: do not prune the last kernel, which draws the image.
        quantizer: of int8 files: converter, or litert (litert-quantizer).
        keep_float: layers that stay float32 in int8 files, comma-separated.
        debug_layers: say which layers lose most in the trained generator's int8 file.
        calibration: batches that set int8's ranges, 100 to 500.
        feature_net: judges the files; none is the one that judged the run as it trained.
        feature_weights: file of its weights; none is the run's.
        eval_samples: samples of each file for its metrics; none is 10,000.
        steps_per_loop: training steps in one graph call.
        seed: of the students' training, and of the z that files are judged on.
    """

    workdir: str | os.PathLike[str] | None = None
    out: Free[str | os.PathLike[str] | None] = None
    checkpoint: str = "latest"
    dataset: Free[str | None] = None
    trust_code: Free[bool] = False
    variants: Free[tuple[str, ...] | None] = None
    budget_kb: Free[float | None] = None
    max_latency_ms: Free[float | None] = None
    max_fid_ratio: Free[float | None] = None
    trials: Free[int] = 4
    width: float = 0.5
    target_macs: int | None = None
    sparsity: float = 0.7
    finetune_kimg: float = 50.0
    output_weight: float = 10.0
    feature_weight: float = 10.0
    adversarial_weight: float = 1.0
    allocation: str = "global"
    keep_output_dense: bool = False
    quantizer: str = "converter"
    keep_float: tuple[str, ...] = ()
    debug_layers: Free[bool] = False
    calibration: int = 200
    feature_net: str | None = None
    feature_weights: str | os.PathLike[str] | None = None
    eval_samples: int | None = None
    steps_per_loop: Free[int] = 50
    seed: int = 0


VARIANTS = ("float32", "int8", "pruned_int8")
_MOST = 1_000_000  # of anything that is counted


def check_flags() -> None:
    """Raises UserError for values that cannot work."""
    for name in ("workdir", "out"):
        if not FLAGS[name].value:
            about = options.of(CompressOptions)[name].about.rstrip(".")
            raise UserError(f"--{name} is missing: --{name}=DIR, {about}.")
    files.check_output("out", FLAGS.out, folder=True)
    if Workdir(FLAGS.out).checkpoints.exists():  # its flags.txt would be lost
        raise UserError(
            f"--out={FLAGS.out!r} is a run's folder; take another, such as "
            f"{str(Workdir(FLAGS.out).device)!r}."
        )
    if not 0 <= FLAGS.sparsity < 1:
        raise UserError(f"--sparsity={FLAGS.sparsity}: expected at least 0 and below 1.")
    if not 0 < FLAGS.width <= 1:
        raise UserError(f"--width={FLAGS.width}: expected more than 0 and at most 1.")
    if FLAGS.quantizer not in export.QUANTIZERS:
        raise UserError(
            f"--quantizer={FLAGS.quantizer!r}: expected {' or '.join(export.QUANTIZERS)}."
        )
    if FLAGS.quantizer == "litert":
        if FLAGS.keep_float:
            raise UserError("--keep_float goes with --quantizer=converter, not with litert.")
        quantization.require_litert()
    if FLAGS.allocation not in ("layer", "global"):
        raise UserError(f"--allocation={FLAGS.allocation!r}: expected layer or global.")
    if not 0 <= FLAGS.seed < 2**31 - 1:
        raise UserError(f"--seed={FLAGS.seed}: expected 0 to {2**31 - 2}.")
    if FLAGS.eval_samples is not None and not 2 <= FLAGS.eval_samples <= 10_000_000:
        raise UserError(f"--eval_samples={FLAGS.eval_samples}: expected 2 to 10,000,000, or none.")
    for name in ("output_weight", "feature_weight", "adversarial_weight"):
        if not (FLAGS[name].value >= 0 and math.isfinite(FLAGS[name].value)):
            raise UserError(f"--{name}={FLAGS[name].value}: expected at least 0.")
    for name in ("finetune_kimg", "calibration", "steps_per_loop", "trials"):
        if not 0 < FLAGS[name].value <= _MOST:
            raise UserError(
                f"--{name}={FLAGS[name].value}: expected more than 0 and at most {_MOST:,}."
            )
    for name in ("budget_kb", "max_latency_ms", "max_fid_ratio", "target_macs"):
        value = FLAGS[name].value
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UserError(f"--{name}={value}: expected more than 0, or none.")


def named(names: Sequence[str]) -> list[Variant]:
    """The variants of --variants; float32, which all are held against, is always there."""
    found = [
        variants.parse(
            name, width=FLAGS.width, target_macs=FLAGS.target_macs, sparsity=FLAGS.sparsity
        )
        for name in dict.fromkeys(["float32", *names])
    ]
    if FLAGS.keep_float and not any(v.precision == "int8" for v in found):
        raise UserError("--keep_float is for int8 files, and --variants names none.")
    return found


def check(run: experiment.Experiment, wanted: Sequence[Variant], searching: bool) -> None:
    """Looks at the flags in the light of the run, before anything is made or written.

    Raises:
        UserError: what could not be made of it.
    """
    if not isinstance(run.trainer.sampler().interface.output, Image):
        raise UserError(
            f"--workdir={FLAGS.workdir!r} holds {run.values['trainer']!r} on "
            f"{run.source.spec.name!r}; compress takes what makes images."
        )
    if FLAGS.keep_float:
        try:
            quantization.check_layers(run.trainer.inference(), FLAGS.keep_float)
        except UserError as error:
            raise UserError(f"--{error}") from None
    students = [variant.student for variant in wanted]
    if searching:  # without students, there are the generator's own files to choose from
        students = [Student(width=0.5), Student(aware=True)] if _students.has(run) else []
    _students.check(run, students)


def main(argv: Sequence[str]) -> int:
    """Makes or seeks the variants, and reports on all."""
    del argv
    check_flags()
    limits = Limits(FLAGS.budget_kb, FLAGS.max_latency_ms, FLAGS.max_fid_ratio)
    wanted, searching = named(FLAGS.variants or VARIANTS), limits.any and FLAGS.variants is None
    run = experiment.restore(
        FLAGS.workdir, FLAGS.checkpoint, dataset=FLAGS.dataset, trust_code=FLAGS.trust_code
    )
    out = Path(FLAGS.out)
    check(run, wanted, searching)
    known = options.of(CompressOptions)
    values = {name: FLAGS[name].value for name in known}
    values |= {"checkpoint": str(run.trainer.step), "workdir": os.path.abspath(FLAGS.workdir)}
    experiment.check_resumable(out, values, [parts.Part("", None, options=known)], flag="out")
    # The run's own, so that the report and the run's best checkpoint speak of one scale.
    named_net = {n: FLAGS[n].value for n in ("feature_net", "feature_weights")}
    net = {n: value for n, value in named_net.items() if value is not None}
    evaluator = Evaluator(
        run.source,
        domain=experiment.judged_domain(run),
        metrics=report.METRICS,
        **experiment.feature_net(run.values | net),
        num_samples=FLAGS.eval_samples,
        seed=FLAGS.seed,
        labels=run.values.get("eval_labels", "data"),
        split=run.values.get("split", "train"),
        cache=True,
    )
    work = Compression(run, out, evaluator)
    with contextlib.ExitStack() as held:
        # Everything was looked at: from here on the folder is written to, by one process at a time.
        with files.reported("out", FLAGS.out):
            held.enter_context(locked(out, flag="out"))
            work.begin()
            fresh = not Workdir(out).flags.is_file()
            write_flags(out, values)
            # It is the sign that all is there: an earlier one must not vouch for files made anew.
            (out / "report.json").unlink(missing_ok=True)
        try:
            with files.reported("out", FLAGS.out, only=files.DISK_ERRORS):
                return make_all(work, wanted, limits, searching)
        except BaseException:
            if fresh and not work.bound:  # other flags are as good for what is there
                Workdir(out).flags.unlink(missing_ok=True)
            raise


def make_all(work: Compression, wanted: Sequence[Variant], limits: Limits, searching: bool) -> int:
    """Makes or seeks the variants, and reports on all: the exit status."""
    try:
        if FLAGS.debug_layers:
            data = work.representative(work.generator)
            print(debugging.table(debugging.layer_losses(work.generator, data=data)))
        if searching:
            trials = FLAGS.trials if _students.has(work.run) else 0
            if not trials:
                name = work.run.values["trainer"]
                print(f"A run of --trainer={name} has no students: its own files are looked at.")
            _seeking.seek(work, limits, trials)
        else:
            for variant in wanted:
                work.make(variant)
    except TrainingDiverged as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except _students.StudentInterruptedError as stopped:
        print(f"Interrupted while {stopped} learnt, and saved; the same command goes on.")
        return 128 + stopped.signal
    return finish(work, limits)


def finish(work: Compression, limits: Limits) -> int:
    """Chooses, writes the report, says where it is."""
    chosen, why = search.choose(work.judged, limits) if limits.any else (None, "")
    result = report.write_report(
        work.out,
        work.judged,
        work.files,
        keras=work.keras_figures(),
        evaluator=work.evaluator,
        generator=work.generator,
        chosen={"name": chosen["name"], "why": why} if chosen else None,
        about=work.about(),
    )
    print(table.render(result))
    print(
        f"Wrote {', '.join(str(work.out / f'report.{kind}') for kind in ('html', 'png', 'json'))}."
    )
    if limits.any and chosen is None:
        print(f"error: {why}.", file=sys.stderr)
        return 1
    if chosen:
        print(f"Chosen: {why}.")
    return 0


if __name__ == "__main__":
    cli.run_with(main, CompressOptions)
