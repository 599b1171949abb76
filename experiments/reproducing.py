"""Trains a run's beginning again, and compares what both have recorded, bit for bit."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from experiments import run_flags, training
from experiments.runs import flat
from experiments.settings import ReproduceOptions
from gan import files
from gan.errors import UserError
from trainers.workdir.code import admit_code
from trainers.workdir.data import recorded
from trainers.workdir.flags import flag_texts
from trainers.workdir.log import Log, read_log
from trainers.workdir.paths import Workdir
from trainers.workdir.saves import Saves
from trainers.workdir.starts import Start, read_starts

# Keys that depend on the clock.
_TIMED = {"progress/images_per_second"}
# Behind the name of each variable in a checkpoint; its table of objects has another name.
_VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True)
class Difference:
    """Where two records differ first.

    Attributes:
        step: the record's.
        name: of a logged key, or of a checkpoint's tensor.
        before: the run's value; of a tensor the one that differs most.
        now: the value of this time; NaN where there is none.
        count: how many values or tensors differ in all.
    """

    step: int
    name: str
    before: float
    now: float
    count: int


@dataclass
class Reproduction:
    """A run's beginning, trained twice.

    Attributes:
        out: folder of the second training.
        step: the last step that was trained again.
        interrupted: the signal that ended it early; 0 for none.
        values: logged values that were compared.
        log: how the log differs; None if it does not.
        checkpoints: step -> SHA-256 of its tensors, of the run's checkpoints that were compared.
        weights: how the checkpoints differ; None if they do not.
        not_compared: the run's first checkpoint if none was compared; None without any.
        facts: what was recorded of both and differs: name -> (before, now).
        deterministic: whether the run asked for deterministic ops.
    """

    out: Path
    step: int
    interrupted: int = 0
    values: int = 0
    log: Difference | None = None
    checkpoints: dict[int, str] = field(default_factory=dict)
    weights: Difference | None = None
    not_compared: int | None = None
    facts: dict[str, tuple[str, str]] = field(default_factory=dict)
    deterministic: bool = False

    @property
    def equal(self) -> bool:
        """Whether all that was compared is equal, bit for bit."""
        return self.log is None and self.weights is None


class _StopAt(keras.callbacks.Callback):
    """Ends training at the first end of a graph call at or behind a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stops when the step is reached; total_kimg stays, since rates may depend on it."""
        if self.model.step >= self._step:
            self.model.stop_training = True


def reproduce(
    folder: str | os.PathLike[str], options: ReproduceOptions | None = None
) -> Reproduction:
    """Trains a run's command again in a new folder, and compares the two.

    Args:
        folder: the run's; nothing in it is changed.
        options: how far, and where; None for the defaults.

    Raises:
        UserError: the folder is no run's or holds nothing to compare, or an option is wrong.
    """
    options = options or ReproduceOptions()
    run = Workdir(folder)
    texts = flag_texts(folder, flag="")
    step = last_step(run, options.steps)
    out = Path(options.out or f"{os.path.normpath(folder)}_again")
    files.check_output("out", out, folder=True)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"--out={str(out)!r} is there already; take another folder, or remove it.")
    admit_code(folder, texts, trust=options.trust_code)
    values: dict[str, Any] = {**texts, "workdir": os.fspath(out)}
    if options.dataset:
        moved = run_flags.read(folder, dataset=options.dataset, trust_code=options.trust_code)
        values["dataset"] = moved["dataset"]
    done = training.train(values, callbacks=[_StopAt(step)])
    made = Reproduction(
        out,
        done.trainer.step,
        interrupted=done.trainer.interrupted or 0,
        deterministic=done.options.deterministic,
    )
    again = Workdir(out)
    compare_logs(made, read_log(run.metrics), read_log(again.metrics))
    compare_checkpoints(made, Saves(run.checkpoints), Saves(again.checkpoints))
    compare_facts(made, run, again)
    return made


def last_step(run: Workdir, steps: int | None) -> int:
    """The step to train to: `steps`, or that of the first record.

    Raises:
        UserError: there is no record at or before it.
    """
    if steps is not None and steps < 1:
        raise UserError(f"--steps={steps}: expected at least 1.")
    logged = [event.step for event in read_log(run.metrics).events]
    records = sorted(s for s in {*logged, *Saves(run.checkpoints).steps()} if s > 0)
    if not records:
        raise UserError(
            f"{str(run.folder)!r} holds nothing to compare: neither a line of its metrics.jsonl "
            "nor a checkpoint."
        )
    if steps is not None and steps < records[0]:
        raise UserError(
            f"--steps={steps}: the first record to compare is that of step {records[0]}."
        )
    return steps or records[0]


def compare_logs(made: Reproduction, before: Log, now: Log) -> None:
    """Compares all values that both logs hold, up to the last step trained again.

    A metric that was not measured again, as --eval_share may have it, is no difference; a step
    without any value is.
    """
    first, second = _by_step(before), _by_step(now)
    differing: list[tuple[int, str, float, float]] = []
    for step in sorted(s for s in first if s <= made.step):
        again = second.get(step, {})
        pairs = [
            (key, a, b)
            for key, values in first[step].items()
            for a, b in zip(values, again.get(key, ()))
        ]
        made.values += len(pairs)
        differing += [(step, k, a, b) for k, a, b in pairs if a != b and not (a != a and b != b)]
        if first[step] and not pairs:
            name, values = next(iter(first[step].items()))
            differing.append((step, name, values[0], float("nan")))
    if differing:
        made.log = Difference(*differing[0], len(differing))


def _by_step(log: Log) -> dict[int, dict[str, list[float]]]:
    """Step -> key -> its values: an evaluation's line repeats the losses of the line before."""
    found: dict[int, dict[str, list[float]]] = {}
    for event in log.events:
        for key, value in event.values.items():
            if key not in _TIMED:
                found.setdefault(event.step, {}).setdefault(key, []).append(value)
    return found


def compare_checkpoints(made: Reproduction, before: Saves, now: Saves) -> None:
    """Compares the tensors of the checkpoints that both have."""
    common = [step for step in before.steps() if step in now.steps()]
    made.not_compared = None if common else next(iter(before.steps()), None)
    for step in common:
        first, second = (tensors(saves.path(step)) for saves in (before, now))
        made.checkpoints[step] = digest(first)
        names = [
            name
            for name in sorted({*first, *second})
            if name not in first or name not in second or not _same(first[name], second[name])
        ]
        if names and made.weights is None:
            a, b = _farthest(first.get(names[0]), second.get(names[0]))
            made.weights = Difference(step, names[0], a, b, len(names))


def tensors(checkpoint: Path) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name.

    Raises:
        UserError: it cannot be read.
    """
    try:
        reader = tf.train.load_checkpoint(str(checkpoint / "variables"))
        names = [n for n in reader.get_variable_to_shape_map() if n.endswith(_VARIABLE)]
        return {n.removesuffix(_VARIABLE): np.asarray(reader.get_tensor(n)) for n in names}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"the checkpoint {str(checkpoint)!r} cannot be read: {reason}") from None


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of tensors, their names, types and shapes, in hexadecimal."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()


def _farthest(a: np.ndarray | None, b: np.ndarray | None) -> tuple[float, float]:
    """The two values of tensors that differ most; NaN where shapes differ or one is missing."""
    if a is None or b is None or a.shape != b.shape or a.dtype.kind not in "fiu":
        return float("nan"), float("nan")
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    i = int(np.argmax(np.nan_to_num(np.abs(x - y), nan=np.inf)))
    return float(x[i]), float(y[i])


def compare_facts(made: Reproduction, run: Workdir, again: Workdir) -> None:
    """Compares versions, machine and data, of each start of the run that took part."""
    now = _known(read_starts(again.folder)[0][-1:])
    starts, _ = read_starts(run.folder)
    begun = max((i for i, s in enumerate(starts) if s.step == 0), default=0)
    before = _known([s for s in starts[begun:] if s.step < made.step])
    for name in {**before, **now} if before else ():
        a, b = before.get(name, "-"), now.get(name, "-")
        if a != b:
            made.facts[name] = a, b
    was, now_is = recorded(run.folder), recorded(again.folder)
    changes = was.changes(now_is) if was and now_is else ""
    if was and now_is and changes:
        made.facts["data"] = was.fingerprint[:12] or was.spec.name, changes


def _known(starts: list[Start]) -> dict[str, str]:
    """Facts of starts by name; those of several starts that differ, one behind the other."""
    found: dict[str, list[str]] = {}
    for start in starts:
        for name, text in flat({**start.versions, **start.machine}).items():
            texts = found.setdefault(name, [])
            texts += [] if text in texts else [text]
    return {name: ", then ".join(texts) for name, texts in found.items()}
