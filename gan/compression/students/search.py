"""Which variant to take: the limits that it must keep, and which to try to get there."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan.compression.students.variants import Student
from gan.metrics.declared import key_of

WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.125)
SPARSITIES = (0.0, 0.5, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Limits:
    """What a file may cost; None is no limit.

    Attributes:
        kb: thousands of bytes when gzipped, as an app's package or a browser loads it.
        latency_ms: of one call, on one thread of this machine.
        fid_ratio: its FID by that of the float32 file.
    """

    kb: float | None = None
    latency_ms: float | None = None
    fid_ratio: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self != Limits()

    @property
    def costs(self) -> bool:
        """Whether there is one on size or time, which do not depend on training."""
        return self.kb is not None or self.latency_ms is not None

    def fits(self, kb: float, latency_ms: float, fid_ratio: float = 0.0) -> bool:
        """Whether a file keeps all limits."""
        pairs = ((kb, self.kb), (latency_ms, self.latency_ms), (fid_ratio, self.fid_ratio))
        return all(value <= limit for value, limit in pairs if limit is not None)

    def __str__(self) -> str:
        units = ("kB gzipped", "ms", "times float32's FID")
        values = zip((self.kb, self.latency_ms, self.fid_ratio), units)
        return " and ".join(f"{value:g} {unit}" for value, unit in values if value is not None)


@dataclass(frozen=True)
class Candidate:
    """A student that could be trained, and what its int8 file will cost.

    Attributes:
        student: which.
        kb: of its file when gzipped, in thousands of bytes, measured before training.
        latency_ms: of its file.
    """

    student: Student
    kb: float
    latency_ms: float


def candidates(
    limits: Limits, measure: Callable[[Student], tuple[float, float]]
) -> tuple[list[Candidate], Candidate]:
    """The students worth training: at each width the fewest zeros that keep the limits.

    Size and speed do not depend on training, so they are measured before it. Zeros
    only make files smaller, so that without a limit on size there are none.

    Args:
        limits: to keep; those on FID are known only after training.
        measure: student -> kB when gzipped and milliseconds of its int8 file.

    Returns:
        Those that fit, the widest first; and the smallest of all that were measured.
    """
    fitting: list[Candidate] = []
    smallest: Candidate | None = None
    for width in WIDTHS:
        # If not even the most zeros do, it takes fewer channels.
        order = (SPARSITIES[-1], *SPARSITIES) if limits.kb is not None else SPARSITIES[:1]
        for i, sparsity in enumerate(order):
            student = Student(width=width, sparsity=sparsity)
            candidate = Candidate(student, *measure(student))
            if smallest is None or candidate.kb < smallest.kb:
                smallest = candidate
            fits = limits.fits(candidate.kb, candidate.latency_ms)
            in_time = Limits(latency_ms=limits.latency_ms).fits(candidate.kb, candidate.latency_ms)
            if not fits and (i == 0 or not in_time):
                break
            if fits and (i or limits.kb is None):
                fitting.append(candidate)
                break
    assert smallest is not None
    return fitting, smallest


def explore(
    fitting: Sequence[Candidate], limits: Limits, ratio: Callable[[Student], float], trials: int
) -> None:
    """Trains students, at most `trials` of them; the trained generator itself is no trial.

    Under a limit on time the widest come first. Under one on size, few dense channels compete with
    many sparse ones: it starts in the middle and goes on, narrower first, while FID gets better.
    With a limit on FID alone widths are halved in, assuming that FID falls as they grow, and the
    narrowest that keeps it is given zeros until it does not.

    Args:
        fitting: those that fit by size and speed, the widest first.
        limits: to keep.
        ratio: trains and judges one: FID by float32's.
        trials: at most.
    """
    students = [candidate.student for candidate in fitting]
    left = trials

    def affordable(student: Student) -> bool:
        return left > 0 or student == Student()

    def attempt(student: Student) -> float:
        nonlocal left
        left -= student != Student()
        return ratio(student)

    if limits.costs:
        _climb(students, len(students) // 2 if limits.kb is not None else 0, attempt, affordable)
        return
    assert limits.fid_ratio is not None
    low, high = 0, len(students)  # the first that is too narrow lies between
    while low < high and affordable(students[(low + high) // 2]):
        middle = (low + high) // 2
        if attempt(students[middle]) <= limits.fid_ratio:
            low = middle + 1
        else:
            high = middle
    for sparsity in SPARSITIES[1:] if low else ():
        student = dataclasses.replace(students[low - 1], sparsity=sparsity)
        if not affordable(student) or attempt(student) > limits.fid_ratio:
            return


def _climb(
    students: Sequence[Student],
    start: int,
    attempt: Callable[[Student], float],
    affordable: Callable[[Student], bool],
) -> None:
    """From `start` to the end while the ratio falls; if it does not at once, to the beginning."""
    first = best = attempt(students[start])
    for way in (range(start + 1, len(students)), range(start - 1, -1, -1)):
        for i in way:
            if not affordable(students[i]):
                return
            mine = attempt(students[i])
            if mine >= best:
                break
            best = mine
        if best < first:
            return


def choose(
    variants: Sequence[Mapping[str, Any]], limits: Limits
) -> tuple[Mapping[str, Any] | None, str]:
    """The variant to take, and why, in a line.

    Args:
        variants: as `report.judge` gives them, float32 among them.
        limits: to keep.

    Returns:
        Under a limit on size or speed the one with the lowest FID; with one on FID alone the
        smallest; None where none keeps the limits.
    """
    base = next(v for v in variants if v["name"] == "float32")
    judged = [v for v in variants if v["fid"] is not None]
    ratios = {v["name"]: v["fid"] / base["fid"] for v in judged}
    fit = [
        v for v in judged if limits.fits(v["gzip_bytes"] / 1000, v["latency_ms"], ratios[v["name"]])
    ]
    if not fit:
        by = "gzip_bytes" if limits.kb is not None else "latency_ms" if limits.costs else "fid"
        near = min(judged, key=lambda v: v[by])
        return None, f"none of {len(variants)} files keeps {limits}; the nearest: {_figures(near)}"
    if limits.costs:
        best, what = min(fit, key=lambda v: v["fid"]), "the lowest FID"
    else:
        best, what = min(fit, key=lambda v: v["gzip_bytes"]), "the smallest"
    why = f"{what} of the {len(fit)} of {len(variants)} files that keep {limits}"
    return best, f"{_figures(best)}, {ratios[best['name']]:.2f} times float32's: {why}"


def _figures(variant: Mapping[str, Any]) -> str:
    return (
        f"{variant['name']}, {variant['gzip_bytes'] / 1000:.1f} kB gzipped, "
        f"{variant['latency_ms']:.3f} ms, FID {key_of('fid').text(variant['fid'])}"
    )
