"""Notices that a GAN collapses; warns, stops the run or goes back to a better state."""

from itertools import islice
from typing import Any

import keras
import numpy as np
from absl import logging

from callbacks import _collapse_signals as signals
from callbacks._cadence import Cadence
from gan.data.source import Source
from gan.errors import UserError
from gan.files import to_json
from gan.metrics.evaluation import Evaluator
from gan.metrics.keys import Key
from trainers.checkpoints import Checkpoints
from trainers.distribution import any_worker, is_chief
from trainers.logs import EVAL
from trainers.progress import whole_images
from trainers.workdir.log import append_line, read_log
from trainers.workdir.paths import Workdir

ACTIONS = ("warn", "stop", "rollback")
_SCAN = 16  # With many classes, the reals are chosen among this many times as many examples.
_PER_CLASS = 8  # As few samples per class as there may be without such a choice.
_DIVERSITY, _DISTINCT, _ACCURACY = "alarm/diversity", "alarm/distinct", "accuracy/discriminator"


class CollapseAlarm(keras.callbacks.Callback):
    """Watches how different samples are from one another, and how much of the data they cover.

    Four signals, each of which must persist for `patience` measurements in a row. The first two
    are measured every `alarm_every_kimg` on the inference weights:

    - Diversity: the mean distance between samples, relative to that between as many real
      examples (see `_collapse_signals.diversity`), is below `min_diversity`: the generator draws
      the same image for every z.
    - Distinct samples: there are fewer different ones (see `_collapse_signals.distinct`) than
      `min_distinct` times those among real examples: the generator draws a few images only, or a
      few of each class. Samples have the classes of the real examples; with many classes, these are
      chosen from the most frequent ones.
    - Coverage: a metric that measures how much of the data the samples cover (recall, coverage,
      modes; see `gan.metrics.keys.Key.covers`) is below `min_coverage` times the run's best. Like
      the number of distinct samples it must be lower than chance explains: see
      `_collapse_signals.significantly_below`.
    - D has won: `accuracy/discriminator` (see `trainers.gan.accuracy`) is on average above
      `max_accuracy` while diversity is below `min_diversity_share` of its best (at most 1). A
      perfect D alone is no collapse: it is common early on, and with strong critics.

    It adds `alarm/diversity`, `alarm/distinct` (as a share of the samples) and `alarm/collapse` (1
    from an alarm until no signal is bad any more, else 0) to the logs; put it behind `Evaluation`
    and before `MetricsLog`. An alarm prints a warning with all figures, adds a line to
    `workdir/collapses.jsonl`, and takes the action:

    - warn: nothing more. It warns again only after the run has recovered.
    - stop: the run ends after this graph call and is saved as usual; `stopped` says why.
    - rollback: training goes on from the best checkpoint, with other noise and another data order
      (`State.stream`), since the same ones would lead to the same collapse. This happens at most
      `max_rollbacks` times in a run, also if it is resumed, since the count is part of the
      checkpoints; after that, or without a best checkpoint, the run stops. Later checkpoints are
      deleted, and for the other callbacks it is as if the run was resumed: `metrics.jsonl` loses
      the lines after the best checkpoint, TensorBoard's curves go back, and Keras' History is
      empty again.

    When a run is resumed, the counts of bad measurements in a row begin at 0; the best figures and
    the last diversity are read from `metrics.jsonl`.

    Args:
        source: where real examples come from.
        checkpoints: the workdir's checkpoints.
        evaluator: the evaluator of `Evaluation`; without it coverage is not watched.
        action: "warn", "stop" or "rollback".
        alarm_every_kimg: thousands of images between measurements of diversity.
        warmup_kimg: thousands of images before which nothing is measured: a generator that is
            hardly trained has little diversity, and may have high recall.
        patience: number of bad measurements in a row that raise an alarm.
        min_diversity: alarm below this share of the reals' diversity, 0 to 1.
        min_distinct: alarm below this share of the distinct real examples, 0 to 1.
        min_coverage: alarm below this share of the best coverage, 0 to 1.
        max_accuracy: accuracy above which D may have won, 0.5 to 1.
        min_diversity_share: share of the best diversity below which a D of that accuracy has won,
            0 to 1.
        max_rollbacks: most rollbacks in a run.
        samples: number of samples to compare with as many real examples.
        seed: seed of z and of the choice of reals.

    Raises:
        UserError: the action is unknown, or a number is out of range.
    """

    def __init__(
        self,
        source: Source,
        checkpoints: Checkpoints,
        *,
        evaluator: Evaluator | None = None,
        action: str = "warn",
        alarm_every_kimg: float = 10.0,
        warmup_kimg: float = 20.0,
        patience: int = 3,
        min_diversity: float = 0.2,
        min_distinct: float = 0.5,
        min_coverage: float = 0.5,
        max_accuracy: float = 0.99,
        min_diversity_share: float = 0.5,
        max_rollbacks: int = 3,
        samples: int = 256,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if action not in ACTIONS:
            raise UserError(f"--on_collapse={action!r}: expected off, {', '.join(ACTIONS)}.")
        shares = {
            "min_diversity": min_diversity, "min_distinct": min_distinct,
            "min_coverage": min_coverage, "max_accuracy": max_accuracy,
            "min_diversity_share": min_diversity_share,
        }  # fmt: skip
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise UserError(f"{name}={share}: expected 0 to 1.")
        for name, count, least in (("patience", patience, 1), ("samples", samples, 2)):
            if count < least:
                raise UserError(f"{name}={count}: expected at least {least}.")
        self.stopped = ""
        self._source, self._checkpoints, self._action = source, checkpoints, action
        self._workdir = Workdir(checkpoints.directory.parent)
        self._cadence = Cadence(alarm_every_kimg)
        self._warmup, self._patience = whole_images(warmup_kimg), patience
        self._min_diversity, self._min_distinct = min_diversity, min_distinct
        self._min_coverage, self._evaluator = min_coverage, evaluator
        self._max_accuracy, self._min_diversity_share = max_accuracy, min_diversity_share
        self._max_rollbacks, self._count, self._seed = max_rollbacks, samples, seed
        self._reals = np.zeros((0,))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Chooses the reals, and reads the best figures of a resumed run."""
        self.stopped = ""
        if not len(self._reals):
            self._prepare()
            self._distinct_reals = signals.distinct(self._reals, self._reals)
        self._cadence.start(self.model.images)
        watched = [_DIVERSITY, _DISTINCT, *self._coverages()]
        events = read_log(self._workdir.metrics).events
        before = [event for event in events if 0 < event.step <= self.model.step]
        self._best, last = signals.best_and_last(before, watched)
        self._figures = {n: v for n, v in last.items() if n in (_DIVERSITY, _DISTINCT)}
        self._streaks: dict[str, int] = {}
        self._accuracies: list[float] = []
        self._alarmed = False

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures diversity when due; adds the last measurement to `logs`."""
        logs = {} if logs is None else logs
        if _ACCURACY in logs:
            self._accuracies.append(float(logs[_ACCURACY]))
        if self._cadence.due(self.model.images) and self.model.images >= self._warmup:
            self._check_diversity()
        self._add(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges the coverage that an evaluation measured."""
        logs = {} if logs is None else logs
        warm = self.model.images >= self._warmup
        for name, trials in self._coverages().items() if warm else ():
            if np.isfinite(logs.get(name, np.nan)):
                value = float(logs[name])
                best = self._note(name, value)
                figure, its_best = self._text(name, value), self._key(name).text(best)
                text = f"{figure} is below {self._min_coverage:g} of its best, {its_best}"
                counts = value * trials, best * trials
                self._judge(name, signals.significantly_below(*counts, self._min_coverage), text)
        self._add(logs)

    def _coverages(self) -> dict[str, int]:
        """Logged keys that measure coverage -> the factor that turns their values into counts."""
        if self._evaluator is None:
            return {}
        # A share is one of the samples, or of the reference images if those are fewer.
        trials = min(self._evaluator.num_samples, self._evaluator.num_reference)
        keys = self._evaluator.keys.values()
        return {EVAL + k.name: 1 if k.covers == "count" else trials for k in keys if k.covers}

    def _check_diversity(self) -> None:
        """Judges diversity, diversity with D's accuracy, and distinct samples."""
        samples = self.model.sampler()(self._inputs, self._label)
        value = signals.diversity(samples, self._reals)
        if not np.isfinite(value):
            return  # NaNGuard ends such a run.
        best = self._note(_DIVERSITY, value)
        why = f"diversity {value:.3g} is below {self._min_diversity:g}"
        self._judge(_DIVERSITY, value < self._min_diversity, why)
        count, real = signals.distinct(samples, self._reals), self._distinct_reals
        self._note(_DISTINCT, count / len(samples))
        why = f"only {count} of {len(samples)} samples differ, and {real} of as many real examples"
        self._judge(_DISTINCT, signals.significantly_below(count, real, self._min_distinct), why)
        if self._accuracies:
            accuracy = float(np.mean(self._accuracies))
            self._figures[_ACCURACY], self._accuracies = accuracy, []
            # A new generator's noise may be more diverse than the data; only the data's counts.
            best = min(best, 1.0)
            low = value < self._min_diversity_share * best
            won = accuracy > self._max_accuracy and low
            why = (
                f"the discriminator's accuracy {accuracy:.4f} is above {self._max_accuracy:g} "
                f"while diversity fell from {best:.3g} to {value:.3g}"
            )
            self._judge(_ACCURACY, won, why)

    def _note(self, name: str, value: float) -> float:
        """Keeps a figure; returns the best value of that name so far."""
        self._figures[name] = value
        self._best[name] = max(value, self._best.get(name, value))
        return self._best[name]

    def _judge(self, signal: str, bad: bool, why: str) -> None:
        """Counts a signal's bad measurements in a row; at `patience` of them, raises the alarm."""
        # Workers' measurements differ by rounding; all must take the same action.
        bad = any_worker(self.model.distribute_strategy, bad)
        self._streaks[signal] = self._streaks.get(signal, 0) + 1 if bad else 0
        if not any(self._streaks.values()):
            self._alarmed = False
        elif not self._alarmed and self._streaks[signal] >= self._patience:
            self._alarmed = True
            self._raise_alarm(why)

    def _raise_alarm(self, why: str) -> None:
        trainer = self.model
        action = self._act(why)
        figures = ", ".join(
            self._text(name, value)
            + (f" (best {self._key(name).text(self._best[name])})" if name in self._best else "")
            for name, value in sorted(self._figures.items())
        )
        logging.warning(
            "Collapse at step %d (%g kimg): %s, %d times in a row. Figures: %s. %s",
            trainer.step, trainer.images / 1000, why, self._patience, figures, action,
        )  # fmt: skip
        if is_chief(trainer.distribute_strategy):
            record = {"step": trainer.step, "images": trainer.images, "why": why, "then": action}
            self._workdir.folder.mkdir(parents=True, exist_ok=True)
            append_line(self._workdir.collapses, to_json(record | self._figures, indent=None))

    def _act(self, why: str) -> str:
        """Takes the action; returns a sentence that says which."""
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
                # It is called once the loop has ended: until then the other callbacks write this
                # moment's line, picture and checkpoint.
                trainer.rewind = lambda: checkpoints.roll_back(trainer)
                trainer.stop_training = True
                figure = self._text(EVAL + best["metric"], best["value"])
                return (
                    f"Rollback {trainer.rollbacks + 1} of {self._max_rollbacks}, to the best "
                    f"checkpoint: step {best['step']}, {figure}."
                )
        self.stopped = f"collapse at step {trainer.step}: {why}" + (f"; {reason}" if reason else "")
        trainer.stop_training = True
        return f"Training stops{': ' if reason else ''}{reason}."

    def _key(self, name: str) -> Key:
        """The declaration of a logged key by its metric, or a plain one for the alarm's figures."""
        declared = self._evaluator.keys if self._evaluator and name.startswith(EVAL) else {}
        short = name.removeprefix("alarm/").removeprefix(EVAL)
        return declared.get(short) or Key(short)

    def _text(self, name: str, value: float) -> str:
        """A figure in a sentence: `diversity 0.31`, `accuracy/discriminator 0.99`."""
        return f"{self._key(name).name} {self._key(name).text(value)}"

    def _add(self, logs: dict[str, Any]) -> None:
        measured = (_DIVERSITY, _DISTINCT)
        logs |= {name: self._figures[name] for name in measured if name in self._figures}
        logs["alarm/collapse"] = float(self._alarmed)

    def _prepare(self) -> None:
        """Chooses the reals, and the inputs that all samples are drawn for."""
        trainer, source = self.model, self._source
        sampler, spec = trainer.sampler(), source.spec
        count = min(self._count, spec.size)
        domain = sampler.interface.output.domain
        domain = domain if domain in spec.domains else spec.domains[-1]
        batches = source.pipeline(count, seed=self._seed).as_numpy_iterator()
        batch = next(batches)
        self._reals = signals.rows(batch[domain])
        self._label: np.ndarray | None = None
        if sampler.interface.image:
            self._inputs = batch[spec.domain_of(sampler.interface.image.domain)]
            return
        self._inputs = sampler.latents(count, self._seed)
        if not sampler.num_classes:
            return
        label = batch["label"]
        if len(np.unique(label)) * _PER_CLASS > count:
            rest = islice(batches, min(_SCAN, spec.size // count) - 1)
            more = [(signals.rows(b[domain]), b["label"]) for b in rest]
            reals, label = (np.concatenate(x) for x in zip((self._reals, label), *more))
            chosen = signals.seen_often(label, count)
            self._reals, label = reals[chosen], label[chosen]
        self._label = label
