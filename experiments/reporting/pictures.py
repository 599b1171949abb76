"""A run's pictures for a page: which of them, and as few bytes as they may take."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image

from experiments.reporting import html
from gan.errors import UserError

_T = TypeVar("_T")
_QUALITY = 80
# Pillow's errors about what is damaged or far too large.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def spread(items: Sequence[_T], most: int) -> list[_T]:
    """The first, the last, and some evenly between them: at most `most`, at least 2."""
    if len(items) <= most:
        return list(items)
    last = len(items) - 1
    return [items[round(i * last / (most - 1))] for i in range(most)]


def embedded(path: Path, limit: int) -> tuple[str, tuple[int, int]]:
    """A picture's file as an address that holds it, and its width and height.

    A file of more than `limit` bytes becomes a WebP, halved until it fits.

    Args:
        path: a PNG.
        limit: the most bytes that it may take.

    Raises:
        UserError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            if len(content) <= limit and image.format == "PNG":
                return html.uri(content), image.size
            small = image.convert("RGBA" if image.has_transparency_data else "RGB")
        while True:
            made = io.BytesIO()
            if max(small.size) < 16_384:  # the longest side that WebP has
                small.save(made, "WEBP", quality=_QUALITY, method=4)
            if 0 < made.tell() <= limit or max(small.size) < 128:
                return html.uri(made.getvalue(), "webp"), small.size
            small = small.resize((max(1, small.width // 2), max(1, small.height // 2)))
    except _UNREADABLE as error:
        reason = str(error) if isinstance(error, OSError) else type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); it is left out") from None
