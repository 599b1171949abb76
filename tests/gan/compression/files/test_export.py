import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.compiled_model import CompiledModel
from toys import ToySource

from gan.architectures.resnet import resnet
from gan.architectures.resnet_translator import resnet_translator
from gan.compression.device import cost, interpreter, placement, runner
from gan.compression.files import export, layer_names
from gan.compression.students import pruning
from gan.data.arrays import ArraySource
from gan.data.spec import Spec
from gan.errors import UserError
from gan.files import write_whole
from gan.interface import Image, Interface, Label, Latent, declare
from gan.metrics.evaluation import Evaluator
from gan.metrics.features import FeatureNet
from gan.sampling import KerasSampler, balanced_labels, latents

CLASSES = 3


def write(path, content):
    write_whole(path, content)
    return path


def generator(conditional=False, upsample=False, policy="float32"):
    """8x8 images from z of length 6, with BN statistics that are not trivial."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    try:
        inputs = [keras.Input((6,), name="z")]
        x = inputs[0]
        if conditional:
            inputs.append(keras.Input((), dtype="int32", name="label"))
            embedding = keras.layers.Embedding(CLASSES, 5)(inputs[1])
            x = keras.layers.Concatenate()([x, embedding])
        x = keras.layers.Dense(4 * 4 * 8)(x)
        x = keras.layers.ReLU()(keras.layers.Reshape((4, 4, 8))(x))
        if upsample:
            x = keras.layers.UpSampling2D()(x)
        else:
            x = keras.layers.Conv2DTranspose(8, 4, 2, "same")(x)
            x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Conv2D(1, 3, padding="same")(x)
        x = keras.layers.Activation("tanh", dtype="float32")(x)
        model = keras.Model(inputs if conditional else inputs[0], x, name="generator")
        if conditional:
            takes = (Latent(6), Label(CLASSES, ("a", "b", "c")))
            declare(model, Interface(takes, Image((8, 8, 1))))
    finally:
        keras.config.set_dtype_policy("float32")
    rng = np.random.default_rng(0)
    for v in model.variables:
        if v.name in ("moving_mean", "beta"):
            v.assign(0.1 * rng.standard_normal(v.shape))
        if v.name in ("moving_variance", "gamma"):
            v.assign(1.0 + rng.random(v.shape))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(conditional, precision) -> the file of `generator(conditional)`, converted once."""

    @functools.cache
    def export_once(conditional=False, precision="float32"):
        path = tmp_path_factory.mktemp("exported") / "g.tflite"
        return write(path, export.to_tflite(generator(conditional), precision=precision))

    return export_once


@pytest.mark.parametrize("conditional", [False, True])
def test_files_are_the_keras_model_in_one_partition(exported, conditional):
    model = generator(conditional)
    z = latents(9, 6, 5)
    label = balanced_labels(9, CLASSES)[::-1].copy() if conditional else None
    wanted = KerasSampler(model)(z, label)
    assert np.ptp(wanted) > 0.2
    tolerances = {"float32": 1e-5, "float16": 2e-3, "dynamic": 0.03, "int8": 0.03}
    assert tuple(tolerances) == export.PRECISIONS
    for precision, tolerance in tolerances.items():
        path = exported(conditional, precision)
        sampler = runner.LiteRTSampler(path)
        assert (sampler.latent_dim, sampler.shape, sampler.batch_size) == (6, (8, 8, 1), 1)
        assert sampler.num_classes == (CLASSES if conditional else 0)
        np.testing.assert_allclose(sampler(z, label), wanted, atol=tolerance)
        assert placement.partitions(path) == placement.require_one_partition(path) == 1
        assert runner.latency_ms(path, runs=3) > 0
        # LiteRT's own word: the class look-up alone stays outside.
        assert CompiledModel.from_file(str(path)).is_fully_accelerated() != conditional
    # This network is so small that the rest of the file counts.
    sizes = [os.path.getsize(exported(conditional, p)) for p in export.PRECISIONS]
    assert max(sizes) == sizes[0]


def test_one_signature_with_float_io(exported):
    loaded = interpreter.open_interpreter(exported(True, "int8"))
    signatures = loaded.get_signature_list()
    assert list(signatures) == ["generate"]
    assert sorted(signatures["generate"]["inputs"]) == ["label", "z"]
    assert signatures["generate"]["outputs"] == ["image"]
    run = loaded.get_signature_runner("generate")
    assert run.get_input_details()["z"]["dtype"] is np.float32
    assert run.get_input_details()["label"]["dtype"] is np.int32
    assert run.get_output_details()["image"]["dtype"] is np.float32


def test_int8_kernels_and_their_scales(exported):
    loaded = interpreter.open_interpreter(exported(False, "int8"), accelerated=False)
    tensors = {t["index"]: t for t in loaded.get_tensor_details()}
    scales = {}
    for op in interpreter.ops(loaded):
        if op.name in ("FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV"):
            kernel = tensors[op.inputs[1]]
            assert kernel["dtype"] is np.int8
            count = len(kernel["quantization_parameters"]["scales"])
            scales[op.name] = scales.get(op.name, 0) + count
    # One for each output channel of a convolution, one for all of a Dense layer; the transposed
    # convolution is one of four times the channels.
    assert scales == {"FULLY_CONNECTED": 1, "CONV_2D": 4 * 8 + 1}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_exported_in_float32(tmp_path, policy):
    model = generator(policy=policy)
    clone = export.as_float32(model)
    assert clone is not model
    assert all(layer.compute_dtype == "float32" for layer in clone.layers)
    assert export.as_float32(clone) is clone
    assert keras.config.dtype_policy().name == "float32"
    z = latents(4, 6, 0)
    path = write(tmp_path / "g.tflite", export.to_tflite(model))
    np.testing.assert_allclose(runner.LiteRTSampler(path)(z), KerasSampler(clone)(z), atol=1e-5)
    np.testing.assert_allclose(KerasSampler(clone)(z), KerasSampler(model)(z), atol=0.05)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_pruned_resnet_without_a_moving_average_is_exported(tmp_path, policy):
    keras.utils.set_random_seed(0)
    spec = Spec("squares", (8, 8, 1), 0, 8)
    keras.config.set_dtype_policy(policy)
    try:
        model = resnet(spec, width=0.0625, latent_dim=16).generator
    finally:
        keras.config.set_dtype_policy("float32")
    pruner = pruning.Pruner(model, pruning.constant(0.5))
    pruner.update(0)
    pruner.strip()
    # A fresh network draws almost nothing; int8 needs images to look at.
    model.get_layer("to_image").kernel.assign(8 * model.get_layer("to_image").kernel)
    z = latents(8, 16, 0)
    wanted = KerasSampler(model)(z)
    assert np.std(wanted) > 0.05
    for precision, tolerance in (("float32", 0.01), ("int8", 0.06)):
        content = export.to_tflite(model, precision=precision, calibration=100)
        path = write(tmp_path / "g.tflite", content)
        assert placement.require_one_partition(path) == 1
        assert np.abs(runner.LiteRTSampler(path)(z) - wanted).mean() < tolerance
        assert cost.sparsity(path) == pytest.approx(0.5, abs=0.02)


def test_path_length_is_that_of_the_weights_or_none(exported):
    """A step of 1e-4 in z is less than what half precision and 8 bits round to."""
    source = ArraySource(Spec("noise", (8, 8, 1), 0, 9), {"x": np.zeros((9, 8, 8, 1), np.uint8)})
    net = FeatureNet(lambda x: tf.reshape(x, (-1, 64)), name="pixels", dim=64, batch_size=50)
    evaluator = Evaluator(source, metrics=["ppl"], feature_net=net, num_samples=200)
    whole = evaluator.evaluate(KerasSampler(generator()))["ppl"]
    for policy in ("mixed_float16", "mixed_bfloat16"):
        half = KerasSampler(generator(policy=policy))
        assert evaluator.evaluate(half)["ppl"] == whole
    files = {p: runner.LiteRTSampler(exported(precision=p)) for p in export.PRECISIONS}
    assert evaluator.evaluate(files["float32"])["ppl"] == pytest.approx(whole, rel=1e-2)
    assert evaluator.evaluate(files["float16"])["ppl"] == pytest.approx(whole, rel=1e-2)
    for precision in ("int8", "dynamic"):
        with pytest.raises(UserError, match=r"--metrics=ppl: .*g.tflite' computes in 8 bits"):
            evaluator.evaluate(files[precision])


def test_batches_are_static_and_any_count_runs(tmp_path):
    model = generator()
    path = write(tmp_path / "g.tflite", export.to_tflite(model, batch_size=4))
    sampler = runner.LiteRTSampler(path)
    assert sampler.batch_size == 4
    z = latents(6, 6, 0)
    np.testing.assert_allclose(sampler(z), KerasSampler(model)(z), atol=1e-5)
    assert sampler(z[:0]).shape == (0, 8, 8, 1)


def test_the_representative_set_is_what_is_sampled():
    rows = list(export.representative(generator(True), count=6, seed=3)())
    np.testing.assert_array_equal(np.concatenate([r["z"] for r in rows]), latents(6, 6, 3))
    assert [int(r["label"][0]) for r in rows] == [0, 1, 2, 0, 1, 2]
    assert all(r["z"].shape == (1, 6) and r["label"].shape == (1,) for r in rows)


def test_an_op_outside_xnnpack_is_named(tmp_path):
    path = write(tmp_path / "g.tflite", export.to_tflite(generator(upsample=True)))
    # Dense, RESHAPE | TILE | RESHAPE | TILE | RESHAPE, convolution, tanh.
    assert placement.partitions(path) == 5
    assert not CompiledModel.from_file(str(path)).is_fully_accelerated()
    with pytest.raises(UserError, match=r"g\.tflite: runs in 5 partitions.*TILE"):
        placement.require_one_partition(path)


def test_sparsity_is_read_from_the_file(tmp_path):
    model = generator()
    rng = np.random.default_rng(0)
    zeros = total = 0
    for v in model.variables:
        if v.name == "kernel":
            value = np.array(v.value) * (rng.random(v.shape) < 0.3)
            v.assign(value)
            zeros, total = zeros + np.sum(value == 0), total + value.size
    path = write(tmp_path / "g.tflite", export.to_tflite(model))
    assert cost.sparsity(path) == pytest.approx(zeros / total)
    int8 = write(tmp_path / "i.tflite", export.to_tflite(model, precision="int8"))
    assert zeros / total <= cost.sparsity(int8) < zeros / total + 0.02


def test_mistakes_are_named(tmp_path, exported):
    with pytest.raises(FileNotFoundError, match="nothing"):
        runner.LiteRTSampler(tmp_path / "nothing.tflite")
    (tmp_path / "broken.tflite").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"broken\.tflite"):
        runner.LiteRTSampler(tmp_path / "broken.tflite")
    foreign = keras.Sequential([keras.Input((6,), name="y"), keras.layers.Dense(2)])
    content = tf.lite.TFLiteConverter.from_keras_model(foreign).convert()
    with pytest.raises(UserError, match="generate"):
        runner.LiteRTSampler(write(tmp_path / "foreign.tflite", content))
    with pytest.raises(UserError, match="the input 'y' of shape"):
        export.to_tflite(foreign)
    with pytest.raises(UserError, match="'int4' is not known; it can be float32, float16"):
        export.to_tflite(generator(), precision="int4")
    with pytest.raises(UserError, match="keep_float is for int8 alone"):
        export.to_tflite(generator(), keep_float=["dense"])

    sampler = runner.LiteRTSampler(exported(conditional=True))
    z = latents(2, 6, 0)
    with pytest.raises(UserError, match=r"z is \(2, 5\); expected \(N, 6\)"):
        sampler(z[:, :5], np.array([0, 1]))
    with pytest.raises(UserError, match="takes z and label; got 1 of them"):
        sampler(z)
    with pytest.raises(UserError, match="label is from 0 to 3; expected 0 to 2"):
        sampler(z, np.array([0, 3]))

    broken = generator()
    broken.get_layer(index=-2).bias.assign([np.nan])
    name = broken.get_layer(index=-2).name
    with pytest.raises(UserError, match=f"NaN or infinity, first in the layer '{name}'"):
        export.to_tflite(broken, precision="int8")


def strange(make, shape=None):
    """A generator with a function in the middle."""
    z = keras.Input((6,), name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(4 * 4 * 8)(z))
    x = keras.layers.Lambda(make, output_shape=shape, name="strange_1")(x)
    return keras.Model(z, keras.layers.Conv2D(1, 3, padding="same")(x), name="generator")


def test_an_op_that_litert_lacks_is_named_with_its_layer():
    model = strange(lambda x: tf.math.betainc(tf.exp(x), tf.exp(x), tf.sigmoid(x)))
    with pytest.raises(UserError, match=r"'strange_1' needs tf\.Betainc, which LiteRT has not"):
        export.to_tflite(model)


def test_a_shape_that_depends_on_values_is_named_with_its_layer():
    def select(x):
        return tf.reshape(tf.boolean_mask(x, x[..., 0] > 0), (1, -1, 1, 8))[:, :4]

    with pytest.raises(UserError, match="what the layer 'strange_1' makes depends on its values"):
        export.to_tflite(strange(select, (None, 1, 8)))
    x = keras.Input((None, None, 1), name="x")
    anysize = keras.Model(x, keras.layers.Conv2D(1, 3, padding="same")(x))
    with pytest.raises(UserError, match=r"input 'x' is \(None, None, 1\).*known height and width"):
        export.to_tflite(anysize)


def test_a_file_that_grew_is_an_error():
    export.check_growth("int8", b"12", b"123")
    with pytest.raises(UserError, match="int8: grew to 3 bytes from float32's 3"):
        export.check_growth("int8", b"123", b"123")


def test_layers_keep_their_names_and_files_carry_them():
    model = generator()
    names = [layer.name for layer in model.layers]
    layers = [layer for _, layer in layer_names.ops(export.to_tflite(model))]
    assert [layer.name for layer in model.layers] == names
    assert layers[0] == model.layers[1].name and layers[-1] == model.layers[-1].name
    assert set(layers) <= set(names)
    # Which the converter alone would call conv_1_2.
    fused = "generator_1/re_lu_1._1/Relu;generator_1/bn._1/add;generator_1/conv_1._2/convolution3"
    assert export.keras_layer(fused) == "conv_1"
    assert layer_names.keras_layers(fused) == ["re_lu_1", "bn", "conv_1"]
    assert export.keras_layer("tfl.quantize") == ""


def test_a_tiny_shift_of_large_activations_stays_in_the_partition(tmp_path):
    z = keras.Input((6,), name="z")
    dense = keras.layers.Dense(4 * 4 * 8)
    x = keras.layers.Reshape((4, 4, 8))(dense(z))
    norm = keras.layers.BatchNormalization()
    image = keras.layers.Activation("tanh")(keras.layers.Conv2D(1, 3, padding="same")(norm(x)))
    model = keras.Model(z, image)
    dense.kernel.assign(1000 * dense.kernel)
    norm.beta.assign(1e-2 * np.random.default_rng(0).random(8))
    conv = model.layers[-2]
    conv.kernel.assign(1e-3 * conv.kernel)
    content = export.to_tflite(model, precision="int8", calibration=100)
    assert "ADD" in [op for op, _ in layer_names.ops(content)]
    path = write(tmp_path / "g.tflite", content)
    assert placement.partitions(path) == 1
    z = latents(8, 6, 0)
    wanted = KerasSampler(model)(z)
    assert np.std(wanted) > 0.1
    np.testing.assert_allclose(runner.LiteRTSampler(path)(z), wanted, atol=0.06)


def test_a_conditional_resnet_is_one_partition_in_every_precision(tmp_path):
    model = resnet(Spec("squares", (8, 8, 1), 3, 8), width=0.0625, conditional=True).generator
    rng = np.random.default_rng(0)
    for v in model.variables:
        if v.name != "moving_variance":
            v.assign(v.value + 0.1 * rng.standard_normal(v.shape))
    for precision in export.PRECISIONS:
        content = export.to_tflite(model, precision=precision, calibration=20)
        assert placement.partitions(write(tmp_path / "g.tflite", content)) == 1, precision


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_translators_are_exported(tmp_path, precision):
    source = ToySource((8, 8, 1), domains=("a", "b"))
    options = {"width": 0.0625, "n_blocks": 1, "generator_norm": "batch"}
    model = resnet_translator(source.spec, **options).generator
    data = export.representative(model, count=5, seed=4, batch_size=2, source=source)
    rows = list(data())
    assert [row["x"].shape for row in rows] == [(2, 8, 8, 1)] * 5
    drawn = next(iter(source.pipeline(2, seed=4).as_numpy_iterator()))
    np.testing.assert_array_equal(rows[0]["x"], drawn["a"])
    content = export.to_tflite(model, precision=precision, data=data, batch_size=2)
    path = write(tmp_path / "g.tflite", content)
    assert placement.partitions(path) == 1
    run = interpreter.open_interpreter(path).get_signature_runner("generate")
    tolerance = 1e-4 if precision == "float32" else 0.1
    wanted = np.asarray(model(drawn["a"], training=False))
    np.testing.assert_allclose(run(x=drawn["a"])["image"], wanted, atol=tolerance)


def test_translators_need_images_of_their_size_for_int8():
    source = ToySource((8, 8, 1), domains=("a", "b"))
    model = resnet_translator(source.spec, width=0.0625, n_blocks=0).generator
    with pytest.raises(UserError, match=r"translates images x \(8, 8, 1\).*source="):
        export.to_tflite(model, precision="int8")
    with pytest.raises(UserError, match=r"\(8, 8, 1\), and 'toy' holds \(16, 16, 1\)"):
        export.representative(model, source=ToySource((16, 16, 1)))


def test_the_runner_needs_only_litert_and_numpy():
    code = (
        "import sys; from gan.compression.device import runner; "
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'imports more'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
