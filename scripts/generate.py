"""Generates a grid of samples: python -m scripts.generate --workdir=RUN --out=grid.png

The generator is a run's (--workdir), a Keras file's or an exported LiteRT file's (--model). A
translator's grid shows inputs of the run's data, or for a LiteRT file those of --images, each with
its translation to the right.
"""

from collections.abc import Sequence

import numpy as np
from absl import flags

from gan import data, images, sampling
from gan.compression.runner import LiteRTTranslator
from gan.errors import UserError
from gan.generators import load_model, open_exported
from scripts import cli, experiment

FLAGS = flags.FLAGS

OPTIONS = {
    "workdir": ("", "run whose generator to use (its moving average where it has one)"),
    "model": ("", "or a generator's file, .keras or .tflite"),
    "checkpoint": ("latest", "of the run: latest, best or a step"),
    "images": ("", "folder of pictures for a translator's .tflite file"),
    "out": ("", "PNG to write"),
    "count": (64, "how many samples"),
    "columns": (0, "samples a row; 0 makes the grid square, or a row a class"),
    "classes": ((), "class indices to draw, comma-separated; all by default"),
    "seed": (0, "of the latents"),
    "scale": (2, "each pixel is drawn this many pixels wide"),
}


def labels(classes: Sequence[str], sampler: sampling.Sampler, count: int) -> np.ndarray | None:
    """A label a sample, class after class in even shares; None for an unconditional generator.

    Raises:
        UserError: classes the generator does not have.
    """
    if not sampler.num_classes:
        if classes:
            raise UserError(f"--classes={','.join(classes)}: this generator is not conditional.")
        return None
    for text in classes:
        if not text.isdigit() or int(text) >= sampler.num_classes:
            raise UserError(f"--classes={text!r}: expected 0 to {sampler.num_classes - 1}.")
    chosen = [int(text) for text in classes] or list(range(sampler.num_classes))
    return np.sort(np.resize(np.asarray(chosen, np.int32), count), kind="stable")


def beside(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Inputs and their translations, side by side: float32 (count, H, 2 W, C)."""
    if inputs.shape[-1] == 1:
        inputs = np.repeat(inputs, outputs.shape[-1], axis=-1)
    return np.concatenate([inputs, outputs], axis=2)


def translations(run: experiment.Experiment, count: int) -> np.ndarray:
    """The run's data, each example with its translation."""
    batch = next(iter(run.source.ordered(count)))
    inputs = np.asarray(batch[run.source.spec.domains[0]])
    return beside(inputs, np.asarray(run.trainer.inference()(inputs, training=False)))


def translated(model: str, folder: str, count: int) -> np.ndarray:
    """Pictures of a folder, each with what a translator's file makes of it.

    Raises:
        UserError: no such file or folder, or a file that draws from z.
    """
    translator = open_exported(model)
    if not isinstance(translator, LiteRTTranslator):
        raise UserError(f"--images={folder!r}: {model!r} draws from z and takes no pictures.")
    height, width, channels = translator.input_shape
    square = height == width
    pictures = data.load(
        f"folder:{folder}",
        image_size=height if square else 0,
        center_crop=square,
        channels=channels,
    )
    inputs = np.asarray(next(iter(pictures.ordered(count)))[pictures.spec.domains[0]])
    return beside(inputs, translator(inputs))


def main(argv: Sequence[str]) -> int:
    """Loads, draws, writes."""
    del argv
    if bool(FLAGS.workdir) == bool(FLAGS.model):
        raise UserError("Say which generator: either --workdir=RUN or --model=FILE.")
    if not FLAGS.out.endswith(".png"):
        raise UserError(f"--out={FLAGS.out!r}: expected a file that ends in .png.")
    if FLAGS.count < 1 or FLAGS.scale < 1:
        raise UserError(f"--count={FLAGS.count} --scale={FLAGS.scale}: expected at least 1.")
    if FLAGS.images and not FLAGS.model.endswith(".tflite"):
        raise UserError(f"--images={FLAGS.images!r} is for a translator's --model=FILE.tflite.")
    if FLAGS.columns < 0:
        raise UserError(f"--columns={FLAGS.columns}: expected at least 1, or 0.")
    columns = FLAGS.columns or int(np.ceil(np.sqrt(FLAGS.count)))
    run = experiment.restore(FLAGS.workdir, FLAGS.checkpoint) if FLAGS.workdir else None
    if FLAGS.images or (run and run.source.spec.is_translation):
        pairs = (
            translated(FLAGS.model, FLAGS.images, FLAGS.count)
            if run is None
            else translations(run, FLAGS.count)
        )
        images.save_png(FLAGS.out, images.grid(pairs, columns), scale=FLAGS.scale)
        print(f"{FLAGS.out}: {len(pairs)} inputs, each with its translation")
        return 0
    sampler = run.trainer.sampler() if run else load_model(FLAGS.model)
    label = labels(FLAGS.classes, sampler, FLAGS.count)
    if label is not None and not FLAGS.columns:
        columns = int(np.ceil(FLAGS.count / len(np.unique(label))))
    z = sampling.latents(FLAGS.count, sampler.latent_dim, FLAGS.seed)
    samples = sampler(z, label)
    if samples.ndim != 4:
        raise UserError("This generator draws points, not images; scripts.evaluate judges them.")
    images.save_png(FLAGS.out, images.grid(samples, columns), scale=FLAGS.scale)
    print(f"{FLAGS.out}: {FLAGS.count} samples, seed {FLAGS.seed}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, OPTIONS)
