"""The Inception Score: how sure a classifier is of each sample, and how various its answers."""

import numpy as np
from scipy.special import log_softmax


def inception_score(logits: np.ndarray, *, splits: int = 10) -> tuple[float, float]:
    """exp(E_x KL(p(y|x) || p(y))): Salimans et al. 2016 (arXiv:1606.03498), section 4.

    Args:
        logits: (N, classes), any real dtype, of N samples in the order in which they were drawn.
        splits: parts, at most N, each with its p(y); the mean and standard deviation are over
            them.

    Returns:
        Mean and standard deviation over the parts; the mean is in [1, classes].

    Raises:
        ValueError: not (N, classes), or fewer samples than parts.
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or not 1 <= splits <= len(logits):
        raise ValueError(f"logits of shape {logits.shape}: must be (N, classes), N >= {splits}")
    scores = []
    for i in range(splits):
        log_p = log_softmax(logits[i * len(logits) // splits : (i + 1) * len(logits) // splits], 1)
        p = np.exp(log_p)
        marginal = p.mean(axis=0)
        # p log p(y) is 0 where p(y) is: no sample has a share of that class.
        entropy = -np.sum(marginal * np.log(marginal, where=marginal > 0, out=np.zeros(p.shape[1])))
        scores.append(np.exp(entropy + np.mean(np.sum(p * log_p, axis=1))))
    return float(np.mean(scores)), float(np.std(scores))
