"""Scripts that made the embedded data; each was run once, its output is in the repository."""
