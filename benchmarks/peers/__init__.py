"""Tapestry beside plain Keras and PyTorch: works, networks, and a process for each contender."""
