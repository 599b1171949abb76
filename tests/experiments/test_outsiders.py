"""Parts of a stranger's, each one file outside of the project, through everything that is done.

Nothing in the project knows any of them: a trainer of three networks, a one-way translator, an
architecture, an augmentation, a metric and a callback.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.comparing import compare
from experiments.compressing import compress
from experiments.evaluating import evaluate
from experiments.generating import draw, generate
from experiments.settings import CompressOptions, EvaluateOptions, GenerateOptions
from experiments.training import train
from gan import generators
from gan.errors import UserError

FILES = {
    "outside_code": '''
"""InfoGAN's idea (arXiv:1606.03657): a head Q reads a part of z back from the image."""
import keras
import tensorflow as tf
from layers import Dense
from trainers.gan import GAN


class Coded(GAN):
    groups = {**GAN.groups, "head": ("head",)}
    routes = {**GAN.routes, "loss/head": ("generator", "head")}

    def __init__(self, *data, code: int = 2, code_weight: float = 0.5, **options):
        """Args:
            code: how much of z is read back.
            code_weight: of Q's loss in G's.
        """
        self.code, self.code_weight = code, code_weight
        super().__init__(*data, **options)

    def build_networks(self):
        found = super().build_networks()
        trunk = keras.models.clone_model(found["discriminator"])
        read = Dense(self.code, dtype="float32")(trunk.get_layer("logits").input)
        return {**found, "head": keras.Model(trunk.inputs, read, name="head")}

    def train_step(self, batch):
        with self.tape() as tape:
            z, label = self.draw(batch)
            fake = self.training("generator")([z, label])
            off = self.training("head")([fake, label]) - z[:, : self.code]
            loss_q = tf.reduce_mean(tf.square(off))
        logs = self.update_discriminator(batch, fake)
        with tape:
            loss_g = self.generator_loss(fake, batch) + self.code_weight * loss_q
        self.minimize(loss_g, "generator", tape)
        self.minimize(loss_q, "head", tape)
        return {"loss/generator": loss_g, "loss/head": loss_q, **logs}
''',
    "outside_tower": '''
import keras
from gan.architectures import Networks
from layers import Conv2D, Dense, NearestUpsampling


def tower(spec, *, filters: int = 8, latent_dim: int = 4, conditional: bool = False):
    """Args:
        filters: of each convolution.
        latent_dim: of z.
        conditional: sees the label.
    """
    h, w, c = spec.shape
    z, label = keras.Input((latent_dim,), name="z"), keras.Input((), name="label", dtype="int32")
    one_hot = keras.layers.Embedding(spec.num_classes, 4)
    x = keras.layers.Concatenate()([z, one_hot(label)])
    x = keras.layers.Reshape((h // 4, w // 4, filters))(Dense(h // 4 * (w // 4) * filters)(x))
    for _ in "12":
        x = NearestUpsampling()(keras.layers.ReLU()(Conv2D(filters, 3)(x)))
    image = keras.layers.Activation("tanh")(Conv2D(c, 3)(x))
    seen, of = keras.Input(spec.shape, name="x"), keras.Input((), name="label", dtype="int32")
    y = keras.layers.Flatten()(keras.layers.ReLU()(Conv2D(filters, 3, strides=2)(seen)))
    y = keras.layers.Concatenate()([y, keras.layers.Embedding(spec.num_classes, 4)(of)])
    logits = Dense(1, dtype="float32", name="logits")(keras.layers.ReLU()(Dense(8)(y)))
    return Networks(keras.Model([z, label], image), keras.Model([seen, of], logits))
''',
    "outside_one_way": '''
"""A translator and nothing else: the mean absolute difference to the pair's other image."""
import keras
import tensorflow as tf
from layers import Conv2D
from trainers.base import Trainer


class OneWay(Trainer):
    groups = {"generator": ("generator",)}
    averaged = ("generator",)
    routes = {"loss/generator": ("generator",)}

    def train_step(self, batch):
        with self.tape() as tape:
            made = self.training("generator")(batch["a"])
            loss = tf.reduce_mean(tf.abs(made - batch["b"]))
        self.minimize(loss, "generator", tape)
        return {"loss/generator": loss}


def small(spec, *, filters: int = 4):
    """Args:
        filters: of the hidden convolution.
    """
    x = keras.Input(spec.shape, name="x")
    h = keras.layers.ReLU()(Conv2D(filters, 3)(x))
    y = keras.layers.Activation("tanh")(Conv2D(spec.shape[-1], 3)(h))
    return {"generator": keras.Model(x, y)}
''',
    "outside_metric": '''
import numpy as np
from gan.metrics.declared import Key, declares


@declares(Key("spread", better="higher", unit="dB", form=".1f", decides=True))
def spread(reference, samples, *, floor: float = 1e-6):
    """How much features vary."""
    return {"spread": 10 * float(np.log10(floor + np.var(samples.rows)))}
''',
    "outside_augment": '''
import tensorflow as tf


def stripe(images, *, seed, p, rows: int = 3):
    """Args:
        rows: from the top, they go dark.
    """
    dark = tf.random.stateless_uniform((images.shape[0], 1, 1, 1), seed) < p
    top = tf.range(images.shape[1])[:, None, None] < rows
    return tf.where(tf.logical_and(dark, top), -1.0, images)
''',
    "outside_callback": '''
import keras


class Counting(keras.callbacks.Callback):
    def __init__(self, *, after: int = 99):
        """Args:
            after: evaluations, it ends the run.
        """
        super().__init__()
        self.after, self.seen = after, 0

    def on_epoch_end(self, epoch, logs=None):
        self.seen += "eval/spread" in logs
        logs["mine/seen"] = float(self.seen)
        self.model.stop_training = self.seen >= self.after
''',
}
# The rest of what a run needs, small.
RUN = {
    "batch_size": 8,
    "total_kimg": 0.064,
    "eval_every_kimg": 0.032,
    "image_every_kimg": 0.032,
    "log_every_kimg": 0.032,
    "checkpoint_every_kimg": 0.032,
    "eval_samples": 40,
    "eval_metrics": "outside_metric:spread,kid",
    "callbacks": "outside_callback:Counting",
    "feature_net": "random",
    "check_routes": True,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with the strangers' files, two classes of colour photos and the two runs."""
    home = tmp_path_factory.mktemp("outsiders")
    for name, code in FILES.items():
        (home / f"{name}.py").write_text(code)
    rng = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (home / "photos" / kind).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(
                home / "photos" / kind / f"{i}.png"
            )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(sys, "path", [*sys.path])
        patch.setattr(sys, "dont_write_bytecode", True)
        coded = RUN | {
            "workdir": "coded",
            "trainer": "outside_code:Coded",
            "code": 3,
            "architecture": "outside_tower:tower",
            "filters": 24,
            "conditional": True,
            "dataset": "folder:photos",
            "optimizer": "adam,head=sgd",
            "augment": "outside_augment:stripe",
            "rows": 5,
            "augment_target": -0.9,
            "augment_speed_kimg": 0.064,
            "learning_rate": "1e-3,discriminator=2e-3",
        }
        one_way = RUN | {
            "workdir": "one_way",
            "trainer": "outside_one_way:OneWay",
            "architecture": "outside_one_way:small",
            "filters": 64,
            "dataset": "edges2fashion",
            "after": 2,
            "total_kimg": 0.5,
        }
        yield home, train(coded), train(one_way)
        for name in FILES:
            sys.modules.pop(name, None)


def events(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_they_train_show_and_log(here):
    home, coded, one_way = here
    assert coded.trainer.images == 64 and not coded.failure
    assert coded.routes["loss/head"] == ("generator", "head")
    assert set(coded.trainer.networks) == {"generator", "discriminator", "head"}
    assert coded.trainer.augment.keywords == {"rows": 5}
    assert [e.get("progress/augment_p") for e in events(home / "coded")][-1] == 1.0
    optimizers = coded.trainer.optimizers
    assert [type(optimizers[g]).__name__ for g in ("generator", "head")] == ["Adam", "SGD"]
    rates = [float(optimizers[g].learning_rate) for g in ("generator", "discriminator", "head")]
    np.testing.assert_allclose(rates, [1e-3, 2e-3, 1e-3], rtol=1e-6)
    assert one_way.trainer.images == 64  # The callback ended it, and it left its file all the same.
    for run, pictures in (
        ("coded", {"fake", "interpolation", "reals"}),
        ("one_way", {"translation"}),
    ):
        drawn = {
            p.name.partition(".")[0].partition("_")[0] for p in (home / run / "samples").iterdir()
        }
        assert drawn == pictures
        last = events(home / run)[-1]
        assert last["mine/seen"] == 2.0
        assert last["keys"]["spread"] == {
            "better": "higher",
            "unit": "dB",
            "form": ".1f",
            "decides": True,
        } | {"metric": "outside_metric:spread"}
        best = [e["eval/spread"] for e in events(home / run) if "eval/spread" in e]
        assert len(best) == 2
        assert (home / run / "generator.keras").is_file()
        assert {p.name for p in (home / run / "code").glob("outside_*.py")} >= {"outside_metric.py"}
    assert "loss/head" in events(home / "coded")[-1]


def test_they_are_judged_and_compared(here, capsys):
    _, coded, _ = here
    metrics = ("outside_metric:spread", "fid")
    found = evaluate(
        EvaluateOptions(
            workdir="coded", metrics=metrics, num_samples=40, checkpoint="all", trust_code=True
        )
    )
    spread = [entry.metrics["spread"] for entry in found.entries]
    assert len(spread) >= 1 and all(np.isfinite(spread))
    assert found.entries[-1].subject["step"] == coded.trainer.step
    evaluate(EvaluateOptions(workdir="one_way", metrics=metrics, num_samples=40, trust_code=True))
    assert f"{spread[-1]:.1f} dB" in capsys.readouterr().out
    # Compare reads what was declared; the metric's code is not needed.
    sys.modules.pop("outside_metric", None)
    text = compare(["coded", "one_way"]).text
    assert "spread[random] (dB, higher is better)" in text
    assert "outside_metric" not in sys.modules


def test_they_draw(here):
    _, _, one_way = here
    with pytest.raises(UserError, match="add --trust_code"):
        draw(GenerateOptions(workdir="coded"))
    made = generate(
        GenerateOptions(workdir="coded", trust_code=True, count=6, out="cats.png", classes=("0",))
    )
    assert made.samples().shape == (6, 16, 16, 3) and made.labels.tolist() == [0] * 6
    file = draw(GenerateOptions(model="coded/generator.keras", count=6, classes=("0",)))
    np.testing.assert_allclose(file.samples, made.samples(), atol=1e-5)
    interface = generators.load("coded/generator.keras").interface
    assert interface.label.class_names == ("cats", "dogs") and interface.latent.dim == 4
    assert interface.about["run"] == "coded"
    translated = generate(
        GenerateOptions(workdir="one_way", trust_code=True, count=4, out="translated.png")
    )
    assert translated.inputs.shape == translated.samples().shape == (4, 28, 28, 1)
    np.testing.assert_allclose(
        one_way.trainer.inference()(translated.inputs), translated.samples(), atol=1e-5
    )


@pytest.mark.parametrize("name", ["coded", "one_way"])
def test_they_go_to_a_device(here, name):
    made = compress(
        CompressOptions(
            workdir=name,
            out=f"{name}_device",
            trust_code=True,
            variants=("float32", "int8"),
            calibration=10,
            eval_samples=40,
        )
    )
    keras_file = generators.load(f"{name}/generator.keras")
    tflite = generators.load(made.files["float32"])
    assert tflite.interface.inputs == keras_file.interface.inputs
    assert tflite.interface.about["run"] == name
    if name == "coded":
        drawn = (s.draw(4, seed=1) for s in (keras_file, tflite))
    else:
        x = np.random.default_rng(0).uniform(-1, 1, (4, 28, 28, 1)).astype(np.float32)
        drawn = (s(x) for s in (keras_file, tflite))
    np.testing.assert_allclose(*drawn, atol=1e-4)
    assert Path(f"{name}_device/report.html").is_file()


@pytest.mark.slow
def test_a_strangers_generator_has_students(here):
    made = compress(
        CompressOptions(
            workdir="coded",
            out="coded_students",
            trust_code=True,
            variants=("slim_pruned_qat_int8",),
            finetune_kimg=0.2,
            calibration=10,
            eval_samples=40,
        )
    )
    assert len(made.report["variants"]) == 2
