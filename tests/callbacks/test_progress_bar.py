import io
from collections.abc import Callable
from typing import Any

import pytest

from callbacks.evaluation import Evaluation
from callbacks.progress_bar import ProgressBar
from gan.metrics.keys import Key, declares


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_on_a_terminal(make_gan: Callable[..., Any], source: Any) -> None:
    screen = Terminal()
    make_gan().fit(source, total_kimg=0.064, steps_per_loop=1, callbacks=[ProgressBar(file=screen)])
    tracing, first, text = screen.getvalue().split("\n", 2)
    assert tracing.startswith("Tracing the training step: ") and first.startswith(
        "First steps after "
    )
    assert text.count("\n") == 1  # It renews itself.
    assert "?" not in text.split("\r")[-1]
    last = text.strip().split("\r")[-1]
    assert "100%" in last
    assert "64.0/64.0" in last
    assert "img/s" in last
    assert "generator " in last
    assert "discriminator " in last
    assert "loss" not in last


def test_plain_lines_in_a_file(make_gan: Callable[..., Any], source: Any) -> None:
    file = io.StringIO()
    make_gan().fit(
        source, total_kimg=0.064, steps_per_loop=4, callbacks=[ProgressBar(file=file, seconds=0)]
    )
    tracing, first, *lines = file.getvalue().splitlines()
    assert tracing.startswith("Tracing the training step: ") and first.startswith(
        "First steps after "
    )
    assert len(lines) == 2  # 32 and 64; the end has nothing to add.
    assert "\r" not in file.getvalue()
    assert lines[0].startswith("0.032/0.064 kimg (50%), ")
    assert lines[-1].startswith("0.064/0.064 kimg (100%), ")
    assert " img/s, 00:00 left, " in lines[-1]
    assert "discriminator " in lines[-1]


def test_a_resumed_bar_begins_where_it_was(make_gan: Callable[..., Any], source: Any) -> None:
    trainer = make_gan()
    trainer.fit(source, total_kimg=0.032)
    screen = Terminal()
    trainer.fit(source, total_kimg=0.064, steps_per_loop=1, callbacks=[ProgressBar(file=screen)])
    shown = [part for part in screen.getvalue().split("\r") if "%" in part]
    assert "62%" in shown[0]  # behind the first step of the other half


@declares(
    Key("blur", better="lower", unit="px", form=".1f", decides=True),
    Key("found", better="higher", form=".0%", covers="share"),
    Key("size"),
)
def blur(reference: Any, samples: Any) -> dict[str, float]:
    raise NotImplementedError  # `Judge` makes up what it finds.


class Judge:
    """What stands for an Evaluator of images."""

    def __init__(self, metrics: tuple[str, ...], found: dict[str, float]) -> None:
        self.metrics, self.found = metrics, found
        self.protocol = {"feature_net": "fashion"}

    def evaluate(self, sampler: Any, seed: Any = None) -> dict[str, float]:
        return self.found


@pytest.mark.parametrize(
    ("judge", "line"),
    [
        (Judge(("fid", "pr"), {"fid": 12.3456, "precision": 0.5, "recall": 0.25}),
         "fid[fashion] 12.35, recall[fashion] 0.25"),
        # Someone's own metric is told like ours, in the form that it declares.
        (Judge((f"{__name__}:blur", "fid"), {"blur": 3.14, "found": 0.5, "size": 9.0, "fid": 2.0}),
         "blur[fashion] 3.1 px, found[fashion] 50%, fid[fashion] 2"),
        (Judge(("ppl",), {"ppl": 7.0}), "ppl[fashion] 7"),
    ],
)  # fmt: skip
def test_what_an_evaluation_found_is_told(
    make_gan: Callable[..., Any], source: Any, judge: Any, line: str
) -> None:
    for file in (io.StringIO(), Terminal()):
        make_gan().fit(
            source, total_kimg=0.016, callbacks=[Evaluation(judge), ProgressBar(file=file)]
        )
        assert f"0.016 kimg: {line}\n" in file.getvalue()


def test_the_last_evaluation_stays_beside_the_losses(
    make_gan: Callable[..., Any], source: Any
) -> None:
    judge, file = Judge(("fid",), {"fid": 2.0}), io.StringIO()
    make_gan().fit(
        source,
        total_kimg=0.032,
        eval_every_kimg=0.016,
        steps_per_loop=1,
        callbacks=[Evaluation(judge), ProgressBar(file=file, seconds=0)],
    )
    shown = [line for line in file.getvalue().splitlines() if "img/s" in line]
    told = ["fid[fashion] 2" in line for line in shown]
    first = told.index(True)
    assert first > 0 and all(told[first:]) and "generator" in shown[-1]
