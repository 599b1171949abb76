"""Values that no flag can have, whatever it stands for, and `~` in paths."""

import math
import os
from collections.abc import Iterable
from typing import Any

from absl import flags

from gan.errors import UserError
from gan.options import Grouped

LARGEST = 10**12  # of any number: counts of images, steps and operations stay exact below it
# What is held in memory at once, or ends only as a whole (a graph call of K steps).
AT_MOST = {
    "batch_size": 10**6,
    "eval_samples": 10**7,
    "n_critic": 10**3,
    "steps_per_loop": 10**6,
}


def settle(names: Iterable[str], known: flags.FlagValues, *, checked: bool = False) -> None:
    """Expands `~` at the beginning of texts, and refuses numbers that are none.

    Args:
        names: of flags.
        known: all flags, parsed.
        checked: whether a script looks at the size of their whole numbers itself.

    Raises:
        UserError: a number is not finite or too large, or a seed is not one.
    """
    for name in names:
        found: Any = known[name].value
        if isinstance(found, str) and found.startswith("~"):
            known[name].value = os.path.expanduser(found)
        several = found.values() if isinstance(found, Grouped) else found
        for value in several if isinstance(several, (list, tuple)) else [found]:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                own = checked and isinstance(value, int)
                _check(name, value, AT_MOST.get(name, math.inf if own else LARGEST))


def _check(name: str, value: float, most: float) -> None:
    if not math.isfinite(value):
        raise UserError(f"--{name}={value}: expected a finite number.")
    if name == "seed" and not 0 <= value < 2**31:
        raise UserError(f"--{name}={value}: expected 0 to 2147483647.")
    if abs(value) > most:
        raise UserError(f"--{name}={value:g}: that is too large; expected at most {most:,}.")
