"""When an action is due that is repeated every so many thousand images."""

from trainers.progress import whole_images


class Cadence:
    """A period counted in images, so that it means the same for every batch size.

    The action is due when the image count passes a multiple of the period. The count alone decides,
    so that the action is due at the same images in a resumed run as in an unbroken one.

    Args:
        every_kimg: the period in thousands of images; with None, nothing is ever due.
    """

    def __init__(self, every_kimg: float | None) -> None:
        self._every = 0 if every_kimg is None else whole_images(every_kimg)
        self._periods = 0

    def start(self, images: int) -> None:
        """Starts at an image count; call it at the beginning of training."""
        self._periods = images // self._every if self._every else 0

    def due(self, images: int) -> bool:
        """True once for each multiple passed; several passed at once count as one."""
        if not self._every or images // self._every <= self._periods:
            return False
        self._periods = images // self._every
        return True
