"""What the contenders of benchmarks/bench.py train: the same networks, losses and updates."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Everything that a peer has to know is said, also where it is Tapestry's default.
_COMMON = {
    "trainer": "gan",
    "batch_size": "64",
    "latent_dim": "64",
    "loss": "non_saturating",
    "penalty_every": "1",
    "generator_penalty_every": "1",
    "n_critic": "1",
    "learning_rate": "2e-4",
    "beta_1": "0.5",
    "beta_2": "0.999",
    "ema_half_life_kimg": "10",
    "ema_rampup": "none",
}


@dataclass(frozen=True)
class Work:
    """One thing to train.

    Attributes:
        title: for tables.
        flags: those of scripts.train. Peers read `_COMMON`'s from them, and penalties' weights.
        steps_per_call: steps in a graph call, of those contenders that have such calls.
        colour_pairs: whether the data is a folder of two domains at 64 pixels, made for it.
    """

    title: str
    flags: Mapping[str, str] = field(default_factory=dict)
    steps_per_call: int = 20
    colour_pairs: bool = False

    @property
    def values(self) -> dict[str, str]:
        """All flags."""
        return _COMMON | dict(self.flags)


_DCGAN = {
    "dataset": "fashion_mnist_small",
    "architecture": "dcgan",
    "width": "0.5",
    "penalty": "r1",
    "r1_gamma": "1",
    "penalty_every": "4",
}

WORKS = {
    "mlp_grid": Work(
        "MLP on the 2D grid, relativistic, R1 + R2, batch 100",
        {
            "dataset": "grid",
            "architecture": "mlp",
            "latent_dim": "2",
            "batch_norm": "false",
            "discriminator_maxout": "none",
            "loss": "relativistic",
            "penalty": "r1,r2",
            "r1_gamma": "0.03",
            "r2_gamma": "0.03",
            "batch_size": "100",
            "learning_rate": "1e-3",
            "beta_1": "0",
            "beta_2": "0.99",
        },
        steps_per_call=50,
    ),
    "dcgan_64": Work("DCGAN 28 px, width 0.5, R1 every 4th step, batch 64", _DCGAN, 48),
    "dcgan_256": Work(
        "DCGAN 28 px, width 0.5, R1 every 4th step, batch 256", _DCGAN | {"batch_size": "256"}, 12
    ),
    "dcgan_wide": Work(
        "DCGAN 28 px, width 1, R1 every 4th step, batch 64", _DCGAN | {"width": "1"}, 16
    ),
    "sngan_32": Work(
        "SNGAN ResNet 32 px, width 0.125, hinge, spectral norm, n_critic 5, batch 64",
        {
            "dataset": "emoji_small",
            "architecture": "resnet",
            "width": "0.125",
            "latent_dim": "128",
            "loss": "hinge",
            "n_critic": "5",
            "beta_1": "0",
            "beta_2": "0.9",
        },
        steps_per_call=2,
    ),
    "r3gan_32": Work(
        "R3GAN 32 px, 178,160 parameters in G, R1 + R2, batch 64",
        {
            "dataset": "emoji_small",
            "architecture": "r3gan",
            "width": "1",
            "group_width": "16",
            "channel_base": "512",
            "blocks": "1",
            "loss": "relativistic",
            "penalty": "r1,r2",
            "r1_gamma": "1",
            "r2_gamma": "1",
            "beta_1": "0",
            "beta_2": "0.99",
        },
        steps_per_call=2,
    ),
    "wgan_gp_28": Work(
        "WGAN-GP, DCGAN 28 px, width 0.5, n_critic 5, batch 64",
        {
            "dataset": "fashion_mnist_small",
            "architecture": "dcgan",
            "width": "0.5",
            "loss": "wasserstein",
            "penalty": "wgan_gp",
            "gp_lambda": "10",
            "n_critic": "5",
            "learning_rate": "1e-4",
            "beta_1": "0",
            "beta_2": "0.9",
        },
        steps_per_call=5,
    ),
    "cyclegan_64": Work(
        "CycleGAN 64 px, width 0.25, 6 blocks, batch 1",
        {
            "trainer": "cyclegan",
            "architecture": "resnet_translator",
            "width": "0.25",
            "n_blocks": "6",
            "loss": "lsgan",
            "cycle_lambda": "5",
            "identity_lambda": "0.5",
            "pool_size": "50",
            "batch_size": "1",
            "ema_half_life_kimg": "1",
        },
        steps_per_call=10,
        colour_pairs=True,
    ),
    "stylegan2_32": Work(
        "StyleGAN2 32 px, width 0.125, R1 every 16th, path length every 4th step, batch 32",
        {
            "dataset": "emoji_small",
            "architecture": "stylegan2",
            "width": "0.125",
            "latent_dim": "128",
            "mapping_layers": "4",
            "batch_size": "32",
            "penalty": "r1",
            "r1_gamma": "1",
            "penalty_every": "16",
            "generator_penalty": "path_length",
            "generator_penalty_every": "4",
            "path_length_weight": "2",
            "learning_rate": "2e-3",
            "beta_1": "0",
            "beta_2": "0.99",
        },
        steps_per_call=16,
    ),
    "vae_gan_28": Work(
        "VAE-GAN, DCGAN 28 px, width 0.5, R1 every 4th step, batch 64",
        _DCGAN | {"trainer": "vae_gan", "gamma": "0.01"},
        steps_per_call=16,
    ),
}
