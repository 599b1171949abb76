"""Checks that hold for the values of all flags, and `~` in paths."""

import math
import os
from collections.abc import Iterable
from typing import Any

from absl import flags

from gan.errors import UserError
from gan.options import Grouped
from gan.schedules import Schedule, ends

LARGEST = 10**12  # the largest number: counts of images, steps and operations stay exact below it
# Smaller limits: for what is held in memory at once, or cannot be interrupted (a graph call).
AT_MOST = {
    "batch_size": 10**6,
    "eval_samples": 10**7,
    "n_critic": 10**3,
    "steps_per_loop": 10**6,
}


def settle(names: Iterable[str], known: flags.FlagValues, *, checked: bool = False) -> None:
    """Expands `~` at the beginning of texts, and checks numbers.

    Args:
        names: the flags to look at.
        known: all flags, parsed.
        checked: whether the script checks the size of whole numbers itself.

    Raises:
        UserError: a number is not finite or too large, or a seed is out of range.
    """
    for name in names:
        whole: Any = known[name].value
        if isinstance(whole, str) and whole.startswith("~"):
            known[name].value = os.path.expanduser(whole)
        several = whole.values() if isinstance(whole, Grouped) else whole
        values = several if isinstance(several, (list, tuple)) else [whole]
        for value in (n for v in values for n in (ends(v) if isinstance(v, Schedule) else [v])):
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                unlimited = checked and isinstance(value, int)
                _check(name, value, AT_MOST.get(name, math.inf if unlimited else LARGEST))


def _check(name: str, value: float, most: float) -> None:
    if not math.isfinite(value):
        raise UserError(f"--{name}={value}: expected a finite number.")
    if name == "seed" and not 0 <= value < 2**31:
        raise UserError(f"--{name}={value}: expected 0 to 2147483647.")
    if abs(value) > most:
        raise UserError(f"--{name}={value:g}: that is too large; expected at most {most:,}.")
