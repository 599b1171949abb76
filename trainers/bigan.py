"""BiGAN: an encoder beside G, and a D that judges pairs of image and z (Donahue, Dumoulin 2017)."""

from typing import Any

import keras
import tensorflow as tf

from gan.data import Spec
from gan.errors import UserError
from layers import Dense, functions
from trainers._encoding import EncodingGAN
from trainers.base import Batch
from trainers.gan import GAN, accuracy
from trainers.networks import check_plain, features_of
from trainers.state import Architecture, Logs


class BiGAN(EncodingGAN):
    """E, G and a joint D, arXiv:1605.09782 and (ALI) arXiv:1606.00704.

    D tells pairs (x, E(x)) from (G(z), z). E and G make these alike, and so invert each other.
    Penalties see a pair as one vector, so that R1's gradient is that by x and by z.
    """

    def __init__(
        self,
        architecture: Architecture,
        spec: Spec,
        *,
        stochastic: bool = False,
        joint_units: int = 512,
        **options: Any,
    ) -> None:
        """See `GAN` for the other options.

        Args:
            architecture: makes the generator and the discriminator, with its options filled in.
            spec: description of the data to train on.
            stochastic: draw z given x from a normal distribution, whose mean and variance the
                encoder gives, as ALI does; else the encoder gives z itself, as BiGAN's does.
            joint_units: units of each hidden layer of the joint discriminator behind the image's
                features.
            **options: options of `GAN`.

        Raises:
            UserError: a number of units below 1, or a loss that exchanging the pairs would change.
        """
        if joint_units < 1:
            raise UserError(f"--joint_units={joint_units}: expected at least 1.")
        if options.get("loss") == "saturating":
            raise UserError(
                "--loss='saturating': bigan's encoder and generator minimise the discriminator's "
                "loss of exchanged pairs, which does not saturate; take --loss=non_saturating."
            )
        self.stochastic, self.joint_units = stochastic, joint_units
        if len(spec.shape) != 3:
            self.averaged = ("generator",)  # A file's interface has no points as inputs.
        super().__init__(architecture, spec, **options)

    def build_networks(self) -> dict[str, keras.Model]:
        """G, E (a network like D that ends in z) and the joint D.

        BiGAN's D adds a map of z at each layer, and so must be written for it. Here, as in ALI, the
        features of x and z meet behind the convolutions, which any architecture's D can do.
        """
        networks = super().build_networks()
        check_plain(self, "bigan", networks)
        latent_dim = networks["generator"].inputs[0].shape[-1]
        trunk = keras.models.clone_model(networks["discriminator"])
        head = Dense((1 + self.stochastic) * latent_dim, dtype="float32")
        encoder = keras.Model(trunk.inputs[0], head(features_of(trunk)), name="encoder")
        joint = _joint(networks["discriminator"], latent_dim, self.joint_units)
        return {**networks, "encoder": encoder, "discriminator": joint}

    # Which networks each logged term may move: E and G share one loss.
    routes = {
        **GAN.routes,
        "loss/encoder": ("encoder", "generator"),
        "loss/generator": ("encoder", "generator"),
    }

    def train_step(self, batch: Batch) -> Logs:
        """One step of all three, from one forward pass (ALI, algorithm 1)."""
        x, z = batch["x"], self.draw(batch)
        with self.tape() as tape:
            real = pair(x, self.encode(x))
            fake = pair(self.training("generator")(z), z)
            real_logits = self.discriminate(real, batch)
            fake_logits = self.discriminate(fake, batch)
            self.augmentation.observe(real_logits)
            # D: which pairs hold a real image (equation 2 of both papers), with the penalties.
            game = self.loss_functions.discriminator(real_logits, fake_logits)
            penalties = self.penalize(real, fake, batch)
            loss_d = tf.add_n([game, *penalties.values()])
            # E and G: the same with the pairs exchanged, E by the real ones, G by the fake ones.
            loss_eg = self.loss_functions.discriminator(fake_logits, real_logits)
            terms = self.penalize_generator(batch)
            loss_g = tf.add_n([loss_eg, *terms.values()])
        losses = {"encoder": loss_eg, "generator": loss_g, "discriminator": loss_d}
        for group, loss in losses.items():
            self.minimize(loss, group, tape)
        return {
            **{f"loss/{group}": loss for group, loss in losses.items()},
            "accuracy/discriminator": accuracy(real_logits, fake_logits),
            "logits/real": tf.reduce_mean(tf.cast(real_logits, tf.float32)),
            "logits/fake": tf.reduce_mean(tf.cast(fake_logits, tf.float32)),
            **penalties,
            **terms,
        }

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        """z for real images, float32 (B, latent_dim): E(x), or a draw from E's distribution."""
        z = self.training("encoder")(x)
        if not self.stochastic:
            return z
        mean, log_variance = tf.split(z, 2, axis=-1)
        return mean + tf.exp(0.5 * log_variance) * self.normal(mean.shape, "encoder")

    def discriminate(
        self, x: tf.Tensor, batch: Batch, packed: bool = False, by: Any = None, alike: str = ""
    ) -> tf.Tensor:
        """The joint D's logits of what `pair` makes, float32 (B, 1)."""
        del batch, packed, by
        z_dim = self.networks["discriminator"].inputs[1].shape[-1]
        image, z = x[:, :-z_dim], x[:, -z_dim:]
        image = self.augmented(tf.reshape(image, (-1, *self.spec.shape)), alike)
        return self.training("discriminator")([image, z])


def pair(x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """(B, ...) and (B, latent_dim) as one float32 vector for each example, x first."""
    flat = tf.reshape(tf.cast(x, tf.float32), (x.shape[0], -1))
    return tf.concat([flat, tf.cast(z, tf.float32)], axis=-1)


def _joint(discriminator: keras.Model, latent_dim: int, units: int) -> keras.Model:
    """D(x, z): D's features of x and a hidden layer's of z, then two hidden layers and the logits.

    Without ALI's maxout and dropout; spectrally normalised where the architecture's D ends so.
    """
    last = discriminator.get_layer("logits")
    norm = {"spectral_norm": getattr(last, "spectral_norm", False)}

    def hidden(h: Any) -> Any:
        initial = {"kernel_initializer": "he_normal"}
        return Dense(units, activation=functions.leaky_relu, **initial, **norm)(h)

    z = keras.Input((latent_dim,), name="z")
    h = keras.layers.Concatenate()([features_of(discriminator), hidden(z)])
    logits = Dense(1, dtype="float32", name="logits", **norm)(hidden(hidden(h)))
    return keras.Model([discriminator.inputs[0], z], logits, name="discriminator")
