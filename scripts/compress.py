"""Takes a trained generator to a device: python -m scripts.compress --workdir=RUN --out=DIR

Exports it as float32 and int8 .tflite, prunes it while it trains on against its discriminator,
exports that as int8 too, and judges the three files: report.json, comparison.png and a table.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import keras
from absl import flags

from callbacks.lr_decay import LearningRateDecay
from callbacks.nan_guard import NaNGuard, TrainingDiverged
from callbacks.progress_bar import ProgressBar
from callbacks.pruning import Pruning
from gan.compression import export, placement, report
from gan.errors import UserError
from gan.files import write_whole
from gan.metrics.evaluation import Evaluator
from scripts import cli, experiment

FLAGS = flags.FLAGS

COMPRESS = {
    "workdir": ("", "folder of the trained run"),
    "out": ("", "folder of the exported files and the report"),
    "checkpoint": ("latest", "which of the run's checkpoints: latest, best or a step"),
    "sparsity": (0.7, "share of zeros in the pruned kernels, at least 0 and below 1"),
    "finetune_kimg": (
        50.0,
        "thousands of images to prune and recover on, half each; rates fall to 0 while recovering",
    ),
    "allocation": ("global", "layer: that share in each kernel; global: over all kernels together"),
    "keep_output_dense": (False, "do not prune the last kernel, which draws the image"),
    "calibration": (200, "batches of z that set int8's ranges, 100 to 500"),
    "eval_samples": (0, "samples of each file for FID; 0 is 10,000"),
    "num_threads": (1, "CPU threads for the latency"),
    "steps_per_loop": (50, "training steps in one graph call"),
    "seed": (0, "of the z that files are judged on"),
}


def check_flags() -> None:
    """Raises UserError for values that cannot work."""
    for name in ("workdir", "out"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing: --{name}=DIR, {COMPRESS[name][1]}.")
    if Path(FLAGS.out).is_file():
        raise UserError(f"--out={FLAGS.out!r} is a file; a folder is needed.")
    if not 0 <= FLAGS.sparsity < 1:
        raise UserError(f"--sparsity={FLAGS.sparsity}: expected at least 0 and below 1.")
    for name in ("finetune_kimg", "calibration", "num_threads", "steps_per_loop"):
        if not FLAGS[name].value > 0:
            raise UserError(f"--{name}={FLAGS[name].value}: expected more than 0.")


def export_to(path: Path, generator: keras.Model, *, int8: bool) -> Path:
    """Exports a generator, and refuses what would leave XNNPACK."""
    content = export.to_tflite(
        generator, int8=int8, calibration=FLAGS.calibration, seed=FLAGS.seed + 1
    )
    write_whole(path, content)
    placement.require_one_partition(path)
    print(f"Wrote {path}, {len(content):,} bytes.", flush=True)
    return path


def prune(run: experiment.Experiment) -> None:
    """Prunes the generator while it trains on.

    Learning rates start as the run's did and fall to 0 in the second half, once the masks stand: a
    run that ended with small rates would otherwise lose by noise more than by its zeros.
    """
    trainer = run.trainer
    for group, rate in trainer.base_learning_rates.items():
        trainer.optimizers[group].learning_rate = rate
    begin = trainer.images / 1000
    end = begin + FLAGS.finetune_kimg
    # The average must have forgotten the dense weights by the end.
    trainer.ema_half_life_kimg = min(trainer.ema_half_life_kimg, FLAGS.finetune_kimg / 10)
    trainer.fit(
        run.source,
        total_kimg=end,
        steps_per_loop=FLAGS.steps_per_loop,
        callbacks=[
            LearningRateDecay("linear", total_kimg=end, start=(begin + end) / 2 / end),
            NaNGuard(FLAGS.workdir),
            Pruning(
                FLAGS.sparsity,
                keep_output_dense=FLAGS.keep_output_dense,
                allocation=FLAGS.allocation,
            ),
            ProgressBar(),
        ],
    )


def main(argv: Sequence[str]) -> int:
    """Exports, prunes, exports, judges."""
    del argv
    check_flags()
    run, out = experiment.restore(FLAGS.workdir, FLAGS.checkpoint), Path(FLAGS.out)
    trainer, spec = run.trainer, run.source.spec
    names = [x.name for x in trainer.inference().inputs]
    if not spec.is_image or "z" not in names:
        raise UserError(
            f"--workdir={FLAGS.workdir!r} holds {run.values['trainer']!r} on {spec.name!r}; "
            "compress takes generators of images from z."
        )
    evaluator = Evaluator(
        run.source,
        num_samples=FLAGS.eval_samples,
        seed=FLAGS.seed,
        split=run.values.get("split", "train"),
    )
    # It is the sign that all is there: an earlier one must not vouch for files made anew.
    (out / "report.json").unlink(missing_ok=True)
    # Training goes on in place, so what it started from is kept for the report.
    dense = keras.models.clone_model(trainer.inference())
    dense.set_weights(trainer.inference().get_weights())
    files = {
        name: export_to(out / f"{name}.tflite", dense, int8=name == "int8")
        for name in ("float32", "int8")
    }
    print(f"Pruning to {FLAGS.sparsity:.0%} over {FLAGS.finetune_kimg:g} kimg.", flush=True)
    try:
        prune(run)
    except TrainingDiverged as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if trainer.interrupted:
        print("Interrupted while pruning; the same command begins again.")
        return 128 + trainer.interrupted
    pruned = trainer.inference()
    pruned.save(out / "pruned.tmp.keras")
    (out / "pruned.tmp.keras").replace(out / "pruned.keras")
    files["pruned_int8"] = export_to(out / "pruned_int8.tflite", pruned, int8=True)
    print("Judging the files.", flush=True)
    result = report.write_report(
        out, files, evaluator, generator=dense, num_threads=FLAGS.num_threads
    )
    print(report.table(result))
    print(f"Wrote {out / 'report.json'} and {out / 'comparison.png'}.")
    return 0


if __name__ == "__main__":
    cli.run_with(main, COMPRESS)
