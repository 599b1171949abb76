"""Compresses a trained generator for devices.

Trains smaller students of it (slimmed, pruned, with int8's rounding), exports them as .tflite files
and evaluates these: a model card beside each, report.json, report.html, report.png and
comparison.png. With limits it searches for the best variant within them. A compression that was
stopped goes on where it was.
"""

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import experiment, parts, run_flags, seeking, students
from experiments.compression import Compression
from experiments.settings import CompressOptions
from gan import files
from gan.compression.files import export, quantization
from gan.compression.report import debugging, report
from gan.compression.report.folder import DeviceFolder
from gan.compression.students import search, variants
from gan.compression.students.search import Limits
from gan.compression.students.variants import Student, Variant
from gan.errors import UserError
from gan.interface import Image
from gan.metrics.evaluation import Evaluator
from gan.options import of
from trainers.workdir.flags import write_flags
from trainers.workdir.lock import locked
from trainers.workdir.paths import Workdir

VARIANTS = ("float32", "int8", "pruned_int8")
_MOST = 1_000_000  # the largest value of options that count something


def check_options(options: CompressOptions) -> None:
    """Raises UserError for a value that is missing or out of range."""
    for name in ("workdir", "out"):
        if not getattr(options, name):
            about = of(CompressOptions)[name].about.rstrip(".")
            raise UserError(f"--{name} is missing: --{name}=DIR, {about}.")
    out = Path(options.out or "")
    files.check_output("out", out, folder=True)
    if Workdir(out).checkpoints.exists():  # flags.txt would be overwritten
        raise UserError(
            f"--out={options.out!r} is a run's folder; take another, such as "
            f"{str(Workdir(out).device)!r}."
        )
    if not 0 <= options.sparsity < 1:
        raise UserError(f"--sparsity={options.sparsity}: expected at least 0 and below 1.")
    if not 0 < options.width <= 1:
        raise UserError(f"--width={options.width}: expected more than 0 and at most 1.")
    if options.quantizer not in export.QUANTIZERS:
        raise UserError(
            f"--quantizer={options.quantizer!r}: expected {' or '.join(export.QUANTIZERS)}."
        )
    if options.quantizer == "litert":
        if options.keep_float:
            raise UserError("--keep_float goes with --quantizer=converter, not with litert.")
        quantization.require_litert()
    if options.allocation not in ("layer", "global"):
        raise UserError(f"--allocation={options.allocation!r}: expected layer or global.")
    if not 0 <= options.seed < 2**31 - 1:
        raise UserError(f"--seed={options.seed}: expected 0 to {2**31 - 2}.")
    if options.eval_samples is not None and not 2 <= options.eval_samples <= 10_000_000:
        raise UserError(
            f"--eval_samples={options.eval_samples}: expected 2 to 10,000,000, or none."
        )
    for name in ("output_weight", "feature_weight", "adversarial_weight"):
        if not (getattr(options, name) >= 0 and math.isfinite(getattr(options, name))):
            raise UserError(f"--{name}={getattr(options, name)}: expected at least 0.")
    for name in ("finetune_kimg", "calibration", "steps_per_loop", "trials"):
        if not 0 < getattr(options, name) <= _MOST:
            raise UserError(
                f"--{name}={getattr(options, name)}: expected more than 0 and at most {_MOST:,}."
            )
    for name in ("budget_kb", "max_latency_ms", "max_fid_ratio", "target_macs"):
        value = getattr(options, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UserError(f"--{name}={value}: expected more than 0, or none.")


def named(names: Sequence[str], options: CompressOptions) -> list[Variant]:
    """The variants of these names, and float32 first, since all others are compared with it."""
    named_variants = [
        variants.parse(
            name, width=options.width, target_macs=options.target_macs, sparsity=options.sparsity
        )
        for name in dict.fromkeys(["float32", *names])
    ]
    if options.keep_float and not any(v.precision == "int8" for v in named_variants):
        raise UserError("--keep_float is for int8 files, and --variants names none.")
    return named_variants


def check(
    run: experiment.Experiment,
    wanted: Sequence[Variant],
    searching: bool,
    options: CompressOptions,
) -> None:
    """Checks that the run fits the options, before anything is written.

    Raises:
        UserError: the run makes no images, or one of the variants cannot be made of it.
    """
    if not isinstance(run.trainer.sampler().interface.output, Image):
        raise UserError(
            f"--workdir={options.workdir!r} holds {run.values['trainer']!r} on "
            f"{run.source.spec.name!r}; compress takes what makes images."
        )
    if options.keep_float:
        try:
            quantization.check_layers(run.trainer.inference(), options.keep_float)
        except UserError as error:
            raise UserError(f"--{error}") from None
    to_train = [variant.student for variant in wanted]
    if searching:  # a run without students has the generator's own files to choose from
        to_train = [Student(width=0.5), Student(aware=True)] if students.has(run) else []
    students.check(run, to_train, options)


@dataclass(frozen=True)
class Compressed:
    """A finished compression.

    Attributes:
        report: the content of report.json.
        chosen: name of the best variant within the limits; "" if there is none.
        why: why it was chosen, or why none was; "" if there were no limits.
        files: variant -> its .tflite file.
        folder: the folder with all files.
    """

    report: dict[str, Any]
    chosen: str
    why: str
    files: dict[str, Path]
    folder: DeviceFolder


def compress(options: CompressOptions) -> Compressed:
    """Makes the variants, or searches for them, and writes the report.

    Raises:
        StudentInterruptedError: a signal ended a student's training; its state is saved.
        TrainingDiverged: a student's loss is not finite.
        UserError: an option is wrong, or the run does not exist or has no such variants.
    """
    check_options(options)
    assert options.workdir and options.out
    limits = Limits(options.budget_kb, options.max_latency_ms, options.max_fid_ratio)
    wanted = named(options.variants or VARIANTS, options)
    searching = limits.any and options.variants is None
    run = experiment.restore(
        options.workdir,
        options.checkpoint,
        dataset=options.dataset,
        trust_code=options.trust_code,
    )
    out = Path(options.out)
    check(run, wanted, searching, options)
    known = of(CompressOptions)
    values = {name: getattr(options, name) for name in known}
    values |= {"checkpoint": str(run.trainer.step), "workdir": os.path.abspath(options.workdir)}
    run_flags.check_resumable(out, values, [parts.Part("", None, options=known)], flag="out")
    work = Compression(run, options, make_evaluator(run, options))
    with contextlib.ExitStack() as held:
        # All checks are done: from here on the folder is written to, by one process at a time.
        with files.reported("out", out):
            held.enter_context(locked(out, flag="out"))
            work.begin()
            fresh = not Workdir(out).flags.is_file()
            write_flags(out, values)
            # A report says that all files are there: an old one must not stay with new files.
            DeviceFolder(out).report.unlink(missing_ok=True)
        try:
            with files.reported("out", out, only=files.DISK_ERRORS):
                make_all(work, wanted, limits, searching)
                return finish(work, limits)
        except BaseException:
            if fresh and not work.bound:  # what is there does not depend on the flags
                Workdir(out).flags.unlink(missing_ok=True)
            raise


def make_evaluator(run: experiment.Experiment, options: CompressOptions) -> Evaluator:
    """An evaluator like the run's, so that the report's figures compare with its checkpoints'."""
    named_net = {n: getattr(options, n) for n in ("feature_net", "feature_weights")}
    net = {n: value for n, value in named_net.items() if value is not None}
    return Evaluator(
        run.source,
        domain=experiment.judged_domain(run),
        metrics=report.METRICS,
        **experiment.feature_net(run.values | net),
        num_samples=options.eval_samples,
        seed=options.seed,
        labels=run.values.get("eval_labels", "data"),
        split=run.values.get("split", "train"),
        cache=True,
    )


def make_all(work: Compression, wanted: Sequence[Variant], limits: Limits, searching: bool) -> None:
    """Makes the wanted variants, or searches for variants within the limits."""
    if work.options.debug_layers:
        data = work.representative(work.generator)
        print(debugging.table(debugging.layer_losses(work.generator, data=data)))
    if not searching:
        for variant in wanted:
            work.make(variant)
        return
    trials = work.options.trials if students.has(work.run) else 0
    if not trials:
        name = work.run.values["trainer"]
        print(f"A run of --trainer={name} has no students: only its generator is exported.")
    seeking.seek(work, limits, trials)


def finish(work: Compression, limits: Limits) -> Compressed:
    """Chooses the best variant within the limits, and writes the report."""
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
        training=work.training(),
    )
    name = chosen["name"] if chosen else ""
    return Compressed(result, name, why, dict(work.files), work.folder)
