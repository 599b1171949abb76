"""Benchmarks, one script per file: `python -m benchmarks.loop`."""

import scripts  # noqa: F401  # Imports TensorFlow without its start-up chatter.
