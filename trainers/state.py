"""The state of a trainer, from its networks to its image count."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras
import tensorflow as tf

from gan import __version__, generators
from gan.data import Spec, reading
from gan.errors import UserError
from gan.options import Grouped, Schedule
from gan.sampling import KerasSampler
from gan.schedules import positive
from trainers import averages, networks, scheduling
from trainers import precision as mixed
from trainers.groups import (
    Optimizer,
    check_groups,
    check_optimizer,
    learning_rate_of,
    optimizer_of,
    rescale_rate,
    warn_of_idle,
)
from trainers.keras_face import KerasFace
from trainers.workdir.judged import Judged

Logs = dict[str, Any]

_BYTES = 16  # float32: a weight, its average, Adam's two moments
_TOO_LARGE = (
    "makes the networks, their averages and their optimizers' moments too large for this machine's "
    "memory: make --width, --latent_dim or --pack smaller."
)
Architecture = Callable[[Spec], tuple[keras.Model, ...] | Mapping[str, keras.Model]]


class State(KerasFace):
    """Several networks and an optimizer for each group of them.

    The constructor calls `build_networks` and `make_optimizer`: a subclass sets what they need
    before it calls the constructor.

    Attributes:
        networks: name -> Keras model, in the order of building.
        ema: name -> exponential moving average of a network, for the names in `averaged`.
        optimizers: group -> optimizer.
        loss_scales: group -> `LossScale`.
        spec: description of the data.
        stop_training: set by callbacks to end `fit` after the current graph call.
        interrupted: the signal that ended the last `fit`, or None.
        call_seconds: duration of the shortest graph call of this `fit`; 0 before one has ended.
        rewind: set by callbacks, together with `stop_training`, to a function that restores another
            state; `fit` calls it when the loop has ended, and goes on from there.
        judged: the metrics of this process' last evaluation, or None.
        rollbacks: number of times that the run went back to an earlier state.
    """

    groups: ClassVar[dict[str, tuple[str, ...]]] = {}
    averaged: tuple[str, ...] = ()
    # Groups that `train_step` doesn't pass to `minimize`; to miss any other group is an error.
    frozen: tuple[str, ...] = ()

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        batch_size: int = 64,
        optimizer: Grouped[str | Optimizer] | str | Optimizer = "adam",
        learning_rate: Grouped[float | Schedule] | float | Schedule = 2e-4,
        ema_half_life_kimg: float | Schedule | None = 10.0,
        ema_rampup: float | None = 0.05,
        precision: str = "float32",
        accumulate: int = 1,
        xla: bool = False,
        seed: int = 0,
    ) -> None:
        """Builds networks and optimizers under the current `tf.distribute` strategy.

        Args:
            architecture: makes the networks for a spec, by name, with its options filled in.
            spec: description of the data to train on.
            batch_size: images in each discriminator update, over all replicas and micro-batches.
            optimizer: optimizer of each group of networks: a name, an import path or a function.
            learning_rate: learning rate of each group's optimizer, above 0.
            ema_half_life_kimg: half-life of the weights' moving average, in thousands of images;
                none keeps no average.
            ema_rampup: largest half-life of the moving average as a share of the images seen so far
                (Karras 2020); none sets no limit.
            precision: arithmetic of the networks: float32, mixed_float16 or mixed_bfloat16.
            accumulate: micro-batches per update. All optimizers step after the last one, by the
                mean gradients: all groups at the same time, rather than one after another.
            xla: compile the step with XLA; with one replica only.
            seed: seed of weights, data order and noise.

        Raises:
            UserError: a value is out of range, or sizes do not divide.
        """
        super().__init__(name=type(self).__name__.lower())
        strategy = tf.distribute.get_strategy()
        replicas = strategy.num_replicas_in_sync
        _require(batch_size > 0, f"--batch_size={batch_size}: expected at least 1.")
        _require(accumulate > 0, f"--accumulate={accumulate}: expected at least 1.")
        for name, value in (
            ("ema_half_life_kimg", ema_half_life_kimg),
            ("ema_rampup", ema_rampup),
        ):
            _require(
                value is None or positive(value),
                f"--{name}={value}: expected more than 0, or none.",
            )
        _require(seed >= 0 and seed < 2**31, f"--seed={seed}: expected 0 to 2147483647.")
        _require(
            batch_size % (replicas * accumulate) == 0,
            f"--batch_size={batch_size} does not divide into {replicas} replica(s) x "
            f"--accumulate={accumulate}.",
        )
        _require(not (xla and replicas > 1), f"--xla works on one replica, not on {replicas}.")
        self.architecture = networks.checked(architecture)
        self.spec = spec
        self.seed = seed
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.precision = precision
        self.xla = xla
        self.ema_half_life_kimg = ema_half_life_kimg
        self.ema_rampup = ema_rampup
        self.interrupted: int | None = None
        self.call_seconds = 0.0
        self.rewind: Callable[[], None] | None = None
        self.judged: Judged | None = None
        self.rollbacks = 0
        self.stop_training = False
        self._micro = 0
        self._samplers: dict[str, KerasSampler] = {}

        keras.utils.set_random_seed(seed)
        with mixed.policy(precision), generators.at_most(reading.memory() / _BYTES, _TOO_LARGE):
            self.networks = self.build_networks()
        networks.check_networks(self)
        networks.declare_interfaces(self)
        self.ema = {}
        if ema_half_life_kimg is not None:
            self.ema = {name: averages.copy(self.networks[name]) for name in self.averaged}
        check_groups({"optimizer": optimizer, "learning_rate": learning_rate}, self.groups)
        warn_of_idle(optimizer)
        self._optimizer, self._learning_rate = optimizer, learning_rate
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self._images = tf.Variable(0, dtype=tf.int64, trainable=False, name="images")
        self.optimizers, self.loss_scales, self._accumulators = {}, {}, {}
        for group in self.groups:
            variables = self.variables_of(group)
            self.optimizers[group] = self.make_optimizer(group)
            check_optimizer(self.optimizers[group], type(self).make_optimizer)
            self.optimizers[group].build(variables)
            self.loss_scales[group] = mixed.LossScale(precision == "mixed_float16")
            if accumulate > 1:
                self._accumulators[group] = mixed.Accumulator(variables)
        self.base_learning_rates = {
            group: learning_rate_of(made) for group, made in self.optimizers.items()
        }
        self._loop: Callable[..., dict[str, tf.Tensor]] | None = None
        self._one_step: Any = None
        self._epoch_sums: dict[str, float] = {}
        self._epoch_steps = 0
        self.built = True

    def build_networks(self) -> dict[str, keras.Model]:
        """Makes the networks; called once, under the precision policy and the strategy.

        They are the architecture's; override it to add networks, or to make others.
        """
        return networks.by_name(self.architecture(self.spec))

    def make_optimizer(self, group: str) -> keras.optimizers.Optimizer:
        """Makes a group's optimizer; called once per group, and may be overridden."""
        return optimizer_of(self._optimizer, self._learning_rate, group, self._images)

    @property
    def images_per_step(self) -> int:
        """Real images per step, over all replicas."""
        return self.batch_size

    @property
    def stream(self) -> int:
        """Seed of data order and noise; it changes with each rollback, so that they differ."""
        return (self.seed + 7919 * self.rollbacks) % 2**31

    def extra_state(self) -> dict[str, list[tf.Variable]]:
        """Further state of a subclass, such as an image pool."""
        return {}

    def variables_of(self, group: str) -> list[keras.Variable]:
        """The trainable variables of a group, which its optimizer updates."""
        return [v for name in self.groups[group] for v in self.networks[name].trainable_variables]

    # For callbacks, checkpoints and scripts.

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return int(self._step.numpy())

    @property
    def images(self) -> int:
        """Real images seen so far, which is the position in the endless data order."""
        return int(self._images.numpy())

    @property
    def latent_dim(self) -> int:
        """Dimensions of z; 0 for a translator."""
        return self.sampler().latent_dim

    def progress_logs(self) -> Logs:
        """The image count, each schedule, and under float16 loss scales and skipped steps."""
        logs: Logs = {"images": self.images}
        for name, schedule in scheduling.found(self).items():
            if not name.startswith("_"):  # MetricsLog has each group's learning rate.
                logs[f"schedule/{name}"] = float(schedule.at(self.images))
        for group, scale in self.loss_scales.items():
            if scale.dynamic:
                logs[f"loss_scale/{group}"] = float(scale.value.numpy())
                logs[f"skipped/{group}"] = int(scale.skipped.numpy())
        return logs

    def inference(self, name: str = "") -> keras.Model:
        """The network to evaluate and export: the EMA copy if there is one.

        Args:
            name: name of the network; empty for the first of `averaged`.
        """
        name = name or self.averaged[0]
        return self.ema.get(name, self.networks[name])

    def sampler(self, name: str = "") -> KerasSampler:
        """A sampler of `inference(name)`; it is kept, so that it is traced once."""
        name = name or self.averaged[0]
        if name not in self._samplers:
            self._samplers[name] = KerasSampler(self.inference(name))
        return self._samplers[name]

    def save_generator(self, path: str | os.PathLike[str], name: str = "") -> None:
        """Writes an inference network as `.keras`, with its interface and `about(name)`.

        Args:
            path: path that ends in .keras; the file is written whole or not at all.
            name: name of the network; empty for the first of `averaged`.
        """
        about = {"run": Path(path).resolve().parent.name, **self.about(name)}
        generators.save(self.inference(name), path, about)

    def about(self, name: str = "") -> dict[str, Any]:
        """Where an inference network comes from, for its file: version, data, trainer and step."""
        name = name or self.averaged[0]
        return {
            "tapestry": __version__,
            "data": {"name": self.spec.name, "licence": self.spec.licence},
            "trainer": type(self).__name__,
            "network": name,
            "step": self.step,
            "images": self.images,
            "ema": name in self.ema,
        }

    def state(self) -> dict[str, list[tf.Variable]]:
        """Everything a checkpoint holds, as named lists of variables.

        A network's variables include BN statistics and the seed states of its dropout layers.
        """
        networks = self.networks | {f"ema_{name}": net for name, net in self.ema.items()}
        state = {name: [v.value for v in network.variables] for name, network in networks.items()}
        for group, optimizer in self.optimizers.items():
            state[f"{group}_optimizer"] = [v.value for v in optimizer.variables]
        return state | self._own_state()

    def _own_state(self) -> dict[str, list[tf.Variable]]:
        """The state outside of networks and optimizers, which Keras does not know."""
        scales = {f"{group}_loss_scale": s.variables for group, s in self.loss_scales.items()}
        return scales | {"progress": [self._step, self._images]} | self.extra_state()

    def host_state(self) -> dict[str, Any]:
        """The part of a checkpoint that is no variables, as JSON."""
        return {
            "seed": self.seed,
            "rollbacks": self.rollbacks,
            "learning_rates": self.base_learning_rates,
            "epoch_sums": self._epoch_sums,
            "epoch_steps": self._epoch_steps,
        }

    def check_host_state(self, state: Mapping[str, Any]) -> None:
        """Checks that this trainer can continue a checkpoint.

        Raises:
            UserError: the checkpoint is of another seed.
        """
        if state["seed"] != self.seed:
            raise UserError(
                f"--seed={self.seed} differs from the checkpoint's --seed={state['seed']}."
            )

    def set_host_state(self, state: Mapping[str, Any]) -> None:
        """Restores `host_state()`."""
        self._epoch_sums = dict(state["epoch_sums"])
        self._epoch_steps = int(state["epoch_steps"])
        self.set_rollbacks(int(state.get("rollbacks", 0)))
        # The optimizers' variables hold the saved rates, which callbacks may have lowered.
        for group, rate in state.get("learning_rates", {}).items():
            rescale_rate(self.optimizers[group], rate, self.base_learning_rates[group])

    def set_rollbacks(self, count: int) -> None:
        """Sets the number of rollbacks, and with it the stream of random numbers."""
        if count != self.rollbacks:
            self.rollbacks = count
            self.retrace()  # The stream's seed is a constant of the graph.

    def retrace(self) -> None:
        """Drops the traced loop; to be called after a change of the step, such as a constraint."""
        self._loop = self._one_step = None


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)
