"""Drawing samples: the latents, the labels, and one protocol for every kind of generator."""

from collections.abc import Iterator
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from gan import keras_graph
from gan.errors import UserError


class Sampler(Protocol):
    """A generator as evaluation and pictures see it, Keras model or `.tflite` file alike."""

    latent_dim: int
    num_classes: int  # 0: unconditional
    shape: tuple[int, ...]

    def __call__(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        """z float32 (N, latent_dim), label int32 (N,) -> samples float32 (N, *shape)."""
        ...


def latents(count: int, latent_dim: int, seed: int, *, stream: int = 0) -> np.ndarray:
    """z ~ N(0, I), float32 (count, latent_dim); row i does not depend on count.

    Latents of one seed and another `stream` are independent of these.
    """
    z = tf.random.stateless_normal((count, latent_dim), seed=(seed, 0x7A + stream))
    return np.asarray(z)


def balanced_labels(count: int, num_classes: int) -> np.ndarray:
    """int32 (count,): 0, 1, ..., num_classes - 1, 0, 1, ... so that classes are even."""
    return (np.arange(count) % num_classes).astype(np.int32)


def labels_by_shares(count: int, shares: np.ndarray, seed: int) -> np.ndarray:
    """int32 (count,) in a random order, each class as often as its share says.

    What is left when all counts are rounded down goes to the classes with the largest remainders,
    the first of equal ones.

    Args:
        count: how many.
        shares: (K,), at least 0, of any positive sum; a class of share 0 does not come.
        seed: of the order.
    """
    exact = count * np.asarray(shares, np.float64) / np.sum(shares)
    counts = np.floor(exact).astype(np.int64)
    largest = np.argsort(counts - exact, kind="stable")
    counts[largest[: count - counts.sum()]] += 1
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return np.random.default_rng(seed).permutation(labels)


def slerp(z0: np.ndarray, z1: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Spherical interpolation (White 2016), which keeps |z| where a Gaussian has its mass.

    Vectors on one line through 0, such as all of length 1, lie on no circle of their own, and are
    joined by that line.

    Args:
        z0: float32 (N, latent_dim).
        z1: float32 (N, latent_dim).
        t: points of the paths in [0, 1], (S,) the same for all or (N, S).

    Returns:
        float32 (N, S, latent_dim), worked out in float64.
    """
    z0, z1 = np.asarray(z0, np.float64), np.asarray(z1, np.float64)
    norms = np.linalg.norm(z0, axis=-1) * np.linalg.norm(z1, axis=-1)
    cos = np.divide(np.sum(z0 * z1, axis=-1), norms, out=np.ones(len(z0)), where=norms > 0)
    omega = np.arccos(np.clip(cos, -1.0, 1.0))[:, None, None]
    t = np.broadcast_to(t, (len(z0), np.shape(t)[-1]))[..., None]
    sin = np.sin(omega)
    on_a_line = sin < 1e-6
    safe = np.where(on_a_line, 1.0, sin)
    first, second = (np.where(on_a_line, s, np.sin(s * omega) / safe) for s in (1 - t, t))
    z = first * z0[:, None] + second * z1[:, None]
    return z.astype(np.float32)


class KerasSampler:
    """Runs a Keras generator in batches of one static shape, in inference mode."""

    def __init__(self, model: keras.Model, batch_size: int = 256) -> None:
        self.model = model
        self.latent_dim = int(model.inputs[0].shape[-1])
        self.num_classes = _num_classes(model)
        self.shape = tuple(model.outputs[0].shape[1:])
        self.batch_size = batch_size
        self._run = tf.function(lambda inputs: model(inputs, training=False))

    def __call__(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        """See `Sampler`.

        Raises:
            ValueError: a conditional generator got no label.
        """
        if self.num_classes and label is None:
            raise ValueError(f"{self.model.name} is conditional: pass label, int32 ({len(z)},).")
        rows = []
        for i in range(0, len(z), self.batch_size):
            # The last batch is padded, so that one trace serves every count.
            zi, n = _pad(z[i : i + self.batch_size], self.batch_size)
            inputs = tf.constant(zi)
            if self.num_classes:
                li, _ = _pad(label[i : i + self.batch_size], self.batch_size)  # type: ignore[index]
                inputs = [inputs, tf.constant(li, tf.int32)]
            rows.append(np.asarray(self._run(inputs))[:n])
        return np.concatenate(rows) if rows else np.zeros((0, *self.shape), np.float32)

    def exact(self) -> "KerasSampler":
        """The same generator computing in float32 throughout, as `as_float32` makes it."""
        model = as_float32(self.model)
        return self if model is self.model else KerasSampler(model, self.batch_size)


def as_float32(model: keras.Model) -> keras.Model:
    """The model itself, or a float32 clone if some layer computes in another precision.

    Raises:
        UserError: it does, and cannot be built anew.
    """
    others = {x.compute_dtype for x in computing_layers(model)} - {"float32"}
    if not others:
        return model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        clone = type(model).from_config(_without_mixed_policies(model.get_config()))
    # What a layer of anyone's raises at its own configuration is no finite list.
    except Exception as error:
        raise UserError(
            f"{model.name!r} computes in {', '.join(sorted(others))} and cannot be built anew in "
            f"float32 ({next(iter(str(error).splitlines()), type(error).__name__)[:200]})."
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    clone.set_weights(model.get_weights())
    return clone


def computing_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of a model, those inside others too, but inputs and the models that hold them."""
    skip = (keras.layers.InputLayer, keras.Model)
    return [x for x in keras_graph.all_layers(model) if not isinstance(x, skip)]


def _without_mixed_policies(config: Any) -> Any:
    """A layer config with every dtype policy inside it replaced by float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {k: _without_mixed_policies(v) for k, v in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_without_mixed_policies(v) for v in config)
    return config


def _pad(x: np.ndarray, size: int) -> tuple[np.ndarray, int]:
    n = len(x)
    return (x if n == size else np.concatenate([x, np.repeat(x[-1:], size - n, axis=0)])), n


def _num_classes(model: keras.Model) -> int:
    """How many labels a conditional generator takes, as the layer that reads the label says.

    Raises:
        ValueError: it does not: neither a Lambda's argument or an attribute `num_classes`, nor an
            embedding's `input_dim`.
    """
    if len(model.inputs) < 2:
        return 0
    for layer in _readers(model, model.inputs[1]):
        options = {**vars(layer), **(getattr(layer, "arguments", None) or {})}
        for name in ("num_classes", "input_dim", "num_tokens"):
            if isinstance(options.get(name), int):
                return int(options[name])
    raise ValueError(f"{model.name} takes a label, but no layer says how many classes there are.")


def _readers(model: keras.Model, tensor: keras.KerasTensor) -> Iterator[keras.Layer]:
    """The layers that read an input, directly or behind layers without weights, the nearest first.

    Those behind a layer with weights read its features, not the label.
    """
    reached = {id(tensor)}
    for node in keras_graph.nodes(model):
        read = [i for i, t in enumerate(node.input_tensors) if id(t) in reached]
        if not read:
            continue
        layer = node.operation
        if keras_graph.is_functional(layer):  # a model inside: its own readers of that input
            yield from _readers(layer, layer.inputs[read[0]])
        yield layer
        if not layer.weights:
            reached.update(id(t) for t in node.output_tensors)
