"""The search of `scripts.compress` for the best file within limits."""

import dataclasses
import math

from experiments.compression import Compression
from gan.compression.students import search, variants
from gan.compression.students.search import Limits
from gan.compression.students.variants import Student, Variant
from gan.errors import UserError


def seek(work: Compression, limits: Limits, trials: int) -> None:
    """Trains students that may keep the limits, and exports them in each precision that does.

    Args:
        work: makes and measures the files.
        limits: the limits to keep.
        trials: most students to train; 0 exports the trained generator only.

    Raises:
        UserError: no file is small or fast enough.
    """
    base = work.make(variants.parse("float32"))
    if not base["fid"]:
        raise UserError(
            f"float32.tflite has no FID to hold others against ({base['fid']}): is the run's "
            "generator sound? python -m scripts.generate shows what it draws; without limits "
            "files can be made all the same."
        )
    # The trained generator costs no training, so that it is tried first, whatever its precision.
    for precision in ("int8", "dynamic", "float16"):
        make_if_it_fits(work, variants.variant(Student(), precision), limits)
    if not trials:
        return
    candidates, smallest = search.candidates(limits, work.measure)
    if not candidates and len(work.made) == 1:
        raise UserError(
            f"no student keeps {limits}: the smallest, "
            f"{variants.variant(smallest.student, 'int8').name}, takes "
            f"{smallest.kb:.1f} kB gzipped and {smallest.latency_ms:.3f} ms; allow more."
        )

    def ratio(student: Student) -> float:
        figures = work.make(variants.variant(student, "int8"))
        value = math.inf if figures["fid"] is None else figures["fid"] / base["fid"]
        print(f"{figures['name']}: FID {value:.2f} times float32's.", flush=True)
        return value

    if candidates:
        search.explore(candidates, limits, ratio, trials)
    # More bits for the same weights cost no training; they count where they still fit.
    for student in dict.fromkeys(v.student for v in work.made):
        for precision in ("dynamic", "float16"):
            make_if_it_fits(work, variants.variant(student, precision), limits)
    aware_if_needed(work, limits)


def make_if_it_fits(work: Compression, variant: Variant, limits: Limits) -> None:
    """Exports a variant, and evaluates it if its size and speed keep the limits."""
    try:
        path = work.file(variant)
    except UserError as error:
        # The search goes on without it: this precision may lack an op, for example.
        print(f"{variant.name} is left out: {error}", flush=True)
        return
    if limits.fits(*work.cost(path)):
        work.make(variant)


def aware_if_needed(work: Compression, limits: Limits) -> None:
    """Trains the best int8 student again with rounding, if rounding raised FID by more than 3%."""
    best, _ = search.choose(work.judged, limits)
    if best is None or variants.parse(best["name"]).precision != "int8":
        return
    student = variants.parse(best["name"]).student
    whole = work.make(variants.variant(student, "float32"))
    if best["fid"] > 1.03 * whole["fid"]:
        print(f"Rounding cost {best['fid'] / whole['fid'] - 1:.1%} of FID: with qat.", flush=True)
        work.make(variants.variant(dataclasses.replace(student, aware=True), "int8"))
