"""The work of the scripts as plain functions, for notebooks and other programs."""
