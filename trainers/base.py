"""The state every trainer owns and the loop that moves it.

The way through: `fit` runs graph calls of K steps, a step calls `train_step(batch)` on every
replica, and `train_step` hands each loss to `minimize`. A new trainer overrides `train_step`.
"""

import math
import signal
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, ClassVar

import keras
import tensorflow as tf

from gan.architectures import Networks
from gan.data import Source, Spec
from gan.errors import UserError
from gan.sampling import KerasSampler
from trainers import precision as mixed
from trainers.distribution import distribute
from trainers.optimizers import OptimizerGroup
from trainers.randomness import step_seed

Batch = Mapping[str, tf.Tensor]
Logs = dict[str, Any]
Architecture = Callable[[Spec], Networks]


class Trainer(keras.Model):
    """Several networks, an optimizer for each group of them, and an explicit loop.

    A subclass builds its networks in `build_networks`, names the groups that share an optimizer in
    `groups`, and writes `train_step`. Everything random in a step comes from `self.rng(name)`.

    Attributes:
        networks: name -> Keras model, in the order of building.
        ema: name -> exponential moving average of that network, for those named in `averaged`.
        optimizers: group -> optimizer.
        loss_scales: group -> `LossScale`.
        spec: of the data.
        stop_training: set by callbacks to end `fit` after the current graph call.
        interrupted: the signal that ended the last `fit`, or None.
    """

    groups: ClassVar[dict[str, tuple[str, ...]]] = {}
    averaged: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        batch_size: int = 64,
        learning_rate: float = 2e-4,
        discriminator_lr: float = 0.0,
        beta_1: float = 0.5,
        beta_2: float = 0.999,
        ema_half_life_kimg: float = 10.0,
        ema_rampup: float = 0.05,
        precision: str = "float32",
        accumulate: int = 1,
        xla: bool = False,
        seed: int = 0,
    ) -> None:
        """Builds networks and optimizers under the current `tf.distribute` strategy.

        Args:
            architecture: makes a generator and a discriminator for a spec, its options bound.
            spec: of the data to train on.
            batch_size: images in each discriminator update, over all replicas and micro-batches.
            learning_rate: Adam's step size.
            discriminator_lr: Adam's step size for discriminators; 0 means learning_rate.
            beta_1: Adam's decay of the first moment.
            beta_2: Adam's decay of the second moment.
            ema_half_life_kimg: half-life of the weights' moving average, in thousands of images;
                0 keeps none.
            ema_rampup: the half-life is at most this share of the images seen so far (Karras 2020).
            precision: float32, mixed_float16 or mixed_bfloat16.
            accumulate: micro-batches whose gradients make one update; every optimizer then steps
                once, at the end, on the mean.
            xla: compile the step with XLA; one replica only.
            seed: of weights, data order and noise.

        Raises:
            UserError: a value that cannot work, or sizes that do not divide.
        """
        super().__init__(name=type(self).__name__.lower())
        strategy = tf.distribute.get_strategy()
        replicas = strategy.num_replicas_in_sync
        _require(batch_size > 0, f"--batch_size={batch_size}: expected at least 1.")
        _require(accumulate > 0, f"--accumulate={accumulate}: expected at least 1.")
        _require(learning_rate > 0, f"--learning_rate={learning_rate}: expected more than 0.")
        _require(seed >= 0 and seed < 2**31, f"--seed={seed}: expected 0 to 2147483647.")
        _require(
            batch_size % (replicas * accumulate) == 0,
            f"--batch_size={batch_size} does not divide into {replicas} replica(s) x "
            f"--accumulate={accumulate}.",
        )
        _require(not (xla and replicas > 1), f"--xla works on one replica, not on {replicas}.")
        self.architecture = architecture
        self.spec = spec
        self.seed = seed
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.precision = precision
        self.xla = xla
        self.ema_half_life_kimg = ema_half_life_kimg
        self.ema_rampup = ema_rampup
        self.interrupted: int | None = None
        self.stop_training = False
        self._micro = 0

        keras.utils.set_random_seed(seed)
        with mixed.policy(precision):
            self.networks = self.build_networks()
        self.ema = {}
        if ema_half_life_kimg > 0:
            self.ema = {name: _copy(self.networks[name]) for name in self.averaged}
        rates = dict.fromkeys(self.groups, learning_rate)
        if discriminator_lr:
            rates = {g: discriminator_lr if "discriminator" in g else r for g, r in rates.items()}
        self.base_learning_rates = rates
        self.optimizers, self.loss_scales, self._accumulators = {}, {}, {}
        for group in self.groups:
            variables = self.variables_of(group)
            optimizer = keras.optimizers.Adam(rates[group], beta_1=beta_1, beta_2=beta_2)
            optimizer.build(variables)
            self.optimizers[group] = optimizer
            self.loss_scales[group] = mixed.LossScale(precision == "mixed_float16")
            if accumulate > 1:
                self._accumulators[group] = mixed.Accumulator(variables, accumulate)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._images = tf.Variable(0, dtype=tf.int64, trainable=False, name="images")
        self._loop: Callable[..., dict[str, tf.Tensor]] | None = None
        self._epoch_sums: dict[str, float] = {}
        self._epoch_steps = 0
        self.built = True

    # What a trainer defines.

    def build_networks(self) -> dict[str, keras.Model]:
        """Makes the networks, called once, under the precision policy and the strategy."""
        raise NotImplementedError

    def train_step(self, batch: Batch) -> Logs:
        """One step of the algorithm on one replica: losses, each handed to `minimize`.

        Args:
            batch: what the source yields, `images_per_step / replicas / accumulate` examples.

        Returns:
            name -> scalar, to be logged; losses end in `_loss`.
        """
        raise NotImplementedError

    @property
    def images_per_step(self) -> int:
        """Real images a step consumes, over all replicas."""
        return self.batch_size

    def extra_state(self) -> dict[str, list[tf.Variable]]:
        """State of the algorithm beyond networks and optimizers, such as an image pool."""
        return {}

    # What `train_step` uses.

    def rng(self, name: str, *, shared: bool = False) -> tf.Tensor:
        """Seed, int32 (2,), for a stateless op: a function of (seed, step, replica, name).

        Args:
            name: what the numbers are for.
            shared: give every replica the same numbers.
        """
        context = tf.distribute.get_replica_context()
        replica = 0 if shared else context.replica_id_in_sync_group
        return step_seed(self.seed, self._step, replica, name, self._micro)

    def normal(self, shape: Sequence[int], name: str) -> tf.Tensor:
        """N(0, I) noise, float32."""
        return tf.random.stateless_normal(shape, seed=self.rng(name), alg="philox")

    def minimize(self, loss: tf.Tensor, group: str, tape: tf.GradientTape) -> None:
        """One optimizer step of `group`; the only place that knows precision and replicas.

        The loss is scaled on its way into the backward pass, the gradient unscaled in float32 and
        divided by the replica count (Keras' optimizers sum over replicas). Under a dynamic scale
        the step is skipped where any replica's gradient is not finite.

        Args:
            loss: float32 scalar, this replica's mean.
            group: a key of `groups`.
            tape: that recorded `loss`.
        """
        scale = self.loss_scales[group]
        variables = self.variables_of(group)
        gradients = tape.gradient(
            loss,
            [v.value for v in variables],
            output_gradients=tf.cast(scale.value, loss.dtype),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        share = 1.0 / (scale.value * self.distribute_strategy.num_replicas_in_sync)
        gradients = [tf.cast(g, tf.float32) * share for g in gradients]

        def apply(gradients: list[tf.Tensor]) -> None:
            mixed.apply_gradients(self.optimizers[group], gradients, variables, scale)

        if group in self._accumulators:
            self._accumulators[group].add(gradients, self._micro, apply)
        else:
            apply(gradients)

    def variables_of(self, group: str) -> list[keras.Variable]:
        """The trainable variables an optimizer steps."""
        return [v for name in self.groups[group] for v in self.networks[name].trainable_variables]

    # One step, K steps.

    def _replica_step(self, batch: Batch) -> Logs:
        """`train_step` on each micro-batch, then the moving averages; all on one replica."""
        statistics = self._statistics() if self.precision == "mixed_float16" else []
        before = [tf.identity(v) for v, _ in statistics]
        logs: Logs = {}
        for micro in range(self.accumulate):
            self._micro = micro
            share = {k: part(x, micro, self.accumulate) for k, x in batch.items()}
            for name, value in self.train_step(share).items():
                logs[name] = logs.get(name, 0.0) + tf.cast(value, tf.float32) / self.accumulate
        self._micro = 0
        # A skipped step leaves no trace: BN statistics of an overflowed pass are taken back.
        for (variable, scale), old in zip(statistics, before):
            variable.assign(tf.where(scale.applied, variable, old))
        self._update_ema()
        return logs

    def _statistics(self) -> list[tuple[tf.Variable, mixed.LossScale]]:
        """Floating state that forward passes write, with the scale of the group it belongs to."""
        return [
            (v.value, self.loss_scales[group])
            for group, names in self.groups.items()
            for name in names
            for v in self.networks[name].non_trainable_variables
            if v.dtype.startswith("float")
        ]

    def _update_ema(self) -> None:
        """EMA <- EMA + (1 - decay) (weights - EMA), decay = 2^(-images a step / half-life)."""
        if not self.ema:
            return
        seen = tf.cast(self._images + self.images_per_step, tf.float32)
        half_life = tf.minimum(self.ema_half_life_kimg * 1000.0, seen * self.ema_rampup)
        decay = tf.pow(0.5, self.images_per_step / tf.maximum(half_life, 1e-6))
        for group, names in self.groups.items():
            scale = self.loss_scales[group]
            # Adding nothing is exact, so a skipped step needs no branch.
            rate = tf.where(scale.applied, 1.0 - decay, 0.0) if scale.dynamic else 1.0 - decay
            for name in (n for n in names if n in self.ema):
                for average, v in zip(self.ema[name].variables, self.networks[name].variables):
                    if v.dtype.startswith("float"):
                        average.value.assign_add(rate * (v.value - average.value))
                    else:
                        average.value.assign(v.value)

    def _distributed_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """A step on all replicas; logs are their mean."""
        step = tf.function(self._replica_step, jit_compile=True) if self.xla else self._replica_step
        logs = self.distribute_strategy.run(step, args=(batch,))
        mean = tf.distribute.ReduceOp.MEAN
        logs = {k: self.distribute_strategy.reduce(mean, v, axis=None) for k, v in logs.items()}
        self._step.assign_add(1)
        self._images.assign_add(self.images_per_step)
        return logs

    def make_loop(self) -> Callable[..., dict[str, tf.Tensor]]:
        """`loop(iterator, steps) -> mean logs`: `steps` steps in one graph call, no host sync."""
        one_step = tf.function(self._distributed_step)

        @tf.function(reduce_retracing=True)
        def loop(iterator: Any, steps: tf.Tensor) -> dict[str, tf.Tensor]:
            element = tf.nest.map_structure(lambda s: s, iterator.element_spec)
            names = sorted(one_step.get_concrete_function(element).structured_outputs)

            def body(i: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
                logs = one_step(next(iterator))
                return i + 1, [total + logs[name] for total, name in zip(sums, names)]

            _, sums = tf.while_loop(
                lambda i, _: i < steps, body, (tf.constant(0), [tf.constant(0.0)] * len(names))
            )
            return {name: total / tf.cast(steps, tf.float32) for name, total in zip(names, sums)}

        return loop

    def fit(
        self,
        source: Source,
        *,
        total_kimg: float,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        steps_per_loop: int = 50,
        eval_every_kimg: float = 0.0,
    ) -> keras.callbacks.History:
        """Trains until `total_kimg` thousand images were seen, counted from the run's beginning.

        SIGINT and SIGTERM end it after the current graph call, callbacks' `on_train_end` included;
        `interrupted` then holds the signal. A second signal ends the process at once.

        Args:
            source: the data; its order continues at the trainer's image count.
            total_kimg: when to stop.
            callbacks: Keras callbacks. A batch is a graph call, an epoch an evaluation period.
            steps_per_loop: steps in a graph call, K.
            eval_every_kimg: length of an epoch in thousands of images; 0: one pass of the data.

        Returns:
            Keras' history of the epochs' logs.
        """
        _require(steps_per_loop > 0, f"--steps_per_loop={steps_per_loop}: expected at least 1.")
        total = math.ceil(total_kimg * 1000 / self.images_per_step) * self.images_per_step
        epoch_images = eval_every_kimg * 1000 or self.spec.size
        self._epochs = math.ceil(total / epoch_images)
        self.stop_training, self.interrupted = False, None
        if self._loop is None:
            self._loop = self.make_loop()
        data = distribute(
            self.distribute_strategy,
            source,
            batch_size=self.images_per_step,
            seed=self.seed,
            start=self.images,
        )
        iterator = iter(data)
        history = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            model=self,
            epochs=self._epochs,
            steps=math.ceil(epoch_images / self.images_per_step),
            total_images=total,
            verbose=1,
        )
        with _Signals(self):
            history.on_train_begin()
            while self.images < total and not self.stop_training:
                self._run_epoch(iterator, history, total, epoch_images, steps_per_loop)
            history.on_train_end()
        return self.history

    def _run_epoch(
        self,
        iterator: Any,
        callbacks: keras.callbacks.CallbackList,
        total: int,
        epoch_images: float,
        steps_per_loop: int,
    ) -> None:
        """Graph calls up to the next multiple of `epoch_images`; resumes in the middle of one."""
        epoch = int(self.images / epoch_images)
        end = min((epoch + 1) * epoch_images, total)
        callbacks.on_epoch_begin(epoch)
        while self.images < end and not self.stop_training:
            steps = min(steps_per_loop, math.ceil((end - self.images) / self.images_per_step))
            callbacks.on_train_batch_begin(self.step)
            assert self._loop is not None
            values = self._loop(iterator, tf.constant(steps))
            logs = {name: float(value) for name, value in values.items()}
            logs["loss"] = sum(v for name, v in logs.items() if name.endswith("_loss"))
            for name, value in logs.items():
                self._epoch_sums[name] = self._epoch_sums.get(name, 0.0) + steps * value
            self._epoch_steps += steps
            callbacks.on_train_batch_end(self.step - 1, logs | self.progress_logs())
        if self.images < end:
            return  # Stopped inside: the epoch goes on when the run is resumed.
        logs = {name: total / self._epoch_steps for name, total in self._epoch_sums.items()}
        self._epoch_sums, self._epoch_steps = {}, 0
        callbacks.on_epoch_end(epoch, logs | self.progress_logs())

    # What callbacks and scripts use.

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return int(self._step.numpy())

    @property
    def images(self) -> int:
        """Real images seen so far: the position in the endless data order."""
        return int(self._images.numpy())

    @property
    def optimizer(self) -> OptimizerGroup:
        """All optimizers behind one face, for Keras callbacks."""
        return OptimizerGroup(self.optimizers)

    @property
    def latent_dim(self) -> int:
        """Dimensions of z."""
        return int(self.inference().inputs[0].shape[-1])

    def progress_logs(self) -> Logs:
        """Image count, and under float16 the loss scales and how often each skipped."""
        logs: Logs = {"images": self.images}
        for group, scale in self.loss_scales.items():
            if scale.dynamic:
                logs[f"{group}_loss_scale"] = float(scale.value.numpy())
                logs[f"{group}_skipped"] = int(scale.skipped.numpy())
        return logs

    def inference(self, name: str = "") -> keras.Model:
        """The network to judge and export: the EMA copy where there is one.

        Args:
            name: of the network; empty for the first of `averaged`.
        """
        name = name or self.averaged[0]
        return self.ema.get(name, self.networks[name])

    def sampler(self) -> KerasSampler:
        """Draws from `inference()`; kept, so that it is traced once."""
        if getattr(self, "_sampler", None) is None:
            self._sampler = KerasSampler(self.inference())
        return self._sampler

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """The inference network's output."""
        return self.inference()(inputs, training=training)

    def save(self, filepath: str, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the inference network as `.keras`: what Keras' ModelCheckpoint calls."""
        self.inference().save(filepath, overwrite=overwrite, **kwargs)

    def state(self) -> dict[str, list[tf.Variable]]:
        """Everything a checkpoint holds, as named lists of variables.

        A network's variables include BN statistics and the seed states of its dropout layers.
        """
        networks = self.networks | {f"ema_{name}": net for name, net in self.ema.items()}
        state = {name: [v.value for v in network.variables] for name, network in networks.items()}
        for group, optimizer in self.optimizers.items():
            state[f"{group}_optimizer"] = [v.value for v in optimizer.variables]
            state[f"{group}_loss_scale"] = self.loss_scales[group].variables
        return state | {"progress": [self._step, self._images]} | self.extra_state()

    def host_state(self) -> dict[str, Any]:
        """What a checkpoint holds beside variables: JSON."""
        return {"epoch_sums": self._epoch_sums, "epoch_steps": self._epoch_steps}

    def set_host_state(self, state: Mapping[str, Any]) -> None:
        """Takes back `host_state()`."""
        self._epoch_sums = dict(state["epoch_sums"])
        self._epoch_steps = int(state["epoch_steps"])


class _Signals:
    """Turns SIGINT and SIGTERM into `stop_training` while `fit` runs in the main thread."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._stop)
        except ValueError:  # Not the main thread: signals are not ours.
            pass

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.trainer.stop_training = True
        self.trainer.interrupted = number
        signal.signal(number, self.before[number])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def part(x: tf.Tensor, i: int, n: int) -> tf.Tensor:
    """Part i of n of a batch; the whole batch where n is 1."""
    size = x.shape[0] // n
    return x if n == 1 else x[i * size : (i + 1) * size]


def _copy(network: keras.Model) -> keras.Model:
    """A clone with the same weights."""
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    clone.trainable = False
    return clone
