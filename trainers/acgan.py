"""ACGAN: G sees labels, D does not, and a classifier on D's features reads them (Odena 2017)."""

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from gan import origin
from gan.errors import CodeError, UserError
from gan.interface import declared, infer
from layers import Dense, functions
from trainers import networks
from trainers.base import Batch
from trainers.gan import GAN, accuracy
from trainers.state import Architecture, Logs


class ACGAN(GAN):
    """A conditional G, a D that sees no labels, and a classifier on D's features, arXiv:1610.09585.

    The paper teaches the classifier on fakes too (`class_on_fakes`). By default only reals do: an
    early fake shows no class, and what D would learn of it is how G marks it. Where an image can
    have several classes, the classifier says of each whether it has it.
    """

    groups = {"generator": ("generator",), "discriminator": ("discriminator", "classifier")}

    def __init__(
        self, *data: Any, class_lambda: float = 1.0, class_on_fakes: bool = False, **options: Any
    ) -> None:
        """See `GAN` for the other options.

        Args:
            *data: architecture and spec, as of `GAN`.
            class_lambda: weight of the classes' cross-entropy, in G's and D's loss.
            class_on_fakes: whether D learns the classes of fakes too, as in the paper.
            **options: options of `GAN`.

        Raises:
            UserError: a weight below 0, or a generator without labels.
            CodeError: the architecture has no option `conditional`.
        """
        if not class_lambda >= 0:
            raise UserError(f"--class_lambda={class_lambda}: expected at least 0.")
        self.class_lambda, self.class_on_fakes = class_lambda, class_on_fakes
        super().__init__(*data, **options)
        d, classifier = self.networks["discriminator"], self.networks["classifier"]
        # D's logits (B, 1) and those of the classes (B, classes), both float32.
        both = keras.Model(d.inputs, [d.output, classifier(networks.features_of(d))])
        self.critic = functools.partial(both, training=True)

    def build_networks(self) -> dict[str, keras.Model]:
        """The architecture's G with labels and its D without, and the classifier."""
        generator = super().build_networks()["generator"]
        if (declared(generator) or infer(generator, self.spec)).label is None:
            raise UserError("acgan needs a generator that sees labels: add --conditional.")
        without = networks.by_name(_without_labels(self.architecture)(self.spec))
        discriminator = without["discriminator"]
        x = networks.features_of(discriminator)
        features = keras.Input(x.shape[1:], dtype=x.dtype, name="features")
        codes = self.spec.class_codes
        count = len(codes[0]) if codes else self.spec.num_classes
        logits = Dense(count, dtype="float32")(features)
        classifier = keras.Model(features, logits, name="classifier")
        return {"generator": generator, "discriminator": discriminator, "classifier": classifier}

    # Which networks each logged term may move: the game never moves the classifier.
    routes = {
        **GAN.routes,
        "loss/discriminator": ("discriminator", "classifier"),
        "loss/discriminator/adversarial": ("discriminator",),
        "loss/discriminator/class": ("discriminator", "classifier"),
        "loss/generator/adversarial": ("generator",),
        "loss/generator/class": ("generator",),
    }

    def update_discriminator(self, batch: Batch, fake: tf.Tensor, critic: int = 0) -> Logs:
        """One update of D and the classifier on real and generated images: L_S and L_C."""
        real, fake, label = batch["x"], tf.stop_gradient(fake), batch["label"]
        codes = self.spec.class_codes
        with self.tape(once=True) as tape:
            real_logits, real_classes = self.discriminate(real, batch, by=self.critic)
            fake_logits, fake_classes = self.discriminate(fake, batch, by=self.critic)
            self.augmentation.observe(real_logits)
            # L_S, which images are real (equation 2), with the penalties.
            game = self.loss_functions.discriminator(real_logits, fake_logits)
            passes = [(real, real_logits), (fake, fake_logits)]
            penalties = self.penalize(real, fake, batch, critic, passes)
            # L_C, which class they are of (equation 3).
            miss = cross_entropy(label, real_classes, codes)
            if self.class_on_fakes:
                miss += cross_entropy(label, fake_classes, codes)
            loss = tf.add_n([game, self.class_lambda * miss, *penalties.values()])
        self.minimize(loss, "discriminator", tape)
        return {
            "loss/discriminator": loss,
            "loss/discriminator/adversarial": game,
            "loss/discriminator/class": miss,
            "accuracy/discriminator": accuracy(real_logits, fake_logits),
            "accuracy/classifier": share_right(label, real_classes, codes),
            "accuracy/classifier_fake": share_right(label, fake_classes, codes),
            "logits/real": tf.reduce_mean(real_logits),
            "logits/fake": tf.reduce_mean(fake_logits),
            **penalties,
        }

    def update_generator(self, batch: Batch, fake: tf.Tensor, tape: tf.GradientTape) -> Logs:
        """One update of G by the updated D, L_C - L_S: images look real, and of their class."""
        with tape:
            logits, classes = self.discriminate(fake, batch, by=self.critic)
            game = self.adversarial_loss(logits, batch)
            miss = cross_entropy(batch["label"], classes, self.spec.class_codes)
            terms = self.penalize_generator(batch, self.n_critic - 1)
            loss = tf.add_n([game, self.class_lambda * miss, *terms.values()])
        self.minimize(loss, "generator", tape)
        return {
            "loss/generator": loss,
            "loss/generator/adversarial": game,
            "loss/generator/class": miss,
            **terms,
        }

    def discriminator_inputs(self, x: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Images alone: D sees no labels."""
        del batch
        return x


Codes = Sequence[Sequence[int]] | None


def cross_entropy(label: tf.Tensor, logits: tf.Tensor, codes: Codes = None) -> tf.Tensor:
    """-E[log p(label)], float32 scalar.

    Args:
        label: int32 (B,).
        logits: (B, classes), of a softmax; with `codes` of a sigmoid each, and p is the product.
        codes: of combinations, each label's row of 0 and 1 for the single classes.
    """
    logits = tf.cast(logits, tf.float32)
    if codes is None:
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
    else:
        target = functions.rows(label, codes)
        each = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(target, logits), axis=-1)
    return tf.reduce_mean(each)


def share_right(label: tf.Tensor, logits: tf.Tensor, codes: Codes = None) -> tf.Tensor:
    """The share of images whose class, or each of whose classes, is told; float32 in [0, 1]."""
    if codes is None:
        right = tf.argmax(logits, axis=-1, output_type=label.dtype) == label
    else:
        right = tf.reduce_all((logits > 0) == (functions.rows(label, codes) > 0), axis=-1)
    return tf.reduce_mean(tf.cast(right, tf.float32))


def _without_labels(architecture: Architecture) -> Architecture:
    """An architecture whose networks see no labels, whatever its option `conditional` was."""
    function: Any = getattr(architecture, "__wrapped__", architecture)
    if "conditional" not in inspect.signature(function).parameters:
        raise CodeError(
            f"{origin.described(function)}: acgan builds a generator with labels and a "
            "discriminator without; give the architecture an option conditional: bool = False."
        )
    plain: Architecture = networks.checked(functools.partial(function, conditional=False))
    return plain
