"""What a trainer does with an augmentation: options checked, D's inputs changed, p adapted."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from gan import origin
from gan.data import Spec
from gan.errors import CodeError, UserError
from gan.losses import Loss
from gan.schedules import Schedule, ends
from trainers import scheduling

Augment = Callable[..., tf.Tensor]

# Steps between two moves of an adaptive p (Karras et al. 2020, section 3.1).
EVERY = 4


@dataclass
class _Traced:
    """What a step has done so far, as it is traced: D's calls, and r_t each time it observed it."""

    calls: int = 0
    signs: list[tf.Tensor] = field(default_factory=list)


# Of the step being traced, on this replica's thread.
_traced: ContextVar[_Traced | None] = ContextVar("traced", default=None)


class Augmentation:
    """An augmentation of all that D is shown, reals and fakes, and its p where that adapts.

    With a target p follows D: where r_t = E[sign D(x)] of reals exceeds it, p rises, below it p
    falls (Karras et al. 2020, arXiv:2006.06676, section 3.1). Each replica adds the signs of its
    own reals; the trainer averages `observed` over the replicas behind each step, so that all then
    move p alike.

    Attributes:
        p: the adaptive p, a float32 scalar variable that begins at 0; None without a target.
        observed: [sum of the r_t estimated since p moved, their number], float32 scalar variables;
            empty without a target.
    """

    def __init__(
        self,
        augment: Augment | None,
        spec: Spec,
        *,
        p: float | Schedule | None,
        target: float | None,
        speed_kimg: float,
        loss: Loss,
    ) -> None:
        """Checks the options, and makes the state.

        Args:
            augment: the augmentation, see `gan.augment`; None for none.
            spec: description of the data.
            p: probability of the augmentation, in [0, 1], or None: see `share`.
            target: the r_t that p is adapted to, in (-1, 1), or None.
            speed_kimg: thousands of images in which p could move from 0 to 1.
            loss: what D minimises; its border is where signs change.

        Raises:
            UserError: one is out of range, or they contradict each other.
            CodeError: a user's function fails, or returns another shape or type.
        """
        for wrong, message in (
            (
                p is not None and not all(0 <= v <= 1 for v in ends(p)),
                f"--augment_p={p}: expected 0 to 1.",
            ),
            (
                augment is None and p is not None,
                f"--augment_p={p}: there is no --augment, such as ada, whose probability it is.",
            ),
            (
                augment is None and target is not None,
                f"--augment_target={target}: there is no --augment, such as ada, to adapt to it.",
            ),
            (
                target is not None and not -1 < target < 1,
                f"--augment_target={target}: expected more than -1 and less than 1, or none.",
            ),
            (
                target is not None and p is not None,
                f"--augment_p={p} with --augment_target={target}: p is either given or adapted.",
            ),
            (
                target is not None and (loss.relative or loss.border is None),
                f"--augment_target={target}: the loss compares reals with fakes, so that the sign "
                "of a real's logit says nothing; take a schedule, as in "
                "--augment_p=cosine:0:0.5:1000.",
            ),
            (
                augment is not None and share(augment, p) is None and target is None,
                "--augment: say how often an image is changed: --augment_p=0.2, a schedule such as "
                "--augment_p=cosine:0:0.55:200, or --augment_target=0.6, by which p adapts.",
            ),
            (not speed_kimg > 0, f"--augment_speed_kimg={speed_kimg}: expected more than 0."),
            (
                augment is not None and len(spec.shape) != 3,
                f"--augment: {spec.name!r} has no images to augment.",
            ),
        ):
            if wrong:
                raise UserError(message)
        if augment is not None:
            _check(augment, spec.shape)
        self._channels, self._target, self._speed_kimg = spec.shape[-1], target, speed_kimg
        self._border = loss.border
        self.p: tf.Variable | None = None
        self.observed: list[tf.Variable] = []
        if target is not None:
            names = ("augment_p", "augment_signs", "augment_observations")
            self.p, *self.observed = (tf.Variable(0.0, trainable=False, name=n) for n in names)

    @property
    def variables(self) -> list[tf.Variable]:
        """The state, for checkpoints."""
        return [] if self.p is None else [self.p, *self.observed]

    def apply(
        self, augment: Augment, x: tf.Tensor, *, seed: tf.Tensor, p: tf.Tensor | float
    ) -> tf.Tensor:
        """Augmented images, each of a pack by itself.

        Args:
            augment: the augmentation.
            x: images (B, H, W, C * pack).
            seed: int32 (2,).
            p: probability, scalar.

        Returns:
            Shaped and typed as `x`; computed in float32.
        """
        count, height, width, channels = x.shape
        pack = channels // self._channels
        images = tf.cast(x, tf.float32)
        if pack > 1:
            images = tf.reshape(images, (count, height, width, pack, self._channels))
            images = tf.transpose(images, (0, 3, 1, 2, 4))
            images = tf.reshape(images, (count * pack, height, width, self._channels))
        images = augment(images, seed=seed, p=tf.convert_to_tensor(p, tf.float32))
        if pack > 1:
            images = tf.reshape(images, (count, pack, height, width, self._channels))
            images = tf.reshape(tf.transpose(images, (0, 2, 3, 1, 4)), x.shape)
        return tf.cast(images, x.dtype)

    @contextmanager
    def step(self) -> Iterator[list[tf.Tensor]]:
        """One step of a replica, within which calls of D are counted.

        Yields:
            The r_t that the step observes, float32 scalars; none without a target.

        Raises:
            CodeError: p is to adapt, and the step has observed no logits.
        """
        traced = _Traced()
        token = _traced.set(traced)
        try:
            yield traced.signs
        finally:
            _traced.reset(token)
        if self.observed and not traced.signs:
            raise CodeError(
                f"--augment_target={self._target}: train_step never calls "
                "self.augmentation.observe(real_logits), by which p adapts."
            )

    def call(self) -> int:
        """The number of this call of D in its step; the order is that of the code."""
        traced = _traced.get() or _Traced()
        traced.calls += 1
        return traced.calls

    def observe(self, real_logits: tf.Tensor) -> None:
        """Adds r_t by D's logits of reals, as it sees them in training."""
        if self.observed:
            r = tf.reduce_mean(tf.sign(tf.cast(real_logits, tf.float32) - self._border))
            for variable, value in zip(self.observed, (r, 1.0)):
                variable.assign_add(value)
            traced = _traced.get() or _Traced()
            traced.signs.append(r)

    def move(self, step: tf.Tensor, images_per_step: int) -> None:
        """Moves p behind every fourth step, by as much as its images are of `speed_kimg`.

        Args:
            step: number of the step, counted from 0.
            images_per_step: real images in each.
        """
        if self.p is None:
            return
        total, number = self.observed
        due = tf.equal((step + 1) % EVERY, 0)
        direction = tf.sign(total - self._target * number)  # 0 if all four steps were skipped
        by = direction * (EVERY * images_per_step / (1000.0 * self._speed_kimg))
        self.p.assign(tf.where(due, tf.clip_by_value(self.p + by, 0.0, 1.0), self.p))
        for variable in self.observed:
            variable.assign(tf.where(due, 0.0, variable))


def share(augment: Augment | None, p: float | Schedule | None) -> float | Schedule | None:
    """p as given, or else the augmentation's own default for it; None where it has none."""
    if augment is None or p is not None:
        return p
    own = inspect.signature(augment).parameters["p"]
    return None if own.default is own.empty else own.default


def _check(function: Any, shape: tuple[int, ...]) -> None:
    """Tries an augmentation on two images, before anything is trained.

    Raises:
        CodeError: a user's function fails, or returns another shape or type.
        UserError: an option's value is wrong, or such images do not fit.
    """
    images, seed = tf.zeros((2, *shape)), tf.zeros(2, tf.int32)
    made = origin.call(scheduling.at(function, 0), images, seed=seed, p=tf.constant(0.5))
    if not tf.is_tensor(made) or made.dtype != tf.float32 or made.shape != images.shape:
        kind = f"{made.dtype.name} {tuple(made.shape)}" if tf.is_tensor(made) else f"{type(made)}"
        raise CodeError(
            f"{origin.described(function)}: returned {kind}; expected float32 "
            f"{tuple(images.shape)}, as it was given."
        )
