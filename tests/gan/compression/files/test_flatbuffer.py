"""What is read from a file is what is in it, and what is written LiteRT runs."""

import keras
import numpy as np
import pytest

from gan.compression.device.interpreter import open_interpreter
from gan.compression.files import export, flatbuffer
from gan.compression.files.flatbuffer import schema
from gan.errors import UserError


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    z = keras.Input((5,), name="z")
    x = keras.layers.Dense(12, activation="relu", name="first")(z)
    return keras.Model(z, keras.layers.Dense(3, name="second")(x))


@pytest.fixture(scope="module")
def content(model):
    return export.to_tflite(model)


def run(content, z):
    return open_interpreter(content).get_signature_runner("generate")(z=z)["image"]


def test_constants_are_the_layers_kernels(model, content):
    read = flatbuffer.read(content)
    graph = read.subgraphs[0]
    assert [flatbuffer.op_name(read, op) for op in graph.operators] == ["FULLY_CONNECTED"] * 2
    for op, name in zip(graph.operators, ("first", "second"), strict=True):
        kernel = graph.tensors[op.inputs[1]]
        assert flatbuffer.is_constant(read, kernel)
        assert not flatbuffer.is_constant(read, graph.tensors[op.outputs[0]])
        wanted = np.asarray(model.get_layer(name).kernel).T
        assert flatbuffer.shape(kernel) == wanted.shape
        np.testing.assert_array_equal(flatbuffer.constant(read, kernel), wanted)


def test_what_is_written_computes_as_before(content):
    z = np.random.default_rng(0).standard_normal((1, 5)).astype(np.float32)
    again = flatbuffer.write(flatbuffer.read(content))
    np.testing.assert_array_equal(run(again, z), run(content, z))
    assert flatbuffer.write(flatbuffer.read(again)) == again


def test_what_is_changed_is_computed_with(content):
    read = flatbuffer.read(content)
    kernel = read.subgraphs[0].tensors[read.subgraphs[0].operators[1].inputs[1]]
    kernel.buffer = flatbuffer.add_buffer(read, 2 * flatbuffer.constant(read, kernel))
    z = np.ones((1, 5), np.float32)
    np.testing.assert_allclose(run(flatbuffer.write(read), z), 2 * run(content, z), rtol=1e-6)


def test_what_nothing_uses_is_not_written(content):
    read = flatbuffer.read(content)
    like = read.subgraphs[0].tensors[0]
    added = flatbuffer.add_tensor(read, like, "nobody's", [1000])
    payload = np.full(250, 7.0, np.float32)
    read.subgraphs[0].tensors[added].buffer = flatbuffer.add_buffer(read, payload)
    whole, lean = flatbuffer.pack(read), flatbuffer.write(read)
    assert payload.tobytes() in whole and b"nobody's" in whole
    assert payload.tobytes() not in lean and b"nobody's" not in lean


def test_a_constant_is_stored_once(content):
    read = flatbuffer.read(content)
    pads = np.asarray([[0, 0], [1, 2]], np.int32)
    first = flatbuffer.add_constant(read, pads)
    assert flatbuffer.add_constant(read, pads.copy()) == first
    assert flatbuffer.add_constant(read, pads.T) != first
    np.testing.assert_array_equal(flatbuffer.constant(read, read.subgraphs[0].tensors[first]), pads)


def test_metadata_is_kept_beside_others_and_replaced(content):
    others = [e.name for e in flatbuffer.read(content).metadata if e.name != b"tapestry"]
    for values in ({"num_classes": 3}, {"num_classes": 10, "names": ["Mütze", "shirt"]}):
        read = flatbuffer.read(content)
        flatbuffer.add_metadata(read, {"num_classes": 1})
        flatbuffer.add_metadata(read, values)
        content = flatbuffer.write(read)
        assert flatbuffer.metadata(content) == values
    names = [entry.name for entry in flatbuffer.read(content).metadata]
    assert sorted(names) == sorted([*others, b"tapestry"])
    open_interpreter(content)


def test_damaged_metadata_is_told(content):
    read = flatbuffer.read(content)
    flatbuffer.add_metadata(read, {"num_classes": 3})
    damaged = flatbuffer.write(read).replace(b'{"num_classes"', b'{"num_classes:')
    with pytest.raises(ValueError, match="JSONDecodeError"):
        flatbuffer.metadata(damaged)


def test_an_op_has_one_number_by_kind_and_version(content):
    read = flatbuffer.read(content)
    dense = schema.BuiltinOperator.FULLY_CONNECTED
    known = [c for c in read.operatorCodes if c.builtinCode == dense]
    assert len(known) == 1
    same = flatbuffer.opcode(read, dense, known[0].version)
    assert read.operatorCodes[same] is known[0]
    assert (
        flatbuffer.opcode(read, dense, known[0].version + 1) == len(read.operatorCodes) - 1 > same
    )


def test_an_op_of_an_old_file_has_its_code_where_it_was(content):
    read = flatbuffer.read(content)
    for code in read.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = code.builtinCode, 0
    assert flatbuffer.op_name(read, read.subgraphs[0].operators[0]) == "FULLY_CONNECTED"


def test_types_that_no_generator_has_are_refused(content):
    read = flatbuffer.read(content)
    tensor = read.subgraphs[0].tensors[read.subgraphs[0].operators[0].inputs[1]]
    tensor.type = schema.TensorType.COMPLEX64
    with pytest.raises(UserError, match=r"type COMPLEX64: expected float32, .*int64"):
        flatbuffer.constant(read, tensor)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "g.tflite"
    path.write_bytes(b"not a model at all")
    with pytest.raises(UserError, match=r"g\.tflite' is no LiteRT file"):
        flatbuffer.load(path)
