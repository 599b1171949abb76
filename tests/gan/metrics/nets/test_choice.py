"""Which net `auto` takes for which data, and what is said of a net that was made for other data."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks.sensitivity_random import coloured, flat
from gan import data
from gan.data.arrays import ArraySource
from gan.data.embedded import read_fashion
from gan.data.spec import Spec
from gan.errors import UserError
from gan.images import from_uint8, to_uint8
from gan.metrics import nets
from gan.metrics.evaluation import Evaluator
from gan.metrics.nets import choice
from gan.metrics.nets.choice import agreement, choose


@pytest.fixture(scope="module")
def fashion():
    """The embedded images and labels, in an order without classes."""
    images, labels = read_fashion()
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], labels[order].astype(np.int32)


@pytest.fixture
def said(monkeypatch):
    """The lines of warnings, as a new process would print them."""
    lines: list[str] = []
    monkeypatch.setattr(choice.logging, "warning", lambda form, *a: lines.append(form % a))
    choice._say.cache_clear()
    yield lines
    choice._say.cache_clear()


def labelled(images, labels, classes=10, **spec):
    held = Spec("idx:somewhere", images.shape[1:], classes, len(images), **spec)
    return ArraySource(held, {"x": images, "label": labels})


def test_a_folder_of_colour_images_is_not_judged_by_the_grey_net(tmp_path, fashion, said):
    pictures = coloured(from_uint8(fashion[0][:400]))
    for i, picture in enumerate(to_uint8(pictures[:200])):
        folder = tmp_path / f"class{i % 10}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"{i}.png")
    source = data.load(f"folder:{tmp_path}")
    assert source.spec.num_classes == 10
    evaluator = Evaluator(source)
    assert evaluator.protocol["feature_net"] == "random"
    assert evaluator.label("fid") == "fid[random]"
    Evaluator(source)
    assert len(said) == 1 and "\n" not in said[0]
    for part in (source.spec.name, "fid[random]", "--feature_net=inception", "--feature_weights="):
        assert part in said[0]
    real = evaluator.evaluate_images([pictures[200:]])["fid"]
    assert evaluator.evaluate_images([flat(pictures[200:])])["fid"] > 50 * real


def test_fashion_is_known_by_its_images_not_by_its_name(fashion, said):
    images, labels = fashion
    assert choose(labelled(images, labels), "x") == "fashion"
    # A folder's classes are in the order of the alphabet.
    renamed = np.random.default_rng(0).permutation(10)[labels]
    assert choose(labelled(images, renamed), "x") == "fashion"
    assert choose(data.load("fashion_mnist_small"), "x") == "fashion"
    assert said == []


def test_digits_are_known_by_their_images(mnist, said):
    assert choose(data.load(f"idx:{mnist}"), "x") == "mnist"
    assert choose(data.load(f"stacked:idx:{mnist}"), "x") == "mnist"
    assert said == []


def test_what_is_not_known_is_judged_by_random_weights(fashion, said):
    images, labels = fashion
    in_colour = data.load("fashion_mnist_small", channels=3)
    assert choose(in_colour, "x") == "random"  # the net would not see a colour cast
    shuffled = np.random.default_rng(0).permutation(labels)
    assert choose(labelled(images, shuffled), "x") == "random"
    assert choose(labelled(images, labels % 2, classes=2), "x") == "random"
    one_class = labelled(images, np.where(labels == 0, 0, 8).astype(np.int32))
    assert choose(one_class, "x") == "random"
    upside_down = labelled(images[:, ::-1].copy(), labels)
    assert choose(upside_down, "x") == "random"
    unlabelled = ArraySource(Spec("mine", (28, 28, 1), 0, len(images)), {"x": images})
    assert choose(unlabelled, "x") == "random"


def test_agreement_is_a_mean_over_classes(fashion):
    """Data of one class in the main do not make a net right that sees that class everywhere."""
    images, labels = fashion
    net = nets.load("fashion")
    right = agreement(net, labelled(images, labels))
    assert right > 0.9
    # Half of the classes named at random: about half of the mean is lost.
    random = np.random.default_rng(0).integers(5, 10, len(labels)).astype(np.int32)
    half = agreement(net, labelled(images, np.where(labels < 5, labels, random)))
    assert 0.4 < half < 0.75
    assert agreement(net, labelled(images, labels % 3, classes=3)) == 0.0


@pytest.mark.parametrize("name", ["edges2fashion", "edges2fashion_unpaired"])
def test_translations_into_clothes_are_judged_by_their_net(name, said):
    evaluator = Evaluator(data.load(name))
    assert evaluator.protocol["feature_net"] == "fashion"
    assert said == []
    # Edges are no clothes.
    assert Evaluator(data.load(name), domain="a").protocol["feature_net"] == "random"


def test_stacked_images_that_no_net_knows_are_refused_before_training(fashion):
    images, labels = fashion
    x = np.concatenate([images[:500, ::-1]] * 3, axis=-1)
    source = labelled(x, labels[:500] * 111, 1000, channel_classes=10)
    with pytest.raises(UserError) as error:
        Evaluator(source)
    assert "names 10 classes per channel: feature net 'random' has no logits" in str(error.value)
    assert "--feature_net=package.module:attribute" in str(error.value)
    assert Evaluator(source, metrics=["fid"]).label("fid") == "fid[random]"


def mean_colours(images):
    return tf.reduce_mean(images, axis=(1, 2))


def test_a_source_of_ones_own_names_its_net(monkeypatch, request, fashion, said):
    monkeypatch.syspath_prepend(request.path.parent)
    x = to_uint8(coloured(from_uint8(fashion[0][:50])))
    spec = Spec("mine", (28, 28, 3), 0, 50, feature_net="test_choice:mean_colours")
    evaluator = Evaluator(ArraySource(spec, {"x": x}))
    assert evaluator.label("fid") == "fid[test_choice:mean_colours]"
    assert said == []


def test_a_net_that_cannot_judge_is_taken_with_a_warning(fashion, said):
    images, labels = fashion
    in_colour = data.load("fashion_mnist_small", channels=3)
    assert Evaluator(in_colour, feature_net="mnist").label("fid") == "fid[mnist]"
    assert len(said) == 1 and "\n" not in said[0]
    for part in ("--feature_net=mnist was made for MNIST's digits", "28x28x3", "in grey",
                 "--feature_net=random"):  # fmt: skip
        assert part in said[0]
    Evaluator(labelled(images, labels), feature_net="mnist")
    assert len(said) == 2 and "takes the 10 classes here for others" in said[1]
    Evaluator(labelled(images, labels), feature_net="fashion")
    Evaluator(in_colour, feature_net="random")
    unlabelled = ArraySource(Spec("mine", (28, 28, 1), 0, 50), {"x": images[:50]})
    Evaluator(unlabelled, feature_net="fashion")  # nobody knows better
    assert len(said) == 2
