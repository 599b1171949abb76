"""Truncation: of z as BigGAN has it, of w as StyleGAN2 has it, and what says no."""

import keras
import numpy as np
import pytest
from scipy import stats

from gan import generators
from gan.architectures.stylegan2 import stylegan2
from gan.compression.files.export import to_tflite
from gan.data.spec import Spec
from gan.errors import UserError
from gan.interface import Image, Interface, Latent, Vector, declare
from gan.sampler import truncated_normal
from gan.sampling import KerasSampler

SPEC = Spec("toy", (8, 8, 1), 0, 100)


def identity(latent: Latent) -> KerasSampler:
    """A generator whose samples are z."""
    z = keras.Input(latent.shape, name="z")
    model = keras.Model(z, keras.layers.Activation("linear")(z))
    return KerasSampler(declare(model, Interface((latent,), Vector(latent.shape))))


@pytest.mark.parametrize("limit", [0.04, 0.5, 2.0])
def test_z_is_as_if_drawn_again_until_it_is_small_enough(limit):
    sampler = identity(Latent(50)).truncated(limit)
    z = sampler.draw(400, seed=3)
    assert np.abs(z).max() <= limit
    expected = stats.truncnorm(-limit, limit)
    assert stats.kstest(z.ravel(), expected.cdf).pvalue > 0.01
    # Of this seed, and no other: more samples begin with the same ones.
    np.testing.assert_array_equal(sampler.draw(2, seed=3), z[:2])


def test_a_large_limit_changes_nothing_and_all_limits_show_the_same_samples():
    sampler = identity(Latent(50))
    z = sampler.draw(400, seed=3)
    np.testing.assert_allclose(sampler.truncated(9.0).draw(400, seed=3), z, rtol=1e-6)
    for limit in (0.1, 1.0):
        order = np.argsort(truncated_normal(z, limit), axis=None, kind="stable")
        np.testing.assert_array_equal(order, np.argsort(z, axis=None, kind="stable"))
    assert sampler.prior == "N(0, I), not truncated"
    assert sampler.truncated(0.5).exact().prior == "N(0, I), truncated at 0.5"


def test_psi_of_a_copy_and_of_no_exported_file(tmp_path):
    model = stylegan2(SPEC, width=1 / 32, latent_dim=8, mapping_layers=2).generator
    model(np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32), training=True)
    generators.save(model, tmp_path / "g.keras")
    sampler = generators.load(tmp_path / "g.keras")
    half, none = sampler.truncated(0.5), sampler.truncated(0.0)
    assert np.std(none.draw(8), axis=0).max() < 1e-6 < np.std(half.draw(8), axis=0).mean()
    np.testing.assert_array_equal(sampler.latents(4, 1), half.latents(4, 1))
    model.get_layer("truncation").psi.assign(0.5)
    np.testing.assert_allclose(half.draw(8), KerasSampler(model).draw(8), atol=1e-6)
    assert sampler.prior == "N(0, I), not truncated"
    assert half.prior == KerasSampler(model).prior == "N(0, I), w truncated by psi=0.5"
    with pytest.raises(UserError, match=r"--truncation=1\.2: psi is from 0 to 1 here"):
        sampler.truncated(1.2)
    (tmp_path / "g.tflite").write_bytes(to_tflite(model))
    with pytest.raises(UserError, match=r"--truncation=0\.7: psi was folded into this file"):
        generators.load(tmp_path / "g.tflite").truncated(0.7)


def test_what_cannot_be_truncated_says_so():
    with pytest.raises(UserError, match="is for a normal z, and this one is uniform in"):
        identity(Latent(3, "uniform")).truncated(0.5)
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match=f"--truncation={value:g}: expected more than 0"):
            identity(Latent(3)).truncated(value)
    x = keras.Input((2, 2, 1), name="x")
    image = Image((2, 2, 1))
    model = keras.Model(x, keras.layers.Activation("tanh")(x))
    translator = KerasSampler(declare(model, Interface((image,), image)))
    with pytest.raises(UserError, match=r"--truncation=0\.5 is for what draws from z"):
        translator.truncated(0.5)
