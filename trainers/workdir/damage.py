"""Keeps damaged files before they are written again."""

import os
from pathlib import Path

from absl import logging


def set_aside(path: Path, why: object) -> Path:
    """Renames a damaged file to NAME.damaged, NAME.damaged.2 and so on, and warns.

    Args:
        path: the file or folder.
        why: the damage, as a sentence.
    """
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged.{number}")
    os.replace(path, aside)
    logging.warning("%s It is kept as %s.", why, aside)
    return aside
