"""InfoGAN against plain code: its losses, which network each moves, and the bound's closed form."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points

from gan import generators
from gan.architectures.dcgan import dcgan
from gan.compression.students.slimming import slim
from gan.errors import UserError
from trainers import infogan
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.infogan import InfoGAN, categorical_bound, continuous_bound
from trainers.randomness import step_seed
from trainers.views import Layout

SOURCE = ToySource(shape=(8, 8, 1))
POINTS = ToySource(shape=(2,))
# Where in z the codes are: two categorical ones and a continuous one; two numbers are noise.
FIRST, SECOND, LAST = np.s_[:, :3], np.s_[:, 3:5], np.s_[:, 5:6]


def make(source=SOURCE, **options):
    kind = functools.partial(dcgan, width=0.05) if len(source.spec.shape) == 3 else points
    networks = functools.partial(kind, latent_dim=8)
    codes = {"categories": (3, 2), "continuous": 1}
    return InfoGAN(networks, source.spec, **{"batch_size": 8, **codes, **options})


def plain_losses(trainer, x, z, categorical, continuous):
    """The two losses in plain TensorFlow, with codes from NumPy in place of G's layer of codes."""
    g, d, q = trainer.networks.values()
    coded = np.array(z)
    for at in (FIRST, SECOND):
        coded[at] = coded[at] == coded[at].max(axis=1, keepdims=True)
    hidden = keras.Model(d.inputs[0], d.get_layer("logits").input)
    fake = keras.Model(g.get_layer("codes").output, g.output)(coded, training=True)
    read = q(hidden(fake))
    found = sum(
        np.log(coded[at].shape[1])
        + tf.reduce_mean(tf.reduce_sum(coded[at] * tf.nn.log_softmax(read[at]), axis=1))
        for at in (FIRST, SECOND)
    )
    # The entropy of N(0, 1), and the density of N(mean, 1) at the code.
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    log_q = -0.5 * np.log(2 * np.pi) - (coded[LAST] - read[LAST]) ** 2 / 2
    information = categorical * found + continuous * (entropy + tf.reduce_mean(log_q))

    def softplus(logits):
        return tf.reduce_mean(tf.math.softplus(logits))

    return {
        "generator": softplus(-d(fake)) - information,
        "discriminator": softplus(-d(x)) + softplus(d(fake)) - information,
    }


def gradients(loss, tape, network):
    """Zero where there is none."""
    weights = [v.value for v in network.trainable_variables]
    found = tape.gradient(loss, weights, unconnected_gradients="zero")
    return [np.asarray(gradient) for gradient in found]


def batch_of(trainer):
    source = SOURCE if len(trainer.spec.shape) == 3 else POINTS
    return next(iter(source.pipeline(8, seed=0)))


def step(trainer, group=""):
    """One `train_step` that moves `group` alone: each loss, with its gradient in each network."""
    found, apply = {}, trainer.minimize

    def minimize(loss, name, tape):
        of = {n: gradients(loss, tape, network) for n, network in trainer.networks.items()}
        found[name] = float(loss), of
        if name == group:
            apply(loss, name, tape)

    trainer.minimize = minimize
    trainer.tape = lambda once: tf.GradientTape(persistent=True)  # It is asked for each network.
    logs = trainer.train_step(batch_of(trainer))
    return found, logs


def test_losses_and_gradients_are_those_of_plain_code():
    trainer = make(categorical_lambda=0.7, continuous_lambda=0.3)
    x = next(iter(SOURCE.pipeline(8, seed=0)))["x"]
    z = tf.random.stateless_normal((8, 8), seed=step_seed(0, tf.constant(0), 0, "z/0"))
    with tf.GradientTape(persistent=True) as tape:
        plain = plain_losses(trainer, x, z, 0.7, 0.3)
    found, logs = step(trainer)
    for group, names in trainer.groups.items():
        loss, by_network = found[group]
        np.testing.assert_allclose([loss, logs[f"loss/{group}"]], plain[group], rtol=1e-5)
        for name in names:
            theirs = gradients(plain[group], tape, trainer.networks[name])
            for a, b in zip(by_network[name], theirs, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=name)


def size(arrays):
    return sum(float(np.abs(a).sum()) for a in arrays)


def test_each_loss_moves_what_the_table_says_and_nothing_else():
    for group, moved in (("discriminator", {"discriminator", "q"}), ("generator", {"generator"})):
        trainer = make(POINTS)
        before = {n: [np.array(v) for v in net.trainable_variables]
                  for n, net in trainer.networks.items()}  # fmt: skip
        found, _ = step(trainer, group)
        now = {n: net.trainable_variables for n, net in trainer.networks.items()}
        assert moved == {
            n for n in now if any((np.array(a) != b).any() for a, b in zip(now[n], before[n]))
        }
        # D's loss sees G's images as they are.
        assert size(found["discriminator"][1]["generator"]) == 0.0
        assert size(found[group][1][min(moved)]) > 0.0


@pytest.mark.parametrize(
    ("zero", "columns"), [("categorical", slice(5)), ("continuous", slice(5, 6))]
)
def test_each_lambda_weighs_its_own_codes(zero, columns):
    """Q's outputs for a code of weight 0 get no gradient; the other ones do."""
    found, _ = step(make(POINTS, **{f"{zero}_lambda": 0.0}))
    for _, by_network in found.values():
        bias = by_network["q"][-1].copy()
        assert size([bias[columns]]) == 0.0
        bias[columns] = 1.0
        assert (bias != 0.0).all()


def test_the_bound_has_its_closed_form():
    # A Q that knows nothing, one that is sure and right, and one in between.
    code = np.eye(4, dtype=np.float32)[[0, 3, 1, 2, 2]]
    assert float(categorical_bound(tf.zeros((5, 4)), code)) == pytest.approx(0.0, abs=1e-6)
    assert float(categorical_bound(1e3 * code, code)) == pytest.approx(np.log(4))
    p = np.full((5, 4), 0.1) + 0.6 * code
    assert float(categorical_bound(np.log(p), code)) == pytest.approx(np.log(4) + np.log(0.7))
    # Continuous: N(0, 1) read exactly gives half a nat for each code; U(-1, 1) less.
    c = np.random.default_rng(0).normal(size=(50_000, 2)).astype(np.float32)
    assert float(continuous_bound(c, c)) == pytest.approx(2 * 0.5)
    assert float(continuous_bound(np.zeros_like(c), c)) == pytest.approx(0.0, abs=0.02)
    assert float(continuous_bound(c, c, uniform=True)) == pytest.approx(
        2 * (np.log(2) - 0.5 * np.log(2 * np.pi))
    )


def test_the_largest_number_of_a_group_is_its_category(tmp_path):
    trainer = make()
    draw = trainer.sampler()
    z = draw.latents(6, seed=1)
    other = z.copy()
    other[FIRST] = np.where(z[FIRST] == z[FIRST].max(1, keepdims=True), 9.0, z[FIRST] - 1.0)
    np.testing.assert_array_equal(draw(z), draw(other))
    other[FIRST] = np.roll(other[FIRST], 1, axis=1)
    assert (np.abs(draw(z) - draw(other)).reshape(6, -1).max(axis=1) > 1e-3).all()
    other = z.copy()
    other[LAST] += 1.0
    assert (np.abs(draw(z) - draw(other)).reshape(6, -1).max(axis=1) > 1e-3).all()
    # The generator's file and students read z alike.
    trainer.save_generator(tmp_path / "generator.keras")
    file = generators.load(tmp_path / "generator.keras")
    np.testing.assert_allclose(file(z), draw(z), atol=1e-6)
    student = slim(trainer.inference(), width=0.5)
    assert student.get_layer("codes").get_config()["arguments"] == {"sizes": [3, 2]}


def test_a_code_is_traversed_alone():
    trainer = make()
    views = trainer.views(SOURCE, Layout(rows=2, columns=5))
    z = trainer.sampler().latents(2, seed=0)
    for name, at, values in (
        ("category_0", FIRST, np.eye(3)),
        ("category_1", SECOND, np.eye(2)),
        ("continuous_0", LAST, np.linspace(-2, 2, 5)[:, None]),
    ):
        expected = []
        for row in z:
            for value in values:
                changed = row[None].copy()
                changed[at] = value
                expected.append(trainer.sampler()(changed)[0])
        np.testing.assert_allclose(views[name].sample(), expected, atol=1e-5, err_msg=name)


def test_points_are_coloured_by_their_code(monkeypatch):
    monkeypatch.setattr(infogan, "painter", lambda *_: lambda x, colours: colours)
    trainer = make(POINTS)
    views = trainer.views(POINTS, Layout())
    z = trainer.sampler().latents(2500, seed=0)
    drawn = views["category_1"].sample()
    np.testing.assert_array_equal(drawn, views["fake"].sample())
    np.testing.assert_array_equal(views["category_1"].draw(drawn), z[SECOND].argmax(axis=1))
    eighths = np.searchsorted(np.quantile(z[LAST], np.arange(1, 8) / 8), z[LAST][:, 0])
    assert (views["continuous_0"].draw(drawn) == eighths).mean() > 0.99


def test_it_learns_in_float16_with_penalties():
    trainer = make(POINTS, precision="mixed_float16", penalty=("r1",))
    before = {name: network.get_weights() for name, network in trainer.networks.items()}
    logs = trainer.train_step(batch_of(trainer))
    assert all(np.isfinite(value) for value in logs.values())
    for name, network in trainer.networks.items():
        now = network.get_weights()
        assert any((a != b).any() for a, b in zip(now, before[name]))
        assert all(np.isfinite(weight).all() for weight in now)


def test_it_resumes_bit_for_bit(tmp_path):
    unbroken, resumed = make(POINTS, optimizer="sgd"), make(POINTS, optimizer="sgd")
    unbroken.fit(POINTS, total_kimg=0.016, steps_per_loop=2)
    Checkpoints(tmp_path).save(unbroken)
    unbroken.fit(POINTS, total_kimg=0.032, steps_per_loop=2)
    Checkpoints(tmp_path).restore(resumed)
    resumed.fit(POINTS, total_kimg=0.032, steps_per_loop=2)
    assert_equal(numbers(resumed), numbers(unbroken))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_two_replicas_learn_alike(precision):
    strategy = make_strategy("mirrored")
    with strategy.scope():
        trainer = make(POINTS, precision=precision, penalty=("r1",))
    before = numbers(trainer)
    trainer.fit(POINTS, total_kimg=0.032)
    for name, network in trainer.networks.items():
        for variable in network.variables:
            first, second = strategy.experimental_local_results(variable.value)
            np.testing.assert_array_equal(first, second)
        assert any((before[f"{name}/{i}"] != v).any() for i, v in enumerate(network.get_weights()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_critic": 2}, "infogan takes no --conditional, no --pack and no --n_critic"),
        ({"categories": (5, 4)}, "take 10 of z's numbers, and it has 8: set --latent_dim"),
        ({"categories": (), "continuous": 0}, "--categories=none --continuous=0: expected"),
        ({"categories": (1,)}, "--categories=1 --continuous=1: expected"),
        ({"continuous_lambda": -1.0}, "--continuous_lambda=-1.0: expected at least 0"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        make(POINTS, **options)


@pytest.mark.parametrize("options", [{"pack": 2}, {"conditional": True}])
def test_packs_and_labels_are_refused(options):
    source = ToySource(shape=(2,), classes=3)
    with pytest.raises(UserError, match="infogan takes no --conditional"):
        InfoGAN(functools.partial(points, latent_dim=16, **options), source.spec, batch_size=8)
