"""When something is due that happens every so many thousand images."""

from trainers.progress import whole_images


class Cadence:
    """Counts in images, so that a cadence means the same at every batch size.

    It is due when the count of images passes a multiple of the period. Nothing else is remembered,
    so a resumed run is due exactly where an unbroken one would have been.

    Args:
        every_kimg: the period in thousands of images; None is never due.
    """

    def __init__(self, every_kimg: float | None) -> None:
        self._every = 0 if every_kimg is None else whole_images(every_kimg)
        self._periods = 0

    def start(self, images: int) -> None:
        """Begins to count at `images`; call it at the beginning of training."""
        self._periods = images // self._every if self._every else 0

    def due(self, images: int) -> bool:
        """True once for each multiple passed; several passed at once count as one."""
        if not self._every or images // self._every <= self._periods:
            return False
        self._periods = images // self._every
        return True
