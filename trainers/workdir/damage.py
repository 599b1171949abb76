"""What is done with a damaged file by whoever writes it anew."""

import os
from pathlib import Path

from absl import logging


def set_aside(path: Path, why: object) -> Path:
    """Renames what is damaged to NAME.damaged, or to NAME.damaged.2 and so on, and warns.

    Args:
        path: of a file, or of a folder.
        why: the damage, as one sentence.
    """
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged.{number}")
    os.replace(path, aside)
    logging.warning("%s It is kept as %s.", why, aside)
    return aside
