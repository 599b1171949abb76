"""What is read of Keras' private graph says what it is taken for."""

import keras
import pytest

from gan import keras_graph


@keras.saving.register_keras_serializable(package="tests")
class Holder(keras.layers.Layer):
    """A layer inside a layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3, name="inner")

    def call(self, x):
        return self.inner(x)


@pytest.fixture
def model():
    """A layer called twice, a model inside the model, and a sum of both ways."""
    x = keras.Input((3,), name="x")
    nested = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, name="deep")], name="nested"
    )
    shared = keras.layers.Dense(3, name="shared")
    late = keras.layers.Activation("tanh", name="late")(shared(shared(x)))
    total = keras.layers.Add(name="sum")([late, nested(x)])
    return keras.Model(x, Holder(name="holder")(total))


def test_each_call_comes_after_what_it_reads(model):
    made = set()
    for node in keras_graph.nodes(model):
        assert node.is_input == isinstance(node.operation, keras.layers.InputLayer)
        assert all(id(t) in made for t in node.input_tensors)
        made.update(id(t) for t in node.outputs)
    names = [node.operation.name for node in keras_graph.nodes(model)]
    assert sorted(names) == ["holder", "late", "nested", "shared", "shared", "sum", "x"]
    assert {id(t) for t in model.outputs} <= made


def test_a_layer_in_two_models_has_the_calls_of_one(model):
    shared = model.get_layer("shared")
    x = keras.Input((3,))
    other = keras.Model(x, shared(x))
    assert [node.operation for node in keras_graph.nodes(other)][1:] == [shared]
    assert [n.operation for n in keras_graph.nodes(model)].count(shared) == 2


def test_the_maker_is_the_layer_or_the_nested_model(model):
    assert keras_graph.maker(model.outputs[0]).name == "holder"
    (total,) = (n for n in keras_graph.nodes(model) if n.operation.name == "sum")
    assert [keras_graph.maker(t).name for t in total.input_tensors] == ["late", "nested"]
    assert keras_graph.maker(model.inputs[0]).name == "x"


def test_all_layers_are_found_once(model):
    names = [layer.name for layer in keras_graph.all_layers(model)]
    assert {"inner", "deep", "holder", "nested", "shared"} <= set(names)
    assert names.count("shared") == 1 and model.name not in names
    weights = {id(v) for layer in keras_graph.all_layers(model) for v in layer.weights}
    assert weights == {id(v) for v in model.weights}


def test_only_a_graph_can_be_followed(model):
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    assert keras_graph.is_functional(model)
    assert not keras_graph.is_functional(Subclassed())
    assert not keras_graph.is_functional(keras.layers.Dense(2))
