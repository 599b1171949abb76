"""InfoGAN: a GAN whose generator obeys codes, which Q reads back from its images (Chen 2016)."""

import functools
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan.data import Source
from gan.errors import UserError
from gan.interface import Image, Interface, declare, interface_of
from gan.sampling import KerasSampler
from layers import Dense, functions
from trainers.base import Batch
from trainers.gan import GAN, accuracy
from trainers.networks import check_plain, features_of
from trainers.point_views import COUNT, Points, painter
from trainers.state import Logs
from trainers.views import Grid, Layout, View, Views, examples


class InfoGAN(GAN):
    """G, D, and Q on D's features, arXiv:1606.03657: L_I bounds I(c; G(z, c)) from below.

    The codes c are the first of z's numbers, so that whoever draws z draws codes: the largest
    number of a group is its category, which G's layer "codes" makes one-hot; the next are the
    continuous codes, distributed like the rest of z (in the paper uniform), which is noise.
    """

    groups = {"generator": ("generator",), "discriminator": ("discriminator", "q")}

    def __init__(
        self,
        *data: Any,
        categories: tuple[int, ...] = (10,),
        continuous: int = 2,
        categorical_lambda: float = 1.0,
        continuous_lambda: float = 1.0,
        **options: Any,
    ) -> None:
        """See `GAN` for the other options.

        Args:
            *data: architecture and spec, as of `GAN`.
            categories: how many categories each categorical code has; none for no such code.
            continuous: how many continuous codes there are.
            categorical_lambda: weight of the categorical codes' information, in G's and D's loss.
            continuous_lambda: weight of the continuous codes' information, in G's and D's loss.
            **options: options of `GAN`.

        Raises:
            UserError: there are no codes, z is too short for them, or a weight is negative.
        """
        if min((2, *categories)) < 2 or continuous < 0 or not (categories or continuous):
            raise UserError(
                f"--categories={','.join(map(str, categories)) or 'none'} "
                f"--continuous={continuous}: expected at least one code, and of categories two."
            )
        for name, value in (
            ("categorical_lambda", categorical_lambda),
            ("continuous_lambda", continuous_lambda),
        ):
            if not value >= 0:
                raise UserError(f"--{name}={value}: expected at least 0.")
        self.categories, self.continuous = categories, continuous
        self.categorical_lambda, self.continuous_lambda = categorical_lambda, continuous_lambda
        super().__init__(*data, **options)
        discriminator = self.networks["discriminator"]
        both = [features_of(discriminator), discriminator.output]
        self.critic = functools.partial(keras.Model(discriminator.inputs, both), training=True)

    def build_networks(self) -> dict[str, keras.Model]:
        """G with its layer of codes, D, and Q: from D's features to the parameters of Q(c|x)."""
        networks = super().build_networks()
        check_plain(self, "infogan", networks)
        generator, codes = networks["generator"], sum(self.categories) + self.continuous
        x = features_of(networks["discriminator"])
        seen = keras.Input(x.shape[1:], dtype=x.dtype, name="features")
        h = Dense(128, activation=functions.leaky_relu, kernel_initializer="he_normal")(seen)
        q = keras.Model(seen, Dense(codes, dtype="float32")(h), name="q")
        return {**networks, "generator": _with_codes(generator, self.categories, codes), "q": q}

    # Which networks each logged term may move: the codes' information moves Q, D's trunk and G, and
    # the game never moves Q.
    routes = {
        **GAN.routes,
        "loss/discriminator": ("discriminator", "q"),
        "loss/discriminator/adversarial": ("discriminator",),
        "loss/discriminator/information": ("discriminator", "q"),
        "loss/generator/adversarial": ("generator",),
        "loss/generator/information": ("generator",),
        "mutual_information/category_*": ("discriminator", "q"),
        "mutual_information/continuous_*": ("discriminator", "q"),
    }

    def train_step(self, batch: Batch) -> Logs:
        """One update of D and Q, then one of G: V(D, G) - lambda L_I(G, Q), equation 6."""
        x, q = batch["x"], self.training("q")
        with self.tape(once=True) as tape:
            z = self.draw(batch)
            fake = self.training("generator")(z)
        fixed = tf.stop_gradient(fake)
        with self.tape(once=True) as critic_tape:
            # D: the game of reals against fakes, with the penalties.
            features, fake_logits = self.discriminate(fixed, batch, by=self.critic)
            real_logits = self.discriminate(x, batch)
            self.augmentation.observe(real_logits)
            game = self.loss_functions.discriminator(real_logits, fake_logits)
            passes = [(x, real_logits), (fixed, fake_logits)]
            penalties = self.penalize(x, fixed, batch, passes=passes)
            # Q, and the trunk that it shares with D: the codes of the fakes.
            bounds = self.mutual_information(q(features), z)
            information = self.weighted(bounds)
            loss_d = tf.add_n([game, *penalties.values()]) - information
        self.minimize(loss_d, "discriminator", critic_tape)
        with tape:
            # G: the game against the updated D, and codes that the updated Q can read.
            features, fake_logits = self.discriminate(fake, batch, by=self.critic)
            game_g = self.adversarial_loss(fake_logits, batch)
            information_g = self.weighted(self.mutual_information(q(features), z))
            terms = self.penalize_generator(batch)
            loss_g = tf.add_n([game_g, *terms.values()]) - information_g
        self.minimize(loss_g, "generator", tape)
        return {
            "loss/generator": loss_g,
            "loss/generator/adversarial": game_g,
            "loss/generator/information": information_g,
            "loss/discriminator": loss_d,
            "loss/discriminator/adversarial": game,
            "loss/discriminator/information": information,
            "accuracy/discriminator": accuracy(real_logits, fake_logits),
            "mutual_information/bound": tf.add_n(list(bounds.values())),
            **{f"mutual_information/{name}": bound for name, bound in bounds.items()},
            **penalties,
            **terms,
        }

    def codes(self) -> dict[str, slice]:
        """Where in z each code is, by its name: category_0, ..., continuous_0, ..."""
        sizes = {f"category_{i}": size for i, size in enumerate(self.categories)}
        sizes |= {f"continuous_{i}": 1 for i in range(self.continuous)}
        ends = np.cumsum(list(sizes.values())).tolist()
        return {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends)}

    def mutual_information(self, parameters: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_I of each code by its name (equation 5), float32 scalars, in nats.

        Args:
            parameters: Q's output (B, codes): a category's logits, a continuous code's mean.
            z: what G made the images of (B, latent_dim).
        """
        uniform = self.latent_distribution == "uniform"
        bounds = {}
        for name, at in self.codes().items():
            bound = categorical_bound if name.startswith("category") else continuous_bound
            bounds[name] = bound(parameters[:, at], z[:, at], uniform=uniform)
        return bounds

    def weighted(self, bounds: dict[str, tf.Tensor]) -> tf.Tensor:
        """lambda L_I, with the lambda of each kind of code."""
        kinds = {"category": self.categorical_lambda, "continuous": self.continuous_lambda}
        return tf.add_n([kinds[name.partition("_")[0]] * b for name, b in bounds.items()])

    @property
    def latent_distribution(self) -> str:
        """What z is drawn from: "normal" or "uniform"."""
        latent = interface_of(self.networks["generator"]).latent
        assert latent is not None
        return latent.distribution

    def views(self, source: Source, layout: Layout) -> Views:
        """Adds a traversal of each code: columns differ in that code alone, rows in the rest of z.

        Of points it adds a plot for each code, coloured by category or by eighths of its range.
        """
        views = dict(super().views(source, layout))
        sampler = KerasSampler(self.inference())
        if isinstance(sampler.interface.output, Image):
            return views | {name: self._traversal(name, sampler, layout) for name in self.codes()}
        z = sampler.latents(COUNT, layout.seed)
        real = examples(source, COUNT, layout.seed)["x"]
        paint = painter(real, getattr(source, "centers", None))
        for name, at in self.codes().items():
            code = z[:, at].argmax(-1) if name.startswith("category") else _eighths(z[:, at][:, 0])
            views[name] = Points(lambda: sampler(z), code, paint)
        return views

    def _traversal(self, name: str, sampler: KerasSampler, layout: Layout) -> View:
        at = self.codes()[name]
        if name.startswith("category"):
            values = np.eye(at.stop - at.start, dtype=np.float32)
        else:  # -2 to 2 as in figure 2, or the whole range.
            end = 1.0 if self.latent_distribution == "uniform" else 2.0
            values = np.linspace(-end, end, layout.columns, dtype=np.float32)[:, None]
        z = np.repeat(sampler.latents(layout.rows, layout.seed), len(values), axis=0)
        z[:, at] = np.tile(values, (layout.rows, 1))
        return Grid(lambda: sampler(z), len(values))


def categorical_bound(logits: tf.Tensor, code: tf.Tensor, *, uniform: bool = False) -> tf.Tensor:
    """H(c) + E[log Q(c|x)] of a categorical code: log K less Q's cross-entropy, in nats.

    Args:
        logits: Q's logits of the K categories (B, K).
        code: the group of z that G made the images of (B, K); its largest number is the category.
        uniform: not read: whatever the distribution of z, categories are equally likely.

    Returns:
        float32 scalar, at most log K; 0 where Q knows nothing.
    """
    del uniform
    category = tf.argmax(code, axis=-1)
    miss = tf.nn.sparse_softmax_cross_entropy_with_logits(category, tf.cast(logits, tf.float32))
    return math.log(code.shape[-1]) - tf.reduce_mean(miss)


def continuous_bound(mean: tf.Tensor, code: tf.Tensor, *, uniform: bool = False) -> tf.Tensor:
    """H(c) + E[log Q(c|x)] of continuous codes, Q being N(mean, 1) as in the authors' code.

    Args:
        mean: Q's mean (B, C).
        code: the numbers of z that G made the images of (B, C).
        uniform: whether they are uniform in [-1, 1] rather than N(0, 1).

    Returns:
        float32 scalar, the sum over the C codes; for N(0, 1) each gives at most 1/2 nat, and 0
        where the mean is 0 whatever the image.
    """
    entropy = math.log(2.0) if uniform else 0.5 * math.log(2.0 * math.pi * math.e)
    error = tf.reduce_sum(tf.square(tf.cast(mean, tf.float32) - tf.cast(code, tf.float32)), -1)
    count = code.shape[-1]
    return count * (entropy - 0.5 * math.log(2.0 * math.pi)) - 0.5 * tf.reduce_mean(error)


def _with_codes(generator: keras.Model, categories: tuple[int, ...], codes: int) -> keras.Model:
    """The generator behind a layer "codes", in one flat graph.

    Raises:
        UserError: z is too short for its codes.
    """
    interface = interface_of(generator)
    latent = interface.latent
    if latent is None or latent.dim < codes:
        raise UserError(
            f"--categories and --continuous take {codes} of z's numbers, and it has "
            f"{latent.dim if latent else 0}: set --latent_dim to at least {codes}."
        )
    # float32: z rounded to half precision may have two largest numbers.
    arguments = {"sizes": list(categories)}
    layer = keras.layers.Lambda(
        functions.categorical_codes, arguments=arguments, dtype="float32", name="codes"
    )

    def call(reader: keras.Layer, *inputs: Any, **options: Any) -> Any:
        """Calls a layer of G; what read z reads its codes."""
        inputs, options = keras.tree.map_structure(
            lambda x: layer(x) if getattr(x, "name", "") == latent.name else x, (inputs, options)
        )
        return reader(*inputs, **options)

    coded = keras.models.clone_model(generator, call_function=call)
    return declare(coded, Interface(interface.inputs, interface.output, interface.about))


def _eighths(code: np.ndarray) -> np.ndarray:
    """int32 (N,), 0 to 7: in which eighth of all codes each is."""
    return (8 * code.argsort().argsort() // len(code)).astype(np.int32)
