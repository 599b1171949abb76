"""Mode coverage of 2-D Gaussian mixtures, counted as PacGAN counts it (Lin et al. 2018)."""

import numpy as np

HIGH_QUALITY = 3.0  # standard deviations


def mixture_modes(samples: np.ndarray, centers: np.ndarray, std: float) -> dict[str, float]:
    """How many modes the samples reach, how many samples are good, and how even they are.

    Lin et al. 2018, section 4.1; what the text leaves open is settled by the authors' program
    (their MetricLogger): a sample belongs to its nearest mode, and is of high quality if it lies
    less than three standard deviations from that centre; **the shares over the modes are those of
    the high-quality samples alone**, a stray sample counts for no mode.

    Args:
        samples: (N, D), N at least 1; PacGAN takes 2,500.
        centers: (K, D) means of the K equally likely modes.
        std: the modes' common standard deviation in each dimension.

    Returns:
        modes: number of modes with at least one high-quality sample, 0 to K.
        high_quality: share of the samples that are of high quality, 0 to 1.
        reverse_kl: KL(p || uniform) = sum_k p_k log(K p_k) in nats, p the shares over the modes;
            0 is even, log(K) is one mode only. With no high-quality sample there is no p, and the
            worst value, log(K), is given.

    Raises:
        ValueError: shapes that do not belong together, or no samples.
    """
    samples = np.asarray(samples, np.float64)
    centers = np.asarray(centers, np.float64)
    if samples.ndim != 2 or centers.ndim != 2 or samples.shape[1] != centers.shape[1]:
        raise ValueError(
            f"samples {samples.shape} and centers {centers.shape}: must be (N, D) and (K, D)"
        )
    if not len(samples):
        raise ValueError("mode coverage of 0 samples: needs at least 1")
    squared = np.sum((samples[:, None] - centers[None]) ** 2, axis=-1)  # (N, K)
    nearest = np.argmin(squared, axis=1)
    # A sample with a NaN fails the comparison and so is of low quality.
    good = squared[np.arange(len(samples)), nearest] < (HIGH_QUALITY * std) ** 2
    counts = np.bincount(nearest[good], minlength=len(centers))
    shares = counts[counts > 0] / max(counts.sum(), 1)
    divergence = np.sum(shares * np.log(len(centers) * shares))
    return {
        "modes": int(np.count_nonzero(counts)),
        "high_quality": float(np.mean(good)),
        "reverse_kl": max(float(divergence), 0.0) if len(shares) else float(np.log(len(centers))),
    }
