"""ACGAN against plain code: its two losses, what they move, and what its networks see."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points

from experiments import students
from gan.architectures import Networks
from gan.architectures.dcgan import dcgan
from gan.errors import CodeError, UserError
from trainers.acgan import ACGAN, cross_entropy, share_right
from trainers.checkpoints import Checkpoints
from trainers.randomness import step_seed
from trainers.views import Layout

SOURCE = ToySource(shape=(8, 8, 1), classes=3)
POINTS = ToySource(shape=(2,), classes=3)


def make(source=SOURCE, architecture=None, **options):
    kind = functools.partial(dcgan, width=0.05) if len(source.spec.shape) == 3 else points
    networks = architecture or functools.partial(kind, latent_dim=4, conditional=True)
    return ACGAN(networks, source.spec, **{"batch_size": 8, **options})


def log_softmax(logits, label):
    """log p(label) of each example."""
    return tf.gather(tf.nn.log_softmax(logits), label, batch_dims=1)


@pytest.mark.parametrize("on_fakes", [False, True])
def test_one_step_is_odenas_algorithm(on_fakes):
    """D and the classifier ascend L_S + L_C, then G ascends L_C - L_S against the new D."""
    options = {"class_lambda": 0.7, "class_on_fakes": on_fakes}
    trainer, twin = make(**options), make(**options)
    batch = next(iter(SOURCE.pipeline(8, seed=0)))
    trainer.train_step(batch)
    x, label = batch["x"], batch["label"]
    z = tf.random.stateless_normal((8, 4), seed=step_seed(0, tf.constant(0), 0, "z/0"))
    g, d, classifier = twin.networks.values()
    hidden = keras.Model(d.inputs[0], d.get_layer("logits").input)

    def losses():
        fake = g([z, label], training=True)
        source = -tf.reduce_mean(tf.math.softplus(-d(x)) + tf.math.softplus(d(fake)))
        fooled = tf.reduce_mean(tf.math.softplus(-d(fake)))
        of_real = tf.reduce_mean(log_softmax(classifier(hidden(x)), label))
        of_fake = tf.reduce_mean(log_softmax(classifier(hidden(fake)), label))
        return {
            "discriminator": -source - 0.7 * (of_real + (of_fake if on_fakes else 0.0)),
            "generator": fooled - 0.7 * of_fake,
        }

    first = {v.path: np.array(v) for v in g.non_trainable_variables}
    for group, nets in (("discriminator", (d, classifier)), ("generator", (g,))):
        weights = [v for net in nets for v in net.trainable_variables]
        with tf.GradientTape() as tape:
            loss = losses()[group]
        gradients = tape.gradient(loss, [v.value for v in weights])
        keras.optimizers.Adam(2e-4, beta_1=0.5).apply(gradients, weights)
        ours = [v for name in trainer.groups[group] for v in trainer.networks[name].weights]
        plain = [v for net in nets for v in net.weights]
        for a, b in zip(ours, plain, strict=True):
            if b.path not in first:  # BN's statistics: the twin draws more than once.
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6, err_msg=a.path)


def test_each_loss_moves_what_the_table_says():
    trainer, found = make(POINTS), {}
    apply = trainer.minimize

    def minimize(loss, group, tape):
        before = {n: net.get_weights() for n, net in trainer.networks.items()}
        apply(loss, group, tape)
        found[group] = {
            n for n, net in trainer.networks.items()
            if any((a != b).any() for a, b in zip(before[n], net.get_weights()))
        }  # fmt: skip

    trainer.minimize = minimize
    trainer.train_step(next(iter(POINTS.pipeline(8, seed=0))))
    assert found == {"discriminator": {"discriminator", "classifier"}, "generator": {"generator"}}


def test_the_classifier_learns_classes_that_can_be_seen():
    """Three classes far apart: the logged accuracy goes from chance to all of them."""

    class Apart(ToySource):
        def _example(self, position, seed):
            example = super()._example(position, seed)
            corners = tf.constant([[3.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
            return example | {"x": 0.1 * example["x"] + tf.gather(corners, example["label"])}

    source = Apart(shape=(2,), classes=3)
    trainer = make(source, learning_rate=2e-2, batch_size=24)
    trainer.fit(source, total_kimg=2.4, steps_per_loop=50)
    logs = trainer.train_step(next(iter(source.pipeline(24, seed=1))))
    assert logs["accuracy/classifier"] > 0.95 and logs["accuracy/classifier_fake"] > 0.9
    label = np.arange(24, dtype=np.int32) % 3
    drawn = trainer.sampler()(trainer.sampler().latents(24, seed=1), label)
    corners = np.array([[3.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
    nearest = np.linalg.norm(drawn[:, None] - corners, axis=-1).argmin(axis=-1)
    assert (nearest == label).mean() > 0.9


def test_the_discriminator_sees_no_label_and_the_generator_does():
    trainer = make()
    g, d, _ = trainer.networks.values()
    assert [x.name for x in g.inputs] == ["z", "label"] and len(d.inputs) == 1
    fake = trainer.views(SOURCE, Layout(rows=2, columns=3))["fake"].sample()
    assert fake.shape[1:] == (8, 8, 1)
    assert students.has(type("Run", (), {"trainer": trainer}))


def test_it_learns_with_critics_and_penalties_and_resumes_bit_for_bit(tmp_path):
    options = {"n_critic": 2, "penalty": ("r1",), "precision": "mixed_float16", "optimizer": "sgd"}
    unbroken, resumed = make(POINTS, **options), make(POINTS, **options)
    before = numbers(unbroken)
    unbroken.fit(POINTS, total_kimg=0.032, steps_per_loop=2)
    Checkpoints(tmp_path).save(unbroken)
    unbroken.fit(POINTS, total_kimg=0.064, steps_per_loop=2)
    Checkpoints(tmp_path).restore(resumed)
    resumed.fit(POINTS, total_kimg=0.064, steps_per_loop=2)
    after = numbers(resumed)
    assert_equal(after, numbers(unbroken))
    for network in unbroken.networks:
        assert any((before[k] != after[k]).any() for k in before if k.startswith(f"{network}/"))
    assert all(np.isfinite(v).all() for v in after.values())


def test_of_several_classes_each_is_told():
    """Against log p of independent classes in NumPy; G and the classifier see single classes."""
    source = ToySource(shape=(8, 8, 1), classes=3)
    names = ("cat", "cat+dark", "none")
    source.spec = dataclasses.replace(source.spec.with_classes(names), combined=True)
    trainer = make(source)
    assert trainer.networks["classifier"].output_shape == (None, 2)
    codes, label = source.spec.class_codes, tf.constant([0, 1, 2, 1])
    assert codes == [[1, 0], [1, 1], [0, 0]]
    logits = np.array([[2.0, -1.0], [0.5, -0.3], [-3.0, -0.1], [1.0, 2.0]])
    p = 1 / (1 + np.exp(-logits))
    target = np.array(codes)[label]
    expected = -np.mean(np.log(np.where(target == 1, p, 1 - p)).sum(axis=1))
    assert float(cross_entropy(label, logits, codes)) == pytest.approx(expected, rel=1e-5)
    assert float(share_right(label, tf.constant(logits), codes)) == 0.75
    logs = trainer.train_step(next(iter(source.pipeline(8, seed=0))))
    assert np.isfinite(float(logs["loss/generator/class"]))


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="acgan needs a generator that sees labels: add --cond"):
        make(POINTS, points)
    with pytest.raises(UserError, match="--class_lambda=-1"):
        make(POINTS, class_lambda=-1)
    with pytest.raises(UserError, match="--pack=2 with --conditional"):
        make(POINTS, functools.partial(points, conditional=True, pack=2))

    def always(spec) -> Networks:
        return points(spec, conditional=True)

    with pytest.raises(CodeError, match=r"test_acgan.py:\d+.*option conditional: bool = False"):
        make(POINTS, always)
