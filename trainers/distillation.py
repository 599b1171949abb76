"""Distillation: a small generator learns from a trained one, beside a discriminator.

The student draws what the teacher draws for the same z (Aguinaldo et al., 2019, arXiv:1902.00159),
as the discriminator's features see it (Larsen et al., 2016, arXiv:1512.09300, equation 7), and goes
on playing against the discriminator, which keeps its samples sharp and varied.
"""

import os
from typing import Any

import keras
import tensorflow as tf

from gan.compression.students.fake_quant import FakeQuantized
from gan.data import Spec
from gan.errors import UserError
from gan.generators import load_keras
from trainers.base import Batch
from trainers.gan import GAN
from trainers.networks import with_features
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
        teacher: str | os.PathLike[str] | keras.Model | None = None,
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
        for name, value in (
            ("output_weight", output_weight),
            ("feature_weight", feature_weight),
            ("adversarial_weight", adversarial_weight),
        ):
            if value < 0:
                raise UserError(f"--{name}={value}: expected at least 0.")
        self.output_weight, self.feature_weight = output_weight, feature_weight
        self.adversarial_weight = adversarial_weight
        self.frozen = () if adversarial_weight else ("discriminator",)
        self._teacher = teacher
        super().__init__(architecture, spec, **options)
        if self.n_critic > 1:
            raise UserError(f"--n_critic={self.n_critic}: distillation takes 1.")
        student = self.networks["generator"]
        _check_alike(student, self.networks["teacher"])
        self.student = FakeQuantized(student) if quantization_aware else student
        self.critic = with_features(self.networks["discriminator"])

    def build_networks(self) -> dict[str, keras.Model]:
        """The student and the discriminator of the architecture, and the teacher."""
        return {**super().build_networks(), "teacher": _load(self._teacher)}

    def train_step(self, batch: Batch) -> Logs:
        """One update of D, if it plays along, then one of the student."""
        inputs = self.draw(batch)
        plays = self.adversarial_weight > 0
        with self.tape() as tape:
            # The student and its teacher draw for the same z.
            fake = self.student(inputs, training=True)
        target = self.networks["teacher"](inputs, training=False)
        logs = self.update_discriminator(batch, fake) if plays else {}
        target_features, _ = self.criticize(target, batch)
        with tape:
            features, fake_logits = self.criticize(fake, batch)
            # What both draw, pixel by pixel and as D sees it.
            output = tf.reduce_mean(tf.abs(tf.cast(fake, tf.float32) - tf.cast(target, tf.float32)))
            feature = tf.add_n([_relative(f, t) for f, t in zip(features, target_features)])
            feature /= len(features)
            loss = self.output_weight * output + self.feature_weight * feature
            # The generator's own loss: the updated D on the fakes.
            if plays:
                adversarial = self.adversarial_loss(fake_logits, batch)
                logs["loss/generator/adversarial"] = adversarial
                loss += self.adversarial_weight * adversarial
        self.minimize(loss, "generator", tape)
        terms = {"loss/generator/output_l1": output, "loss/generator/feature_l1": feature}
        return {"loss/generator": loss} | terms | logs

    def criticize(self, x: tf.Tensor, batch: Batch) -> tuple[list[tf.Tensor], tf.Tensor]:
        """D's hidden features of images, and its logits."""
        x = self.packed(x)
        inputs = [x, batch["label"]] if self.conditional else x
        *features, logits = self.critic(inputs, training=self.adversarial_weight > 0)
        return features, logits


def _relative(features: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean |features - target| as a share of mean |target|."""
    features, target = tf.cast(features, tf.float32), tf.cast(target, tf.float32)
    size = tf.reduce_mean(tf.abs(target))
    return tf.reduce_mean(tf.abs(features - target)) / (size + 1e-6)


def _load(teacher: str | os.PathLike[str] | keras.Model | None) -> keras.Model:
    if teacher is None:
        raise UserError(
            "--teacher is missing: the .keras file of the generator to learn from, such as "
            "runs/first/generator.keras."
        )
    keep = isinstance(teacher, keras.Model)
    model: keras.Model = teacher if keep else load_keras(teacher, flag="teacher")
    model.trainable = False
    return model


def _check_alike(student: keras.Model, teacher: keras.Model) -> None:
    for what in ("input", "output"):
        mine, its = ([tuple(t.shape) for t in getattr(m, f"{what}s")] for m in (student, teacher))
        if mine != its:
            raise UserError(f"the teacher has {what}s of shapes {its}, the student {mine}.")
