"""VAE-GAN: a variational autoencoder whose images are compared as D sees them (Larsen 2016)."""

import functools
from typing import Any

import keras
import tensorflow as tf

from layers import Dense
from trainers._encoding import EncodingGAN
from trainers.base import Batch
from trainers.gan import GAN
from trainers.networks import check_plain, features_of, with_features
from trainers.state import Logs


class VAEGAN(EncodingGAN):
    """E, G and D, arXiv:1512.09300: G is the decoder, E a network like D that ends in q(z|x)."""

    def __init__(self, *data: Any, gamma: float = 1e-2, **options: Any) -> None:
        """See `GAN` for the other options.

        Args:
            *data: architecture and spec, as of `GAN`.
            gamma: weight of the distance between D's features in G's loss (section 3.2).
            **options: options of `GAN`.
        """
        if len(data[1].shape) != 3:
            self.averaged = ("generator",)  # A file's interface has no points as inputs.
        super().__init__(*data, **options)
        self.gamma = gamma
        critic = with_features(self.networks["discriminator"])
        self.critic = functools.partial(critic, training=True)

    def build_networks(self) -> dict[str, keras.Model]:
        """Adds E, which gives q's mean and log-variance in place of D's logits."""
        networks = super().build_networks()
        check_plain(self, "vae_gan", networks)
        trunk = keras.models.clone_model(networks["discriminator"])
        head = Dense(2 * networks["generator"].inputs[0].shape[-1], dtype="float32")
        q = head(features_of(trunk))
        return {**networks, "encoder": keras.Model(trunk.inputs[0], q, name="encoder")}

    # Which networks each logged term may move: E never learns from the game, nor D from distances.
    routes = {
        **GAN.routes,
        "loss/encoder": ("encoder",),
        "loss/encoder/kl": ("encoder",),
        "loss/encoder/distance": ("encoder", "generator"),
        "loss/generator/adversarial": ("generator",),
    }

    def train_step(self, batch: Batch) -> Logs:
        """One step of all three, from one forward pass (algorithm 1)."""
        x, (encode, decode, _) = batch["x"], map(self.training, self.groups)
        with self.tape() as tape:
            mean, log_variance = tf.split(encode(x), 2, axis=-1)
            rebuilt = decode(mean + tf.exp(0.5 * log_variance) * self.normal(mean.shape, "q"))
            look = functools.partial(self.discriminate, batch=batch, by=self.critic, alike="pair")
            *_, features, real_logits = look(x)
            *_, rebuilt_features, rebuilt_logits = look(rebuilt)
            self.augmentation.observe(real_logits)
            # E: q(z|x) near the prior (equation 3), x as D sees it (equation 7).
            kl = tf.reduce_sum(tf.exp(log_variance) + mean**2 - 1.0 - log_variance) / 2 / x.shape[0]
            distance = tf.nn.l2_loss(tf.cast(features - rebuilt_features, tf.float32)) / x.shape[0]
            loss_e = kl + distance
            # G and D: the game (equation 8), with reconstructions and samples as fakes.
            penalties = self.penalize(x, rebuilt, batch, passes=[(x, real_logits)])
            terms = self.penalize_generator(batch)
            loss_d, game = sum(penalties.values()), 0.0
            for logits in (rebuilt_logits, self.discriminate(self.generate(batch), batch)):
                game += self.adversarial_loss(logits, batch)
                loss_d += self.loss_functions.discriminator(real_logits, logits)
            loss_g = self.gamma * distance + game + sum(terms.values())
        losses = dict(zip(self.groups, (loss_e, loss_g, loss_d)))
        for group, loss in losses.items():
            self.minimize(loss, group, tape)
        own = {"encoder/kl": kl, "encoder/distance": distance, "generator/adversarial": game}
        logs = {f"loss/{name}": value for name, value in {**losses, **own}.items()}
        return {**logs, **penalties, **terms}
