"""The page about a run, read with a parser; its pictures with Pillow."""

import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from experiments.reporting import render, report
from experiments.reporting.pictures import embedded, spread
from experiments.reporting.reading import read
from experiments.settings import ReportOptions
from gan import files, plots
from gan.data.identity import Identity
from gan.data.spec import Spec
from gan.errors import UserError
from gan.images import save_png
from gan.metrics.declared import declared
from trainers.workdir import evaluations
from trainers.workdir.evaluations import Entry
from trainers.workdir.flags import write_flags
from trainers.workdir.lock import locked
from trainers.workdir.log import LogEvent, append_line
from trainers.workdir.paths import Workdir
from trainers.workdir.starts import Start, add_start

VOID = {"meta", "link", "img", "input", "br"}
ODD = '<img src=x onerror=alert("1")>&\x1b[2J'
SHOWN = '<img src=x onerror=alert("1")>&\\x1b[2J'
KEYS = declared(["fid", "neighbours"])


class Page(HTMLParser):
    """Collects rows of cells, pictures and text; checks that tags are paired."""

    def __init__(self, content):
        super().__init__()
        self.rows, self.pictures, self.attributes, self.words, self.tags = [], [], [], [], []
        self.open = []
        self.feed(content)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "img":
            self.pictures.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if "style" not in self.open:
            self.words.append(data)


def picture(attributes):
    kind, data = attributes["src"].split(",", 1)
    assert kind in ("data:image/png;base64", "data:image/webp;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def noise(side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def variant(name, factor):
    return {
        "name": name, "file": f"{name}.tflite", "bytes": 4000, "gzip_bytes": int(3000 * factor),
        "macs": 10, "params": 20, "sparsity": 0.125, "partitions": 1, "latency_ms": 0.25,
        "latency_2_threads_ms": 0.2, "peak_mb": 1.0, "fid": 2.0 / factor, "kid": 0.5,
        "precision": 0.5, "recall": 0.25, "psnr_db": None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A conditional run of a user's own images, with all that a run can have."""
    run = Workdir(tmp_path_factory.mktemp("runs") / "own")
    flags = {"trainer": "gan", "dataset": f"folder:{ODD}", "total_kimg": 4.0, "split": "train"}
    write_flags(run.folder, flags)
    versions, machine = {"keras": "3.15.1"}, {"cpu": "A & B", "cores": 2}
    networks = {"generator": 1_234_567, "discriminator": 89}
    command = f"python -m scripts.train '--dataset=folder:{ODD}'"
    for step in (0, 20):
        start = Start(step, 100 * step, "2026-01-02", command, machine, versions, networks)
        add_start(run.folder, start)
    spec = Spec("own", (8, 8, 3), 2, 4, class_names=(ODD, "b"), licence="CC0-1.0")
    sizes = {f"{ODD}/1.png": 5, f"{ODD}/2.png": 5, f"{ODD}/3.png": 5, "b/1.png": 5}
    files.write_json(run.data, Identity.of_files(spec, sizes).record())
    for step in range(10, 50, 10):
        values = {"loss/generator": 4.0 / step, "own_kind/x": 1.0, "eval/fid": 100.0 / step}
        event = LogEvent(step, 100 * step, 6.0 * step, values, {"fid": KEYS["fid"]}, "random")
        append_line(run.metrics, event.json())
    for images in range(0, 4001, 500):
        save_png(run.picture("fake", images), noise(24, images))
    save_png(run.picture("reals"), noise(24))
    save_png(run.folder / "neighbours.png", noise(30))
    subject = {"kind": "checkpoint", "step": 40, "images": 4000, "ema": True}
    protocol = {"num_samples": 2500, "seed": [0, 1], "feature_net": "random", "num_reference": 4}
    found = {"fid": 12.5, "neighbour_ratio": 1.5, "copied": 0.25}
    evaluations.add(run.evaluations, Entry(subject, protocol, found, KEYS, {"fid": 0.5}))
    device = run.device
    variants = [variant("float32", 1.0), variant("int8", 0.5)]
    record = {
        "variants": variants, "keras": {"fid": 1.9}, "protocol": {"num_samples": 99},
        "chosen": {"name": "int8", "why": ODD}, "about": {"step": 40},
    }  # fmt: skip
    files.write_json(device / "report.json", record)
    save_png(device / "report.png", noise(40))
    return run.folder


@pytest.fixture(scope="module")
def page(folder):
    return Page(render(read(folder)))


def test_it_needs_nothing_but_itself(folder, page):
    content = render(read(folder))
    names = {tag for tag, _ in page.tags}
    assert not {"script", "iframe", "object", "base", "form"} & names
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "data", "poster", "action"):
            assert value.startswith("data:")
    assert not any(word in content for word in ("http:", "https:", "url(", "@import"))
    assert len(page.pictures) >= 10
    for attributes in page.pictures:
        shown = picture(attributes)
        shown.load()
        wanted, got = (int(attributes[s]) for s in ("width", "height")), shown.size
        assert attributes.get("class") == "chart" or tuple(wanted) == got


def test_it_can_be_read_without_eyes(page):
    tags = dict(page.tags)
    assert tags["html"] == {"lang": "en"} and "Run own" in page.text
    assert {"main", "h1", "title", "footer"} <= set(tags)
    assert all(len(p["alt"]) > 5 for p in page.pictures)
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    assert all(a["aria-label"] for tag, a in page.tags if tag == "input")


def test_what_made_the_run_is_told_and_escaped(page):
    assert f"'--dataset=folder:{SHOWN}'" in page.text and "It was started 2 times" in page.text
    assert f"--dataset=folder:{SHOWN}" in page.text and "--total_kimg=4.0" in page.text
    assert [SHOWN, "3", "75.0%"] in page.rows and ["b", "1", "25.0%"] in page.rows
    assert "CC0-1.0" in page.text and "8 x 8 x 3 (H, W, C)" in page.text
    assert ["generator", "1,234,567"] in page.rows and "3.15.1" in page.text
    assert "A & B" in page.text
    assert "4 of 4 kimg (thousand images), 40 steps, 4.0 minutes of training." in page.text


def test_metrics_stand_with_their_protocol(page):
    assert ["fid[random] (lower is better)", "2.5", "4", "2.5", "4"] in page.rows
    assert ["fid[random]", "12.5 ± 0.5", "lower"] in page.rows
    told = "2,500 samples, against 4 real examples, feature net random, seeds 0, 1."
    assert told in page.text and "Checkpoint of step 40, 4 kimg, averaged weights" in page.text
    assert "1.5 times what is typical" in page.text and "25.0% of the samples" in page.text
    assert ["loss/generator", "0.1"] in page.rows and ["own_kind/x", "1"] in page.rows


@pytest.mark.skipif(not plots.available(), reason="matplotlib is not installed")
def test_curves_are_drawn_of_losses_metrics_and_own_kinds(page):
    alts = [p["alt"] for p in page.pictures if p.get("class") == "chart"]
    assert any("Losses" in alt and "loss/generator ends at 0.1" in alt for alt in alts)
    assert any("own_kind/x ends at 1" in alt for alt in alts)
    assert any("fid[random] (lower is better) ends at 2.5" in alt for alt in alts)


def test_pictures_over_time_are_the_first_the_last_and_some_between(page):
    fakes = [p for p in page.pictures if p["alt"].startswith("fake")]
    assert len(fakes) == 6
    for shown, images in ((fakes[0], 0), (fakes[-1], 4000)):
        np.testing.assert_array_equal(np.asarray(picture(shown)), noise(24, images))
    assert spread(range(9), 6) == [0, 2, 3, 5, 6, 8] and spread([1, 2], 6) == [1, 2]


def test_the_front_of_compressed_files(page):
    cells = next(row for row in page.rows if row[1:2] == ["int8"])
    head = next(row for row in page.rows if row[:2] == ["point", "variant"])
    row = dict(zip(head, cells))
    assert row["gzip kB"] == "1.5" and row["FID"] == "4" and row["ms"] == "0.250"
    assert f"Chosen: int8: {SHOWN}" in page.text and "99 samples." in page.text
    assert any(alt["alt"].endswith("float32, int8") for alt in page.pictures)


def test_large_pictures_become_small_files(tmp_path):
    save_png(tmp_path / "large.png", noise(500))
    source, size = embedded(tmp_path / "large.png", 100_000)
    assert len(source) < 140_000 and size == picture({"src": source}).size and max(size) >= 128
    run = Workdir(tmp_path / "run")
    write_flags(run.folder, {"trainer": "gan"})
    for images in range(6):
        for name in ("fake", "interpolation", "style_mixing"):
            save_png(run.picture(name, images), noise(350, images))
    assert len(render(read(run.folder))) < 5_000_000


def test_what_is_damaged_is_left_out_with_a_line(tmp_path, folder):
    run = Workdir(tmp_path / "run")
    write_flags(run.folder, {"trainer": "gan", "total_kimg": 9.0})
    lost = LogEvent(1, 100, 1.0, {"loss/generator": float("nan")}).json()
    run.metrics.write_text(f'{lost}\nnonsense\n{{"step": 2, "im')
    run.data.write_text("{")
    run.evaluations.write_text("[]")
    run.starts.write_text("[]\n")
    run.samples.mkdir()
    run.picture("fake", 0).write_bytes(b"\x89PNG\r\n")
    run.device.mkdir()
    (run.device / "report.json").write_text('{"variants": []}')
    page = Page(render(read(run.folder)))
    for what in (
        "metrics.jsonl: damaged line 2 is left out",
        "metrics.jsonl: its half-written last line is left out",
        "data.json is damaged (JSONDecodeError",
        "evaluation.json is damaged",
        "starts.jsonl: 1 damaged line is left out",
        "fake_000000.000kimg.png cannot be read",
        "report.json is damaged (StopIteration",
        "loss/generator was not finite at 0.1 kimg.",
        "Not trained to its end: 0.1 of 9 kimg",
    ):
        assert page.text.count(what) == 1, what


def test_a_run_that_has_nothing_yet(tmp_path):
    write_flags(tmp_path, {"trainer": "gan"})
    with locked(tmp_path):
        page = Page(render(read(tmp_path)))
    assert "In training. It has logged nothing yet." in page.text and page.pictures == []
    assert "only record of it" in page.text and "The run has drawn none." in page.text
    assert "In training" not in Page(render(read(tmp_path))).text
    assert "On a device" not in page.text and "Nearest" not in page.text


def test_without_matplotlib_numbers_stay(folder, monkeypatch):
    monkeypatch.setattr(plots, "available", lambda: False)
    page = Page(render(read(folder)))
    assert plots.NEEDED in page.text and ["loss/generator", "0.1"] in page.rows
    assert ["fid[random] (lower is better)", "2.5", "4", "2.5", "4"] in page.rows


def test_it_is_written_whole_where_it_should(folder, tmp_path):
    assert report(folder) == folder / "report.html"
    out = tmp_path / "new" / "page.html"
    assert report(folder, ReportOptions(out=out)) == out and out.read_bytes()[:9] == b"<!DOCTYPE"
    assert json.loads((folder / "device" / "report.json").read_text())["about"] == {"step": 40}
    for wrong, why in (("page.txt", "ends in .html"), (tmp_path / "new", "ends in .html")):
        with pytest.raises(UserError, match=why):
            report(folder, ReportOptions(out=wrong))
