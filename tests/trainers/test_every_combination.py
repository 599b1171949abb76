"""Every trainer with every architecture that fits it: whom two steps move, precisions, resume."""

import functools

import keras
import numpy as np
import pytest
from toys import ToySource, assert_equal, numbers

from gan.errors import UserError
from gan.registry import names, resolve
from trainers import routes
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy

IMAGES = ToySource((8, 8, 3), classes=3)
POINTS = ToySource((2,), classes=3)
DOMAINS = ToySource((8, 8, 3), domains=("a", "b"), paired=True)
TRANSLATORS = ("unet", "resnet_translator")
OPTIONS = {
    "gan": {"penalty": ("r1",), "penalty_every": 2},
    "infogan": {"categories": (3,), "continuous": 1},
}
# Pairs that do not fit, and what is said.
UNFIT = {
    ("cyclegan", "unet"): "discriminator_a takes",
    ("pix2pix", "resnet_translator"): "its discriminator takes",
}
LABELS = ("acgan",)  # trainers whose G must see labels
PLAIN = ("vae_gan", "bigan", "infogan")  # whose networks see none


def combinations():
    for trainer in names("trainer"):
        translates = trainer in ("cyclegan", "pix2pix")
        for architecture in names("architecture"):
            if (architecture in TRANSLATORS) == translates and architecture != "patchgan":
                for conditional in (False, True):
                    if conditional and (trainer in PLAIN or translates):
                        continue
                    if not conditional and trainer in LABELS:
                        continue
                    yield trainer, architecture, conditional


def make(trainer, architecture, conditional, **options):
    """The trainer on tiny networks, and its data."""
    translates = trainer in ("cyclegan", "pix2pix")
    source = DOMAINS if translates else POINTS if architecture == "mlp" else IMAGES
    bound = {"width": 0.05} | ({} if translates else {"latent_dim": 8})
    if conditional:
        bound["conditional"] = True
    networks = functools.partial(resolve("architecture", architecture), **bound)
    if trainer == "distillation":
        keras.utils.set_random_seed(1)
        options["teacher"] = networks(source.spec).generator
    options = {"batch_size": 4, **OPTIONS.get(trainer, {}), **options}
    return resolve("trainer", trainer)(networks, source.spec, **options), source


def train(trainer, source, steps):
    total = (trainer.step + steps) * trainer.images_per_step / 1000
    trainer.fit(source, total_kimg=total, steps_per_loop=1, eval_every_kimg=1.0)


def weights(trainer):
    return {n: [v.numpy() for v in net.trainable_variables] for n, net in trainer.networks.items()}


def skip_unfit(trainer, architecture):
    says = UNFIT.get((trainer, architecture))
    if says:
        with pytest.raises(UserError, match=says):
            make(trainer, architecture, conditional=False)
        pytest.skip(f"{trainer} takes no {architecture}")


def over(kept):
    return pytest.mark.parametrize(
        ("trainer", "architecture", "conditional"),
        [pytest.param(*c, id="-".join(c[:2]) + "-labels" * c[2]) for c in kept],
    )


every = over(list(combinations()))
# Every architecture with `gan`, and every trainer with one architecture.
each = over([c for c in combinations() if c[0] == "gan" or c[1] in ("dcgan", *TRANSLATORS)])


@pytest.mark.slow
@every
def test_two_steps_move_what_they_should_and_a_resume_is_equal(
    trainer, architecture, conditional, tmp_path
):
    """By its routes, and by its weights; after a restore at step 1 the second step is the same.

    The step is traced once, for both graph calls.
    """
    skip_unfit(trainer, architecture)
    whole, source = make(trainer, architecture, conditional)
    moved = {network for moves in routes.check(whole, source).values() for network in moves}
    assert moved == {name for names in whole.groups.values() for name in names}
    before, step, traces = weights(whole), whole.train_step, []
    whole.train_step = lambda batch: traces.append(batch) or step(batch)
    train(whole, source, 2)
    assert len(traces) == 1
    for name, after in weights(whole).items():
        changed = [not np.array_equal(a, b) for a, b in zip(before[name], after)]
        assert any(changed) == (name in moved), name
        assert all(np.isfinite(a).all() for a in after), name
    first, _ = make(trainer, architecture, conditional)
    train(first, source, 1)
    Checkpoints(tmp_path).save(first)
    second, _ = make(trainer, architecture, conditional)
    assert Checkpoints(tmp_path).restore(second) == 1
    train(second, source, 1)
    assert_equal(numbers(whole), numbers(second))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@each
def test_half_precision_stays_finite(trainer, architecture, conditional, precision):
    """All but the loss scale's first steps, which may be too large and are skipped."""
    skip_unfit(trainer, architecture)
    made, source = make(trainer, architecture, conditional, precision=precision)
    before = weights(made)
    train(made, source, 4)
    skipped = {group: int(s.skipped.numpy()) for group, s in made.loss_scales.items()}
    for group, networks in made.groups.items():
        if skipped[group] < 4 and group not in made.frozen:
            assert any(
                not np.array_equal(a, b)
                for name in networks
                for a, b in zip(before[name], weights(made)[name])
            )
    for values in numbers(made).values():
        assert np.isfinite(np.asarray(values, np.float32)).all()


@pytest.mark.slow
@over([c for c in combinations() if c[1] == "dcgan"])
def test_routes_hold_through_an_augmentation(trainer, architecture, conditional):
    made, source = make(trainer, architecture, conditional, augment="ada", augment_target=0.6)
    made.augmentation.p.assign(0.5)
    moved = {network for moves in routes.check(made, source).values() for network in moves}
    assert moved == {name for names in made.groups.values() for name in names}


@pytest.mark.slow
@each
def test_two_replicas_agree(trainer, architecture, conditional):
    """Each replica's weights are the same after two steps on different halves of the batch."""
    skip_unfit(trainer, architecture)
    strategy = make_strategy("mirrored")
    with strategy.scope():
        made, source = make(trainer, architecture, conditional)
    train(made, source, 2)
    for network in made.networks.values():
        for variable in network.trainable_variables:
            first, second = strategy.experimental_local_results(variable.value)
            np.testing.assert_array_equal(first.numpy(), second.numpy(), err_msg=variable.path)
