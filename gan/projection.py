"""The point of a latent space whose image is nearest to a given one."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from gan.latent_spaces import LatentSpace, StyleSpace

STARTS = 1024  # random points that are tried first
_PART = 256
_SMALLEST = 4  # pixels of the pyramid's last side
_RATE = 0.1
_PRIOR = 1e-3


# float32 (N, C), and the class of each, int32 (N,), or None without classes.
Points = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Projected:
    """What was found for N images.

    Attributes:
        points: float32 (N, C), in the space.
        labels: int32 (N,), the class of each; None without classes.
        images: float32 (N, H, W, channels), of the points.
        psnr: float32 (N,), peak signal-to-noise ratio of each to what was asked for, in dB.
    """

    points: np.ndarray
    labels: np.ndarray | None
    images: np.ndarray
    psnr: np.ndarray


def project(
    targets: np.ndarray,
    space: LatentSpace,
    *,
    start: Points | None = None,
    steps: int = 500,
    seed: int = 0,
) -> Projected:
    """Minimises the distance of images by Adam, as Karras et al., 2020, appendix D.

    From the nearest one of 1,024 random images, or from `start`; its class is kept. The learning
    rate rises in the first 5% of the steps and falls in the last 25%; noise on the point falls to 0
    in the first 75%. The distance is the mean over an image pyramid of the squared difference, so
    that what is coarse is found first: the LPIPS of the paper asks for weights of another project.
    A z is held near its prior by 0.001 |z|^2 / latent_dim. Each image has the best of all steps.

    Args:
        targets: float32 (N, H, W, channels) in [-1, 1].
        space: of a Keras model.
        start: where each target's search begins; None for the nearest of random ones.
        steps: of Adam; 0 takes the start.
        seed: of the random ones, and of the noise.

    Raises:
        UserError: the generator has no gradient, and there are steps.
    """
    if start is None:
        start = nearest(targets, space, space.draw_points(STARTS, seed))
    points, labels = start
    if steps:
        points = _descended(targets, space, points, labels, steps, seed)
    images = space(points, labels)
    error = np.mean((images - targets) ** 2, axis=(1, 2, 3))
    psnr = 10 * np.log10(4.0 / np.maximum(error, 1e-12))
    return Projected(points, labels, images, psnr.astype(np.float32))


def distance(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Mean squared difference, averaged over the levels of a pyramid: float32 (N,)."""
    difference, levels = images - targets, []
    while True:
        levels.append(tf.reduce_mean(difference**2, axis=(1, 2, 3)))
        if min(difference.shape[1:3]) < 2 * _SMALLEST:
            return tf.add_n(levels) / len(levels)
        difference = tf.nn.avg_pool2d(difference, 2, 2, "VALID")


def nearest(targets: np.ndarray, space: LatentSpace, candidates: Points) -> Points:
    """For each target the candidate whose image is nearest.

    Args:
        targets: float32 (N, H, W, channels) in [-1, 1].
        space: of any generator.
        candidates: M of them.
    """
    points, labels = candidates
    images = space(points, labels)
    found = [_closest(target, images) for target in targets]
    return points[found], None if labels is None else labels[found]


def _closest(target: np.ndarray, images: np.ndarray) -> int:
    parts = range(0, len(images), _PART)
    distances = [np.asarray(distance(images[i : i + _PART], target[None])) for i in parts]
    return int(np.argmin(np.concatenate(distances)))


def _descended(
    targets: np.ndarray,
    space: LatentSpace,
    points: np.ndarray,
    labels: np.ndarray | None,
    steps: int,
    seed: int,
) -> np.ndarray:
    in_w = isinstance(space, StyleSpace)
    spread = float(space.draw_points(STARTS, seed)[0].std(axis=0).mean())
    x, best = tf.Variable(points), tf.Variable(points)
    least = tf.Variable(tf.fill([len(points)], np.inf))
    label = None if labels is None else tf.constant(labels)
    wanted = tf.constant(targets)
    m, v = tf.Variable(tf.zeros_like(x)), tf.Variable(tf.zeros_like(x))

    @tf.function(autograph=False)
    def step(t: tf.Tensor) -> None:
        share = tf.cast(t, tf.float32) / steps
        rate = _RATE * spread * tf.minimum(1.0, tf.minimum(share / 0.05, (1.0 - share) / 0.25))
        # None in the first step, so that what is found is no farther than the start.
        noise = 0.05 * spread * tf.maximum(0.0, 1.0 - share / 0.75) ** 2 * tf.sign(share)
        at = x if not in_w else x + noise * tf.random.stateless_normal(x.shape, [seed, t])
        with tf.GradientTape() as tape:
            tape.watch(at)
            far = distance(space.decode(at, label), wanted)
            if not in_w:
                far += _PRIOR * tf.reduce_mean(at**2, axis=1)
        gradient = tape.gradient(far, at)
        nearer = far < least
        best.assign(tf.where(nearer[:, None], at, best))
        least.assign(tf.where(nearer, far, least))
        # Adam's betas and bias corrections (Kingma & Ba, 2015, algorithm 1).
        n = tf.cast(t, tf.float32) + 1.0
        m.assign(0.9 * m + 0.1 * gradient)
        v.assign(0.999 * v + 0.001 * gradient**2)
        root = tf.sqrt(v / (1.0 - 0.999**n)) + 1e-8
        x.assign_sub(rate * m / (1.0 - 0.9**n) / root)

    for t in range(steps):
        step(tf.constant(t))
    return np.asarray(best)
