"""From images to what a feature net sees in them."""

from collections.abc import Iterable, Iterator

import numpy as np
from tqdm import tqdm

from gan import images
from gan.data.spec import Spec
from gan.errors import UserError
from gan.metrics.features import FeatureNet, Features
from gan.metrics.subsets import Reservoir


def check_shape(shape: tuple[int, ...], spec: Spec) -> None:
    """Raises UserError for samples that are not of the data's shape."""
    if shape != tuple(spec.shape):
        raise UserError(f"samples of shape {shape}: {spec.name} holds {tuple(spec.shape)}")


def extract(
    batches: Iterable[np.ndarray],
    net: FeatureNet | None,
    spec: Spec,
    *,
    keep_rows: bool,
    kept: Reservoir | None = None,
    bar: tqdm,
) -> tuple[Features, bool]:
    """The features of images, rounded to 8 bits first; of points, the points themselves.

    Args:
        batches: float32 (N, H, W, C) in [-1, 1], or (N, d).
        net: None for points.
        spec: of the data that they are held against.
        keep_rows: keep the vectors and logits, not their moments alone.
        kept: takes the images, uint8.
        bar: counts them.

    Returns:
        The features, and whether every number of the images was finite.

    Raises:
        UserError: a shape that is not the data's.
    """
    finite = True

    def outputs() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        nonlocal finite
        for batch in batches:
            x = np.asarray(batch, np.float32)
            check_shape(x.shape[1:], spec)
            finite = finite and bool(np.isfinite(x).all())
            bar.update(len(x))
            if net is None:
                yield x, None
                continue
            rounded = images.to_uint8(x)
            if kept is not None:
                kept.add(rounded)
            yield net.outputs(images.from_uint8(rounded))

    with bar:
        return Features.of(outputs(), keep_rows=keep_rows), finite
