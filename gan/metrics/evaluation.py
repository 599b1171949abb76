"""Judging a generator against a data source: the one way in for training, scripts and export."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan.data.source import Source
from gan.errors import UserError
from gan.images import to_uint8
from gan.metrics import features
from gan.metrics.frechet import Moments, frechet_distance
from gan.metrics.modes import mixture_modes
from gan.sampling import Sampler, balanced_labels, latents

_CHUNK = 1000  # samples held at a time


class Evaluator:
    """Measures samples against a source; its `protocol` says how, for the record.

    Images: `fid`, the Fréchet distance between the features of all of the source's images and of
    the samples. Both are rounded to 8 bits first, as a PNG holds them, so that a generator and
    the pictures it wrote get one number.

    Mixtures: `modes`, `high_quality` and `reverse_kl`, see `mixture_modes`.

    The same evaluator gives the same numbers for the same samples. It keeps the reference's
    moments, found at the first evaluation.
    """

    def __init__(
        self,
        source: Source,
        *,
        feature_net: str | features.FeatureNet = "auto",
        num_samples: int = 0,
        seed: int = 0,
        domain: str = "",
        split: str = "train",
    ) -> None:
        """Loads the feature net.

        Args:
            source: the reference, all of its ordered pass.
            feature_net: a name or import path (see `features.load`), a net, or "auto": `fashion`
                for images.
            num_samples: samples to judge; 0 is 10,000 images, or 2,500 points of a mixture.
            seed: of the latents.
            domain: key of the source's data to compare with; "" is its last one (b for
                translation from a to b).
            split: the split that `source` reads, for the protocol.

        Raises:
            UserError: an unknown net or domain, fewer than two samples, or points without the
                `centers` and `std` of a mixture.
        """
        domain = domain or source.spec.domains[-1]
        if domain not in source.spec.domains:
            valid = ", ".join(source.spec.domains)
            raise UserError(f"domain {domain!r} of {source.spec.name}: must be one of {valid}")
        if num_samples != 0 and num_samples < 2:
            raise UserError(f"num_samples {num_samples}: must be at least 2, or 0 for the default")
        if not source.spec.is_image and not (hasattr(source, "centers") and hasattr(source, "std")):
            raise UserError(
                f"--dataset={source.spec.name!r} holds points of shape {source.spec.shape} without "
                "the centers and std of a mixture to judge by: give its source both, or train with "
                "--eval_every_kimg=0."
            )
        self.source = source
        self.domain = domain
        self.split = split
        self.seed = seed
        self.num_samples = num_samples or (10_000 if source.spec.is_image else 2_500)
        self._judged: dict[str, Any] = {"num_samples": self.num_samples, "seed": seed}
        self._net: features.FeatureNet | None = None
        if source.spec.is_image:
            if not isinstance(feature_net, features.FeatureNet):
                feature_net = features.load("fashion" if feature_net == "auto" else feature_net)
            self._net = feature_net

    @cached_property
    def reference(self) -> Moments:
        """Moments of the features of all the source's images.

        Raises:
            UserError: a mixture, or fewer than two images.
        """
        batches = self.source.ordered(_CHUNK).as_numpy_iterator()
        moments, _ = self._moments(batch[self.domain] for batch in batches)
        if moments.count < 2:
            raise UserError(f"{self.source.spec.name} holds {moments.count} images: FID needs 2")
        return moments

    def evaluate(self, sampler: Sampler) -> dict[str, float]:
        """Judges `num_samples` samples for latents of `seed`, classes in turn if conditional.

        Args:
            sampler: a Keras or LiteRT sampler.

        Returns:
            {"fid"} for images, {"modes", "high_quality", "reverse_kl"} for mixtures.

        Raises:
            UserError: the sampler's shape is not the source's.
        """
        self._check_shape(tuple(sampler.shape))
        metrics = self.evaluate_images(self._draw(sampler))
        labels = "balanced" if sampler.num_classes else "none"
        self._judged |= {"seed": self.seed, "labels": labels}
        return metrics

    def evaluate_images(self, batches: Iterable[np.ndarray]) -> dict[str, float]:
        """Judges samples from anywhere (a translator, PNG files), however many there are.

        Args:
            batches: float32 (N, H, W, C) in [-1, 1] of one H, W and C; or (N, 2) points.

        Returns:
            As `evaluate`. `fid` is NaN if any sample is not finite.

        Raises:
            UserError: samples of another shape than the source's, or fewer than two images.
        """
        if self._net is None:
            samples = np.concatenate([np.asarray(batch) for batch in batches])
            self._check_shape(samples.shape[1:])
            self._judged = {"num_samples": len(samples)}
            mixture: Any = self.source
            return mixture_modes(samples, mixture.centers, mixture.std)
        moments, finite = self._moments(batches)
        if moments.count < 2:
            raise UserError(f"FID of {moments.count} samples: needs at least 2")
        self._judged = {"num_samples": moments.count}
        if not finite:
            return {"fid": float("nan")}
        reference = self.reference
        return {
            "fid": frechet_distance(
                reference.mean, reference.covariance, moments.mean, moments.covariance
            )
        }

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that the last evaluation's numbers depend on, ready for JSON.

        `num_samples` were really judged; `seed` (of the latents) and `labels` are there where
        `evaluate` drew them. Before any evaluation it is what `evaluate` would do.
        """
        spec = self.source.spec
        protocol: dict[str, Any] = {
            "dataset": spec.name,
            "split": self.split,
            "domain": self.domain,
            "shape": list(spec.shape),
            **self._judged,
            "versions": {
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
            },
        }
        if self._net is not None:
            protocol |= {
                "num_reference": self.reference.count,
                "feature_net": self._net.name,
                "feature_net_sha256": self._net.sha256,
                "preprocessing": f"8 bits, {self._net.preprocessing}",
            }
        return protocol

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        spec = self.source.spec
        if shape != tuple(spec.shape):
            raise UserError(f"samples of shape {shape}: {spec.name} holds {tuple(spec.shape)}")

    def _draw(self, sampler: Sampler) -> Iterable[np.ndarray]:
        z = latents(self.num_samples, sampler.latent_dim, self.seed)
        label = None
        if sampler.num_classes:
            label = balanced_labels(self.num_samples, sampler.num_classes)
        for i in range(0, self.num_samples, _CHUNK):
            chunk = slice(i, i + _CHUNK)
            yield sampler(z[chunk], None if label is None else label[chunk])

    def _moments(self, batches: Iterable[np.ndarray]) -> tuple[Moments, bool]:
        """The moments of the images' features, and whether every pixel was finite."""
        if self._net is None:
            raise UserError(f"{self.source.spec.name} is no data set of images: it has no FID")
        moments: Moments | None = None
        finite = True
        for batch in batches:
            images = np.asarray(batch, np.float32)
            self._check_shape(images.shape[1:])
            finite = finite and bool(np.isfinite(images).all())
            rounded = to_uint8(images).astype(np.float32) / np.float32(127.5) - np.float32(1.0)
            rows = self._net(rounded)
            moments = moments or Moments(rows.shape[1])
            moments.update(rows)
        return moments or Moments(self._net.dim), finite
