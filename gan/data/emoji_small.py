"""200 colour emoji that come with the repository: real colour images without a download."""

from __future__ import annotations

from gan.data.arrays import ArraySource
from gan.data.embedded import EMOJI_CLASSES, EMOJI_LICENCE, only_train, read_emoji
from gan.data.source import Source
from gan.data.spec import Spec


def emoji_small(*, split: str = "train") -> Source:
    """Google's emoji (Noto Emoji), 25 of each of 8 categories, on white, 32x32x3.

    They are too few to learn much of: for a first look at colour, and for tests. All 3,786 come
    from `scripts.prepare --set=emoji`, whose split `test` holds none of these.

    Args:
        split: train; the embedded set has no other, so an evaluation refers to it too.

    Raises:
        UserError: another split was asked for.
    """
    only_train("emoji_small", split)
    images, labels = read_emoji()
    spec = Spec(
        name="emoji_small",
        shape=images.shape[1:],
        num_classes=len(EMOJI_CLASSES),
        size=len(images),
        class_names=EMOJI_CLASSES,
        licence=EMOJI_LICENCE,
    )
    return ArraySource(spec, {"x": images, "label": labels})
