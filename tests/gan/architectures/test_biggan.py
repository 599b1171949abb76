"""BigGAN's networks: the published sizes, what reaches which block, initial weights, training."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers

from gan.architectures.biggan import biggan
from gan.data.spec import Spec
from gan.errors import UserError
from layers import ConditionalBatchNorm, Conv2D, Dense, conditional_batch_norm, kernel_layer
from trainers.checkpoints import Checkpoints
from trainers.gan import GAN

TINY: dict[str, Any] = {"width": 1 / 48, "latent_dim": 6, "conditional": True}
AUTHORS = {"width": 2 / 3, "skip_z": False, "shared_dim": None, "initializer": "normal"}


def spec_of(side: int, classes: int = 10) -> Spec:
    return Spec(name="test", shape=(side, side, 3), num_classes=classes, size=100)


# Side, classes, options; millions of parameters of G, with the biases that its norms take away, and
# of D: the authors' CIFAR-10, StudioGAN's and the paper's ImageNet networks.
SIZES = [
    (32, 10, AUTHORS | {"latent_dim": 128}, 4.30, 4.21),
    (32, 10, {"latent_dim": 80, "attention_resolution": 16}, 9.42, 9.64),
    (128, 1000, {"attention_resolution": 64}, 70.43, 87.98),
]


@pytest.mark.parametrize(("side", "classes", "options", "generator", "discriminator"), SIZES)
def test_published_sizes(side, classes, options, generator, discriminator, monkeypatch):
    # Only shapes count: drawing 160 million numbers takes seconds.
    for kind in (keras.initializers.Orthogonal, keras.initializers.RandomNormal):
        monkeypatch.setattr(kind, "__call__", lambda self, shape, dtype=None, **_: tf.zeros(shape))
    for module in (kernel_layer, conditional_batch_norm):
        monkeypatch.setattr(module, "initial_u", lambda matrix: tf.zeros(matrix.shape[:1]))
    networks = biggan(spec_of(side, classes), conditional=True, **options)
    biases = sum(
        layer.filters
        for layer in networks.generator.layers
        if isinstance(layer, Conv2D) and not layer.use_bias
    )
    counts = [sum(int(np.prod(v.shape)) for v in n.trainable_variables) for n in networks]
    assert [round((counts[0] + biases) / 1e6, 2), round(counts[1] / 1e6, 2)] == [
        generator,
        discriminator,
    ]


def norms(generator: keras.Model) -> list[Any]:
    return [layer for layer in generator.layers if isinstance(layer, ConditionalBatchNorm)]


def test_each_block_sees_the_class_and_a_chunk_of_z_of_its_own():
    generator = biggan(spec_of(16), **TINY | {"latent_dim": 7}, shared_dim=5).generator
    assert [layer.gamma.shape for layer in norms(generator)] == [(7, 8)] * 4  # 5 + 2 of z's 7
    conditions = keras.Model(generator.inputs, [layer.input[1] for layer in norms(generator)])
    z = np.arange(14, dtype=np.float32).reshape(2, 7)
    made = [np.asarray(c) for c in conditions([tf.constant(z), tf.constant([3, 8])])]
    embedding = np.asarray(generator.get_layer("shared_embedding").kernel)
    for i, condition in enumerate(made):
        begin = 3 if i < 2 else 5
        np.testing.assert_array_equal(condition[:, 5:], z[:, begin : begin + 2])
        np.testing.assert_allclose(condition[:, :5], embedding[[3, 8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("skip_z", "shared_dim", "rows"), [(False, 4, 4), (False, None, 10), (True, None, 10 + 3)]
)
def test_what_norms_see_without_chunks_or_a_shared_embedding(skip_z, shared_dim, rows):
    generator = biggan(spec_of(8), **TINY, skip_z=skip_z, shared_dim=shared_dim).generator
    assert {layer.gamma.shape[0] for layer in norms(generator)} == {rows}
    # A gain and a shift per class are no kernels.
    assert {layer.spectral_norm for layer in norms(generator)} == {rows != 10}


def kernels(model: keras.Model) -> dict[str, np.ndarray]:
    wanted = {}
    for variable in model.trainable_variables:
        table = "conditional" in variable.path and variable.name in ("gamma", "beta")
        if variable.name == "kernel" or table:
            wanted[variable.path] = np.asarray(variable)
    return wanted


def test_initial_weights_are_orthogonal_or_normal():
    options = {"width": 1 / 24, "latent_dim": 12, "conditional": True, "shared_dim": 16}
    for network in biggan(spec_of(16), **options, attention_resolution=8):
        for path, kernel in kernels(network).items():
            matrix = kernel.reshape(-1, kernel.shape[-1])
            matrix = matrix if len(matrix) >= matrix.shape[1] else matrix.T
            identity = np.eye(matrix.shape[1])
            np.testing.assert_allclose(matrix.T @ matrix, identity, atol=1e-5, err_msg=path)
    for network in biggan(spec_of(8), **options, initializer="normal"):
        made = kernels(network)
        assert np.std(np.concatenate([k.ravel() for k in made.values()])) == pytest.approx(
            0.02, rel=0.05
        )
        # No two are drawn from one seed.
        assert len({kernel.ravel()[0] for kernel in made.values()}) == len(made)


def test_without_labels_and_chunks_norms_are_plain():
    generator = biggan(spec_of(8), width=1 / 48, latent_dim=6, skip_z=False).generator
    assert not norms(generator) and len(generator.inputs) == 1


def test_all_kernels_but_the_embedding_are_normalised():
    for network in biggan(spec_of(8), **TINY):
        for layer in network.layers:
            if isinstance(layer, (Conv2D, Dense)):
                assert layer.spectral_norm == (layer.name != "shared_embedding"), layer.name


SOURCE = ToySource((8, 8, 3), classes=3)


def trainer(**options: Any) -> GAN:
    networks = functools.partial(biggan, **TINY, shared_dim=4)
    return GAN(networks, SOURCE.spec, loss="hinge", batch_size=4, **options)


def train(made: GAN, steps: int) -> None:
    total = (made.step + steps) * made.images_per_step / 1000
    made.fit(SOURCE, total_kimg=total, steps_per_loop=1, eval_every_kimg=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_hinge_steps_move_both_networks_and_stay_finite(precision):
    made = trainer(precision=precision)
    before = {n: [np.array(v) for v in net.trainable_variables] for n, net in made.networks.items()}
    train(made, 2)
    for name, network in made.networks.items():
        for old, new in zip(before[name], network.trainable_variables):
            assert np.isfinite(new).all(), new.path
            # The loss scale's first step may be too large, and is skipped.
            assert not np.array_equal(old, new), new.path
    for values in numbers(made).values():
        assert np.isfinite(np.asarray(values, np.float32)).all()


@pytest.mark.slow
def test_a_resumed_training_is_equal_to_the_bit(tmp_path):
    whole = trainer()
    train(whole, 2)
    first = trainer()
    train(first, 1)
    Checkpoints(tmp_path).save(first)
    second = trainer()
    assert Checkpoints(tmp_path).restore(second) == 1
    train(second, 1)
    assert_equal(numbers(whole), numbers(second))


def test_mistakes_are_one_line():
    for options, message in (
        ({"latent_dim": 2}, "--latent_dim=2: biggan cuts z into 3 chunks here; set it to at least"),
        ({"initializer": "xavier"}, "--initializer='xavier' is not known; it can be orthogonal or"),
        ({"shared_dim": 0}, "--shared_dim=0 must be above 0, or none"),
        ({"attention_resolution": 5}, "=5 is no side .* none or 8"),
        ({"width": -1.0}, "--width=-1.0 must be above 0"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            biggan(spec_of(16), **TINY | options)
        assert "\n" not in str(caught.value)
    for side, message in ((30, "30x30: set --image_size"), (1024, "1024x1024: set --image_size")):
        with pytest.raises(UserError, match=message):
            biggan(spec_of(side))
