"""Judges exported files, and nothing but the files: size, speed, quality."""

import gzip
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw

from gan import images
from gan.compression import cost, placement, runner
from gan.files import write_json
from gan.metrics.evaluation import Evaluator
from gan.sampling import KerasSampler, Sampler, balanced_labels, latents

VARIANTS = ("float32", "int8", "pruned_int8")
_PSNR_SAMPLES = 256


def psnr_db(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal-to-noise ratio over all pixels, in dB.

    Args:
        image: float, any shape, in [-1, 1]: the peak-to-peak signal is 2.
        reference: of the same shape.

    Returns:
        10 log10(2^2 / MSE); infinity where both are equal.
    """
    error = np.asarray(image, np.float64) - np.asarray(reference, np.float64)
    mse = float(np.mean(np.square(error)))
    return 10.0 * math.log10(4.0 / mse) if mse > 0 else math.inf


def draw(sampler: Sampler, count: int, seed: int) -> np.ndarray:
    """Samples for the same z, and classes in turn, whichever the sampler: float32 (count, ...)."""
    label = balanced_labels(count, sampler.num_classes) if sampler.num_classes else None
    return sampler(latents(count, sampler.latent_dim, seed), label)


def judge(
    name: str,
    path: str | os.PathLike[str],
    evaluator: Evaluator,
    *,
    reference: str | os.PathLike[str] | None = None,
    num_threads: int = 1,
) -> dict[str, Any]:
    """Measures one file.

    Args:
        name: of the variant.
        path: a `.tflite` generator.
        evaluator: draws the samples and works out FID.
        reference: the float32 file that `psnr_db` compares with, for the same z; None for itself.
        num_threads: for the latency.

    Returns:
        name; file (its name); bytes; gzip_bytes (level 9); sparsity (zeros among the kernels the
        file stores); latency_ms (median of a call); partitions; fid; psnr_db (None for the
        reference itself, and where two files generate the same).

    Raises:
        UserError: the file does not load, or part of it would run outside XNNPACK.
    """
    path = Path(path)
    content = path.read_bytes()
    sampler = runner.LiteRTSampler(path, num_threads)
    psnr = math.inf
    if reference is not None:
        mine = draw(sampler, _PSNR_SAMPLES, evaluator.seed)
        other = runner.LiteRTSampler(reference, num_threads)
        psnr = psnr_db(mine, draw(other, _PSNR_SAMPLES, evaluator.seed))
    return {
        "name": name,
        "file": path.name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        "sparsity": cost.sparsity(path),
        "latency_ms": runner.latency_ms(path, num_threads),
        "partitions": placement.require_one_partition(path),
        "fid": _finite(evaluator.evaluate(sampler)["fid"]),
        "psnr_db": _finite(psnr),
    }


def write_report(
    out: str | os.PathLike[str],
    files: Mapping[str, str | os.PathLike[str]],
    evaluator: Evaluator,
    *,
    generator: keras.Model,
    num_threads: int = 1,
    columns: int = 10,
) -> dict[str, Any]:
    """Judges every file and writes `comparison.png`, then `report.json`, into a folder.

    Args:
        out: the folder.
        files: variant name -> `.tflite` file, `float32` among them: it is what others are held
            against.
        evaluator: the same for all.
        generator: the Keras model the float32 file was made from; its FID stands beside.
        num_threads: for the latencies.
        columns: samples a variant in the picture.

    Returns:
        What `report.json` holds.

    Raises:
        UserError: see `judge`.
    """
    variants = [
        judge(
            name,
            path,
            evaluator,
            reference=None if name == "float32" else files["float32"],
            num_threads=num_threads,
        )
        for name, path in files.items()
    ]
    keras_sampler = KerasSampler(generator)
    report = {
        "variants": variants,
        "keras": {"fid": _finite(evaluator.evaluate(keras_sampler)["fid"])},
        "protocol": {
            **evaluator.protocol,
            "gzip_level": 9,
            "sparsity": "share of zeros among the kernels stored in the file",
            "latency": f"median milliseconds of a call, {num_threads} thread(s)",
            "batch_size": runner.LiteRTSampler(files["float32"]).batch_size,
            "psnr": f"against the float32 file, same z, {_PSNR_SAMPLES} samples, peak-to-peak 2",
        },
    }
    samplers: dict[str, Sampler] = {"keras": keras_sampler}
    samplers |= {name: runner.LiteRTSampler(path) for name, path in files.items()}
    rows = {name: draw(sampler, columns, evaluator.seed) for name, sampler in samplers.items()}
    images.save_png(Path(out) / "comparison.png", comparison(rows))
    # The sign that all is there, so it comes last.
    write_json(Path(out) / "report.json", report)
    return report


def comparison(rows: Mapping[str, np.ndarray], *, margin: int = 90) -> np.ndarray:
    """A labelled row of pictures for each variant, the same z in each column.

    Args:
        rows: label -> float32 (N, H, W, C) in [-1, 1].
        margin: pixels on the left for the labels.

    Returns:
        uint8 (height, width, 3), small pictures enlarged to be seen.
    """
    columns, height, _, channels = next(iter(rows.values())).shape
    tiles = np.concatenate(list(rows.values()))
    grid = images.grid(tiles, columns)
    if channels <= 2:
        grid = np.repeat(grid[..., :1], 3, axis=-1)
    scale = max(1, 64 // height)
    grid = grid[..., :3].repeat(scale, axis=0).repeat(scale, axis=1)
    canvas = Image.new("RGB", (margin + grid.shape[1], grid.shape[0]), "white")
    canvas.paste(Image.fromarray(grid), (margin, 0))
    pen = ImageDraw.Draw(canvas)
    for i, label in enumerate(rows):
        middle = (i + 0.5) * grid.shape[0] / len(rows)
        pen.text((margin - 6, middle), label, fill="black", anchor="rm", font_size=13)
    return np.asarray(canvas)


def table(report: Mapping[str, Any]) -> str:
    """The report as lines for a terminal."""
    header = ("variant", "bytes", "gzip bytes", "vs f32", "sparsity", "ms", "parts", "FID", "PSNR")
    base = next(v for v in report["variants"] if v["name"] == "float32")["gzip_bytes"]
    rows = [header, ("keras", "", "", "", "", "", "", _number(report["keras"]["fid"]), "")]
    for v in report["variants"]:
        rows.append(
            (
                v["name"],
                f"{v['bytes']:,}",
                f"{v['gzip_bytes']:,}",
                f"1/{base / v['gzip_bytes']:.1f}",
                f"{v['sparsity']:.1%}",
                f"{v['latency_ms']:.2f}",
                str(v["partitions"]),
                _number(v["fid"]),
                "" if v["psnr_db"] is None else f"{v['psnr_db']:.1f} dB",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )


def _finite(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.2f}"
