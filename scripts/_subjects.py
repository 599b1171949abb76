"""What `scripts.evaluate` judges, and what it judges by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from callbacks.evaluation import Evaluation
from gan import data, options
from gan.data import Source
from gan.data.classes import aligned
from gan.errors import UserError
from gan.generators import weights_sha256
from gan.metrics.evaluation import Evaluator
from gan.sampling import Sampler
from scripts import _provenance, cli, experiment
from trainers.checkpoints import Checkpoints
from trainers.workdir.data import class_names

FLAGS = flags.FLAGS

# What may be done to pictures before they are judged.
TRANSFORM = ("image_size", "center_crop", "channels")


@dataclass(frozen=True)
class Subject:
    """One generator, or the pictures of one.

    Attributes:
        about: what an entry of evaluation.json says of it.
        title: a line to print before its figures; "" for none.
        judge: seed -> metrics.
    """

    about: dict[str, Any]
    title: str
    judge: Callable[[int], dict[str, float]]


def feature_net(run: experiment.Experiment | None) -> dict[str, Any]:
    """The net to judge by and its weights, as an Evaluator takes them.

    `auto` is what the run was judged by as it trained, so that the figures go together, and where
    there is no run, or other data to judge by, the net made for the data.
    """
    weights = FLAGS.feature_weights or FLAGS.inception_weights
    if FLAGS.feature_net != "auto" or not FLAGS.workdir or FLAGS.reference:
        return {"feature_net": FLAGS.feature_net, "feature_weights": weights}
    own = experiment.feature_net(run.values if run else experiment.read_flags(FLAGS.workdir))
    return own | ({"feature_weights": weights} if weights else {})


def reference(run: experiment.Experiment | None) -> tuple[Source, str, dict[str, Any]]:
    """The data to judge by, its split, and what is done to its images.

    Args:
        run: restored, or None; --workdir may name it all the same.

    Raises:
        UserError: data that is not there, or flags that do not fit it.
    """
    values: dict[str, Any] = {}
    if FLAGS.workdir:
        values = (
            run.values
            if run
            else experiment.read_flags(
                FLAGS.workdir, dataset=FLAGS.dataset, trust_code=FLAGS.trust_code
            )
        )
    chosen = chosen_transform()
    transform = {n: values[n] for n in TRANSFORM if n in values} | chosen
    if FLAGS.reference:
        split = FLAGS.split or "train"
        return _load("reference", FLAGS.reference, split, transform), split, transform
    own = values.get("split", "train")
    split = FLAGS.split or own
    if run and split == own and not chosen:
        return run.source, split, transform
    source = experiment.load_source(values | chosen | {"split": split})
    if split != own:  # A split may lack a class; the generator's numbers are those of training.
        names = run.source.spec.class_names if run else class_names(FLAGS.workdir)
        source = aligned(source, names)
    return source, split, transform


def chosen_transform() -> dict[str, Any]:
    """The transform's flags that are on the command line."""
    return {n: FLAGS[n].value for n in TRANSFORM if FLAGS[n].value is not None}


def define_source_flags() -> None:
    """Defines the options of the reference's own source, such as --data_dir.

    Raises:
        UserError: no such source.
    """
    if FLAGS.reference:
        for option in options.of(_owner("reference", FLAGS.reference)).values():
            cli.define(option, "Reference")


def pictures(source: Source) -> Source:
    """Those of --images, of the shape of the source to judge them by.

    Raises:
        UserError: no pictures, or of another shape.
    """
    found = _load("images", f"folder:{FLAGS.images}", "train", chosen_transform())
    require_shape(found.spec.shape, f"--images={FLAGS.images!r}", source)
    return found


def require_shape(shape: tuple[int, ...], what: str, source: Source) -> None:
    """Raises UserError, with the flags that help, unless samples have the reference's shape."""
    wanted = tuple(source.spec.shape)
    if tuple(shape) == wanted:
        return
    advice = ""
    if len(wanted) == len(shape) == 3:
        # The flags reach the reference and --images; a generator's shape is what it is.
        height, width, channels = wanted if FLAGS.images else shape
        if FLAGS.images or (FLAGS.reference and height == width):
            advice = f": give --image_size={height} --channels={channels}"
            advice += ", with --center_crop to cut a square instead of stretching"
    raise UserError(
        f"{what}: its samples have shape {tuple(shape)}, the reference {source.spec.name} has "
        f"{wanted}{advice}."
    )


def subjects(
    evaluator: Evaluator, run: experiment.Experiment | None, sampler: Sampler | None
) -> Iterator[Subject]:
    """What the flags name, one after another.

    A checkpoint that a running training has dropped before its turn is passed over with a line.

    Args:
        evaluator: to judge by.
        run: with a checkpoint's state; None for pictures or a file.
        sampler: the run's, or the file's; None for pictures.
    """
    if sampler is None:
        yield _of_pictures(evaluator)
    elif run is None:
        require_shape(tuple(sampler.shape), f"--model={FLAGS.model!r}", evaluator.source)
        about = {
            "kind": "file",
            "name": Path(FLAGS.model).name,
            "sha256": _provenance.sha256(FLAGS.model),
        }
        yield Subject(about, "", lambda seed: evaluator.evaluate(sampler, seed))
    else:
        yield from of_run(evaluator, run, FLAGS.workdir, FLAGS.checkpoint or "latest")


def _of_pictures(evaluator: Evaluator) -> Subject:
    source = pictures(evaluator.source)
    domain = source.spec.domains[0]

    def judge(seed: int) -> dict[str, float]:
        del seed
        batches = source.ordered(1000).as_numpy_iterator()
        return evaluator.evaluate_images(batch[domain] for batch in batches)

    evaluator.num_samples = source.spec.size
    about = {"kind": "images", "name": Path(FLAGS.images).name, "sha256": source.fingerprint()}
    chosen = chosen_transform()
    return Subject(about | ({"transform": chosen} if chosen else {}), "", judge)


def of_run(
    evaluator: Evaluator, run: experiment.Experiment, workdir: str, checkpoint: str
) -> Iterator[Subject]:
    """A run's checkpoints; one that cannot be read, or not any more, is left out with a line.

    Args:
        evaluator: to judge by.
        run: with the checkpoint's state.
        workdir: of the run.
        checkpoint: "all", or what the state is of.
    """
    trainer, evaluation = run.trainer, Evaluation(evaluator)
    require_shape(tuple(trainer.sampler().shape), f"--workdir={workdir!r}", evaluator.source)
    checkpoints = Checkpoints(workdir)
    for step in checkpoints.steps() if checkpoint == "all" else [None]:
        if step is not None:
            try:
                checkpoints.restore(trainer, str(step))
            except UserError as error:
                gone = not checkpoints.path(step).is_dir()
                why = "the running training has dropped it." if gone else str(error)
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
        yield Subject(about, title, lambda seed: evaluation.evaluate(trainer, seed))


def _owner(flag: str, name: str) -> Callable[..., Source]:
    try:
        return data.options_owner(name)
    except UserError as error:
        raise UserError(str(error).replace("--dataset", f"--{flag}")) from None


def _load(flag: str, name: str, split: str, transform: dict[str, Any]) -> Source:
    """A data set that a flag of this script names, messages in its words."""
    own: dict[str, Any] = {}
    if flag == "reference":
        names = set(options.of(_owner(flag, name))) - {"split", *TRANSFORM}
        own = {n: FLAGS[n].value for n in sorted(names) if n in FLAGS and FLAGS[n].present}
    try:
        return data.load(name, split=split, **transform, **own)
    except UserError as error:
        text = str(error).replace("--dataset", f"--{flag}")
        if flag == "images":
            text = text.replace(name, f"--images={FLAGS.images!r}", 1)
        raise UserError(text) from None
