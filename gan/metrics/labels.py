"""Which classes a conditional generator is asked for when it is judged."""

import numpy as np
from absl import logging

from gan.errors import UserError
from gan.sampling import labels_by_shares

WAYS = ("data", "balanced")


def draw_labels(
    count: int, num_classes: int, class_counts: np.ndarray | None, how: str, seed: int, name: str
) -> tuple[np.ndarray | None, str]:
    """Labels for samples, none of a class that the reference has no image of.

    Args:
        count: samples.
        num_classes: of the generator; 0 for one without.
        class_counts: integers (K,), the reference's images of each class; None without labels.
        how: by the classes' shares of the reference ("data"), or evenly ("balanced").
        seed: of their order.
        name: of the reference, for messages.

    Returns:
        int32 (count,), or None for a generator without classes; and how they were really drawn.

    Raises:
        UserError: shares are wanted, and the reference's classes are not the generator's.
    """
    if not num_classes:
        return None, "none"
    if class_counts is None:
        logging.warning(
            "%s has no labels: the generator's %d classes are drawn evenly.", name, num_classes
        )
        how = "balanced"
    elif len(class_counts) != num_classes and how == "data":
        raise UserError(
            f"generator of {num_classes} classes, and {name} has {len(class_counts)}: give the "
            "data that it was trained on, or draw its classes evenly, labels=balanced."
        )
    if class_counts is None or len(class_counts) != num_classes:
        class_counts = np.ones(num_classes)
    shares = class_counts if how == "data" else class_counts > 0
    return labels_by_shares(count, shares, seed), how
