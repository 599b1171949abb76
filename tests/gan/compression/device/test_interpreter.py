"""What is read of LiteRT's interpreter, private names among it, says what it is taken for."""

import keras
import numpy as np
import pytest

from gan.compression.device.interpreter import open_interpreter, ops
from gan.compression.files import export, layer_names
from gan.errors import UserError


@pytest.fixture(scope="module")
def content():
    z = keras.Input((5,), name="z")
    x = keras.layers.Dense(12, activation="relu", name="first")(z)
    return export.to_tflite(keras.Model(z, keras.layers.Dense(3, name="second")(x)))


def test_without_xnnpack_the_ops_are_the_files(content, tmp_path):
    path = tmp_path / "g.tflite"
    path.write_bytes(content)
    plain = ops(open_interpreter(path, accelerated=False))
    assert [op.name for op in plain] == [name for name, _ in layer_names.ops(content)]
    assert plain[0].outputs[0] == plain[1].inputs[0]


def test_xnnpack_stands_behind_the_ops_it_took(content):
    plain = ops(open_interpreter(content, accelerated=False))
    *own, delegate = ops(open_interpreter(content))
    assert own == plain and delegate.name == "DELEGATE"
    assert delegate.outputs == plain[-1].outputs and plain[0].inputs[0] in delegate.inputs


def test_kept_tensors_can_be_read_after_a_call(content):
    loaded = open_interpreter(content, accelerated=False, keep_tensors=True)
    z = np.ones((1, 5), np.float32)
    loaded.set_tensor(loaded.get_input_details()[0]["index"], z)
    loaded.invoke()
    first, second = ops(loaded)
    kernel = loaded.get_tensor(second.inputs[1])
    hidden = loaded.get_tensor(first.outputs[0])
    assert second.inputs[2] == -1  # a new layer's bias is 0, and left out
    np.testing.assert_allclose(loaded.get_tensor(second.outputs[0]), hidden @ kernel.T, atol=1e-6)


def test_a_content_that_does_not_load_is_one_line(content):
    with pytest.raises(
        UserError, match=r"^the file: LiteRT cannot load it \(.+\); export it again"
    ):
        open_interpreter(content[: len(content) // 2])
