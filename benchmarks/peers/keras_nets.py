"""Our networks by Keras' own layers, where it has them, as one who does not know ours would."""

import math
from collections.abc import Callable
from typing import Any

import keras

import layers
from layers import functions


def stock(network: keras.Model) -> keras.Model:
    """The same network with the same weights."""
    clone = keras.models.clone_model(network, clone_function=_counterpart)
    for ours, theirs in zip(network.layers, clone.layers, strict=True):
        if isinstance(theirs, keras.layers.SpectralNormalization):
            # Keras stores the kernel divided by sigma, from its first training step on.
            theirs.layer.kernel.assign(ours.effective_kernel())
            if ours.bias is not None:
                theirs.layer.bias.assign(ours.bias)
            theirs.vector_u.assign(keras.ops.reshape(ours.u, theirs.vector_u.shape))
        else:
            theirs.set_weights(ours.get_weights())
    return clone


def _counterpart(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Keras' layer for ours, or a new one of the same class where there is none."""
    named = {"name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, keras.layers.Activation):
        return keras.layers.Activation(_activation(layer.activation), **named)
    if isinstance(layer, layers.InstanceNorm):
        return keras.layers.GroupNormalization(groups=-1, epsilon=layer.epsilon, **named)
    if type(layer) is layers.BatchNormalization:
        return keras.layers.BatchNormalization.from_config(layer.get_config())
    if isinstance(layer, layers.NearestUpsampling):
        return keras.layers.UpSampling2D(layer.factor, **named)
    made = None
    plain = type(layer) in (layers.Dense, layers.Conv2D, layers.Conv2DTranspose)
    # Keras hands a convolution with groups to XLA, which takes 40 times as long for it on a CPU.
    if plain and not layer.equalized and getattr(layer, "groups", 1) == 1:
        shared = {
            "use_bias": layer.use_bias,
            "activation": _activation(layer.activation),
            "dtype": layer.dtype_policy,
        }
        if isinstance(layer, layers.Dense):
            made = keras.layers.Dense(layer.units, **shared)
        else:
            shared |= {"strides": layer.strides, "padding": layer.padding}
            kind = getattr(keras.layers, type(layer).__name__)
            made = kind(layer.filters, layer.kernel_size, **shared)
    if made is None:
        return type(layer).from_config(layer.get_config())
    if layer.spectral_norm:
        return keras.layers.SpectralNormalization(made, **named)
    made.name = layer.name
    return made


def _activation(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Keras' own function for one of ours."""
    ours = {
        functions.relu: keras.activations.relu,
        functions.leaky_relu: leaky_relu,
        functions.scaled_leaky_relu: scaled_leaky_relu,
    }
    return ours.get(function, function)


@keras.saving.register_keras_serializable(package="bench")
def leaky_relu(x: Any) -> Any:
    """Keras' own, with DCGAN's slope."""
    return keras.activations.leaky_relu(x, negative_slope=0.2)


@keras.saving.register_keras_serializable(package="bench")
def scaled_leaky_relu(x: Any) -> Any:
    """The same with StyleGAN2's gain."""
    return leaky_relu(x) * math.sqrt(2.0)
