"""What a fork that is wrong says: its own file and line, and the mend, in at most five lines."""

import linecache
import sys

import pytest

from experiments import experiment
from gan.errors import UserError
from scripts import cli
from trainers.distribution import make_strategy

HEAD = """\
import keras
import numpy as np
import tensorflow as tf
from gan.architectures import Networks
from gan.losses import Loss, hinge
from trainers.base import Trainer
from trainers.gan import GAN

"""
# A generator's update, as a fork writes it, with a line of its own in the place of LOSS.
STEP = """\
class Mine(GAN):
    def train_step(self, batch):
        with tf.GradientTape() as tape:
            fake = self.generate(batch, 0)
            with tape.stop_recording():
                logs = self.update_discriminator(batch, fake, 0)
            loss = tf.reduce_mean(fake)
            LOSS
        self.minimize(loss, "generator", tape)
        return {"loss/generator": loss} | logs
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all: AutoGraph knows equal code by the file in which it met it first."""
    return tmp_path_factory.mktemp("fork")


@pytest.fixture
def train(folder, monkeypatch):
    """Trains a module's trainer on points, as scripts.train does, and gives what the user sees."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(code, *, kimg=0.004, strategy="one", **values):
        (folder / "ideas.py").write_text(HEAD + code)
        sys.modules.pop("ideas", None)
        linecache.clearcache()
        values = {
            "trainer": "gan", "architecture": "mlp", "dataset": "ring", "width": 0.01,
            "batch_size": 4, **values,
        }  # fmt: skip
        try:
            built = experiment.build(values, make_strategy(strategy))
            built.trainer.fit(built.source, total_kimg=kimg, steps_per_loop=1)
        except UserError as error:
            text = cli.message(error)
            assert len(text.splitlines()) <= 5
            return text
        return built.trainer

    return run


def line_of(code, part):
    """The number of the line that holds `part`."""
    lines = (HEAD + code).splitlines()
    return next(i for i, line in enumerate(lines, 1) if part in line)


@pytest.mark.parametrize(
    ("code", "at", "said"),
    [
        (
            STEP.replace("self.minimize", "del").replace('(loss, "generator", tape)', " tape"),
            "def train_step",
            "train_step never calls self.minimize(loss, 'generator', tape), so that group would "
            "not learn; call it, or name the group in `frozen`.",
        ),
        (
            STEP.replace("LOSS", "loss = tf.stop_gradient(loss)"),
            "self.minimize",
            "the loss of 'generator' depends on no weight of 'generator'",
        ),
        (
            STEP.replace("LOSS", "loss = tf.square(fake)"),
            "self.minimize",
            "the loss of 'generator' has shape (4, 2); minimize takes a scalar",
        ),
        (STEP.replace("LOSS", "loss = None"), "self.minimize", "the loss of 'generator' is a Non"),
        (
            STEP.replace('loss, "generator"', 'loss, "genrator"'),
            "self.minimize",
            "minimize: group 'genrator' is not known. Did you mean 'generator'?",
        ),
        (
            STEP.replace('": loss}', '": fake}'),
            "def train_step",
            "train_step returned 'loss/generator' of shape (4, 2)",
        ),
        (
            STEP.replace('": loss}', '": "small"}'),
            "def train_step",
            "train_step returned a str as 'loss/generator'; logs are scalars.",
        ),
        (
            STEP.replace('"loss/generator": loss}', '"generator_loss": loss}'),
            "def train_step",
            "train_step logs 'generator_loss' without a kind: write 'loss/generator', or KIND/NAME",
        ),
        (
            STEP.replace("return", "_ ="),
            "def train_step",
            "train_step returned nothing; return its logs",
        ),
        (
            STEP.replace("return", "return loss #"),
            "def train_step",
            "train_step returned a SymbolicTensor; return its logs",
        ),
        (
            STEP.replace("LOSS", "loss += tf.reduce_mean(fake + tf.zeros((3, 7)))"),
            "tf.zeros",
            ", in train_step: ValueError: Dimensions must be equal, but are 4 and 3",
        ),
        (
            STEP.replace("LOSS", "loss += self.networks['genrator'](fake)"),
            "genrator",
            ", in train_step: KeyError: 'genrator'",
        ),
        (
            STEP.replace("LOSS", "loss = loss if loss > 0 else -loss"),
            "if loss > 0",
            "Take tf.where, tf.cond or tf.while_loop, or put @tf.function above a function",
        ),
        (
            STEP + "    groups = {'generator': ('generator')}\n",
            "class Mine",
            "groups['generator'] is the text 'generator'; write ('generator',).",
        ),
        (
            STEP + "    groups = GAN.groups | {'critic': ('critics',)}\n",
            "class Mine",
            "groups['critic']: network 'critics' is not known.",
        ),
        (
            STEP + "    averaged = ('generater',)\n",
            "class Mine",
            "averaged: network 'generater' is not known. Did you mean 'generator'?",
        ),
        (
            STEP + "    averaged = ()\n",
            "class Mine",
            "averaged is empty; name the networks to evaluate and export",
        ),
        (
            "class Mine(Trainer):\n    averaged = ('a',)\n    def build_networks(self):\n"
            "        return self.architecture(self.spec)._asdict()\n",
            "class Mine",
            "averaged: network 'a' is not known.",
        ),
        (
            "class Mine(Trainer):\n    def build_networks(self):\n"
            "        return list(self.architecture(self.spec))\n",
            "class Mine",
            "build_networks returned a list; expected a dict of Keras models.",
        ),
        (
            STEP + "    def __init__(self, architecture, spec, **options):\n"
            "        super().__init__(architecture, spec, **options)\n"
            "        self.scale = spec.size / 0\n",
            "spec.size / 0",
            "in __init__: ZeroDivisionError: division by zero",
        ),
    ],
)  # fmt: skip
def test_a_wrong_trainer_names_its_line(train, code, at, said):
    code = code.replace("            LOSS\n", "")
    text = train(code, trainer="ideas:Mine")
    assert text.startswith(f"error: ideas.py:{line_of(code, at)}"), text
    assert said in text


@pytest.mark.parametrize(
    "values", [{"strategy": "mirrored"}, {"accumulate": 2}, {"n_critic": 2}, {"xla": True}]
)
def test_a_wrong_trainer_names_its_line_however_it_runs(train, values):
    code = STEP.replace("LOSS", "loss += tf.reduce_mean(fake + tf.zeros((3, 7)))")
    text = train(code, trainer="ideas:Mine", **values)
    assert text.startswith(f"error: ideas.py:{line_of(code, 'tf.zeros')}, in train_step: Value")
    code = STEP.replace("LOSS", "").replace("self.minimize(loss", "print(loss")
    text = train(code, trainer="ideas:Mine", **values)
    assert text.startswith(f"error: ideas.py:{line_of(code, 'def train_step')}: train_step never")


def test_a_graph_that_fails_later_names_the_line_that_made_it(train):
    code = STEP.replace("LOSS", "tf.debugging.assert_less(self._step, tf.constant(1, tf.int64))")
    text = train(code, trainer="ideas:Mine", kimg=0.012)
    assert text.startswith(f"error: ideas.py:{line_of(code, 'assert_less')}, in train_step: Inv")


@pytest.mark.parametrize(
    ("code", "at", "said"),
    [
        ("def net(spec):\n    return None\n", "def net", "returned a NoneType; expected"),
        (
            "def net(spec):\n    z, x = keras.Input((2,)), keras.Input((2,))\n"
            "    return keras.Model(z, z), keras.Model(x, x)\n",
            "def net",
            "returned a tuple; expected Keras models by name, such as Networks(generator",
        ),
        (
            "def net(spec):\n    z, x = keras.Input((2,)), keras.Input((2,))\n"
            "    return Networks(keras.Model(z, z), x)\n",
            "def net",
            "returned a KerasTensor as 'discriminator'; expected a keras.Model.",
        ),
        (
            "def net(spec):\n    net = keras.Sequential([keras.layers.Dense(2)])\n"
            "    return Networks(net, net)\n",
            "def net",
            "'generator' without inputs",
        ),
        (
            "def net(spec):\n    z, x = keras.Input((3,), name='z'), keras.Input((2,))\n"
            "    return Networks(keras.Model(z, z), keras.Model(x, x))\n",
            "def net",
            "generator makes (3,), and an example of 'ring' is (2,).",
        ),
        (
            "def net(spec):\n    z, x = keras.Input((2,), name='z'), keras.Input((3,))\n"
            "    return Networks(keras.Model(z, z), keras.Model(x, x))\n",
            "def net",
            "discriminator takes (3,), and an example of 'ring' is (2,).",
        ),
        (
            "def net(spec):\n    z = keras.Input((2,))\n"
            "    return {'generator': keras.Model(z, z)}\n",
            "def net",
            "groups['discriminator']: network 'discriminator' is not known. Valid: generator.",
        ),
        (
            "def net(spec):\n    return Networks(*keras.layers.Dense(spec.colour))\n",
            "spec.colour",
            "in net: AttributeError: 'Spec' object has no attribute 'colour'",
        ),
    ],
)  # fmt: skip
def test_a_wrong_architecture_names_its_line(train, code, at, said):
    text = train(code, architecture="ideas:net", width=None)
    assert text.startswith(f"error: ideas.py:{line_of(code, at)}"), text
    assert said in text


def test_a_loss_or_a_penalty_that_is_no_scalar_names_its_line(train):
    code = "def each(real, fake):\n    return fake\n\nsharp = Loss(hinge.discriminator, each)\n"
    code += (
        "def steep(discriminator, real, fake, *, seed, scale):\n    return discriminator(real)\n"
    )
    text = train(code, loss="ideas:sharp")
    assert text == "error: ideas.py:9: returned shape (4, 1); expected a scalar, such as " \
        "tf.reduce_mean(...)."  # fmt: skip
    assert "ideas.py:13: returned shape (4, 1)" in train(code, penalty=["ideas:steep"])


def test_what_is_right_is_not_refused(train):
    """A group stepped now and then, a frozen one, a tf.function, a mapping of networks."""
    code = (
        "@tf.function\ndef size(x):\n    if x < 0:\n        x = -x\n    return x\n"
        "def net(spec):\n    z, x = keras.Input((2,), name='z'), keras.Input((2,), name='x')\n"
        "    return {'generator': keras.Model(z, keras.layers.Dense(2)(z)),\n"
        "            'discriminator': keras.Model(x, keras.layers.Dense(1)(x))}\n"
        "class Mine(GAN):\n    frozen = ('discriminator',)\n"
        "    def train_step(self, batch):\n"
        "        def update():\n"
        "            with tf.GradientTape() as tape:\n"
        "                fake = self.generate(batch, 0)\n"
        "                loss = size(tf.reduce_mean(fake))\n"
        "            self.minimize(loss, 'generator', tape)\n"
        "            return loss\n"
        "        loss = tf.cond(self._step % 2 == 0, update, lambda: 0.0)\n"
        "        return {'loss/generator': loss, 'mine/constant': 1.5}\n"
    )
    values = {"trainer": "ideas:Mine", "architecture": "ideas:net", "width": None}
    trainer = train(code, **values, kimg=0.016)
    assert int(trainer.optimizers["generator"].iterations.numpy()) == 2
    assert trainer.step == 4
