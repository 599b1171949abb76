"""Where a step's time goes: every op that runs is found, in the part that it is of."""

from collections import Counter

import pytest
from toys import ToySource, toy_gan

from experiments import op_times, profiling
from experiments.benchmarking import fit, spec_of
from experiments.experiment import Experiment
from experiments.profiling import AVERAGE, OPTIMIZER, PENALTIES, REST, UNKNOWN, Parts
from gan.errors import UserError

STEPS = 6


def run_of(**options):
    return Experiment({}, ToySource(), toy_gan(**options))


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A run with a lazy penalty, its trace's folder, and what was made of it."""
    folder = tmp_path_factory.mktemp("trace")
    run = run_of(penalty=("r1",), penalty_every=3)
    fit(run, 1)  # From now on two of six steps have the penalty.
    return run, folder, profiling.profile(run, STEPS, str(folder))


def test_every_product_of_the_step_is_found_as_often_as_it_ran(traced):
    _, folder, _ = traced
    calls = Counter(call.op for call in op_times.read(folder))
    # Per step D on reals and on fakes and the fakes' G, 2 each, and D for G: some fused with their
    # bias. Backward in D two passes of 3; for G 2 through D and 3 in G.
    steps = 8 + 6 + 5
    # A penalty's first layer, its gradient by x, 2, and the gradients of those: 3, and of zeros 1.
    penalty = 1 + 2 + 4
    found = calls["MatMul"] + calls["FusedMatMul"]
    assert found == STEPS * steps + STEPS // 3 * penalty
    assert calls["ResourceApplyAdam"] == STEPS * 8


def test_ops_are_found_in_their_parts(traced):
    run, folder, _ = traced
    parts = Parts(run.trainer, spec_of(run))
    found = {(call.op, parts.of(call.path)) for call in op_times.read(folder)}
    of = {op: {part for name, part in found if name == op} for op, _ in found}
    assert of["ResourceApplyAdam"] == {OPTIMIZER}
    assert of["Softplus"] == {"generator", "discriminator"}
    assert {"generator", "discriminator", PENALTIES} <= of["MatMul"] | of["FusedMatMul"]
    assert {part for _, part in found} >= {AVERAGE, REST}
    assert UNKNOWN not in of["MatMul"] | of["FusedMatMul"] | of["BiasAddGrad"]


def test_times_add_up(traced):
    _, _, profile = traced
    assert profile.steps == STEPS
    assert list(profile.by_op.values()) == sorted(profile.by_op.values(), reverse=True)
    assert min(*profile.by_op.values(), *profile.by_part.values()) >= 0
    for times in (profile.by_op, profile.by_part):
        assert sum(times.values()) + profile.data == pytest.approx(profile.step.cpu)
    assert profile.by_part[UNKNOWN] < 0.1 * profile.step.cpu
    assert list(profile.by_part)[:3] == ["generator", "discriminator", PENALTIES]


@pytest.mark.parametrize(
    "options",
    [{"penalty": ("r1",)}, {"accumulate": 2}, {"n_critic": 2}, {"precision": "mixed_float16"}],
)
def test_parts_of_every_kind_of_step(options):
    """By the step's graph alone, which the names in a trace are those of."""
    run = run_of(**options)
    parts = Parts(run.trainer, spec_of(run))
    graph = run.trainer.one_step.get_concrete_function(spec_of(run)).graph
    ahead = "while/body/_1/while/StatefulPartitionedCall/"
    found = {
        (op.name.rpartition("/")[2].rstrip("_0123456789"), parts.of(ahead + op.name))
        for op in graph.get_operations()
    }
    updates = {part for name, part in found if name.startswith(("ResourceApplyAdam", "cond"))}
    assert updates == {OPTIMIZER}
    products = {part for name, part in found if name == "MatMul"}
    assert products == {
        "generator",
        "discriminator",
        *([PENALTIES] if "penalty" in options else ()),
    }
    assert parts.of("while/body/_1/while/add_1") == REST
    assert parts.of(f"{ahead}nowhere/at/all") == UNKNOWN


def test_xla_is_refused_before_anything_is_measured():
    with pytest.raises(UserError, match="--profile with --xla: XLA makes one op of the step"):
        profiling.check(run_of(xla=True))


def test_nothing_is_left_unless_a_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(profiling.tempfile, "tempdir", str(tmp_path))
    profiling.profile(run_of(), 2)
    assert list(tmp_path.iterdir()) == []
