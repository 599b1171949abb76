"""Distillation: a small generator learns from a trained one, beside a discriminator.

The student draws what the teacher draws for the same z (Aguinaldo et al., 2019, arXiv:1902.00159),
as the discriminator's features see it (Larsen et al., 2016, arXiv:1512.09300, equation 7), and goes
on playing against the discriminator, which keeps its samples sharp and varied.
"""

import functools
import os
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from gan.compression.fake_quant import FakeQuantized
from gan.data import Spec
from gan.errors import UserError
from gan.generators import load_model
from gan.sampling import KerasSampler
from trainers import networks
from trainers.base import Batch
from trainers.gan import GAN
from trainers.state import Architecture, Logs


class Distillation(GAN):
    """A GAN whose generator is a student.

    Its networks are `generator`, the student; `discriminator`; and `teacher`, which stays as it is.
    """

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        teacher: str | os.PathLike[str] | keras.Model = "",
        output_weight: float = 10.0,
        feature_weight: float = 10.0,
        adversarial_weight: float = 1.0,
        quantization_aware: bool = False,
        **options: Any,
    ) -> None:
        """See `GAN` and `Trainer` for the other options.

        Args:
            architecture: makes the student and the discriminator, its options bound.
            spec: of the data to train on.
            teacher: file of the trained generator, .keras, or the generator itself.
            output_weight: of the mean absolute difference between the student's and the teacher's
                images for the same z.
            feature_weight: of the same difference between the discriminator's features of them,
                each layer's relative to the teacher's.
            adversarial_weight: of the generator's loss; 0 leaves the discriminator as it is.
            quantization_aware: round the student's weights and activations in training as its
                int8 file does.
            **options: of `GAN`.

        Raises:
            UserError: no teacher, or one with other inputs or images than the student.
        """

        @functools.wraps(architecture)
        def trio(spec: Spec) -> Any:
            pair = networks.checked(architecture)(spec)
            return _Networks(pair.generator, pair.discriminator, _load(teacher))

        super().__init__(trio, spec, **options)
        for name, value in (
            ("output_weight", output_weight),
            ("feature_weight", feature_weight),
            ("adversarial_weight", adversarial_weight),
        ):
            if value < 0:
                raise UserError(f"--{name}={value}: expected at least 0.")
        if self.n_critic > 1:
            raise UserError(f"--n_critic={self.n_critic}: distillation takes 1.")
        self.output_weight = output_weight
        self.feature_weight = feature_weight
        self.adversarial_weight = adversarial_weight
        self.frozen = () if adversarial_weight else ("discriminator",)
        student = self.networks["generator"]
        _check_alike(student, self.networks["teacher"])
        self.student = FakeQuantized(student) if quantization_aware else student
        self.critic = with_features(self.networks["discriminator"])

    def train_step(self, batch: Batch) -> Logs:
        """One update of D, if it plays along, then one of the student."""
        inputs = self.draw(batch, 0)
        plays = self.adversarial_weight > 0
        with tf.GradientTape() as tape:
            # The student and its teacher draw for the same z.
            fake = self.student(inputs, training=True)
            with tape.stop_recording():
                target = self.networks["teacher"](inputs, training=False)
                logs = self.update_discriminator(batch, fake, 0) if plays else {}
                target_features, _ = self.criticize(target, batch)
            features, fake_logits = self.criticize(fake, batch)
            # What both draw, pixel by pixel and as D sees it.
            output = tf.reduce_mean(tf.abs(tf.cast(fake, tf.float32) - tf.cast(target, tf.float32)))
            feature = tf.add_n([_relative(f, t) for f, t in zip(features, target_features)])
            feature /= len(features)
            loss = self.output_weight * output + self.feature_weight * feature
            # The generator's own loss: the updated D on the fakes.
            if plays:
                relative = self.loss_functions.generator_needs_real
                real_logits = self.discriminate(batch["x"], batch) if relative else fake_logits
                adversarial = self.loss_functions.generator(real_logits, fake_logits)
                logs["adversarial"] = adversarial
                loss += self.adversarial_weight * adversarial
        self.minimize(loss, "generator", tape)
        return {"generator_loss": loss, "output_l1": output, "feature_l1": feature} | logs

    def criticize(self, x: tf.Tensor, batch: Batch) -> tuple[list[tf.Tensor], tf.Tensor]:
        """D's hidden features of images, and its logits."""
        x = self.packed(x)
        inputs = [x, batch["label"]] if self.conditional else x
        *features, logits = self.critic(inputs, training=self.adversarial_weight > 0)
        return features, logits


class _Networks(NamedTuple):
    generator: keras.Model
    discriminator: keras.Model
    teacher: keras.Model


def with_features(discriminator: keras.Model) -> keras.Model:
    """A discriminator that gives the outputs of its hidden activations too, logits last.

    Raises:
        UserError: it has no activation layer.
    """
    kinds = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)
    hidden = [layer.output for layer in discriminator.layers if isinstance(layer, kinds)]
    if not hidden:
        raise UserError(
            f"{discriminator.name!r} has no activation layers whose features a student could "
            "match; take another --architecture."
        )
    return keras.Model(discriminator.inputs, [*hidden, discriminator.output])


def _relative(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean |features - target| as a share of mean |target|."""
    features, target = tf.cast(features, tf.float32), tf.cast(target, tf.float32)
    size = tf.reduce_mean(tf.abs(target))
    return tf.reduce_mean(tf.abs(features - target)) / (size + 1e-6)


def _load(teacher: str | os.PathLike[str] | keras.Model) -> keras.Model:
    if not isinstance(teacher, keras.Model):
        if not teacher:
            raise UserError(
                "--teacher is missing: the .keras file of the generator to learn from, such as "
                "runs/first/generator.keras."
            )
        sampler = load_model(teacher, flag="teacher")
        if not isinstance(sampler, KerasSampler):
            raise UserError(f"--teacher={teacher!r}: expected a file that ends in .keras.")
        teacher = sampler.model
    teacher.trainable = False
    return teacher


def _check_alike(student: keras.Model, teacher: keras.Model) -> None:
    for what in ("input", "output"):
        mine, its = ([tuple(t.shape) for t in getattr(m, f"{what}s")] for m in (student, teacher))
        if mine != its:
            raise UserError(f"the teacher has {what}s of shapes {its}, the student {mine}.")


TRAINER = Distillation
