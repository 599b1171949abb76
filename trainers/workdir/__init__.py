"""A run's folder: what lies in it, and who writes and reads it.

Each kind of file has one writer and one reader, and all have one answer to damage: who reads leaves
out what is damaged and says so; who writes keeps it beside, as NAME.damaged, and says so too.
Nothing that a run wrote is lost. Code is the exception: what cannot be trusted is refused.
"""
