"""Says that a GAN has collapsed while something can still be done about it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging
from scipy.spatial.distance import pdist

from callbacks._cadence import Cadence
from gan.data.source import Source
from gan.errors import UserError
from gan.sampling import balanced_labels, latents
from trainers.checkpoints import Checkpoints
from trainers.distribution import any_worker, is_chief
from trainers.progress import whole_images

ACTIONS = ("warn", "stop", "rollback")
# What an evaluation may say about the share of the data that is found, higher is better.
_COVERAGES = ("recall", "coverage", "modes")
_SIDE = 8  # Images are compared by averages over this many by this many tiles.


class CollapseAlarm(keras.callbacks.Callback):
    """Watches how different samples are from one another, and how much of the data they cover.

    Three signals, each of which must persist for `patience` measurements in a row:

    - Diversity: the mean distance between samples, relative to that between as many real
      examples (see `diversity`), is below `min_diversity`: the generator says one thing, whatever
      z is. It is measured every `alarm_every_kimg` on the inference weights. A generator that
      keeps a few modes that lie far apart passes, and so does a conditional one that collapses
      within each class; the next signal is for those.
    - Coverage: an evaluation found a `recall`, `coverage` or `modes` below `min_coverage` of the
      run's best.
    - D has won: `discriminator_accuracy` (see `trainers.gan.accuracy`) is on average above
      `max_accuracy` while diversity is below `fallen` of its best (at most 1). A perfect D alone
      is no collapse: it is the rule early on, and with strong critics.

    It adds `diversity`, and `collapse` (1 from an alarm until every signal is quiet, else 0), to
    the logs; put it behind `Evaluation` and before `MetricsLog`. An alarm is one warning with all
    figures and one line of `workdir/collapses.jsonl`; what follows is the action:

    - warn: nothing more. It warns again only after it had recovered.
    - stop: the run ends after this graph call and is saved as usual; `stopped` says why.
    - rollback: training goes on from the best checkpoint, with other noise and another data order
      from there (`State.stream`): those that led here would only lead here again. At most
      `max_rollbacks` times in a run, however often it is resumed, since the count is part of the
      checkpoints; then, or where no evaluation has named a best checkpoint yet, it stops. Later
      checkpoints are deleted, and the other callbacks go through a resume: `metrics.jsonl` loses
      the lines beyond the best checkpoint and stays in order, while TensorBoard's curves go back
      and forth, and Keras' History begins anew.

    The counts of measurements begin anew when a run is resumed. The best figures and the last
    diversity are then read from `metrics.jsonl`.

    Args:
        source: where real examples come from.
        checkpoints: those of the workdir.
        action: "warn", "stop" or "rollback".
        alarm_every_kimg: thousands of images between measurements of diversity.
        warmup_kimg: thousands of images before which nothing counts: an untrained generator has
            little diversity, and may have much recall.
        patience: measurements in a row that make an alarm.
        min_diversity: alarm below this share of the reals' diversity, 0 to 1.
        min_coverage: alarm below this share of the best recall, coverage or modes, 0 to 1.
        max_accuracy: D has won above this, 0.5 to 1...
        fallen: ... with a diversity below this share of its best, 0 to 1.
        max_rollbacks: of a run.
        samples: how many are compared.
        seed: of z and of the choice of reals.

    Raises:
        UserError: an unknown action, or a number out of its range.
    """

    def __init__(
        self,
        source: Source,
        checkpoints: Checkpoints,
        *,
        action: str = "warn",
        alarm_every_kimg: float = 10.0,
        warmup_kimg: float = 20.0,
        patience: int = 3,
        min_diversity: float = 0.2,
        min_coverage: float = 0.5,
        max_accuracy: float = 0.99,
        fallen: float = 0.5,
        max_rollbacks: int = 3,
        samples: int = 256,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if action not in ACTIONS:
            raise UserError(f"--on_collapse={action!r}: expected off, {', '.join(ACTIONS)}.")
        shares = {"min_diversity": min_diversity, "min_coverage": min_coverage}
        for name, share in (shares | {"max_accuracy": max_accuracy, "fallen": fallen}).items():
            if not 0 <= share <= 1:
                raise UserError(f"{name}={share}: expected 0 to 1.")
        for name, count, least in (("patience", patience, 1), ("samples", samples, 2)):
            if count < least:
                raise UserError(f"{name}={count}: expected at least {least}.")
        self.stopped = ""
        self._source, self._checkpoints, self._action = source, checkpoints, action
        self._workdir = checkpoints.directory.parent
        self._cadence = Cadence(alarm_every_kimg)
        self._warmup, self._patience = whole_images(warmup_kimg), patience
        self._min_diversity, self._min_coverage = min_diversity, min_coverage
        self._max_accuracy, self._fallen = max_accuracy, fallen
        self._max_rollbacks, self._count, self._seed = max_rollbacks, samples, seed
        self._reals = np.zeros((0,))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the reals, and takes up the best figures of a resumed run."""
        self.stopped = ""
        if not len(self._reals):
            self._prepare()
        self._cadence.start(self.model.images)
        self._best, self._figures = _so_far(self._workdir / "metrics.jsonl", self.model.step)
        self._streaks: dict[str, int] = {}
        self._accuracies: list[float] = []
        self._alarmed = False

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures when due; adds the last measurement to `logs`."""
        logs = {} if logs is None else logs
        if "discriminator_accuracy" in logs:
            self._accuracies.append(float(logs["discriminator_accuracy"]))
        if self._cadence.due(self.model.images) and self.model.images >= self._warmup:
            self._check_diversity()
        self._add(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads what an evaluation found."""
        logs = {} if logs is None else logs
        late = self.model.images >= self._warmup
        for name in (n for n in _COVERAGES if late and np.isfinite(logs.get(n, np.nan))):
            value = float(logs[name])
            best = self._note(name, value)
            text = f"{name} {value:.3g} is below {self._min_coverage:g} of its best, {best:.3g}"
            self._judge(name, value < self._min_coverage * best, text)
        self._add(logs)

    def _check_diversity(self) -> None:
        """Measures diversity and judges it, alone and beside the discriminator's accuracy."""
        value = diversity(self.model.sampler()(self._inputs, self._label), self._reals)
        if not np.isfinite(value):
            return  # NaNGuard's business.
        best = self._note("diversity", value)
        why = f"diversity {value:.3g} is below {self._min_diversity:g}"
        self._judge("diversity", value < self._min_diversity, why)
        if self._accuracies:
            accuracy = float(np.mean(self._accuracies))
            self._figures["discriminator_accuracy"], self._accuracies = accuracy, []
            # Untrained noise may be more diverse than the data; to lose that is no fall.
            best = min(best, 1.0)
            won = accuracy > self._max_accuracy and value < self._fallen * best
            why = (
                f"the discriminator's accuracy {accuracy:.4f} is above {self._max_accuracy:g} "
                f"while diversity fell from {best:.3g} to {value:.3g}"
            )
            self._judge("discriminator_accuracy", won, why)

    def _note(self, name: str, value: float) -> float:
        """Keeps a figure; the best of its kind so far."""
        self._figures[name] = value
        self._best[name] = max(value, self._best.get(name, value))
        return self._best[name]

    def _judge(self, signal: str, bad: bool, why: str) -> None:
        """Counts a signal's measurement, and sounds the alarm where it is the last straw."""
        # Workers measure alike but for rounding; they must act as one.
        bad = any_worker(self.model.distribute_strategy, bad)
        self._streaks[signal] = self._streaks.get(signal, 0) + 1 if bad else 0
        if not any(self._streaks.values()):
            self._alarmed = False
        elif not self._alarmed and self._streaks[signal] >= self._patience:
            self._alarmed = True
            self._sound(why)

    def _sound(self, why: str) -> None:
        trainer = self.model
        then = self._act(why)
        figures = ", ".join(
            f"{name} {value:.4g}"
            + (f" (best {self._best[name]:.4g})" if name in self._best else "")
            for name, value in sorted(self._figures.items())
        )
        logging.warning(
            "Collapse at step %d (%g kimg): %s, %d times in a row. Figures: %s. %s",
            trainer.step, trainer.images / 1000, why, self._patience, figures, then,
        )  # fmt: skip
        if is_chief(trainer.distribute_strategy):
            record = {"step": trainer.step, "images": trainer.images, "why": why, "then": then}
            self._workdir.mkdir(parents=True, exist_ok=True)
            with open(self._workdir / "collapses.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record | self._figures) + "\n")

    def _act(self, why: str) -> str:
        """Sets in motion what the action says; a sentence on what that is."""
        if self._action == "warn":
            return "Training goes on."
        trainer, checkpoints = self.model, self._checkpoints
        reason = ""
        if self._action == "rollback":
            best = checkpoints.best()
            if best is None:
                reason = "there is no best checkpoint to go back to"
            elif trainer.rollbacks >= self._max_rollbacks:
                reason = f"it was rolled back {trainer.rollbacks} times already"
            else:
                # What this graph call belongs to ends first: its line, its picture, its checkpoint.
                trainer.rewind = lambda: checkpoints.roll_back(trainer)
                trainer.stop_training = True
                return (
                    f"Rollback {trainer.rollbacks + 1} of {self._max_rollbacks}, to the best "
                    f"checkpoint: step {best['step']}, {best['metric']} {best['value']:.4g}."
                )
        self.stopped = f"collapse at step {trainer.step}: {why}" + (f"; {reason}" if reason else "")
        trainer.stop_training = True
        return f"Training stops{': ' if reason else ''}{reason}."

    def _add(self, logs: dict[str, Any]) -> None:
        if "diversity" in self._figures:
            logs["diversity"] = self._figures["diversity"]
        logs["collapse"] = float(self._alarmed)

    def _prepare(self) -> None:
        """Chooses the reals, and the inputs that are drawn for again and again."""
        trainer, source = self.model, self._source
        count = min(self._count, source.spec.size)
        batch = next(iter(source.pipeline(count, seed=self._seed)))
        self._reals = _tiled(np.asarray(batch[source.spec.domains[-1]]))
        sampler = trainer.sampler()
        self._label: np.ndarray | None = None
        if trainer.spec.is_translation:
            self._inputs = np.asarray(batch[source.spec.domains[0]])
            return
        self._inputs = latents(count, sampler.latent_dim, self._seed)
        if sampler.num_classes:
            self._label = balanced_labels(count, sampler.num_classes)


def diversity(samples: np.ndarray, reals: np.ndarray) -> float:
    """How different samples are from one another: 0 for copies of one, about 1 for real data.

    The mean Euclidean distance over all pairs of samples, divided by that over all pairs of reals.
    Images are first averaged over 8 x 8 tiles, so that noise in the pixels does not pass for
    variety; points are taken as they are.

    Args:
        samples: float (N, H, W, C) or (N, d), N at least 2.
        reals: (M, ...) of the same kind, M at least 2.

    Returns:
        The ratio, at least 0.
    """
    return _distance(samples) / max(_distance(reals), 1e-12)


def _distance(x: np.ndarray) -> float:
    """The mean Euclidean distance over all pairs of rows."""
    rows = _tiled(np.asarray(x, np.float64)).reshape(len(x), -1)
    return float(pdist(rows).mean())


def _tiled(x: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) averaged over at most 8 x 8 tiles, as even as H and W allow."""
    for axis in (1, 2) if x.ndim == 4 else ():
        size = x.shape[axis]
        edges = np.arange(min(_SIDE, size) + 1) * size // min(_SIDE, size)
        shape = [-1 if i == axis else 1 for i in range(4)]
        x = np.add.reduceat(x, edges[:-1], axis=axis) / np.diff(edges).reshape(shape)
    return x


def _so_far(path: Path, step: int) -> tuple[dict[str, float], dict[str, float]]:
    """Of the log's lines up to a step: the highest diversity and coverage; the last diversity."""
    best: dict[str, float] = {}
    last: dict[str, float] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        try:
            event: Mapping[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            break  # The machine died while writing it.
        if not 0 < event["step"] <= step:
            continue
        for name in ("diversity", *_COVERAGES):
            value = event.get(name)
            if value is not None:
                best[name] = max(value, best.get(name, value))
        if event.get("diversity") is not None:
            last["diversity"] = event["diversity"]
    return best, last
