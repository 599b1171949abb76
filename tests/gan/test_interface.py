"""What a generator takes and makes is declared once, and every form of it answers alike."""

import json
import zipfile

import keras
import numpy as np
import pytest

from gan import generators
from gan.architectures.dcgan import dcgan
from gan.architectures.mlp import mlp
from gan.architectures.resnet_translator import resnet_translator
from gan.compression.device import runner
from gan.compression.files.export import to_tflite
from gan.compression.students import slimming
from gan.data.spec import Spec
from gan.errors import UserError
from gan.interface import Image, Interface, Label, Latent, Scalar, Vector, declare, interface_of
from gan.sampling import KerasSampler, as_float32
from trainers import averages

CLASSES = Spec("squares", (8, 8, 3), 3, 10, class_names=("Mütze", "b", "c"), licence="MIT")
PAIRS = Spec("pairs", (8, 8, 1), 0, 10, domains=("edges", "photos"), paired=True)
DRAWS = Interface((Latent(4), Label(3, ("Mütze", "b", "c"))), Image((8, 8, 3)))


def drawing(**options):
    return dcgan(CLASSES, width=0.05, latent_dim=4, conditional=True, **options).generator


def test_architectures_declare_what_they_build() -> None:
    assert interface_of(drawing()) == DRAWS
    translator = resnet_translator(PAIRS, width=0.05, n_blocks=0).generator
    assert interface_of(translator) == Interface(
        (Image((8, 8, 1), "edges"),), Image((8, 8, 1), "photos")
    )
    points = mlp(Spec("ring", (2,), 0, 10), width=0.02).generator
    assert interface_of(points) == Interface((Latent(2),), Vector((2,)))


def test_copies_say_the_same() -> None:
    model = drawing()
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = drawing()
    keras.config.set_dtype_policy("float32")
    for copy in (averages.copy(model), slimming.slim(model, width=0.5), as_float32(half)):
        assert copy is not model and interface_of(copy) == DRAWS


@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_files_say_the_same_and_where_they_come_from(tmp_path, suffix) -> None:
    model, path = drawing(), tmp_path / f"g.{suffix}"
    about = {"run": "first", "step": 7, "data": {"name": "squares", "licence": "MIT"}}
    if suffix == "keras":
        generators.save(model, path, about)
    else:
        path.write_bytes(to_tflite(model, about=about))
    sampler = generators.load(path)
    found = sampler.interface
    assert (found.inputs, found.output) == (DRAWS.inputs, DRAWS.output)
    assert about.items() <= found.about.items()
    np.testing.assert_allclose(
        sampler.draw(5, seed=2), KerasSampler(model).draw(5, seed=2), atol=1e-5
    )
    z = sampler.latents(2, 0)
    for inputs, said in (
        ((z,), "takes z and label; got 1 of them"),
        ((z[:, :3], [0, 1]), r"z is \(2, 3\); expected \(N, 4\)"),
        ((z, [0, 1, 2]), r"label is \(3,\); expected \(2,\)"),
        ((z, [0, 3]), "label is from 0 to 3; expected 0 to 2"),
    ):
        with pytest.raises(UserError, match=said):
            sampler(*inputs)


def test_a_trained_translators_file_knows_its_domains(tmp_path) -> None:
    model = resnet_translator(PAIRS, width=0.05, n_blocks=0).generator
    (tmp_path / "t.tflite").write_bytes(to_tflite(model))
    found = generators.load(tmp_path / "t.tflite").interface
    assert (found.image.domain, found.output.domain) == ("edges", "photos")
    assert found.image.range == (-1.0, 1.0)


def test_plain_keras_files_are_understood_by_the_names_of_their_inputs(tmp_path) -> None:
    z = keras.Input((4,), name="z")
    keras.Model(z, keras.layers.Dense(2)(z)).save(tmp_path / "plain.keras")
    sampler = generators.load(tmp_path / "plain.keras")
    assert sampler.interface == Interface((Latent(4),), Vector((2,)))
    label = keras.Input((), dtype="int32", name="label")
    y = keras.layers.Concatenate()([z, keras.layers.Embedding(3, 2)(label)])
    keras.Model([z, label], y).save(tmp_path / "label.keras")
    with pytest.raises(UserError, match=r"the input .label. of shape .* does not say what it is"):
        generators.load(tmp_path / "label.keras")


def test_uniform_latents_and_options_that_are_left_out() -> None:
    z, psi = keras.Input((3,), name="z"), keras.Input((), name="psi")
    scaled = keras.layers.Multiply()([z, keras.layers.Reshape((1,))(psi)])
    model = keras.Model([z, psi], scaled)
    inputs = (Latent(3, "uniform"), Scalar("psi", 0.5, 0.0, 1.0))
    sampler = KerasSampler(declare(model, Interface(inputs, Vector((3,)))))
    z = sampler.latents(2000, 0)
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() < 1
    np.testing.assert_allclose(z.var(), 1 / 3, atol=0.02)
    np.testing.assert_allclose(sampler(z), 0.5 * z, rtol=1e-6)
    np.testing.assert_allclose(sampler(z, np.ones(len(z))), z, rtol=1e-6)


def test_a_wrong_declaration_is_refused() -> None:
    with pytest.raises(ValueError, match=r"takes z \(4,\), label \(\), and is declared"):
        declare(drawing(), Interface((Latent(5), Label(3)), Image((8, 8, 3))))
    with pytest.raises(ValueError, match=r"makes \(8, 8, 3\), and is declared"):
        declare(drawing(), Interface((Latent(4), Label(3)), Image((8, 8, 1))))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.clear(),
        lambda record: record.update(inputs=[]),
        lambda record: record["inputs"][0].update(kind="code"),
        lambda record: record["inputs"][0].update(dim=10**12),
        lambda record: record["inputs"][0].update(dim=-1),
        lambda record: record["inputs"][0].update(dim=[4]),
        lambda record: record["inputs"][0].update(distribution="cauchy"),
        lambda record: record["inputs"][1].update(num_classes=7),
        lambda record: record["inputs"][1].update(class_names=["a", 2, 3]),
        lambda record: record["inputs"][1].update(name="z"),
        lambda record: record["output"].update(shape=[8, 8, float("nan")]),
        lambda record: record.update(output=None),
    ],
)
def test_a_strangers_record_ends_in_one_line(tmp_path, change) -> None:
    path = tmp_path / "g.keras"
    generators.save(drawing(), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(members[generators.INTERFACE])
    change(record)
    members[generators.INTERFACE] = json.dumps(record).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=r"^--model='.*' cannot be read: ") as error:
        generators.load(path)
    assert "\n" not in str(error.value)


def test_a_files_metadata_must_be_what_it_does(tmp_path) -> None:
    from gan.compression.files import flatbuffer

    content = to_tflite(drawing())
    record = flatbuffer.metadata(content)
    record["inputs"][0]["dim"] = 5
    (tmp_path / "g.tflite").write_bytes(flatbuffer.with_metadata(content, record))
    with pytest.raises(UserError, match="its metadata tell of other inputs"):
        runner.LiteRTSampler(tmp_path / "g.tflite")
