"""Options become flags: whose is which, what cannot be one, and what is no part at all."""

import itertools
import subprocess
import sys

import pytest

from experiments import experiment, parts, run_flags
from gan import registry
from gan.errors import UserError
from gan.options import Grouped
from trainers.distillation import Distillation
from trainers.workdir.flags import write_flags

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
        ("trainer", MINE.format("*, zeal=None"), 4, "None, and no type beside it: write zeal: fl"),
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
        "def net(spec, *, sizes=(8, 4), rate: float = 1, names=(), deep=False, _cache=None,\n"
        "        limit: float | None = 1.0, extra: int | None = None):\n"
        "    pass\n"
    )
    names = NAMES | {"architecture": f"{name}:net", "penalty": ["r1"], "workdir": "x"}
    values = {
        "sizes": ["3", "5"], "rate": 0.5, "names": ["a", "b"], "deep": True, "r1_gamma": 2.0,
        "limit": None, "extra": 3, "image_size": None, "eval_metrics": None,
    }  # fmt: skip
    write_flags(tmp_path, names | values)
    read = run_flags.read(tmp_path, trust_code=True)
    assert read["image_size"] is None and read["eval_metrics"] is None
    (architecture,), (penalty,) = (
        parts.of_kind(parts.find(read), kind) for kind in ("architecture", "penalty")
    )
    assert architecture.arguments(read) == {
        "sizes": (3, 5), "rate": 0.5, "names": ("a", "b"), "deep": True, "limit": None, "extra": 3,
    }  # fmt: skip
    assert penalty.arguments(read) == {"r1_gamma": 2.0}
    with pytest.raises(UserError, match="--sizes=3,x: expected whole numbers, comma-separated"):
        architecture.arguments(names | values | {"sizes": ["3", "x"]})


def test_two_penalties_with_an_equal_option_have_a_flag_each(module, tmp_path):
    name = module(
        "def soft(d, real, fake, *, seed, scale, r1_gamma=1.0, gamma=2.0):\n    pass\n"
        "def hard(d, real, fake, *, seed=0, scale=1.0, gamma=5.0):\n    pass\n"
    )
    penalties = ["r1", f"{name}:soft", f"{name}:hard"]
    found = parts.of_kind(parts.find(NAMES | {"penalty": penalties}), "penalty")
    assert [p.flags for p in found] == [
        {"r1_gamma": "r1_gamma"},
        {"r1_gamma": "soft_r1_gamma", "gamma": "gamma"},
        {"gamma": "hard_gamma"},
    ]
    assert found[1].arguments({}) == {} and found[2].options["hard_gamma"].default == 5.0
    values = NAMES | {"penalty": penalties, "r1_gamma": 3.0, "soft_r1_gamma": 4.0, "gamma": 6.0}
    write_flags(tmp_path, values | {"hard_gamma": 7.0})
    read = run_flags.read(tmp_path, trust_code=True)
    assert [p.arguments(read) for p in parts.of_kind(parts.find(read), "penalty")] == [
        {"r1_gamma": 3.0}, {"r1_gamma": 4.0, "gamma": 6.0}, {"gamma": 7.0},
    ]  # fmt: skip


def test_an_option_that_another_part_has_with_another_default_gets_its_own_flag(module):
    name = module(
        "def net(spec, *, accumulate=2, batch_size=64):\n    pass\n"  # the trainer's: 1 and 64
    )
    found = parts.find(NAMES | {"architecture": f"{name}:net"})
    (net,) = parts.of_kind(found, "architecture")
    assert net.flags == {"accumulate": "net_accumulate", "batch_size": "batch_size"}


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


def test_an_option_named_as_a_kind_names_parts_whose_options_are_flags_in_turn(module):
    """As deep as it goes: a trainer's own optimizer, which takes a penalty of its own."""
    name = module(
        "from gan.options import Free, Grouped\n"
        "def steady(learning_rate, *, momentum: float = 0.9, accumulate: float = 0.7): pass\n"
        "def wild(learning_rate, *, momentum: float | None = None, zeal: float = 1.0,\n"
        "         penalty: tuple[str, ...] = ()): pass\n"
        "def mild(learning_rate, *, zeal: float = 1.0): pass\n"
        "class Mine(GAN):\n"
        "    def __init__(self, architecture, spec, *,\n"
        "                 optimizer: Grouped[str] | str = 'steady', **options):\n"
        "        pass\n"
    )
    values = NAMES | {
        "trainer": f"{name}:Mine",
        "optimizer": f"{name}:steady,critic={name}:wild,encoder={name}:mild",
        "momentum": "0.5,generator=0.25",
        "zeal": "2,encoder=3",
    }
    found = parts.find(values)
    steady, wild, mild = parts.of_kind(found, "optimizer")
    # Others with another default are told apart; of an equal one the flag says which group's.
    assert steady.flags == {"momentum": "momentum", "accumulate": "steady_accumulate"}
    assert wild.flags == {"momentum": "wild_momentum", "zeal": "zeal", "penalty": "penalty"}
    assert mild.flags == {"zeal": "zeal"}
    (mine,) = parts.of_kind(found, "trainer")
    made = mine.arguments(values)["optimizer"]
    zeal = Grouped(2.0, {"encoder": 3.0})
    assert made.of("generator").keywords == {"momentum": Grouped(0.5, {"generator": 0.25})}
    assert made.of("critic").keywords == {"zeal": zeal}
    assert made.of("encoder").keywords == {"zeal": zeal}
    # Both take the penalties that one flag names, and these have one flag for their weight.
    values |= {"penalty": "r1", "r1_gamma": 3.0}
    (mine,) = parts.of_kind(parts.find(values), "trainer")
    given = mine.arguments(values)
    for penalties in (given["penalty"], given["optimizer"].of("critic").keywords["penalty"]):
        assert [p.keywords for p in penalties] == [{"r1_gamma": 3.0}]


def test_rates_may_change_on_resume_where_a_trainer_says_so(module, tmp_path):
    name = module(
        "from gan.options import Free, Grouped\n"
        + MINE.format("*, learning_rate: Free[Grouped[float] | float] = 2e-4")
    )
    mine = NAMES | {"trainer": f"{name}:Mine"}
    rates = {"learning_rate": Grouped(2e-4, {"discriminator": 8e-4})}
    write_flags(tmp_path, mine | {"learning_rate": 2e-4})
    run_flags.check_resumable(tmp_path, mine | rates)
    write_flags(tmp_path, NAMES | {"learning_rate": 2e-4})
    with pytest.raises(UserError, match=r"--learning_rate=0\.0002,discriminator=0\.0008 differs"):
        run_flags.check_resumable(tmp_path, NAMES | rates)


def test_a_student_takes_what_a_run_says_of_the_groups_that_it_has():
    values = NAMES | {
        "trainer": "vae_gan",
        "optimizer": "adam,encoder=rmsprop",
        "learning_rate": "1e-3,encoder=2e-3,discriminator=4e-3",
        "beta_1": "0.25,encoder=0",
    }
    found = experiment.trainer_options(values, Distillation)
    assert found["learning_rate"] == Grouped(1e-3, {"discriminator": 4e-3})
    assert not found["optimizer"].own and "gamma" not in found
    assert found["optimizer"].default.keywords == {"beta_1": Grouped(0.25)}


def test_what_a_library_has_not_written_as_flags_becomes_some():
    values = {"callbacks": "keras.callbacks:EarlyStopping,keras.callbacks:ReduceLROnPlateau"}
    found = parts.find(NAMES | values, run_flags.ROOTS)
    stop, reduce = parts.of_kind(found, "callbacks")
    assert stop.flags["patience"] == "patience"
    assert reduce.flags["patience"] == "ReduceLROnPlateau_patience"
    assert all(option.free for option in [*stop.options.values(), *reduce.options.values()])
    given = {"min_delta": "0.01", "patience": "2", "monitor": "eval/fid", "mode": "min"}
    assert stop.arguments(given) == {
        "min_delta": 0.01, "patience": 2, "monitor": "eval/fid", "mode": "min",
    }  # fmt: skip


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_short_name_leads_to_one_of_its_kind_and_says_what_it_is(kind):
    for name, found in registry.entries(kind).items():
        assert registry.KINDS[kind].fits(found)
        about = registry.about(kind, name)
        assert 10 < len(about) < 120 and about.endswith(".")


def test_reserved_flags_are_those_that_every_script_has():
    code = (
        "from absl import app, flags, logging\n"
        "app.define_help_flags()\n"
        "print(' '.join(flags.FLAGS))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - {"?"} <= parts.RESERVED
