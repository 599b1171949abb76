import keras
import numpy as np
import pytest

from gan.compression.export import to_tflite
from gan.errors import UserError
from gan.files import write_whole
from gan.generators import load_model
from gan.sampling import latents
from layers import Conv2DTranspose


def save(path, inputs="z"):
    """A generator of 4x4 images, of our layers."""
    z = keras.Input((6,), name=inputs)
    x = keras.layers.Reshape((2, 2, 4))(keras.layers.Dense(16)(z))
    model = keras.Model(z, Conv2DTranspose(1, 4, activation="tanh")(x))
    if path.suffix == ".keras":
        model.save(path)
    else:
        write_whole(path, to_tflite(model))
    return model


@pytest.mark.parametrize("suffix", ["keras", "tflite"])
def test_a_file_draws_what_its_model_draws(tmp_path, suffix):
    model = save(tmp_path / f"g.{suffix}")
    sampler = load_model(tmp_path / f"g.{suffix}")
    assert (sampler.latent_dim, sampler.num_classes, sampler.shape) == (6, 0, (4, 4, 1))
    z = latents(3, 6, 0)
    np.testing.assert_allclose(sampler(z), np.asarray(model(z)), atol=1e-5)


def test_mistakes_quote_the_flag(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no model")
    save(tmp_path / "x.keras", inputs="x")
    for name, line in (
        ("g.h5", "ends in .keras or .tflite"),
        ("nothing.keras", "there is no such file"),
        ("broken.keras", "cannot be read"),
        ("x.keras", "has the input 'x' .* --workdir=RUN"),
    ):
        with pytest.raises(UserError, match=f"--model='.*{name}'.*{line}"):
            load_model(tmp_path / name)
