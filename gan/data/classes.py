"""Classes are those that have examples: a conditional generator never learns an empty one.

Sources number them 0, 1, ... by `compact`, and keep the numbers or names that they had as names, by
which `aligned` gives another split the numbers of the data that was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gan.data.arrays import ArraySource
from gan.data.indexed import IndexedSource
from gan.data.source import Source
from gan.errors import UserError


def compact(labels: np.ndarray, names: Sequence[str] = ()) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers anew the classes that have examples, in their order.

    Args:
        labels: integers (N,), at least 0.
        names: of all classes; by default the labels themselves.

    Returns:
        Labels int32 (N,), and a name for each class.
    """
    kept, numbers = np.unique(labels, return_inverse=True)
    return numbers.astype(np.int32), tuple(names[i] if names else str(i) for i in kept)


def aligned(source: Source, class_names: Sequence[str]) -> Source:
    """A source with the classes of other data, matched by name, some of them empty here.

    Args:
        source: returned unchanged where it or the other data has no class names.
        class_names: of the data whose numbers count.

    Raises:
        UserError: it has a class that the other data does not have.
    """
    names = source.spec.class_names
    if not names or not class_names or names == tuple(class_names):
        return source
    foreign = [name for name in names if name not in class_names]
    if foreign or not isinstance(source, IndexedSource):
        raise UserError(
            f"{source.spec.name} holds examples of class {foreign[0] if foreign else names[0]!r}, "
            f"of which there were none in training ({', '.join(map(repr, class_names[:8]))}"
            f"{', ...' if len(class_names) > 8 else ''})."
        )
    return source.relabelled([class_names.index(name) for name in names], class_names)


def require_examples(source: Source) -> None:
    """Refuses to train a conditional generator on classes without an example.

    Raises:
        UserError: names them.
    """
    if isinstance(source, ArraySource) and source.spec.num_classes:
        every = range(source.spec.num_classes)
        empty = np.setdiff1d(every, source.arrays["label"])
        if len(empty):
            few = ", ".join(map(str, empty[:8])) + (", ..." if len(empty) > 8 else "")
            raise UserError(
                f"--conditional: {source.spec.name} has no example of {len(empty):,} of its "
                f"{len(every):,} classes ({few}), which would never be learnt."
            )
