"""Benchmarks, one script per file: `python -m benchmarks.loop`."""

import importlib.util

if importlib.util.find_spec("tensorflow"):  # PyTorch's side runs where there is none.
    import scripts  # noqa: F401  # Imports TensorFlow without its start-up chatter.
