"""Judges a generator: python -m scripts.evaluate --workdir=RUN

Writes evaluation.json into the workdir: the protocol beside the metrics it led to. Images are
judged by FID against all of the run's data, points of a mixture by modes found, the share of
high-quality samples and the reverse KL divergence (Lin et al. 2018).
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from callbacks.evaluation import Evaluation
from gan import files
from gan.errors import UserError
from gan.generators import load_model
from gan.metrics.evaluation import Evaluator
from scripts import cli, experiment

FLAGS = flags.FLAGS

OPTIONS = {
    "workdir": ("", "run to judge"),
    "model": ("", "judge this .keras or .tflite file instead, against the run's data"),
    "checkpoint": ("latest", "of the run: latest, best or a step"),
    "num_samples": (0, "how many; 0: 10,000 images or 2,500 points"),
    "feature_net": ("auto", "a name or an import path; auto: fashion"),
    "seed": (0, "of the latents"),
    "out": ("", "where to write; evaluation.json in the workdir by default"),
}


def main(argv: Sequence[str]) -> int:
    """Restores, judges, writes."""
    del argv
    if not FLAGS.workdir:
        raise UserError("--workdir is missing: say which run to judge.")
    run = experiment.restore(FLAGS.workdir, FLAGS.checkpoint)
    evaluator = Evaluator(
        run.source,
        feature_net=FLAGS.feature_net,
        num_samples=FLAGS.num_samples,
        seed=FLAGS.seed,
        split=run.values.get("split", "train"),
    )
    judged: dict[str, object]
    if FLAGS.model:
        metrics = evaluator.evaluate(load_model(FLAGS.model))
        judged = {"model": FLAGS.model}
    else:
        trainer = run.trainer
        metrics = Evaluation(evaluator).evaluate(trainer)
        judged = {
            "model": "checkpoint",
            "step": trainer.step,
            "images": trainer.images,
            "ema": bool(trainer.ema),
        }
    out = Path(FLAGS.out or Path(FLAGS.workdir) / "evaluation.json")
    files.write_json(out, {"protocol": evaluator.protocol | judged, "metrics": metrics})
    for name, value in metrics.items():
        print(f"{name:14}{value:.4g}")
    print(f"Written with its protocol to {out}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, OPTIONS)
