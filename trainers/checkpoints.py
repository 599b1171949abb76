"""Checkpoints that are whole or not there, and that survive a damaged one.

A checkpoint is a directory `step-0000001234/` with the trainer's variables (TensorFlow's format,
every tensor with its checksum) and `state.json`. It is written under another name and renamed into
place, so a directory with that name is complete.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from gan.errors import UserError
from trainers.base import Trainer
from trainers.distribution import is_chief

_NAME = re.compile(r"step-(\d{10})")


class Checkpoints:
    """The checkpoints of one workdir: the newest `keep`, and the best by a metric.

    Args:
        workdir: of the run; they live in its `checkpoints/`.
        keep: how many of the newest are kept.
    """

    def __init__(self, workdir: str | os.PathLike[str], keep: int = 3) -> None:
        self.directory = Path(workdir) / "checkpoints"
        self.keep = keep

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        if not self.directory.is_dir():
            return []
        found = (_NAME.fullmatch(p.name) for p in self.directory.iterdir())
        return sorted(int(m[1]) for m in found if m)

    def path(self, step: int) -> Path:
        """Directory of one checkpoint."""
        return self.directory / f"step-{step:010d}"

    def save(self, trainer: Trainer) -> Path:
        """Writes the trainer's state, then drops the oldest beyond `keep`.

        Every worker calls it, since reading distributed variables is a common act; the chief's
        files stay.
        """
        final = self.path(trainer.step)
        chief = is_chief(trainer.distribute_strategy)
        temporary = self.directory / f".tmp-{final.name}{'' if chief else f'-{os.getpid()}'}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        tf.train.Checkpoint(**trainer.state()).write(str(temporary / "variables"))
        host = {"step": trainer.step, "images": trainer.images, **trainer.host_state()}
        (temporary / "state.json").write_text(json.dumps(host))
        if not chief:
            shutil.rmtree(temporary)
            return final
        for file in temporary.iterdir():
            _sync(file)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
        _sync(self.directory)
        self._drop_old()
        return final

    def mark_best(self, step: int, metric: str, value: float, mode: str = "min") -> bool:
        """Keeps checkpoint `step` for good if its metric is the best so far.

        Returns:
            Whether it is.
        """
        best = self.best()
        better = best is None or (value < best["value"] if mode == "min" else value > best["value"])
        if better:
            record = {"step": step, "metric": metric, "value": value}
            temporary = self.directory / ".tmp-best.json"
            temporary.write_text(json.dumps(record))
            os.replace(temporary, self.directory / "best.json")
            self._drop_old()
        return better

    def best(self) -> dict[str, Any] | None:
        """{"step", "metric", "value"} of the best checkpoint, or None."""
        try:
            return json.loads((self.directory / "best.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def restore(self, trainer: Trainer, which: str = "latest") -> int | None:
        """Puts a checkpoint's state into a trainer built with the same options.

        Args:
            trainer: to restore into.
            which: "latest" (a damaged one is passed over with a warning), "best", or a step.

        Returns:
            The step, or None where there is no checkpoint yet.

        Raises:
            UserError: the one asked for is not there, or all are damaged.
        """
        steps = self.steps()
        if which == "latest":
            wanted = steps[::-1]
        elif which == "best":
            best = self.best()
            wanted = [best["step"]] if best else steps[:-2:-1]
        elif which.isdigit() and int(which) in steps:
            wanted = [int(which)]
        else:
            raise UserError(
                f"--checkpoint={which!r}: expected latest, best or one of the steps {steps} "
                f"in {self.directory}."
            )
        for step in wanted:
            try:
                self._read(trainer, step)
                return step
            except (tf.errors.OpError, OSError, ValueError, LookupError, AssertionError) as error:
                reason = str(error).splitlines()[0][:200]
                logging.warning("Checkpoint %s is damaged (%s).", self.path(step), reason)
        if wanted:
            raise UserError(
                f"No checkpoint in {self.directory} can be read; tried steps {wanted}. "
                "Start again in another --workdir, or delete that folder."
            )
        return None

    def _read(self, trainer: Trainer, step: int) -> None:
        path = self.path(step)
        host = json.loads((path / "state.json").read_text())
        status = tf.train.Checkpoint(**trainer.state()).read(str(path / "variables"))
        status.assert_consumed()
        trainer.set_host_state(host)

    def _drop_old(self) -> None:
        best = self.best()
        for step in self.steps()[: -self.keep]:
            if best is None or step != best["step"]:
                shutil.rmtree(self.path(step))


def _sync(path: Path) -> None:
    """Onto the disk, so that the rename does not come before the bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
