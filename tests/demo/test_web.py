"""The page in a real browser, against the Python interpreter on the same file."""

import contextlib
import functools
import gzip
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
from chromium import browser

from experiments import page as web_page
from experiments import serving as web
from gan.architectures.dcgan import dcgan
from gan.compression.device.runner import LiteRTSampler
from gan.compression.files.export import to_tflite
from gan.data.spec import Spec
from gan.directions import ganspace
from gan.errors import UserError
from gan.latent_spaces import latent_space
from gan.sampling import KerasSampler, balanced_labels, latents

LATENT = 16
CLASSES = 10
NAMES = tuple(f"kind {k}" for k in range(CLASSES))
# name -> channels, conditional, precision
FILES = {
    "int8": (1, False, "int8"),
    "float32": (1, False, "float32"),
    "conditional_int8": (1, True, "int8"),
    "rgb_int8": (3, False, "int8"),
}


@pytest.fixture(scope="module")
def packages():
    if not (web_page.PAGE / "node_modules").is_dir():
        pytest.skip("demo/web/node_modules is not there: npm ci --prefix demo/web")


@pytest.fixture(scope="module")
def tab(tmp_path_factory, packages):
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip("Chromium is not installed")
    with browser(executable, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def generator(channels, conditional):
    """Random weights whose images are as far from grey as a trained generator's."""
    keras.utils.set_random_seed(3)
    spec = Spec("x", (28, 28, channels), CLASSES, 100, class_names=NAMES)
    model = dcgan(spec, width=0.25, latent_dim=LATENT, conditional=conditional).generator
    z, label = latents(100, LATENT, 5), balanced_labels(100, CLASSES)
    for _ in range(12):  # batch norm's averages settle
        model([z, label] if conditional else z, training=True)
    to_image = model.get_layer("to_image")
    grey = np.arctanh(
        np.clip(KerasSampler(model)(z, label if conditional else None), -0.999, 0.999)
    )
    to_image.set_weights([w / grey.std() for w in to_image.get_weights()])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, (channels, conditional, precision) in FILES.items():
        model = generator(channels, conditional)
        (folder / f"{name}.tflite").write_bytes(
            to_tflite(model, precision=precision, calibration=20)
        )
    return folder


@contextlib.contextmanager
def serving(path):
    """The page's address, while the server runs in a thread; and the server."""
    with web.make_server(path) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{web.HOST}:{server.server_address[1]}", server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def page(request, tab, files):
    """A file's page, opened and drawn; and the Python interpreter on the same file."""
    path = files / f"{request.param}.tflite"
    with serving(path) as (address, _):
        tab.open(address)
        tab.evaluate("tapestry.ready")
        yield address, LiteRTSampler(path)


def uint8(images):
    return np.rint((np.asarray(images) + 1) * 127.5).astype(int)


def assert_alike(ours, theirs):
    """At most 2/255 apart, and pictures at all."""
    assert ours.shape == theirs.shape
    assert theirs.std() > 40
    assert theirs.std(axis=0).max() > 40  # images differ
    assert np.abs(ours - theirs).max() <= 2


def canvases(tab, channels):
    """What the grid shows: int (64, 28, 28, channels)."""
    rgba = tab.evaluate(
        "[...document.querySelectorAll('#grid canvas')].map(c =>"
        " [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data])"
    )
    rgba = np.asarray(rgba).reshape(-1, 28, 28, 4)
    assert (rgba[..., 3] == 255).all()
    if channels == 1:
        assert (rgba[..., :3] == rgba[..., :1]).all()
    return rgba[..., :channels]


def mix(x):
    x = np.uint32(x)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def normals(seed, count):
    """NumPy's reading of what demo/web/random.js documents; count is even."""
    with np.errstate(over="ignore"):
        start = mix(np.asarray([seed], np.uint32))
        words = mix(start + np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9))
    a, b = words.astype(np.float64).reshape(-1, 2).T
    radius, angle = np.sqrt(-2 * np.log((a + 1) / 2**32)), 2 * np.pi * b / 2**32
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()


def page_z(seed, amounts=(0, 0, 0, 0), ways=((0,) * LATENT,) * 4):
    """z of the page's 64 samples, its sliders at `amounts` of `ways`: float (64, LATENT)."""
    z = normals(seed, 64 * LATENT).reshape(64, LATENT)
    there = z + np.sqrt(LATENT) * np.asarray(amounts) @ np.asarray(ways)
    return there * np.linalg.norm(z, axis=1, keepdims=True) / np.linalg.norm(there, axis=1)[:, None]


def set_value(tab, selector, value, event):
    """As a user would: the value, then the event that the control fires; waits for the drawing."""
    tab.evaluate(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
        f" e.value = {json.dumps(value)}; e.dispatchEvent(new Event('{event}', {{bubbles: true}}));"
        " return tapestry.drawn(); })()"
    )


@pytest.mark.parametrize("page", FILES, indirect=True)
def test_draws_what_python_draws(page, tab):
    address, sampler = page
    z = latents(24, LATENT, 11)
    label = balanced_labels(24, CLASSES) if sampler.num_classes else None
    calls = [
        [row.tolist()] + ([int(label[i])] if label is not None else []) for i, row in enumerate(z)
    ]
    ours = tab.evaluate(
        f"Promise.all({json.dumps(calls)}.map(async ([z, label]) =>"
        " [...await tapestry.generate(Float32Array.from(z), label)]))"
    )
    assert_alike(uint8(ours).reshape(24, *sampler.shape), uint8(sampler(z, label)))
    assert all(url.startswith((address, "data:")) for url in tab.requested())
    assert f"{address}/model.tflite" in tab.requested()


@pytest.mark.parametrize("page", ["int8", "rgb_int8"], indirect=True)
def test_grid_shows_the_seed_and_follows_the_sliders(page, tab):
    address, sampler = page
    channels = sampler.shape[-1]
    with urllib.request.urlopen(f"{address}/directions.json") as answer:
        found = json.load(answer)
    ways = ganspace(latent_space(sampler), 4, samples=1024)
    np.testing.assert_allclose(found["vectors"], ways.vectors, atol=1e-5)
    tab.evaluate("tapestry.explored")
    titles = tab.evaluate("[...document.querySelectorAll('#sliders label')].map((l) => l.title)")
    assert titles == [f"{100 * s:.0f}% of what samples differ by" for s in found["shares"]]
    shown = canvases(tab, channels)
    assert_alike(shown, uint8(sampler(page_z(0))))
    set_value(tab, "#seed", "77", "input")
    assert_alike(canvases(tab, channels), uint8(sampler(page_z(77))))
    set_value(tab, "#sliders label:nth-child(3) input", "-0.75", "input")
    moved = canvases(tab, channels)
    assert_alike(moved, uint8(sampler(page_z(77, (0, 0, -0.75, 0), ways.vectors))))
    tab.evaluate("(document.getElementById('reset').click(), tapestry.drawn())")
    assert_alike(canvases(tab, channels), uint8(sampler(page_z(77))))
    tab.evaluate("(document.getElementById('shuffle').click(), tapestry.drawn())")
    seed = int(tab.evaluate("document.getElementById('seed').value"))
    assert_alike(canvases(tab, channels), uint8(sampler(page_z(seed))))
    assert float(tab.evaluate("document.getElementById('speed').textContent")) > 0
    assert not tab.evaluate("document.getElementById('class').checkVisibility()")


@pytest.mark.parametrize("page", ["conditional_int8"], indirect=True)
def test_class_selector(page, tab):
    _, sampler = page
    z = page_z(0)
    assert tab.evaluate("document.getElementById('class').checkVisibility()")
    classes = "[...document.querySelectorAll('#class option')].map((o) => o.textContent)"
    assert tab.evaluate(classes)[1:] == list(NAMES)
    mixed = uint8(sampler(z, np.arange(64) % CLASSES))
    assert_alike(canvases(tab, 1), mixed)
    set_value(tab, "#class", "7", "change")
    sevens = uint8(sampler(z, np.full(64, 7)))
    assert_alike(canvases(tab, 1), sevens)
    assert np.abs(sevens - mixed).max() > 40  # the label matters


@pytest.mark.parametrize("page", ["int8"], indirect=True)
def test_numbers_of_the_page(page, tab):
    """The documented generator, and moments of N(0, 1) that no seed of it should miss."""
    del page
    for seed in (0, 1, 2**32 - 1):
        ours = np.asarray(tab.evaluate(f"[...tapestry.normals({seed}, 20000)]"))
        np.testing.assert_allclose(ours, normals(seed, 20000), atol=1e-6)
        assert abs(ours.mean()) < 0.03
        assert abs(ours.std() - 1) < 0.03
        assert abs(np.corrcoef(ours[:-1], ours[1:])[0, 1]) < 0.03


@pytest.mark.parametrize("page", ["conditional_int8"], indirect=True)
def test_wrong_inputs_are_refused(page, tab):
    del page
    for call, message in {
        "new Float32Array(3), 0": "z has 3 numbers; conditional_int8.tflite takes 16.",
        "new Float32Array(16)": "label is undefined; conditional_int8.tflite takes 0 to 9.",
        "new Float32Array(16), 10": "label is 10; conditional_int8.tflite takes 0 to 9.",
    }.items():
        got = tab.evaluate(f"tapestry.generate({call}).then(() => 'drawn', (e) => e.message)")
        assert got == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a model at all", "LiteRT.js cannot load int8.tflite"),
        (None, "model.tflite is not there (HTTP 404)"),
    ],
)
def test_the_page_says_what_went_wrong(tab, files, content, message):
    with serving(files / "int8.tflite") as (address, server):
        memory = server.RequestHandlerClass.memory
        del memory["/model.tflite"]
        if content is not None:
            memory["/model.tflite"] = lambda: content
        tab.open(address)
        tab.evaluate("tapestry.ready.catch(() => null)")
        assert message in tab.evaluate("document.getElementById('message').innerText")
        assert tab.evaluate("document.getElementById('message').checkVisibility()")


def test_served_files(files, packages):
    with serving(files / "int8.tflite") as (address, _):
        for path, kind in {
            "/": "text/html; charset=utf-8",
            "/main.js": "text/javascript; charset=utf-8",
            "/model.json": "application/json",
            "/model.tflite": "application/octet-stream",
            "/node_modules/@litertjs/core/wasm/litert_wasm_internal.wasm": "application/wasm",
        }.items():
            with urllib.request.urlopen(address + path) as answer:
                assert answer.headers["Content-Type"] == kind
                # Both together isolate the page: that lets wasm have threads.
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
                content = answer.read()
            if path == "/model.tflite":
                assert content == (files / "int8.tflite").read_bytes()
        for path in (
            "/node_modules/",
            "/nothing.js",
            "/../../setup.cfg",
            "/%2e%2e/%2e%2e/setup.cfg",
        ):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + path)


@pytest.fixture
def plain(files, tmp_path, monkeypatch):
    """Asks a server of a page made here: (path, headers) -> the answer; needs no npm packages."""
    (tmp_path / "node_modules/@litertjs/core/wasm").mkdir(parents=True)
    (tmp_path / "main.js").write_text("// " + "compressible " * 1000)
    (tmp_path / "index.html").write_text("<!doctype html>")
    monkeypatch.setattr(web_page, "PAGE", tmp_path)
    with serving(files / "int8.tflite") as (address, _):
        host = address.removeprefix("http://")

        def ask(path, method="GET", **headers):
            connection = http.client.HTTPConnection(host)
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Host": host} | headers).items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            answer.content = answer.read()
            connection.close()
            return answer

        yield ask, host, tmp_path


def test_only_this_machines_names_are_answered(plain):
    """A name from elsewhere that was made to point here would hand the file to its page."""
    ask, host, _ = plain
    port = host.rpartition(":")[2]
    for name in (host, f"localhost:{port}", f"[::1]:{port}", "localhost", "localhost:9000"):
        assert ask("/model.tflite", Host=name).status == 200, name
    for name in (
        f"evil.example:{port}",
        "evil.example",
        "192.0.2.1",
        f"localhost.evil.example:{port}",
        "",
        "::1",
    ):
        for method in ("GET", "HEAD"):
            assert ask("/model.tflite", method, Host=name).status == 421, name


def test_on_all_addresses_any_of_them_is_answered_and_no_other_name(plain, files):
    with web.make_server(files / "int8.tflite", host="0.0.0.0") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        try:
            for name, status in (
                ("192.0.2.1", 200),
                (f"192.0.2.1:{port}", 200),
                ("[2001:db8::1]:80", 200),
                (f"localhost:{port}", 200),
                ("evil.example", 421),
                ("192.0.2.1.evil.example", 421),
            ):
                connection = http.client.HTTPConnection(web.HOST, port)
                connection.request("GET", "/model.json", headers={"Host": name})
                assert connection.getresponse().status == status, name
                connection.close()
        finally:
            server.shutdown()
            thread.join()


def test_a_folder_of_the_page_is_served_by_any_server(tab, files, tmp_path):
    out, path = tmp_path / "site", files / "int8.tflite"
    command = [sys.executable, "-m", "scripts.web", f"--model={path}", f"--export={out}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{out}: the page; serve it by any web server.\n"
    assert (out / "model.tflite").read_bytes() == path.read_bytes()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=out)
    with http.server.ThreadingHTTPServer((web.HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            tab.open(f"http://{web.HOST}:{server.server_address[1]}/")
            tab.evaluate("tapestry.ready")
            tab.evaluate("tapestry.explored")
            assert_alike(canvases(tab, 1), uint8(LiteRTSampler(path)(page_z(0))))
            assert tab.evaluate("document.querySelectorAll('#sliders input').length") == 4
            assert " MB" in tab.evaluate("document.getElementById('runtime').textContent")
        finally:
            server.shutdown()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode and f"--export='{out}' is not empty: expected a new" in again.stderr


@pytest.mark.parametrize("path", ["/main.js", "/", "/model.json", "/model.tflite"])
def test_what_is_served_is_compressed_for_those_who_take_it(plain, path):
    ask, _, _ = plain
    whole = ask(path)
    assert whole.headers["Content-Encoding"] is None
    for accepted in ("gzip", "br, gzip;q=0.5", "GZIP", "*"):
        packed = ask(path, Accept_Encoding=accepted)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.content) == whole.content
        assert int(packed.headers["Content-Length"]) == len(packed.content)
    if path == "/main.js":
        assert len(packed.content) < len(whole.content) / 20
    for refused in ("", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzip;q=no"):
        answer = ask(path, Accept_Encoding=refused)
        assert (answer.headers["Content-Encoding"], answer.content) == (None, whole.content)
    assert whole.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    head = ask(path, "HEAD")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(whole.content)))


def test_a_file_is_sent_again_only_once_it_has_changed(plain):
    ask, _, folder = plain
    tags = {e: ask("/main.js", Accept_Encoding=e).headers["ETag"] for e in ("gzip", "identity")}
    assert tags["gzip"] != tags["identity"]
    for encoding, tag in tags.items():
        again = ask("/main.js", Accept_Encoding=encoding, If_None_Match=tag)
        assert (again.status, again.content) == (304, b"")
    (folder / "main.js").write_text("new")
    os.utime(folder / "main.js", ns=(1, 1))
    answer = ask("/main.js", Accept_Encoding="gzip", If_None_Match=tags["gzip"])
    assert (answer.status, gzip.decompress(answer.content)) == (200, b"new")


def test_script_serves_until_ctrl_c(tab, files):
    path = files / "conditional_int8.tflite"
    # A shell that runs the tests in the background leaves SIGINT ignored, for children too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.web", f"--model={path}", "--port=0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    try:
        line = process.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        tab.open(address)
        tab.evaluate("tapestry.ready")
        z = page_z(0)
        assert_alike(canvases(tab, 1), uint8(LiteRTSampler(path)(z, np.arange(64) % CLASSES)))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def translator():
    x = keras.Input((8, 8, 1), name="x")
    return keras.Model(x, keras.layers.Activation("tanh")(keras.layers.Conv2D(1, 1)(x)))


def points():
    z = keras.Input((LATENT,), name="z")
    return keras.Model(z, keras.layers.Dense(2)(z))


def test_mistakes(files, tmp_path, monkeypatch):
    # Whatever is installed: what was typed is looked at first.
    for page in (web_page.PAGE, tmp_path / "without_packages"):
        monkeypatch.setattr(web_page, "PAGE", page)
        with pytest.raises(FileNotFoundError, match="no such file"):
            web.make_server(tmp_path / "none.tflite")
    for make, message in ((translator, "translates images"), (points, r"shape is \(2,\)")):
        path = tmp_path / f"{make.__name__}.tflite"
        path.write_bytes(to_tflite(make()))
        with pytest.raises(UserError, match=message):
            web.make_server(path)
    path = tmp_path / "batch.tflite"
    path.write_bytes(to_tflite(generator(1, False), batch_size=4))
    with pytest.raises(UserError, match="static batch is 4"):
        web.make_server(path)
    with pytest.raises(UserError, match=r"npm ci --prefix .*without_packages"):
        web.make_server(files / "int8.tflite")
    (tmp_path / "without_packages/node_modules/@litertjs/core/wasm").mkdir(parents=True)
    with socket.create_server((web.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port={port}.*in use"):
            web.make_server(files / "int8.tflite", port)
