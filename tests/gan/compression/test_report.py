import gzip
import json

import keras
import numpy as np
import pytest
from PIL import Image

from gan.compression import export, report, runner
from gan.files import write_whole
from gan.sampling import KerasSampler, latents


class Brightness:
    """Stands where an Evaluator does: the mean pixel of 8 samples instead of a feature net."""

    seed = 4
    protocol = {"num_samples": 8}

    def evaluate(self, sampler):
        return {"fid": float(np.mean(sampler(latents(8, sampler.latent_dim, self.seed))))}


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(2)
    z = keras.Input((6,), name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128, activation="relu")(z))
    x = keras.layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x)
    return keras.Model(z, x, name="generator")


def test_psnr_is_the_closed_form():
    a = np.zeros((2, 3))
    assert report.psnr_db(a + 0.2, a) == pytest.approx(10 * np.log10(4 / 0.04))
    assert report.psnr_db(a, a) == float("inf")


def test_the_report_is_of_the_files(generator, tmp_path):
    files = {name: tmp_path / f"{name}.tflite" for name in report.VARIANTS}
    for name, path in files.items():
        write_whole(path, export.to_tflite(generator, int8=name != "float32"))
    result = report.write_report(tmp_path, files, Brightness(), generator=generator, columns=4)
    assert json.loads((tmp_path / "report.json").read_text()) == result
    assert [v["name"] for v in result["variants"]] == ["float32", "int8", "pruned_int8"]
    for v in result["variants"]:
        assert list(v) == [
            "name",
            "file",
            "bytes",
            "gzip_bytes",
            "sparsity",
            "latency_ms",
            "partitions",
            "fid",
            "psnr_db",
        ]
        content = (tmp_path / v["file"]).read_bytes()
        assert (v["bytes"], v["partitions"]) == (len(content), 1)
        assert gzip.decompress(gzip.compress(content, 9)) == content
        assert v["gzip_bytes"] == len(gzip.compress(content, 9, mtime=0)) < v["bytes"]
        assert v["latency_ms"] > 0
        assert v["fid"] == Brightness().evaluate(runner.LiteRTSampler(files[v["name"]]))["fid"]
    first, second, _ = result["variants"]
    assert first["psnr_db"] is None
    z = latents(256, 6, 4)
    error = runner.LiteRTSampler(files["int8"])(z) - runner.LiteRTSampler(files["float32"])(z)
    assert second["psnr_db"] == pytest.approx(10 * np.log10(4 / np.mean(error**2)), rel=1e-4)
    assert second["psnr_db"] > 30
    assert result["keras"]["fid"] == Brightness().evaluate(KerasSampler(generator))["fid"]
    assert result["protocol"]["num_samples"] == 8

    text = report.table(result)
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["keras", *report.VARIANTS]
    assert f"{second['gzip_bytes']:,}" in text

    picture = np.asarray(Image.open(tmp_path / "comparison.png"))
    # 4 rows and columns of 8x8 pixels, 2 apart, 8 times enlarged, the labels on the left.
    assert picture.shape == (42 * 8, 90 + 42 * 8, 3)
    float_row = report.draw(runner.LiteRTSampler(files["float32"]), 4, 4)
    corner = picture[12 * 8 + 4, 90 + 2 * 8 + 4]
    np.testing.assert_allclose(corner, (float_row[0, 0, 0] + 1) * 127.5, atol=1)
    assert (picture[:, :90] < 128).any()


def test_without_its_picture_there_is_no_report(generator, tmp_path, monkeypatch):
    write_whole(tmp_path / "f.tflite", export.to_tflite(generator))

    def refuse(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(report.images, "save_png", refuse)
    with pytest.raises(OSError, match="No space"):
        report.write_report(
            tmp_path, {"float32": tmp_path / "f.tflite"}, Brightness(), generator=generator
        )
    assert not (tmp_path / "report.json").exists()


def test_a_grey_comparison_of_unequal_labels():
    rows = {"a": np.full((3, 32, 32, 1), -1.0), "b": np.full((3, 32, 32, 1), 1.0)}
    picture = report.comparison(rows)
    assert picture.shape == (70 * 2, 90 + 104 * 2, 3)
    assert (picture[30, 100] == 0).all()
    assert (picture[100, 100] == 255).all()
