"""BiGAN against plain code: its losses, which network each moves, and what penalties see."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points, toy_gan

from experiments import students
from gan.architectures.dcgan import dcgan
from gan.errors import UserError
from trainers import _encoding
from trainers.bigan import BiGAN
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.randomness import step_seed
from trainers.views import Layout

SOURCE = ToySource(shape=(8, 8, 1))
POINTS = ToySource(shape=(2,), classes=3)


def make(source=SOURCE, **options):
    kind = functools.partial(dcgan, width=0.05) if len(source.spec.shape) == 3 else points
    networks = functools.partial(kind, latent_dim=4)
    return BiGAN(networks, source.spec, **{"batch_size": 8, "joint_units": 6, **options})


def batch_of(trainer):
    source = SOURCE if len(trainer.spec.shape) == 3 else POINTS
    return next(iter(source.pipeline(8, seed=0)))


def normal(name):
    return tf.random.stateless_normal((8, 4), seed=step_seed(0, tf.constant(0), 0, name))


def gradients(loss, tape, network):
    """Zero where there is none."""
    weights = [v.value for v in network.trainable_variables]
    found = tape.gradient(loss, weights, unconnected_gradients="zero")
    return [np.asarray(gradient) for gradient in found]


def step(trainer, group=""):
    """One `train_step` that moves `group` alone: each loss, with its gradient in each network."""
    found, apply = {}, trainer.minimize

    def minimize(loss, name, tape):
        of = {n: gradients(loss, tape, network) for n, network in trainer.networks.items()}
        found[name] = float(loss), of
        if name == group:
            apply(loss, name, tape)

    trainer.minimize = minimize
    logs = trainer.train_step(batch_of(trainer))
    return found, logs


def softplus(logits):
    return tf.reduce_mean(tf.math.softplus(logits))


def half_square(logits):
    return tf.reduce_mean(tf.square(logits)) / 2


# Loss -> what D minimises of the reals' and fakes' logits.
GAMES = {
    "non_saturating": lambda real, fake: softplus(-real) + softplus(fake),
    "lsgan": lambda real, fake: half_square(real - 1) + half_square(fake),
    "relativistic": lambda real, fake: softplus(fake - real),
}


@pytest.mark.parametrize(
    ("source", "stochastic", "loss"),
    [
        (SOURCE, False, "non_saturating"),
        (POINTS, True, "lsgan"),
        (POINTS, False, "relativistic"),
    ],
)
def test_losses_and_gradients_are_those_of_plain_code(source, stochastic, loss):
    trainer = make(source, stochastic=stochastic, loss=loss)
    x = batch_of(trainer)["x"]
    with tf.GradientTape(persistent=True) as tape:
        e, g, d = (trainer.networks[name] for name in ("encoder", "generator", "discriminator"))
        code = e(x, training=True)
        if stochastic:
            deviation = tf.sqrt(tf.exp(code[:, 4:]))
            code = code[:, :4] + deviation * normal("encoder")
        real, fake = d([x, code]), d([g(normal("z/0"), training=True), normal("z/0")])
        # E and G want reals to be taken for fakes, and fakes for reals.
        plain = {"discriminator": GAMES[loss](real, fake), "encoder": GAMES[loss](fake, real)}
        plain["generator"] = plain["encoder"]
    found, logs = step(trainer)
    for group, expected in plain.items():
        value, by_network = found[group]
        np.testing.assert_allclose([value, logs[f"loss/{group}"]], expected, rtol=1e-5)
        theirs = gradients(expected, tape, trainer.networks[group])
        for a, b in zip(by_network[group], theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=group)


def test_each_loss_moves_its_own_network_and_nothing_else():
    for group in BiGAN.groups:
        trainer = make(POINTS)
        before = {name: network.get_weights() for name, network in trainer.networks.items()}
        found, _ = step(trainer, group)
        moved = {
            name
            for name, network in trainer.networks.items()
            if any((a != b).any() for a, b in zip(network.get_weights(), before[name]))
        }
        assert moved == {group}
        assert any(gradient.any() for gradient in found[group][1][group])


def test_penalties_see_image_and_z():
    """R1 by hand: D's squared gradient by x and by z, at E(x) as it is."""
    trainer = make(penalty=("r1",))
    x, d = batch_of(trainer)["x"], trainer.networks["discriminator"]
    code = trainer.networks["encoder"](x, training=True)
    with tf.GradientTape() as tape:
        tape.watch([x, code])
        logits = d([x, code])
    by_x, by_z = (np.asarray(g).reshape(8, -1) for g in tape.gradient(logits, [x, code]))
    assert by_x.any() and by_z.any()
    expected = 10 / 2 * ((by_x**2).sum(axis=1) + (by_z**2).sum(axis=1)).mean()
    _, logs = step(trainer)
    np.testing.assert_allclose(logs["penalty/r1"], expected, rtol=1e-4)


def test_reconstructions_are_drawn_beside_what_they_rebuild():
    trainer = make(stochastic=True)
    pairs = trainer.views(SOURCE, Layout(rows=2, columns=2))["reconstruction"].sample()
    x = next(iter(SOURCE.pipeline(4, seed=0)))["x"]
    np.testing.assert_array_equal(pairs[:, 0], x)
    mean = np.asarray(trainer.inference("encoder")(x))[:, :4]
    np.testing.assert_allclose(pairs[:, 1], trainer.inference("generator")(mean), atol=1e-5)


def test_points_are_rebuilt_in_their_colours(monkeypatch):
    monkeypatch.setattr(_encoding, "painter", lambda *_: lambda x, colours: colours)
    trainer = make(POINTS)
    view = trainer.views(POINTS, Layout())["reconstruction"]
    real = next(iter(POINTS.pipeline(2500, seed=0)))
    code = trainer.networks["encoder"](real["x"])
    expected = trainer.inference("generator")(code)
    np.testing.assert_allclose(view.sample(), expected, atol=1e-5)
    np.testing.assert_array_equal(view.draw(view.sample()), real["label"])


def test_it_learns_in_float16_with_penalties():
    trainer = make(POINTS, precision="mixed_float16", penalty=("r1",), stochastic=True)
    before = {name: network.get_weights() for name, network in trainer.networks.items()}
    logs = trainer.train_step(batch_of(trainer))
    assert all(np.isfinite(value) for value in logs.values())
    for name, network in trainer.networks.items():
        now = network.get_weights()
        assert any((a != b).any() for a, b in zip(now, before[name]))
        assert all(np.isfinite(weight).all() for weight in now)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_it_resumes_bit_for_bit(tmp_path, precision):
    options = {"stochastic": True, "penalty": ("r1",), "precision": precision}
    unbroken, resumed = make(POINTS, **options), make(POINTS, **options)
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


def test_a_joint_discriminator_teaches_no_students():
    trainers = {True: toy_gan(), False: make(POINTS)}
    for has, trainer in trainers.items():
        assert students.has(SimpleNamespace(trainer=trainer)) is has


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_critic": 2}, "bigan takes no --conditional, no --pack and no --n_critic"),
        ({"joint_units": 0}, "--joint_units=0: expected at least 1"),
        ({"loss": "saturating"}, "does not saturate; take --loss=non_saturating"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        make(POINTS, **options)


@pytest.mark.parametrize("options", [{"pack": 2}, {"conditional": True}])
def test_packs_and_labels_are_refused(options):
    with pytest.raises(UserError, match="bigan takes no --conditional"):
        BiGAN(functools.partial(points, **options), POINTS.spec, batch_size=8)
