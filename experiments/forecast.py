"""What a run will take, before it starts: steps, memory and disk."""

import io
import math
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from experiments.experiment import Experiment
from experiments.settings import RunOptions
from gan.data.indexed import IndexedSource
from trainers.base import Trainer
from trainers.progress import whole_images
from trainers.views import Layout

CLASSES = 10  # named at most
_FILE = 50_000  # bytes of a .keras file beside its weights
_LINE = 2_000  # bytes that a line of the log takes, in metrics.jsonl and TensorBoard's file


def forecast(run: Experiment, options: RunOptions) -> str:
    """Classes, steps, memory and disk of a run that has not begun, in a line each."""
    trainer, size = run.trainer, run.source.spec.size
    steps = math.ceil(whole_images(options.total_kimg) / trainer.images_per_step)
    images = steps * trainer.images_per_step
    return "\n".join([
        f"classes: {classes(run)}",
        f"steps: {steps:,} of {trainer.images_per_step:,} images, {images / size:.3g} epochs",
        f"memory: about {step_bytes(run) / 1e6:,.0f} MB for training, beside TensorFlow's own "
        "(some 700): state, gradients, data, and the layers' outputs of a step twice; evaluations "
        "come on top",
        f"disk: about {disk_bytes(run, options) / 1e6:,.1f} MB: checkpoints, generators, and "
        "pictures and lines of the log as often as the flags say",
    ])  # fmt: skip


def classes(run: Experiment) -> str:
    """The classes and their shares of the examples, the largest first."""
    spec, source = run.source.spec, run.source
    if not spec.num_classes:
        return "none"
    sizes = source.class_sizes if isinstance(source, IndexedSource) else {}
    if not sizes:
        return f"{spec.num_classes:,}"
    if len(set(sizes.values())) == 1:
        return f"{spec.num_classes:,}, each {1 / spec.num_classes:.1%} of the examples"
    total = sum(sizes.values())
    largest = sorted(sizes, key=lambda name: -sizes[name])[:CLASSES]
    shares = [f"{name} {sizes[name] / total:.1%}" for name in largest]
    more = ["..."] if len(sizes) > CLASSES else []
    return f"{spec.num_classes:,}: {', '.join([*shares, *more])}"


def step_bytes(run: Experiment) -> int:
    """Bytes of state, gradients, data in memory, and of what the layers of a step put out.

    Each network is taken to run once forward and once back on the whole batch.
    """
    trainer = run.trainer
    part = trainer.batch_size // trainer.accumulate
    width = 4 if trainer.precision == "float32" else 2
    values = sum(sum(_outputs(network)) for network in trainer.networks.values())
    gradients = sum(_bytes(v.value for v in trainer.variables_of(g)) for g in trainer.groups)
    return state_bytes(trainer) + gradients + _data_bytes(run.source) + 2 * part * width * values


def disk_bytes(run: Experiment, options: RunOptions) -> int:
    """Bytes of a finished run's folder; pictures are taken to compress as the real images do."""
    trainer, end = run.trainer, {whole_images(options.total_kimg)}
    judged = _times(options, options.eval_every_kimg)
    # At the most, each evaluation finds a better state, which is saved.
    saves = _times(options, options.checkpoint_every_kimg) | judged | end
    # The newest, and the best where that is an older one.
    kept = min(len(saves), options.keep_checkpoints) + (len(judged) > options.keep_checkpoints)
    generators = sum(
        _bytes(v.value for v in trainer.inference(name).variables) + _FILE
        for name in trainer.averaged
    )
    lines = len(_times(options, options.log_every_kimg)) + len(judged) + 1
    return kept * state_bytes(trainer) + generators + _picture_bytes(run, options) + lines * _LINE


def state_bytes(trainer: Trainer) -> int:
    """Bytes of a checkpoint: networks, their averages, and optimizers."""
    return sum(map(_bytes, trainer.state().values()))


def _bytes(variables: Iterable[tf.Variable]) -> int:
    return sum(math.prod(v.shape) * v.dtype.size for v in variables)


def _times(options: RunOptions, every_kimg: float | None) -> set[int]:
    """When something happens in a run: counts of images."""
    every = whole_images(every_kimg) if every_kimg else 0
    return set(range(every, whole_images(options.total_kimg) + 1, every)) if every else set()


def _picture_bytes(run: Experiment, options: RunOptions) -> int:
    """Bytes of all pictures, which are in TensorBoard's file too."""
    if options.image_every_kimg is None:
        return 0
    views = run.trainer.views(run.source, Layout())
    fixed = [_png(view) for view in views.values() if isinstance(view, np.ndarray)]
    end = {whole_images(options.total_kimg)}
    drawn = 1 + len(_times(options, options.image_every_kimg) | end)
    one = max(fixed, default=Layout().rows * Layout().columns * math.prod(run.source.spec.shape))
    return 2 * (sum(fixed) + drawn * one * (len(views) - len(fixed)))


def _png(picture: np.ndarray) -> int:
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(buffer, "PNG")
    return buffer.tell()


def _data_bytes(source: Any) -> int:
    return 2 * sum(array.nbytes for array in getattr(source, "arrays", {}).values())


def _outputs(network: keras.Model) -> Iterator[int]:
    """The values that each layer puts out for one example."""
    for operation in getattr(network, "operations", ()):
        if isinstance(operation, keras.Model):
            yield from _outputs(operation)
        else:
            for output in keras.tree.flatten(operation.output):
                yield math.prod(n or 1 for n in output.shape)
