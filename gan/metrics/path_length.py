"""Perceptual path length: how far an image moves for a small step of its latent."""

from collections.abc import Callable

import numpy as np

from gan.errors import UserError
from gan.sampling import Sampler, slerp

EPSILON = 1e-4  # the paper's step
_CHUNK = 1000


def path_length(
    first: np.ndarray,
    second: np.ndarray,
    *,
    epsilon: float,
    lower: float = 1.0,
    upper: float = 99.0,
) -> float:
    """E[|f(G(z_t)) - f(G(z_{t + epsilon}))|^2 / epsilon^2]: Karras et al. 2019, equation 2.

    arXiv:1812.04948, section 4.1, with the Euclidean distance of a feature net f where the paper
    has LPIPS. As in the authors' program, the extremes are left out of the mean.

    Args:
        first: features (N, D) at t.
        second: features (N, D) at t + epsilon.
        epsilon: the step, 1e-4 in the paper.
        lower: percentile below which a path is left out.
        upper: percentile above which a path is left out.

    Returns:
        At least 0; the less, the smoother.

    Raises:
        ValueError: shapes that differ, or no features.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 2 or first.shape != second.shape or not len(first):
        raise ValueError(f"features {first.shape} and {second.shape}: must be one (N, D), N >= 1")
    lengths = np.square(first - second).sum(axis=1) / epsilon**2
    low = np.percentile(lengths, lower, method="lower")
    high = np.percentile(lengths, upper, method="higher")
    return float(lengths[(low <= lengths) & (lengths <= high)].mean())


def exact(sampler: Sampler) -> Sampler:
    """The generator without rounding inside: a step of 1e-4 drowns in that of half precision.

    Raises:
        UserError: it computes in 8 bits, or half precision and cannot be built anew in float32.
    """
    try:
        # A user's sampler need not have it.
        return sampler.exact() if hasattr(sampler, "exact") else sampler
    except UserError as error:
        raise UserError(f"--metrics=ppl: {error}") from error


def sampled_path_length(
    sampler: Sampler,
    net: Callable[[np.ndarray], np.ndarray],
    count: int,
    seed: int,
    label: np.ndarray | None = None,
) -> float:
    """`path_length` of a generator, at random points of great circles between random latents.

    Args:
        sampler: the generator, made `exact`.
        net: samples -> features. They come as they are, not rounded to 8 bits: a step of 1e-4
            moves no pixel by a whole level.
        count: paths.
        seed: of the latents and of the points.
        label: int32 (count,) of the paths, if the generator is conditional.

    Raises:
        UserError: a generator in 8 bits.
    """
    ends = [sampler.latents(count, seed, stream=stream) for stream in (1, 2)]
    t = np.random.default_rng(seed).random((count, 1))
    z = slerp(ends[0], ends[1], np.concatenate([t, t + EPSILON], axis=1))
    rows = []
    for end in (0, 1):
        chunks = (slice(i, i + _CHUNK) for i in range(0, count, _CHUNK))
        drawn = (sampler(z[c, end], None if label is None else label[c]) for c in chunks)
        rows.append(np.concatenate([net(x) for x in drawn]))
    if np.mean(np.all(rows[0] == rows[1], axis=1)) > 0.5:
        raise UserError(
            "--metrics=ppl: most samples do not move with a step of 1e-4 in z. An 8-bit file has "
            "no path length; judge the .keras file it was made from."
        )
    return path_length(rows[0], rows[1], epsilon=EPSILON)
