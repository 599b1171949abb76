"""Families of networks, one a file. An architecture is a function of a `Spec` to `Networks`."""

from gan.architectures._common import Networks

__all__ = ["Networks"]
