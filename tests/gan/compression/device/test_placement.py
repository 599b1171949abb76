"""The line about a file that leaves XNNPACK names what to mend."""

import re

import keras
import pytest

from gan.compression.device import interpreter, placement
from gan.compression.files import export
from gan.errors import UserError


def test_the_layers_that_leave_xnnpack_are_named(tmp_path):
    z = keras.Input((6,), name="z")
    x = keras.layers.Reshape((4, 4, 4))(keras.layers.Dense(64, name="conv_2")(z))
    x = keras.layers.UpSampling2D(name="enlarge")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", name="between")(x)
    x = keras.layers.UpSampling2D(name="twice_2")(x)
    x = keras.layers.Conv2D(1, 3, padding="same", name="to_image")(x)
    path = tmp_path / "g.tflite"
    path.write_bytes(export.to_tflite(keras.Model(z, x, name="generator")))
    with pytest.raises(UserError) as caught:
        placement.require_one_partition(path)
    line = str(caught.value)
    assert re.match(r"g\.tflite: runs in \d+ partitions instead of one", line)
    assert "TILE of 'enlarge', 'twice_2'; " in line
    assert "layers.NearestUpsampling" in line
    assert "between" not in line and "conv_2" not in line and "\n" not in line


class Names:
    """An interpreter that knows its tensors' names."""

    def __init__(self, *names):
        self.names = names

    def get_tensor_details(self):
        return [{"index": i, "name": name} for i, name in enumerate(self.names)]


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("generator_1/enlarge._1/Repeat/Tile", ["enlarge"]),
        ("generator_1/block_2.3._1_2/Tile", ["block_2.3"]),
        ("generator_1/re_lu_1_2/Relu;generator_1/conv_1/Conv2D", ["re_lu_1", "conv"]),
        ("generator/conv_2/Conv2D", ["conv_2"]),
        ("arith.constant", []),
        ("StatefulPartitionedCall:0", []),
    ],
)
def test_names_of_tensors_hold_those_of_layers(name, layers):
    op = interpreter.Op("TILE", (), (0,))
    assert placement.layer_names(Names(name), [op, op]) == layers


def test_an_op_whose_output_is_nameless_is_known_by_its_input():
    names = Names("StatefulPartitionedCall:0", "arith.constant", "g_1/last_1/Tile")
    op = interpreter.Op("TILE", (-1, 1, 2), (0,))
    assert placement.layer_names(names, [op]) == ["last"]


@pytest.mark.parametrize(
    ("op", "advice"),
    [
        ("TILE", "NearestUpsampling"),
        ("FlexErf", "ops that LiteRT has"),
        ("CUMSUM", "replace or leave out"),
    ],
)
def test_the_remedy_fits_the_op(monkeypatch, op, advice):
    class Split:
        partitions, delegates, lookup = 3, [object()], []
        outside = [interpreter.Op(op, (), (0,))]

    monkeypatch.setattr(placement, "open_interpreter", lambda _: Names("g_1/odd_1/Op"))
    monkeypatch.setattr(placement, "Placement", lambda _: Split)
    with pytest.raises(UserError, match=rf"x\.tflite.* 3 .*{op} of 'odd'; .*{advice}"):
        placement.require_one_partition("x.tflite")
