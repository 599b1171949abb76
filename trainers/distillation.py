"""Distillation: a small generator learns from a trained one and against a discriminator.

The student's images should equal the teacher's for the same z (Aguinaldo et al., 2019,
arXiv:1902.00159), also by the discriminator's features (Larsen et al., 2016, arXiv:1512.09300,
equation 7). The adversarial loss keeps them sharp and varied.
"""

import functools
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
    """A GAN whose generator is the student.

    The networks are `generator` (the student), `discriminator` and `teacher`, which is not trained.
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
            architecture: makes the student and the discriminator, with its options filled in.
            spec: description of the data to train on.
            teacher: .keras file of the trained generator, or the generator itself.
            output_weight: weight of the mean absolute difference between the student's and the
                teacher's images for the same z.
            feature_weight: weight of the mean absolute difference between the discriminator's
                features of the student's and the teacher's images, relative to the teacher's in
                each layer.
            adversarial_weight: weight of the student's adversarial loss; with 0 the discriminator
                is not trained either.
            quantization_aware: round the student's weights and activations in training as its
                int8 file does.
            **options: options of `GAN`.

        Raises:
            UserError: there is no teacher, or its inputs or images differ from the student's.
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
        if self.augmentation.p is not None and not adversarial_weight:
            raise UserError(
                "--augment_target with --adversarial_weight=0: p adapts to how a discriminator "
                "learns, and this one does not."
            )
        student = self.networks["generator"]
        _check_alike(student, self.networks["teacher"])
        self.student = FakeQuantized(student) if quantization_aware else student
        critic = with_features(self.networks["discriminator"])
        self.critic = functools.partial(critic, training=adversarial_weight > 0)

    def build_networks(self) -> dict[str, keras.Model]:
        """The student and the discriminator of the architecture, and the teacher."""
        return {**super().build_networks(), "teacher": _load(self._teacher)}

    # Which networks each logged term may move: D is moved by the game alone, the teacher by none.
    routes = {**GAN.routes, "loss/generator/*": ("generator",)}

    def train_step(self, batch: Batch) -> Logs:
        """One update of D, if the game counts, then one of the student."""
        inputs = self.draw(batch)
        adversarial = self.adversarial_weight > 0
        with self.tape() as tape:
            # The student and the teacher draw images for the same z.
            fake = self.student(inputs, training=True)
        target = self.networks["teacher"](inputs, training=False)
        logs = self.update_discriminator(batch, fake) if adversarial else {}
        # D sees both through the same augmentation, if there is one.
        look = functools.partial(self.discriminate, batch=batch, by=self.critic, alike="features")
        *target_features, _ = look(target)
        with tape:
            *features, fake_logits = look(fake)
            # The difference of their images, by pixels and by D's features.
            output = tf.reduce_mean(tf.abs(tf.cast(fake, tf.float32) - tf.cast(target, tf.float32)))
            feature = tf.add_n([_relative(f, t) for f, t in zip(features, target_features)])
            feature /= len(features)
            loss = self.output_weight * output + self.feature_weight * feature
            # The adversarial loss, by the updated D on the fakes.
            if adversarial:
                game = self.adversarial_loss(fake_logits, batch)
                logs["loss/generator/adversarial"] = game
                loss += self.adversarial_weight * game
            penalties = self.penalize_generator(batch)
            loss = tf.add_n([loss, *penalties.values()])
        self.minimize(loss, "generator", tape)
        terms = {"loss/generator/output_l1": output, "loss/generator/feature_l1": feature}
        return {"loss/generator": loss} | terms | logs | penalties

    def discriminator_inputs(self, x: tf.Tensor, batch: Batch) -> Any:
        """What D takes; that of an acgan sees no labels."""
        return [x, batch["label"]] if len(self.networks["discriminator"].inputs) > 1 else x


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
