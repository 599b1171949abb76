"""Prunes networks while they train."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from gan.compression.students import pruning
from gan.errors import UserError
from trainers.progress import whole_images


class Pruning(keras.callbacks.Callback):
    """Raises the sparsity of a trainer's generators step by step during training.

    The share of zeros follows Zhu & Gupta's cubic schedule (arXiv:1710.01878) from `begin_kimg` to
    `end_kimg` in `updates` mask updates; after that the other weights go on training. The masks are
    kernel constraints, so that any trainer keeps them; EMA copies are masked with their networks.
    The current share is added to the logs as `progress/sparsity`: put `MetricsLog`, which passes it
    on to TensorBoard, behind this callback.

    When training ends the masks are removed; the zeros stay in the weights. A run that is stopped
    and resumed with the same absolute `begin_kimg` and `end_kimg`, and with `initial` if the
    allocation is global, goes on with the same masks.
    """

    def __init__(
        self,
        sparsity: float = 0.7,
        *,
        begin_kimg: float | None = None,
        end_kimg: float | None = None,
        updates: int = 20,
        networks: Sequence[str] = (),
        keep_output_dense: bool = False,
        allocation: str = "layer",
        initial: Sequence[np.ndarray] | None = None,
        structure: str = "",
    ) -> None:
        """Checks the arguments; masks are made when training begins.

        Args:
            sparsity: final share of zeros, in [0, 1); not used with a structure.
            begin_kimg: thousands of images at which pruning begins, counted from the run's start;
                None begins with this training.
            end_kimg: thousands of images at which `sparsity` is reached; None is half-way from
                `begin_kimg` to the end of training.
            updates: number of mask updates; the masks of a structure change at the first one only.
            networks: names of the networks to prune; empty for the trainer's generators.
            keep_output_dense: do not prune each network's last kernel.
            allocation: "layer" prunes each kernel to the sparsity, "global" all kernels of a
                network together, by the magnitudes at the beginning (`pruning.allocate`).
            initial: weights at the beginning of pruning of the kernels that `pruning.kernels`
                returns for each network, one network after the other; only needed to resume a
                global allocation half-way. None is the present weights.
            structure: "2of4" prunes 2 of each 4 weights along the input channels, all at the first
                update (`pruning.Pruner`); "" prunes without a structure.

        Raises:
            UserError: a sparsity outside [0, 1), fewer than one update, an unknown allocation or
                structure, or both a structure and a global allocation.
        """
        super().__init__()
        pruning.polynomial(sparsity, updates=updates)  # raises for values out of range
        if allocation not in ("layer", "global"):
            raise UserError(f"--allocation={allocation!r}: expected layer or global.")
        pruning.check_structure(structure)
        if structure and allocation == "global":
            raise UserError(
                f"--structure={structure} prunes the same share of each kernel; expected "
                "--allocation=layer."
            )
        self.allocation, self.structure = allocation, structure
        self._initial = None if initial is None else [np.asarray(w) for w in initial]
        self._begun_with: list[np.ndarray] | None = None  # for NaNGuard's rewinds
        self.sparsity, self.updates = 0.5 if structure else sparsity, updates
        self.begin_kimg, self.end_kimg = begin_kimg, end_kimg
        self.networks, self.keep_output_dense = tuple(networks), keep_output_dense
        self.pruners: dict[str, pruning.Pruner] = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Adds the masks, before the step is traced."""
        trainer = self.model
        now, total = trainer.images, self.params["total_images"]
        begin, end = self.begin_kimg, self.end_kimg
        self._begin = now if begin is None else whole_images(begin)
        self._end = (self._begin + total) / 2 if end is None else whole_images(end)
        if not self._begin < self._end:
            raise UserError(
                f"pruning from {self._begin / 1000:g} to {self._end / 1000:g} kimg: expected the "
                f"end after the beginning (training goes on until {total / 1000:g} kimg)."
            )
        self._done = self._index(now)
        names = self.networks or tuple(trainer.averaged)
        for name in names:
            if name not in trainer.networks:
                raise UserError(
                    f"cannot prune {name!r}: expected one of {', '.join(trainer.networks)}."
                )
        schedules = {} if self.structure else self._schedules(names)
        for name in names:
            self.pruners[name] = pruning.Pruner(
                trainer.networks[name],
                schedules.get(name),
                structure=self.structure,
                copies=[trainer.ema[name]] if name in trainer.ema else [],
                keep_output_dense=self.keep_output_dense,
                resume=self._done > 0,
            )
        # A loop traced by an earlier fit knows nothing of the masks.
        trainer.retrace()

    def _schedules(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """For each network, one schedule per kernel."""
        kernels = {
            name: pruning.kernels(
                self.model.networks[name], keep_output_dense=self.keep_output_dense
            )
            for name in names
        }
        if self.allocation == "layer":
            one = pruning.polynomial(self.sparsity, updates=self.updates)
            return {name: [one] * len(weights) for name, weights in kernels.items()}
        if not self._done:
            self._begun_with = [np.array(v.value) for weights in kernels.values() for v in weights]
        initial = self._begun_with if self._initial is None else self._initial
        if initial is None:
            raise UserError(
                "--allocation=global needs the weights at the beginning of pruning to be resumed "
                "half-way: give them (initial=...), begin again, or take --allocation=layer."
            )
        got = [w.shape for w in initial]
        expected = [tuple(v.shape) for weights in kernels.values() for v in weights]
        if got != expected:
            raise UserError(f"initial weights of the shapes {got}: expected {expected}.")
        rest, schedules = iter(initial), {}
        for name, weights in kernels.items():
            shares = pruning.allocate([next(rest) for _ in weights], self.sparsity)
            schedules[name] = [pruning.polynomial(s, updates=self.updates) for s in shares]
        return schedules

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Updates the masks when due; adds the share of zeros to the logs."""
        index = self._index(self.model.images)
        if index > self._done:
            for name, pruner in self.pruners.items():
                if not pruner.holds:
                    raise RuntimeError(
                        f"{name}'s masks do not hold: its optimizer applies no constraints."
                    )
                pruner.update(index)
            self._done = index
        self._log(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the share of zeros to the logs."""
        self._log(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Removes the masks; warns if the schedule has not reached its end."""
        if self._done < (1 if self.structure else self.updates):
            logging.warning(
                "Training ended at %g kimg, before pruning did (%g kimg): the sparsity is %.3f "
                "instead of %g.",
                self.model.images / 1000,
                self._end / 1000,
                self._current(),
                self.sparsity,
            )
        for pruner in self.pruners.values():
            pruner.strip()
        # The traced loop goes on applying the masks; a later fit has to train without them.
        self.model.retrace()

    def _index(self, images: int) -> int:
        """Mask updates due by now: 0 to `updates`."""
        share = (images - self._begin) / (self._end - self._begin)
        return min(max(int(share * self.updates), 0), self.updates)

    def _current(self) -> float:
        values = [pruner.sparsity for pruner in self.pruners.values()]
        return sum(values) / len(values)

    def _log(self, logs: dict[str, Any] | None) -> None:
        if logs is not None:
            logs["progress/sparsity"] = self._current()
