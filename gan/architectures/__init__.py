"""Families of networks, one per file. An architecture is a function: `Spec` -> `Networks`."""

from gan.architectures._common import Networks

__all__ = ["Networks"]
