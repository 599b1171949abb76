"""Distribution strategies: where variables are placed and how data is split."""

import functools
import json
import os
import re
import signal
import threading

import tensorflow as tf

from gan.data import Source
from gan.errors import UserError
from trainers.rendezvous import wait_for_workers

STRATEGIES = ("auto", "one", "mirrored", "multi_worker")
_ADDRESS = re.compile(r".+:[0-9]{1,5}")


def make_strategy(name: str = "auto", *, worker_timeout: float = 600.0) -> tf.distribute.Strategy:
    """The `tf.distribute` strategy of a name.

    Args:
        name: "auto" (mirrored on two or more GPUs, else one), "one" (the default device),
            "mirrored" (all GPUs, or all logical CPUs without any), "multi_worker" (one process
            per worker, described by the environment variable TF_CONFIG).
        worker_timeout: seconds to wait for the other workers at most.

    Raises:
        UserError: the name is unknown, TF_CONFIG is missing or wrong, or other workers do not
            start in time.
    """
    if name not in STRATEGIES:
        raise UserError(f"--strategy={name!r}: expected one of {', '.join(STRATEGIES)}.")
    # First of all: collectives must be configured before anything lists devices.
    if name == "multi_worker":
        return _multi_worker(worker_timeout)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "one" or (name == "auto" and len(gpus) < 2):
        return tf.distribute.get_strategy()
    devices = gpus or tf.config.list_logical_devices("CPU")
    return _mirrored(tuple(d.name for d in devices))


def _multi_worker(timeout: float) -> tf.distribute.Strategy:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers, index = config["cluster"]["worker"], int(config["task"]["index"])
        if config["task"]["type"] != "worker" or set(config["cluster"]) != {"worker"}:
            raise KeyError("worker")
        if not 0 <= index < len(workers) or not all(_ADDRESS.fullmatch(w) for w in workers):
            raise IndexError(index)
    except (ValueError, KeyError, IndexError, TypeError):
        raise UserError(
            f"--strategy=multi_worker: TF_CONFIG={text!r} does not name this worker; it should "
            'look like {"cluster": {"worker": ["host:port", ...]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from None
    if timeout <= 0:
        raise UserError(f"--worker_timeout={timeout:g}: expected more than 0 seconds.")
    wait_for_workers(workers, index, timeout=timeout)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    # TensorFlow now handles SIGTERM, to learn of preemptions, so that it would not end the process.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
    return strategy


@functools.lru_cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy for the whole process: a second would reuse the first one's collective keys."""
    return tf.distribute.MirroredStrategy(devices)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: worker 0, or the only one."""
    resolver = strategy.cluster_resolver
    return resolver is None or not resolver.task_type or resolver.task_id == 0


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether the flag is set in any worker; all workers must call it and get the same answer."""
    if _workers(strategy) < 2:
        return flag
    votes = strategy.run(lambda: tf.constant(float(flag)))
    return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, votes, axis=None) > 0)


def of_workers(strategy: tf.distribute.Strategy, value: int) -> list[int]:
    """The values of all workers, in their order; all must call it and get the same answer.

    Args:
        strategy: the trainer's strategy.
        value: this worker's value, of 63 bits.
    """
    workers = _workers(strategy)
    if workers < 2:
        return [value]
    everyone = strategy.gather(strategy.run(lambda: tf.constant([value], tf.int64)), axis=0)
    return [int(v) for v in everyone.numpy()[:: len(everyone) // workers]]


def _workers(strategy: tf.distribute.Strategy) -> int:
    resolver = strategy.cluster_resolver
    return 1 if resolver is None else len(resolver.cluster_spec().as_dict().get("worker", ())) or 1


def distribute(
    strategy: tf.distribute.Strategy, source: Source, *, batch_size: int, seed: int, start: int
) -> tf.data.Dataset:
    """The source's endless pipeline, each step's batch split over replicas in order.

    Args:
        strategy: a strategy of `make_strategy`.
        source: the data to read.
        batch_size: examples per step over all replicas; divisible by the replica count.
        seed: seed of the order.
        start: position of the first example in the endless order.

    Returns:
        A data set that yields `batch_size / replicas` examples to each replica.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return source.pipeline(batch_size, seed=seed, start=start)
    per_replica = batch_size // replicas

    def per_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        workers = context.num_input_pipelines
        dataset = source.pipeline(
            batch_size // workers,
            seed=seed,
            start=start,
            shards=workers,
            shard=context.input_pipeline_id,
        )
        return dataset if replicas == workers else dataset.rebatch(per_replica)

    return strategy.distribute_datasets_from_function(per_worker)
