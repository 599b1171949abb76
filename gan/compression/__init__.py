"""From a trained generator to a file on a device: pruning, export, running and judging it.

Import the modules themselves: `runner` needs nothing but LiteRT and NumPy, and `pruning` loads
TensorFlow Model Optimization only when a pruning schedule starts.
"""
