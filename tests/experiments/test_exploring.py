"""What a generator's latent space holds, as pictures and archives that are read back."""

import numpy as np
import pytest
from PIL import Image

from experiments.generating import generate
from experiments.settings import GenerateOptions
from gan import generators, images
from gan.architectures.dcgan import dcgan
from gan.architectures.stylegan2 import stylegan2
from gan.compression.files import export
from gan.data.spec import Spec
from gan.errors import UserError
from gan.latent_spaces import latent_space
from gan.sampling import latents


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Conditional and grey, and the same in LiteRT; in colour, with styles."""
    folder = tmp_path_factory.mktemp("models")
    grey = Spec(name="toy", shape=(16, 16, 1), num_classes=3, size=9, class_names=("a", "b", "c"))
    colour = Spec(name="toy", shape=(16, 16, 3), num_classes=0, size=9)
    made = {
        "grey": dcgan(grey, width=0.0625, latent_dim=4, conditional=True).generator,
        "styles": stylegan2(colour, width=1 / 64, latent_dim=8, mapping_layers=2).generator,
    }
    rng = np.random.default_rng(0)
    for generator in made.values():
        for weight in generator.trainable_variables:
            weight.assign_add(0.2 * rng.normal(size=weight.shape))
    paths = {name: folder / f"{name}.keras" for name in made}
    for name, generator in made.items():
        generators.save(generator, paths[name])
    paths["device"] = folder / "device.tflite"
    paths["device"].write_bytes(export.to_tflite(made["grey"]))
    return paths


def written(out, model, **options):
    return generate(GenerateOptions(model=model, out=out, **options))


def cells(path, columns, side=16):
    """The grid's pictures, row by row, without the frame of 2 pixels."""
    pixels = np.asarray(Image.open(path).convert("RGB"), int)
    step = side + 2
    rows = pixels.shape[0] // step
    return np.array(
        [
            pixels[2 + i * step :, 2 + j * step :][:side, :side]
            for i in range(rows)
            for j in range(columns)
        ]
    )


def near(found, samples, most=1):
    expected = np.broadcast_to(images.to_uint8(samples), (*samples.shape[:3], 3)).astype(int)
    assert np.abs(found - expected).max() <= most


@pytest.mark.parametrize("name", ["grey", "device"])
def test_a_class_grid_has_one_z_in_each_class(models, tmp_path, name):
    drawing = written(
        tmp_path / "a.png", models[name], class_grid=True, count=3, classes=("c", "a"), scale=1
    )
    assert drawing.labels.tolist() == [2, 2, 2, 0, 0, 0]
    np.testing.assert_array_equal(drawing.z[:3], drawing.z[3:])
    np.testing.assert_array_equal(drawing.z[:3], latents(3, 4, 0))
    sampler = generators.load(models[name])
    expected = sampler(drawing.z, drawing.labels)
    near(cells(tmp_path / "a.png", 3), expected)
    written(tmp_path / "each", models[name], class_grid=True, seeds=("7", "9"))
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert names == [f"seed{s:06d}_class{c}.png" for s in (7, 9) for c in range(3)]


def test_style_mixing_has_its_sources_at_the_sides(models, tmp_path):
    out = tmp_path / "mixing.png"
    written(out, models["styles"], style_mixing=True, count=5, columns=3, scale=1)
    found = cells(out, 4)
    assert (found[0] == 255).all()
    sampler = generators.load(models["styles"])
    sources = sampler(latents(5, 8, 0))
    near(found[1:4], sources[:3])
    near(found[[4, 8]], sources[3:])
    space = latent_space(sampler)
    w = space.points(latents(5, 8, 0), None)
    half = space.styles.count // 2
    mixed = np.concatenate([np.repeat(w[4:5, None], half, 1), np.repeat(w[1:2, None], half, 1)], 1)
    near(found[10:11], space(mixed))
    drawing = written(tmp_path / "m.npz", models["styles"], style_mixing=True, seeds=("1-4",))
    assert len(drawing) == 2 + 2 * 3 and drawing.names[3:5] == ("seed000003_seed000001",) * 1 + (
        "seed000003_seed000002",
    )


@pytest.mark.parametrize("name", ["grey", "device", "styles"])
def test_a_row_moves_one_image_along_one_direction(models, tmp_path, name):
    out = tmp_path / "directions.npz"
    drawing = written(out, models[name], directions="ganspace", count=2, interpolate=5, seed=3)
    with np.load(out) as archive:
        vectors, spreads = archive["directions"], archive["spreads"]
        points = archive["w" if name == "styles" else "z"].reshape(2, 5, -1)
        assert archive["arr_0"].shape[0] == 10
    sampler = generators.load(models[name])
    z = sampler.latents(1, 3)
    label = None if name == "styles" else np.zeros(1, np.int32)
    start = latent_space(sampler).points(z, label)
    strengths = np.array([-3, -1.5, 0, 1.5, 3])[None, :, None]
    np.testing.assert_allclose(
        points, start + strengths * (vectors * spreads[:, None])[:, None], rtol=1e-4, atol=1e-5
    )
    assert drawing.labels is None or set(drawing.labels) == {0}
    assert drawing.told[0].startswith("direction 0: ")
    film = written(tmp_path / "d.webp", models[name], directions="ganspace", count=2, interpolate=8)
    assert Image.open(tmp_path / "d.webp").n_frames == len(film) == 16


@pytest.mark.parametrize("name", ["grey", "styles"])
def test_projections_are_drawn_again_from_their_archive(models, tmp_path, name):
    sampler = generators.load(models[name])
    z = sampler.latents(2, 11)
    label = np.array([1, 2], np.int32) if name == "grey" else None
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, image in enumerate(images.to_uint8(sampler(z, label))):
        images.picture(image).save(folder / f"{i}.png")
    options = {"project": folder, "project_steps": 30}
    out = tmp_path / "found.npz"
    drawing = written(out, models[name], **options)
    assert drawing.told[0].startswith("PSNR ")
    with np.load(out) as archive:
        pixels, psnr = archive["arr_0"], archive["psnr"]
    again = written(tmp_path / "again.npz", models[name], latents=out)
    with np.load(tmp_path / "again.npz") as archive:
        np.testing.assert_array_equal(archive["arr_0"], pixels)
    np.testing.assert_array_equal(again.z, drawing.z)
    photos = np.array([np.asarray(Image.open(p).convert("RGB")) for p in sorted(folder.iterdir())])
    error = ((pixels.astype(float) - photos) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(psnr, 10 * np.log10(255**2 / error), atol=1.0)  # both rounded
    # One photo, beside what was found; and the way from one to the other.
    written(tmp_path / "one.png", models[name], project=folder / "0.png", project_steps=0, scale=1)
    assert Image.open(tmp_path / "one.png").size == (2 * 16 + 4, 16 + 4)
    way = written(tmp_path / "way.png", models[name], latents=out, interpolate=3)
    np.testing.assert_allclose(way.z[[0, 2]], drawing.z, rtol=1e-5)
    if name == "styles":
        np.testing.assert_allclose(way.z[1], drawing.z.mean(axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("styles", {"class_grid": True}, "--class_grid: this generator is not conditional"),
        ("grey", {"style_mixing": True}, "--style_mixing: only a generator with styles"),
        ("grey", {"directions": "sifa"}, "--directions: 'sifa' is not known. .*sefa"),
        ("grey", {"directions": "sefa", "count": 5}, "--count=5: z has 4 directions"),
        ("grey", {"directions": "sefa", "seeds": ("1-2",)}, "--directions moves one image"),
        ("device", {"directions": "sefa"}, "file has no gradient: take the run"),
        (
            "grey",
            {"directions": "sefa", "class_grid": True},
            "--class_grid and --directions: expec",
        ),
        ("grey", {"class_grid": True, "interpolate": 4}, "--class_grid takes no --interpolate"),
        ("grey", {"directions": "sefa", "columns": 3}, "--directions takes no --columns"),
        ("grey", {"latents": "Z", "classes": ("a",)}, "--latents takes no --classes"),
        ("grey", {"class_grid": True, "out": "a.webp"}, "--class_grid makes a picture, or samples"),
        ("grey", {"project": "/no/such.png"}, "--project='/no/such.png': no such folder"),
        ("grey", {"project": __file__}, "--project='.*test_exploring.py' cannot be read: "),
        ("device", {"project": "IMAGE"}, "file has no gradient: take the run"),
        ("grey", {"project_steps": -1, "project": "IMAGE"}, "--project_steps=-1: expected 0 to"),
        ("grey", {"latents": "/no/such.npz"}, "--latents='/no/such.npz' cannot be read: No such"),
        ("grey", {"latents": __file__}, "--latents='.*test_exploring.py' cannot be read: "),
        ("styles", {"latents": "Z"}, "expected w of shape .N, 8., as --project writes it"),
        ("grey", {"latents": "Z"}, r"expected z of shape \(N, 4\).*; got float32 \(2, 3\)"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(models, tmp_path, name, options, message):
    Image.new("L", (20, 30)).save(tmp_path / "image.png")
    np.savez(tmp_path / "z.npz", z=np.zeros((2, 3), np.float32))
    stand_in = {"IMAGE": tmp_path / "image.png", "Z": tmp_path / "z.npz"}
    options = {k: stand_in.get(v, v) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(UserError, match=message) as error:
        written(tmp_path / options.pop("out", "a.png"), models[name], **options)
    assert "\n" not in str(error.value) and not (tmp_path / "a.png").exists()
