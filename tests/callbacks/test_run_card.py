"""What a run says of itself, asked of a TensorBoard server."""

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from toys import ToySource, toy_gan

from callbacks.metrics_log import MetricsLog
from callbacks.run_card import LAYOUT, RunCard
from callbacks.tensorboard_scalars import TensorBoardScalars

FLAGS = {"learning_rate": 2e-4, "n_critic": 2, "xla": False, "penalty": "r1", "width": None}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """TensorBoard's address, of two runs: one alone, one that was interrupted and went on."""
    folder = tmp_path_factory.mktemp("runs")
    for name, rate in (("one", 2e-4), ("two", 1e-3)):
        for total in (0.02, 0.04)[: 1 + (name == "two")]:
            trainer, source = toy_gan(), ToySource()
            card = RunCard(
                folder / name,
                FLAGS | {"learning_rate": rate},
                {"command": f"`train --workdir={name}`", "data": "| a | b |\n|---|---|\n| 1 | 2 |"},
            )
            log = MetricsLog(
                folder / name,
                log_every_kimg=0.01,
                sinks=[TensorBoardScalars(folder / name)],
            )
            trainer.fit(source, total_kimg=total, callbacks=[log, card], steps_per_loop=1)
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", f"--logdir={folder}", "--port=0",
         "--host=127.0.0.1", "--load_fast=false"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"http://\S+:\d+/", line):
                yield match[0]
                break
        else:
            raise AssertionError("TensorBoard did not start")
    finally:
        process.kill()
        process.communicate()


def ask(server: str, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
    url = f"{server}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_texts_are_rendered(server):
    tags = ask(server, "data/plugin/text/tags")
    # A run has its folder's name.
    assert set(tags) == {"one", "two"}
    assert all(set(found) == {"run/command", "run/data"} for found in tags.values())
    (event,) = ask(server, "data/plugin/text/text", run="one", tag="run/data")
    assert "<td>1</td>" in event["text"]


def test_flags_stand_beside_metrics(server):
    name = {"experimentName": ""}
    ask(server, "data/plugin/hparams/experiment", name)
    groups = ask(
        server,
        "data/plugin/hparams/session_groups",
        {
            **name,
            "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_RUNNING", "STATUS_SUCCESS"],
            "colParams": [{"metric": {"tag": "loss/generator", "group": ""}}],
            "startIndex": 0,
            "sliceSize": 10,
        },
    )["sessionGroups"]
    rates = {group["hparams"]["learning_rate"] for group in groups}
    assert len(groups) == 2 and rates == {2e-4, 1e-3}
    for group in groups:
        assert group["hparams"]["n_critic"] == 2 and group["hparams"]["penalty"] == "r1"
        assert group["hparams"]["xla"] is False and group["hparams"]["width"] == "none"
        (session,) = group["sessions"]
        (value,) = (
            m["value"] for m in session["metricValues"] if m["name"]["tag"] == "loss/generator"
        )
        assert np.isfinite(value)


def test_charts_are_laid_out(server):
    layout = ask(server, "data/plugin/custom_scalars/layout")
    categories = {c["title"]: [chart["title"] for chart in c["chart"]] for c in layout["category"]}
    assert categories == {title: list(charts) for title, charts in LAYOUT.items()}
    tags = ask(server, "data/plugin/scalars/tags")
    assert set(tags) == {"one", "two"}
    (losses,) = LAYOUT["Losses"]["losses"]
    found = ask(server, "data/plugin/custom_scalars/scalars", run="one", tag=losses)
    assert found["regex_valid"]
    assert set(found["tag_to_events"]) == {"loss/generator", "loss/discriminator"}


def test_every_logged_number_has_a_chart(server):
    patterns = [p for charts in LAYOUT.values() for tags in charts.values() for p in tags]
    tags = {tag for found in ask(server, "data/plugin/scalars/tags").values() for tag in found}
    assert "loss/generator" in tags
    for tag in tags:
        assert any(re.match(pattern, tag) for pattern in patterns), tag
