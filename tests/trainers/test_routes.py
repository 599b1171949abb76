"""Gradient routes: every trainer's are as declared, and classic mistakes are found."""

import functools

import keras
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points, translators

from gan.architectures.dcgan import dcgan
from gan.architectures.unet import unet
from gan.errors import CodeError
from trainers import routes
from trainers.acgan import ACGAN
from trainers.bigan import BiGAN
from trainers.cyclegan import CycleGAN
from trainers.distillation import Distillation
from trainers.distribution import make_strategy
from trainers.gan import GAN
from trainers.infogan import InfoGAN
from trainers.pix2pix import Pix2Pix
from trainers.vae_gan import VAEGAN

POINTS = ToySource()
IMAGES = ToySource(shape=(8, 8, 1))
LABELLED = ToySource(shape=(8, 8, 1), classes=3)
PAIRS = ToySource(shape=(8, 8, 1), domains=("a", "b"), paired=True)
CONVOLUTIONS = functools.partial(dcgan, width=0.05, latent_dim=8)
GAN_TERMS = {
    "loss/generator": ("generator",),
    "loss/discriminator": ("discriminator",),
    "penalty/r1": ("discriminator",),
}
R1 = {"penalty": ("r1",), "penalty_every": 4}


def teacher():
    return points(POINTS.spec, batch_norm=True).generator


@pytest.mark.parametrize(
    ("kind", "architecture", "source", "options", "expected"),
    [
        (GAN, points, POINTS, {**R1, "n_critic": 2}, GAN_TERMS),
        (
            functools.partial(Distillation, teacher=teacher()),
            points,
            POINTS,
            R1,
            {
                **GAN_TERMS,
                "loss/generator/output_l1": ("generator",),
                "loss/generator/feature_l1": ("generator",),
                "loss/generator/adversarial": ("generator",),
            },
        ),
        (
            VAEGAN,
            CONVOLUTIONS,
            IMAGES,
            R1,
            {
                **GAN_TERMS,
                "loss/encoder": ("encoder",),
                "loss/encoder/kl": ("encoder",),
                "loss/encoder/distance": ("encoder", "generator"),
                "loss/generator/adversarial": ("generator",),
            },
        ),
        (
            BiGAN,
            CONVOLUTIONS,
            IMAGES,
            {"stochastic": True},
            {
                "loss/discriminator": ("discriminator",),
                "loss/encoder": ("encoder", "generator"),
                "loss/generator": ("encoder", "generator"),
            },
        ),
        (
            InfoGAN,
            CONVOLUTIONS,
            IMAGES,
            {"categories": (3,), "continuous": 1, **R1},
            {
                **GAN_TERMS,
                "loss/discriminator": ("discriminator", "q"),
                "loss/discriminator/adversarial": ("discriminator",),
                "loss/discriminator/information": ("discriminator", "q"),
                "loss/generator/adversarial": ("generator",),
                "loss/generator/information": ("generator",),
                "mutual_information/category_0": ("discriminator", "q"),
                "mutual_information/continuous_0": ("discriminator", "q"),
            },
        ),
        (
            ACGAN,
            functools.partial(CONVOLUTIONS, conditional=True),
            LABELLED,
            {**R1, "penalty_every": 1, "n_critic": 2},
            {
                **GAN_TERMS,
                "loss/discriminator": ("discriminator", "classifier"),
                "loss/discriminator/adversarial": ("discriminator",),
                "loss/discriminator/class": ("discriminator", "classifier"),
                "loss/generator/adversarial": ("generator",),
                "loss/generator/class": ("generator",),
            },
        ),
        (
            CycleGAN,
            translators,
            PAIRS,
            {},
            {
                "loss/generator": ("generator_ab", "generator_ba"),
                "loss/generator/adversarial_ab": ("generator_ab",),
                "loss/generator/adversarial_ba": ("generator_ba",),
                "loss/generator/cycle": ("generator_ab", "generator_ba"),
                "loss/generator/identity": ("generator_ab", "generator_ba"),
                "loss/discriminator": ("discriminator_a", "discriminator_b"),
                "loss/discriminator/a": ("discriminator_a",),
                "loss/discriminator/b": ("discriminator_b",),
            },
        ),
        (
            Pix2Pix,
            functools.partial(unet, width=0.02),
            PAIRS,
            {},
            {
                "loss/generator": ("generator",),
                "loss/generator/adversarial": ("generator",),
                "loss/generator/l1": ("generator",),
                "loss/discriminator": ("discriminator",),
            },
        ),
    ],
    ids=["gan", "distillation", "vae_gan", "bigan", "infogan", "acgan", "cyclegan", "pix2pix"],
)
def test_each_term_moves_what_the_trainer_declares(kind, architecture, source, options, expected):
    """The papers' routes, written out here; the trainer is as it was before."""
    trainer = kind(architecture, source.spec, **{"batch_size": 4, **options})
    before = numbers(trainer)
    assert routes.check(trainer, source) == expected
    assert_equal(before, numbers(trainer))


def test_the_norm_is_that_of_the_gradient_which_comes_through_the_term():
    """A term of weight 3 moves G by three times its gradient, and D not at all."""

    class Pulled(GAN):
        def generator_loss(self, fake, batch):
            self.pull = tf.reduce_mean(tf.abs(fake - 1.0))
            return super().generator_loss(fake, batch) + 3.0 * self.pull

        def train_step(self, batch):
            return super().train_step(batch) | {"loss/generator/pull": self.pull}

    trainer = Pulled(points, POINTS.spec, batch_size=8)
    norms = routes.measure(trainer, POINTS)["loss/generator/pull"]
    z = trainer.latents(8, "z/0")
    generator = trainer.networks["generator"]
    with tf.GradientTape() as tape:
        loss = 3.0 * tf.reduce_mean(tf.abs(generator(z, training=True) - 1.0))
    gradients = tape.gradient(loss, [v.value for v in generator.trainable_variables])
    assert norms["generator"] == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-5)
    assert norms["discriminator"] == 0


class LearnsFromTheGame(VAEGAN):
    """The classic mistake: E gets the game's gradient too."""

    def adversarial_loss(self, fake_logits, batch):
        self.games.append(super().adversarial_loss(fake_logits, batch))
        return self.games[-1]

    def minimize(self, loss, group, tape):
        if group == "encoder":
            with tape:
                loss = loss + self.games[0]
        super().minimize(loss, group, tape)

    def train_step(self, batch):
        self.games = []  # of reconstructions, then of samples
        return super().train_step(batch) | {"loss/generator/adversarial": self.games[0]}


class Blind(InfoGAN):
    """Another: D's trunk does not learn to show the codes."""

    def build_networks(self):
        networks = super().build_networks()
        q = networks["q"]
        stop = keras.layers.Lambda(tf.stop_gradient)
        return {**networks, "q": keras.Model(q.input, q.call(stop(q.input)), name="q")}


class Undeclared(GAN):
    def generator_loss(self, fake, batch):
        self.pull = tf.reduce_mean(tf.abs(fake))
        return super().generator_loss(fake, batch) + self.pull

    def train_step(self, batch):
        return super().train_step(batch) | {"loss/generator/pull": self.pull}


class OwnUpdate(GAN):
    def train_step(self, batch):
        for variable in self.networks["generator"].trainable_variables:
            variable.assign(0.9 * variable)
        return super().train_step(batch)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            LearnsFromTheGame,
            "'loss/generator/adversarial' moves encoder, and by `routes` only generator: a "
            "tf.stop_gradient is missing",
        ),
        (
            Blind,
            "'loss/generator/information' does not move generator, and by `routes` it does: its",
        ),
        (
            Undeclared,
            "logs 'loss/generator/pull', which moves generator; say so in the class: routes = "
            "{..., 'loss/generator/pull': ('generator',)}",
        ),
        (OwnUpdate, "train_step changes the weights of 'generator' itself"),
    ],
)
def test_a_mistake_is_named_with_its_line(kind, says):
    options = {"categories": (3,), "continuous": 1} if kind is Blind else {}
    trainer = kind(CONVOLUTIONS, IMAGES.spec, batch_size=4, **options)
    before = numbers(trainer)
    with pytest.raises(CodeError, match=r"test_routes.py:\d+|train_step") as error:
        routes.check(trainer, IMAGES)
    assert says in str(error.value)
    assert_equal(before, numbers(trainer))


def test_two_replicas_in_half_precision_and_micro_batches():
    """Small gradients survive float16, as the loss is scaled; replicas' norms are added."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        trainer = GAN(
            points, POINTS.spec, batch_size=8, accumulate=2, precision="mixed_float16", **R1
        )
    before = numbers(trainer)
    assert routes.check(trainer, POINTS) == GAN_TERMS
    assert_equal(before, numbers(trainer))


def test_the_longest_pattern_speaks_for_a_key():
    table = {"penalty/*": ("d",), "penalty/generator/*": ("g",), "penalty/generator/own": ("e",)}
    for key, networks in (
        ("penalty/r1", ("d",)),
        ("penalty/generator/path_length", ("g",)),
        ("penalty/generator/own", ("e",)),
        ("loss/generator", None),
    ):
        assert routes.declared_for(key, table) == networks
