"""Penalties of the discriminator, one idea per file.

A penalty is a function of (discriminator, real, fake, *, seed, scale), or a class whose objects are
called so and may keep state in `variables`. It returns a float32 scalar that already carries its
weight, and is computed every `penalty_every`-th step only.

* discriminator: maps a batch (B, ...) of any rank to logits of any shape (B, ...).
* real, fake: what D is trained on in this step, fakes as constants; images, points, or pairs of
  image and z as vectors.
* seed: int32 (2,), for stateless random numbers.
* scale: float32 scalar, the factor that a derivative of the logits has to be computed with and
  divided by in float32, see `gradient_scale`. A penalty that takes no such derivative does not need
  it.
"""

from gan.penalties._common import check_weights as check_weights
from gan.penalties._common import gradient_scale as gradient_scale
from gan.penalties._common import lazy as lazy
from gan.penalties._shared import sharing as sharing
from gan.penalties.gradient import r1 as r1
from gan.penalties.gradient import r2 as r2
from gan.penalties.gradient import wgan_gp as wgan_gp
