"""Two workers on loopback: they wait for each other, begin alike, step as one and stop as one."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from toys import toy_gan

from gan.errors import UserError
from trainers import rendezvous
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy, of_workers

WORKER = """
import sys
import tensorflow as tf
from trainers.distribution import is_chief, make_strategy
strategy = make_strategy("multi_worker")
import numpy as np
from toys import ToySource, numbers, points
from trainers.checkpoints import Checkpoints
from trainers.gan import GAN

class SameNoise(GAN):
    def normal(self, shape, name):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        full = tf.random.stateless_normal((16, 3), seed=(3, 4))
        return tf.ensure_shape(full[replica * shape[0] : (replica + 1) * shape[0]], (shape[0], 3))

with strategy.scope():
    trainer = SameNoise(
        points,
        ToySource().spec,
        batch_size=16,
        learning_rate=1e-2,
        penalty=("r1",),
        precision=sys.argv[2],
    )
trainer.fit(ToySource(), total_kimg=0.064, steps_per_loop=2)
Checkpoints(sys.argv[1]).save(trainer)
assert is_chief(strategy) == (strategy.cluster_resolver.task_id == 0)
np.savez(f"{sys.argv[1]}/{strategy.cluster_resolver.task_id}.npz", **numbers(trainer))
"""


# Restores, fits with a callback that sends this worker a signal at an event, and says what it sees.
STOPPED = """
import os, signal, sys, time
from trainers.distribution import make_strategy
strategy = make_strategy("multi_worker")
import keras
from toys import ToySource, toy_gan
from gan.errors import UserError
from trainers.checkpoints import Checkpoints

folder, event, sender = sys.argv[1], sys.argv[2], int(sys.argv[3])
task = strategy.cluster_resolver.task_id
with strategy.scope():
    trainer = toy_gan(batch_size=16)
checkpoints = Checkpoints(folder)
try:
    checkpoints.restore(trainer)
except UserError as error:
    sys.exit(f"error: {error}")

def strike(*_, **__):
    if task == sender:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.1)

callback = keras.callbacks.LambdaCallback(**({event: strike} if event != "none" else {}))
trainer.fit(
    ToySource(), total_kimg=0.32, steps_per_loop=2, eval_every_kimg=0.064, callbacks=[callback]
)
checkpoints.save(trainer)
print(f"step {trainer.step} interrupted {trainer.interrupted}")
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start(workers, index, *command, **options):
    config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
    path = os.pathsep.join([os.getcwd(), os.path.join(os.getcwd(), "tests")])
    environment = os.environ | {"TF_CONFIG": json.dumps(config), "PYTHONPATH": path}
    return subprocess.Popen([sys.executable, *command], env=environment, **options)


def outcomes(processes):
    """[(status, stdout, stderr)] of processes that run side by side."""
    texts = [p.communicate(timeout=300) for p in processes]
    return [(p.returncode, *text) for p, text in zip(processes, texts)]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_two_workers_take_the_steps_of_one(tmp_path, precision):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]

    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    both = [start(workers, i, script, tmp_path / "two", precision) for i in range(2)]
    assert [p.wait(timeout=300) for p in both] == [0, 0]
    address = f"127.0.0.1:{free_ports(1)[0]}"
    alone = start([address], 0, script, tmp_path / "one", precision)
    assert alone.wait(timeout=300) == 0

    one = np.load(tmp_path / "one" / "0.npz")
    for index in range(2):
        two = np.load(tmp_path / "two" / f"{index}.npz")
        assert set(two) == set(one)
        tolerance = 1e-5 if precision == "float32" else 2e-3
        for name in one:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=tolerance)
    assert [p.name for p in (tmp_path / "two" / "checkpoints").iterdir()] == ["step-0000000004"]


def stopped(tmp_path, *, event="none", sender=0, folders=None):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    folders = folders or [tmp_path / "run"] * 2
    return outcomes(
        [start(workers, i, script, folders[i], event, str(sender), **pipes) for i in range(2)]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "sender", "step"),
    [("on_train_batch_end", 1, 2), ("on_epoch_end", 1, 4), ("on_train_begin", 1, 0)],
)
def test_a_signal_to_one_worker_stops_all_of_them_alike(tmp_path, event, sender, step):
    """In a step, in an evaluation, in what comes before the first step."""
    found = stopped(tmp_path, event=event, sender=sender)
    said = f"step {step} interrupted {int(signal.SIGTERM)}"
    assert [(status, out.splitlines()[-1:]) for status, out, _ in found] == [(0, [said])] * 2, found


@pytest.mark.slow
def test_workers_with_different_checkpoints_refuse_to_begin(tmp_path):
    """One sees a disk without the run; the chief's own choice is nobody else's."""
    trainer = toy_gan(batch_size=16)
    Checkpoints(tmp_path / "chief").save(trainer)
    found = stopped(tmp_path, folders=[tmp_path / "chief", tmp_path / "other"])
    for status, _, err in found:
        assert status == 1
        last = err.strip().splitlines()[-1]
        assert "worker 0 at step 0, worker 1 without a checkpoint" in last
        assert "one folder" in last


@pytest.mark.slow
def test_workers_follow_the_chief_and_leave_nothing_behind(tmp_path):
    """Both begin at the chief's latest; what killed workers left half-written is swept."""
    first = stopped(tmp_path, event="on_train_batch_end", sender=0)
    assert [status for status, *_ in first] == [0, 0]
    left = tmp_path / "run" / "checkpoints" / ".tmp-worker-1-step-0000000001"
    left.mkdir()
    second = stopped(tmp_path)
    said = "step 20 interrupted None"
    assert [(status, out.splitlines()[-1:]) for status, out, _ in second] == [(0, [said])] * 2
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["step-0000000002", "step-0000000020"]


@pytest.mark.slow
def test_sigterm_to_a_worker_interrupts_the_run(tmp_path):
    """The script's exit status is 128 + n in all workers, and the chief says so."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    flags = [
        "-m", "scripts.train", f"--workdir={tmp_path / 'run'}", "--strategy=multi_worker",
        "--dataset=ring", "--architecture=mlp", "--width=0.05", "--batch_size=8",
        "--steps_per_loop=2", "--eval_every_kimg=none", "--image_every_kimg=none",
        "--on_collapse=off", "--log_every_kimg=0.01",
    ]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [start(workers, i, *flags, **pipes) for i in range(2)]
    log = tmp_path / "run" / "metrics.jsonl"
    while not log.exists():
        assert all(p.poll() is None for p in both)
        time.sleep(0.05)
    both[1].terminate()
    found = outcomes(both)
    assert [status for status, *_ in found] == [128 + signal.SIGTERM] * 2
    assert "Interrupted and saved at step" in found[0][1]


def test_workers_wait_until_all_answer():
    workers = [f"127.0.0.1:{port}" for port in free_ports(3)]
    failed = []

    def wait(index):
        try:
            rendezvous.wait_for_workers(workers, index, timeout=30.0)
        except UserError as error:
            failed.append(error)

    first = [threading.Thread(target=wait, args=(i,)) for i in range(2)]
    for thread in first:
        thread.start()
    first[0].join(timeout=0.5)
    assert first[0].is_alive() and first[1].is_alive()  # The third is missing.
    wait(2)
    # Where a worker was let go, its TensorFlow answers from then on; here, another socket.
    with rendezvous._answering(workers[2]):
        for thread in first:
            thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in first) and not failed


def test_a_worker_alone_says_whom_it_waits_for_and_gives_up(monkeypatch, capsys):
    monkeypatch.setattr(rendezvous, "_PRINT_EVERY", 0.3)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with pytest.raises(UserError, match=rf"worker 0 waited 0\.9 s for worker\(s\) {workers[1]}"):
        rendezvous.wait_for_workers(workers, 0, timeout=0.9)
    told = capsys.readouterr().err.splitlines()
    assert told and all(workers[1] in line and workers[0] not in line for line in told)
    rendezvous.wait_for_workers(workers[:1], 0, timeout=0.1)  # One worker waits for nobody.


def test_a_port_in_use_is_one_line():
    with socket.create_server(("", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UserError, match=f"this worker's port, {taken} in TF_CONFIG"):
            rendezvous.wait_for_workers([taken, "127.0.0.1:1"], 0, timeout=5.0)


@pytest.mark.parametrize(
    "config",
    [
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": -1}},
        {"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}},
        {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}},
    ],
)
def test_a_config_that_names_no_worker_is_one_line(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(UserError, match="does not name this worker") as error:
        make_strategy("multi_worker")
    assert "\n" not in str(error.value)


def test_alone_a_worker_is_asked_for_its_own_word():
    assert of_workers(make_strategy("one"), 41) == [41]
