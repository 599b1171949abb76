"""Progress is counted in images: in thousands where people write it, in whole ones in the loop."""


def whole_images(kimg: float) -> int:
    """How many images `kimg` thousand are: to the nearest one, and at least 1 if any.

    Products of floats don't do: 16.1 * 1000 is 16100.000000000002, which begins another step.

    Args:
        kimg: thousands of images, finite and at least 0.
    """
    return max(1, round(kimg * 1000)) if kimg > 0 else 0
