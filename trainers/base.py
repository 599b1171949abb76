"""The training steps of a trainer.

`fit` (`trainers.fitting`) runs graph calls of K steps, a step calls `train_step(batch)` on every
replica, and `train_step` passes each loss to `minimize`. A new trainer overrides `train_step`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from gan.data import Source
from gan.errors import CodeError
from layers import xla
from trainers import averages, checks, scheduling, scopes
from trainers import precision as mixed
from trainers.fitting import Fitting
from trainers.randomness import step_seed
from trainers.routes import Routes, measuring, recorded
from trainers.state import Logs
from trainers.views import Layout, Views, standard_views

Batch = Mapping[str, tf.Tensor]


class Trainer(Fitting):
    """Several networks, an optimizer for each group of them, and an explicit loop.

    A subclass names the groups of networks that share an optimizer in `groups`, the networks to
    evaluate and export in `averaged`, and defines `train_step`, with the `routes` of its losses
    beside it. All random numbers of a step come from `self.rng(name)`. It may override
    `build_networks`, `make_optimizer` and `views`.
    """

    # Which networks each logged term may move, by log key or pattern; see `trainers.routes`.
    routes: ClassVar[Routes] = {}

    # What a subclass defines.

    def train_step(self, batch: Batch) -> Logs:
        """One step of the algorithm on one replica: computes losses, passes each to `minimize`.

        Args:
            batch: examples of the source, `images_per_step / replicas / accumulate` of them.

        Returns:
            Values to log, KIND/NAME -> scalar: `loss/GROUP` and others, see `trainers.logs`.
        """
        raise NotImplementedError

    def views(self, source: Source, layout: Layout) -> Views:
        """The pictures to draw in training: samples, interpolations or translations, and reals.

        Args:
            source: where real examples come from.
            layout: layout of the grids.

        Returns:
            Views and fixed pictures by name, see `trainers.views`.
        """
        return standard_views(self, source, layout)

    # What `train_step` uses.

    def rng(self, name: str, *, shared: bool = False) -> tf.Tensor:
        """Seed, int32 (2,), for a stateless op: a function of (stream, step, replica, name).

        Args:
            name: what the numbers are for; different names give independent numbers.
            shared: give every replica the same numbers.
        """
        context = tf.distribute.get_replica_context()
        replica = 0 if shared else context.replica_id_in_sync_group
        return step_seed(self.stream, self._step, replica, name, self._micro)

    def now(self, value: Any) -> Any:
        """A value that may be a schedule, as of this step.

        Args:
            value: a number, a `Schedule`, or a function with such options bound to it.

        Returns:
            A number or None as it is, a float32 scalar for a schedule, see `scheduling.at`.
        """
        return scheduling.at(value, self._images)

    def normal(self, shape: Sequence[int], name: str) -> tf.Tensor:
        """N(0, I) noise, float32."""
        return tf.random.stateless_normal(shape, seed=self.rng(name), alg="philox")

    def latents(self, count: int, name: str) -> tf.Tensor:
        """z for the first network of `averaged`, by its interface: (count, latent_dim)."""
        latent = self.sampler().interface.latent
        if latent is None:
            raise CodeError(f"{self.averaged[0]!r} takes no z: it translates images.")
        shape = (count, latent.dim)
        if latent.distribution == "uniform":
            seed = self.rng(name)
            return tf.random.stateless_uniform(shape, seed=seed, minval=-1.0, maxval=1.0)
        return self.normal(shape, name)

    def training(self, name: str) -> Callable[..., Any]:
        """A network in training mode: with dropout, and BN by the batch's statistics."""
        return functools.partial(self.networks[name], training=True)

    def tape(self, *, once: bool = False) -> tf.GradientTape:
        """A tape that records what `minimize` differentiates; several losses may use it.

        Entered again, it goes on recording: `with tape: ...`. It is persistent, which costs nothing
        in the graph: the tape exists only while the step is traced.

        Args:
            once: whether one loss alone uses it. TensorFlow then prepares a lazy penalty, which is
                a branch, for its gradient alone and not for gradients of gradients: StyleGAN2's
                step is traced in 0.4 of the time, and its first call takes 0.6.
        """
        return tf.GradientTape(persistent=not once or measuring())

    def minimize(self, loss: tf.Tensor, group: str, tape: tf.GradientTape) -> None:
        """One optimizer step of `group`; handles precision and replicas.

        The loss is scaled before the backward pass, the gradient unscaled in float32 and divided by
        the replica count (Keras' optimizers sum over replicas). Under a dynamic scale the step is
        skipped if any replica's gradient is not finite.

        Args:
            loss: float32 scalar, this replica's mean.
            group: a key of `groups`. Only its weights change, whatever else the loss depends on.
            tape: the tape that recorded `loss`; for several losses, one of `self.tape()`.
        """
        checks.loss(self, loss, group)
        if recorded(loss, group, tape):
            return  # Routes are being measured, and nothing is to change.
        scale = self.loss_scales[group]
        variables = self.variables_of(group)
        with checks.taping():
            gradients = tape.gradient(
                loss,
                [v.value for v in variables],
                output_gradients=tf.cast(scale.value, loss.dtype),
            )
        gradients = checks.connected(self, group, gradients, variables)
        share = 1.0 / (scale.value * self.distribute_strategy.num_replicas_in_sync)
        gradients = [tf.cast(g, tf.float32) * share for g in gradients]
        with scopes.optimizer(group):
            if group in self._accumulators:
                self._accumulators[group].add(gradients)  # Applied after the last micro-batch.
            else:
                mixed.apply_gradients(self.optimizers[group], gradients, variables, scale)

    # One step, K steps.

    def _replica_step(self, batch: Batch) -> Logs:
        """`train_step` on each micro-batch, then the moving averages; all on one replica."""
        many = self.distribute_strategy.num_replicas_in_sync > 1
        statistics = self._statistics() if many or self.precision == "mixed_float16" else []
        before = [tf.identity(v) for v, _ in statistics]
        logs: Logs = {}
        for micro in range(self.accumulate):
            self._micro = micro
            share = {k: part(x, micro, self.accumulate) for k, x in batch.items()}
            for name, value in checks.step(self, share).items():
                logs[name] = logs.get(name, 0.0) + tf.cast(value, tf.float32) / self.accumulate
        self._micro = 0
        for group, accumulator in self._accumulators.items():
            with scopes.optimizer(group):
                mixed.apply_gradients(
                    self.optimizers[group],
                    accumulator.take(self.accumulate),
                    self.variables_of(group),
                    self.loss_scales[group],
                )
        self._settle_statistics(statistics, before)
        with scopes.average():
            self._update_ema()
        return logs

    def _settle_statistics(
        self, statistics: list[tuple[tf.Variable, mixed.LossScale]], before: list[tf.Tensor]
    ) -> None:
        """Averages BN statistics over the replicas, and restores those of a skipped step."""
        values = [v.read_value() for v, _ in statistics]
        if values and self.distribute_strategy.num_replicas_in_sync > 1:
            context = tf.distribute.get_replica_context()
            values = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for (variable, scale), value, old in zip(statistics, values, before):
            if scale.dynamic:  # Else the values of an overflowed pass would stay in them.
                keep = tf.logical_and(scale.applied, mixed.all_finite([value]))
                value = tf.where(keep, value, old)
            variable.assign(value)

    def _statistics(self) -> list[tuple[tf.Variable, mixed.LossScale]]:
        """Floating-point state that forward passes change, with the loss scale of its group."""
        return [
            (v.value, self.loss_scales[group])
            for group, names in self.groups.items()
            for name in names
            for v in self.networks[name].non_trainable_variables
            if v.dtype.startswith("float")
        ]

    def _update_ema(self) -> None:
        """Moves each average towards its network, unless the network's step was skipped."""
        if self.ema_half_life_kimg is None:
            return
        seen = self._images + self.images_per_step
        half_life = self.now(self.ema_half_life_kimg)
        rate = averages.update_rate(seen, self.images_per_step, half_life, self.ema_rampup)
        for group, names in self.groups.items():
            scale = self.loss_scales[group]
            applied = tf.where(scale.applied, rate, 0.0) if scale.dynamic else rate
            for name in (n for n in names if n in self.ema):
                averages.update(self.ema[name], self.networks[name], applied)

    def _distributed_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """A step on all replicas; returns the mean of their logs."""

        def step(batch: Batch) -> Logs:
            # If reading fails, no part of the step may run: parts that do not depend on the data (a
            # generator's BN statistics, the counts) would run all the same.
            with tf.control_dependencies(list(batch.values())), xla.compiles(self.xla):
                return self._replica_step(batch)

        step = tf.function(step, jit_compile=True, autograph=False) if self.xla else step
        logs = self.distribute_strategy.run(step, args=(batch,))
        mean = tf.distribute.ReduceOp.MEAN
        logs = {k: self.distribute_strategy.reduce(mean, v, axis=None) for k, v in logs.items()}
        with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
            self._step.assign_add(1)
            self._images.assign_add(self.images_per_step)
        return logs

    @property
    def one_step(self) -> Any:
        """A step on all replicas, a `tf.function` of a batch; `loop` runs the same graph."""
        if self._one_step is None:
            # Grappler's dependency pass drops edges that keep the read of a weight before its
            # update (TensorFlow 2.21): once in a few hundred steps a critic's forward pass then saw
            # a weight of the next step.
            tf.config.optimizer.set_experimental_options({"dependency_optimization": False})
            # Without AutoGraph, as Keras in Model.fit: it rewrites each function that it meets from
            # its source, half of the time until the first step, and fails where a file was edited.
            self._one_step = tf.function(self._distributed_step, autograph=False)
        return self._one_step

    def loop(self, iterator: Any, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs `steps` steps in one graph call; returns the means of their logs."""
        if self._loop is None:
            self._loop = self._make_loop()
        try:
            return self._loop(iterator, steps)
        except tf.errors.OpError as error:
            raise checks.running(error) from error

    def _make_loop(self) -> Callable[..., dict[str, tf.Tensor]]:
        one_step = self.one_step

        @tf.function(reduce_retracing=True, autograph=False)
        def loop(iterator: Any, steps: tf.Tensor) -> dict[str, tf.Tensor]:
            # Traced once, here; the body below calls the same graph.
            traced = one_step.get_concrete_function(iterator.element_spec)
            names = sorted(traced.structured_outputs)

            def body(i: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
                logs = one_step(next(iterator))
                return i + 1, [total + logs[name] for total, name in zip(sums, names)]

            _, sums = tf.while_loop(
                lambda i, _: i < steps, body, (tf.constant(0), [tf.constant(0.0)] * len(names))
            )
            return {name: total / tf.cast(steps, tf.float32) for name, total in zip(names, sums)}

        return loop


def part(x: tf.Tensor, i: int, n: int) -> tf.Tensor:
    """Part i of n equal parts of a batch."""
    size = x.shape[0] // n
    return x if n == 1 else x[i * size : (i + 1) * size]
