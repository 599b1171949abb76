"""CycleGAN: two domains, a translator each way, no pairs (Zhu et al. 2017)."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from gan.data import Source, Spec
from gan.errors import CodeError, UserError
from gan.interface import Interface, declare, interface_of
from gan.losses import Loss
from gan.registry import resolve
from gan.sampling import KerasSampler
from trainers import checks
from trainers.base import Batch, Trainer
from trainers.image_pool import ImagePool
from trainers.networks import check_shapes
from trainers.state import Architecture, Logs
from trainers.views import Layout, SideBySide, Views, reals


class CycleGAN(Trainer):
    """G_AB and G_BA share an optimizer, and so do D_A and D_B, as in the paper."""

    groups = {
        "generator": ("generator_ab", "generator_ba"),
        "discriminator": ("discriminator_a", "discriminator_b"),
    }
    averaged = ("generator_ab", "generator_ba")

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        loss: str | Loss = "lsgan",
        cycle_lambda: float = 5.0,
        identity_lambda: float = 0.5,
        pool_size: int = 50,
        batch_size: int = 1,
        **options: Any,
    ) -> None:
        """See `Trainer` for the other options.

        Args:
            architecture: makes a translator and a discriminator, with its options filled in.
            spec: description of the data to train on, with the domains "a" and "b".
            loss: adversarial loss: a name, an import path or a `Loss`.
            cycle_lambda: weight of cycle consistency. The paper's 10 (lambda, equation 3) goes with
                a least-squares loss without lsgan's factor 1/2, so that it equals 5 here.
            identity_lambda: weight of the identity loss, as a share of cycle_lambda (section 5.2).
            pool_size: number of past fakes that a discriminator may see again (section 4); 0 keeps
                none.
            batch_size: images of each domain in an update, over all replicas.
            **options: options of `Trainer`.

        Raises:
            UserError: the data lacks two domains, or a weight is negative.
        """
        if sorted(spec.domains) != ["a", "b"]:
            raise UserError(
                f"--dataset={spec.name!r} has domains {spec.domains}; cyclegan translates between "
                "'a' and 'b', as in edges2fashion_unpaired, unpaired:DIR and pairs:DIR."
            )
        for name, value in (
            ("cycle_lambda", cycle_lambda),
            ("identity_lambda", identity_lambda),
            ("pool_size", pool_size),
        ):
            if value < 0:
                raise UserError(f"--{name}={value}: expected at least 0.")
        self.loss_functions = checks.losses(
            resolve("loss", loss) if isinstance(loss, str) else loss
        )
        if self.loss_functions.relative:
            raise UserError(f"--loss={loss!r}: cyclegan's generator loss sees no reals; use lsgan.")
        self.cycle_lambda, self.identity_lambda = cycle_lambda, identity_lambda
        super().__init__(architecture, spec, batch_size=batch_size, **options)
        for name in self.networks:
            outputs = spec.shape if name in self.averaged else None
            check_shapes(self, name, inputs=spec.shape, outputs=outputs)
        self.pools = {domain: ImagePool(pool_size, spec.shape, domain) for domain in spec.domains}

    def build_networks(self) -> dict[str, keras.Model]:
        """Two generators and two discriminators."""
        ab, ba = self.architecture(self.spec), self.architecture(self.spec)
        return {
            "generator_ab": _translates(ab.generator, "a", "b"),
            "generator_ba": _translates(ba.generator, "b", "a"),
            "discriminator_a": ba.discriminator,
            "discriminator_b": ab.discriminator,
        }

    def extra_state(self) -> dict[str, list[tf.Variable]]:
        """The image pools."""
        return {f"pool_{domain}": pool.variables for domain, pool in self.pools.items()}

    # Which networks each logged term may move: a cycle goes through both generators.
    routes = {
        "loss/generator": ("generator_ab", "generator_ba"),
        "loss/generator/adversarial_ab": ("generator_ab",),
        "loss/generator/adversarial_ba": ("generator_ba",),
        "loss/generator/cycle": ("generator_ab", "generator_ba"),
        "loss/generator/identity": ("generator_ab", "generator_ba"),
        "loss/discriminator": ("discriminator_a", "discriminator_b"),
        "loss/discriminator/a": ("discriminator_a",),
        "loss/discriminator/b": ("discriminator_b",),
    }

    def train_step(self, batch: Batch) -> Logs:
        """Both generators on their common objective (equation 3), then both discriminators."""
        a, b = batch["a"], batch["b"]
        g_ab, g_ba, d_a, d_b = map(self.training, self.networks)

        with self.tape() as tape:
            fake_b, fake_a = g_ab(a), g_ba(b)
            # Adversarial: each translation should look like the other domain (equation 1).
            adversarial_ab = self.loss_functions.generator(d_b(fake_b))
            adversarial_ba = self.loss_functions.generator(d_a(fake_a))
            # Cycles, a -> b -> a and b -> a -> b, each through both generators (equation 2).
            cycle = _l1(g_ba(fake_b), a) + _l1(g_ab(fake_a), b)
            loss = adversarial_ab + adversarial_ba + self.cycle_lambda * cycle
            # Identity: images of the target domain stay as they are (section 5.2).
            if self.identity_lambda:
                identity = _l1(g_ab(b), b) + _l1(g_ba(a), a)
                loss += self.cycle_lambda * self.identity_lambda * identity
        self.minimize(loss, "generator", tape)

        # Discriminators see present and past fakes (Shrivastava et al. 2017).
        past_a = self.pools["a"].exchange(tf.stop_gradient(fake_a), self.pool_seed("a"))
        past_b = self.pools["b"].exchange(tf.stop_gradient(fake_b), self.pool_seed("b"))
        with self.tape() as tape:
            loss_a = self.loss_functions.discriminator(d_a(a), d_a(past_a))
            loss_b = self.loss_functions.discriminator(d_b(b), d_b(past_b))
            loss_d = loss_a + loss_b
        self.minimize(loss_d, "discriminator", tape)

        logs = {
            "loss/generator": loss,
            "loss/generator/adversarial_ab": adversarial_ab,
            "loss/generator/adversarial_ba": adversarial_ba,
            "loss/generator/cycle": cycle,
            "loss/discriminator": loss_d,
            "loss/discriminator/a": loss_a,
            "loss/discriminator/b": loss_b,
        }
        return logs | ({"loss/generator/identity": identity} if self.identity_lambda else {})

    def views(self, source: Source, layout: Layout) -> Views:
        """`a_b_a`, `b_a_b`: x, its translation, and the translation back."""
        count = 2 * layout.rows
        a, b = (reals(source, domain, count, layout.seed) for domain in "ab")
        there, back = (KerasSampler(self.inference(name), count) for name in self.averaged)
        return {"a_b_a": SideBySide(a, there, back), "b_a_b": SideBySide(b, back, there)}

    def pool_seed(self, domain: str) -> tf.Tensor:
        """Seed of a pool, the same on every replica, since all keep the same pool."""
        return self.rng(f"pool/{domain}", shared=True)


def _translates(generator: keras.Model, source: str, target: str) -> keras.Model:
    """Declares the domains of a translator, which its architecture does not know."""
    before = interface_of(generator)
    if before.image is None:
        raise CodeError(f"network {generator.name!r} takes {before.names}; expected x, an image.")
    image = dataclasses.replace(before.image, domain=source)
    output = dataclasses.replace(before.output, domain=target)
    return declare(generator, Interface((image,), output))


def _l1(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference, float32 scalar."""
    return tf.reduce_mean(tf.abs(tf.cast(x, tf.float32) - tf.cast(y, tf.float32)))
