"""Feature nets from keras.applications: classifiers of ImageNet without their last layer."""

import contextlib
import hashlib
import inspect
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras.src.utils import file_utils

from gan import registry
from gan.errors import UserError
from gan.metrics.features import FeatureNet
from gan.metrics.nets.preprocessing import resize, to_rgb

# Edge of the images that each was trained with; 224 where it is not named. Keras keeps it inside
# of its functions, and a model without its top accepts any size.
_SIZES = {
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2L": 480,
    "EfficientNetV2M": 480,
    "EfficientNetV2S": 384,
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "NASNetLarge": 331,
    "Xception": 299,
}
_SECONDS = 30.0  # without a byte, after which the host of the weights counts as gone
_BATCH = 50  # the padding of a batch costs as much as images do


def keras_net(model: str, weights: str | None = None) -> FeatureNet:
    """A model of keras.applications: its last layer's maps, averaged over the image.

    Images of any size and 1 to 4 channels become RGB in [0, 255] (`to_rgb`)
    and the model's default size (`resize`), then pass the preprocess_input of the model's module.

    Args:
        model: name of the class: MobileNetV2, ResNet50, ...
        weights: path of a file of weights for include_top=False, as the model's load_weights reads
            it; None is Keras' weights for ImageNet, from its cache or downloaded.

    Returns:
        A net without logits, with the weight file's hash.

    Raises:
        UserError: no such model, or its weights cannot be had.
    """
    build = models().get(model)
    if build is None:
        raise UserError(registry.unknown("Keras model", model, list(models())))
    size = input_size(model)
    network, path = _built(model, build, size, weights)
    module, preprocess = _preprocessing(model)

    def outputs(images: tf.Tensor) -> tf.Tensor:
        return network(preprocess(resize(to_rgb(images), size)), training=False)

    return FeatureNet(
        outputs,
        name=f"keras:{model}",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        dim=int(network.output_shape[-1]),
        preprocessing=f"RGB rounded to 0..255, {size}x{size} bilinear antialiased, "
        f"keras.applications.{module}.preprocess_input",
        batch_size=_BATCH,
    )


def models() -> dict[str, Callable[..., Any]]:
    """Name -> function of every model of keras.applications, sorted by name."""
    return {n: f for n, f in sorted(vars(keras.applications).items()) if inspect.isfunction(f)}


def input_size(model: str) -> int:
    """Edge in pixels of the images that a model was trained with."""
    return _SIZES.get(model, 224)


def _preprocessing(model: str) -> tuple[str, Callable[[tf.Tensor], tf.Tensor]]:
    """The module of keras.applications that has the model, and its preprocess_input."""
    name = models()[model].__module__.rpartition(".")[2]
    return name, getattr(keras.applications, name).preprocess_input


def _built(
    model: str, build: Callable[..., Any], size: int, weights: str | None
) -> tuple[keras.Model, Path]:
    """The model and the file that its weights are from."""
    path = Path(weights or "").expanduser()
    if weights and not path.is_file():
        raise UserError(f"--feature_weights={weights!r}: no such file; needs weights of {model}.")
    policy = keras.config.dtype_policy()
    # Training in half precision must not make the metric coarser.
    keras.config.set_dtype_policy("float32")
    asked: list[tuple[str, str]] = []
    try:
        with _watched(asked), warnings.catch_warnings():
            # Keras only warns of layers that a file has nothing for, and leaves them random.
            warnings.filterwarnings("error", ".*freshly-initialized weights")
            network = build(
                include_top=False,
                weights=str(path) if weights else "imagenet",
                input_shape=(size, size, 3),
                pooling="avg",
            )
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if weights:
            raise UserError(
                f"--feature_weights={weights!r}: does not fit {model} with include_top=False: "
                f"{reason}"
            ) from error
        origin = asked[-1][0] if asked else "its weights"
        reason = reason.removeprefix(f"URL fetch failure on {origin}: ")
        raise UserError(
            f"feature net 'keras:{model}': {origin} cannot be fetched ({reason}). Fetch it "
            "elsewhere and give its path by --feature_weights=PATH."
        ) from error
    finally:
        keras.config.set_dtype_policy(policy)
    return network, path if weights else Path(asked[-1][1])


@contextlib.contextmanager
def _watched(asked: list[tuple[str, str]]) -> Iterator[None]:
    """Notes the address and the file of each download of Keras, and ends those that stand still.

    keras.applications reports neither and never times out. All its downloads go through `get_file`
    of the private module `keras.src.utils.file_utils` (Keras 3.15), which is watched here and in no
    other file; tests/gan/metrics/nets/test_keras.py holds Keras to it.
    """
    get_file, seconds = file_utils.get_file, socket.getdefaulttimeout()

    def noted(fname: str, origin: str, **options: Any) -> str:
        asked.append((origin, ""))
        asked[-1] = (origin, get_file(fname, origin, **options))
        return asked[-1][1]

    file_utils.get_file = noted
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    finally:
        file_utils.get_file = get_file
        socket.setdefaulttimeout(seconds)
