import io
from collections.abc import Callable
from typing import Any

from callbacks.evaluation import Evaluation
from callbacks.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_on_a_terminal(make_gan: Callable[..., Any], source: Any) -> None:
    screen = Terminal()
    make_gan().fit(source, total_kimg=0.064, steps_per_loop=1, callbacks=[ProgressBar(file=screen)])
    tracing, first, text = screen.getvalue().split("\n", 2)
    assert tracing == "Tracing the training step." and first.startswith("First steps after ")
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
    assert tracing == "Tracing the training step." and first.startswith("First steps after ")
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


def test_evaluations_are_told(make_gan: Callable[..., Any], source: Any) -> None:
    class Found:
        metrics, protocol = ("fid",), {}

        def evaluate(self, sampler: Any, seed: Any = None) -> dict[str, float]:
            return {"fid": 12.3456}

    for file in (io.StringIO(), Terminal()):
        bar = ProgressBar(file=file, label="{}[fashion]".format)
        make_gan().fit(
            source,
            total_kimg=0.016,
            callbacks=[Evaluation(Found()), bar],  # type: ignore[arg-type]
        )
        assert "0.016 kimg: fid[fashion] 12.35\n" in file.getvalue()
