import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks import image_grid
from callbacks.image_grid import ImageGrid
from gan.architectures import Networks
from gan.sampling import latents
from gan.scatter import scatter
from trainers.cyclegan import CycleGAN


def tile(picture: np.ndarray, row: int, column: int, size: int = 8, pad: int = 2) -> np.ndarray:
    top, left = pad + row * (size + pad), pad + column * (size + pad)
    return picture[top : top + size, left : left + size]


def png(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def tensorboard_images(workdir: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    events = EventAccumulator(str(workdir), size_guidance={"tensors": 0})
    events.Reload()
    found = {}
    for tag in events.Tags()["tensors"]:
        series = [(e.step, e.tensor_proto.string_val) for e in events.Tensors(tag)]
        # TensorBoard's image plugin: width, height, then one PNG each.
        found[tag] = [
            (s, np.asarray(Image.open(io.BytesIO(v[2])))) for s, v in series if len(v) > 2
        ]
    return found


def expected(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((image[..., 0] + 1) * 127.5), 0, 255).astype(np.uint8)


def test_pictures_of_an_unconditional_gan(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    trainer = make_gan(learning_rate=0.02, ema_rampup=1.0)
    grid = ImageGrid(source, tmp_path, image_every_kimg=0.032, rows=3, columns=4, seed=5)
    z = latents(12, 4, 5)
    before = trainer.inference().predict_on_batch(z)
    trainer.fit(source, total_kimg=0.08, steps_per_loop=2, callbacks=[grid])

    names = sorted(p.name for p in (tmp_path / "samples").iterdir())
    kimg = ["000000.000", "000000.032", "000000.064", "000000.080"]
    assert names == [
        *(f"fake_{k}kimg.png" for k in kimg),
        *(f"interpolation_{k}kimg.png" for k in kimg),
        "reals.png",
    ]

    first = png(tmp_path / "samples/fake_000000.000kimg.png")
    last = png(tmp_path / "samples/fake_000000.080kimg.png")
    assert first.shape == (3 * 10 + 2, 4 * 10 + 2)
    after = trainer.inference().predict_on_batch(z)  # The averaged weights, same z.
    assert not np.allclose(after, trainer.networks["generator"].predict_on_batch(z), atol=1e-3)
    for i in range(12):
        assert np.array_equal(tile(first, i // 4, i % 4), expected(before[i]))
        assert np.array_equal(tile(last, i // 4, i % 4), expected(after[i]))

    # Interpolation: both ends are samples, and every step of a row differs from the one before.
    ends = latents(6, 4, 6)
    between = png(tmp_path / "samples/interpolation_000000.080kimg.png")
    for row in range(3):
        pair = trainer.inference().predict_on_batch(ends[2 * row : 2 * row + 2])
        for column, image in ((0, pair[0]), (3, pair[1])):
            difference = tile(between, row, column).astype(int) - expected(image)
            assert np.abs(difference).max() <= 1
        for column in range(3):
            assert (tile(between, row, column) != tile(between, row, column + 1)).any()

    # The reals are examples of the source.
    shades = {int(expected(x)[0, 0]) for x in source.examples["x"]}
    reals = png(tmp_path / "samples/reals.png")
    seen = {int(tile(reals, r, c)[0, 0]) for r in range(3) for c in range(4)}
    assert seen <= shades
    assert len(seen) > 6

    # TensorBoard holds the very same pixels, against images seen.
    shown = tensorboard_images(tmp_path)
    assert [s for s, _ in shown["samples/fake"]] == [0, 32, 64, 80]
    assert np.array_equal(shown["samples/fake"][0][1], first)
    assert np.array_equal(shown["samples/fake"][-1][1], last)
    assert np.array_equal(shown["samples/interpolation"][-1][1], between)
    assert [s for s, _ in shown["samples/reals"]] == [0]
    assert np.array_equal(shown["samples/reals"][0][1], reals)


def test_a_row_a_class(make_gan: Callable[..., Any], source: Any, tmp_path: Path) -> None:
    trainer = make_gan(conditional=True)
    trainer.fit(
        source, total_kimg=0.016, callbacks=[ImageGrid(source, tmp_path, rows=3, columns=4)]
    )
    picture = png(tmp_path / "samples/fake_000000.016kimg.png")
    assert picture.shape == (2 * 10 + 2, 4 * 10 + 2)
    z = latents(4, 4, 0)  # One z a column.
    for label in (0, 1):
        x = trainer.inference().predict_on_batch([z, np.full(4, label, np.int32)])
        for column in range(4):
            difference = tile(picture, label, column).astype(int) - expected(x[column])
            assert np.abs(difference).max() <= 1
    reals = png(tmp_path / "samples/reals.png")
    for column in range(4):  # Class 0 is dark, class 1 bright.
        assert tile(reals, 0, column).mean() < 128 < tile(reals, 1, column).mean()


def test_a_resumed_run_draws_on_without_repeating(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    trainer = make_gan()
    options = {"image_every_kimg": 0.032, "rows": 2, "columns": 2}
    trainer.fit(source, total_kimg=0.032, callbacks=[ImageGrid(source, tmp_path, **options)])
    trainer.fit(source, total_kimg=0.064, callbacks=[ImageGrid(source, tmp_path, **options)])
    # Files begun within one second are read in the order of their names, of which 10 is before 9.
    steps = sorted(s for s, _ in tensorboard_images(tmp_path)["samples/fake"])
    assert steps == [0, 32, 64]


def translator(spec: Any) -> Networks:
    x = keras.Input(spec.shape, name="x")
    y = keras.layers.Conv2D(spec.shape[-1], 3, padding="same", activation="tanh")(x)
    logits = keras.layers.Conv2D(1, 3)(x)
    return Networks(keras.Model(x, y), keras.Model(x, logits))


def test_there_and_back(make_source: Callable[..., Any], tmp_path: Path) -> None:
    source = make_source(shape=(8, 8, 3), num_classes=0, domains=("a", "b"))
    trainer = CycleGAN(translator, source.spec, batch_size=2, ema_half_life_kimg=0.01)
    trainer.fit(
        source, total_kimg=0.008, callbacks=[ImageGrid(source, tmp_path, rows=2, columns=2, seed=7)]
    )
    batch = next(iter(source.pipeline(4, seed=7)))
    for name, domain in (("a_b_a", "a"), ("b_a_b", "b")):
        picture = png(tmp_path / f"samples/{name}_000000.008kimg.png")
        assert picture.shape == (2 * 10 + 2, 2 * (3 * 10 + 2), 3)
        there = trainer.inference(f"generator_{name[:3].replace('_', '')}")
        back = trainer.inference(f"generator_{name[2:].replace('_', '')}")
        real = np.asarray(batch[domain])
        translated = there.predict_on_batch(real)
        rows = [real, translated, back.predict_on_batch(translated)]
        for i in range(4):
            for j, images in enumerate(rows):
                half = picture[:, :32] if i % 2 == 0 else picture[:, 32:]
                got = tile(half, i // 2, j).astype(int)
                want = np.rint((images[i] + 1) * 127.5)
                assert np.abs(got - want).max() <= 1
    assert not (tmp_path / "samples/reals.png").exists()  # Every triple begins with one.
    assert set(tensorboard_images(tmp_path)) == {"samples/a_b_a", "samples/b_a_b"}


def test_mixtures_are_scattered(
    make_gan: Callable[..., Any], make_source: Callable[..., Any], tmp_path: Path
) -> None:
    source = make_source(shape=(2,), num_classes=0)
    source.centers = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], np.float32)
    trainer = make_gan(source.spec)
    trainer.fit(source, total_kimg=0.016, callbacks=[ImageGrid(source, tmp_path)])
    assert png(tmp_path / "samples/fake_000000.016kimg.png").shape == (512, 512, 3)
    assert png(tmp_path / "samples/reals.png").shape == (512, 512, 3)


def test_scatter_puts_points_where_they_are() -> None:
    points = np.array([[1.0, 0.5]] * 20 + [[5.0, 0.0], [np.nan, 0.0]])
    picture = scatter(points, np.array([[-1.0, -0.5]]), limit=2.0).astype(int)
    assert picture.shape == (512, 512, 3)
    blue = picture[..., 2] - picture[..., 0]
    rows, columns = np.nonzero(blue > 40)
    assert rows.mean() == pytest.approx((0.5 - 0.5 / 4) * 511, abs=1.5)  # y points upwards.
    assert columns.mean() == pytest.approx((0.5 + 1.0 / 4) * 511, abs=1.5)
    assert np.ptp(rows) <= 4
    grey = np.argwhere((blue == 0) & (picture[..., 0] < 230))
    assert grey.mean(axis=0) == pytest.approx([0.625 * 511, 0.25 * 511], abs=1.5)


def test_a_full_disk_ends_training_in_its_error(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, image: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_grid, "save_png", refuse)
    with pytest.raises(OSError, match="No space left"):
        make_gan().fit(source, total_kimg=0.064, callbacks=[ImageGrid(source, tmp_path)])
