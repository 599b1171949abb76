"""Judges a generator, or the pictures one wrote.

    python -m scripts.evaluate --workdir=RUN --metrics=fid,kid,pr --checkpoint=best
    python -m scripts.evaluate --workdir=RUN --model=generator.tflite
    python -m scripts.evaluate --images=DIR --reference=folder:DIR

Adds to evaluation.json: what was judged, its metrics, the protocol that they depend on, and on what
machine by which command. What it held of other checkpoints, files, pictures or protocols stays.
With --reference there are the flags of that data set's source too. Metrics: fid, kid, pr
(precision, recall), dc (density, coverage), is (Inception Score), ppl (perceptual path length),
modes (of ring, grid and stacked:BASE), neighbours (nearest training images, and a picture of them),
or an import path of your own. Judged are a run's checkpoints, its EMA weights where it keeps them.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging

from gan import files
from gan.errors import UserError
from gan.images import save_png
from gan.metrics.evaluation import Evaluator
from gan.metrics.keys import Key, records
from scripts import _code, _provenance, _subjects, cli, experiment
from scripts._subjects import TRANSFORM, Subject
from trainers import evaluations
from trainers.workdir import FLAG_FILE

FLAGS = flags.FLAGS

OPTIONS: dict[str, tuple[Any, str]] = {
    "workdir": ("", "run to judge, or whose data to judge by"),
    "checkpoint": ("latest", "of the run: latest, best, all or a step"),
    "dataset": ("", "where the run's data is now, such as folder:DIR, if it was moved"),
    "trust_code": _code.TRUST,
    "model": ("", "judge this .keras or .tflite file instead"),
    "images": ("", "judge the pictures in this folder instead, all of them"),
    "reference": ("", "data set to judge by, such as folder:DIR; the run's by default"),
    "split": ("", "of the reference; the run's by default"),
    "image_size": (0, "resize --reference and --images to it; the run's by default, 0 keeps them"),
    "center_crop": (False, "cut out their largest centred square first; the run's by default"),
    "channels": (0, "1, 3 or 4 to convert them to; the run's by default, 0 keeps them"),
    "metrics": ((), "names or import paths; fid for images and modes for mixtures by default"),
    "num_samples": (0, "how many; 0: 10,000 images, 26,000 stacked ones or 2,500 points"),
    "num_reference": (0, "how many images of the reference; 0: all"),
    "feature_net": (
        "auto",
        "fashion, mnist, random, inception, keras:MODEL or an import path; auto: the run's own, "
        "by default the one made for the data, else random",
    ),
    "inception_weights": ("", "the same as --feature_weights"),
    "feature_weights": (
        "",
        "file of the weights of inception (classify_image_graph_def.pb) or a keras:MODEL",
    ),
    "labels": ("data", "classes of conditional generators: by the data's shares, or balanced"),
    "seed": (0, "of the latents, and of the order of labels; a translator has neither"),
    "seeds": (1, "how many seeds, from --seed on: mean and standard error of the metrics"),
    "cache": (True, "keep the reference's features in ~/.cache/tapestry or $TAPESTRY_CACHE"),
    "out": ("", "file to write to, .json; evaluation.json in the workdir by default"),
}

# More would not fit into memory; a seed is 31 bits.
_MOST_SAMPLES = 10_000_000
_MOST_SEEDS = 1000
_LAST_SEED = 2**31 - 1


def main(argv: Sequence[str]) -> int:
    """Restores, judges, writes."""
    del argv
    check_flags()
    out = check_out()
    run = None
    if not FLAGS.images and not FLAGS.model:
        which = "latest" if FLAGS.checkpoint == "all" else FLAGS.checkpoint
        run = experiment.restore(
            FLAGS.workdir, which, dataset=FLAGS.dataset, trust_code=FLAGS.trust_code
        )
        if run.source.spec.is_translation:
            check_translator()
    source, split, transform = _subjects.reference(run)
    evaluator = Evaluator(
        source,
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
    for subject in _subjects.subjects(evaluator, run):
        entry = judge(evaluator, subject, {n: v for n, v in transform.items() if v})
        with files.reported(*out):
            evaluations.add(out[1], entry)
    if subject is None:
        raise UserError("no checkpoint could be judged: the lines above say why.")
    print(f"Written with its protocol to {out[1]}")
    if "neighbours" in FLAGS.metrics and source.spec.is_image:
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
    if (FLAGS.images or FLAGS.model) and FLAGS["checkpoint"].present:
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
        if value and not 2 <= value <= _MOST_SAMPLES:
            raise UserError(
                f"--{name}={value}: expected 2 to {_MOST_SAMPLES:,}, or 0 for the default."
            )
    if not FLAGS.workdir and not FLAGS.out:
        raise UserError("--out is missing: there is no workdir to write evaluation.json into.")


def check_translator() -> None:
    """Raises UserError for flags that say nothing to a function from images to images."""
    _refuse(("seed", "seeds"), "with a translator: it draws no latents, so that no seed counts")
    _refuse(("labels",), "with a translator: it has no classes")
    if FLAGS.reference:
        raise UserError(
            f"--reference={FLAGS.reference}: a translator is judged by the data it translates; "
            "write its pictures to a folder and give --images=DIR to judge them by other data."
        )


def _refuse(names: Sequence[str], why: str) -> None:
    for name in names:
        if FLAGS[name].present and FLAGS[name].value != OPTIONS[name][0]:
            raise UserError(f"--{name}={FLAGS[name].value} {why}.")


def check_out() -> tuple[str, Path]:
    """The flag that names where to write, and the file, which can be written.

    Raises:
        UserError: it cannot, or holds something else.
    """
    if not FLAGS.out:
        if not (Path(FLAGS.workdir) / FLAG_FILE).is_file():
            experiment.read_flags(
                FLAGS.workdir, trust_code=FLAGS.trust_code
            )  # says what is wrong with it
        path = Path(FLAGS.workdir) / evaluations.NAME
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


def judge(evaluator: Evaluator, subject: Subject, transform: dict[str, Any]) -> dict[str, Any]:
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
    return {
        "subject": subject.about,
        "protocol": protocol,
        "metrics": metrics,
        "keys": records(key for name, key in evaluator.keys.items() if name in metrics),
        "errors": errors,
        "made": _provenance.made(),
    }


def parse(argv: Sequence[str]) -> None:
    """Defines the flags that depend on others."""
    del argv
    _subjects.define_source_flags()


if __name__ == "__main__":
    for name, (default, text) in OPTIONS.items():
        cli.define(name, default, text, "Flags")
    cli.run(main, parse)
