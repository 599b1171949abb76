"""GAN: one generator against one discriminator (Goodfellow et al. 2014)."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from gan.data import Spec
from gan.errors import UserError
from gan.interface import interface_of
from gan.losses import Loss
from gan.penalties import gradient_scale, lazy, sharing
from gan.registry import resolve
from gan.schedules import Schedule
from trainers import checks, penalties
from trainers.augmentation import Augment, Augmentation, share
from trainers.base import Batch, Trainer, part
from trainers.networks import check_shapes
from trainers.penalties import Penalty
from trainers.precision import LossScale
from trainers.routes import Routes
from trainers.state import Architecture, Logs


class GAN(Trainer):
    """A GAN with any loss and penalties, conditional or not, packed or not.

    It is conditional if the generator's interface has a label; the shape of the discriminator's
    first input says how many samples are packed.
    """

    groups = {"generator": ("generator",), "discriminator": ("discriminator",)}
    averaged: tuple[str, ...] = ("generator",)

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        loss: str | Loss = "non_saturating",
        penalty: tuple[str | Penalty, ...] = (),
        penalty_every: int = 1,
        generator_penalty: tuple[str | Penalty, ...] = (),
        generator_penalty_every: int = 1,
        n_critic: int = 1,
        augment: str | Augment | None = None,
        augment_p: float | Schedule | None = None,
        augment_target: float | None = None,
        augment_speed_kimg: float = 500.0,
        **options: Any,
    ) -> None:
        """See `Trainer` for the other options.

        Args:
            architecture: makes the generator and the discriminator, with its options filled in.
            spec: description of the data to train on.
            loss: adversarial loss: a name, an import path or a `Loss`.
            penalty: penalties of the discriminator, names, import paths or functions; several are
                added.
            penalty_every: apply penalties every n-th step, n times as strong (lazy, Karras 2020).
            generator_penalty: penalties of the generator, names, import paths or functions; several
                are added.
            generator_penalty_every: apply these every n-th step, n times as strong.
            n_critic: discriminator updates per generator update, each with its own batch.
            augment: augmentation of all that the discriminator is shown: a name, an import path or
                a function; none for none.
            augment_p: probability of the augmentation, 0 to 1, unless augment_target adapts it;
                none is the augmentation's own default, 1 for diffaugment.
            augment_target: adapt the probability, from 0 on, so that the mean sign of the
                discriminator's logits of reals is this (0.6 in ADA); none keeps augment_p.
            augment_speed_kimg: thousands of images in which it could rise from 0 to 1.
            **options: options of `Trainer`.

        Raises:
            UserError: options contradict each other or do not fit the networks.
        """
        if spec.is_translation:
            trainers = "--trainer=cyclegan" + (" or pix2pix" if spec.paired else "")
            raise UserError(
                f"--dataset={spec.name!r} has domains {', '.join(spec.domains)}: it is one for "
                f"{trainers}."
            )
        self.loss_functions = checks.losses(
            resolve("loss", loss) if isinstance(loss, str) else loss
        )
        self.penalties = penalties.made("penalty", penalty)
        self.generator_penalties = penalties.made("generator_penalty", generator_penalty)
        self.generator_penalty_every = generator_penalty_every
        self.penalty_every, self.n_critic = penalty_every, n_critic
        self.augment = resolve("augment", augment) if isinstance(augment, str) else augment
        self.augment_p = share(self.augment, augment_p)
        self.augmentation = Augmentation(
            self.augment,
            spec,
            p=augment_p,
            target=augment_target,
            speed_kimg=augment_speed_kimg,
            loss=self.loss_functions,
        )
        super().__init__(architecture, spec, **options)
        check_shapes(self, "generator", outputs=spec.shape)
        check_shapes(self, "discriminator", inputs=spec.shape, packs=True)
        self.conditional = interface_of(self.networks["generator"]).label is not None
        self.pack = self.networks["discriminator"].inputs[0].shape[-1] // spec.shape[-1]
        local = self.batch_size // self.distribute_strategy.num_replicas_in_sync // self.accumulate
        for wrong, message in (
            (n_critic < 1, f"--n_critic={n_critic}: expected at least 1."),
            (penalty_every < 1, f"--penalty_every={penalty_every}: expected at least 1."),
            (
                generator_penalty_every < 1,
                f"--generator_penalty_every={generator_penalty_every}: expected at least 1.",
            ),
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

    @property
    def images_per_step(self) -> int:
        """Real images per step: each of the n_critic updates has its own batch."""
        return self.batch_size * self.n_critic

    # Which networks each logged term may move.
    routes: ClassVar[Routes] = {
        "loss/generator": ("generator",),
        "loss/discriminator": ("discriminator",),
        "penalty/*": ("discriminator",),
        "penalty/generator/*": ("generator",),
    }

    def train_step(self, batch: Batch) -> Logs:
        """n_critic updates of D, then one of G on D's last fakes (Goodfellow 2014, algorithm 1)."""
        for critic in range(self.n_critic):
            share = {k: part(v, critic, self.n_critic) for k, v in batch.items()}
            with self.tape(once=True) as tape:
                fake = self.generate(share, critic)
            logs = self.update_discriminator(share, fake, critic)
        return logs | self.update_generator(share, fake, tape)

    def update_discriminator(self, batch: Batch, fake: tf.Tensor, critic: int = 0) -> Logs:
        """One update of D on real and generated images, penalties included."""
        real, fake = self.packed(batch["x"]), self.packed(tf.stop_gradient(fake))
        with self.tape(once=True) as tape:
            # D's loss on logits, real before fake.
            real_logits = self.discriminate(real, batch, packed=True)
            fake_logits = self.discriminate(fake, batch, packed=True)
            self.augmentation.observe(real_logits)
            loss = self.loss_functions.discriminator(real_logits, fake_logits)
            # Penalties on D's input gradient, every n-th step n times as strong.
            passes = [(real, real_logits), (fake, fake_logits)]
            terms = self.penalize(real, fake, batch, critic, passes)
            total = tf.add_n([loss, *terms.values()])
        self.minimize(total, "discriminator", tape)
        return {
            "loss/discriminator": loss,
            "accuracy/discriminator": accuracy(real_logits, fake_logits),
            "logits/real": tf.reduce_mean(tf.cast(real_logits, tf.float32)),
            "logits/fake": tf.reduce_mean(tf.cast(fake_logits, tf.float32)),
            **terms,
        }

    def update_generator(self, batch: Batch, fake: tf.Tensor, tape: tf.GradientTape) -> Logs:
        """One update of G against the updated D; `tape` has recorded `fake`, for one loss."""
        with tape:
            loss = self.generator_loss(fake, batch)
            terms = self.penalize_generator(batch, self.n_critic - 1)
            total = tf.add_n([loss, *terms.values()])
        self.minimize(total, "generator", tape)
        return {"loss/generator": loss, **terms}

    def generator_loss(self, fake: tf.Tensor, batch: Batch) -> tf.Tensor:
        """G's loss on images it made; override it for more terms."""
        return self.adversarial_loss(self.discriminate(fake, batch), batch)

    def adversarial_loss(self, fake_logits: tf.Tensor, batch: Batch) -> tf.Tensor:
        """G's adversarial loss by D's logits of the fakes, and of the reals if it is relative."""
        if self.loss_functions.relative:
            return self.loss_functions.generator(self.discriminate(batch["x"], batch), fake_logits)
        return self.loss_functions.generator(fake_logits)

    def penalize(
        self,
        real: tf.Tensor,
        fake: tf.Tensor,
        batch: Batch,
        critic: int = 0,
        passes: Sequence[tuple[tf.Tensor, tf.Tensor]] = (),
    ) -> dict[str, tf.Tensor]:
        """The weighted penalties on packed images by log key, every `penalty_every`-th step.

        Args:
            real: packed real images (B / pack, ...).
            fake: packed generated ones, constants to the penalties.
            batch: the batch they belong to, with its labels.
            critic: number of the update within the step.
            passes: images and D's logits of them, where this tape has them already.
        """
        scale = gradient_scale(self.loss_scales["discriminator"].value)

        def judge(x: tf.Tensor) -> tf.Tensor:
            return self.discriminate(x, batch, packed=True)

        discriminator = sharing(judge, passes)

        def value(i: int) -> tf.Tensor:
            seed = self.rng(f"penalty/{i}/{critic}")
            call = checks.scalar(self.now(self.penalties[i]))
            return lazy(
                self._step,
                self.penalty_every,
                lambda: call(discriminator, real, fake, seed=seed, scale=scale),
            )

        return {f"penalty/{penalties.name(p)}": value(i) for i, p in enumerate(self.penalties)}

    def penalize_generator(self, batch: Batch, critic: int = 0) -> dict[str, tf.Tensor]:
        """The generator's weighted penalties by log key, every `generator_penalty_every`-th step.

        Their inputs are those that `generate(batch, critic)` draws.
        """
        scale = gradient_scale(self.loss_scales["generator"].value)

        def value(i: int) -> tf.Tensor:
            seed = self.rng(f"generator_penalty/{i}/{critic}")
            call = checks.scalar(self.now(self.generator_penalties[i]))
            generator, inputs = self.networks["generator"], self.draw(batch, critic)
            return lazy(
                self._step,
                self.generator_penalty_every,
                lambda: call(generator, inputs, seed=seed, scale=scale),
            )

        names = map(penalties.name, self.generator_penalties)
        return {f"penalty/generator/{name}": value(i) for i, name in enumerate(names)}

    def extra_state(self) -> dict[str, list[tf.Variable]]:
        """The penalties' state, if they have some, and an adaptive p."""
        adaptive = self.augmentation.variables
        state = penalties.state([*self.penalties, *self.generator_penalties])
        return state | ({"augmentation": adaptive} if adaptive else {})

    def _statistics(self) -> list[tuple[tf.Variable, LossScale]]:
        """Adds the penalties' state, and what an adaptive p has observed."""
        ours = {"discriminator": self.penalties, "generator": self.generator_penalties}
        state = [
            (variable, self.loss_scales[group])
            for group, made in ours.items()
            for variables in penalties.state(made).values()
            for variable in variables
            if variable.dtype.is_floating
        ]
        signs = [(v, self.loss_scales["discriminator"]) for v in self.augmentation.observed]
        return super()._statistics() + state + signs

    def _replica_step(self, batch: Batch) -> Logs:
        """Then moves an adaptive p: all replicas now have the mean of what they observed."""
        with self.augmentation.step() as signs:
            logs = super()._replica_step(batch)
        self.augmentation.move(self._step, self.images_per_step)
        return logs | ({"logits/real_sign": tf.add_n(signs) / len(signs)} if signs else {})

    def progress_logs(self) -> Logs:
        """Adds an adaptive p."""
        p = self.augmentation.p
        return super().progress_logs() | (
            {} if p is None else {"progress/augment_p": float(p.numpy())}
        )

    def generate(self, batch: Batch, critic: int = 0) -> tf.Tensor:
        """G(z), or G(z, label), with another z for each of the n_critic updates."""
        return self.training("generator")(self.draw(batch, critic))

    def draw(self, batch: Batch, critic: int = 0) -> Any:
        """The generator's inputs: z, and the batch's labels when conditional."""
        z = self.latents(batch["x"].shape[0], f"z/{critic}")
        return [z, batch["label"]] if self.conditional else z

    def discriminate(
        self,
        x: tf.Tensor,
        batch: Batch,
        packed: bool = False,
        by: Callable[[Any], Any] | None = None,
        alike: str = "",
    ) -> Any:
        """D's logits of images, float32 (B / pack, 1): all that D judges comes through here.

        Args:
            x: images (B, ...), real or generated.
            batch: the batch they belong to, with its labels.
            packed: whether they are packed already.
            by: what reads D's inputs in its place, and gives more than logits, such as its
                features; see `self.critic` of the trainers that have one.
            alike: see `augmented`.
        """
        x = self.augmented(x if packed else self.packed(x), alike)
        return (by or self.training("discriminator"))(self.discriminator_inputs(x, batch))

    def augmented(self, x: tf.Tensor, alike: str = "") -> tf.Tensor:
        """What D is shown in place of packed images, whatever the loss or penalty.

        A penalty's gradient by x, such as R1's, so goes through the augmentation (R3GAN).

        Args:
            x: packed images, real or generated.
            alike: a name; calls with the same one change image i in the same way. By default each
                call is independent of the others.
        """
        if self.augment is None:
            return x
        p = self.now(self.augment_p) if self.augmentation.p is None else self.augmentation.p
        seed = self.rng(f"augment/{alike or self.augmentation.call()}")
        return self.augmentation.apply(self.now(self.augment), x, seed=seed, p=p)

    def discriminator_inputs(self, x: tf.Tensor, batch: Batch) -> Any:
        """What D takes: packed images, and the batch's labels when conditional."""
        return [x, batch["label"]] if self.conditional else x

    def packed(self, x: tf.Tensor) -> tf.Tensor:
        """(B, ..., C) -> (B / pack, ..., C * pack): PacGAN (Lin et al. 2018), section 2."""
        if self.pack == 1:
            return x
        groups = tf.reshape(x, (x.shape[0] // self.pack, self.pack, *x.shape[1:]))
        return tf.concat(tf.unstack(groups, axis=1), axis=-1)


def accuracy(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """D's accuracy: the share of pairs of a real and a fake in which the real's logit is higher.

    It compares pairs, since not every loss separates real from fake at 0: lsgan does at 1/2, and
    the logits of wasserstein and relativistic have no fixed border.

    Args:
        real_logits: logits of any shape.
        fake_logits: logits of the same shape; sample i is compared with sample i.

    Returns:
        float32 scalar in [0, 1]: 1/2 is chance, a tie counts half, a NaN counts as wrong.
    """
    above = tf.cast(real_logits > fake_logits, tf.float32)
    return tf.reduce_mean(0.5 * (above + tf.cast(real_logits >= fake_logits, tf.float32)))
