"""The runs of a sweep: every combination of values of flags, with every seed."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from experiments import experiment, parts, run_flags, training
from experiments.drawing import seeds_of
from experiments.settings import RunOptions
from experiments.sweep_folder import begun, folder_name, recorded, title
from gan import files, registry
from gan.errors import UserError
from gan.metrics.declared import declared
from gan.options import write
from trainers.workdir.flags import flag_texts

# Flags that a sweep gives each run itself.
OWN = {
    "workdir": "each run's folder is in --out",
    "seed": "--seeds says which seeds",
    "dry_run": "it trains nothing",
}


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """What to vary, and how to run it.

    Attributes:
        vary: a flag and its values, as in r1_gamma=0.1,1,10, or separated by ; where a value holds
            commas, as in "penalty=r1;r1,r2"; once for each flag.
        seeds: number of seeds, counted from --seed, or which ones, such as 3,7 or 0-9.
        out: folder of the runs and of the table.
        jobs: runs to train at a time; none is one, or with --slurm as many as the scheduler starts.
        metric: metric to sort by; none is the one by which the best checkpoint is chosen.
        table: print the table of the runs in --out, and train nothing.
        slurm: file to write a job script for Slurm to, an array with one run for each index; none
            trains here.
        time: time limit of each run in the job script, such as 04:00:00; none is the scheduler's.
    """

    vary: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ("1",)
    out: str | os.PathLike[str] | None = None
    jobs: int | None = None
    metric: str | None = None
    table: bool = False
    slurm: str | os.PathLike[str] | None = None
    time: str | None = None


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: of its folder, by its values.
        values: varied flag -> text, and its seed.
        flags: flag -> text, all that its command line has but --workdir.
        total_kimg: thousands of images to train on.
    """

    name: str
    values: Mapping[str, str]
    flags: Mapping[str, str]
    total_kimg: float


@dataclass(frozen=True)
class Plan:
    """The runs of a command.

    Attributes:
        runs: in the order in which they are trained.
        notes: what was merged or left out, one line each.
    """

    runs: list[SweepRun]
    notes: list[str]


def varied(texts: Sequence[str]) -> dict[str, list[str]]:
    """The values of each flag that --vary names.

    Raises:
        UserError: a text cannot be read, or names a flag twice or one of `OWN`.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        quoted = f"--vary={text}"
        name, equals, rest = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"{quoted}: write a flag and its values, as in --vary=r1_gamma=0.1,1.")
        if name in OWN:
            raise UserError(f"{quoted}: {name} is not varied, {OWN[name]}.")
        if name in found:
            raise UserError(f"{quoted}: {name} is varied twice; give all its values at once.")
        separator = ";" if ";" in rest else ","
        values = [value.strip() for value in rest.split(separator)]
        if separator == ";" and not values[-1]:  # "r1,r2;" is one value.
            values.pop()
        by_group = next((v for v in values if "=" in v), "") if separator == "," else ""
        if by_group:
            raise UserError(
                f"{quoted}: {by_group!r} is no value of its own; where a value holds commas, put ; "
                f'between values, as in --vary="{name}=A;A,{by_group}".'
            )
        if not all(values):
            raise UserError(f"{quoted}: a value is empty.")
        found[name] = values
    return found


def combinations(values: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Every choice of one value for each flag; the last flag changes fastest."""
    for chosen in itertools.product(*values.values()):
        yield dict(zip(values, chosen))


def seeds(texts: tuple[str, ...], first: int) -> list[int]:
    """The seeds of --seeds: a number of them, or which.

    Args:
        texts: ("3",) is three of them; ("3", "7") and ("0-9",) are these.
        first: the seed that a number of them is counted from.

    Raises:
        UserError: they are none, or see `experiments.drawing.seeds_of`.
    """
    if len(texts) == 1 and texts[0].isascii() and texts[0].isdigit():
        count = int(texts[0])
        if count < 1:
            raise UserError(f"--seeds={count}: expected at least 1, or seeds such as 3,7 or 0-9.")
        return seeds_of((f"{first}-{first + count - 1}",))
    found = seeds_of(texts)
    if not found:
        raise UserError("--seeds is empty: expected a number of them, or seeds such as 3,7 or 0-9.")
    return found


def plan(given: Mapping[str, str], options: SweepOptions) -> Plan:
    """The runs of a sweep, each combination built once to check it; nothing is written.

    Runs that are equal are merged: a flag that a combination does not have is left out of it, and a
    run in the folder that has the same options, whatever its name, counts as the combination's.

    Args:
        given: flag -> text, the flags of scripts.train that are given for all runs.
        options: the sweep's own.

    Raises:
        UserError: a flag or a value is wrong, or not that of a run in the folder.
    """
    out = _checked(given, options)
    values = varied(options.vary)
    before = {name: flag_texts(out / name) for name in recorded(out) if begun(out / name)}
    chosen = [_combination(given, values, options) for values in combinations(values)]
    known = {flag for each in chosen for part in each.parts for flag in part.options}
    for name in [*values, *given]:
        if name not in known:
            raise UserError(parts.unknown(name, known, parts.every()))
    found: dict[str, SweepRun] = {}
    new: dict[str, dict[str, Any]] = {}
    for each in chosen:
        for seed in each.seeds:
            own, full = {**each.varied, "seed": str(seed)}, {**each.full, "seed": seed}
            telling = {name: write(full[name]) for name in each.telling}
            equal = (n for n, texts in before.items() if telling.items() <= texts.items())
            name = next(equal, folder_name(own))
            run_flags.check_resumable(out / name, full, each.parts, flag="out")
            found.setdefault(name, SweepRun(name, own, {**each.texts, **own}, full["total_kimg"]))
            if name not in before:
                new[title(each.texts)] = full
    for full in new.values():  # What else could be wrong with a combination shows now.
        experiment.build(full)
        keras.utils.clear_session(free_memory=False)
    notes = list(dict.fromkeys(note for each in chosen for note in each.notes))
    merged = sum(len(each.seeds) for each in chosen) - len(found)
    notes += [f"{merged} combinations equal others: one run each."] if merged else []
    return Plan(list(found.values()), notes)


@dataclass(frozen=True)
class _Combination:
    """A choice of values.

    Attributes:
        parts: that it names.
        texts: flag -> text of what is given and what was chosen, as far as it has such a flag.
        varied: those of the flags that are varied.
        full: option -> value, with absolute paths.
        telling: flags that tell its runs from others.
        seeds: of its runs.
        notes: on flags that it lacks.
    """

    parts: list[parts.Part]
    texts: dict[str, str]
    varied: dict[str, str]
    full: dict[str, Any]
    telling: set[str]
    seeds: list[int]
    notes: list[str]


def _combination(
    given: Mapping[str, str], chosen: Mapping[str, str], options: SweepOptions
) -> _Combination:
    """A choice of values, read and checked as far as that goes without building anything.

    Raises:
        UserError: one is wrong.
    """
    asked = {**given, **chosen}
    named = parts.find(asked, run_flags.ROOTS)
    flags = {flag: option for part in named for flag, option in part.options.items()}
    typed = run_flags.complete({n: v for n, v in asked.items() if n in flags})
    texts = {name: write(typed[name]) for name in asked if name in flags}
    own = {name: texts[name] for name in chosen if name in flags}
    full, run_options = training.resolved(typed)
    training.check(run_options, full)
    _check_metric(options.metric, run_options)
    whose = title(own) or "the run"
    return _Combination(
        named,
        texts,
        own,
        full,
        {n for n, option in flags.items() if not option.free} | own.keys(),
        seeds(options.seeds, typed.get("seed", 0)),
        [f"{whose} has no --{n}, which is left out there." for n in asked if n not in flags],
    )


def _checked(given: Mapping[str, str], options: SweepOptions) -> Path:
    """The folder of --out, once the options that concern no run are checked."""
    if not options.out:
        raise UserError("--out is missing: say where the runs go, as in --out=runs/sweep.")
    if "workdir" in given:
        raise UserError(f"--workdir={given['workdir']}: {OWN['workdir']}.")
    if options.jobs is not None and options.jobs < 1:
        raise UserError(f"--jobs={options.jobs}: expected at least 1.")
    if options.time and not options.slurm:
        raise UserError(f"--time={options.time}: is for the job script of --slurm=FILE.")
    files.check_output("out", options.out, folder=True)
    if options.slurm:
        files.check_output("slurm", options.slurm)
    return Path(options.out)


def _check_metric(metric: str | None, options: RunOptions) -> None:
    """Raises UserError unless --metric is measured, as far as that is known before training."""
    known = declared(options.eval_metrics or ("fid", "modes"))
    if metric and metric not in known and not options.callbacks:  # These may add their own.
        raise UserError(registry.unknown("--metric", metric, list(known)))
