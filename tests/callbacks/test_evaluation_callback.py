import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from callbacks.evaluation import Evaluation
from callbacks.metrics_log import MetricsLog
from gan.architectures import Networks
from gan.errors import UserError
from gan.metrics.evaluation import Evaluator
from gan.metrics.modes import mixture_modes
from gan.sampling import latents
from trainers.cyclegan import CycleGAN


@pytest.fixture
def ring(make_source: Callable[..., Any]) -> Any:
    source = make_source(shape=(2,), num_classes=0)
    angle = np.arange(8) * np.pi / 4
    source.centers = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    source.std = 0.1
    return source


def test_adds_its_results_for_those_behind_it(
    make_gan: Callable[..., Any], ring: Any, tmp_path: Path
) -> None:
    found: list[dict[str, float]] = []
    trainer = make_gan(ring.spec)

    class Own(keras.callbacks.Callback):
        """The same judgement, made by hand on the averaged weights."""

        def on_train_begin(self, logs: Any = None) -> None:
            self.judge()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.judge()
            assert logs["eval/modes"] == found[-1]["modes"]

        def judge(self) -> None:
            z = latents(500, 4, 1)
            samples = self.model.ema["generator"].predict(z, verbose=0)
            found.append(mixture_modes(samples, ring.centers, ring.std))

    evaluation = Evaluation(Evaluator(ring, num_samples=500, seed=1), at_start=True)
    history = trainer.fit(
        ring,
        total_kimg=0.032,
        eval_every_kimg=0.016,
        callbacks=[evaluation, Own(), MetricsLog(tmp_path, log_every_kimg=None)],
    )
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [0, 16, 32]
    for line, want in zip(lines, found, strict=True):
        for name in ("modes", "high_quality", "reverse_kl"):
            assert line[f"eval/{name}"] == pytest.approx(want[name], rel=1e-6)
    assert history.history["eval/modes"] == [line["eval/modes"] for line in lines[1:]]


def test_a_resumed_run_does_not_judge_the_start_again(
    make_gan: Callable[..., Any], ring: Any
) -> None:
    trainer = make_gan(ring.spec)
    trainer.fit(ring, total_kimg=0.008)
    evaluation = Evaluation(Evaluator(ring), at_start=True)
    evaluation.set_model(trainer)
    logs: dict[str, Any] = {}
    evaluation.on_train_begin(logs)
    assert logs == {}


def test_a_translator_is_judged_by_its_translations(make_source: Callable[..., Any]) -> None:
    source = make_source(shape=(28, 28, 1), num_classes=0, domains=("a", "b"), size=24)

    def translator(spec: Any) -> Networks:
        x = keras.Input(spec.shape, name="x")
        y = keras.layers.Conv2D(1, 1, activation="tanh", name="mix")(x)
        return Networks(keras.Model(x, y), keras.Model(x, keras.layers.Conv2D(1, 3)(x)))

    trainer = CycleGAN(translator, source.spec, batch_size=2, ema_half_life_kimg=None)
    evaluator = Evaluator(source, num_samples=20)
    evaluation = Evaluation(evaluator)
    evaluation.set_model(trainer)
    logs: dict[str, Any] = {}
    evaluation.on_epoch_end(0, logs)
    translated = trainer.networks["generator_ab"].predict(source.examples["a"][:20], verbose=0)
    assert logs["eval/fid"] == pytest.approx(
        evaluator.evaluate_images([translated])["fid"], rel=1e-4
    )


def test_evaluations_keep_to_their_share_of_the_time(
    make_gan: Callable[..., Any], ring: Any
) -> None:
    """Epochs of 10 s, evaluations of 30 s and a share of 1/4: one in 120 s, once it is kept to."""
    now = 0.0

    class Slow(Evaluator):
        def evaluate(self, sampler: Any, seed: int | None = None) -> dict[str, float]:
            nonlocal now
            now += 30.0
            return {"modes": 1.0}

    evaluation = Evaluation(Slow(ring), share=0.25, clock=lambda: now)
    evaluation.set_model(make_gan(ring.spec))
    evaluation.on_train_begin({})
    judged = []
    for epoch in range(40):
        now += 10.0
        logs: dict[str, Any] = {}
        evaluation.on_epoch_end(epoch, logs)
        judged += [now] if logs else []
        # The first is made in any case; after that they stay within the share.
        assert len(judged) <= 1 or 30.0 * len(judged) <= 0.25 * now
    assert judged == [40.0, 240.0, 360.0, 480.0]


def test_without_a_share_every_epoch_is_judged(make_gan: Callable[..., Any], ring: Any) -> None:
    evaluation = Evaluation(Evaluator(ring, num_samples=50))
    evaluation.set_model(make_gan(ring.spec))
    evaluation.on_train_begin({})
    for epoch in range(3):
        logs: dict[str, Any] = {}
        evaluation.on_epoch_end(epoch, logs)
        assert "eval/modes" in logs
    with pytest.raises(UserError, match="--eval_share=0"):
        Evaluation(Evaluator(ring), share=0.0)
