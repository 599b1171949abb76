"""A style-based generator in two halves draws what the whole one draws."""

from typing import Any

import numpy as np
import pytest
from toys import ToySource

from gan.architectures.dcgan import dcgan
from gan.architectures.stylegan2 import stylegan2
from gan.data.spec import Spec
from gan.styles import Styles, has_styles
from trainers.views import Layout, samples

TINY: dict[str, Any] = {"width": 1 / 64, "latent_dim": 8, "mapping_layers": 2}


@pytest.fixture(scope="module", params=[False, True], ids=["without labels", "with labels"])
def drawn(request):
    """A generator that is no longer as it began, its inputs, and its images."""
    spec = Spec(name="test", shape=(16, 16, 3), num_classes=3, size=100)
    generator = stylegan2(spec, conditional=request.param, **TINY).generator
    rng = np.random.default_rng(0)
    for weight in generator.trainable_variables:
        weight.assign_add(0.1 * rng.normal(size=weight.shape))
    generator.get_layer("truncation").mean.assign(rng.normal(size=8))
    inputs = [rng.normal(size=(4, 8)).astype(np.float32)]
    inputs += [np.array([0, 1, 2, 0], np.int32)] if request.param else []
    return generator, inputs


def images_of(generator, inputs):
    return np.asarray(generator(inputs if len(inputs) > 1 else inputs[0], training=False))


@pytest.mark.parametrize("psi", [1.0, 0.6])
def test_both_halves_are_the_whole_with_any_psi(drawn, psi):
    generator, inputs = drawn
    halves = Styles(generator)
    found = halves.images(halves.w(*inputs), psi)
    generator.get_layer("truncation").psi.assign(psi)
    np.testing.assert_allclose(found, images_of(generator, inputs), atol=1e-5)
    generator.get_layer("truncation").psi.assign(1.0)


def test_psi_of_0_is_one_image_and_psi_may_differ_by_image(drawn):
    generator, inputs = drawn
    halves = Styles(generator)
    w = halves.w(*inputs)
    same = halves.images(w, 0.0)
    np.testing.assert_allclose(same, np.broadcast_to(same[:1], same.shape), atol=1e-6)
    each = halves.images(w, np.array([0.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(each[::2], same[::2], atol=1e-6)
    np.testing.assert_allclose(each[1::2], halves.images(w)[1::2], atol=1e-6)


def test_mixing_takes_layers_from_two_images(drawn):
    generator, inputs = drawn
    halves = Styles(generator)
    assert halves.count == 6  # 4, 8 and 16 pixels: 1 + 2 + 2 convolutions, and the last image
    w = halves.w(*inputs)
    other = w[::-1]
    np.testing.assert_allclose(halves.images(halves.mixed(w, w, 3)), halves.images(w), atol=1e-6)
    np.testing.assert_array_equal(halves.mixed(w, other, 0)[:, 0], other)
    np.testing.assert_array_equal(halves.mixed(w, other, 6)[:, 5], w)
    # Layers from 5 on only recolour the largest side: far less than those before change.
    late, early = (halves.images(halves.mixed(w, other, i)) for i in (5, 1))
    whole = halves.images(w)
    assert 0 < np.abs(late - whole).mean() < np.abs(early - whole).mean()


class Drawing:
    """As much of a trainer as its pictures need."""

    def __init__(self, generator):
        self.generator = generator

    def inference(self, name):
        """The generator."""
        return self.generator


def test_both_are_views(drawn):
    generator, _ = drawn
    source = ToySource(shape=(16, 16, 3), classes=3)
    views = samples(Drawing(generator), source, Layout(rows=3, columns=4))
    sweep, mixed = views["truncation"].sample(), views["style_mixing"].sample()
    assert sweep.shape == (12, 16, 16, 3)
    np.testing.assert_allclose(sweep[-4:], np.broadcast_to(sweep[-1:], (4, 16, 16, 3)), atol=1e-6)
    assert mixed.shape == (4 * 5, 16, 16, 3)
    np.testing.assert_array_equal(mixed[0], 1.0)
    np.testing.assert_allclose(mixed[1:5], sweep[:4], atol=1e-6)


def test_other_generators_have_none():
    spec = Spec(name="test", shape=(16, 16, 3), num_classes=0, size=100)
    assert not has_styles(dcgan(spec, width=1 / 64).generator)
