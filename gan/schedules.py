"""Values that change with the images seen, such as `cosine:0.9:0.99:20000`."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

SHAPES = ("cosine", "linear")


@dataclass(frozen=True)
class Schedule:
    """A value that goes from `start` to `end` and stays there.

    It depends on nothing but the count of images, so that a resumed run has the values of an
    unbroken one.

    Attributes:
        shape: "linear", or "cosine": half a wave, flat at both ends (Loshchilov & Hutter 2017,
            equation 5, without restarts).
        start: value before the first image.
        end: value from `kimg` on.
        kimg: thousands of images, more than 0.

    Raises:
        ValueError: the shape is unknown, a number is not finite, or `kimg` not above 0.
    """

    shape: str
    start: float
    end: float
    kimg: float

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.start, self.end, self.kimg)))
        if self.shape not in SHAPES or not finite or not self.kimg > 0:
            raise ValueError(f"{self}: expected SHAPE:START:END:KIMG, with KIMG above 0")

    @classmethod
    def read(cls, text: str) -> "Schedule":
        """The schedule that a text stands for.

        Raises:
            ValueError: it stands for none.
        """
        shape, *numbers = text.split(":")
        if len(numbers) != 3:
            raise ValueError(text)
        return cls(shape, *map(float, numbers))

    def __str__(self) -> str:
        return ":".join([self.shape, *(str(float(n)) for n in (self.start, self.end, self.kimg))])

    def at(self, images: "tf.Tensor | tf.Variable | int") -> "tf.Tensor":
        """The value at a count of images, float32 scalar."""
        import tensorflow as tf  # Options are read, and data looked up, without it.

        t = tf.minimum(tf.cast(images, tf.float32) / (1000.0 * self.kimg), 1.0)
        left = 1.0 - t if self.shape == "linear" else 0.5 * (1.0 + tf.cos(math.pi * t))
        return left * self.start + (1.0 - left) * self.end


def ends(value: float | Schedule) -> tuple[float, ...]:
    """What the range of an option is checked by: a number itself, START and END of a schedule."""
    return (value.start, value.end) if isinstance(value, Schedule) else (value,)


def positive(value: float | Schedule) -> bool:
    """Whether a number is above 0; a schedule may be 0 at one of its ends."""
    return min(ends(value)) >= 0 and max(ends(value)) > 0
