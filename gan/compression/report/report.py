"""Judges exported files, and nothing but the files: size, speed, quality."""

import gzip
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from keras import Model as KerasModel

from gan import images, plots
from gan.compression.device import cost, isolated, placement, runner
from gan.compression.report import card, charts, page, table
from gan.compression.report.folder import DeviceFolder
from gan.files import write_json, write_whole
from gan.metrics.evaluation import Evaluator
from gan.sampling import KerasSampler, Sampler

# What the Evaluator measures, and which of its numbers the report shows.
METRICS = ("fid", "kid", "pr")
_QUALITY = ("fid", "kid", "precision", "recall")
_PSNR_SAMPLES = 256
_CHUNK = 1000  # images translated at a time


def psnr_db(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio over all pixels, in dB.

    Args:
        image: float, any shape, in [-1, 1]: the peak-to-peak signal is 2.
        reference: float, of the shape of `image`.

    Returns:
        10 log10(2^2 / MSE); infinity where both are equal.
    """
    error = np.asarray(image, np.float64) - np.asarray(reference, np.float64)
    mse = float(np.mean(np.square(error)))
    return 10.0 * math.log10(4.0 / mse) if mse > 0 else math.inf


def identity(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in hexadecimal: as long as it is the same, so is what was judged."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def judge(
    name: str,
    path: str | os.PathLike[str],
    evaluator: Evaluator,
    *,
    reference: str | os.PathLike[str] | None = None,
    inputs: np.ndarray | None = None,
) -> dict[str, Any]:
    """Measures one file.

    Args:
        name: of the variant.
        path: a `.tflite` generator or translator.
        evaluator: judges what the file generates, best with metrics=METRICS.
        reference: the float32 file that `psnr_db` compares with, for the same z; None for itself.
        inputs: float32 (N, H, W, C) in [-1, 1] for a translator; None takes `num_samples` of the
            first domain of the evaluator's source.

    Returns:
        name; file (its name); bytes; gzip_bytes (level 9); macs (of a call); params; sparsity
        (zeros among the kernels the file stores); partitions; latency_ms and latency_2_threads_ms
        (median of a call); peak_mb (see `isolated.peak_mb`); fid; kid; precision; recall; psnr_db
        (None for the reference itself, and where two files generate the same). Metrics that the
        evaluator lacks or that are not finite are None.

    Raises:
        UserError: the file does not load, or part of it would run outside XNNPACK.
    """
    path = Path(path)
    partitions = placement.require_one_partition(path)
    generator = runner.LiteRTSampler(path)
    content = path.read_bytes()
    psnr = math.inf
    if reference is not None:
        other = runner.LiteRTSampler(reference)
        mine = _same_inputs(generator, evaluator, _PSNR_SAMPLES, inputs)
        psnr = psnr_db(mine, _same_inputs(other, evaluator, _PSNR_SAMPLES, inputs))
    return {
        "name": name,
        "file": path.name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        "macs": cost.macs(path),
        "params": cost.params(path),
        "sparsity": cost.sparsity(path),
        "partitions": partitions,
        "latency_ms": runner.latency_ms(path, 1),
        "latency_2_threads_ms": runner.latency_ms(path, 2),
        "peak_mb": isolated.peak_mb(path),
        **_quality(
            evaluator.evaluate(generator)
            if inputs is None
            else evaluator.evaluate_images([generator(inputs)])
        ),
        "psnr_db": _finite(psnr),
    }


def judge_keras(generator: KerasModel, evaluator: Evaluator) -> dict[str, Any]:
    """fid, kid, precision and recall of the Keras model that the files come from."""
    return _quality(evaluator.evaluate(KerasSampler(generator)))


def write_report(
    out: str | os.PathLike[str],
    variants: Sequence[Mapping[str, Any]],
    files: Mapping[str, str | os.PathLike[str]],
    *,
    keras: Mapping[str, Any],
    evaluator: Evaluator,
    generator: KerasModel | None = None,
    columns: int = 10,
    chosen: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes `comparison.png`, `report.png`, `report.html`, cards and, last, `report.json`.

    Without matplotlib there is no `report.png`, and the page goes without it.

    Args:
        out: the folder.
        variants: what `judge` returned for each file, `float32` first.
        files: variant name -> `.tflite` file, all of the variants'.
        keras: what `judge_keras` returned.
        evaluator: the one that judged.
        generator: the Keras model the float32 file was made from, for one more row of
            samples.
        columns: samples of each variant in `comparison.png`.
        chosen: {"name": of a variant, "why": a line}, or None.
        about: where the figures come from, ready for JSON: the run, date, command, machine.
        training: where the generator comes from, for the files' model cards, see `card.render`.

    Returns:
        What `report.json` holds.
    """
    folder = DeviceFolder(out)
    report = {
        "about": dict(about or {}),
        "variants": [dict(v) for v in variants],
        "keras": dict(keras),
        "protocol": _protocol(evaluator, runner.LiteRTSampler(files["float32"]).batch_size),
        "chosen": None if chosen is None else dict(chosen),
    }
    rows = _samples(files, evaluator, generator, max(columns, 25))
    first = {name: x[:columns] for name, x in rows.items()}
    images.save_png(folder.comparison, charts.comparison(first))
    chart = None
    if plots.available():
        net = evaluator.protocol.get("feature_net", "")
        chart = charts.png(variants, chosen=(chosen or {}).get("name", ""), feature_net=net)
        write_whole(folder.chart, chart)
    # The same number of pixels for all: 5 x 5 samples of up to 64 pixels, fewer of larger ones.
    side = max(2, min(5, 400 // max(next(iter(rows.values())).shape[1:3])))
    grids = {name: charts.grid_png(images.grid(x[: side**2], side)) for name, x in rows.items()}
    write_whole(folder.page, page.render(report, grids, chart).encode())
    for variant in variants:
        path = Path(files[variant["name"]])
        interface = runner.LiteRTSampler(path).interface
        text = card.render(report, variant["name"], interface, identity(path), training or {})
        write_whole(folder.card(variant["name"]), text.encode())
    # The sign that all is there, so it comes last.
    write_json(folder.report, report)
    return report


def read(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What a `report.json` holds; None where there is none, or, with a warning, a damaged one."""
    try:
        report = json.loads(Path(path).read_text())
        table.render(report)
    except FileNotFoundError:
        return None
    # A damaged report may raise anything in the table.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        logging.warning("%s is damaged (%s); it is made anew.", path, reason)
        return None
    return dict(report)


def _same_inputs(
    generator: Sampler, evaluator: Evaluator, count: int, inputs: np.ndarray | None = None
) -> np.ndarray:
    """Samples of a generator from fixed z, or of a translator from fixed images."""
    if generator.interface.image is None:
        return generator.draw(count, seed=evaluator.seed)
    if inputs is None:
        inputs = np.concatenate(list(evaluator.inputs(generator, count)))
    return generator(inputs[:count])


def _quality(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(metrics[name]) if name in metrics else None for name in _QUALITY}


def _protocol(evaluator: Evaluator, batch_size: int) -> dict[str, Any]:
    return {
        **evaluator.protocol,
        "gzip_level": 9,
        "macs": "multiply-accumulates of a call, of convolutions and matrix products",
        "params": "weights the file stores: kernels, biases, tables, factors",
        "sparsity": "share of zeros among the kernels stored in the file",
        "latency": "median milliseconds of a call, 1 and 2 CPU threads",
        "peak_mb": "10^6 bytes that loading and running add to a process with LiteRT",
        "batch_size": batch_size,
        "psnr": f"against the float32 file, same z, {_PSNR_SAMPLES} samples, peak-to-peak 2",
    }


def _samples(
    files: Mapping[str, str | os.PathLike[str]],
    evaluator: Evaluator,
    generator: KerasModel | None,
    count: int,
) -> dict[str, np.ndarray]:
    """Samples of every file from the same inputs, and a translator's inputs."""
    rows: dict[str, np.ndarray] = {}
    opened = {name: runner.LiteRTSampler(path) for name, path in files.items()}
    if opened["float32"].interface.image:
        rows["input"] = np.concatenate(list(evaluator.inputs(opened["float32"], count)))
    if generator is not None:
        rows["keras"] = _same_inputs(KerasSampler(generator), evaluator, count)
    return rows | {name: _same_inputs(o, evaluator, count) for name, o in opened.items()}


def _finite(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(value) if math.isfinite(value) else None
