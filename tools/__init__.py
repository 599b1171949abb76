"""What makes the data that is embedded here; run once, its output is in the repository."""
