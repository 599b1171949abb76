"""Judges a generator, or the pictures one wrote.

    python -m scripts.evaluate --workdir=RUN --metrics=fid,kid,pr --checkpoint=best
    python -m scripts.evaluate --workdir=RUN --model=generator.tflite
    python -m scripts.evaluate --images=DIR --reference=folder:DIR

Adds to evaluation.json: what was judged, its metrics, the protocol that they depend on, and on what
machine by which command. What it held of other checkpoints, files, pictures or protocols stays.
With --reference there are the flags of that data set's source too. Judged are a run's checkpoints,
its EMA weights where it keeps them.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from gan import files, generators, options
from gan.errors import UserError
from gan.images import save_png
from gan.metrics.evaluation import Evaluator
from gan.metrics.keys import Key
from scripts import _provenance, _subjects, cli, experiment
from scripts._subjects import TRANSFORM, Subject
from trainers.workdir import evaluations
from trainers.workdir.flags import flag_texts
from trainers.workdir.paths import Workdir

FLAGS = flags.FLAGS


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is judged, by what, and how.

    Attributes:
        workdir: run to judge, or whose data to judge by.
        checkpoint: of the run: latest, best, all or a step; none is the latest.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code of the run's own that its flags name by import path.
        model: judge this .keras or .tflite file instead.
        images: judge the pictures in this folder instead, all of them.
        reference: data set to judge by, such as folder:DIR; none is the run's.
        split: of the reference; none is the run's.
        image_size: resize --reference and --images to it; none keeps them, or does as the run did.
        center_crop: cut out their largest centred square first; none does as the run did.
        channels: 1, 3 or 4 to convert them to; none keeps them, or does as the run did.
        metrics: names or import paths; none is fid for images and modes for mixtures.
        num_samples: how many; none is 10,000 images, 26,000 stacked ones or 2,500 points.
        num_reference: how many images of the reference; none is all.
        feature_net: a name or import path; auto is the run's own, which is by default the one made
            for the data, else random.
        feature_weights: file of the weights of inception (classify_image_graph_def.pb) or a
            keras:MODEL; none downloads them.
        inception_weights: the same as --feature_weights.
        labels: classes of conditional generators: by the data's shares, or balanced.
        seed: of the latents, and of the order of labels; a translator has neither.
        seeds: how many seeds, from --seed on: mean and standard error of the metrics.
        cache: keep the reference's features in ~/.cache/tapestry or $TAPESTRY_CACHE.
        out: file to write to, .json; none is evaluation.json in the workdir.
    """

    workdir: str | os.PathLike[str] | None = None
    checkpoint: str | None = None
    dataset: str | None = None
    trust_code: bool = False
    model: str | os.PathLike[str] | None = None
    images: str | os.PathLike[str] | None = None
    reference: str | None = None
    split: str | None = None
    image_size: int | None = None
    center_crop: bool | None = None
    channels: int | None = None
    metrics: tuple[str, ...] | None = None
    num_samples: int | None = None
    num_reference: int | None = None
    feature_net: str = "auto"
    feature_weights: str | os.PathLike[str] | None = None
    inception_weights: str | os.PathLike[str] | None = None
    labels: str = "data"
    seed: int = 0
    seeds: int = 1
    cache: bool = True
    out: str | os.PathLike[str] | None = None


# More would not fit into memory; a seed is 31 bits.
_MOST_SAMPLES = 10_000_000
_MOST_SEEDS = 1000
_LAST_SEED = 2**31 - 1


def main(argv: Sequence[str]) -> int:
    """Restores, judges, writes."""
    del argv
    check_flags()
    out = check_out()
    run = sampler = None
    if FLAGS.model:
        sampler = generators.load(FLAGS.model)
    elif not FLAGS.images:
        which = FLAGS.checkpoint if FLAGS.checkpoint not in (None, "all") else "latest"
        run = experiment.restore(
            FLAGS.workdir, which, dataset=FLAGS.dataset, trust_code=FLAGS.trust_code
        )
        sampler = run.trainer.sampler()
    if sampler and sampler.interface.image:
        check_translator()
    source, split, transform = _subjects.reference(run)
    domain = sampler.interface.output.domain if sampler else ""
    evaluator = Evaluator(
        source,
        domain=domain if domain in source.spec.domains else "",
        metrics=FLAGS.metrics,
        **_subjects.feature_net(run),
        num_samples=FLAGS.num_samples,
        num_reference=FLAGS.num_reference,
        seed=FLAGS.seed,
        labels=FLAGS.labels,
        split=split,
        cache=FLAGS.cache,
        progress=True,
    )
    subject = None
    for subject in _subjects.subjects(evaluator, run, sampler):
        entry = judge(evaluator, subject, {n: v for n, v in transform.items() if v})
        with files.reported(*out):
            evaluations.add(out[1], entry)
    if subject is None:
        raise UserError("no checkpoint could be judged: the lines above say why.")
    print(f"Written with its protocol to {out[1]}")
    if "neighbours" in evaluator.metrics and source.spec.is_image:
        name = "" if run else f"_{Path(subject.about['name']).stem}"
        path = Path(out[1]).with_name(f"neighbours{name}.png")
        with files.reported(*out):
            save_png(path, evaluator.neighbour_picture())
        print(f"The samples nearest to training images: {path}")
    return 0


def check_flags() -> None:
    """Raises UserError for flags that do not go together, or values that cannot work."""
    if not FLAGS.workdir and not ((FLAGS.images or FLAGS.model) and FLAGS.reference):
        raise UserError(
            "--workdir is missing: say which run to judge, or give --images=DIR or --model=FILE "
            "with --reference=DATASET."
        )
    one = f"--images={FLAGS.images}" if FLAGS.images else f"--model={FLAGS.model}"
    if FLAGS.images and FLAGS.model:
        raise UserError(f"{one} and --model={FLAGS.model}: give one of them.")
    if (FLAGS.images or FLAGS.model) and FLAGS.checkpoint is not None:
        raise UserError(f"--checkpoint={FLAGS.checkpoint} and {one}: give one of them.")
    if FLAGS.images:
        drawn = ("num_samples", "labels", "seed", "seeds")
        _refuse(drawn, "with --images: pictures are judged as they are")
    if not FLAGS.images and not FLAGS.reference:
        why = "is for --reference or --images: a run's own data is as it was in training"
        _refuse(TRANSFORM, why)
    if not 1 <= FLAGS.seeds <= _MOST_SEEDS:
        raise UserError(f"--seeds={FLAGS.seeds}: expected 1 to {_MOST_SEEDS:,}.")
    if not 0 <= FLAGS.seed <= _LAST_SEED - FLAGS.seeds + 1:
        raise UserError(f"--seed={FLAGS.seed}: expected 0 to {_LAST_SEED}.")
    for name in ("num_samples", "num_reference"):
        value = FLAGS[name].value
        if value is not None and not 2 <= value <= _MOST_SAMPLES:
            raise UserError(f"--{name}={value}: expected 2 to {_MOST_SAMPLES:,}, or none.")
    if not FLAGS.workdir and not FLAGS.out:
        raise UserError("--out is missing: there is no workdir to write evaluation.json into.")


def check_translator() -> None:
    """Raises UserError for flags that say nothing to a function from images to images."""
    _refuse(("seed", "seeds"), "with a translator: it draws no latents, so that no seed counts")
    _refuse(("labels",), "with a translator: it has no classes")
    if FLAGS.reference and not FLAGS.model:
        raise UserError(
            f"--reference={FLAGS.reference}: a translator is judged by the data it translates; "
            "write its pictures to a folder and give --images=DIR to judge them by other data."
        )


def _refuse(names: Sequence[str], why: str) -> None:
    for name in names:
        value = FLAGS[name].value
        if value != options.of(EvaluateOptions)[name].default:
            raise UserError(f"--{name}={options.write(value)} {why}.")


def check_out() -> tuple[str, Path]:
    """The flag that names where to write, and the file, which can be written.

    Raises:
        UserError: it cannot, or holds something else.
    """
    if not FLAGS.out:
        flag_texts(FLAGS.workdir)  # says what is wrong with it
        path = Workdir(FLAGS.workdir).evaluations
        files.check_output("workdir", path)
        try:
            evaluations.read(path)
        except UserError as error:
            logging.warning("%s It will be kept beside a new one.", error)
        return "workdir", path
    if not FLAGS.out.endswith(".json"):
        raise UserError(f"--out={FLAGS.out!r}: expected a file that ends in .json.")
    files.check_output("out", FLAGS.out)
    try:
        evaluations.read(FLAGS.out)
    except UserError:
        raise UserError(
            f"--out={FLAGS.out!r} is there and holds no evaluations; take another file."
        ) from None
    return "out", Path(FLAGS.out)


def judge(evaluator: Evaluator, subject: Subject, transform: dict[str, Any]) -> evaluations.Entry:
    """An entry of evaluation.json; prints its metrics.

    Args:
        evaluator: to judge by.
        subject: what to judge.
        transform: of the reference, as far as it changes anything.
    """
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.seeds)
    found = [subject.judge(seed) for seed in seeds]
    protocol = evaluator.protocol | ({"transform": transform} if transform else {})
    errors: dict[str, float] = {}
    if len(seeds) > 1:
        root = math.sqrt(len(seeds))
        errors = {n: float(np.std([f[n] for f in found], ddof=1)) / root for n in found[0]}
        protocol["seed"] = list(seeds)
    metrics = {n: float(np.mean([f[n] for f in found])) for n in found[0]}
    if subject.title:
        print(subject.title)
    for name, value in metrics.items():
        error = f" +- {errors[name]:.2g}" if errors else ""
        text = evaluator.keys.get(name, Key(name)).text(value)
        print(f"{evaluator.label(name):28} {text}{error}", flush=True)
    return evaluations.Entry(
        subject=subject.about,
        protocol=protocol,
        metrics=metrics,
        keys={name: key for name, key in evaluator.keys.items() if name in metrics},
        errors=errors,
        made=_provenance.made(),
    )


def parse(argv: Sequence[str]) -> None:
    """Defines the flags that depend on others."""
    del argv
    _subjects.define_source_flags()


if __name__ == "__main__":
    cli.run_with(main, EvaluateOptions, parse)
