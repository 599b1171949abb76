"""Judging a generator against a data source: the one way in for training, scripts and export."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gan import images, origin
from gan.data.source import Source
from gan.errors import CodeError, UserError
from gan.metrics import nets, scores, truth
from gan.metrics.checks import check_metrics, default_samples
from gan.metrics.declared import declared, label
from gan.metrics.distances import nearest
from gan.metrics.extraction import check_shape, extract
from gan.metrics.features import FeatureNet, Features
from gan.metrics.labels import WAYS, draw_labels
from gan.metrics.neighbours import neighbour_picture
from gan.metrics.nets import choice
from gan.metrics.nets.channels import per_channel
from gan.metrics.path_length import EPSILON, exact
from gan.metrics.reference import CHUNK, Reference, bar, named_domain
from gan.metrics.subsets import Reservoir, subset
from gan.sampling import Sampler


class Evaluator:
    """Measures samples against a source; its `protocol` says how, for the record.

    Images are rounded to 8 bits first, as a PNG holds them, so that a generator and the pictures it
    wrote get one number; then a feature net maps them to vectors. Points of a mixture are vectors
    as they are.

    Judging the same samples again gives the same numbers. The reference's features are computed at
    the first evaluation and kept. `keys` is what the metrics declare of their numbers.
    """

    def __init__(
        self,
        source: Source,
        *,
        metrics: Sequence[str] | None = None,
        feature_net: str | FeatureNet = "auto",
        feature_weights: str | os.PathLike[str] | None = None,
        num_samples: int | None = None,
        num_reference: int | None = None,
        seed: int = 0,
        labels: str = "data",
        domain: str | None = None,
        split: str = "train",
        cache: bool = False,
        progress: bool = False,
    ) -> None:
        """Loads the feature net.

        Args:
            source: the reference, its ordered pass.
            metrics: names or import paths, see `scores` (fid, kid, pr, dc, prdc, is, modes, ppl,
                neighbours, truth). None: fid for images, modes for mixtures, both for stacked
                images. The first key that may decide (see `declared`) says what is best.
            feature_net: a name or import path (see `nets.load`), a net, or "auto": the one
                that was made for the data, else `random` (see `choice.choose`). It judges stacked
                images channel by channel.
            feature_weights: file of the net's weights, for nets that take one.
            num_samples: samples to judge; None is 10,000 images, 26,000 stacked ones (PacGAN's
                count), or 2,500 points of a mixture.
            num_reference: how many of the source's examples to refer to, drawn at random, always
                the same; None is all.
            seed: of the latents, and of the order of labels.
            labels: how classes are drawn for a conditional generator: by their shares of the
                reference ("data"), or evenly ("balanced"); none that it has no image of.
            domain: key of the source's data to compare with; None is its last one (b for
                translation from a to b).
            split: the split that `source` reads, for the protocol.
            cache: keep the reference's features on disk, see `reference.cached`.
            progress: show a bar on a terminal.

        Raises:
            UserError: an unknown metric, net or domain, fewer than two samples, or a metric that
                this source or net has no basis for.
        """
        spec = source.spec
        if labels not in WAYS:
            raise UserError(f"labels={labels!r}: expected {' or '.join(WAYS)}.")
        for name, value in (("num_samples", num_samples), ("num_reference", num_reference)):
            if value is not None and value < 2:
                raise UserError(f"{name} {value}: must be at least 2, or none for the default")
        self.source = source
        self.seed = seed
        self.labels = labels
        self.num_samples = num_samples or default_samples(spec)
        default: tuple[str, ...] = ("fid",) if spec.is_image else ("modes",)
        default += ("modes",) if spec.channel_classes else ()
        self.metrics = tuple(metrics) if metrics else default
        self.keys = declared(self.metrics)
        self._scored = {n: scores.find(n) for n in self.metrics if n not in scores.BY_EVALUATOR}
        self._progress = progress
        self._keep_rows = scores.needs_rows(self.metrics)
        self.domain = named_domain(spec, domain)
        self._net = self._load_net(feature_net, feature_weights)
        self.data = Reference(
            source,
            self.domain,
            count=num_reference,
            split=split,
            net=self._net,
            keep_rows=self._keep_rows,
            cache=cache,
            progress=progress,
        )
        self._judged: dict[str, Any] = {"num_samples": self.num_samples, "seed": seed}
        self._samples: Features | None = None
        self._kept: np.ndarray | None = None
        is_mixture = hasattr(source, "centers") and hasattr(source, "std")
        check_metrics(spec, self.metrics, self._net, is_mixture=is_mixture)

    def _load_net(
        self, feature_net: str | FeatureNet, weights: str | os.PathLike[str] | None
    ) -> FeatureNet | None:
        spec = self.source.spec
        if not spec.is_image:
            return None
        if feature_net == "auto":
            feature_net = choice.choose(self.source, self.domain)
        elif isinstance(feature_net, str):
            choice.warn_of(feature_net, self.source)
        if isinstance(feature_net, str):
            feature_net = nets.load(feature_net, os.fspath(weights) if weights else None)
        if spec.channel_classes:
            feature_net = per_channel(feature_net, spec.shape[-1])
        return feature_net

    @property
    def num_reference(self) -> int:
        """How many of the source's examples are referred to."""
        return self.data.count

    @property
    def reference(self) -> Features:
        """The features of the source's images.

        Raises:
            UserError: fewer than two images.
        """
        return self.data.features

    def evaluate(self, sampler: Sampler, seed: int | None = None) -> dict[str, float]:
        """Judges `num_samples` samples, their classes drawn as `labels` says if conditional.

        A translator is judged by what it makes of the source's images, without any seed.

        Args:
            sampler: a Keras or LiteRT sampler.
            seed: of the latents, and of the order of labels; None is the evaluator's.

        Returns:
            The metrics by key; all are NaN if any sample is not finite.

        Raises:
            UserError: the sampler's shape is not the source's, or its classes are others.
        """
        seed = self.seed if seed is None else seed
        spec = self.source.spec
        check_shape(tuple(sampler.shape), spec)
        if sampler.interface.image:
            if "ppl" in self.metrics:
                raise UserError("--metrics=ppl: images are translated, not drawn from latents.")
            return self._evaluate_translator(sampler)
        # What cannot be done is said before the work: here, and by the labels.
        smooth = exact(sampler) if "ppl" in self.metrics else sampler
        classes = self.reference.class_counts if sampler.num_classes else None
        label, how = draw_labels(
            self.num_samples, sampler.num_classes, classes, self.labels, seed, spec.name
        )
        z = sampler.latents(self.num_samples, seed)
        chunks = [slice(i, i + CHUNK) for i in range(0, len(z), CHUNK)]
        metrics = self.evaluate_images(
            sampler(z[c], None if label is None else label[c]) for c in chunks
        )
        if "ppl" in self.metrics:
            net = self._net or (lambda points: points)
            metrics |= scores.ppl(smooth, net, self.num_samples, seed, label)
        self._judged |= {"seed": seed, "labels": how, "latents": sampler.prior}
        return metrics

    def _evaluate_translator(self, translator: Sampler) -> dict[str, float]:
        """Judges translations of the source's images, also by their pairs' other images."""
        parts = []

        def translated() -> Iterator[np.ndarray]:
            for x, batch in self._examples(translator, self.num_samples):
                made = translator(x)
                if "truth" in self.metrics:
                    parts.append(truth.distances(made, batch[self.domain][: len(x)]))
                yield made

        metrics = self._evaluate_images(translated())
        return metrics | (scores.truth(parts) if parts else {})

    def inputs(self, translator: Sampler, count: int) -> Iterator[np.ndarray]:
        """The first `count` images that a translator takes, or all the source has, some at a time.

        Raises:
            UserError: it makes images of another domain than those it is to be judged by.
        """
        return (x for x, _ in self._examples(translator, count))

    def _examples(
        self, translator: Sampler, count: int
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """The same images, and the batch that they are from."""
        interface, spec = translator.interface, self.source.spec
        assert interface.image is not None
        if interface.output.domain in spec.domains and interface.output.domain != self.domain:
            raise UserError(
                f"it translates to {interface.output.domain!r}, and {spec.name} is to judge "
                f"{self.domain!r}."
            )
        domain = spec.domain_of(interface.image.domain)
        count = min(count, spec.size_of(domain))
        for batch in self.source.ordered(CHUNK).as_numpy_iterator():
            yield batch[domain][:count], batch
            count -= len(batch[domain])
            if count <= 0:
                return

    def evaluate_images(self, batches: Iterable[np.ndarray]) -> dict[str, float]:
        """Judges samples from anywhere (a translator, PNG files), however many there are.

        Args:
            batches: float32 (N, H, W, C) in [-1, 1] of one H, W and C; or (N, 2) points.

        Returns:
            As `evaluate`, without ppl and truth.

        Raises:
            UserError: samples of another shape than the source's, or fewer than two, or a metric
                that they have no basis for.
        """
        if "truth" in self.metrics:
            raise UserError(
                "--metrics=truth: it judges a translator, by what each image should become."
            )
        return self._evaluate_images(batches)

    def _evaluate_images(self, batches: Iterable[np.ndarray]) -> dict[str, float]:
        # The images that `neighbours` asks about, for their picture.
        kept = Reservoir(scores.NEIGHBOUR_QUERIES, scores.NEIGHBOUR_SEED)
        samples, finite = extract(
            batches,
            self._net,
            self.source.spec,
            # Mode counts need points or logits, whatever the other metrics need.
            keep_rows=self._keep_rows or "modes" in self.metrics,
            kept=kept if "neighbours" in self.metrics else None,
            bar=bar(self.num_samples, "samples", self._progress),
        )
        if samples.count < 2:
            raise UserError(f"metrics of {samples.count} samples: need at least 2")
        self._judged = {"num_samples": samples.count}
        self._samples, self._kept = samples, kept.rows
        metrics: dict[str, float] = {}
        for name in self.metrics:
            scored: dict[str, float] = {}
            if name == "modes":
                scored = scores.modes(self.source, samples)
            elif name in self._scored:
                scored = self._score(name, samples)
            for key in metrics.keys() & scored.keys():
                raise UserError(
                    f"--metrics={name!r} and another metric return the key {key!r}: rename it in "
                    "one of them."
                )
            metrics |= scored
        return metrics if finite else dict.fromkeys(metrics, float("nan"))

    def _score(self, name: str, samples: Features) -> dict[str, float]:
        metric = self._scored[name]
        try:
            result = origin.call(metric, self.reference, samples)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"--metrics={name}: {error}.") from error
        try:
            return {str(key): float(value) for key, value in result.items()}
        except (AttributeError, TypeError, ValueError):
            raise CodeError(
                f"{origin.described(metric)}: {name} returned {result!r}; expected numbers by key, "
                "as in {'mine': 0.5}."
            ) from None

    def neighbour_picture(self, count: int = 12, k: int = 5) -> np.ndarray:
        """The samples of the last evaluation that come nearest to training images, beside these.

        Returns:
            uint8 picture, one row per sample, the most suspicious first: the sample, then its k
            nearest images.

        Raises:
            UserError: no evaluation of images with `neighbours` in the metrics came before.
        """
        if self._samples is None or self._kept is None:
            raise UserError("a picture of neighbours needs --metrics=neighbours and images.")
        references = (batch[self.domain] for batch in self.data.batches())
        rows = self._samples.rows
        asked = rows[subset(len(rows), scores.NEIGHBOUR_QUERIES, scores.NEIGHBOUR_SEED)]
        distance, index = nearest(asked, self.reference.rows, min(k, self.reference.count))
        kept = images.from_uint8(self._kept)
        return neighbour_picture(distance, index, kept, references, count)

    def label(self, key: str) -> str:
        """A key as it is printed, with the net it was measured by: `fid[fashion]`."""
        of_pixels = key in self.keys and self.keys[key].of_pixels
        return key if of_pixels else label(key, self.feature_net)

    @property
    def feature_net(self) -> str:
        """The name of the net; "" for points."""
        return self._net.name if self._net else ""

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that the last evaluation's numbers depend on, ready for JSON.

        `num_samples` were really judged; `seed` (of the latents) and `labels` are there where
        `evaluate` drew them. Before any evaluation it is what `evaluate` would do.
        """
        constants = {name: scores.constants(name) for name in self.metrics}
        if "ppl" in self.metrics:
            constants["ppl"] = {"epsilon": EPSILON, "path": "slerp in z", "percentiles": [1, 99]}
        return {
            **self.data.setting,
            **self._judged,
            "constants": {name: values for name, values in constants.items() if values},
        }
