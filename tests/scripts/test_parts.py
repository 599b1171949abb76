"""Options become flags: whose is which, what cannot be one, and what is no part at all."""

import itertools
import sys

import pytest

from gan.errors import UserError
from scripts import experiment, parts

_numbers = itertools.count()
HEAD = "from trainers.gan import GAN\n\n"
NAMES = {"trainer": "gan", "architecture": "mlp", "dataset": "ring"}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a user's module; its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(code):
        name = f"parts{next(_numbers)}"  # Python keeps modules by name.
        (tmp_path / f"{name}.py").write_text(HEAD + code)
        return name

    return write


MINE = (
    "class Mine(GAN):\n    def __init__(self, architecture, spec, {}, **options):\n        pass\n"
)


@pytest.mark.parametrize(
    ("kind", "code", "line", "said"),
    [
        ("trainer", MINE.format("*, zeal"), 4, "option 'zeal' of Mine has no default, and a flag"),
        ("trainer", MINE.format("*, zeal=None"), 4, "the default None, which has no type"),
        ("trainer", MINE.format("*, zeal={}"), 4, "is a dict; a flag is a bool, int, float, str"),
        ("trainer", MINE.format("*, zeal=(1, 'a')"), 4, "is a tuple; a flag is a bool"),
        ("trainer", MINE.format("zeal=1.0"), 4, "is positional, and flags are keyword-only"),
        ("architecture", "def net(spec, *, size):\n    pass\n", 3, "'size' of net has no default"),
        ("architecture", "def net(spec, size):\n    pass\n", 3, "'size' of net is positional"),
        ("dataset", "def mine(*, size=None):\n    pass\n", 3, "'size' of mine has the default"),
        (
            "dataset",
            "def mine(*, flip=True):\n    pass\n",
            3,
            "'flip' of mine is one of every data",
        ),
        (
            "penalty",
            "def soft(d, real, fake, *, seed, scale, gamma=None):\n    pass\n",
            3,
            "'gamma' of soft has the default None",
        ),
    ],
)
def test_an_option_that_cannot_be_a_flag_names_its_line(module, kind, code, line, said):
    name = module(code)
    path = f"{name}:{ {'trainer': 'Mine', 'architecture': 'net', 'dataset': 'mine'}.get(kind) }"
    value = [f"{name}:soft"] if kind == "penalty" else path
    with pytest.raises(UserError) as caught:
        parts.find(NAMES | {kind: value})
    assert str(caught.value).startswith(f"{name}.py:{line}: option ")
    assert said in str(caught.value)


def test_options_of_every_type_come_back_from_flags_txt(module, tmp_path):
    name = module(
        "def net(spec, *, sizes=(8, 4), rate: float = 1, names=(), deep=False, _cache=None):\n"
        "    pass\n"
    )
    names = NAMES | {"architecture": f"{name}:net", "penalty": ["r1"], "workdir": "x"}
    values = {"sizes": ["3", "5"], "rate": 0.5, "names": ["a", "b"], "deep": True, "r1_gamma": 2.0}
    experiment.write_flags(tmp_path / "flags.txt", names | values)
    read = experiment.read_flags(tmp_path, trust_code=True)
    _, architecture, *_, penalty = parts.find(read)
    assert architecture.arguments(read) == {
        "sizes": (3, 5), "rate": 0.5, "names": ("a", "b"), "deep": True,
    }  # fmt: skip
    assert penalty.arguments(read) == {"r1_gamma": 2.0}
    with pytest.raises(UserError, match="--sizes=3,x: expected ints, comma-separated"):
        architecture.arguments(names | values | {"sizes": ["3", "x"]})


def test_two_penalties_with_an_equal_option_have_a_flag_each(module, tmp_path):
    name = module(
        "def soft(d, real, fake, *, seed, scale, r1_gamma=1.0, gamma=2.0):\n    pass\n"
        "def hard(d, real, fake, *, seed=0, scale=1.0, gamma=5.0):\n    pass\n"
    )
    penalties = ["r1", f"{name}:soft", f"{name}:hard"]
    found = parts.find(NAMES | {"penalty": penalties})[-3:]
    assert [p.flags for p in found] == [
        {"r1_gamma": "r1_gamma"},
        {"r1_gamma": "soft_r1_gamma", "gamma": "gamma"},
        {"gamma": "hard_gamma"},
    ]
    assert found[1].arguments({}) == {} and found[2].parameters["hard_gamma"].default == 5.0
    values = NAMES | {"penalty": penalties, "r1_gamma": 3.0, "soft_r1_gamma": 4.0, "gamma": 6.0}
    experiment.write_flags(tmp_path / "flags.txt", values | {"hard_gamma": 7.0})
    read = experiment.read_flags(tmp_path, trust_code=True)
    assert [p.arguments(read) for p in parts.find(read)[-3:]] == [
        {"r1_gamma": 3.0}, {"r1_gamma": 4.0, "gamma": 6.0}, {"gamma": 7.0},
    ]  # fmt: skip


def test_an_option_that_another_part_has_with_another_default_gets_its_own_flag(module):
    name = module(
        "def net(spec, *, beta_1=0.9, batch_size=64):\n    pass\n"  # the trainer's are 0.5 and 64
    )
    flags = parts.find(NAMES | {"architecture": f"{name}:net"})[1].flags
    assert flags == {"beta_1": "net_beta_1", "batch_size": "batch_size"}


@pytest.mark.parametrize(
    ("kind", "path", "said"),
    [
        ("penalty", "os:system", "not a function of (discriminator, real, fake, *, seed, scale)"),
        ("penalty", "gan.losses:hinge", "is a Loss, not a function of"),
        ("penalty", "math:cos", "not a function of (discriminator"),
        ("loss", "gan.penalties:r1", "is a function of (discriminator: "),
        ("architecture", "os:getpid", "is a builtin_function_or_method of (), not a function of"),
        ("trainer", "keras:Model", "not a class that extends trainers.base.Trainer"),
        ("trainer", "gan.losses:hinge", "not a class that extends trainers.base.Trainer"),
        ("trainer", "./ideas.py:Mine", "an import path reads package.module:attribute"),
        ("loss", "ideas:", "an import path reads package.module:attribute"),
    ],
)
def test_an_import_of_the_wrong_kind_is_one_line(kind, path, said):
    from gan.registry import resolve

    with pytest.raises(UserError) as caught:
        resolve(kind, path)
    assert f"--{kind}={path!r}" in str(caught.value) and said in str(caught.value)


def test_a_function_that_makes_no_data_is_named():
    with pytest.raises(UserError, match="--dataset='os:getpid' gives a int, not a"):
        experiment.load_source(NAMES | {"dataset": "os:getpid"})
