"""What a training says before it begins."""

import types

import keras
import pytest
import tensorflow as tf

from experiments.training import warn_of_slowness
from layers import Conv2D


def trainer(*, groups: int, xla: bool) -> types.SimpleNamespace:
    """Of two networks, of which D has a convolution of so many groups."""
    x = keras.Input((4, 4, 4))
    networks = {
        "generator": keras.Model(x, Conv2D(4, 3)(x)),
        "discriminator": keras.Model(x, Conv2D(4, 3, groups=groups)(x)),
    }
    return types.SimpleNamespace(networks=networks, xla=xla)


@pytest.mark.parametrize(
    ("groups", "xla", "devices", "warned"),
    [(2, True, [], True), (1, True, [], False), (2, False, [], False), (2, True, ["GPU"], False)],
)
def test_grouped_convolutions_under_xla_on_a_cpu(groups, xla, devices, warned, caplog, monkeypatch):
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: [d for d in devices if d == kind]
    )
    warn_of_slowness(trainer(groups=groups, xla=xla))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == warned
    if warned:
        assert lines[0].startswith("--xla: on a CPU XLA is") and "are in discriminator;" in lines[0]
