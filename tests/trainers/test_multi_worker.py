"""Two workers on loopback take the steps of one process."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

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


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_two_workers_take_the_steps_of_one(tmp_path, precision):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]

    def start(cluster, index, out):
        out.mkdir(exist_ok=True)
        config = {"cluster": {"worker": cluster}, "task": {"type": "worker", "index": index}}
        path = os.pathsep.join([os.getcwd(), os.path.join(os.getcwd(), "tests")])
        environment = os.environ | {"TF_CONFIG": json.dumps(config), "PYTHONPATH": path}
        return subprocess.Popen([sys.executable, script, out, precision], env=environment)

    both = [start(workers, i, tmp_path / "two") for i in range(2)]
    assert [p.wait(timeout=300) for p in both] == [0, 0]
    alone = start([f"127.0.0.1:{free_ports(1)[0]}"], 0, tmp_path / "one")
    assert alone.wait(timeout=300) == 0

    one = np.load(tmp_path / "one" / "0.npz")
    for index in range(2):
        two = np.load(tmp_path / "two" / f"{index}.npz")
        assert set(two) == set(one)
        tolerance = 1e-5 if precision == "float32" else 2e-3
        for name in one:
            np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=tolerance)
    assert [p.name for p in (tmp_path / "two" / "checkpoints").iterdir()] == ["step-0000000004"]
