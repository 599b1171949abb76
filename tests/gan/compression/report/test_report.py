import gzip
import hashlib
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan import plots
from gan.compression.device import cost, runner
from gan.compression.files import export
from gan.compression.report import charts, report, table
from gan.data.spec import Spec
from gan.files import write_whole
from gan.metrics.evaluation import Evaluator
from gan.sampling import KerasSampler, latents

FIELDS = [
    "name", "file", "bytes", "gzip_bytes", "macs", "params", "sparsity", "partitions",
    "latency_ms", "latency_2_threads_ms", "peak_mb", "fid", "kid", "precision", "recall", "psnr_db",
]  # fmt: skip
VARIANTS = ("float32", "int8", "slim0.5_int8")


class Brightness:
    """Stands where an Evaluator does: mean pixels of 8 samples instead of a feature net."""

    seed = 4
    num_samples = 8
    protocol = {"num_samples": 8, "dataset": "eights"}

    def __init__(self, source=None, **others):
        self.source, self.others = source, others

    def evaluate(self, sampler):
        if sampler.interface.image:
            return self.evaluate_images(map(sampler, self.inputs(sampler, self.num_samples)))
        return self.evaluate_images([sampler(latents(8, sampler.latent_dim, self.seed))])

    def inputs(self, translator, count):
        yield self.source.a[:count]

    def evaluate_images(self, batches):
        images = np.concatenate(list(batches))
        return {"fid": float(np.mean(images)) + len(images), **self.others}


class Pairs:
    """Ten unpaired images of two domains, in batches of whatever is asked for."""

    spec = Spec("pairs", (8, 8, 3), 0, 10, domains=("a", "b"))

    def __init__(self):
        rng = np.random.default_rng(0)
        self.a = rng.uniform(-1, 1, (10, 8, 8, 3)).astype(np.float32)

    def ordered(self, batch_size):
        return tf.data.Dataset.from_tensor_slices({"a": self.a, "b": -self.a}).batch(batch_size)


def convert(model, precision, **options):
    return export.to_tflite(model, precision=precision, **options)


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(2)
    z = keras.Input((6,), name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128, activation="relu")(z))
    x = keras.layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x)
    return keras.Model(z, x, name="generator")


@pytest.fixture(scope="module")
def files(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in VARIANTS:
        content = convert(generator, name.rsplit("_", 1)[-1])
        write_whole(folder / f"{name}.tflite", content)
    return {name: folder / f"{name}.tflite" for name in VARIANTS}


@pytest.fixture(scope="module")
def judged(files):
    evaluator = Brightness(kid=0.003, precision=0.75, recall=math.nan)
    return [
        report.judge(n, f, evaluator, reference=None if n == "float32" else files["float32"])
        for n, f in files.items()
    ]


def test_psnr_is_the_closed_form():
    a = np.zeros((2, 3))
    assert report.psnr_db(a + 0.2, a) == pytest.approx(10 * np.log10(4 / 0.04))
    assert report.psnr_db(a, a) == float("inf")


def test_every_field_is_of_the_file(files, judged):
    assert [v["name"] for v in judged] == list(VARIANTS)
    for v in judged:
        assert list(v) == FIELDS
        path = files[v["name"]]
        content = path.read_bytes()
        assert (v["file"], v["bytes"], v["partitions"]) == (path.name, len(content), 1)
        assert v["gzip_bytes"] == len(gzip.compress(content, 9, mtime=0)) < v["bytes"]
        assert (v["macs"], v["params"]) == (cost.macs(path), cost.params(path))
        assert v["sparsity"] == cost.sparsity(path)
        assert v["latency_ms"] > 0 and v["latency_2_threads_ms"] > 0 and v["peak_mb"] >= 0
        assert v["fid"] == Brightness().evaluate(runner.LiteRTSampler(path))["fid"]
        assert (v["kid"], v["precision"], v["recall"]) == (0.003, 0.75, None)
    first, second, _ = judged
    assert first["psnr_db"] is None
    z = latents(256, 6, 4)
    error = runner.LiteRTSampler(files["int8"])(z) - runner.LiteRTSampler(files["float32"])(z)
    assert second["psnr_db"] == pytest.approx(10 * np.log10(4 / np.mean(error**2)), rel=1e-4)
    assert second["psnr_db"] > 30
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged
    without = report.judge("float32", files["float32"], Brightness())
    assert (without["kid"], without["precision"], without["recall"]) == (None, None, None)


def test_threads_are_those_the_figure_names(files, monkeypatch):
    monkeypatch.setattr(runner, "latency_ms", lambda path, threads: 10.0 * threads)
    v = report.judge("int8", files["int8"], Brightness())
    assert (v["latency_ms"], v["latency_2_threads_ms"]) == (10.0, 20.0)


def test_identity_is_the_content(files, tmp_path):
    (tmp_path / "copy").write_bytes(files["int8"].read_bytes())
    assert report.identity(tmp_path / "copy") == report.identity(files["int8"])
    assert report.identity(files["int8"]) == hashlib.sha256(files["int8"].read_bytes()).hexdigest()
    assert report.identity(files["int8"]) != report.identity(files["float32"])


def test_a_real_evaluator_gives_every_metric(files):
    class Noise:
        spec = Spec("noise", (8, 8, 3), 0, 12)

        def ordered(self, batch_size):
            x = np.random.default_rng(1).uniform(-1, 1, (12, 8, 8, 3)).astype(np.float32)
            return tf.data.Dataset.from_tensor_slices({"x": x}).batch(batch_size)

    evaluator = Evaluator(Noise(), metrics=report.METRICS, num_samples=12)
    v = report.judge("int8", files["int8"], evaluator)
    sampler = runner.LiteRTSampler(files["int8"])
    found = evaluator.evaluate(sampler)
    assert (v["fid"], v["precision"]) == (found["fid"], found["precision"])
    assert v["kid"] == found["kid"]
    assert v["recall"] == found["recall"]


def test_the_folder_of_a_report(generator, files, judged, tmp_path):
    chosen = {"name": "int8", "why": "small enough"}
    evaluator = Brightness()
    beside = report.judge_keras(generator, evaluator)
    result = report.write_report(
        tmp_path, judged, files, keras=beside, evaluator=evaluator, generator=generator,
        columns=4, chosen=chosen, about={"run": "first <1>", "date": "2026-01-02T03:04:05+00:00"},
    )  # fmt: skip
    assert result["about"]["run"] == "first <1>"
    page = (tmp_path / "report.html").read_text()
    assert "<dd>first &lt;1&gt;</dd>" in page and "<dd>2026-01-02T03:04:05+00:00</dd>" in page
    assert json.loads((tmp_path / "report.json").read_text()) == result
    assert list(result) == ["about", "variants", "keras", "protocol", "chosen"]
    assert result["variants"] == judged and result["chosen"] == chosen
    assert result["keras"]["fid"] == evaluator.evaluate(KerasSampler(generator))["fid"]
    assert result["protocol"]["num_samples"] == 8 and result["protocol"]["batch_size"] == 1

    picture = np.asarray(Image.open(tmp_path / "comparison.png"))
    # 4 rows and columns of 8x8 pixels, 2 apart, 8 times enlarged, the labels on the left.
    margin = picture.shape[1] - 42 * 8
    assert picture.shape[0] == 42 * 8 and 60 < margin < 160
    float_row = runner.LiteRTSampler(files["float32"]).draw(4, seed=4)
    corner = picture[12 * 8 + 4, margin + 2 * 8 + 4]
    np.testing.assert_allclose(corner, (float_row[0, 0, 0] + 1) * 127.5, atol=1)
    assert (picture[:, :margin] < 128).any()

    chart = (tmp_path / "report.png").read_bytes()
    assert chart == charts.png(judged, chosen="int8")
    page = (tmp_path / "report.html").read_text()
    assert all(f">{name}</b>" in page for name in ("keras", *VARIANTS))
    assert "small enough" in page


def test_without_matplotlib_there_is_the_rest(files, judged, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "available", lambda: False)
    report.write_report(tmp_path, judged, files, keras={"fid": None}, evaluator=Brightness())
    cards = {f"{variant['name']}.md" for variant in judged}
    found = {p.name for p in tmp_path.iterdir()}
    assert found == {"comparison.png", "report.html", "report.json", *cards}


def test_without_its_pictures_there_is_no_report(files, judged, tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError("No space left on device")

    for module, function in ((report.images, "save_png"), (report, "write_whole")):
        with monkeypatch.context() as patch:
            patch.setattr(module, function, refuse)
            with pytest.raises(OSError, match="No space"):
                report.write_report(
                    tmp_path, judged, files, keras={"fid": 1.0}, evaluator=Brightness()
                )
        assert not (tmp_path / "report.json").exists()


def test_translators_are_judged_by_the_sources_images(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3), name="x")
    y = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    model = keras.Model(x, keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(y))
    source = Pairs()
    rows = [{"x": source.a[i : i + 1]} for i in range(10)]
    files = {name: tmp_path / f"{name}.tflite" for name in ("float32", "int8")}
    for name, path in files.items():
        data = {"data": lambda: iter(rows)} if name == "int8" else {}
        write_whole(path, convert(model, name, **data))
    evaluator = Brightness(source)
    judged = [
        report.judge("float32", files["float32"], evaluator),
        report.judge("int8", files["int8"], evaluator, reference=files["float32"]),
    ]
    wanted = np.asarray(model(source.a))
    # The first 8 of the first domain.
    assert judged[0]["fid"] == pytest.approx(8 + wanted[:8].mean(), abs=1e-5)
    assert report.judge_keras(model, evaluator)["fid"] == pytest.approx(judged[0]["fid"], abs=1e-5)
    got = [runner.LiteRTSampler(path)(source.a) for path in files.values()]
    assert judged[1]["psnr_db"] == pytest.approx(report.psnr_db(got[1], got[0]))
    given = report.judge("float32", files["float32"], evaluator, inputs=source.a[:3])
    assert given["fid"] == pytest.approx(3 + wanted[:3].mean(), abs=1e-5)

    report.write_report(
        tmp_path, judged, files, keras={"fid": 1.0}, evaluator=evaluator, generator=model, columns=5
    )
    picture = np.asarray(Image.open(tmp_path / "comparison.png"))
    assert picture.shape[0] == (4 * 10 + 2) * 8
    margin = picture.shape[1] - (5 * 10 + 2) * 8
    tile = picture[2 * 8 + 4 : 10 * 8 : 8, margin + 2 * 8 + 4 : margin + 10 * 8 : 8]
    np.testing.assert_allclose(tile, (source.a[0] + 1) * 127.5, atol=1)


def variant(name, **changes):
    return {
        "name": name, "gzip_bytes": 1_618_500, "macs": 2_107_392, "params": 434_849,
        "sparsity": 0.0, "latency_ms": 0.2, "fid": 0.8, "recall": 0.5, "psnr_db": None,
    } | changes  # fmt: skip


def test_the_table_of_a_terminal():
    name = "slim0.25_pruned0.7_qat_int8"
    small = variant(
        name, gzip_bytes=20_000, macs=999, params=41_234, sparsity=0.704, latency_ms=0.0084,
        fid=0.88, recall=None, psnr_db=8.84,
    )  # fmt: skip
    broken = variant("float16", fid=None)
    chosen = {"name": name, "why": "20.0 of 100 kB"}
    result = {"variants": [variant("float32"), broken, small], "keras": {"fid": 0.79}}
    lines = table.render(result | {"chosen": chosen}).splitlines()
    assert max(map(len, lines)) <= 110
    assert lines[1].split() == ["keras", "0.79", "0.988"]
    assert lines[2].split() == [
        "float32", "1,618.5", "1/1.0", "435k", "2.11M", "0.0%", "0.200", "0.8", "1.000", "0.5"
    ]  # fmt: skip
    assert "NaN" in lines[3]
    assert lines[4].split() == [
        name, "20.0", "1/80.9", "41.2k", "999", "70.4%", "0.008", "0.88", "1.100", "8.8", "*"
    ]  # fmt: skip
    assert lines[5] == "* chosen: 20.0 of 100 kB"
    assert "*" not in table.render(result)
    named = table.render(result | {"protocol": {"feature_net": "fashion"}}).splitlines()
    assert "FID[fashion]" in named[0] and "recall[fashion]" in named[0]


def test_a_report_of_before_is_shown_as_far_as_it_goes():
    old = {k: v for k, v in variant("float32").items() if k not in ("macs", "params", "recall")}
    text = table.render({"variants": [old], "keras": {"fid": 0.8}})
    assert text.splitlines()[2].split()[:4] == ["float32", "1,618.5", "1/1.0", "0.0%"]


def test_a_damaged_report_is_none_with_a_warning(judged, tmp_path, caplog):
    path = tmp_path / "report.json"
    assert report.read(path) is None and not caplog.records
    whole = {"variants": judged, "keras": {"fid": 1.0}, "protocol": {}, "chosen": None}
    path.write_text(json.dumps(whole))
    assert report.read(path) == whole
    for text in (path.read_text()[:-9], "[]", '{"variants": []}', json.dumps(whole | {"keras": 1})):
        path.write_text(text)
        assert report.read(path) is None
    path.write_bytes(b"\xff")
    assert report.read(path) is None
    assert caplog.text.count("is damaged") == 5
