"""Directions against singular value decompositions of generators that are known."""

from typing import Any

import keras
import numpy as np
import pytest
from keras.initializers import Ones

from gan.architectures.biggan import biggan
from gan.architectures.dcgan import dcgan
from gan.architectures.stylegan2 import stylegan2
from gan.compression.device.runner import LiteRTSampler
from gan.compression.files import export
from gan.data.spec import Spec
from gan.directions import ganspace, sefa
from gan.errors import UserError
from gan.interface import Image, Interface, Label, Latent, declare
from gan.latent_spaces import StyleSpace, latent_space
from gan.sampling import KerasSampler
from layers import ConditionalBatchNorm, ModulatedConv2D, PixelNorm

COLOUR = Spec(name="toy", shape=(16, 16, 3), num_classes=3, size=9)
STRENGTHS = np.array([4.0, 2.0, 1.0, 0.5])


def linear_generator() -> keras.Model:
    """A 4 x 4 image of orthonormal patterns; the numbers of z count for 4, 2, 1 and 1/2."""
    patterns = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 4)))[0]
    z = keras.Input((4,), name="z")
    dense = keras.layers.Dense(16, use_bias=False)
    model = keras.Model(z, keras.layers.Reshape((4, 4, 1))(dense(z)))
    dense.kernel.assign((patterns * STRENGTHS).T)
    return model


def space_of(model: keras.Model) -> Any:
    return latent_space(KerasSampler(model, batch_size=64))


@pytest.mark.parametrize("method", [sefa, ganspace])
def test_axes_of_a_linear_generator_come_in_the_order_of_their_strength(method):
    found = method(space_of(linear_generator()), 4)
    np.testing.assert_allclose(found.vectors, np.eye(4), atol=0.1 if method is ganspace else 1e-6)
    expected = STRENGTHS**2 / np.sum(STRENGTHS**2)
    np.testing.assert_allclose(found.shares, expected, atol=0.03 if method is ganspace else 1e-6)
    np.testing.assert_allclose(found.spreads, 1.0, atol=0.06)


def test_ganspace_of_a_file_is_that_of_its_model(tmp_path):
    model = linear_generator()
    path = tmp_path / "g.tflite"
    path.write_bytes(export.to_tflite(model))
    device = ganspace(latent_space(LiteRTSampler(path)), 2)
    np.testing.assert_allclose(device.vectors, ganspace(space_of(model), 2).vectors, atol=1e-3)
    with pytest.raises(UserError, match="file has no gradient"):
        sefa(latent_space(LiteRTSampler(path)), 2)


def top(matrix: np.ndarray, count: int) -> np.ndarray:
    """Right singular vectors, each with its largest number positive."""
    vectors = np.linalg.svd(matrix.astype(np.float64))[2][:count]
    return np.array([v * np.sign(v[np.abs(v).argmax()]) for v in vectors])


def test_sefa_of_a_conditional_dcgan_reads_the_rows_of_z_alone():
    model = dcgan(COLOUR, width=1 / 16, latent_dim=6, conditional=True).generator
    first = next(layer for layer in model.layers if hasattr(layer, "effective_kernel"))
    kernel = np.asarray(first.effective_kernel())
    assert kernel.shape[0] > 6  # the class's numbers too
    found = sefa(space_of(model), 3)
    np.testing.assert_allclose(found.vectors, top(kernel[-6:].T, 3), atol=1e-3)


def test_sefa_of_biggan_sees_every_chunk():
    model = biggan(COLOUR, width=1 / 48, latent_dim=12, conditional=True).generator
    space = space_of(model)
    found = sefa(space, 12)
    norms = [x for x in model.layers if isinstance(x, ConditionalBatchNorm)]
    assert norms and np.linalg.matrix_rank(found.vectors) == 12
    # |A n|^2 by the layers themselves: what the first Dense and all tables change with z.
    reads = [x for x in model.layers if hasattr(x, "effective_kernel") or x in norms]
    outer = keras.Model(model.inputs, [reads[0].input, *(x.input[1] for x in norms)])
    label = np.zeros(1, np.int32)

    def codes(z: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(x, np.float64) for x in outer([z[None].astype(np.float32), label])]

    energies = []
    for n in found.vectors:
        dense, *conditions = (b - a for a, b in zip(codes(0 * n), codes(n), strict=True))
        energy = np.sum((dense @ np.asarray(reads[0].effective_kernel())) ** 2)
        for norm, c in zip(norms, conditions, strict=True):
            for name in ("gamma", "beta"):
                energy += np.sum((c @ np.asarray(norm.table(name))) ** 2)
        energies.append(energy)
    np.testing.assert_allclose(np.array(energies) / np.sum(energies), found.shares, atol=1e-4)
    assert energies == sorted(energies, reverse=True)


def test_stylegan2_is_moved_in_w():
    model = stylegan2(COLOUR, width=1 / 64, latent_dim=8, mapping_layers=2).generator
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign_add(0.3 * rng.normal(size=weight.shape))
    space = space_of(model)
    assert isinstance(space, StyleSpace) and space.name == "w"
    affine = [x for x in model.layers if isinstance(getattr(x, "bias_initializer", None), Ones)]
    assert len(affine) == sum(isinstance(x, ModulatedConv2D) for x in model.layers)
    kernels = [np.asarray(x.effective_kernel()) for x in affine]
    found = sefa(space, 4)
    np.testing.assert_allclose(found.vectors, top(np.concatenate(kernels, axis=1).T, 4), atol=1e-3)
    points, _ = space.draw_points(2048, 0)
    components = ganspace(space, 3)
    np.testing.assert_allclose(components.vectors, top(points - points.mean(axis=0), 3), atol=1e-3)
    variances = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(components.spreads**2, variances[:3], rtol=1e-2)
    np.testing.assert_allclose(components.shares, variances[:3] / variances.sum(), rtol=1e-2)


def test_ganspace_does_not_find_the_class():
    """Classes differ by far more than anything else in an image of label + z / 10."""
    z, label = keras.Input((2,), name="z"), keras.Input((), dtype="int32", name="label")
    code = keras.layers.Embedding(3, 1)
    flat = keras.layers.Dense(4, use_bias=False)
    image = keras.layers.Reshape((2, 2, 1))(keras.layers.Add()([flat(z), code(label)]))
    model = keras.Model([z, label], image)
    declare(model, Interface((Latent(2), Label(3)), Image((2, 2, 1))))
    code.embeddings.assign([[-10.0], [0.0], [10.0]])
    flat.kernel.assign([[0.1, 0.0, 0.1, 0.0], [0.0, 0.3, 0.0, 0.3]])
    found = ganspace(space_of(model), 2)
    np.testing.assert_allclose(found.vectors, [[0, 1], [1, 0]], atol=0.1)
    np.testing.assert_allclose(found.shares, [0.9, 0.1], atol=0.02)


def test_sefa_says_where_there_is_no_linear_layer():
    z = keras.Input((4,), name="z")
    image = keras.layers.Reshape((4, 4, 1))(keras.layers.Dense(16)(PixelNorm()(z)))
    with pytest.raises(UserError, match="no first layer that is linear in z, as SeFa needs"):
        sefa(space_of(keras.Model(z, image)), 2)
