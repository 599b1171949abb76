"""What a training says before it begins."""

import types

import keras
import pytest
import tensorflow as tf

from experiments import slowness
from layers import Conv2D, Dense

FLAGS = {"new": "flags : fma avx512_bf16 avx512_vnni", "old": "flags : fma avx2", "arm": "fp bf16"}


def trainer(*, groups: int = 1, xla: bool = False, precision: str = "float32", dense: bool = False):
    """Of two networks, of which D has a convolution of so many groups."""
    x = keras.Input((4, 4, 4))
    networks = {
        "generator": keras.Model(x, Dense(4)(x) if dense else Conv2D(4, 3)(x)),
        "discriminator": keras.Model(x, Dense(4)(x) if dense else Conv2D(4, 3, groups=groups)(x)),
    }
    return types.SimpleNamespace(networks=networks, xla=xla, precision=precision)


@pytest.mark.parametrize(
    ("options", "cpu", "said"),
    [
        ({"groups": 2, "xla": True}, "new", "--xla: on a CPU XLA is 100 are in discriminator;"),
        ({"xla": True}, "new", ""),
        ({"groups": 2}, "new", ""),
        (
            {"precision": "mixed_float16"},
            "new",
            "--precision=mixed_float16: on a CPU are in generator and discriminator; bfloat16",
        ),
        ({"precision": "mixed_float16"}, "old", "--precision=mixed_float16: leave it out"),
        ({"precision": "mixed_float16", "dense": True}, "new", ""),
        ({"precision": "mixed_bfloat16"}, "new", ""),
        ({"precision": "mixed_bfloat16"}, "arm", ""),
        ({"precision": "mixed_bfloat16"}, "old", "--precision=mixed_bfloat16: no instructions"),
        ({"precision": "mixed_bfloat16"}, None, ""),
    ],
)
@pytest.mark.parametrize("devices", [[], ["GPU"]])
def test_what_is_slow_on_a_cpu_is_said(options, cpu, said, devices, caplog, monkeypatch, tmp_path):
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind: [d for d in devices if d == kind]
    )
    monkeypatch.setattr(slowness, "_CPU_FLAGS", tmp_path / "cpuinfo")
    if cpu:
        (tmp_path / "cpuinfo").write_text(FLAGS[cpu])
    slowness.has_bfloat16.cache_clear()
    slowness.warn_of_slowness(trainer(**options))
    slowness.has_bfloat16.cache_clear()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == bool(said and not devices)
    for line in lines:
        assert line.startswith(said.split()[0])
        for part in said.split():
            assert part in line
