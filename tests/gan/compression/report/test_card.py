"""Model cards of files that were really exported: parsed, and their programs run."""

import hashlib
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from gan.compression.device.runner import LiteRTSampler
from gan.compression.files.export import to_tflite
from gan.compression.report import card, markdown
from gan.interface import Image, Interface, Label, Latent, Scalar, declare

ODD = 'a|b`c_*d*<img src=x>[y](z)\x1b[2J"\n# no heading'
LABELLED = ("conditional_int8", "float32")


def generator():
    z, label, psi = (
        keras.Input((3,), name="z"),
        keras.Input((), dtype="int32", name="label"),
        keras.Input((), name="psi"),
    )
    styled = keras.layers.Embedding(2, 3)(label) + z * keras.ops.reshape(psi, (-1, 1))
    h = keras.layers.Dense(16 * 16 * 8)(styled)
    h = keras.layers.Reshape((16, 16, 8))(h)
    model = keras.Model(
        [z, label, psi], keras.layers.Conv2D(1, 3, padding="same", activation="tanh")(h)
    )
    about = {"data": {"name": ODD, "licence": "CC0-1.0"}, "tapestry": "9.8.7", "run": ODD,
             "step": 1234, "images": 98_765, "weights_sha256": "abc"}  # fmt: skip
    inputs = (Latent(3, "uniform"), Label(2, (ODD, "plain")), Scalar("psi", 0.5, 0.0, 1.0))
    return declare(model, Interface(inputs, Image((16, 16, 1)), about))


def translator():
    x = keras.Input((8, 8, 3), name="x")
    y = keras.layers.Conv2D(3, 3, padding="same", activation="tanh")(x)
    interface = Interface((Image((8, 8, 3), "edges"),), Image((8, 8, 3), "photos"))
    return declare(keras.Model(x, y), interface)


def variant(name, **figures):
    return {
        "name": name, "file": f"{name}.tflite", "bytes": 4000, "gzip_bytes": 3000, "macs": 10_000,
        "params": 2000, "sparsity": 0.0, "partitions": 1, "latency_ms": 0.5,
        "latency_2_threads_ms": 0.25, "peak_mb": 1.0, "fid": 8.0, "kid": 0.5, "precision": 0.5,
        "recall": 0.25, "psnr_db": None,
    } | figures  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Name -> (folder, card, interface of the file)."""
    folder, found = tmp_path_factory.mktemp("cards"), {}
    for name, model in (("conditional_int8", generator()), ("float32", translator())):
        path = folder / f"{name}.tflite"
        path.write_bytes(to_tflite(model, precision=name.rpartition("_")[2], calibration=5))
        content = path.read_bytes()
        small = variant("conditional_int8", bytes=len(content), gzip_bytes=600, fid=10.0, kid=0.75,
                        recall=0.125, psnr_db=31.25)  # fmt: skip
        report = {
            "variants": [variant("float32"), small],
            "keras": {"fid": 7.5, "kid": 0.5, "precision": None, "recall": None},
            "protocol": {"dataset": ODD, "split": "test", "num_samples": 2500, "seed": 7,
                         "feature_net": "random", "num_reference": 321, "batch_size": 1},
            "about": {"command": f"python -m scripts.compress '{ODD}'", "machine": {"cores": 2}},
        }  # fmt: skip
        training = {
            "command": f"python -m scripts.train '{ODD}' ```",
            "facts": {"trainer": ODD},
            "data": {"data set": ODD, "licence": "CC0-1.0"},
            "student_kimg": 12.5,
        }
        interface = LiteRTSampler(path).interface
        digest = hashlib.sha256(content).hexdigest()
        found[name] = folder, card.render(report, name, interface, digest, training), interface
    return found


def parsed(text):
    """Sections: heading -> its tokens, as a Markdown reader sees them."""
    reader = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    body = text.split("---\n", 2)[2]
    tokens, sections, title = reader.parse(body), {}, ""
    for i, token in enumerate(tokens):
        assert not token.type.startswith("html")
        inside = [child.type for child in token.children or ()]
        assert not {"html_inline", "link_open", "image", "em_open"} & set(inside)
        if token.type == "heading_open":
            title = seen(tokens[i + 1])
        sections.setdefault(title, []).append(token)
    return sections


def seen(token):
    """The text that is shown of a token."""
    return "".join(child.content for child in token.children or ())


def rows(tokens):
    table, cells = [], []
    for i, token in enumerate(tokens):
        if token.type == "tr_open":
            cells = []
        if token.type in ("th_open", "td_open"):
            cells.append(seen(tokens[i + 1]))
        if token.type == "tr_close":
            table.append(cells)
    return table


SHOWN = ODD.replace("\x1b", "\\x1b").replace("\n", "\\n")


def test_it_says_what_the_files_metadata_says(made):
    _, text, interface = made["conditional_int8"]
    sections = parsed(text)
    details = sections["Model details"]
    latent, label, psi = interface.inputs
    assert rows(details)[1:] == [
        ["input z", "float32", str(latent.dim), "a latent vector, drawn from U(-1, 1)"],
        ["input label", "int32", "a number", f"a class, 0 to {label.num_classes - 1}"],
        ["input psi", "float32", "a number", f"from 0 to 1, {psi.default} by default"],
        ["output image", "float32", "16 x 16 x 1", "an image in [-1, 1]"],
    ]
    told = "\n".join(seen(token) for token in details)
    assert f"Classes, by number from 0: {SHOWN}, plain." in told
    assert "made by: Tapestry 9.8.7" in told and "step 1,234, 98,765 images seen" in told
    assert f"run: {SHOWN}" in told and "learnt from it for 12.5 kimg" in told
    commands = [token.content for token in details if token.type == "fence"]
    # A line break within quotes is part of a command, and stays one.
    typed = ODD.replace("\x1b", "\\x1b")
    wanted = [f"python -m scripts.train '{typed}' ```\n", f"python -m scripts.compress '{typed}'\n"]
    assert commands == wanted
    assert [t for t in sections if t.startswith("conditional")] == [
        f"conditional_int8.tflite: a generator of {SHOWN}"
    ]
    assert "CC0-1.0" in "".join(map(seen, sections["Training data"]))
    assert "real images: 321" in "\n".join(map(seen, sections["Evaluation data"]))


def test_what_compression_cost_is_told_with_its_protocol(made):
    sections = parsed(made["conditional_int8"][1])
    table = {row[0]: row[1:] for row in rows(sections["Quantitative analyses"])}
    assert table["FID[random]"] == ["7.5", "8", "10", "1.25 times"]
    assert table["KID[random]"] == ["0.5", "0.5", "0.75", "+0.25"]
    assert table["recall[random]"] == ["", "0.25", "0.125", "-0.125"]
    assert table["bytes, gzipped"] == ["", "3,000", "600", "0.2 times"]
    assert "31.2 dB" in "".join(map(seen, sections["Quantitative analyses"]))
    assert "num_samples: 2,500" in "\n".join(map(seen, sections["Metrics"]))
    caveats = "\n".join(map(seen, sections["Caveats and recommendations"]))
    assert "Its FID is 1.25 times that of the float32 file." in caveats
    assert "2,500 samples" in caveats and "licence is CC0-1.0" in caveats


def test_float32_is_compared_with_the_trained_network_alone(made):
    sections = parsed(made["float32"][1])
    table = {row[0]: row[1:] for row in rows(sections["Quantitative analyses"])}
    assert table["FID[random]"] == ["7.5", "8"] and "times" not in str(table)
    use = "".join(map(seen, sections["Intended use"]))
    assert "domain edges, into domain photos" in use


@pytest.mark.parametrize("name", LABELLED)
def test_hubs_can_read_its_head(made, name):
    yaml = pytest.importorskip("yaml")
    _, head, _ = made[name][1].split("---\n", 2)
    found = yaml.safe_load(head)
    assert found["library_name"] == "litert" and "license" not in found
    assert {"gan", "tflite", *name.split("_")} == set(found["tags"])
    # A generator of classes is no unconditional one.
    assert found.get("pipeline_tag") == {"float32": "image-to-image"}.get(name)


@pytest.mark.parametrize("name", LABELLED)
def test_its_program_draws_an_image_without_tensorflow(made, name):
    folder, text, interface = made[name]
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    blocked = "import sys; " + "".join(
        f"sys.modules['{n}'] = None; " for n in ("tensorflow", "keras")
    )
    tail = "\nimport json; print(json.dumps([pixels.dtype.name, *pixels.shape]))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{blocked}\n{code}{tail}"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == ["uint8", *interface.output.shape]


def test_any_text_is_shown_as_it_is():
    reader = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    rng = np.random.default_rng(0)
    marks = list("\\`*_{}[]<>()#|!~&$-+.:/= a1;")
    for _ in range(200):
        words = "x" + "".join(rng.choice(marks, 12)) + "x"
        words = re.sub(" +", " ", words)
        (_, inline, _) = reader.parse(markdown.plain(words))
        assert seen(inline) == words
