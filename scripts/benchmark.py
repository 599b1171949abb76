"""Measures a recipe's training: python -m scripts.benchmark --flagfile=recipes/demo.flags

Takes every flag of scripts.train and leaves no files. It prints images a second, the share of the
machine's limit that a step reaches, the time until the first step, and memory; --profile shows
where a step's time goes.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from absl import flags

from experiments import benchmarking, profiling, training
from experiments.benchmarking import BenchmarkOptions, Measured, Started
from experiments.callback_costs import Cost, callback_costs
from experiments.profiling import Profile
from experiments.provenance import machine
from experiments.run_flags import ROOTS
from gan.options import of
from scripts import cli

FLAGS = flags.FLAGS
SECTION = "Benchmark"
TOP = 15  # types of op to show
PROFILED = 48  # steps


def define_flags(argv: Sequence[str]) -> None:
    """Defines the flags of this script and those of scripts.train."""
    for option in of(BenchmarkOptions).values():
        cli.define(option, SECTION)
    cli.define_parts(argv, *ROOTS)


def main() -> int:
    """Measures, and prints each part as it is known."""
    options = BenchmarkOptions(**{name: FLAGS[name].value for name in of(BenchmarkOptions)})
    sections = cli.sections().items()
    values = {n: FLAGS[n].value for section, names in sections if section != SECTION for n in names}
    benchmarking.check(options)
    benchmarking.use_threads(options)
    if FLAGS.dry_run:
        print(training.dry_run(values))
        return 0
    started = benchmarking.start(values)
    if options.profile:
        profiling.check(started.run)
    print(beginning(started), flush=True)
    measured = benchmarking.measure(started, options)
    print(speed(measured), flush=True)
    if options.profile:
        steps = options.steps or min(PROFILED, measured.steps)
        profiled = profiling.profile(started.run, steps, str(options.trace or ""))
        print(f"\n{places(profiled, measured)}", flush=True)
        print(f"\n{callbacks(callback_costs(started), measured)}")
    if options.trace:
        print(f"\nThe trace is in {options.trace}. With pip install tensorboard-plugin-profile:")
        print(cli.command("tensorboard.main", logdir=options.trace))
    return 0


def beginning(started: Started) -> str:
    """The machine, the networks, and what it took to begin."""
    trainer, host = started.run.trainer, machine()
    first = started.build_seconds + started.first_seconds
    lines = [
        ("Machine", f"{host['cpu']}, threads: {benchmarking.threads()}"),
        *((name, f"{n.count_params():,} parameters") for name, n in trainer.networks.items()),
        (
            "Step",
            f"{trainer.images_per_step} images, {trainer.precision}, "
            f"{started.options.steps_per_loop} steps a graph call",
        ),
        (
            "First step",
            f"after {first:.1f} s: {started.build_seconds:.1f} to build, "
            f"{started.first_seconds:.1f} to trace and run it",
        ),
    ]
    return _lines(lines)


def speed(measured: Measured) -> str:
    """Images a second, and how near to the machine's limit that is."""
    step, limit = measured.step, measured.limit
    rates = [tuple(measured.images / s for s in timed.step) for timed in measured.rounds]
    spread = (f"{min(r):,.0f} to {max(r):,.0f}" for r in zip(*rates))
    operations = sorted(measured.flops.items(), key=lambda item: -item[1])
    lines = [
        ("Memory", f"{measured.memory / 1e6:,.0f} MB at the most"),
        ("", _row("", "by the clock", "by CPU time")),
        ("Images a second", _row("", *(measured.images / s for s in step), form=",.0f")),
        ("", _row(f"least and most of {len(measured.rounds)} rounds", *spread)),
        ("Samples a second", _row("", *(1 / s for s in measured.sample), form=",.0f")),
        ("A step", _row("ms", *(1e3 * s for s in step), form=".2f")),
        *(
            ("GFLOP/s" if i == 0 else "", _row(_product(*product), *(r / 1e9 for r in rate)))
            for i, (product, rate) in enumerate(measured.rates.items())
        ),
        (
            "The limit",
            _row("ms, all products as fast as MatMul", *(1e3 * s for s in limit), form=".2f"),
        ),
        ("Reached", _row("", *(least / s for least, s in zip(limit, step)), form=".0%")),
        (
            "A step's GFLOP",
            f"{sum(measured.flops.values()) / 1e9:.3f}: "
            + ", ".join(f"{_product(*product)} {n / 1e9:.3f}" for product, n in operations),
        ),
    ]
    return _lines(lines)


def places(profiled: Profile, measured: Measured) -> str:
    """Where a step's time goes: tables by type of op, and by part of the step."""
    step = profiled.step
    top = dict(list(profiled.by_op.items())[:TOP])
    others = sum(profiled.by_op.values()) - sum(top.values())
    top[f"{len(profiled.by_op) - len(top)} other types"] = others
    host = statistics.median(timed.host for timed in measured.rounds)
    lines = [
        f"A step took {1e3 * step.wall:.2f} ms while {profiled.steps} of them were traced, "
        f"{1e3 * step.cpu:.2f} ms of CPU time. In {1e3 * profiled.idle:.2f} ms no op ran. The "
        f"data's threads took {1e3 * profiled.data:.2f} ms, the host {1e3 * host:.2f} ms between "
        "graph calls.",
        "",
        *_table("type of op", top),
        "",
        *_table("part of the step", profiled.by_part),
        "",
        _products_alone(profiled, measured),
    ]
    return "\n".join(lines)


def _products_alone(profiled: Profile, measured: Measured) -> str:
    """How near to the limit a step could come without changing its products."""
    products = sum(s for op, s in profiled.by_op.items() if "MatMul" in op or "Conv" in op)
    share = products / sum(profiled.by_op.values())
    reached = measured.limit.cpu / measured.step.cpu / share if share else 0.0
    return (
        f"Products take {share:.1%} of the ops' time. If all else took none, a step would reach "
        f"{reached:.0%} of the limit."
    )


def callbacks(costs: Iterable[Cost], measured: Measured) -> str:
    """What a run's callbacks cost a step."""
    lines = [f"{'callback':26}{'ms each':>12}{'every steps':>13}{'ms a step':>12}{'share':>8}"]
    for cost in costs:
        lines.append(
            f"{cost.name:26}{1e3 * cost.seconds:12.2f}{cost.steps:13,.0f}"
            f"{1e3 * cost.per_step:12.3f}{cost.per_step / measured.step.wall:8.1%}"
        )
    return "\n".join(lines)


def _row(what: str, *values: float | str, form: str = ",.0f") -> str:
    """A name and two columns."""
    texts = (v if isinstance(v, str) else format(v, form) for v in values)
    return f"{what:36}" + "".join(f"{text:>20}" for text in texts)


def _table(title: str, seconds: Mapping[str, float]) -> list[str]:
    total = sum(seconds.values())
    rows = [f"{k:36}{1e3 * s:20.3f}{s / total:10.1%}" for k, s in seconds.items()]
    return [f"{title:36}{'ms of CPU time':>20}{'share':>10}", *rows]


def _product(op: str, dtype: str) -> str:
    """An op's name, with the dtype that it multiplies unless that is float32."""
    return op if dtype == "float32" else f"{op} in {dtype}"


def _lines(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{what:16}{text}" for what, text in rows)


if __name__ == "__main__":
    cli.run(main, define_flags)
