import json
import random
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from gan import generators
from gan.compression.device import isolated
from gan.compression.files import flatbuffer
from gan.compression.files.export import to_tflite
from gan.errors import UserError
from gan.files import write_whole
from gan.sampling import latents
from layers import Conv2DTranspose


def save(path, inputs="z"):
    """A generator of 4x4 images, of our layers."""
    z = keras.Input((6,), name=inputs)
    x = keras.layers.Reshape((2, 2, 4))(keras.layers.Dense(16)(z))
    model = keras.Model(z, Conv2DTranspose(1, 4, activation="tanh")(x))
    if path.suffix == ".keras":
        model.save(path)
    else:
        write_whole(path, to_tflite(model))
    return model


@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_a_file_draws_what_its_model_draws(tmp_path, suffix):
    model = save(tmp_path / f"g.{suffix}")
    sampler = generators.load(tmp_path / f"g.{suffix}")
    assert (sampler.latent_dim, sampler.num_classes, sampler.shape) == (6, 0, (4, 4, 1))
    z = latents(3, 6, 0)
    np.testing.assert_allclose(sampler(z), np.asarray(model(z)), atol=1e-5)


def test_a_keras_file_says_how_plain_keras_opens_it(tmp_path):
    """In a process that knows nothing of ours, as its two ways say."""
    model = save(tmp_path / "g.keras")
    generators.save(model, tmp_path / "g.keras")
    with zipfile.ZipFile(tmp_path / "g.keras") as archive:
        said = json.loads(archive.read(generators.INTERFACE))["open_with"]
        assert archive.comment.decode() == said
    code = "import sys, keras, numpy as np; FILE = sys.argv[1]; {}; {}; np.save(sys.argv[2], {})"
    z = latents(3, 6, 0)
    np.save(tmp_path / "z.npy", z)
    drawn = "np.asarray(g(np.load('z.npy')))"
    plain = "g = keras.saving.load_model(FILE)"
    assert "import layers" in said and "keras.saving.load_model(FILE)" in said

    def opened(first, then):
        words = [code.format(first, then, drawn), "g.keras", "x.npy"]
        return subprocess.run(
            [sys.executable, "-c", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "tapestry>" in opened("pass", plain).stderr
    done = opened("import layers", plain)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), np.asarray(model(z)), atol=1e-5)


def test_mistakes_quote_the_flag(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no model")
    save(tmp_path / "x.keras", inputs="x")
    for name, line in (
        ("g.h5", "ends in .keras or .tflite"),
        ("nothing.keras", "there is no such file"),
        ("broken.keras", "cannot be read"),
        ("x.keras", "has the input 'x' of shape .6,. and does not say what it is"),
    ):
        with pytest.raises(UserError, match=f"--model='.*{name}'.*{line}"):
            generators.load(tmp_path / name)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A generator as both kinds of file."""
    folder = tmp_path_factory.mktemp("files")
    for suffix in (".keras", ".tflite"):
        save(folder / f"g{suffix}")
    return folder


def test_a_flipped_bit_in_a_keras_file_ends_in_one_line_or_changes_nothing(files, tmp_path):
    content = (files / "g.keras").read_bytes()
    z = latents(2, 6, 0)
    whole = generators.load(files / "g.keras")(z)
    rng, lines = random.Random(0), []
    for _ in range(40):
        damaged = bytearray(content)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (tmp_path / "g.keras").write_bytes(damaged)
        try:
            drawn = generators.load(tmp_path / "g.keras")(z)
        except UserError as error:
            lines.append(str(error))
        else:  # A date, say, which no checksum covers.
            np.testing.assert_array_equal(drawn, whole)
    assert len(lines) >= 35
    assert all("cannot be read: " in line and "\n" not in line for line in lines)


def rewritten(source, target, change):
    """A copy of a `.keras` file with another config, its checksums right."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                for layer in config["config"]["layers"]:
                    change(layer["class_name"], layer["config"])
                content = json.dumps(config)
            new.writestr(name, content)


def test_a_keras_file_cannot_ask_for_more_than_it_holds(files, tmp_path, capfd):
    def wide(kind, config):
        if kind == "Dense":
            config["units"] = 10**9

    def tall(kind, config):
        if kind == "Reshape":
            config |= {"target_shape": [2, 2, 4]}
        if kind == "Conv2DTranspose":
            config["strides"] = 10**5

    def listed(kind, config):
        tall(kind, config)
        if kind == "Conv2DTranspose":
            config["strides"] = [10**5, 10**5]

    def code(kind, config):
        if kind == "Dense":
            config["activation"] = {
                "class_name": "function", "config": "system", "module": "os",
                "registered_name": "function",
            }  # fmt: skip

    refused = {wide: "more weights than the file holds", tall: "shape", listed: "", code: ""}
    for change, line in refused.items():
        path = tmp_path / f"{change.__name__}.keras"
        rewritten(files / "g.keras", path, change)
        with pytest.raises(UserError, match=f"{change.__name__}.keras' cannot be read: .*{line}"):
            generators.load(path)


def test_a_tflite_file_that_brings_its_process_down_ends_in_one_line(files, tmp_path, monkeypatch):
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(isolated.sys, "executable", str(crash))
    with pytest.raises(UserError, match=r"g\.tflite': it brings LiteRT down \(SIGSEGV\)"):
        generators.load(files / "g.tflite")


def test_a_damaged_tflite_file_ends_in_one_line(files, tmp_path):
    content = (files / "g.tflite").read_bytes()

    def nowhere(model):
        model.subgraphs[0].operators[0].inputs[0] = 10**6

    def endless(model):
        for tensor in model.subgraphs[0].tensors[:1]:
            tensor.shape = np.asarray([1, 2**30], np.int32)

    for i, change in enumerate((nowhere, endless)):
        model = flatbuffer.read(content)
        change(model)
        path = tmp_path / f"{i}.tflite"
        path.write_bytes(flatbuffer.pack(model))
        with pytest.raises(UserError, match=rf"{i}\.tflite': LiteRT cannot load it"):
            generators.load(path)
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cut\.tflite': LiteRT cannot load it"):
        generators.load(tmp_path / "cut.tflite")
