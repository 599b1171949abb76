"""How good samples are: distances between feature distributions, and counts of modes."""
