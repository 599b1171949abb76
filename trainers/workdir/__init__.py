"""A run's folder: its files, and the functions that write and read them.

Each kind of file has one writer and one reader. All treat damage alike: a reader skips what is
damaged, with a warning; a writer keeps it as NAME.damaged, with a warning too. Nothing that a run
wrote is lost. Code is the exception: a damaged copy is refused.
"""
