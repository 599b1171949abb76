"""Progress is counted in images: in thousands in options, in whole images in the loop."""


def whole_images(kimg: float) -> int:
    """The number of images in `kimg` thousand, rounded, and at least 1 unless `kimg` is 0.

    Without rounding, 16.1 * 1000 is 16100.000000000002, which would take another step.

    Args:
        kimg: thousands of images, finite and at least 0.
    """
    return max(1, round(kimg * 1000)) if kimg > 0 else 0
