"""Evaluates a generator, or pictures it made, and adds the results to evaluation.json.

An entry holds what was evaluated, its metrics, the protocol they depend on, the command and the
machine. Entries of other checkpoints, files, pictures or protocols stay. Of a run's checkpoints the
EMA weights are evaluated, if it keeps them.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from experiments import experiment, provenance, subjects
from experiments.settings import EvaluateOptions
from experiments.subjects import TRANSFORM, Subject
from gan import files, generators
from gan.errors import UserError
from gan.images import save_png
from gan.metrics.evaluation import Evaluator
from gan.metrics.keys import Key
from gan.options import of, write
from trainers.workdir import evaluations
from trainers.workdir.evaluations import Entry
from trainers.workdir.flags import check_version, flag_texts
from trainers.workdir.paths import Workdir

# More samples would not fit into memory; a seed has 31 bits.
_MOST_SAMPLES = 10_000_000
_MOST_SEEDS = 1000
_LAST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Evaluated:
    """The results of an evaluation.

    Attributes:
        entries: the entries added to the file, one per subject.
        out: the file, evaluation.json by default.
        neighbours: picture of the samples nearest to training images, if that metric was chosen.
    """

    entries: list[Entry]
    out: Path
    neighbours: Path | None = None


def evaluate(
    options: EvaluateOptions, reference_options: Mapping[str, Any] | None = None
) -> Evaluated:
    """Evaluates what the options name, one subject after another; prints the metrics of each.

    Args:
        options: what to evaluate, and how.
        reference_options: further options of the data set `reference`, such as data_dir.

    Raises:
        UserError: options do not go together, there is nothing to evaluate, or the file cannot be
            written.
    """
    check(options)
    flag, out = check_out(options)
    run = sampler = None
    if options.model:
        sampler = subjects.truncated(generators.load(options.model), options)
    elif not options.images:
        which = options.checkpoint if options.checkpoint not in (None, "all") else "latest"
        run = experiment.restore(
            options.workdir or "", which, dataset=options.dataset, trust_code=options.trust_code
        )
        sampler = subjects.truncated(run.trainer.sampler(), options)
    if sampler and sampler.interface.image:
        check_translator(options)
    source, split, transform = subjects.reference(run, options, reference_options or {})
    domain = sampler.interface.output.domain if sampler else ""
    evaluator = Evaluator(
        source,
        domain=domain if domain in source.spec.domains else "",
        metrics=options.metrics,
        **subjects.feature_net(run, options),
        num_samples=options.num_samples,
        num_reference=options.num_reference,
        seed=options.seed,
        labels=options.labels,
        split=split,
        cache=options.cache,
        progress=True,
    )
    seeds = range(options.seed, options.seed + options.seeds)
    changing = {n: v for n, v in transform.items() if v}
    entries = []
    for subject in subjects.subjects(evaluator, run, sampler, options):
        entries.append(judge(evaluator, subject, seeds, changing))
        with files.reported(flag, out):
            evaluations.add(out, entries[-1])
    if not entries:
        raise UserError("no checkpoint could be evaluated: the lines above say why.")
    if "neighbours" not in evaluator.metrics or not source.spec.is_image:
        return Evaluated(entries, out)
    name = "" if run else f"_{Path(entries[-1].subject['name']).stem}"
    picture = out.with_name(f"neighbours{name}.png")
    with files.reported(flag, out):
        save_png(picture, evaluator.neighbour_picture())
    return Evaluated(entries, out, picture)


def check(options: EvaluateOptions) -> None:
    """Raises UserError for options that do not go together or are out of range."""
    if not options.workdir and not ((options.images or options.model) and options.reference):
        raise UserError(
            "--workdir is missing: say which run to evaluate, or give --images=DIR or --model=FILE "
            "with --reference=DATASET."
        )
    if options.workdir:
        check_version(options.workdir)
    one = f"--images={options.images}" if options.images else f"--model={options.model}"
    if options.images and options.model:
        raise UserError(f"{one} and --model={options.model}: give one of them.")
    if (options.images or options.model) and options.checkpoint is not None:
        raise UserError(f"--checkpoint={options.checkpoint} and {one}: give one of them.")
    if options.images:
        drawn = ("num_samples", "labels", "seed", "seeds", "truncation")
        _refuse(options, drawn, "with --images: pictures are judged as they are")
    if not options.images and not options.reference:
        why = "is for --reference or --images: a run's own data is as it was in training"
        _refuse(options, TRANSFORM, why)
    if not 1 <= options.seeds <= _MOST_SEEDS:
        raise UserError(f"--seeds={options.seeds}: expected 1 to {_MOST_SEEDS:,}.")
    if not 0 <= options.seed <= _LAST_SEED - options.seeds + 1:
        raise UserError(f"--seed={options.seed}: expected 0 to {_LAST_SEED}.")
    for name in ("num_samples", "num_reference"):
        value = getattr(options, name)
        if value is not None and not 2 <= value <= _MOST_SAMPLES:
            raise UserError(f"--{name}={value}: expected 2 to {_MOST_SAMPLES:,}, or none.")
    if not options.workdir and not options.out:
        raise UserError("--out is missing: there is no workdir to write evaluation.json into.")


def check_translator(options: EvaluateOptions) -> None:
    """Raises UserError for options that have no meaning for a translator."""
    _refuse(
        options, ("seed", "seeds"), "with a translator: it draws no latents, so that no seed counts"
    )
    _refuse(options, ("labels",), "with a translator: it has no classes")
    if options.reference and not options.model:
        raise UserError(
            f"--reference={options.reference}: a translator is judged by the data it translates; "
            "write its pictures to a folder and give --images=DIR to judge them by other data."
        )


def _refuse(options: EvaluateOptions, names: Sequence[str], why: str) -> None:
    for name in names:
        value = getattr(options, name)
        if value != of(EvaluateOptions)[name].default:
            raise UserError(f"--{name}={write(value)} {why}.")


def check_out(options: EvaluateOptions) -> tuple[str, Path]:
    """The file to write, and the flag that names it.

    Raises:
        UserError: it cannot be written, or holds something else.
    """
    if not options.out:
        workdir = options.workdir or ""
        flag_texts(workdir)  # raises if it is no run's folder
        path = Workdir(workdir).evaluations
        files.check_output("workdir", path)
        try:
            evaluations.read(path)
        except UserError as error:
            logging.warning("%s It will be kept under another name.", error)
        return "workdir", path
    if not os.fspath(options.out).endswith(".json"):
        raise UserError(f"--out={options.out!r}: expected a file that ends in .json.")
    files.check_output("out", options.out)
    try:
        evaluations.read(options.out)
    except UserError:
        raise UserError(
            f"--out={options.out!r} is there and holds no evaluations; take another file."
        ) from None
    return "out", Path(options.out)


def judge(
    evaluator: Evaluator, subject: Subject, seeds: Sequence[int], transform: Mapping[str, Any]
) -> Entry:
    """Evaluates a subject and prints its metrics; returns the entry for evaluation.json.

    Args:
        evaluator: measures the metrics.
        subject: what to evaluate.
        seeds: seeds of the latents; several give the metrics' means and standard errors.
        transform: options of the reference's transform that change its images.
    """
    results = [subject.judge(seed) for seed in seeds]
    protocol = evaluator.protocol | ({"transform": dict(transform)} if transform else {})
    errors: dict[str, float] = {}
    if len(seeds) > 1:
        root = math.sqrt(len(seeds))
        errors = {n: float(np.std([r[n] for r in results], ddof=1)) / root for n in results[0]}
        protocol["seed"] = list(seeds)
    metrics = {n: float(np.mean([r[n] for r in results])) for n in results[0]}
    if subject.title:
        print(subject.title)
    for name, value in metrics.items():
        error = f" +- {errors[name]:.2g}" if errors else ""
        text = evaluator.keys.get(name, Key(name)).text(value)
        print(f"{evaluator.label(name):28} {text}{error}", flush=True)
    return Entry(
        subject=subject.about,
        protocol=protocol,
        metrics=metrics,
        keys={name: key for name, key in evaluator.keys.items() if name in metrics},
        errors=errors,
        made=provenance.made(),
    )
