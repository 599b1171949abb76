"""What a file does on a device: running it, where it runs, what it costs. LiteRT and NumPy only."""
