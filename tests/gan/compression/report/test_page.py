"""The page, read as a browser would: with a parser, and its pictures with PIL."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from gan.compression.report import charts, page

VOID = {"meta", "link", "img", "br"}
ODD = 'odd<script>alert("1")&_int8'


class Reader(HTMLParser):
    """Collects the cells of the table, the pictures, the text, and checks that tags are paired."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.pictures, self.attributes, self.words = [], {}, [], []
        self.tags, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.attributes += list(attrs.items())
        if tag == "tr":
            self.rows.append([attrs.get("class", "")])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "img":
            self.pictures[attrs["alt"]] = attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data
        if "style" not in self._open:
            self.words.append(data)


def variant(name, factor=1.0, **changes):
    return {
        "name": name,
        "file": f"{name}.tflite",
        "bytes": int(1_743_184 * factor),
        "gzip_bytes": int(1_618_500 * factor),
        "macs": 2_107_392,
        "params": 434_849,
        "sparsity": 0.125,
        "partitions": 1,
        "latency_ms": 0.2 * factor,
        "latency_2_threads_ms": 0.15,
        "peak_mb": 5.25,
        "fid": 0.8 / factor,
        "kid": 0.00125,
        "precision": 0.75,
        "recall": 0.5,
        "psnr_db": None,
    } | changes


def pictures():
    rng = np.random.default_rng(0)
    grids = [rng.integers(0, 256, (152, 152, 1), np.uint8) for _ in range(4)]
    return dict(zip(["keras", "float32", ODD, "int8"], grids))


@pytest.fixture(scope="module")
def report():
    return {
        "variants": [variant("float32"), variant(ODD, 0.5, fid=None), variant("int8", 0.25)],
        "keras": {"fid": 0.81, "kid": None, "precision": None, "recall": None},
        "protocol": {"dataset": "<images> & co", "num_samples": 10_000, "versions": {"numpy": "2"}},
        "chosen": {"name": "int8", "why": 'FID < 4 & "small"'},
    }


@pytest.fixture(scope="module")
def text(report):
    grids = {name: charts.grid_png(grid) for name, grid in pictures().items()}
    return page.render(report, grids, charts.grid_png(np.zeros((9, 9, 1), np.uint8))[0])


def test_it_needs_nothing_but_itself(text):
    reader = Reader(text)
    assert not {"script", "iframe", "object", "base"} & set(reader.tags)
    for name, value in reader.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "data", "poster", "action"):
            assert value.startswith("data:")
    for reference in ("http:", "https:", "url(", "@import", 'src="/'):
        assert reference not in text
    assert text.startswith("<!DOCTYPE html>") and 'charset="utf-8"' in text


def test_every_variant_stands_in_the_table(text, report):
    rows = Reader(text).rows
    assert len(rows) == 1 + 1 + 3
    head = rows[0][1:]
    assert [row[2] for row in rows[1:]] == ["keras", "float32", ODD, "int8"]
    assert [row[0] for row in rows[1:]] == ["", "", "", "marked"]
    cells = dict(zip(head, rows[2][1:]))
    assert cells["gzip kB"] == "1,618.5" and cells["MACs"] == "2,107,392"
    assert cells["zeros"] == "12.5%" and cells["FID"] == "0.8" and cells["parts"] == "1"
    assert cells["KID"] == "0.00125" and cells["PSNR dB"] == "\u2013"
    assert dict(zip(head, rows[3][1:]))["FID"] == "\u2013"
    assert dict(zip(head, rows[1][1:]))["FID"] == "0.81"
    assert dict(zip(head, rows[1][1:]))["MACs"] == ""


def test_pictures_are_the_pixels_given(text):
    found = Reader(text).pictures
    assert list(found) == ["report", *pictures()]
    for name, wanted in pictures().items():
        kind, data = found[name]["src"].split(",", 1)
        assert kind == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data)))
        np.testing.assert_array_equal(np.asarray(picture), wanted.repeat(3, axis=-1))
        # Shown in whole pixels, so that none is wider than another.
        assert int(found[name]["width"]) == 304


def test_the_choice_its_reason_and_the_protocol_are_told(text):
    words = "".join(Reader(text).words)
    assert "Chosen: int8" in words and 'FID < 4 & "small"' in words
    # A quarter of the bytes, a quarter of the time, four times the FID.
    assert "4.0\u00d7fewer gzip bytes" in words and "4.0\u00d7lower latency" in words
    assert "4.000\u00d7FID of float32" in words and "+0.000recall" in words
    assert "Compressed generators of <images> & co" in words
    assert "10,000 samples" in words and "numpy 2" in words
    assert "FID not finite" in words


def test_without_choice_chart_and_pictures_there_is_a_page(report):
    reader = Reader(page.render({**report, "chosen": None}, {}))
    words = "".join(reader.words)
    assert "Chosen" not in words and reader.pictures == {} and len(reader.rows) == 5
    chosen = {"name": "float32", "why": "nothing else fits"}
    assert "fewer" not in "".join(Reader(page.render({**report, "chosen": chosen}, {})).words)


def test_a_choice_that_is_slower_says_so(report):
    variants = [variant("float32"), variant("int8", 0.5, latency_ms=0.5)]
    reader = Reader(page.render({**report, "variants": variants}, {}))
    words = "".join(reader.words)
    assert "2.5\u00d7higher latency" in words and "2.0\u00d7fewer gzip bytes" in words
