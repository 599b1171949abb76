"""Checkpoints that are whole or not there, and that survive a damaged one.

A checkpoint is a directory `step-0000001234/` with the trainer's variables (TensorFlow's format,
every tensor with its checksum), `state.json` and the checksum of that. It is written under another
name and renamed into place, so a directory with that name is complete. Saved once more at the same
step it becomes `step-0000001234.1/`, and only then the first one goes: there is no moment without.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from gan.errors import UserError
from trainers.base import Trainer
from trainers.distribution import any_worker, is_chief
from trainers.workdir.judged import Judged, best_of
from trainers.workdir.paths import Workdir
from trainers.workers import restore_as_chief

_NAME = re.compile(r"step-([0-9]{10})(?:\.([0-9]{1,6}))?")
_STATE, _CHECKSUM = "state.json", "state.sha256"
# How often a reader looks again where a training dropped what it was about to read.
_LISTINGS = 20
# What reading a damaged checkpoint, or one that goes meanwhile, raises.
_UNREADABLE = (
    tf.errors.OpError, OSError, ValueError, LookupError, AssertionError, TypeError, AttributeError,
    OverflowError, RecursionError,
)  # fmt: skip


class Checkpoints:
    """The checkpoints of one workdir: the newest `keep`, and the best by a metric.

    Args:
        workdir: of the run; they live in its `checkpoints/`.
        keep: how many of the newest are kept.
        best_by: key of the metric that says which is best; None is the first that decides.
    """

    def __init__(
        self, workdir: str | os.PathLike[str], keep: int = 3, best_by: str | None = None
    ) -> None:
        self.directory = Workdir(workdir).checkpoints
        self.keep = keep
        self.best_by = best_by

    def _found(self) -> dict[int, list[Path]]:
        """The complete checkpoints by step, ascending; of each the latest save last."""
        found: dict[int, dict[int, Path]] = {}
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match and path.is_dir():
                found.setdefault(int(match[1]), {})[int(match[2] or 0)] = path
        return {step: [saves[n] for n in sorted(saves)] for step, saves in sorted(found.items())}

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return list(self._found())

    def path(self, step: int) -> Path:
        """Directory of one checkpoint, or what it would be called."""
        return self._found().get(step, [self.directory / f"step-{step:010d}"])[-1]

    def _unused(self, step: int) -> Path:
        """The name of the next save at a step: behind all there, and behind what is no save."""
        saves = self._found().get(step, [])
        match = _NAME.fullmatch(saves[-1].name) if saves else None
        number = int(match[2] or 0) + 1 if match else 0
        while True:
            path = self.directory / (f"step-{step:010d}" + (f".{number}" if number else ""))
            if not os.path.lexists(path):
                return path
            number += 1

    def save(self, trainer: Trainer, judged: Judged | Mapping[str, float] | None = None) -> Path:
        """Writes the trainer's state, then drops the oldest beyond `keep`.

        Every worker calls it, since reading distributed variables is a common act; the chief's
        files stay.

        Args:
            trainer: whose state to write.
            judged: what an evaluation of just this state found; `best` goes by it.
        """
        step, strategy = trainer.step, trainer.distribute_strategy
        name = f"step-{step:010d}"
        chief = is_chief(strategy)
        worker = "" if chief else f"worker-{strategy.cluster_resolver.task_id}-"
        if chief:  # What killed runs left half-written, or saved twice.
            for left in self.directory.glob(".tmp-*step-*"):
                # Another worker may be writing this very step.
                if left.name == f".tmp-{name}" or not left.name.endswith(name):
                    _remove(left)
            for saves in self._found().values():
                for older in saves[:-1]:
                    _drop(older)
        if not isinstance(judged, Judged):
            judged = Judged.by_name(step, judged or {})
        host = {"step": step, "images": trainer.images, **trainer.host_state(), **judged.record()}
        temporary = self.directory / f".tmp-{worker}{name}"
        _remove(temporary)
        try:
            temporary.mkdir(parents=True)
            tf.train.Checkpoint(**trainer.state()).write(str(temporary / "variables"))
            content = json.dumps(host).encode()
            (temporary / _STATE).write_bytes(content)
            (temporary / _CHECKSUM).write_text(f"{_sha256(content)}  {_STATE}\n")
            if not chief:
                return self.path(step)
            for path in (*temporary.iterdir(), temporary):
                _sync(path)
            before, final = self._found().get(step, []), self._unused(step)
            os.replace(temporary, final)
        finally:
            _remove(temporary)
        _sync(self.directory)
        for older in before:
            _drop(older)
        self._drop_old(step)
        return final

    def judged(self) -> list[Judged]:
        """What the checkpoints' evaluations found, by step; damaged ones found nothing."""
        found = []
        for step in self.steps():
            try:
                found.append(Judged.read(step, self._host(step)))
            except _UNREADABLE:
                continue  # `restore` will say so.
        return found

    def best(self) -> dict[str, Any] | None:
        """{"step", "metric", "value"} of the best checkpoint, see `best_of`."""
        return best_of(self.judged(), self.best_by)

    def restore(self, trainer: Trainer, which: str = "latest") -> int | None:
        """Puts a checkpoint's state into a trainer built with the same options.

        Every worker calls it, and all restore what the chief finds.

        Args:
            trainer: to restore into.
            which: "latest" (a damaged one is passed over with a warning), "best", or a step.

        Returns:
            The step, or None where there is no checkpoint yet.

        Raises:
            UserError: the one asked for is not there, all are damaged, or workers see different
                folders.
        """
        strategy = trainer.distribute_strategy
        return restore_as_chief(strategy, lambda w: self._restore(trainer, w), which, trainer.state)

    def _restore(self, trainer: Trainer, which: str) -> int | None:
        tried: list[str] = []
        for _ in range(_LISTINGS):
            changed = False
            for step in self._wanted(which):
                before = self._identity(step)
                try:
                    self._read(trainer, step)
                    reason = ""
                except UserError:
                    raise
                except _UNREADABLE as error:
                    reason = str(error).splitlines()[0][:200]
                # A training that goes on drops and replaces checkpoints while they are read.
                if before is None or self._identity(step) != before:
                    changed = True
                elif not reason:
                    return step
                else:
                    logging.warning("Checkpoint %s is damaged (%s).", self.path(step), reason)
                    tried.append(f"{step} ({reason})")
            if not changed:
                break
        if tried:
            raise UserError(
                f"No checkpoint in {self.directory} can be read; tried steps {', '.join(tried)}. "
                "Go on from a copy if there is one, or start again in another --workdir."
            )
        if self.steps():
            raise UserError(
                f"The checkpoints in {self.directory} changed faster than they could be read: the "
                "run saves very often; try again."
            )
        return None

    def _wanted(self, which: str) -> list[int]:
        """The steps to try for `restore`, in this order, as the folder is now.

        Raises:
            UserError: the one asked for is not there.
        """
        steps = self.steps()
        if which == "latest":
            return steps[::-1]
        if which == "best":
            best = self.best()
            if best is None and steps:
                raise UserError(f"--checkpoint=best: {self._no_best()} Take latest or a step.")
            return [best["step"]] if best else []
        if which in map(str, steps):
            return [int(which)]
        raise UserError(
            f"--checkpoint={which!r}: expected latest, best or one of the steps {steps} "
            f"in {self.directory}."
        )

    def _no_best(self) -> str:
        """Why no checkpoint is best."""
        declared = [key for judged in self.judged() for key in judged.keys.values()]
        keys = sorted({key.name for key in declared if key.better})
        if self.best_by and keys:
            return (
                f"no checkpoint in {self.directory} was judged by --best_by={self.best_by}, but "
                f"by {', '.join(keys)}."
            )
        return (
            f"no evaluation has judged a checkpoint in {self.directory} by a metric that says "
            "what is better."
        )

    def _identity(self, step: int) -> tuple[str, int, int] | None:
        """Tells a checkpoint from another that took its place; None where it is gone."""
        path = self.path(step)
        try:
            found = path.stat()
        except OSError:
            return None
        return path.name, found.st_ino, found.st_mtime_ns

    def roll_back(self, trainer: Trainer) -> int | None:
        """Restores the best, forgets what came after it, and goes on with other random numbers.

        The count of rollbacks is saved with the best, so that a run killed later resumes on this
        side. One killed in here may resume where it was, and has then used up a rollback.

        Returns:
            The step, or None, with nothing changed, where no evaluation has named a best.
        """
        best = self.best()
        if best is None:
            return None
        before = trainer.rollbacks
        step = self.restore(trainer, str(best["step"]))
        judged = Judged.read(best["step"], self._host(best["step"]))
        any_worker(trainer.distribute_strategy, False)  # All have read what the chief now replaces.
        trainer.set_rollbacks(max(before, trainer.rollbacks) + 1)
        self.save(trainer, judged)
        if is_chief(trainer.distribute_strategy):
            for later in (s for s in self.steps() if s > best["step"]):
                _drop(self.path(later))
        return step

    def _read(self, trainer: Trainer, step: int) -> None:
        path, host = self.path(step), self._host(step)
        trainer.check_host_state(host)
        self._check_shapes(trainer, path)
        status = tf.train.Checkpoint(**trainer.state()).read(str(path / "variables"))
        status.assert_consumed()
        if trainer.step != step:
            raise ValueError(f"its variables are those of step {trainer.step}")
        trainer.set_host_state(host)

    def _check_shapes(self, trainer: Trainer, path: Path) -> None:
        """Raises UserError for the state of other networks, which is whole, but not this one's."""
        everything = [v for variables in trainer.state().values() for v in variables]
        if len({id(v) for v in everything}) < len(everything):
            return  # What networks share is saved under the name of one of them.
        saved = tf.train.load_checkpoint(str(path / "variables")).get_variable_to_shape_map()
        for name, variables in trainer.state().items():
            suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
            there = [saved.get(f"{name}/{i}{suffix}") for i in range(len(variables))]
            here = [v.shape.as_list() for v in variables]
            more = f"{name}/{len(variables)}{suffix}" in saved
            if there != here or more:
                wrong = [f"{a} for {b}" for a, b in zip(there, here) if a != b]
                raise UserError(
                    f"{path} holds another {name} than this run's "
                    f"({wrong[0] if wrong else 'of more arrays'}): the data's shape or classes, or "
                    "the architecture's code, has changed since. Put them back as they were, or "
                    "start another --workdir."
                )

    def _host(self, step: int) -> dict[str, Any]:
        """The content of a state.json.

        Raises:
            OSError: it is not there.
            ValueError: it is damaged, and how.
        """
        path = self.path(step)
        content = (path / _STATE).read_bytes()
        if (path / _CHECKSUM).exists():  # Checkpoints were once written without.
            expected = (path / _CHECKSUM).read_text(errors="replace").split()[:1]
            if expected != [_sha256(content)]:
                raise ValueError(f"{_STATE} is not what {_CHECKSUM} was made of")
        host = json.loads(content)
        if not isinstance(host, dict):
            raise ValueError(f"{_STATE} holds a {type(host).__name__}")
        for name in ("step", "images", "seed", "epoch_steps"):
            if type(host.get(name)) is not int:
                raise ValueError(f"{_STATE}: {name} is {host.get(name)!r}")
        if host["step"] != step:
            raise ValueError(f"{_STATE} is that of step {host['step']}")
        sums = host.get("epoch_sums")
        if not isinstance(sums, dict) or not all(type(v) in (int, float) for v in sums.values()):
            raise ValueError(f"{_STATE}: epoch_sums is {sums!r}")
        return host

    def _drop_old(self, saved: int) -> None:
        """Leaves the best and the newest up to what was just saved.

        Later ones are damaged, or the run would have gone on from there; they count for nothing.
        """
        best = self.best()
        for step in [step for step in self.steps() if step <= saved][: -self.keep]:
            if best is None or step != best["step"]:
                _drop(self.path(step))


def _drop(path: Path) -> None:
    """A checkpoint loses its name before its files, or half of it would pass for a whole one."""
    gone = path.with_name(f".tmp-{path.name}-gone")
    _remove(gone)
    with contextlib.suppress(OSError):
        os.replace(path, gone)
    _remove(gone)


def _remove(path: Path) -> None:
    """Whatever it is, a stray file too; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    """Onto the disk, so that the rename does not come before the bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
