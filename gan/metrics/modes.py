"""Mode coverage, counted as PacGAN counts it (Lin et al. 2018): of mixtures, and of classes."""

import numpy as np

from gan.metrics.keys import Key

HIGH_QUALITY = 3.0  # standard deviations


# One mode, well drawn, is of high quality; and many states share a whole number of modes.
MODE_KEYS = (
    Key("modes", better="higher", covers="count"),
    Key("high_quality", better="higher"),
    Key("reverse_kl", better="lower", unit="nats", decides=True),
)


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
    return {
        "modes": int(np.count_nonzero(counts)),
        "high_quality": float(np.mean(good)),
        "reverse_kl": _divergence_from_uniform(counts),
    }


def class_modes(labels: np.ndarray, num_modes: int) -> dict[str, float]:
    """Modes among samples that a classifier has named, as on Stacked MNIST.

    Lin et al. 2018, section 4.2: 26,000 samples, whose three channels are classified one by one.

    Args:
        labels: integers (N,) in [0, num_modes), N at least 1.
        num_modes: K equally likely modes.

    Returns:
        modes: number of modes with at least one sample, 0 to K.
        reverse_kl: KL(p || uniform) in nats, as in `mixture_modes`. An exact sampler of N draws
            has about (K - 1) / (2 N): 0.0192 for 26,000 and 1,000 modes.

    Raises:
        ValueError: no labels, or one out of range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or not 0 <= labels.min() <= labels.max() < num_modes:
        raise ValueError(f"labels of shape {labels.shape}: must be (N,) in [0, {num_modes})")
    counts = np.bincount(labels, minlength=num_modes)
    return {"modes": int(np.count_nonzero(counts)), "reverse_kl": _divergence_from_uniform(counts)}


def stacked_modes(logits: np.ndarray | None, classes: int, channels: int) -> dict[str, float]:
    """`class_modes` of images whose channels are classified one by one.

    Args:
        logits: (N, channels * classes), channel after channel.
        classes: of a channel.
        channels: of an image; there are classes^channels modes.

    Raises:
        ValueError: no logits, or another number of them.
    """
    if logits is None or logits.shape[1] != classes * channels:
        got = 0 if logits is None else logits.shape[1]
        raise ValueError(
            f"{got} logits per image: must be {channels} channels of {classes} classes"
        )
    each = logits.reshape(-1, channels, classes).argmax(axis=-1)
    return class_modes(each @ classes ** np.arange(channels)[::-1], classes**channels)


def _divergence_from_uniform(counts: np.ndarray) -> float:
    """KL(p || uniform) in nats of the shares p; its largest value, log(K), of no counts at all."""
    if not counts.any():
        return float(np.log(len(counts)))
    shares = counts[counts > 0] / counts.sum()
    return max(float(np.sum(shares * np.log(len(counts) * shares))), 0.0)
