"""What is said before a training that this machine is slow at."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from gan.keras_graph import all_layers
from trainers.base import Trainer

_CPU_FLAGS = Path("/proc/cpuinfo")


def warn_of_slowness(trainer: Trainer) -> None:
    """Says in a line each what makes a step slower on a CPU, where it is meant to be faster.

    XLA's gradients of grouped convolutions, float16's of any convolution, and bfloat16 where the
    CPU has no instructions for it.
    """
    if any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")):
        return
    grouped = _networks(trainer, lambda layer: getattr(layer, "groups", 1) > 1)
    if trainer.xla and grouped:
        logging.warning(
            "--xla: on a CPU XLA is some 100 times slower at the gradients of grouped "
            "convolutions, which are in %s; leave it out here.",
            grouped,
        )
    convolutions = _networks(trainer, lambda layer: hasattr(layer, "kernel_size"))
    if trainer.precision == "mixed_float16" and convolutions:
        logging.warning(
            "--precision=mixed_float16: on a CPU float16 is some 10 times slower than float32 at "
            "the gradients of convolutions, which are in %s; %s here.",
            convolutions,
            "take mixed_bfloat16" if has_bfloat16() else "leave it out",
        )
    if trainer.precision == "mixed_bfloat16" and not has_bfloat16():
        logging.warning(
            "--precision=mixed_bfloat16: this CPU has no instructions for bfloat16, so that it is "
            "slower than float32; leave it out here."
        )


@functools.cache
def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16; taken for granted where Linux does not say."""
    try:
        flags = _CPU_FLAGS.read_text()
    except OSError:
        return True
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))


def _networks(trainer: Trainer, has: Callable[[Any], bool]) -> str:
    """The networks with such a layer: "generator and discriminator"."""
    return " and ".join(
        name for name, network in trainer.networks.items() if any(map(has, all_layers(network)))
    )
