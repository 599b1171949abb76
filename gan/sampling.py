"""Drawing samples: labels, paths between latents, and a Keras model as a `Sampler`."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan import keras_graph
from gan.errors import UserError
from gan.interface import carry, interface_of
from gan.sampler import Sampler, balanced_labels, latents
from layers import Truncation

__all__ = [
    "KerasSampler",
    "Sampler",
    "as_float32",
    "balanced_labels",
    "computing_layers",
    "labels_by_shares",
    "latents",
    "slerp",
]


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

    Vectors on one line through 0, such as all of length 1, define no circle, and are joined by that
    line.

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


class KerasSampler(Sampler):
    """Runs a Keras generator in batches of one static shape, in inference mode."""

    def __init__(self, model: keras.Model, batch_size: int = 256) -> None:
        """Keeps the model.

        Args:
            model: a generator or translator.
            batch_size: of a call; the last one is padded, so that one trace serves every count.

        Raises:
            UserError: it declares no interface, and its inputs' names say nothing.
        """
        self.model = model
        self.interface = interface_of(model)
        self.batch_size = batch_size
        self._run = tf.function(lambda inputs: model(inputs, training=False), autograph=False)

    def __call__(self, *inputs: Any) -> np.ndarray:
        """See `Sampler`."""
        arrays = list(self.interface.arguments(inputs, repr(self.model.name)).values())
        rows = []
        for i in range(0, len(arrays[0]), self.batch_size):
            parts = [_pad(x[i : i + self.batch_size], self.batch_size) for x in arrays]
            batch = [tf.constant(x) for x, _ in parts]
            result = np.asarray(self._run(batch if len(batch) > 1 else batch[0]))
            rows.append(result[: parts[0][1]])
        return np.concatenate(rows) if rows else np.zeros((0, *self.shape), np.float32)

    def exact(self) -> "KerasSampler":
        """This generator computing in float32 throughout, see `as_float32`."""
        model = as_float32(self.model)
        if model is self.model:
            return self
        sampler = KerasSampler(model, self.batch_size)
        sampler.truncation = self.truncation
        return sampler

    @property
    def prior(self) -> str:
        """See `Sampler`."""
        psi = [float(layer.psi) for layer in _truncations(self.model) if float(layer.psi) != 1]
        return f"N(0, I), w truncated by psi={psi[0]:g}" if psi else super().prior

    def truncated(self, truncation: float) -> Sampler:
        """See `Sampler`; psi is that of a copy."""
        if not _truncations(self.model):
            return super().truncated(truncation)
        if not 0 <= truncation <= 1:
            raise UserError(f"--truncation={truncation:g}: psi is from 0 to 1 here, or none.")
        clone = keras.models.clone_model(self.model)
        clone.set_weights(self.model.get_weights())
        for layer in _truncations(clone):
            layer.psi.assign(truncation)
        return KerasSampler(carry(self.model, clone), self.batch_size)


def as_float32(model: keras.Model) -> keras.Model:
    """The model itself, or a float32 clone if some layer computes in another precision.

    Raises:
        UserError: some layer does, and the model cannot be built anew.
    """
    others = {x.compute_dtype for x in computing_layers(model)} - {"float32"}
    if not others:
        return model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        clone = type(model).from_config(_without_mixed_policies(model.get_config()))
    # A user's layer may raise anything at its configuration.
    except Exception as error:
        raise UserError(
            f"{model.name!r} computes in {', '.join(sorted(others))} and cannot be built anew in "
            f"float32 ({next(iter(str(error).splitlines()), type(error).__name__)[:200]})."
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    clone.set_weights(model.get_weights())
    return carry(model, clone)


def computing_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of a model, those inside others too, but inputs and the models that hold them."""
    skip = (keras.layers.InputLayer, keras.Model)
    return [x for x in keras_graph.all_layers(model) if not isinstance(x, skip)]


def _truncations(model: keras.Model) -> list[Truncation]:
    return [x for x in computing_layers(model) if isinstance(x, Truncation)]


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
