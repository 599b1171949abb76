"""pix2pix: translation learnt from pairs, with a conditional GAN and L1 (Isola et al. 2017)."""

from typing import Any

import tensorflow as tf

from gan import origin
from gan.data import Source, Spec
from gan.errors import UserError
from gan.losses import Loss
from gan.registry import resolve
from gan.sampling import KerasSampler
from trainers import checks
from trainers.base import Batch, Trainer
from trainers.networks import check_shapes
from trainers.state import Architecture, Logs
from trainers.views import Layout, SideBySide, Views, examples


class Pix2Pix(Trainer):
    """G translates x into y, D tells (x, y) from (x, G(x)), arXiv:1611.07004.

    x is the data's first domain and y its last. There is no z: what is random in G is its dropout,
    in training alone.
    """

    groups = {"generator": ("generator",), "discriminator": ("discriminator",)}
    averaged = ("generator",)

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        loss: str | Loss = "non_saturating",
        lambda_l1: float = 100.0,
        batch_size: int = 1,
        **options: Any,
    ) -> None:
        """See `Trainer` for the other options.

        Args:
            architecture: makes a translator and a discriminator of pairs, such as `unet`.
            spec: description of the data to train on, with two domains in pairs.
            loss: adversarial loss: a name, an import path or a `Loss`; the paper's is cross-entropy
                in its non-saturating form.
            lambda_l1: weight of the L1 distance from y in G's loss (lambda, equation 4).
            batch_size: pairs in an update, over all replicas.
            **options: options of `Trainer`.

        Raises:
            UserError: the data has no pairs, the networks do not take them, or a value is out of
                range.
        """
        if not (spec.is_translation and spec.paired):
            raise UserError(
                f"--dataset={spec.name!r} has no pairs of images; pix2pix learns from pairs, as in "
                "edges2fashion and pairs:DIR."
            )
        if lambda_l1 < 0:
            raise UserError(f"--lambda_l1={lambda_l1}: expected at least 0.")
        self.loss_functions = checks.losses(
            resolve("loss", loss) if isinstance(loss, str) else loss
        )
        if self.loss_functions.relative:
            raise UserError(f"--loss={loss!r}: pix2pix's generator loss sees no reals.")
        self.lambda_l1 = lambda_l1
        super().__init__(architecture, spec, batch_size=batch_size, **options)
        check_shapes(self, "generator", inputs=spec.shape, outputs=spec.shape)
        *sides, channels = spec.shape
        takes = tuple(self.networks["discriminator"].inputs[0].shape[1:])
        if takes != (*sides, 2 * channels):
            raise UserError(
                f"{origin.described(self.architecture)}: its discriminator takes {takes}; "
                f"pix2pix needs {(*sides, 2 * channels)}, as in --architecture=unet."
            )

    # Which networks each logged term may move.
    routes = {
        "loss/generator": ("generator",),
        "loss/generator/adversarial": ("generator",),
        "loss/generator/l1": ("generator",),
        "loss/discriminator": ("discriminator",),
    }

    def train_step(self, batch: Batch) -> Logs:
        """One update of D, then one of G against the updated D (section 3.3)."""
        x, y = (batch[domain] for domain in self.spec.domains)
        g, d = map(self.training, self.groups)
        with self.tape() as tape:
            fake = g(x)
        # D: pairs of the data against translated ones (equation 1), its loss halved.
        with self.tape() as tape_d:
            fake_logits = d(_pair(x, tf.stop_gradient(fake)))
            loss_d = self.loss_functions.discriminator(d(_pair(x, y)), fake_logits) / 2.0
        self.minimize(loss_d, "discriminator", tape_d)
        # G: D should take G(x) for y, and the two should be close (equations 3 and 4).
        with tape:
            adversarial = self.loss_functions.generator(d(_pair(x, fake)))
            l1 = tf.reduce_mean(tf.abs(tf.cast(fake, tf.float32) - y))
            loss_g = adversarial + self.lambda_l1 * l1
        self.minimize(loss_g, "generator", tape)
        return {
            "loss/generator": loss_g,
            "loss/generator/adversarial": adversarial,
            "loss/generator/l1": l1,
            "loss/discriminator": loss_d,
        }

    def views(self, source: Source, layout: Layout) -> Views:
        """`translation`: x, G(x) and y, the ground truth."""
        pairs = examples(source, 2 * layout.rows, layout.seed)
        x, y = (pairs[domain] for domain in source.spec.domains)
        return {"translation": SideBySide(x, KerasSampler(self.inference(), len(x)), y)}


def _pair(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """What D judges: x, and y or G(x) behind it on the channel axis."""
    return tf.concat([x, tf.cast(y, x.dtype)], axis=-1)
