"""GAN: one generator against one discriminator (Goodfellow et al. 2014)."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from gan.data import Spec
from gan.errors import UserError
from gan.losses import Loss
from gan.penalties import check_weights, gradient_scale, lazy
from gan.registry import resolve
from trainers import checks
from trainers.base import Batch, Trainer, part
from trainers.networks import check_shapes
from trainers.state import Architecture, Logs

Penalty = Callable[..., tf.Tensor]


class GAN(Trainer):
    """Any loss, any penalties, conditional or not, n critics, packed or not.

    Whether it is conditional and how many samples are packed is read off the networks' inputs.
    """

    groups = {"generator": ("generator",), "discriminator": ("discriminator",)}
    averaged = ("generator",)

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        loss: str | Loss = "non_saturating",
        penalty: tuple[str | Penalty, ...] = (),
        penalty_every: int = 1,
        n_critic: int = 1,
        **options: Any,
    ) -> None:
        """See `Trainer` for the other options.

        Args:
            architecture: makes the generator and the discriminator, its options bound.
            spec: of the data to train on.
            loss: name, import path or `Loss`.
            penalty: names, import paths or functions; several add up.
            penalty_every: apply penalties every n-th step, n times as strong (lazy, Karras 2020).
            n_critic: discriminator updates a generator update, each on its own batch.
            **options: of `Trainer`.

        Raises:
            UserError: options that contradict each other or the networks.
        """
        if spec.is_translation:
            raise UserError(
                f"--dataset={spec.name!r} has domains {', '.join(spec.domains)}: it is one for "
                "--trainer=cyclegan."
            )
        super().__init__(architecture, spec, **options)
        self.loss_functions = checks.losses(
            resolve("loss", loss) if isinstance(loss, str) else loss
        )
        self.penalties: list[Penalty] = [
            resolve("penalty", p) if isinstance(p, str) else p for p in penalty
        ]
        for function in self.penalties:
            check_weights(getattr(function, "keywords", {}))
        self.penalty_every = penalty_every
        self.n_critic = n_critic
        check_shapes(self, "generator", outputs=spec.shape)
        check_shapes(self, "discriminator", inputs=spec.shape, packs=True)
        self.conditional = len(self.networks["generator"].inputs) > 1
        self.pack = self.networks["discriminator"].inputs[0].shape[-1] // spec.shape[-1]
        local = self.batch_size // self.distribute_strategy.num_replicas_in_sync // self.accumulate
        labels = [_name(p) for p in self.penalties]
        for wrong, message in (
            (
                len(set(labels)) < len(labels),
                f"--penalty={','.join(labels)}: each can be given once.",
            ),
            (n_critic < 1, f"--n_critic={n_critic}: expected at least 1."),
            (penalty_every < 1, f"--penalty_every={penalty_every}: expected at least 1."),
            (
                n_critic > 1 and self.accumulate > 1,
                f"--n_critic={n_critic} with --accumulate={self.accumulate}: the critic's updates "
                "come one after another, so at most one of the two can exceed 1.",
            ),
            (
                self.pack > 1 and self.conditional,
                f"--pack={self.pack} with --conditional: packed samples have no common label.",
            ),
            (
                local % self.pack,
                f"--pack={self.pack} does not divide a replica's micro-batch of {local}.",
            ),
        ):
            if wrong:
                raise UserError(message)

    def build_networks(self) -> dict[str, keras.Model]:
        """One of each."""
        return self.architecture(self.spec)._asdict()

    @property
    def images_per_step(self) -> int:
        """Each critic update has a batch of its own."""
        return self.batch_size * self.n_critic

    def train_step(self, batch: Batch) -> Logs:
        """n_critic discriminator updates, then one of the generator (Goodfellow 2014, alg. 1)."""
        critics = [
            {k: part(v, i, self.n_critic) for k, v in batch.items()} for i in range(self.n_critic)
        ]

        # The first n_critic - 1 updates of D see fakes that no generator update needs.
        for i, own in enumerate(critics[:-1]):
            self.update_discriminator(own, self.generate(own, i), i)

        # The last one shares its fakes with the generator's update: one forward pass of G.
        own, last = critics[-1], self.n_critic - 1
        with tf.GradientTape() as tape:
            fake = self.generate(own, last)
            with tape.stop_recording():
                logs = self.update_discriminator(own, fake, last)
            # G's loss: the updated D on the fakes, against the reals where it is relative.
            fake_logits = self.discriminate(fake, own)
            relative = self.loss_functions.generator_needs_real
            real_logits = self.discriminate(own["x"], own) if relative else fake_logits
            loss = self.loss_functions.generator(real_logits, fake_logits)
        self.minimize(loss, "generator", tape)
        return {"generator_loss": loss} | logs

    def update_discriminator(self, batch: Batch, fake: tf.Tensor, critic: int) -> Logs:
        """One update of D on real and generated images, penalties included."""
        real, fake = self.packed(batch["x"]), self.packed(tf.stop_gradient(fake))
        with tf.GradientTape() as tape:
            # D's loss on logits, real before fake.
            real_logits = self.discriminate(real, batch, packed=True)
            fake_logits = self.discriminate(fake, batch, packed=True)
            loss = self.loss_functions.discriminator(real_logits, fake_logits)
            # Penalties on D's input gradient, every n-th step n times as strong.
            penalties = {
                _name(penalty): self.penalize(penalty, real, fake, batch, f"penalty/{i}/{critic}")
                for i, penalty in enumerate(self.penalties)
            }
            total = tf.add_n([loss, *penalties.values()])
        self.minimize(total, "discriminator", tape)
        return {
            "discriminator_loss": loss,
            "discriminator_accuracy": accuracy(real_logits, fake_logits),
            "real_logits": tf.reduce_mean(tf.cast(real_logits, tf.float32)),
            "fake_logits": tf.reduce_mean(tf.cast(fake_logits, tf.float32)),
            **penalties,
        }

    def penalize(
        self, penalty: Penalty, real: tf.Tensor, fake: tf.Tensor, batch: Batch, name: str
    ) -> tf.Tensor:
        """A penalty's weighted value on packed images, lazily."""
        seed = self.rng(name)
        scale = gradient_scale(self.loss_scales["discriminator"].value)

        def value() -> tf.Tensor:
            def discriminator(x: tf.Tensor) -> tf.Tensor:
                return self.discriminate(x, batch, packed=True)

            return checks.scalar(penalty)(discriminator, real, fake, seed=seed, scale=scale)

        return lazy(self._step, self.penalty_every, value)

    def generate(self, batch: Batch, critic: int) -> tf.Tensor:
        """G(z), or G(z, label)."""
        return self.networks["generator"](self.draw(batch, critic), training=True)

    def draw(self, batch: Batch, critic: int) -> Any:
        """The generator's inputs: z ~ N(0, I), and the batch's labels when conditional."""
        z = self.normal((batch["x"].shape[0], self.latent_dim), f"z/{critic}")
        return [z, batch["label"]] if self.conditional else z

    def discriminate(self, x: tf.Tensor, batch: Batch, packed: bool = False) -> tf.Tensor:
        """D's logits, float32 (B / pack, 1)."""
        x = x if packed else self.packed(x)
        inputs = [x, batch["label"]] if self.conditional else x
        return self.networks["discriminator"](inputs, training=True)

    def packed(self, x: tf.Tensor) -> tf.Tensor:
        """(B, ..., C) -> (B / pack, ..., C * pack): PacGAN (Lin et al. 2018), section 2."""
        if self.pack == 1:
            return x
        groups = tf.reshape(x, (x.shape[0] // self.pack, self.pack, *x.shape[1:]))
        return tf.concat(tf.unstack(groups, axis=1), axis=-1)


def accuracy(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """How well D tells real from fake: the share of pairs in which it rates the real one higher.

    Pairs rather than signs, since 0 divides real from fake under some losses only: lsgan's border
    is 1/2, and wasserstein's and the relativistic critic's logits mean something relative to each
    other alone.

    Args:
        real_logits: of any shape.
        fake_logits: of the same shape; sample i meets sample i.

    Returns:
        float32 scalar in [0, 1]: 1/2 is chance, a tie counts half, a NaN is no success.
    """
    above = tf.cast(real_logits > fake_logits, tf.float32)
    return tf.reduce_mean(0.5 * (above + tf.cast(real_logits >= fake_logits, tf.float32)))


def _name(penalty: Penalty) -> str:
    function = getattr(penalty, "func", penalty)
    return getattr(function, "__name__", type(function).__name__)


TRAINER = GAN
