"""Writes golden.json: what the reference libraries give for the sets of golden_sets.py.

The test suite reads golden.json and never runs this, which needs an environment of its own:

    python3.11 -m venv build/golden
    build/golden/bin/pip install torch==2.13.0 torchvision==0.28.0 torch-fidelity==0.4.0 \
        pytorch-fid==0.3.0 prdc==0.2 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
    build/golden/bin/python tests/gan/metrics/make_golden.py

(SciPy: from 1.18 on `sqrtm` lacks the argument that pytorch-fid passes.) One core, some minutes.

What is in a set's entry, and what to know of it before choosing a tolerance:

torch_fidelity, "float32" and "float64": given the float32 features as they are, as its own loop
    does, and cast to float64 before. It computes in what it is given:
    - fid: mean in that dtype (float32: rows summed one by one, some 1e-6 relative), np.cov always
      float64 with ddof 1. tr sqrt(S1 S2) is the sum of the real parts of the roots of eig(S1 S2).
      Eigenvalues that ought to be 0 come out as +-1e-16 of the largest; a positive one adds its
      root, 1e-8, so that singular covariances make the distance too small; no offset is added.
    - kid_mean, kid_std: polynomial kernel (x y / D + 1)^3; on each subset the unbiased MMD^2 of
      Binkowski et al. 2018, whose cross term is the mean over all m^2 pairs, the "u-statistic"
      is another. mean and std (ddof 0, of the subsets: no standard error) over `subsets` draws
      without replacement, from RandomState(2020): samples' indices first, then the reference's.
      In float32 it is some 1e-7 of the mean kernel value off, however small the KID itself.
    - kid_whole: that estimate, of one subset that is the first min(N, M) rows of either: an order
      of summation is all that is left to the draw.
    - precision, recall, f_score: "in a ball" is distance <= radius; the radius is the 4th smallest
      distance (kthvalue(3 + 1)) with the row itself among them. torch.cdist expands the square
      beyond 25 rows: a squared distance is eps |x|^2 off, a row's to itself too. The means are
      float32 whatever the input, 6e-8 off. f_score has max(1e-5, p + r) below the line.
    - is_mean, is_std: always float64. Splits are rows i N // 10 to (i + 1) N // 10; std ddof 0;
      without an epsilon in the logarithms (but from logits, so that p = 0 is no problem unless
      it is 0 in a whole split). "shuffled": in RandomState(2020)'s permutation, as by default.
pytorch_fid: float64 moments (its loop fills a float64 array), scipy.linalg.sqrtm of S1 S2. Only if
    that is not finite it adds 1e-6 to both diagonals ("offset"), which raises the distance by
    what D * 1e-6 does. The real part is taken where the diagonal's imaginary one is below 1e-3,
    else it raises ("error").
prdc, by the authors of Naeem et al. 2020, for k = 3 and 5, on float64 features: "in a ball" is
    distance < radius, unlike torch-fidelity; the radius is the same. Density is
    sum_ij [Y_j in B(X_i)] / (k M), coverage the share of X_i with any Y_j in B(X_i). Distances
    expand the square too, with exact zeros on the diagonal.
definition: float64 and brute force, from the papers' equations, so that the libraries' rounding
    does not limit a test. fid takes the trace from the centred features themselves: it is the sum
    of the singular values of A B^T / sqrt((N - 1) (M - 1)), and no covariance is formed. kid is the
    unbiased MMD^2 of all rows, N and M different. The rest is with distances from differences, <=
    ("closed") and < ("open").
"""

import contextlib
import io
import json
import pathlib
import warnings
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import golden_sets
import numpy as np
import prdc
import torch
from golden_sets import FeatureSets
from pytorch_fid import fid_score
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

PATH = pathlib.Path(__file__).with_name("golden.json")
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torch-fidelity", "pytorch-fid", "prdc")


def torch_fidelity(sets: FeatureSets, dtype: type[np.floating]) -> dict[str, float]:
    """FID, KID and precision and recall by torch-fidelity's functions on features."""
    # Its first input is the generated one.
    samples, reference = (torch.from_numpy(x.astype(dtype)) for x in (sets.samples, sets.reference))
    whole = min(len(samples), len(reference))
    fid = metric_fid.fid_statistics_to_metric(
        metric_fid.fid_features_to_statistics(samples),
        metric_fid.fid_features_to_statistics(reference),
        verbose=False,
    )
    kid = metric_kid.kid_features_to_metric(
        samples,
        reference,
        kid_subsets=sets.subsets,
        kid_subset_size=sets.subset_size,
        rng_seed=golden_sets.RNG_SEED,
        verbose=False,
    )
    kid_whole = metric_kid.kid_features_to_metric(
        samples[:whole], reference[:whole], kid_subsets=1, kid_subset_size=whole, verbose=False
    )
    prc = metric_prc.prc_features_to_metric(
        samples, reference, prc_neighborhood=golden_sets.NEIGHBOURS[0], verbose=False
    )
    return {
        "fid": fid[metric_fid.KEY_METRIC_FID],
        "kid_mean": kid[metric_kid.KEY_METRIC_KID_MEAN],
        "kid_std": kid[metric_kid.KEY_METRIC_KID_STD],
        "kid_whole": kid_whole[metric_kid.KEY_METRIC_KID_MEAN],
        **prc,
    }


def inception_score(sets: FeatureSets, shuffle: bool) -> dict[str, float]:
    """By torch-fidelity."""
    found = metric_isc.isc_features_to_metric(
        torch.from_numpy(sets.logits), golden_sets.SPLITS, shuffle, golden_sets.RNG_SEED
    )
    return {
        "is_mean": found[metric_isc.KEY_METRIC_ISC_MEAN],
        "is_std": found[metric_isc.KEY_METRIC_ISC_STD],
    }


def pytorch_fid(sets: FeatureSets) -> dict[str, Any]:
    """FID, whether the diagonals' offset was needed, and the error where there was one."""
    moments = []
    for x in (sets.samples, sets.reference):
        x = x.astype(np.float64)
        moments += [np.mean(x, axis=0), np.cov(x, rowvar=False)]
    said = io.StringIO()
    found: dict[str, Any] = {}
    with contextlib.redirect_stdout(said), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of sqrtm's argument
        try:
            found["fid"] = float(fid_score.calculate_frechet_distance(*moments))
        except ValueError as error:
            found["error"] = str(error)
    return found | {"offset": "adding" in said.getvalue()}


def prdc_authors(sets: FeatureSets, k: int) -> dict[str, float]:
    """Precision, recall, density and coverage."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = prdc.compute_prdc(
            sets.reference.astype(np.float64), sets.samples.astype(np.float64), nearest_k=k
        )
    return {name: float(value) for name, value in found.items()}


def definition(sets: FeatureSets) -> dict[str, Any]:
    """See above."""
    x, y = sets.reference.astype(np.float64), sets.samples.astype(np.float64)
    n, m = len(x), len(y)
    # With A = Q1 R1 and B = Q2 R2, A B^T has the singular values of R1 R2^T.
    a, b = ((v - v.mean(axis=0)) / np.sqrt(len(v) - 1) for v in (x, y))
    r1, r2 = np.linalg.qr(a, mode="r"), np.linalg.qr(b, mode="r")
    trace = np.linalg.svd(r1 @ r2.T, compute_uv=False).sum()
    mean = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2)
    within = [_kernel(v, v) for v in (x, y)]
    kid = -2 * _kernel(x, y).mean()
    for count, kernel in zip((n, m), within):
        kid += (kernel.sum() - np.trace(kernel)) / (count * (count - 1))
    found: dict[str, Any] = {
        "fid": float(mean + np.sum(a**2) + np.sum(b**2) - 2 * trace),
        "kid": float(kid),
    }
    between, of_x, of_y = _squares(x, y), _squares(x, x), _squares(y, y)
    for k in golden_sets.NEIGHBOURS:
        # Of the row itself, distance 0, and k others.
        radii_x, radii_y = np.sort(of_x)[:, k, None], np.sort(of_y)[:, k]
        for name, less in (("closed", np.less_equal), ("open", np.less)):
            in_x, in_y = less(between, radii_x), less(between, radii_y)
            found[f"{name}_k{k}"] = {
                "precision": float(in_x.any(axis=0).mean()),
                "recall": float(in_y.any(axis=1).mean()),
                "density": float(in_x.sum() / (k * m)),
                "coverage": float(in_x.any(axis=1).mean()),
            }
    return found


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances (N, M), from differences."""
    return np.stack([np.square(y - row).sum(axis=1) for row in x])


def entry(sets: FeatureSets) -> Mapping[str, Any]:
    """All of a set."""
    arrays = {"reference": sets.reference, "samples": sets.samples, "logits": sets.logits}
    return {
        "sha256": {name: golden_sets.sha256(array) for name, array in arrays.items()},
        "torch_fidelity": {
            "float32": torch_fidelity(sets, np.float32),
            "float64": torch_fidelity(sets, np.float64),
            "logits": inception_score(sets, shuffle=False),
            "logits_shuffled": inception_score(sets, shuffle=True),
        },
        "pytorch_fid": pytorch_fid(sets),
        "prdc": {f"k{k}": prdc_authors(sets, k) for k in golden_sets.NEIGHBOURS},
        "definition": definition(sets),
    }


def main() -> None:
    """Writes the file."""
    torch.set_num_threads(1)  # float32 sums depend on how they are shared out
    golden: dict[str, Any] = {"versions": {name: metadata.version(name) for name in PACKAGES}}
    golden["sets"] = {}
    for name, build in golden_sets.SETS.items():
        golden["sets"][name] = entry(build())
        print(name, json.dumps(golden["sets"][name], indent=1), flush=True)
    PATH.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
