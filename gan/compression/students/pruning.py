"""Magnitude pruning of a Keras 3 model by TensorFlow Model Optimization's schedule and engine.

TFMOT's wrappers take only tf_keras models, but its schedules know nothing of Keras and its
engine works on plain tf.Variables, so both drive Keras 3 kernels here. The engine is a private
module of version 0.8.1: this file is the only one that imports it, and
tests/gan/compression/students/test_pruning_engine.py holds it to its contract.

Each mask is the constraint of its kernel. Keras optimizers apply constraints after every update,
inside the graph, so sparsity holds in any trainer without a hook.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan.compression.students.masks import PruningMask, allocate, input_axes, two_of_four
from gan.errors import UserError

__all__ = [
    "Pruner",
    "PruningMask",
    "allocate",
    "constant",
    "kernels",
    "polynomial",
    "sparsity",
    "strip",
]
STRUCTURES = ("", "2of4")


def kernels(model: keras.Model, *, keep_output_dense: bool = False) -> list[keras.Variable]:
    """The kernels that pruning applies to: of Dense, Conv2D and Conv2DTranspose, nested ones too.

    Embeddings, biases and batch norm are left alone: they are few, and they count.

    Args:
        model: any Keras model, trainable or not.
        keep_output_dense: leave out the last kernel, which draws the image.

    Returns:
        In the order of the model's variables, which clones share.
    """
    variables = [v for v in model.variables if v.name == "kernel" and len(v.shape) >= 2]
    return variables[:-1] if keep_output_dense else variables


def sparsity(model: keras.Model, *, keep_output_dense: bool = False) -> float:
    """The share of exact zeros among the model's kernels, in [0, 1]."""
    variables = kernels(model, keep_output_dense=keep_output_dense)
    zeros = sum(int(tf.reduce_sum(tf.cast(tf.equal(v.value, 0), tf.int64))) for v in variables)
    return zeros / max(sum(int(np.prod(v.shape)) for v in variables), 1)


def strip(model: keras.Model) -> keras.Model:
    """Multiplies the masks into their kernels and takes the constraints off.

    Returns:
        The model itself, an ordinary Keras model again.
    """
    for kernel in kernels(model):
        constraint = kernel.constraint
        if isinstance(constraint, PruningMask):
            if constraint.mask is not None:
                _multiply(kernel, constraint.mask)
            kernel.constraint = constraint.inner
    return model


def polynomial(
    final_sparsity: float, *, updates: int, initial_sparsity: float = 0.0, power: int = 3
) -> Any:
    """TFMOT's PolynomialDecay over mask updates 0 to `updates`.

    s_t = s_f + (s_i - s_f) (1 - t / n)^power: Zhu & Gupta, 2017 (arXiv:1710.01878, equation 1).

    Raises:
        UserError: a sparsity outside [0, 1), or fewer than one update.
    """
    _check_sparsity(initial_sparsity)
    _check_sparsity(final_sparsity)
    if updates < 1:
        raise UserError(f"pruning in {updates} mask updates: expected at least 1.")
    with _tfmot() as tfmot:
        return tfmot.sparsity.keras.PolynomialDecay(
            initial_sparsity, final_sparsity, 0, updates, power=power, frequency=1
        )


def constant(sparsity: float) -> Any:
    """TFMOT's ConstantSparsity: one share of zeros at every mask update.

    Raises:
        UserError: a sparsity outside [0, 1).
    """
    _check_sparsity(sparsity)
    with _tfmot() as tfmot:
        return tfmot.sparsity.keras.ConstantSparsity(sparsity, 0, frequency=1)


class Pruner:
    """Prunes the kernels of one model, each to its schedule's share of its smallest weights.

    Or, structured, to 2:4 sparsity (`masks.two_of_four`): masks are worked out once, at the first
    update. TFMOT's engine knows 2:4 too, but along the outputs of transposed kernels.

    Set up before the train step is traced: a constraint set later is not part of the graph. Masks
    live where their kernels do, so under a tf.distribute strategy they are mirrored too. A pruned
    weight is zero and so stays among the smallest: masks only grow while the schedule rises.

    Attributes:
        kernels: what is pruned.
        masks: float32 tf.Variables of zeros and ones, in the same order.
    """

    def __init__(
        self,
        model: keras.Model,
        schedule: Any = None,
        *,
        structure: str = "",
        copies: Sequence[keras.Model] = (),
        keep_output_dense: bool = False,
        resume: bool = False,
    ) -> None:
        """Puts masks of ones on the kernels.

        Args:
            model: built; its optimizer applies the masks.
            schedule: from `polynomial` or `constant`, for all kernels, or a list with one for each;
                its steps are calls of `update`. Not used with a structure.
            structure: "" for any weights, "2of4" for 2 of each 4 along the input channels of Dense,
                Conv2D and Conv2DTranspose; kernels of other layers stay dense.
            copies: models of the same layout, such as EMA copies, that get each new mask once.
            keep_output_dense: leave the last kernel alone.
            resume: begin with the zeros the kernels already have, as masks of a run that goes on.

        Raises:
            UserError: the model has no kernel to prune, or an unknown structure.
            ValueError: a copy's kernels have other shapes, or no schedule.
        """
        check_structure(structure)
        if schedule is None and not structure:
            raise ValueError("Pruner needs a schedule, or structure='2of4'.")
        self.kernels = kernels(model, keep_output_dense=keep_output_dense)
        if not self.kernels:
            raise UserError(
                f"{model.name!r} has no kernel to prune; expected a Dense or convolution layer."
            )
        self._copies = [kernels(copy, keep_output_dense=keep_output_dense) for copy in copies]
        shapes = [tuple(v.shape) for v in self.kernels]
        for copy, variables in zip(copies, self._copies):
            if [tuple(v.shape) for v in variables] != shapes:
                raise ValueError(f"{copy.name!r} is no copy of {model.name!r}: its kernels differ.")
        value = self.kernels[0].value
        self._strategy = getattr(value, "distribute_strategy", None) or tf.distribute.get_strategy()
        with self._strategy.scope():
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="pruning_step")
            self.masks = [_new_mask(v, resume) for v in self.kernels]
            thresholds = [
                tf.Variable(0.0, trainable=False, name="pruning_threshold") for _ in self.kernels
            ]
        for kernel, mask in zip(self.kernels, self.masks):
            inner = kernel.constraint
            kernel.constraint = PruningMask(
                mask, inner.inner if isinstance(inner, PruningMask) else inner
            )
        self._axes: list[int | None] = []
        self._made = resume
        self._engines: list[Any] = []
        if structure:
            axes = input_axes(model)
            self._axes = [axes.get(id(v)) for v in self.kernels]
            if not any(axis is not None for axis in self._axes):
                raise UserError(
                    f"{model.name!r} has no kernel to prune 2:4; expected Dense or Conv2D layers."
                )
        else:
            schedules = schedule if isinstance(schedule, list) else [schedule] * len(self.kernels)
            self._engines = self._make_engines(schedules, thresholds)

    def _make_engines(self, schedules: list[Any], thresholds: list[tf.Variable]) -> list[Any]:
        with _tfmot():
            from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl
        return [
            pruning_impl.Pruning(
                lambda: self._step, [(v.value, mask, threshold)], schedule, (1, 1), "AVG"
            )
            for v, mask, threshold, schedule in zip(
                self.kernels, self.masks, thresholds, schedules, strict=True
            )
        ]

    def update(self, step: int) -> None:
        """Works out the masks of this schedule step and applies them; between graph calls.

        Outside the schedule's steps the masks stay as they are; those of a structure, from the
        first step on: a pruned weight is zero, so choosing again would choose the same.
        """
        with self._strategy.scope():
            self._step.assign(step)
            for engine in self._engines:
                engine.conditional_mask_update()
                engine.weight_mask_op()
            if self._axes and step > 0 and not self._made:
                self._made = True
                for kernel, mask, axis in zip(self.kernels, self.masks, self._axes):
                    if axis is not None:
                        mask.assign(two_of_four(tf.convert_to_tensor(kernel.value), axis))
                        _multiply(kernel, mask)
            for variables in self._copies:
                for kernel, mask in zip(variables, self.masks):
                    _multiply(kernel, mask)

    @property
    def sparsity(self) -> float:
        """The share of zeros in the masks, over all pruned kernels."""
        kept = sum(float(tf.reduce_sum(mask)) for mask in self.masks)
        return 1.0 - kept / sum(int(np.prod(mask.shape)) for mask in self.masks)

    @property
    def holds(self) -> bool:
        """Whether every weight is zero that a mask wants to be."""
        return not any(
            bool(tf.reduce_any(tf.not_equal(kernel.value * (1.0 - mask), 0.0)))
            for kernel, mask in zip(self.kernels, self.masks)
        )

    def strip(self) -> None:
        """Takes the masks off: the zeros are in the kernels, and in those of the copies."""
        with self._strategy.scope():
            for variables in [self.kernels, *self._copies]:
                for kernel, mask in zip(variables, self.masks):
                    _multiply(kernel, mask)
        for kernel in self.kernels:
            if isinstance(kernel.constraint, PruningMask):
                kernel.constraint = kernel.constraint.inner


def check_structure(structure: str) -> None:
    """Raises UserError unless it is one of STRUCTURES."""
    if structure not in STRUCTURES:
        raise UserError(f"--structure={structure!r}: expected 2of4, or nothing for any weights.")


def _new_mask(kernel: keras.Variable, resume: bool) -> tf.Variable:
    value = tf.convert_to_tensor(kernel.value)
    mask = tf.cast(tf.not_equal(value, 0), value.dtype) if resume else tf.ones_like(value)
    return tf.Variable(mask, trainable=False, name="pruning_mask")


def _multiply(kernel: keras.Variable, mask: tf.Variable) -> None:
    kernel.value.assign(tf.convert_to_tensor(kernel.value) * tf.convert_to_tensor(mask))


def _check_sparsity(value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise UserError(f"a sparsity of {value!r}: expected at least 0 and below 1, such as 0.7.")


@contextmanager
def _tfmot() -> Iterator[Any]:
    """TFMOT, with the environment as it was before.

    Importing it sets TF_USE_LEGACY_KERAS, which would turn a `tf.keras` that is looked at for the
    first time, here or in a child process, into tf_keras.
    """
    name = "TF_USE_LEGACY_KERAS"
    before = os.environ.get(name)
    _ = tf.keras.__version__  # resolved now, to the Keras everyone else sees
    try:
        import tensorflow_model_optimization as tfmot
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
    yield tfmot
