"""PatchGAN: the paper's number of patches, and their size."""

import numpy as np
import pytest
import tensorflow as tf

from gan.architectures.patchgan import patchgan
from gan.data.spec import Spec
from gan.errors import UserError
from layers import Conv2D


def spec_of(side):
    return Spec("toy", (side, side, 1), num_classes=0, size=1)


@pytest.mark.parametrize(
    ("side", "layers", "patches"), [(256, 3, 30), (64, 2, 14), (28, 2, 5), (9, 2, 1), (8, 1, 2)]
)
def test_there_are_as_many_patches_as_the_authors_have(side, layers, patches):
    """Convolutions of 4 with a pixel of zeros: n / 2 with stride 2, n - 1 with stride 1."""
    network = patchgan(spec_of(side), width=0.02)
    assert network.output_shape == (None, patches, patches, 1)
    assert sum(isinstance(layer, Conv2D) for layer in network.layers) == layers + 2


@pytest.mark.parametrize(("side", "size"), [(96, 70), (64, 34)])
def test_a_logit_sees_a_patch(side, size):
    """1 + 3 + 3, then twice and 2 more for each layer of stride 2: 16, 34, 70."""
    network = patchgan(spec_of(side), width=0.02, norm="batch")
    x = tf.random.stateless_normal((1, side, side, 1), (0, 0))
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = network(x, training=False)
        one = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    seen = np.nonzero(tape.gradient(one, x).numpy()[0, :, :, 0])
    assert [int(np.ptp(places)) + 1 for places in seen] == [size, size]


@pytest.mark.parametrize(
    ("side", "layers", "says"), [(28, 4, "take 1 to 3"), (4, None, "at least 5")]
)
def test_layers_that_leave_nothing_are_refused(side, layers, says):
    with pytest.raises(UserError, match=says):
        patchgan(spec_of(side), discriminator_layers=layers)
