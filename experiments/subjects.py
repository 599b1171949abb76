"""The subjects of an evaluation, and the data to compare them with."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import experiment, provenance, run_flags
from experiments.settings import EvaluateOptions
from gan import data
from gan.data import Source
from gan.data.classes import aligned
from gan.errors import UserError
from gan.generators import weights_sha256
from gan.metrics.evaluation import Evaluator
from gan.sampling import Sampler
from gan.sizes import Size
from trainers.checkpoints import Checkpoints
from trainers.workdir.data import class_names

# Options of what is done to pictures before they are evaluated.
TRANSFORM = ("image_size", "center_crop", "channels")


@dataclass(frozen=True)
class Subject:
    """A generator or a folder of pictures to evaluate.

    Attributes:
        about: the subject as an entry of evaluation.json describes it.
        title: line to print before its metrics; "" for none.
        judge: seed -> metrics.
    """

    about: dict[str, Any]
    title: str
    judge: Callable[[int], dict[str, float]]


def feature_net(run: experiment.Experiment | None, options: EvaluateOptions) -> dict[str, Any]:
    """The feature net and its weights, as an Evaluator takes them.

    `auto` is the net of the run's own evaluations, so that their results compare. Without a run, or
    with other data as the reference, it is the net made for the data.
    """
    weights = options.feature_weights or options.inception_weights
    if options.feature_net != "auto" or not options.workdir or options.reference:
        return {"feature_net": options.feature_net, "feature_weights": weights}
    net = experiment.feature_net(run.values if run else run_flags.read(options.workdir))
    return net | ({"feature_weights": weights} if weights else {})


def reference(
    run: experiment.Experiment | None,
    options: EvaluateOptions,
    reference_options: Mapping[str, Any],
) -> tuple[Source, str, dict[str, Any]]:
    """The data to compare with, its split, and the options of its transform.

    Args:
        run: the restored run; None for a file or pictures, even if --workdir names a run.
        options: what to evaluate, and how.
        reference_options: further options of the data set `reference`.

    Raises:
        UserError: the data is missing, or options do not fit it.
    """
    values: dict[str, Any] = {}
    if options.workdir:
        values = (
            run.values
            if run
            else run_flags.read(
                options.workdir, dataset=options.dataset, trust_code=options.trust_code
            )
        )
    chosen = chosen_transform(options)
    transform = {n: values[n] for n in TRANSFORM if n in values} | chosen
    if options.reference:
        split = options.split or "train"
        source = _load("reference", options.reference, split, transform | dict(reference_options))
        return source, split, transform
    trained_on = values.get("split", "train")
    split = options.split or trained_on
    if run and split == trained_on and not chosen:
        return run.source, split, transform
    source = experiment.load_source(values | chosen | {"split": split})
    if split != trained_on:  # A split may lack a class; the generator counts training's classes.
        names = run.source.spec.class_names if run else class_names(options.workdir or "")
        source = aligned(source, names)
    return source, split, transform


def chosen_transform(options: EvaluateOptions) -> dict[str, Any]:
    """The options of the transform that are given."""
    values = {n: getattr(options, n) for n in TRANSFORM}
    return {n: value for n, value in values.items() if value is not None}


def pictures(source: Source, options: EvaluateOptions) -> Source:
    """The pictures of --images, which must have the shape of the data to compare them with.

    Raises:
        UserError: there are none, or they have another shape.
    """
    images = _load("images", f"folder:{options.images}", "train", chosen_transform(options))
    require_shape(images.spec.shape, f"--images={options.images!r}", source, options)
    return images


def require_shape(
    shape: tuple[int, ...], what: str, source: Source, options: EvaluateOptions
) -> None:
    """Raises UserError, with the flags that help, unless samples have the reference's shape."""
    wanted = tuple(source.spec.shape)
    if tuple(shape) == wanted:
        return
    advice = ""
    if len(wanted) == len(shape) == 3:
        # The flags change the reference and --images, but not the shape of a generator's samples.
        height, width, channels = wanted if options.images else shape
        if options.images or options.reference:
            advice = f": give --image_size={Size.of(height, width)} --channels={channels}"
            advice += ", with --center_crop to cut the centre instead of stretching"
    raise UserError(
        f"{what}: its samples have shape {tuple(shape)}, the reference {source.spec.name} has "
        f"{wanted}{advice}."
    )


def truncated(sampler: Sampler, options: EvaluateOptions) -> Sampler:
    """The sampler, truncated if the options say so.

    Raises:
        UserError: it cannot be truncated so.
    """
    return sampler if options.truncation is None else sampler.truncated(options.truncation)


def subjects(
    evaluator: Evaluator,
    run: experiment.Experiment | None,
    sampler: Sampler | None,
    options: EvaluateOptions,
) -> Iterator[Subject]:
    """Yields what the options name, one subject after another.

    A checkpoint that a running training has deleted meanwhile is skipped, with a printed line.

    Args:
        evaluator: measures the metrics.
        run: the run with a checkpoint's state; None for pictures or a file.
        sampler: sampler of the run or the file, truncated if it is to be; None for pictures.
        options: what to evaluate, and how.
    """
    if sampler is None:
        yield _of_pictures(evaluator, options)
    elif run is None:
        path = Path(options.model or "")
        require_shape(tuple(sampler.shape), f"--model={options.model!r}", evaluator.source, options)
        about = {
            "kind": "file",
            "name": path.name,
            "sha256": provenance.sha256(path),
        }
        yield Subject(about, "", _judge(evaluator, sampler))
    else:
        yield from of_run(evaluator, run, options)


def _judge(evaluator: Evaluator, sampler: Sampler) -> Callable[[int], dict[str, float]]:
    return lambda seed: evaluator.evaluate(sampler, seed)


def _of_pictures(evaluator: Evaluator, options: EvaluateOptions) -> Subject:
    source = pictures(evaluator.source, options)
    domain = source.spec.domains[0]

    def judge(seed: int) -> dict[str, float]:
        del seed
        batches = source.ordered(1000).as_numpy_iterator()
        return evaluator.evaluate_images(batch[domain] for batch in batches)

    evaluator.num_samples = source.spec.size
    about = {
        "kind": "images",
        "name": Path(options.images or "").name,
        "sha256": source.fingerprint(),
    }
    chosen = chosen_transform(options)
    return Subject(about | ({"transform": chosen} if chosen else {}), "", judge)


def of_run(
    evaluator: Evaluator, run: experiment.Experiment, options: EvaluateOptions
) -> Iterator[Subject]:
    """Yields a run's checkpoints; one that cannot be read is skipped, with a printed line.

    Args:
        evaluator: measures the metrics.
        run: the run with the checkpoint's state.
        options: what to evaluate, and how.
    """
    workdir = os.fspath(options.workdir or "")
    trainer = run.trainer
    shape = tuple(trainer.sampler().shape)
    require_shape(shape, f"--workdir={workdir!r}", evaluator.source, options)
    checkpoints = Checkpoints(workdir)
    for step in checkpoints.steps() if options.checkpoint == "all" else [None]:
        if step is not None:
            try:
                checkpoints.restore(trainer, str(step))
            except UserError as error:
                gone = not checkpoints.path(step).is_dir()
                why = "the running training has deleted it." if gone else str(error)
                print(f"step {step} is left out: {why}", flush=True)
                continue
        about = {
            "kind": "checkpoint",
            "run": Path(workdir).resolve().name,
            "step": trainer.step,
            "images": trainer.images,
            "ema": bool(trainer.ema),
            "sha256": weights_sha256(trainer.inference()),
        }
        title = f"step {trainer.step}, {trainer.images / 1000:g} kimg"
        # A copy, if it is truncated: of this checkpoint's weights.
        sampler = truncated(trainer.sampler(), options)
        yield Subject(about, title, _judge(evaluator, sampler))


def owner_of_options(flag: str, name: str) -> Callable[..., Source]:
    """The function of the data set that a flag of an evaluation names.

    Raises:
        UserError: there is no such data set; the message names the flag.
    """
    try:
        return data.options_owner(name)
    except UserError as error:
        raise UserError(str(error).replace("--dataset", f"--{flag}")) from None


def _load(flag: str, name: str, split: str, options: Mapping[str, Any]) -> Source:
    """The data set that a flag of an evaluation names; error messages name that flag."""
    try:
        return data.load(name, split=split, **options)
    except UserError as error:
        text = str(error).replace("--dataset", f"--{flag}")
        if flag == "images":
            text = text.replace(name, f"--images={name.removeprefix('folder:')!r}", 1)
        raise UserError(text) from None
