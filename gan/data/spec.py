"""What a data source promises about its examples: the one thing architectures are built from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

# Joins the names of the single classes that a combination has; one without any is NO_CLASS.
JOINT = "+"
NO_CLASS = "none"


@dataclass(frozen=True)
class Spec:
    """The shape and size of a data set.

    Attributes:
        name: what the source calls itself, as it was asked for.
        shape: one example: (height, width, channels) of an image, (2,) of a 2-D mixture.
        num_classes: classes of the labels, each with examples in training data; 0 means that
            examples have no label.
        size: examples in an epoch; of the larger domain, where unpaired ones differ.
        domains: keys of the example dict that hold data; ("a", "b") for translation.
        paired: whether "a" and "b" of one example show the same thing.
        class_names: num_classes names, or () where they are not known.
        combined: whether a class is a combination of single ones, such as "cat+dark" or "none".
        channel_classes: classes of a single channel, where the channels are grey images in their
            own right and num_classes is channel_classes ** channels; else 0.
        feature_net: name or import path of the net that was made for these images (of the last
            domain); evaluations judge by it unless another is given; "" where none is known.
        licence: of the data, as SPDX names it or in words; "" where it is not known.
        sizes: examples of each domain, where they differ in number; else ().
    """

    name: str
    shape: tuple[int, ...]
    num_classes: int
    size: int
    domains: tuple[str, ...] = ("x",)
    paired: bool = False
    class_names: tuple[str, ...] = ()
    channel_classes: int = 0
    feature_net: str = ""
    licence: str = ""
    sizes: tuple[int, ...] = ()
    combined: bool = False

    @property
    def is_image(self) -> bool:
        """Whether an example is an image (H, W, C) rather than a point."""
        return len(self.shape) == 3

    def domain_of(self, name: str) -> str:
        """The domain of that name, or the first: a file may come from elsewhere."""
        return name if name in self.domains else self.domains[0]

    @property
    def is_translation(self) -> bool:
        """Whether an example holds data of two domains, to be translated into each other."""
        return len(self.domains) > 1

    def size_of(self, domain: str) -> int:
        """Examples of one domain."""
        return self.sizes[self.domains.index(domain)] if self.sizes else self.size

    @property
    def class_codes(self) -> list[list[int]] | None:
        """Of combinations, each class's row of 0 and 1 for the single classes, in their order.

        None where classes are single.
        """
        if not self.combined:
            return None
        parts = [set(name.split(JOINT)) - {NO_CLASS} for name in self.class_names]
        single = sorted(set().union(*parts))
        return [[int(name in part) for name in single] for part in parts]

    def with_classes(self, names: Sequence[str]) -> "Spec":
        """This spec with classes of these names."""
        return replace(self, num_classes=len(names), class_names=tuple(names))
