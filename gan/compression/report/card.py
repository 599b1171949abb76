"""A model card beside each exported file, in Markdown, from what was measured and recorded alone.

Sections as Mitchell et al. 2019 name them (Model Cards for Model Reporting, arXiv:1810.03993),
those for which there are facts, behind a YAML head that model hubs read.
"""

import json
from collections.abc import Mapping
from typing import Any

from gan.compression.report import markdown
from gan.errors import printable
from gan.interface import Interface
from gan.interface_parts import Image, Input, Label, Latent
from gan.metrics.declared import key_of, label

# Figures of `report.judge`: heading and form.
_COSTS = (
    ("bytes", "bytes", ",.0f"),
    ("gzip_bytes", "bytes, gzipped", ",.0f"),
    ("params", "stored weights", ",.0f"),
    ("macs", "multiply-accumulates of a call", ",.0f"),
    ("sparsity", "zeros among stored kernels", ".1%"),
    ("latency_ms", "milliseconds a call, 1 thread", ".3f"),
    ("latency_2_threads_ms", "milliseconds a call, 2 threads", ".3f"),
    ("peak_mb", "MB of memory that loading and running add", ".1f"),
)
_QUALITY = ("fid", "kid", "precision", "recall")
_ARITHMETIC = {
    "int8": "int8 weights and activations; inputs and output are float32",
    "dynamic": "int8 weights; activations are rounded in each call",
    "float16": "float16 weights, float32 arithmetic",
    "float32": "float32",
}


def render(
    report: Mapping[str, Any],
    name: str,
    interface: Interface,
    sha256: str,
    training: Mapping[str, Any],
) -> str:
    """The card of one file.

    Args:
        report: what `report.json` holds.
        name: of the variant.
        interface: of its file.
        sha256: of its file, hexadecimal.
        training: {"command", "facts", "data", "student_kimg"}: a command line, two flat records of
            what the generator was trained with and on, and thousands of images that students of it
            learnt from; any may be missing.

    Returns:
        Markdown, in which every text from elsewhere is escaped.
    """
    this = next(v for v in report["variants"] if v["name"] == name)
    batch = int(report["protocol"].get("batch_size", 1))
    sections = {
        "Model details": _details(this, interface, sha256, report, training),
        "Intended use": _use(interface),
        "How to run it": markdown.fenced(snippet(this["file"], interface, batch), "python"),
        "Training data": markdown.facts(training.get("data") or interface.about.get("data") or {}),
        "Evaluation data": _evaluation(report["protocol"]),
        "Metrics": _metrics(report["protocol"]),
        "Quantitative analyses": _analyses(this, report),
        "Caveats and recommendations": _caveats(this, interface, report),
    }
    body = [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    data, kind = _data_name(interface, report), "translator" if interface.image else "generator"
    head = f"# {markdown.plain(this['file'])}: a {kind} of {markdown.plain(data)}"
    return "\n\n".join([_front(name, interface), head, *body]) + "\n"


def snippet(file: str, interface: Interface, batch: int = 1) -> str:
    """A Python program that draws one image of a file, with NumPy and ai-edge-litert alone.

    Args:
        file: its name.
        interface: what it takes and makes.
        batch: samples per call.
    """
    names = ", ".join(f"{i.name}={i.name}" for i in interface.inputs)
    shape = " x ".join(map(str, interface.output.shape))
    low, high = getattr(interface.output, "range", (-1.0, 1.0))
    lines = [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        f"interpreter = Interpreter({printable(file)!r})",
        "interpreter.allocate_tensors()",
        'generate = interpreter.get_signature_runner("generate")',
        "rng = np.random.default_rng(0)",
        *(_argument(i, batch) for i in interface.inputs),
        f'image = generate({names})["image"][0]  # float32, {shape}, in [{low:g}, {high:g}]',
        "pixels = np.uint8(np.clip(np.round((image + 1) * 127.5), 0, 255))",
    ]
    return "\n".join(lines)


def _argument(part: Input, batch: int) -> str:
    shape = ", ".join(map(str, (batch, *part.shape)))
    if isinstance(part, Latent):
        draw = "standard_normal(" if part.distribution == "normal" else "uniform(-1, 1, "
        return f"{part.name} = rng.{draw}({shape})).astype(np.float32)"
    if isinstance(part, Label):
        first = f"  # {printable(part.class_names[0])}" if part.class_names else ""
        return f"{part.name} = np.full({batch}, 0, np.int32){first}"
    if isinstance(part, Image):
        low, high = part.range
        return f"{part.name} = np.zeros(({shape}), np.float32)  # an image in [{low:g}, {high:g}]"
    return f"{part.name} = np.full({batch}, {part.default!r}, np.float32)"


def _front(name: str, interface: Interface) -> str:
    """What hubs read. A model's licence is its maker's to choose: none is claimed."""
    words = ["gan", "tflite", *name.split("_")]
    task = "image-to-image" if interface.image else "unconditional-image-generation"
    lines = ["library_name: litert"]
    if not interface.label:
        lines.append(f"pipeline_tag: {task}")
    lines += ["tags:", *(f"  - {json.dumps(word)}" for word in dict.fromkeys(words))]
    return "\n".join(["---", *lines, "---"])


def _details(
    this: Mapping[str, Any],
    interface: Interface,
    sha256: str,
    report: Mapping[str, Any],
    training: Mapping[str, Any],
) -> str:
    about = interface.about
    precision = this["name"].rsplit("_", 1)[-1]
    facts = {
        "file": f"{this['file']}, {this['bytes']:,} bytes",
        "SHA-256": sha256,
        "made by": f"Tapestry {about['tapestry']}" if "tapestry" in about else "",
        "run": about.get("run", ""),
        "checkpoint": f"step {about['step']:,}, {about['images']:,} images seen"
        if {"step", "images"} <= set(about)
        else "",
        "weights it was made from, SHA-256": about.get("weights_sha256", ""),
        "arithmetic": _ARITHMETIC.get(precision, precision),
        "student of that generator": f"learnt from it for {training['student_kimg']:g} kimg"
        if "_" in this["name"] and "student_kimg" in training
        else "",
        "date": (report.get("about") or {}).get("date", ""),
        **(training.get("facts") or {}),
    }
    parts = [markdown.facts(facts), _interface(interface)]
    if training.get("command"):
        parts.append(f"Trained by\n\n{markdown.fenced(training['command'])}")
    if (report.get("about") or {}).get("command"):
        parts.append(f"and exported by\n\n{markdown.fenced(report['about']['command'])}")
    return "\n\n".join(parts)


def _interface(interface: Interface) -> str:
    rows = [[i.name, *_described(i)] for i in interface.inputs]
    low, high = getattr(interface.output, "range", (-1.0, 1.0))
    shape = " x ".join(map(str, interface.output.shape))
    rows.append(["output `image`", "float32", shape, f"an image in [{low:g}, {high:g}]"])
    rows = [[f"input `{row[0]}`", *row[1:]] for row in rows[:-1]] + rows[-1:]
    text = markdown.table(("signature `generate`", "type", "shape of one", "what it is"), rows)
    named = interface.label.class_names if interface.label else ()
    if named:
        text += "\n\nClasses, by number from 0: " + ", ".join(map(markdown.plain, named)) + "."
    return text


def _described(part: Input) -> tuple[str, str, str]:
    shape = " x ".join(map(str, part.shape)) or "a number"
    if isinstance(part, Latent):
        drawn = "N(0, I)" if part.distribution == "normal" else "U(-1, 1)"
        return "float32", shape, f"a latent vector, drawn from {drawn}"
    if isinstance(part, Label):
        return "int32", shape, f"a class, 0 to {part.num_classes - 1}"
    if isinstance(part, Image):
        low, high = part.range
        return "float32", shape, f"the image to translate, in [{low:g}, {high:g}]"
    return "float32", shape, f"from {part.low:g} to {part.high:g}, {part.default:g} by default"


def _use(interface: Interface) -> str:
    about = interface.about.get("data") or {}
    name = markdown.plain(about.get("name", "its training data"))
    does = f"It draws images like those of {name}."
    if interface.image:
        before, after = (markdown.plain(i.domain) for i in (interface.image, interface.output))
        does = f"It translates images like those of {name}, domain {before}, into domain {after}."
    asked = " Each is of the class that is asked for." if interface.label else ""
    return f"{does}{asked} It runs on a CPU with LiteRT (XNNPACK), without TensorFlow."


def _evaluation(protocol: Mapping[str, Any]) -> str:
    facts = {
        "data set": protocol.get("dataset", ""),
        "split": protocol.get("split", ""),
        "real images": f"{protocol['num_reference']:,}" if "num_reference" in protocol else "",
    }
    return markdown.facts(facts)


def _metrics(protocol: Mapping[str, Any]) -> str:
    wanted = ("num_samples", "seed", "labels", "latents", "feature_net", "feature_net_sha256",
              "preprocessing", "constants")  # fmt: skip
    facts = {name: protocol[name] for name in wanted if protocol.get(name) not in (None, "")}
    costs = {name: protocol[name] for name in ("latency", "peak_mb", "psnr") if name in protocol}
    intro = (
        "FID and KID are distances between samples of the file and real images, lower being "
        "better; precision is the share of samples among the reals, recall that of reals among "
        "the samples. Protocol:"
    )
    return f"{intro}\n\n{markdown.facts(facts | costs)}"


def _analyses(this: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    base = next(v for v in report["variants"] if v["name"] == "float32")
    keras, net = report["keras"], str(report["protocol"].get("feature_net", ""))
    rows = []
    for key in _QUALITY:
        if this.get(key) is not None or base.get(key) is not None:
            name = markdown.plain(label(key.upper() if key in ("fid", "kid") else key, net))
            values = [_number(v.get(key), key_of(key).form) for v in (keras, base, this)]
            rows.append([name, *values, _cost(key, this, base)])
    for key, title, form in _COSTS:
        values = [_number(v.get(key), form) for v in (base, this)]
        rows.append([title, "", *values, _cost(key, this, base)])
    head = ["", "as trained", "float32", markdown.plain(this["name"]), "to float32"]
    if this["name"] == "float32":  # Nothing to compare it with but the trained network.
        head, rows = head[:3], [row[:3] for row in rows]
    text = markdown.table(head, rows)
    if this.get("psnr_db") is not None:
        text += f"\n\nIts images are those of the float32 file to {this['psnr_db']:.1f} dB (PSNR)."
    machine = (report.get("about") or {}).get("machine") or {}
    return text + (f" Timed on {markdown.flat(machine)}." if machine else "")


def _cost(key: str, this: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """What a file costs or saves: the ratio to float32; of shares the difference."""
    new, old = this.get(key), base.get(key)
    if new is None or old is None:
        return ""
    if key in ("precision", "recall", "sparsity", "kid"):
        return f"{new - old:+.3g}"
    return f"{new / old:.3g} times" if old else ""


def _caveats(this: Mapping[str, Any], interface: Interface, report: Mapping[str, Any]) -> str:
    base = next(v for v in report["variants"] if v["name"] == "float32")
    net, count = report["protocol"].get("feature_net", ""), report["protocol"].get("num_samples")
    said = []
    if this.get("fid") is None:
        said.append("Its FID is not finite: its images are not like the data's.")
    elif this is not base and base.get("fid") and this["fid"] > base["fid"]:
        said.append(f"Its FID is {this['fid'] / base['fid']:.3g} times that of the float32 file.")
    if net and net != "inception":
        said.append(
            f"Distances by the net {net} compare with one another, not with those that papers "
            "measure by Inception."
        )
    if isinstance(count, int) and count < 10_000:
        said.append(f"They rest on {count:,} samples; FID is larger the fewer there are.")
    said += [
        "Latency and memory are of the machine that is named; others differ.",
        "Not measured here: whether samples copy training images "
        "(scripts.evaluate --metrics=neighbours does), and how well each class or group of the "
        "data is drawn.",
    ]
    licence = (interface.about.get("data") or {}).get("licence")
    said.append(
        f"The training data's licence is {licence}; that of this file is its maker's to say."
        if licence
        else "The training data's licence is not recorded."
    )
    return "\n".join(f"- {markdown.plain(line)}" for line in said)


def _data_name(interface: Interface, report: Mapping[str, Any]) -> object:
    named = (interface.about.get("data") or {}).get("name")
    return named or report["protocol"].get("dataset", "images")


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
