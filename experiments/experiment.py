"""Builds an experiment (data, networks, trainer) from its options, or restores it from a workdir.

Its options are those of its parts (`gan.options`).
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
from trainers.workdir.data import check_data, data_before


@dataclass
class Experiment:
    """A trainer and what it trains on.

    Attributes:
        values: option -> value, the names of the parts included.
        source: the data.
        trainer: the trainer, with the state of a checkpoint if it was restored.
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
        values: option -> value; absent options have their defaults.
        strategy: where the trainer's variables live; one device by default.
        workdir: the run's folder, to check that its data has not changed; "" checks nothing.

    Raises:
        UserError: a value is wrong, or the data has changed.
    """
    named = parts.find(values)
    (trainer,), (architecture,) = (parts.of_kind(named, k) for k in ("trainer", "architecture"))
    values = dataclasses.asdict(Names()) | dict(values)
    try:
        source = load_source(values)
    except MissingError:
        raise
    except UserError as error:
        raise UserError(f"{error}{data_before(workdir)}") from None
    if workdir:
        check_data(workdir, source)
    if values.get("conditional"):
        require_examples(source)
    arguments = trainer.arguments(values)
    default = trainer.options.get("batch_size")
    batch_size = arguments.get("batch_size", default.default if default else 1)
    # At the least: real images, generated images, and a gradient of one of them, in float32.
    size = 3 * 4 * batch_size * math.prod(source.spec.shape)
    check_memory(f"--batch_size={batch_size} examples of shape {source.spec.shape}", size)
    with (strategy or make_strategy("one")).scope():
        built = origin.call(trainer.function, architecture.bound(values), source.spec, **arguments)
    return Experiment(values, source, built)


def trainer_options(values: Mapping[str, Any], trainer: type[Trainer]) -> dict[str, Any]:
    """The options of an experiment's trainer that another trainer has too, parts bound."""
    (before,) = parts.of_kind(parts.find(values), "trainer")
    shared = {k: v for k, v in before.arguments(values).items() if k in options.of(trainer)}
    return {k: within(v, trainer.groups) for k, v in shared.items()}


def load_source(values: Mapping[str, Any]) -> Source:
    """The experiment's data alone.

    Raises:
        UserError: an option of the data is wrong.
    """
    arguments: dict[str, Any] = {}
    for part in parts.of_kind(parts.find(values), "dataset"):
        arguments |= part.arguments(values)
    return load(values.get("dataset", Names().dataset), **arguments)


def feature_net(values: Mapping[str, Any]) -> dict[str, Any]:
    """The feature net of a run's evaluations and its weights, as an Evaluator takes them.

    Args:
        values: flag -> value of the run.
    """
    run = options.of(RunOptions)
    return {
        name: values.get(name, run[name].default) for name in ("feature_net", "feature_weights")
    }


def judged_domain(run: Experiment) -> str:
    """The domain of the run's data in which its generator makes images."""
    domain = run.trainer.sampler().interface.output.domain
    return domain if domain in run.source.spec.domains else run.source.spec.domains[-1]


def restore(
    workdir: str | os.PathLike[str],
    checkpoint: str = "latest",
    *,
    dataset: str | None = None,
    trust_code: bool = False,
) -> Experiment:
    """A run's experiment with the state of a checkpoint, on one device.

    Args:
        workdir: the run's folder.
        checkpoint: "latest", "best" or a step.
        dataset: where the run's data is now, if it was moved.
        trust_code: see `run_flags.read`.

    Raises:
        UserError: there is no such run or checkpoint, or its data is missing or has changed.
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
    """An experiment as text: its options, its data and the size of each network."""
    values = sorted(experiment.values.items())
    flags = (f"--{name}={options.write(value)}" for name, value in values)
    return "\n".join([*flags, sizes(experiment)])


def sizes(experiment: Experiment) -> str:
    """The size of an experiment's data, and of each network, in a line each."""
    spec = experiment.source.spec
    lines = [f"data: {spec.name}, {spec.size:,} examples of shape {spec.shape}"]
    for name, network in experiment.trainer.networks.items():
        lines.append(f"{name}: {network.count_params():,} parameters")
    return "\n".join(lines)
