"""The works' training steps as Keras models with a `train_step` of their own, for `Model.fit`."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from trainers.networks import with_features

softplus = tf.math.softplus
mean = tf.reduce_mean
D_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "non_saturating": lambda r, f: mean(softplus(-r)) + mean(softplus(f)),
    "relativistic": lambda r, f: mean(softplus(f - r)),
    "hinge": lambda r, f: mean(tf.nn.relu(1 - r)) + mean(tf.nn.relu(1 + f)),
    "wasserstein": lambda r, f: mean(f) - mean(r),
    "lsgan": lambda r, f: mean(tf.square(r - 1)) / 2 + mean(tf.square(f)) / 2,
}
# (fake logits, real logits on demand) -> G's loss.
G_LOSSES: dict[str, Callable[[Any, Callable[[], Any]], Any]] = {
    "non_saturating": lambda f, real: mean(softplus(-f)),
    "relativistic": lambda f, real: mean(softplus(real() - f)),
    "hinge": lambda f, real: -mean(f),
    "wasserstein": lambda f, real: -mean(f),
    "lsgan": lambda f, real: mean(tf.square(f - 1)) / 2,
}


def _float(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)


class Training(keras.Model):
    """Networks, an Adam for each group of them, and the moving average of the generators."""

    groups: dict[str, tuple[str, ...]] = {}
    averaged: tuple[str, ...] = ()

    def __init__(self, networks: Mapping[str, keras.Model], values: Mapping[str, str]) -> None:
        super().__init__()
        self.networks, self.values = dict(networks), dict(values)
        self.batch = int(values["batch_size"])
        images = self.batch * int(values["n_critic"])
        self.rate = 1 - math.exp(-math.log(2) * images / 1000 / float(values["ema_half_life_kimg"]))
        self.averages = {name: keras.models.clone_model(networks[name]) for name in self.averaged}
        for name, average in self.averages.items():
            average.set_weights(networks[name].get_weights())
        self.optimizers = {
            group: keras.optimizers.Adam(
                float(values["learning_rate"]), float(values["beta_1"]), float(values["beta_2"])
            )
            for group in self.groups
        }
        for group, optimizer in self.optimizers.items():
            optimizer.build(self.weights_of(group))
        self.trackers = {
            name: keras.metrics.Mean(name=name) for name in ("loss/generator", "loss/discriminator")
        }
        self.seeds = keras.random.SeedGenerator(0)
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What Keras resets at the beginning of an epoch."""
        return list(self.trackers.values())

    def weights_of(self, group: str) -> list[keras.Variable]:
        """What a group's optimizer moves."""
        return [w for name in self.groups[group] for w in self.networks[name].trainable_variables]

    def minimize(self, loss: tf.Tensor, group: str, tape: tf.GradientTape) -> None:
        """A step of the group's networks alone."""
        variables = self.weights_of(group)
        self.optimizers[group].apply(tape.gradient(loss, variables), variables)

    def train_step(self, batch: Any) -> dict[str, Any]:
        """The losses' step, then the averages and the metrics."""
        # `fit` makes a tuple of what it takes for x.
        losses = self.losses_of(batch[0] if type(batch) is tuple and len(batch) == 1 else batch)
        for name, average in self.averages.items():
            for old, new in zip(average.weights, self.networks[name].weights):
                if old.dtype.startswith("float"):
                    old.assign_add(self.rate * (new - old))
        for name, tracker in self.trackers.items():
            tracker.update_state(losses[name])
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def losses_of(self, batch: Any) -> dict[str, tf.Tensor]:
        """A step of all networks; its losses."""
        raise NotImplementedError


class GAN(Training):
    """One G, one D."""

    groups = {"generator": ("generator",), "discriminator": ("discriminator",)}
    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, networks: Mapping[str, keras.Model], values: Mapping[str, str]) -> None:
        super().__init__(networks, values)
        self.d_loss, self.g_loss = D_LOSSES[values["loss"]], G_LOSSES[values["loss"]]
        self.penalties = [p for p in values.get("penalty", "").split(",") if p]
        gradients = {"r1", "r2"} >= set(self.penalties) != set()
        self.every_step = gradients and values["penalty_every"] == "1"
        self.path_mean = tf.Variable(0.0, trainable=False)
        if "generator_penalty" in values:
            g = networks["generator"]
            self.with_w = keras.Model(g.inputs, [g.get_layer("w").output, g.output])

    def generate(self) -> tf.Tensor:
        """Fakes in training."""
        return self.networks["generator"](self.z(), training=True)

    def judge(self, x: tf.Tensor) -> tf.Tensor:
        """Logits in training, float32."""
        return _float(self.networks["discriminator"](x, training=True))

    def z(self) -> tf.Tensor:
        """N(0, I)."""
        return keras.random.normal((self.batch, int(self.values["latent_dim"])), seed=self.seeds)

    def losses_of(self, batch: Any) -> dict[str, tf.Tensor]:
        for real in tf.split(batch, int(self.values["n_critic"])):
            with tf.GradientTape() as tape_g:
                fake = self.generate()
            with tf.GradientTape() as tape_d:
                # At each step R1 and R2 differentiate the loss's own pass.
                with tf.GradientTape(persistent=True) as inner:
                    if self.every_step:
                        inner.watch([real, fake])
                    real_logits, fake_logits = self.judge(real), self.judge(fake)
                loss_d = self.d_loss(real_logits, fake_logits)
                if self.every_step:
                    slopes = {"r1": (real_logits, real), "r2": (fake_logits, fake)}
                    total = loss_d
                    for name in self.penalties:
                        squared = tf.square(inner.gradient(*slopes[name]))
                        squared = tf.reduce_sum(squared, range(1, len(real.shape)))
                        total += float(self.values[f"{name}_gamma"]) / 2 * mean(squared)
                else:
                    total = loss_d + self.penalty(real, fake)
            self.minimize(total, "discriminator", tape_d)
        with tape_g:
            loss_g = self.g_loss(self.judge(fake), lambda: self.judge(real))
            total = loss_g + self.path_length()
        self.minimize(total, "generator", tape_g)
        return {"loss/generator": loss_g, "loss/discriminator": loss_d}

    def every(self, n: int, group: str, function: Callable[[], tf.Tensor]) -> tf.Tensor:
        """The penalty every n-th step, n times as strong."""
        if n == 1:
            return function()
        due = self.optimizers[group].iterations % n == 0
        return tf.cond(due, lambda: n * function(), lambda: 0.0)

    def penalty(self, real: tf.Tensor, fake: tf.Tensor) -> Any:
        """R1, R2 or WGAN-GP's."""
        if not self.penalties:
            return 0.0

        def total() -> tf.Tensor:
            return tf.add_n([self.term(name, real, fake) for name in self.penalties])

        return self.every(int(self.values["penalty_every"]), "discriminator", total)

    def term(self, name: str, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        """One penalty."""
        fake = _float(tf.stop_gradient(fake))
        if name == "wgan_gp":
            shape = (real.shape[0], *[1] * (len(real.shape) - 1))
            alpha = keras.random.uniform(shape, seed=self.seeds)
            norm = tf.sqrt(self.slopes(alpha * real + (1 - alpha) * fake) + 1e-12)
            return float(self.values["gp_lambda"]) * mean(tf.square(norm - 1))
        slopes = self.slopes(real if name == "r1" else fake)
        return float(self.values[f"{name}_gamma"]) / 2 * mean(slopes)

    def slopes(self, x: tf.Tensor) -> tf.Tensor:
        """||grad_x D(x)||^2 of each sample."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = self.judge(x)
        return tf.reduce_sum(tf.square(tape.gradient(logits, x)), range(1, len(x.shape)))

    def path_length(self) -> Any:
        """StyleGAN2's, of half a batch."""
        if "generator_penalty" not in self.values:
            return 0.0

        def term() -> tf.Tensor:
            z = self.z()[: self.batch // 2]
            with tf.GradientTape() as tape:
                tape.watch(z)
                w, image = self.with_w(z, training=True)
                y = keras.random.normal(image.shape, seed=self.seeds)
                y /= math.sqrt(image.shape[1] * image.shape[2])
                total = tf.reduce_sum(_float(image) * y)
            squared = tf.reduce_sum(tf.square(_float(tape.gradient(total, w))), -1)
            lengths = tf.sqrt(mean(tf.reshape(squared, (z.shape[0], -1)), -1) + 1e-20)
            self.path_mean.assign_add(0.01 * (mean(lengths) - self.path_mean))
            weight = float(self.values["path_length_weight"])
            return weight * mean(tf.square(lengths - tf.stop_gradient(self.path_mean)))

        return self.every(int(self.values["generator_penalty_every"]), "generator", term)


class VAEGAN(GAN):
    """Larsen et al. 2016: E, G and D from one forward pass."""

    groups = {"encoder": ("encoder",), **GAN.groups}
    averaged = ("generator", "encoder")

    def __init__(self, networks: Mapping[str, keras.Model], values: Mapping[str, str]) -> None:
        super().__init__(networks, values)
        self.critic = with_features(networks["discriminator"])

    def losses_of(self, batch: Any) -> dict[str, tf.Tensor]:
        x = batch
        e, g = self.networks["encoder"], self.networks["generator"]
        with tf.GradientTape(persistent=True) as tape:
            mu, log_variance = tf.split(_float(e(x, training=True)), 2, -1)
            noise = keras.random.normal(mu.shape, seed=self.seeds)
            rebuilt = g(mu + tf.exp(0.5 * log_variance) * noise, training=True)
            kl = tf.reduce_sum(tf.exp(log_variance) + mu**2 - 1 - log_variance) / 2 / self.batch
            *_, real_features, real_logits = self.critic(x, training=True)
            *_, rebuilt_features, rebuilt_logits = self.critic(rebuilt, training=True)
            distance = tf.nn.l2_loss(_float(real_features - rebuilt_features)) / self.batch
            loss_e = kl + distance
            loss_d, game = self.penalty(x, rebuilt), 0.0
            for logits in (rebuilt_logits, self.judge(self.generate())):
                game += self.g_loss(_float(logits), lambda: _float(real_logits))
                loss_d += self.d_loss(_float(real_logits), _float(logits))
            loss_g = float(self.values["gamma"]) * distance + game
        losses = dict(zip(self.groups, (loss_e, loss_g, loss_d)))
        for group, loss in losses.items():
            self.minimize(loss, group, tape)
        return {f"loss/{group}": loss for group, loss in losses.items()}


class CycleGAN(Training):
    """Two translators, two discriminators, pools of past fakes."""

    groups = {
        "generator": ("generator_ab", "generator_ba"),
        "discriminator": ("discriminator_a", "discriminator_b"),
    }
    averaged = ("generator_ab", "generator_ba")

    def __init__(self, networks: Mapping[str, keras.Model], values: Mapping[str, str]) -> None:
        super().__init__(networks, values)
        shape = networks["generator_ab"].output.shape[1:]
        size = int(values["pool_size"])
        self.pools = [tf.Variable(tf.zeros((size, *shape)), trainable=False) for _ in "ab"]

    def exchange(self, pool: tf.Variable, fakes: tf.Tensor) -> tf.Tensor:
        """Present fakes, or past ones in their place."""
        size, count = pool.shape[0], self.optimizers["generator"].iterations - 1
        fakes = _float(fakes)
        assert fakes.shape[0] == 1  # as in the paper
        swap, place = tf.unstack(keras.random.uniform((2,), seed=self.seeds))
        full = count >= size
        slot = tf.where(full, tf.cast(place * size, tf.int32), tf.cast(count, tf.int32))
        take = full & (swap < 0.5)
        older = tf.gather(pool, slot)  # Without reading the rest of it.
        shown = tf.where(take, older, fakes[0])
        stored = tf.where(take | ~full, fakes[0], older)
        pool.scatter_nd_update([[slot]], [stored])
        return shown[None]

    def losses_of(self, batch: Any) -> dict[str, tf.Tensor]:
        a, b = batch
        g_ab, g_ba, d_a, d_b = (
            lambda x, network=network: _float(network(x, training=True))
            for network in self.networks.values()
        )
        d_loss, g_loss = D_LOSSES[self.values["loss"]], G_LOSSES[self.values["loss"]]
        cycle_lambda = float(self.values["cycle_lambda"])

        def l1(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return mean(tf.abs(x - y))

        with tf.GradientTape() as tape:
            fake_b, fake_a = g_ab(a), g_ba(b)
            loss_g = g_loss(d_b(fake_b), lambda: 0) + g_loss(d_a(fake_a), lambda: 0)
            loss_g += cycle_lambda * (l1(g_ba(fake_b), a) + l1(g_ab(fake_a), b))
            identity = l1(g_ab(b), b) + l1(g_ba(a), a)
            loss_g += cycle_lambda * float(self.values["identity_lambda"]) * identity
        self.minimize(loss_g, "generator", tape)
        past_a, past_b = (
            self.exchange(pool, fake) for pool, fake in zip(self.pools, (fake_a, fake_b))
        )
        with tf.GradientTape() as tape:
            loss_d = d_loss(d_a(a), d_a(past_a)) + d_loss(d_b(b), d_b(past_b))
        self.minimize(loss_d, "discriminator", tape)
        return {"loss/generator": loss_g, "loss/discriminator": loss_d}


TRAININGS: dict[str, type[Training]] = {"gan": GAN, "vae_gan": VAEGAN, "cyclegan": CycleGAN}
