"""From names and values to an experiment: data, networks and trainer, and back from a workdir.

The values that make an experiment are the options of its parts (`gan.options`).
"""

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from experiments import parts, run_flags
from experiments.settings import Names, RunOptions
from gan import options, origin
from gan.data import Source, load
from gan.data.classes import require_examples
from gan.data.reading import check_memory
from gan.errors import MissingError, UserError
from trainers.base import Trainer
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.groups import within
from trainers.workdir.data import check_data, data_then


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
    workdir: str | os.PathLike[str] = "",
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
    workdir: str | os.PathLike[str],
    checkpoint: str = "latest",
    *,
    dataset: str | None = None,
    trust_code: bool = False,
) -> Experiment:
    """The experiment of a workdir with a checkpoint's state, on one device.

    Args:
        workdir: of a run.
        checkpoint: "latest", "best" or a step.
        dataset: where the run's data is now, if it was moved.
        trust_code: see `run_flags.read`.

    Raises:
        UserError: no run, no such checkpoint, or its data is not there or has changed.
    """
    values = run_flags.read(workdir, dataset=dataset, trust_code=trust_code)
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
