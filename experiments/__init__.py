"""What the scripts do, as plain functions, for notebooks and other programs."""
