"""Samples as files, read back by libraries that know nothing of us, and what they should show."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from experiments.generating import draw, generate
from experiments.settings import GenerateOptions
from gan import generators, images
from gan.architectures.dcgan import dcgan
from gan.compression.files import export
from gan.data.spec import Spec
from gan.errors import UserError
from gan.sampling import latents


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Untrained: grey and of three classes, and the same in LiteRT; in colour without classes."""
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name, channels, classes in (("grey", 1, 3), ("colour", 3, 0)):
        spec = Spec(name="toy", shape=(16, 16, channels), num_classes=classes, size=9)
        generator = dcgan(spec, width=0.0625, latent_dim=4, conditional=classes > 0).generator
        generators.save(generator, made.setdefault(name, folder / f"{name}.keras"))
        if name == "grey":
            made["device"] = folder / "device.tflite"
            made["device"].write_bytes(export.to_tflite(generator))
    return made


def written(out, model, **options):
    return generate(GenerateOptions(model=model, out=out, **options))


@pytest.mark.parametrize("name", ["grey", "colour", "device"])
def test_a_folder_and_an_archive_hold_each_sample(models, tmp_path, monkeypatch, name):
    monkeypatch.setattr("experiments.drawing.PART", 3)
    drawn = draw(GenerateOptions(model=models[name], count=7, seed=5))
    pixels = images.to_uint8(drawn.samples)
    written(tmp_path / "all.npz", models[name], count=7, seed=5)
    written(tmp_path / "each", models[name], count=7, seed=5)
    with np.load(tmp_path / "all.npz") as archive:
        assert archive["arr_0"].dtype == np.uint8 and archive["arr_0"].shape == (7, 16, 16, 3)
        np.testing.assert_array_equal(archive["arr_0"], np.broadcast_to(pixels, (7, 16, 16, 3)))
        assert ("arr_1" in archive) == (name != "colour")
        if name != "colour":
            assert archive["arr_1"].tolist() == drawn.labels.tolist() == [0, 0, 0, 1, 1, 2, 2]
    paths = sorted((tmp_path / "each").iterdir())
    labels = drawn.labels if drawn.labels is not None else []
    if name != "colour":
        names = [f"{i:06d}_class{label}" for i, label in enumerate(labels)]
        assert [path.stem for path in paths] == names
    for path, expected in zip(paths, pixels, strict=True):
        assert np.asarray(Image.open(path)).tolist() == expected.squeeze().tolist()
    assert zipfile.ZipFile(tmp_path / "all.npz").testzip() is None


def test_each_seed_is_a_sample_of_its_own(models, tmp_path):
    written(tmp_path / "seeds", models["colour"], seeds=("3", "10-12"))
    names = [path.name for path in sorted((tmp_path / "seeds").iterdir())]
    assert names == [f"seed{seed:06d}.png" for seed in (3, 10, 11, 12)]
    alone = draw(GenerateOptions(model=models["colour"], count=1, seed=11)).samples[0]
    pixels = np.asarray(Image.open(tmp_path / "seeds" / "seed000011.png"))
    assert np.abs(pixels.astype(int) - images.to_uint8(alone)).max() <= 1  # another batch


def test_a_seeds_class_does_not_depend_on_the_other_seeds(models, tmp_path):
    some = written(tmp_path / "some", models["grey"], seeds=("4-9",))
    one = written(tmp_path / "one", models["grey"], seeds=("5",))
    assert some.labels.tolist() == [1, 2, 0, 1, 2, 0] and one.labels.tolist() == [2]
    two = written(tmp_path / "two", models["grey"], seeds=("4-9",), classes=("0", "2"))
    assert two.labels.tolist() == [0, 2] * 3


@pytest.mark.parametrize(
    ("name", "suffix"), [("grey", ".webp"), ("colour", ".webp"), ("colour", ".gif")]
)
def test_a_film_goes_round(models, tmp_path, name, suffix):
    samples = images.to_uint8(draw(GenerateOptions(model=models[name], count=3)).samples)
    written(out := tmp_path / f"walk{suffix}", models[name], count=3, interpolate=5, scale=2)
    film = Image.open(out)
    assert film.n_frames == 15 and film.size == (32, 32) and film.info["loop"] == 0
    frames = []
    for i in range(film.n_frames):
        film.seek(i)
        frames.append(np.asarray(film.convert("RGB"), int)[::2, ::2])
        assert film.info["duration"] == 40
    for sample, frame in zip(samples.astype(int), frames[::5], strict=True):
        assert np.abs(frame - sample).max() <= (1 if suffix == ".webp" else 48)
    # It goes by small steps, from the last sample to the first too.
    steps = [np.abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1])]
    ways = [np.abs(a - b).mean() for a, b in zip(samples.astype(float), np.roll(samples, -1, 0))]
    if name == "colour" and suffix == ".webp":
        assert max(steps) < max(ways)


def test_a_row_is_the_way_from_a_sample_to_the_next(models, tmp_path):
    drawing = written(tmp_path / "ways.png", models["grey"], count=3, interpolate=5, classes=("1",))
    z = latents(3, 4, 0)
    rows = drawing.z.reshape(2, 5, 4)
    np.testing.assert_allclose(rows[:, 0], z[:2], rtol=1e-6)
    np.testing.assert_allclose(rows[:, -1], z[1:], rtol=1e-6)
    # Half way on the circle through both ends: their sum, as long as such points are.
    cos = np.sum(z[0] * z[1]) / np.linalg.norm(z[0]) / np.linalg.norm(z[1])
    np.testing.assert_allclose(rows[0, 2], (z[0] + z[1]) / np.sqrt(2 + 2 * cos), rtol=1e-5)
    assert Image.open(tmp_path / "ways.png").size == (2 * (5 * 18 + 2), 2 * (2 * 18 + 2))
    assert set(drawing.labels) == {1}


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("a.jpg", {}, r"--out='a.jpg': expected a file that ends in .png, .npz, .gif, .webp, or"),
        ("full", {}, r"--out='full' is not empty: expected a new folder"),
        ("a.png", {"seeds": ("5-3",)}, r"--seeds='5-3': expected an ascending range"),
        ("a.png", {"seeds": ("x",)}, r"--seeds='x': expected numbers and ranges, such as 0-99"),
        ("a.png", {"seeds": ("0-9",), "count": 3}, r"--count=3: --seeds names 10; leave"),
        ("a.png", {"seeds": ("0-999999",)}, r"expected at most 100,000"),
        ("a.png", {"interpolate": 1}, r"--interpolate=1: expected 2 to 10,000"),
        ("a.gif", {"interpolate": 5, "count": 1}, r"--interpolate=5: expected two samples"),
        ("a.gif", {"count": 100_000}, r"3,000,000 pictures on its ways; expected at most 100,000"),
        ("a.gif", {"count": 2_000, "scale": 100}, r"film of .* pixels; expected at most"),
        ("a.png", {"seeds": ("1-3", "2")}, r"--seeds=1-3,2: a seed is named twice"),
        ("full.png", {}, r"--out='full.png' is a folder; expected the path of a file"),
    ],
)
def test_refusals_leave_nothing(models, tmp_path, monkeypatch, out, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.png").write_bytes(b"mine")
    (tmp_path / "full.png").mkdir()
    with pytest.raises(UserError, match=message):
        written(out, models["colour"], **options)
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()] == [
        "full/mine.png"
    ]
