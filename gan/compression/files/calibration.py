"""Inputs that set the ranges of int8 activations, and what must hold of them."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from gan.data.source import Source
from gan.errors import UserError
from gan.interface import Image
from gan.sampling import KerasSampler, balanced_labels

Representative = Callable[[], Iterator[dict[str, np.ndarray]]]


def representative(
    generator: keras.Model,
    *,
    count: int = 200,
    seed: int = 1,
    batch_size: int = 1,
    source: Source | None = None,
) -> Representative:
    """Inputs to calibrate int8 on, from the distribution the generator is used on.

    Args:
        generator: inputs z, and label when conditional; or x, images to translate.
        count: how many batches; 100 to 500 make a stable range.
        seed: of z, or of the images' order; not evaluation's, so that a file is judged on z it was
            not calibrated on.
        batch_size: that of the export.
        source: where images come from, its first domain; only translators need one.

    Raises:
        UserError: a translator without a source, or with one of other images.
    """
    sampler = KerasSampler(generator)
    if sampler.interface.image:
        return _images(generator, sampler.interface.image, count, seed, batch_size, source)

    def batches() -> Iterator[dict[str, np.ndarray]]:
        z = sampler.latents(count * batch_size, seed)
        label = balanced_labels(len(z), sampler.num_classes) if sampler.num_classes else None
        inputs = sampler.interface.arguments((z, label), repr(generator.name))
        for i in range(0, len(z), batch_size):
            yield {name: x[i : i + batch_size] for name, x in inputs.items()}

    return batches


def check_finite(generator: keras.Model, data: Representative) -> None:
    """Raises UserError, naming the first layer, if anything generated is NaN or infinite.

    A NaN in calibration would only show as a grey picture.
    """
    rows = list(data())
    inputs = [np.concatenate([row[x.name] for row in rows]) for x in generator.inputs]
    call = generator(inputs if len(inputs) > 1 else inputs[0], training=False)
    if np.isfinite(np.asarray(call)).all():
        return
    raise UserError(
        f"{generator.name!r} generates NaN or infinity, first in the layer "
        f"{_first_broken(generator, inputs)!r}, so int8 cannot be calibrated; go back to a "
        "checkpoint before its weights broke."
    )


def _images(
    generator: keras.Model,
    image: Image,
    count: int,
    seed: int,
    batch_size: int,
    source: Source | None,
) -> Representative:
    shape = tuple(image.shape)
    if source is None:
        raise UserError(
            f"{generator.name!r} translates images x {shape}, and int8 has none to be calibrated "
            "on; pass representative(generator, source=...) as data, the run's own data set."
        )
    if tuple(source.spec.shape) != shape:
        raise UserError(
            f"{generator.name!r} translates images {shape}, and {source.spec.name!r} holds "
            f"{tuple(source.spec.shape)}; calibrate on images of the size it was trained on."
        )

    domain = source.spec.domain_of(image.domain)

    def batches() -> Iterator[dict[str, np.ndarray]]:
        # In the endless order: it is shuffled, and lasts for any count.
        pipeline = source.pipeline(batch_size, seed=seed).take(count)
        for batch in pipeline.as_numpy_iterator():
            yield {image.name: batch[domain]}

    return batches


def _first_broken(generator: keras.Model, inputs: list[np.ndarray]) -> str:
    layers = [layer for layer in generator.layers if not isinstance(layer, keras.layers.InputLayer)]
    outputs = [layer.output for layer in layers]
    probe = keras.Model(generator.inputs, outputs)
    values = probe(inputs, training=False)
    for layer, value in zip(layers, values, strict=True):
        if not all(np.isfinite(np.asarray(v)).all() for v in tf.nest.flatten(value)):
            return str(layer.name)
    return str(layers[-1].name)
