"""Judges a generator, or the pictures one wrote.

    python -m scripts.evaluate --workdir=RUN --metrics=fid,kid,pr --checkpoint=best
    python -m scripts.evaluate --workdir=RUN --model=generator.tflite
    python -m scripts.evaluate --images=DIR --reference=folder:DIR

Writes evaluation.json: the metrics and the protocol that they depend on. Metrics: fid, kid, pr
(precision, recall), dc (density, coverage), is (Inception Score), ppl (perceptual path length),
modes (of ring, grid and stacked:BASE), neighbours (nearest training images, and a picture of them),
or an import path of your own. Judged are a run's checkpoints, its EMA weights where it keeps them.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from callbacks.evaluation import Evaluation
from gan import data, files
from gan.data import Source
from gan.errors import UserError
from gan.generators import load_model
from gan.images import save_png
from gan.metrics.evaluation import Evaluator
from scripts import cli, experiment
from trainers.checkpoints import Checkpoints

FLAGS = flags.FLAGS

OPTIONS: dict[str, tuple[Any, str]] = {
    "workdir": ("", "run to judge, or whose data to judge by"),
    "checkpoint": ("latest", "of the run: latest, best, all or a step"),
    "model": ("", "judge this .keras or .tflite file instead"),
    "images": ("", "judge the pictures in this folder instead, all of them"),
    "reference": ("", "data set to judge by, such as folder:DIR; the run's by default"),
    "split": ("", "of the reference; the run's by default"),
    "metrics": ((), "names or import paths; fid for images and modes for mixtures by default"),
    "num_samples": (0, "how many; 0: 10,000 images, 26,000 stacked ones or 2,500 points"),
    "num_reference": (0, "how many images of the reference; 0: all"),
    "feature_net": ("auto", "fashion, mnist, inception, keras:MODEL or an import path"),
    "inception_weights": ("", "file of the inception net's weights, classify_image_graph_def.pb"),
    "feature_weights": ("", "file of a keras:MODEL's weights"),
    "labels": ("data", "classes of conditional generators: by the data's shares, or balanced"),
    "seed": (0, "of the latents, and of the order of labels"),
    "seeds": (1, "how many seeds, from --seed on: mean and standard error of the metrics"),
    "cache": (True, "keep the reference's features in ~/.cache/tapestry or $TAPESTRY_CACHE"),
    "out": ("", "where to write; evaluation.json in the workdir by default"),
}

Judge = Callable[[int], dict[str, float]]


def main(argv: Sequence[str]) -> int:
    """Restores, judges, writes."""
    del argv
    _check_flags()
    run, later = None, []
    if not FLAGS.images and not FLAGS.model:
        every = [str(step) for step in Checkpoints(FLAGS.workdir).steps()]
        first, *later = every if FLAGS.checkpoint == "all" and every else [FLAGS.checkpoint]
        run = experiment.restore(FLAGS.workdir, first)
    source, split = _reference(run)
    evaluator = Evaluator(
        source,
        metrics=FLAGS.metrics,
        feature_net=FLAGS.feature_net,
        feature_weights=FLAGS.feature_weights or FLAGS.inception_weights,
        num_samples=FLAGS.num_samples,
        num_reference=FLAGS.num_reference,
        seed=FLAGS.seed,
        labels=FLAGS.labels,
        split=split,
        cache=FLAGS.cache,
        progress=True,
    )
    records = [_judge(evaluator, judge, what) for what, judge in _subjects(evaluator, run, later)]
    out = Path(FLAGS.out or Path(FLAGS.workdir) / "evaluation.json")
    files.write_json(out, records[0] if len(records) == 1 else {"evaluations": records})
    print(f"Written with its protocol to {out}")
    if "neighbours" in FLAGS.metrics and source.spec.is_image:
        save_png(out.with_name("neighbours.png"), evaluator.neighbour_picture())
        print(f"The samples nearest to training images: {out.with_name('neighbours.png')}")
    return 0


def _check_flags() -> None:
    if not FLAGS.workdir and not ((FLAGS.images or FLAGS.model) and FLAGS.reference):
        raise UserError(
            "--workdir is missing: say which run to judge, or give --images=DIR or --model=FILE "
            "with --reference=DATASET."
        )
    if FLAGS.images and FLAGS.model:
        raise UserError(f"--images={FLAGS.images} and --model={FLAGS.model}: give one of them.")
    if FLAGS.seeds < 1:
        raise UserError(f"--seeds={FLAGS.seeds}: expected at least 1.")
    for name in ("num_samples", "seeds"):
        if FLAGS.images and FLAGS[name].value != OPTIONS[name][0]:
            value = FLAGS[name].value
            raise UserError(f"--{name}={value} with --images: pictures are judged as they are.")
    if not FLAGS.workdir and not FLAGS.out:
        raise UserError("--out is missing: there is no workdir to write evaluation.json into.")


def _reference(run: experiment.Experiment | None) -> tuple[Source, str]:
    """The data to judge by, and its split."""
    if FLAGS.reference:
        split = FLAGS.split or "train"
        return data.load(FLAGS.reference, split=split), split
    values = run.values if run else experiment.read_flags(FLAGS.workdir)
    own = values.get("split", "train")
    split = FLAGS.split or own
    if run and split == own:
        return run.source, split
    return experiment.load_source(values | {"split": split}), split


def _subjects(
    evaluator: Evaluator, run: experiment.Experiment | None, later: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Judge]]:
    """What is judged: its part of the protocol, and the metrics for a seed.

    Args:
        evaluator: to judge by.
        run: restored; None for pictures or a file.
        later: its further checkpoints.
    """
    if FLAGS.images:
        pictures = data.load(f"folder:{FLAGS.images}")
        domain = pictures.spec.domains[0]

        def judge_images(seed: int) -> dict[str, float]:
            del seed
            batches = pictures.ordered(1000).as_numpy_iterator()
            return evaluator.evaluate_images(batch[domain] for batch in batches)

        evaluator.num_samples = pictures.spec.size
        yield {"model": f"images:{FLAGS.images}"}, judge_images
    elif FLAGS.model:
        sampler = load_model(FLAGS.model)
        sha256 = hashlib.sha256(Path(FLAGS.model).read_bytes()).hexdigest()
        model = {"model": FLAGS.model, "model_sha256": sha256}
        yield model, lambda seed: evaluator.evaluate(sampler, seed)
    elif run:
        trainer, evaluation = run.trainer, Evaluation(evaluator)
        for step in ("", *later):
            if step:
                Checkpoints(FLAGS.workdir).restore(trainer, step)
            at = {"step": trainer.step, "images": trainer.images, "ema": bool(trainer.ema)}
            yield {"model": "checkpoint", **at}, lambda seed: evaluation.evaluate(trainer, seed)


def _judge(evaluator: Evaluator, judge: Judge, what: dict[str, Any]) -> dict[str, Any]:
    """A record of evaluation.json; prints its metrics."""
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.seeds)
    found = [judge(seed) for seed in seeds]
    names = list(found[0])
    record: dict[str, Any] = {
        "protocol": evaluator.protocol | what,
        "metrics": {n: float(np.mean([f[n] for f in found])) for n in names},
    }
    errors = {}
    if len(seeds) > 1:
        root = math.sqrt(len(seeds))
        errors = {n: float(np.std([f[n] for f in found], ddof=1)) / root for n in names}
        record["protocol"]["seed"] = list(seeds)
        record["standard_errors"] = errors
    if "images" in what:
        print(f"step {what['step']}, {what['images'] / 1000:g} kimg")
    for name, value in record["metrics"].items():
        error = f" +- {errors[name]:.2g}" if errors else ""
        print(f"{name:20}{value:.4g}{error}", flush=True)
    return record


if __name__ == "__main__":
    cli.run_with(main, OPTIONS)
