"""Counting in images: exact where thousands are written as decimals."""

from decimal import ROUND_HALF_EVEN, Decimal

import keras
import numpy as np
import pytest
from toys import ToySource, toy_gan

from callbacks._cadence import Cadence
from callbacks.lr_decay import LearningRateDecay
from trainers import averages
from trainers.progress import whole_images


def test_kimg_are_whole_images_as_they_are_written():
    for images in [*range(1, 3000, 7), 16_100, 64_200, 1_005, 999_999_999]:
        text = str(Decimal(images) / 1000)
        assert whole_images(float(text)) == images
    for text in ("0.0123", "1.2346", "7.0004", "16.1"):
        exact = (Decimal(text) * 1000).quantize(Decimal(1), ROUND_HALF_EVEN)
        assert whole_images(float(text)) == exact
    assert whole_images(0) == 0 and whole_images(1e-9) == 1


@pytest.mark.parametrize(("kimg", "batch", "steps"), [(16.1, 100, 161), (1.1, 100, 11)])
def test_a_budget_takes_no_step_too_many(kimg, batch, steps):
    """16.1 * 1000 is 16100.000000000002 in floats, and 1.1 * 1000 is 1100.0000000000002."""
    trainer = toy_gan(batch_size=batch)
    ends = []
    ended = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, _: ends.append((e, trainer.step)))
    trainer.fit(
        ToySource(), total_kimg=kimg, steps_per_loop=200, eval_every_kimg=kimg, callbacks=[ended]
    )
    assert trainer.step == steps
    assert ends == [(0, steps)]
    trainer.fit(ToySource(), total_kimg=kimg)
    assert trainer.step == steps


def test_epochs_end_where_their_decimals_say():
    """3 * 16.1 is 48.300000000000004 in floats, and three epochs are a budget of 48.3."""
    trainer = toy_gan(batch_size=100)
    ends = []
    ended = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, _: ends.append((e, trainer.step)))
    trainer.fit(
        ToySource(), total_kimg=48.3, steps_per_loop=200, eval_every_kimg=16.1, callbacks=[ended]
    )
    assert ends == [(0, 161), (1, 322), (2, 483)]
    assert trainer.step == 483


def test_an_evaluation_period_below_a_step_evaluates_once_a_step():
    trainer = toy_gan(batch_size=8)
    ends = []
    ended = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, _: ends.append((e, trainer.step)))
    trainer.fit(
        ToySource(), total_kimg=0.032, steps_per_loop=50, eval_every_kimg=0.003, callbacks=[ended]
    )
    assert [step for _, step in ends] == [1, 2, 3, 4]
    assert [epoch for epoch, _ in ends] == sorted({epoch for epoch, _ in ends})


def test_cadences_count_whole_images():
    cadence = Cadence(16.1)
    cadence.start(0)
    assert [n for n in range(0, 48_400, 100) if cadence.due(n)] == [16_100, 32_200, 48_300]


def test_rates_reach_nought_with_the_last_image():
    decay = LearningRateDecay("linear", total_kimg=16.1, start=0.5)
    assert decay.factor(8_050) == 1.0
    assert decay.factor(16_100) == 0.0
    assert decay.factor(12_075) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("half_life_kimg", [0.001, 0.05, 1.0, 10.0, 500.0, 20_000.0])
@pytest.mark.parametrize("batch", [1, 4, 64, 1024])
def test_the_averages_rate_is_float64s(half_life_kimg, batch):
    rate = averages.update_rate(10**9, batch, half_life_kimg, None)
    exact = 1.0 - np.float64(0.5) ** (batch / (half_life_kimg * 1000))
    assert rate.dtype == np.float32
    # float64's own cancellation leaves 1e-16 / 3e-8 of it.
    np.testing.assert_allclose(rate, exact, rtol=1e-6)


@pytest.mark.parametrize("images", [1, 100, 10**6])
def test_the_averages_rate_under_rampup(images):
    half_life = min(500_000.0, 0.05 * images)
    exact = -np.expm1(-np.log(2.0) * 1 / half_life)
    np.testing.assert_allclose(averages.update_rate(images, 1, 500.0, 0.05), exact, rtol=1e-6)
