"""What is measured, each a script: `python -m benchmarks.loop`."""

import scripts  # noqa: F401  # Imports TensorFlow without its start-up chatter.
