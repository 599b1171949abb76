"""What a data set can be judged by: said before hours of training, not at the first evaluation."""

from collections.abc import Sequence

import numpy as np

from gan.data.spec import Spec
from gan.errors import UserError
from gan.metrics.features import FeatureNet


def default_samples(spec: Spec) -> int:
    """How many samples are judged: 10,000 images, 26,000 stacked ones, or 2,500 points."""
    if spec.channel_classes:
        return 26_000
    return 10_000 if spec.is_image else 2_500


def check_metrics(
    spec: Spec, metrics: Sequence[str], net: FeatureNet | None, *, is_mixture: bool
) -> None:
    """Raises UserError for a metric that the data or the net have no basis for.

    Args:
        spec: of the data.
        metrics: names or import paths.
        net: None for points.
        is_mixture: whether the data have the centers and std of a mixture.
    """
    if not spec.is_image and "modes" in metrics and not is_mixture:
        raise UserError(
            f"--dataset={spec.name!r} holds points of shape {spec.shape} without "
            "the centers and std of a mixture to judge by: give its source both, or train with "
            "--eval_every_kimg=none."
        )
    for name, wrong, why in (
        ("modes", spec.is_image and not spec.channel_classes, "has no modes to count: that is "
         "for ring, grid and stacked:BASE"),
        ("is", not spec.is_image or bool(spec.channel_classes), "has no single class per "
         "image to score"),
        ("ppl", spec.is_translation, "is translated, not drawn from latents"),
        ("truth", not spec.paired, "has no pairs that say what a translation should be"),
    ):  # fmt: skip
        if name in metrics and wrong:
            raise UserError(f"--metrics={name}: {spec.name} {why}.")
    _check_logits(spec, metrics, net)


def _check_logits(spec: Spec, metrics: Sequence[str], net: FeatureNet | None) -> None:
    name = next((n for n in ("is", "modes") if n in metrics), "")
    if net is None or not name:
        return
    _, logits = net.outputs(np.zeros((1, *spec.shape), np.float32))
    count = 0 if logits is None else logits.shape[1]
    needed = spec.channel_classes * spec.shape[-1] if name == "modes" else count or 1
    if count != needed:
        what = f"{spec.channel_classes} classes per channel" if name == "modes" else "classes"
        raise UserError(
            f"--metrics={name} of {spec.name} needs a net that names {what}: feature net "
            f"{net.name!r} has {count or 'no'} logits per image. Give one that returns "
            "features and logits by --feature_net=package.module:attribute, or other metrics, "
            "such as fid."
        )
