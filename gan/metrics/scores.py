"""The metrics by name: what `--metrics=fid,kid,pr` stands for.

A metric is a function of the reference's and the samples' `Features` that returns numbers by key.
It declares these keys, and what is better of each (`gan.metrics.keys.declares`): the functions here
that do so are the short names, without the _ that keeps `is_` from being a keyword. A metric's
keyword-only arguments are constants of the protocol, and are written beside every number. One from
elsewhere is named by import path, `package.module:attribute`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gan import options, registry
from gan.data.source import Source
from gan.metrics import kernel, manifold
from gan.metrics.features import Features
from gan.metrics.frechet import frechet_distance
from gan.metrics.inception_score import inception_score
from gan.metrics.keys import Key, declares
from gan.metrics.modes import MODE_KEYS, mixture_modes, stacked_modes
from gan.metrics.neighbours import find_neighbours
from gan.metrics.path_length import sampled_path_length
from gan.metrics.subsets import subset
from gan.sampling import Sampler

NEIGHBOUR_QUERIES, NEIGHBOUR_SEED = 1000, 0

Metric = Callable[[Features, Features], dict[str, float]]


@declares(Key("fid", better="lower", decides=True))
def fid(reference: Features, samples: Features) -> dict[str, float]:
    """The Frechet distance, see `frechet_distance`: 0 and up, lower is better."""
    a, b = reference.moments, samples.moments
    return {"fid": frechet_distance(a.mean, a.covariance, b.mean, b.covariance)}


@declares(Key("kid", better="lower", decides=True), Key("kid_std", spread_of="kid"))
def kid(
    reference: Features,
    samples: Features,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> dict[str, float]:
    """The kernel distance, see `kernel_distance`: lower is better, below 0 by chance.

    It is not times 1,000, as tables in papers often are. `kid_std` is the standard deviation of a
    subset's value.
    """
    mean, std = kernel.kernel_distance(
        reference.rows, samples.rows, subsets=subsets, subset_size=subset_size, seed=seed
    )
    return {"kid": mean, "kid_std": std}


_PR = Key("precision", better="higher"), Key("recall", better="higher", covers="share")
_DC = (
    Key("density", better="higher"),
    Key("coverage", better="higher", decides=True, covers="share"),
)


@declares(*_PR)
def pr(reference: Features, samples: Features, *, k: int = 3, seed: int = 0) -> dict[str, float]:
    """Improved precision and recall, see `precision_recall`: 0 to 1, higher is better.

    As many reference images as samples, as in the paper; see `_as_many`.
    """
    real, fake = _as_many(reference.rows, samples.rows, seed)
    precision, recall = manifold.precision_recall(real, fake, k=k)
    return {"precision": precision, "recall": recall}


@declares(*_DC)
def dc(reference: Features, samples: Features, *, k: int = 5, seed: int = 0) -> dict[str, float]:
    """Density and coverage, see `density_coverage`: about 1 for equal distributions.

    As many reference images as samples, as in the paper; see `_as_many`.
    """
    real, fake = _as_many(reference.rows, samples.rows, seed)
    density, coverage = manifold.density_coverage(real, fake, k=k)
    return {"density": density, "coverage": coverage}


@declares(*_PR, *_DC)
def prdc(
    reference: Features, samples: Features, *, pr_k: int = 3, dc_k: int = 5, seed: int = 0
) -> dict[str, float]:
    """The numbers of `pr` and `dc` from the same passes: little more than the time of `pr`."""
    real, fake = _as_many(reference.rows, samples.rows, seed)
    names = (key.name for key in (*_PR, *_DC))
    return dict(zip(names, manifold.prdc(real, fake, pr_k=pr_k, dc_k=dc_k), strict=True))


def _as_many(
    reference: np.ndarray, samples: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Equally many rows of both, drawn from the larger: balls shrink as a set grows."""
    count = min(len(reference), len(samples))
    real, fake = (
        rows if len(rows) == count else rows[subset(len(rows), count, seed)]
        for rows in (reference, samples)
    )
    return real, fake


@declares(
    Key("inception_score", better="higher", decides=True),
    Key("inception_score_std", spread_of="inception_score"),
)
def is_(
    reference: Features, samples: Features, *, splits: int = 10, seed: int = 0
) -> dict[str, float]:
    """The Inception Score by the net's classes, see `inception_score`: higher is better.

    Samples are shuffled first: pictures from a folder may be sorted by class.
    """
    del reference
    assert samples.logits is not None
    logits = np.random.default_rng(seed).permutation(samples.logits)
    mean, std = inception_score(logits, splits=min(splits, len(logits)))
    return {"inception_score": mean, "inception_score_std": std}


# Near the data is good, on top of it is memorised: neither end of the first two is best.
@declares(Key("neighbour_distance"), Key("neighbour_ratio"), Key("copied", better="lower"))
def neighbours(
    reference: Features,
    samples: Features,
    *,
    queries: int = NEIGHBOUR_QUERIES,
    seed: int = NEIGHBOUR_SEED,
) -> dict[str, float]:
    """How near samples come to training images, see `Neighbours`: a ratio near 0 is memorisation.

    `neighbour_distance` and `neighbour_ratio` are medians over `queries` of the samples, `copied`
    is the share of them nearer than a tenth of the typical distance.
    """
    chosen = subset(len(samples.rows), queries, seed)
    nearest = find_neighbours(reference.rows, samples.rows[chosen], k=1, seed=seed)
    return {
        "neighbour_distance": float(np.median(nearest.distance[:, 0])),
        "neighbour_ratio": float(np.median(nearest.ratio)),
        "copied": float(np.mean(nearest.ratio < 0.1)),
    }


@declares(*MODE_KEYS)
def modes(source: Source, samples: Features) -> dict[str, float]:
    """How many modes of a mixture, or of stacked images, are covered, and how evenly.

    Args:
        source: with the centres of a mixture, see `mixture_modes`, or of stacked images, see
            `stacked_modes`.
        samples: with points, or with logits.
    """
    if hasattr(source, "centers") and hasattr(source, "std"):
        return mixture_modes(samples.rows, source.centers, source.std)
    spec = source.spec
    return stacked_modes(samples.logits, spec.channel_classes, spec.shape[-1])


# One image for every z has the shortest path, so it decides nothing.
@declares(Key("ppl", better="lower"))
def ppl(
    sampler: Sampler,
    net: Callable[[np.ndarray], np.ndarray],
    count: int,
    seed: int,
    label: np.ndarray | None = None,
) -> dict[str, float]:
    """Perceptual path length: how far an image moves for a small step of z; lower is better.

    See `sampled_path_length` for the arguments.
    """
    return {"ppl": sampled_path_length(sampler, net, count, seed, label)}


# Decides nothing: the images nearest to the truth on average are blurred ones.
@declares(Key("l1", better="lower", of_pixels=True), Key("ssim", better="higher", of_pixels=True))
def truth(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
    """How near translations come to the images they should be: means over all images.

    Args:
        parts: the `distances` of some images each.
    """
    return {key: float(np.mean(np.concatenate([p[key] for p in parts]))) for key in parts[0]}


# These need more than features, the mixture's centres or the generator: the Evaluator has them.
BY_EVALUATOR = ("modes", "ppl", "truth")
_MOMENTS_ONLY = ("fid",)


def find(name: str) -> Callable[..., Any]:
    """The function of that name or import path: a `Metric`, or one of `BY_EVALUATOR`.

    Raises:
        UserError: there is none.
    """
    metric: Callable[..., Any] = registry.resolve("metrics", name)
    return metric


def needs_rows(names: Iterable[str]) -> bool:
    """Whether the features themselves must be kept, or their moments will do."""
    return any(name not in (*_MOMENTS_ONLY, *BY_EVALUATOR) for name in names)


def constants(name: str) -> dict[str, object]:
    """The keyword-only arguments of a metric, for the protocol."""
    return {option.name: option.default for option in options.of(find(name)).values()}
