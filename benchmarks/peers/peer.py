"""A contender's process, seen from the benchmark that asks it, and what it reads."""

import json
import pathlib
import signal
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmarks._process import ROOT, Process
from benchmarks.peers import graph
from benchmarks.peers.works import Work
from experiments import experiment
from gan import images

WARM_UP = 4  # steps


class Peer(Process):
    """A contender's process; see benchmarks/peers/worker.py.

    Attributes:
        first: what it said of itself, and `seconds` until it had made its first call.
        rounds: its measurements: steps, wall, cpu, losses, ahead, peak_bytes.
    """

    def __init__(
        self,
        name: str,
        python: str,
        folder: pathlib.Path,
        threads: int,
        root: pathlib.Path = ROOT,
    ) -> None:
        """Starts it, and makes its first call of steps.

        Args:
            name: "side kind", such as "torch fast".
            python: its interpreter.
            folder: what `prepare` wrote.
            threads: cores that it may use.
            root: the checkout that it imports.
        """
        side, kind = name.split()
        command = [python, "-m", "benchmarks.peers.worker", side, kind, str(folder), str(threads)]
        began = time.monotonic()
        super().__init__(name, command, folder / f"{side}.{kind}.log", threads, "{", root)
        self.first: dict[str, Any] = self.answer()
        self.first["seconds"] = time.monotonic() - began
        self.rounds: list[dict[str, Any]] = []

    def warm_up(self, seconds: float) -> float:
        """Trains a little, and sets how many steps last so long; returns seconds of a call."""
        call = self.first["steps_per_call"]
        calls = max(1, WARM_UP // call)
        # The first time compiles what a lazy penalty leaves out.
        trials = [self.measure(calls * call) for _ in range(2)]
        took: float = trials[-1]["wall"] / calls
        self.first["warm_up"] = call + sum(t["steps"] + t["ahead"] for t in trials)
        self.first["steps"] = call * max(1, round(seconds / took))
        return took

    def measure(self, steps: int) -> dict[str, Any]:
        """Trains for so many steps."""
        self.process.send_signal(signal.SIGCONT)
        answer = self.ask(str(steps))
        self.process.send_signal(signal.SIGSTOP)  # So that none of its threads takes a core.
        return {"steps": steps, **answer}


def take_turns(peers: Sequence[Peer], rounds: int) -> None:
    """Measures each so many times, in an order that reverses every time."""
    for i in range(rounds):
        for peer in peers if i % 2 == 0 else peers[::-1]:
            peer.rounds.append(peer.measure(peer.first["steps"]))


def prepare(work: Work, folder: pathlib.Path, **more: Any) -> experiment.Experiment:
    """Writes what the contenders read: work.json, data.npz, inputs.npz and the networks.

    Args:
        work: what they train.
        folder: where to.
        **more: what else to say in work.json.
    """
    values = work.values
    if work.colour_pairs:
        values |= {"dataset": f"unpaired:{_colour_pairs(folder / 'domains', 64)}"}
    run = experiment.build(values)
    described = {"values": values, "steps_per_call": work.steps_per_call, **more}
    (folder / "work.json").write_text(json.dumps(described, indent=1))
    kept: dict[str, list[np.ndarray]] = {}
    seen = 0
    for batch in run.source.pipeline(run.trainer.images_per_step, seed=0):
        for name in ("a", "b") if "a" in batch else ("x",):
            kept.setdefault(name, []).append(np.asarray(batch[name], np.float32))
        seen += run.trainer.images_per_step
        if seen >= min(max(run.source.spec.size, 512), 8192):
            break
    data = {name: np.concatenate(parts) for name, parts in kept.items()}
    np.savez(folder / "data.npz", allow_pickle=False, **data)
    inputs, rng = {}, np.random.default_rng(0)
    for name, network in run.trainer.networks.items():
        shape = network.inputs[0].shape[1:]
        rows = next(iter(data.values()))[:16]
        is_data = rows.shape[1:] == shape and name != "generator"
        inputs[name] = rows if is_data else rng.standard_normal((16, *shape), np.float32)
        graph.save(network, folder / name)
        network.save_weights(folder / f"{name}.weights.h5")
    np.savez(folder / "inputs.npz", allow_pickle=False, **inputs)
    return run


def _colour_pairs(folder: pathlib.Path, side: int) -> pathlib.Path:
    """The embedded emoji in colour and in grey, as folders A and B."""
    source = experiment.load_source({"dataset": "emoji_small"})
    (batch,) = source.pipeline(source.spec.size, seed=0).take(1)
    for name in "AB":
        (folder / name).mkdir(parents=True)
    for i, x in enumerate(np.asarray(batch["x"])):
        image = Image.fromarray(images.to_uint8(x)).resize((side, side))
        image.save(folder / "A" / f"{i}.png")
        image.convert("L").convert("RGB").save(folder / "B" / f"{i}.png")
    return folder
