"""Entry points: `python -m scripts.train`, `evaluate`, `generate` and `compress`."""

import os

# TensorFlow's start-up chatter would bury our one-line errors; its exceptions still arrive.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
