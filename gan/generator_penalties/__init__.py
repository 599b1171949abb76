"""Penalties of the generator, one per file.

A penalty is a function of (generator, inputs, *, seed, scale), or a class whose objects are called
so and may keep state in `variables`. It returns a float32 scalar that already carries its weight,
and is computed every `generator_penalty_every`-th step only.

* generator: the network, a keras.Model. What depends on its weights alone (orthogonality) reads
  them here and leaves the rest.
* inputs: what the step's images are made from: z, or [z, label].
* seed: int32 (2,), for stateless random numbers.
* scale: float32 scalar, the factor that a derivative of the generator's output has to be computed
  with and divided by in float32, see `gan.penalties.gradient_scale`. A penalty that takes no such
  derivative does not need it.
"""
