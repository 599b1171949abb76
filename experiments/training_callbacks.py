"""The callbacks of a training run, in the order in which they write to and read from the logs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from callbacks.checkpoint import Checkpoint
from callbacks.collapse_alarm import CollapseAlarm
from callbacks.evaluation import Evaluation
from callbacks.image_grid import ImageGrid
from callbacks.lr_decay import LearningRateDecay
from callbacks.metrics_log import MetricsLog
from callbacks.nan_guard import NaNGuard
from callbacks.progress_bar import ProgressBar
from callbacks.run_card import RunCard
from callbacks.tensorboard_scalars import TensorBoardScalars
from experiments import experiment, parts, provenance, run_flags
from experiments.settings import RunOptions
from gan import __version__, origin
from gan.data.indexed import IndexedSource
from gan.errors import UserError
from gan.metrics.evaluation import Evaluator
from trainers.checkpoints import Checkpoints
from trainers.distribution import is_chief
from trainers.workdir.starts import Start


def callbacks_of(
    run: experiment.Experiment, options: RunOptions, workdir: Path, checkpoints: Checkpoints
) -> list[keras.callbacks.Callback]:
    """The callbacks that a run's options ask for."""
    chief = is_chief(run.trainer.distribute_strategy)
    callbacks: list[keras.callbacks.Callback] = []
    evaluator = None
    if options.eval_every_kimg is not None:
        evaluator = Evaluator(
            run.source,
            domain=experiment.judged_domain(run),
            metrics=options.eval_metrics,
            feature_net=options.feature_net,
            feature_weights=options.feature_weights,
            num_samples=options.eval_samples,
            seed=run.trainer.seed,
            labels=options.eval_labels,
            split=run.values.get("split", "train"),
            cache=True,
        )
        callbacks.append(
            Evaluation(evaluator, at_start=options.eval_at_start, share=options.eval_share)
        )
    # Behind Evaluation, whose metrics they may use, and before MetricsLog, which writes theirs.
    callbacks += named_callbacks(run.values)
    if options.on_collapse != "off":
        callbacks.append(
            CollapseAlarm(
                run.source,
                checkpoints,
                evaluator=evaluator,
                action=options.on_collapse,
                alarm_every_kimg=options.alarm_every_kimg,
                max_rollbacks=options.max_rollbacks,
            )
        )
    decay = LearningRateDecay(
        options.lr_decay, total_kimg=options.total_kimg, start=options.lr_decay_start
    )
    decay.check(run.trainer)  # Before the run's folder holds its flags.
    callbacks.append(decay)
    if chief:
        callbacks.append(
            MetricsLog(
                workdir,
                log_every_kimg=options.log_every_kimg,
                sinks=[TensorBoardScalars(workdir)],
            )
        )
    # Behind MetricsLog, which writes the bad value, and before what would draw or save it.
    callbacks.append(NaNGuard(workdir))
    if chief:
        if options.image_every_kimg is not None:
            callbacks.append(
                ImageGrid(run.source, workdir, image_every_kimg=options.image_every_kimg)
            )
        callbacks.append(RunCard(workdir, of_training(run.values), card(run)))
        callbacks.append(ProgressBar())
    callbacks.append(Checkpoint(checkpoints, checkpoint_every_kimg=options.checkpoint_every_kimg))
    return callbacks


def of_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say how a run trains, and how long: not what it writes, and when."""
    free = {
        name
        for part in parts.find(values, run_flags.ROOTS)
        for name, option in part.options.items()
        if option.free
    }
    return {n: v for n, v in values.items() if n not in free or n == "total_kimg"}


def card(run: experiment.Experiment) -> dict[str, str]:
    """What a run is, as Markdown: title -> text."""
    spec, begun = run.source.spec, start(run)
    data = {
        "name": spec.name,
        "examples": f"{spec.size:,}",
        "shape": " x ".join(map(str, spec.shape)),
        "domains": ", ".join(spec.domains),
        "classes": ", ".join(map(str, spec.class_names)) or str(spec.num_classes or "none"),
    }
    networks = {name: f"{count:,} parameters" for name, count in begun.networks.items()}
    return {
        "command": f"    {begun.command}\n\nWhat TensorBoard calls a step is a real image seen.",
        "data": _table(data),
        "networks": _table(networks),
        "made with": _table({**begun.versions, **begun.machine}),
    }


def start(run: experiment.Experiment) -> Start:
    """What is so as a run begins, or goes on from its trainer's state."""
    made, source = provenance.made(), run.source
    return Start(
        run.trainer.step,
        run.trainer.images,
        made["date"],
        made["command"],
        made["machine"] | provenance.arithmetic(),
        {"tapestry": __version__, **made["versions"]},
        {name: network.count_params() for name, network in run.trainer.networks.items()},
        source.class_sizes if isinstance(source, IndexedSource) else {},
    )


def _table(rows: Mapping[str, Any]) -> str:
    """A Markdown table of two columns."""
    cells = (
        f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows.items()
    )
    return "\n".join(["| | |", "|---|---|", *cells])


def named_callbacks(values: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    """The callbacks that --callbacks names, built with their flags.

    Raises:
        UserError: one cannot be built, or is no Keras callback.
    """
    callbacks: list[keras.callbacks.Callback] = []
    for part in parts.of_kind(parts.find(values, run_flags.ROOTS), "callbacks"):
        name = getattr(part.function, "__name__", "callback")
        try:
            callback = origin.call(part.function, **part.arguments(values))
        except (TypeError, ValueError) as error:
            raise UserError(f"--callbacks: {name}: {error}") from error
        if not isinstance(callback, keras.callbacks.Callback):
            kind = type(callback).__name__
            raise UserError(f"--callbacks: {name} returned a {kind}, not a Keras callback.")
        callbacks.append(callback)
    return callbacks
