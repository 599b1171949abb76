"""From names and values to an experiment: data, networks and trainer, and back from a workdir.

The values that make an experiment are the options of its parts (`gan.options`).
They are written to `flags.txt`, itself a flag file, so that a run can be resumed, judged and
repeated from its folder alone.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from gan import options, origin
from gan.data import Source, load, same_but_place
from gan.data import absolute as absolute_name
from gan.data.classes import require_examples
from gan.data.reading import check_memory
from gan.errors import MissingError, UserError
from scripts import _places, parts
from scripts.settings import Names, RunOptions
from trainers.base import Trainer
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.groups import within
from trainers.workdir.code import admit_code
from trainers.workdir.data import check_data, data_then
from trainers.workdir.flags import flag_texts
from trainers.workdir.paths import Workdir

# Whose options the flags of a training run are.
ROOTS = (Names, RunOptions)


@dataclass
class Experiment:
    """A trainer and what it trains on.

    Attributes:
        values: every option by name, parts included.
        source: the data.
        trainer: built, and restored if it came from a workdir.
    """

    values: dict[str, Any]
    source: Source
    trainer: Trainer


def build(
    values: Mapping[str, Any],
    strategy: tf.distribute.Strategy | None = None,
    *,
    workdir: str | Path = "",
) -> Experiment:
    """Builds data, networks and trainer.

    Args:
        values: option -> value; what is absent takes its default.
        strategy: where the trainer's variables live; one device by default.
        workdir: of a run whose data this has to be.

    Raises:
        UserError: anything in the values that is wrong, or data that has changed.
    """
    found = parts.find(values)
    (trainer,), (architecture,) = (parts.of_kind(found, k) for k in ("trainer", "architecture"))
    values = dataclasses.asdict(Names()) | dict(values)
    try:
        source = load_source(values)
    except MissingError:
        raise
    except UserError as error:
        raise UserError(f"{error}{data_then(workdir)}") from None
    if workdir:
        check_data(workdir, source)
    if values.get("conditional"):
        require_examples(source)
    arguments = trainer.arguments(values)
    default = trainer.options.get("batch_size")
    batch_size = arguments.get("batch_size", default.default if default else 1)
    # Real images, generated ones and the gradient of either, in float32, at the least.
    size = 3 * 4 * batch_size * math.prod(source.spec.shape)
    check_memory(f"--batch_size={batch_size} examples of shape {source.spec.shape}", size)
    with (strategy or make_strategy("one")).scope():
        built = origin.call(trainer.function, architecture.bound(values), source.spec, **arguments)
    return Experiment(values, source, built)


def trainer_options(values: Mapping[str, Any], trainer: type[Trainer]) -> dict[str, Any]:
    """What of an experiment's values another trainer takes, parts with their options bound."""
    (own,) = parts.of_kind(parts.find(values), "trainer")
    taken = {k: v for k, v in own.arguments(values).items() if k in options.of(trainer)}
    return {k: within(v, trainer.groups) for k, v in taken.items()}


def load_source(values: Mapping[str, Any]) -> Source:
    """The data alone.

    Raises:
        UserError: anything in the values of the data that is wrong.
    """
    found = parts.find(values)
    own: dict[str, Any] = {}
    for part in parts.of_kind(found, "dataset"):
        own |= part.arguments(values)
    return load(values.get("dataset", Names().dataset), **own)


def absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with all paths made absolute: so a run's folder can be used from anywhere."""
    names = _places.paths(parts.find(values, ROOTS))
    return {name: _places.absolute(name, value, names) for name, value in values.items()}


def read_flags(
    workdir: str | Path, *, dataset: str = "", trust_code: bool = False
) -> dict[str, Any]:
    """The typed values of a run's `flags.txt`.

    Args:
        workdir: of the run.
        dataset: the same data in another place, if it was moved.
        trust_code: import what its flags name outside of the project.

    Raises:
        UserError: not a run's folder, or it names such code and isn't trusted.
    """
    # Callbacks are of training alone: nobody else has to trust them.
    texts = {n: text for n, text in flag_texts(workdir).items() if n != "callbacks"}
    admit_code(Path(workdir), texts, trust=trust_code)
    values: dict[str, Any] = dict(texts)
    found = parts.find(texts)
    known = [*options.of(RunOptions).items(), *(o for part in found for o in part.options.items())]
    for flag, option in known:
        if flag in texts:
            values[flag] = parts.read(flag, option, texts[flag])
    if dataset and not same_but_place(values["dataset"], dataset):
        raise UserError(
            f"--dataset={dataset!r}: the run's is {values['dataset']!r}; say where that is now."
        )
    return values | ({"dataset": absolute_name(dataset)} if dataset else {})


def feature_net(values: Mapping[str, Any]) -> dict[str, Any]:
    """The net that a run is judged by while it trains, and its weights, as an Evaluator takes them.

    Args:
        values: of its flags.
    """
    run = options.of(RunOptions)
    return {
        name: values.get(name, run[name].default) for name in ("feature_net", "feature_weights")
    }


def judged_domain(run: Experiment) -> str:
    """The domain of the run's data that its generator makes images of."""
    domain = run.trainer.sampler().interface.output.domain
    return domain if domain in run.source.spec.domains else run.source.spec.domains[-1]


def restore(
    workdir: str | Path,
    checkpoint: str = "latest",
    *,
    dataset: str = "",
    trust_code: bool = False,
) -> Experiment:
    """The experiment of a workdir with a checkpoint's state, on one device.

    Args:
        workdir: of a run.
        checkpoint: "latest", "best" or a step.
        dataset: where the run's data is now, if it was moved.
        trust_code: see `read_flags`.

    Raises:
        UserError: no run, no such checkpoint, or its data is not there or has changed.
    """
    values = read_flags(workdir, dataset=dataset, trust_code=trust_code)
    try:
        experiment = build(values, workdir=workdir)
    except MissingError as error:
        raise UserError(
            f"{error} {str(workdir)!r} was trained on it; if it was moved, say where to with "
            f"--dataset={values['dataset'].partition(':')[0]}:..."
        ) from None
    if (
        Checkpoints(workdir, best_by=values.get("best_by")).restore(experiment.trainer, checkpoint)
        is None
    ):
        raise UserError(f"--workdir={str(workdir)!r} has no checkpoint yet.")
    return experiment


def check_resumable(
    workdir: Path,
    values: Mapping[str, Any],
    found: Sequence[parts.Part] | None = None,
    *,
    flag: str = "workdir",
) -> None:
    """Refuses to resume a run with other options than it was started with.

    Args:
        workdir: with the run's `flags.txt`, if it was started.
        values: of now.
        found: the parts whose options they are, which say what may differ; a training run's by
            default.
        flag: that names the folder.

    Raises:
        UserError: names the first flag that differs.
    """
    if not Workdir(workdir).flags.is_file():
        return
    before = flag_texts(workdir)
    found = parts.find(values, ROOTS) if found is None else found
    names = _places.paths(found)
    free = {name for part in found for name, option in part.options.items() if option.free}
    for name, value in sorted(values.items()):
        if name in free or name not in before:
            continue
        then, now = (options.write(_places.absolute(name, v, names)) for v in (before[name], value))
        if then != now and not _places.moved(name, then, now, workdir, names):
            raise UserError(
                f"--{name}={options.write(value)} differs from --{name}={before[name]}, with which "
                f"the run in {str(workdir)!r} was started; take that value or another --{flag}."
            )


def summary(experiment: Experiment) -> str:
    """The resolved experiment: its values, its data and the size of each network, as text."""
    spec, trainer = experiment.source.spec, experiment.trainer
    lines = [
        f"--{name}={options.write(value)}" for name, value in sorted(experiment.values.items())
    ]
    lines.append(f"data: {spec.name}, {spec.size:,} examples of shape {spec.shape}")
    for name, network in trainer.networks.items():
        lines.append(f"{name}: {network.count_params():,} parameters")
    return "\n".join(lines)
