"""Augmentations of what the discriminator sees, reals and fakes alike, one pipeline per file.

An augmentation is a function of (images, *, seed, p). It returns images of the same shape, and must
be differentiable twice by them, since G learns through it and penalties take a gradient of it.

* images: float32 (B, H, W, C) in [-1, 1], one image each, however many D is shown at once.
* seed: int32 (2,), for stateless random numbers.
* p: float32 scalar in [0, 1], the probability of what is done to an image; 0 leaves it as it is. A
  default in the signature is taken unless the trainer's `--augment_p` or `--augment_target` says
  otherwise; without one it has to.
"""
