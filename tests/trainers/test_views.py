"""Pictures of trainers that no other file knows: views named by the trainer itself."""

import functools
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from toys import ToySource, points, toy_gan, translators

from callbacks.image_grid import ImageGrid
from trainers.base import Trainer
from trainers.gan import GAN
from trainers.randomness import step_seed
from trainers.views import Grid, Layout, SideBySide

PAIRS = ToySource(shape=(8, 8, 1), domains=("a", "b"))


class OneWay(Trainer):
    """A translator and nothing else: the mean absolute difference to the pair's other image."""

    groups = {"generator": ("generator",)}
    averaged = ("generator",)

    def train_step(self, batch):
        """L1 regression."""
        with self.tape() as tape:
            made = self.training("generator")(batch["a"])
            loss = tf.reduce_mean(tf.abs(made - batch["b"]))
        self.minimize(loss, "generator", tape)
        return {"loss/generator": loss}


def test_a_one_way_translator_is_drawn_without_a_word(tmp_path: Path) -> None:
    trainer = OneWay(lambda spec: {"generator": translators(spec).generator}, PAIRS.spec)
    grid = ImageGrid(PAIRS, tmp_path, rows=2)
    trainer.fit(PAIRS, total_kimg=0.064, callbacks=[grid], steps_per_loop=1)
    picture = np.asarray(Image.open(tmp_path / "samples/translation_000000.064kimg.png"))
    # Two rows of two pairs of 8 x 8 images, two pixels around each.
    assert picture.shape[:2] == (2 * 8 + 3 * 2, 2 * (2 * 8 + 3 * 2))
    x = next(iter(PAIRS.pipeline(4, seed=0)))["a"]
    sample = trainer.views(PAIRS, Layout(rows=2))["translation"].sample()
    np.testing.assert_array_equal(sample[:, 0], x)
    np.testing.assert_allclose(sample[:, 1], trainer.inference()(x), atol=1e-6)


class Traversed(GAN):
    """Shows one more picture: what a dimension of z does."""

    def views(self, source, layout):
        """A row a dimension."""

        def traverse():
            steps = np.linspace(-2, 2, layout.columns)
            z = np.stack([s * e for e in np.eye(3) for s in steps])
            return np.asarray(self.inference()(z)).reshape(-1, 1, 1, 2)[..., :1]

        return {**super().views(source, layout), "traversal": Grid(traverse, layout.columns)}


def test_a_traversal_is_a_method_of_its_trainer(tmp_path: Path) -> None:
    source = ToySource()
    trainer = Traversed(points, source.spec, batch_size=8)
    trainer.fit(source, total_kimg=0.008, callbacks=[ImageGrid(source, tmp_path, columns=4)])
    names = {path.name.partition("_")[0] for path in (tmp_path / "samples").iterdir()}
    assert names == {"fake", "reals.png", "traversal"}


def test_side_by_side_puts_grey_beside_colour_and_keeps_what_was_asked_for() -> None:
    x, target = np.zeros((3, 4, 4, 1)), np.full((3, 4, 4, 3), 0.5)
    view = SideBySide(x, lambda x: np.repeat(x + 1.0, 3, axis=-1), target)
    sample = view.sample()
    assert sample.shape == (3, 3, 4, 4, 3)
    assert [float(part.mean()) for part in np.moveaxis(sample, 1, 0)] == [0.0, 1.0, 0.5]
    picture = view.draw(sample)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


def test_several_losses_share_a_tape_and_move_their_own_group_alone() -> None:
    """One tape's gradients are those of a tape for each loss."""

    class Both(GAN):
        def train_step(self, batch):
            with self.tape() as tape:
                fake, real = self.generate(batch), batch["x"]
                logits = self.discriminate(fake, batch), self.discriminate(real, batch)
                loss_g = tf.reduce_mean(tf.math.softplus(-logits[0]))
                loss_d = tf.reduce_mean(tf.math.softplus(logits[0]) + tf.math.softplus(-logits[1]))
            self.minimize(loss_d, "discriminator", tape)
            self.minimize(loss_g, "generator", tape)
            return {"loss/generator": loss_g, "loss/discriminator": loss_d}

    source = ToySource()
    trainer, twin = (
        Both(functools.partial(points), source.spec, batch_size=8, seed=1) for _ in "12"
    )
    trainer.fit(source, total_kimg=0.008)
    batch = next(iter(source.pipeline(8, seed=1)))
    plain, z_seed = {}, step_seed(1, tf.constant(0), 0, "z/0")
    for group, sign in (("generator", -1.0), ("discriminator", 1.0)):
        with tf.GradientTape() as tape:
            fake = twin.networks["discriminator"](
                twin.networks["generator"](tf.random.stateless_normal((8, 3), seed=z_seed))
            )
            loss = tf.reduce_mean(tf.math.softplus(sign * fake))
            if sign > 0:
                loss += tf.reduce_mean(
                    tf.math.softplus(-twin.networks["discriminator"](batch["x"]))
                )
        plain[group] = tape.gradient(loss, [v.value for v in twin.variables_of(group)])
    for group, gradients in plain.items():
        twin.optimizers[group].apply(gradients, twin.variables_of(group))
        for ours, its in zip(trainer.variables_of(group), twin.variables_of(group)):
            np.testing.assert_allclose(ours, its, rtol=1e-5, atol=1e-7)


def test_toy_gan_still_shows_points() -> None:
    source = ToySource()
    assert set(toy_gan(source).views(source, Layout())) == {"fake", "reals"}
