"""Augmentation in the trainers: what D is shown, how p adapts, resume, replicas, precision."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers

from experiments import experiment, students
from experiments.settings import CompressOptions
from gan.architectures import Networks
from gan.compression.students.variants import Student
from gan.errors import CodeError, UserError
from trainers.acgan import ACGAN
from trainers.bigan import BiGAN
from trainers.checkpoints import Checkpoints
from trainers.distillation import Distillation
from trainers.distribution import make_strategy
from trainers.gan import GAN
from trainers.infogan import InfoGAN
from trainers.vae_gan import VAEGAN

GREY = ToySource((4, 4, 1), classes=3)
COLOUR = ToySource((4, 4, 3), classes=3)
STILL = {"optimizer": "sgd", "learning_rate": 1e-30}  # No weight moves.


def networks(spec, *, conditional: bool = False, pack: int = 1):
    z = keras.Input((3,), name="z")
    label = keras.Input((), dtype="int32", name="label")
    classes = keras.layers.Embedding(max(spec.num_classes, 1), 2)
    h = keras.layers.Concatenate()([z, classes(label)]) if conditional else z
    image = keras.layers.Dense(int(np.prod(spec.shape)), activation="tanh")(h)
    image = keras.layers.Reshape(spec.shape)(image)
    x = keras.Input((*spec.shape[:2], pack * spec.shape[2]), name="x")
    h = keras.layers.ReLU()(keras.layers.Dense(6)(keras.layers.Flatten()(x)))
    h = keras.layers.Concatenate()([h, classes(label)]) if conditional else h
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(h)
    inputs = ([z, label], [x, label]) if conditional else (z, x)
    return Networks(keras.Model(inputs[0], image), keras.Model(inputs[1], logits))


def linear(spec):
    """D(x) = w . x."""
    x = keras.Input(spec.shape, name="x")
    logits = keras.layers.Dense(1, use_bias=False, name="logits")(keras.layers.Flatten()(x))
    return Networks(networks(spec).generator, keras.Model(x, logits))


def dim(images, *, seed, p):
    """At p = 1 half as bright: no sign of a linear D changes."""
    del seed
    return images * (1.0 - 0.5 * p)


def blink(images, *, seed, p):
    """Images that go dark with probability p."""
    u = tf.random.stateless_uniform((images.shape[0], 1, 1, 1), seed)
    return tf.where(u < p, -1.0, images)


def build(kind=GAN, source=GREY, architecture=networks, **options):
    options = {"batch_size": 8, "ema_half_life_kimg": None, **options}
    return kind(architecture, source.spec, **options)


def train(trainer, steps, source=GREY):
    total = (trainer.step + steps) * trainer.images_per_step / 1000
    return trainer.fit(source, total_kimg=total, steps_per_loop=1, eval_every_kimg=1.0).history


def step(trainer, batch):
    """One step outside of the loop's graph; its logs."""
    logs = trainer._replica_step(batch)
    trainer._step.assign_add(1)
    trainer._images.assign_add(trainer.images_per_step)
    return logs


def first(source=GREY, size=8):
    return next(iter(source.pipeline(size, seed=0)))


def p_of(trainer):
    return float(trainer.augmentation.p.numpy())


def test_p_follows_the_signs_of_the_reals():
    """By r_t of four steps, which NumPy knows; each move is 4 B / (1000 speed_kimg)."""
    w = build(architecture=linear).networks["discriminator"].get_weights()[0]
    batches = list(GREY.pipeline(8, seed=0).take(4))
    r = np.mean([np.sign(b["x"].numpy().reshape(8, -1) @ w) for b in batches])
    for target, speed, after in (
        (r - 0.01, 0.1, 0.5 + 4 * 8 / 100),
        (r + 0.01, 0.1, 0.5 - 4 * 8 / 100),
        (r - 0.01, 0.04, 1.0),
        (r + 0.01, 0.04, 0.0),
    ):
        options = {"augment": dim, "augment_target": target, "augment_speed_kimg": speed, **STILL}
        trainer = build(architecture=linear, **options)
        trainer.augmentation.p.assign(0.5)
        signs = []
        for batch in batches:
            assert p_of(trainer) == 0.5
            signs.append(step(trainer, batch)["logits/real_sign"])
        np.testing.assert_allclose(np.mean(signs), r, rtol=1e-6)
        np.testing.assert_allclose(p_of(trainer), after, rtol=1e-6)
        assert trainer.progress_logs()["progress/augment_p"] == p_of(trainer)
        assert [float(v) for v in trainer.augmentation.observed] == [0.0, 0.0]


def test_a_resume_amid_four_steps_is_equal_to_the_bit(tmp_path):
    options = {
        "augment": blink, "augment_target": -0.9, "augment_speed_kimg": 0.1, "penalty": ("r1",),
    }  # fmt: skip
    whole, resumed = build(**options), build(**options)
    train(whole, 6)
    assert whole.augmentation.observed[1].numpy() == 2.0 and p_of(whole) == pytest.approx(0.32)
    Checkpoints(tmp_path).save(whole)
    Checkpoints(tmp_path).restore(resumed)
    for trainer in (whole, resumed):
        train(trainer, 4)
    assert_equal(numbers(whole), numbers(resumed))
    assert p_of(resumed) == pytest.approx(0.64)


def test_replicas_move_one_p():
    """That of a single replica on the same images."""
    options = {"augment": dim, "augment_target": -0.9, "augment_speed_kimg": 1.0, **STILL}
    one = build(architecture=linear, **options)
    with make_strategy("mirrored").scope():
        two = build(architecture=linear, **options)
    for trainer in (one, two):
        train(trainer, 8)
    copies = two.distribute_strategy.experimental_local_results(two.augmentation.p)
    assert [float(p) for p in copies] == [p_of(one)] * 2
    assert p_of(one) == pytest.approx(2 * 0.032)


def test_at_p_0_all_is_as_without():
    runs = []
    for options in ({}, {"augment": dim, "augment_p": 0.0}):
        trainer = build(penalty=("r1",), **options)
        for _ in range(3):
            step(trainer, first())
        runs.append(numbers(trainer))
    assert_equal(*runs)


def test_a_penaltys_gradient_goes_through_the_augmentation():
    """D(T(x)) = w . x (1 - p / 2): R1 = gamma / 2 (1 - p / 2)^2 |w|^2, p by its schedule."""
    from gan.schedules import Schedule

    p = Schedule("linear", 0.0, 1.0, 0.016)
    trainer = build(architecture=linear, augment=dim, augment_p=p, penalty=("r1",), **STILL)
    w = trainer.networks["discriminator"].get_weights()[0]
    for images in (0.0, 8.0, 16.0, 24.0):
        seen = 1 - 0.5 * min(images / 16, 1)
        r1 = step(trainer, first())["penalty/r1"]
        np.testing.assert_allclose(r1, 5.0 * seen**2 * np.sum(w**2), rtol=1e-5)


def test_calls_are_independent_unless_they_are_to_be_alike():
    trainer = build(augment="diffaugment")
    x = first()["x"]
    with trainer.augmentation.step():
        one, other = trainer.augmented(x), trainer.augmented(x)
        a, b = (trainer.augmented(x, "pair") for _ in range(2))
    with trainer.augmentation.step():
        again = trainer.augmented(x)
    assert not np.allclose(one, other) and not np.allclose(one, a)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one, again)


def test_images_of_a_pack_are_augmented_each_by_itself():
    def numbered(images, *, seed, p):
        del seed, p
        return images * tf.range(1.0, 1.0 + images.shape[0])[:, None, None, None]

    trainer = build(source=COLOUR, architecture=functools.partial(networks, pack=2))
    x = first(COLOUR)["x"]
    packed = trainer.augmentation.apply(numbered, trainer.packed(x), seed=tf.zeros(2), p=1.0)
    want = trainer.packed(numbered(x, seed=None, p=None))
    np.testing.assert_array_equal(packed, want)


TEACHER = networks(GREY.spec).generator
EVERY = {
    "gan": (GAN, networks, {"n_critic": 2}),
    "conditional": (GAN, functools.partial(networks, conditional=True), {"loss": "hinge"}),
    "acgan": (ACGAN, functools.partial(networks, conditional=True), {"penalty": ("r1",)}),
    "bigan": (BiGAN, networks, {"penalty": ("r1",), "joint_units": 4}),
    "infogan": (InfoGAN, networks, {"categories": (2,), "continuous": 1}),
    "vae_gan": (VAEGAN, networks, {}),
    "distillation": (Distillation, networks, {"teacher": TEACHER}),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_trainer_shows_d_augmented_images_and_adapts(name):
    """D's first layer meets dark images only, once p is 1, and p gets there."""
    kind, architecture, options = EVERY[name]
    options = {"augment": blink, "augment_target": -0.99, "augment_speed_kimg": 0.032, **options}
    made = build(kind, GREY, architecture, **options)
    batch = first(size=made.images_per_step)
    for _ in range(4):
        step(made, batch)
    assert p_of(made) == 1.0
    seen = []
    (layer,) = (x for x in made.networks["discriminator"].layers if x.name.startswith("flatten"))
    call = layer.call
    layer.call = lambda x: seen.append(x.numpy()) or call(x)
    step(made, batch)
    assert len(seen) >= 3 and all((x == -1.0).all() for x in seen)


def test_g_learns_through_ada_in_colour():
    trainer = build(source=COLOUR, augment="ada", augment_p=0.8, penalty=("r1", "r2"))
    before = numbers(trainer)
    logs = step(trainer, first(COLOUR))
    assert all(np.isfinite(value) for value in logs.values()) and logs["penalty/r1"] > 0
    after = numbers(trainer)
    for name in ("generator/0", "discriminator/0"):
        assert np.isfinite(after[name]).all() and (after[name] != before[name]).all()


def test_float16_is_finite_and_skipped_steps_move_no_p():
    options = {"augment": "diffaugment", "augment_target": -0.99, "augment_speed_kimg": 0.1}
    trainer = build(source=COLOUR, precision="mixed_float16", penalty=("r1",), **options)
    trainer.augmentation.p.assign(0.5)
    trainer.loss_scales["discriminator"].value.assign(2.0**80)
    for _ in range(4):
        step(trainer, first(COLOUR))
    assert trainer.loss_scales["discriminator"].skipped.numpy() == 4 and p_of(trainer) == 0.5
    trainer.loss_scales["discriminator"].value.assign(2.0**8)
    for _ in range(4):
        step(trainer, first(COLOUR))
    assert p_of(trainer) == pytest.approx(0.82)
    for values in numbers(trainer).values():
        assert np.isfinite(np.asarray(values, np.float32)).all()


def test_a_student_takes_the_p_that_its_run_has_reached():
    values = {
        "dataset": "fashion_mnist_small", "width": 0.05, "latent_dim": 4,
        "augment": "diffaugment", "policy": "color", "augment_target": 0.6,
    }  # fmt: skip
    run = experiment.build(values, make_strategy("one"))
    run.trainer.augmentation.p.assign(0.25)
    student = students.make_trainer(run, Student(), CompressOptions())
    assert student.augment.keywords == {"policy": ("color",)}
    assert (student.augment_p, student.augmentation.p) == (0.25, None)


class Unobserved(GAN):
    def update_discriminator(self, batch, fake, critic=0):
        with self.tape() as tape:
            logits = [self.discriminate(x, batch) for x in (batch["x"], fake)]
            loss = self.loss_functions.discriminator(*logits)
        self.minimize(loss, "discriminator", tape)
        return {"loss/discriminator": loss}


def smaller(images, *, seed, p):
    return images[:, 1:]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "--augment: say how often an image is changed: --augment_p=0.2"),
        ({"augment_p": 1.5}, "--augment_p=1.5: expected 0 to 1"),
        ({"augment": None, "augment_p": 0.5}, "--augment_p=0.5: there is no --augment"),
        ({"augment": None, "augment_target": 0.6}, "--augment_target=0.6: there is no --augment"),
        ({"augment_target": 1.0}, "--augment_target=1.0: expected more than -1"),
        ({"augment_target": 0.6, "augment_p": 1.0}, "p is either given or adapted"),
        ({"augment_target": 0.6, "loss": "relativistic"}, "take a schedule, as in --augment_p=cos"),
        ({"augment_target": 0.6, "loss": "wasserstein"}, "the sign of a real's logit says nothing"),
        (
            {"augment_target": 0.6, "augment_speed_kimg": 0.0},
            "--augment_speed_kimg=0.0: expected more than 0",
        ),
        ({"augment": "adda"}, "--augment 'adda' is not known. Did you mean 'ada'?"),
        ({"source": ToySource((2,)), "augment_p": 0.5}, "--augment: 'toy' has no images"),
        (
            {"source": ToySource((4, 4, 2)), "augment_p": 0.5},
            "--augment=ada: images of 2 channels have no colours",
        ),
        (
            {"kind": Distillation, "augment_target": 0.6, "adversarial_weight": 0.0},
            "--augment_target with --adversarial_weight=0",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, says):
    if options.get("kind"):
        options = {**options, "teacher": TEACHER}
    with pytest.raises(UserError) as error:
        build(**{"augment": "ada", **options})
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_wrong_fork_is_named():
    with pytest.raises(CodeError, match=r"test_augmentation.py:\d+: returned float32 \(2, 3, 4, 1"):
        build(augment=smaller, augment_p=0.5)
    trainer = build(Unobserved, augment=dim, augment_target=0.6)
    with pytest.raises(CodeError, match=r"never calls self\.augmentation\.observe"):
        train(trainer, 1)


def test_flags_reach_the_pipeline():
    values = {"dataset": "fashion_mnist_small", "augment": "diffaugment", "policy": "colour"}
    with pytest.raises(UserError, match="--policy=colour: expected some of color, translation"):
        experiment.build(values, make_strategy("one"))
