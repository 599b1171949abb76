"""What all layers owe: they save and load with safe mode on, and work under mixed precision."""

import importlib
import pkgutil

import keras
import numpy as np
import pytest

import layers
from layers import functions

PATH = layers.__path__
IMAGE = (4, 4, 8)
LAYERS = {
    "batch_normalization": lambda: layers.BatchNormalization(
        momentum=0.8, epsilon=1e-4, scale=False
    ),
    "batch_norm_per_image": lambda: layers.BatchNormPerImage(momentum=0.8, epsilon=1e-4),
    "conv2d": lambda: layers.Conv2D(
        6,
        3,
        strides=2,
        padding="valid",
        activation=functions.leaky_relu,
        equalized=True,
        gain=1.5,
        spectral_norm=True,
        use_bias=False,
        kernel_constraint="non_neg",
    ),
    "conv2d_grouped": lambda: layers.Conv2D(6, (3, 1), groups=2),
    "conv2d_transpose": lambda: layers.Conv2DTranspose(6, 4, spectral_norm=True),
    "dense": lambda: layers.Dense(6, equalized=True, kernel_initializer="he_normal"),
    "dropout": lambda: layers.Dropout(0.3, seed=5),
    "filtered_downsampling": lambda: layers.FilteredDownsampling((1, 2, 5, 1)),
    "low_pass": lambda: layers.LowPass((1, 2, 5, 1)),
    "filtered_upsampling": lambda: layers.FilteredUpsampling((1, 2, 5, 1)),
    "image_range": lambda: layers.ImageRange(),
    "instance_norm": lambda: layers.InstanceNorm(epsilon=1e-4),
    "learned_constant": lambda: layers.LearnedConstant((2, 2, 3)),
    "maxout": lambda: layers.Maxout(2),
    "minibatch_stddev": lambda: layers.MinibatchStddev(group_size=3),
    "nearest_upsampling": lambda: layers.NearestUpsampling(3),
    "noise_injection": lambda: layers.NoiseInjection(),
    "pixel_norm": lambda: layers.PixelNorm(epsilon=1e-4),
    "self_attention": lambda: layers.SelfAttention(spectral_norm=True),
    "self_attention_orthogonal": lambda: layers.SelfAttention(kernel_initializer="orthogonal"),
    "global_sum_pool": lambda: keras.layers.Lambda(functions.global_sum_pool),
    "reflect_pad": lambda: keras.layers.Lambda(functions.reflect_pad, arguments={"pixels": 1}),
    "scale": lambda: keras.layers.Lambda(functions.scale, arguments={"factor": 0.3}),
}
VECTORS = {
    "second_latent": lambda: layers.SecondLatent(100),
    "style_mixing": lambda: layers.StyleMixing(5, 0.4),
    "style_of": lambda: layers.StyleOf(3),
    "truncation": lambda: layers.Truncation(0.6, decay=0.9),
}
CONDITIONAL = {
    "conditional_batch_norm": lambda: layers.ConditionalBatchNorm(0.8, epsilon=1e-4),
    "conditional_batch_norm_normalised": lambda: layers.ConditionalBatchNorm(
        spectral_norm=True, kernel_initializer="orthogonal"
    ),
    "modulated_conv2d": lambda: layers.ModulatedConv2D(
        6, 3, up=True, taps=(1.0, 2.0), epsilon=1e-6, lr_multiplier=0.5, equalized=True
    ),
}


def model_of(name: str) -> keras.Model:
    keras.utils.set_random_seed(0)  # Layers that draw noise draw the same.
    x = keras.Input(IMAGE, name="x")
    if name in LAYERS:
        return keras.Model(x, LAYERS[name]()(x))
    if name in VECTORS:
        return keras.Model(x, VECTORS[name]()(keras.layers.Flatten()(x)))
    label = keras.Input((), dtype="int32", name="label")
    condition = keras.layers.Lambda(functions.one_hot, arguments={"num_classes": IMAGE[-1]})(label)
    return keras.Model([x, label], CONDITIONAL[name]()([x, condition]))


def inputs_of(name: str) -> np.ndarray | list[np.ndarray]:
    x = np.random.default_rng(0).normal(size=(6, *IMAGE)).astype(np.float32)
    return [x, np.array([0, 1, 2, 0, 1, 2], np.int32)] if name in CONDITIONAL else x


def test_no_layer_is_left_out():
    ours = {v for v in vars(layers).values() if isinstance(v, type)}
    built = {type(layer) for n in [*LAYERS, *VECTORS, *CONDITIONAL] for layer in model_of(n).layers}
    assert ours <= built


@pytest.mark.parametrize("name", [*LAYERS, *VECTORS, *CONDITIONAL])
def test_saves_and_loads_with_safe_mode_on(name, tmp_path):
    model, inputs = model_of(name), inputs_of(name)
    model(inputs, training=True)  # moves u and the moving statistics
    for variable in model.weights:
        variable.assign(variable + 0.1)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path, safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 0.005), ("mixed_bfloat16", 0.04)]
)
@pytest.mark.parametrize("name", [*LAYERS, *VECTORS, *CONDITIONAL])
def test_mixed_precision(name, policy, tolerance):
    reference, inputs = model_of(name), inputs_of(name)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = model_of(name)
    finally:
        keras.config.set_dtype_policy(previous)
    model.set_weights(reference.get_weights())
    assert {v.dtype for v in model.weights} <= {"float32"}
    for training in (False, True):
        y = model(inputs, training=training)
        assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
        expected = np.asarray(reference(inputs, training=training))
        error = np.abs(np.asarray(y, np.float32) - expected).max() / np.abs(expected).max()
        assert error < tolerance


def test_importing_the_package_registers_every_layer():
    """So that loading needs no more than `import layers`."""
    modules = [importlib.import_module(f"layers.{m.name}") for m in pkgutil.iter_modules(PATH)]
    for module in modules:
        for value in filter(callable, vars(module).values()):
            if keras.saving.get_registered_name(value).startswith("tapestry>"):
                assert value in [*vars(layers).values(), *vars(functions).values()]
