"""How names lead to nets, and what the digits' net is worth."""

import json
from pathlib import Path

import numpy as np
import pytest

from gan import data
from gan.errors import UserError
from gan.metrics import nets
from gan.metrics.nets.channels import per_channel


def test_the_digits_net_says_how_good_it_is():
    weights = Path(nets.__file__).with_name("weights")
    assert json.loads((weights / "mnist.json").read_text())["test_accuracy"] >= 0.992
    assert (weights / "mnist.npz").stat().st_size < 300_000


def test_it_is_as_good_on_the_test_images(mnist):
    batches = list(data.load(f"idx:{mnist}", split="test").ordered(1000).as_numpy_iterator())
    net = nets.load("mnist")
    found = [net.outputs(b["x"])[1].argmax(axis=1) == b["label"] for b in batches]
    assert np.concatenate(found).shape == (10_000,)
    assert np.mean(found) >= 0.992


def test_a_channel_is_judged_as_an_image_of_its_own():
    images = np.random.default_rng(0).uniform(-1, 1, (7, 28, 28, 3)).astype(np.float32)
    net = nets.load("mnist")
    stacked = per_channel(net, 3)
    rows, logits = stacked.outputs(images)
    assert rows.shape == (7, 3 * 128) and logits.shape == (7, 30)
    for c in range(3):
        alone, scores = net.outputs(images[..., c : c + 1])
        np.testing.assert_allclose(rows[:, 128 * c : 128 * (c + 1)], alone, atol=1e-5)
        np.testing.assert_allclose(logits[:, 10 * c : 10 * (c + 1)], scores, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("incepton", None, "Did you mean 'inception'"),
        ("fashion", "w.npz", "'fashion' takes no weights file, got 'w.npz'"),
        ("inception", "nowhere.pb", "--feature_weights='nowhere.pb': cannot be read"),
        ("keras:MobileNetV3", None, "Did you mean 'MobileNetV"),
        ("keras:MobileNetV2", "nowhere.h5", "--feature_weights='nowhere.h5': no such file"),
    ],
)
def test_names_that_lead_nowhere(name, weights, message):
    with pytest.raises(UserError) as error:
        nets.load(name, weights)
    assert message in str(error.value)
