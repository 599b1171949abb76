"""What is measured of a training: counts and shares that don't depend on the clock."""

import pytest
from toys import ToySource, toy_gan

from experiments import benchmarking, machine_limit
from experiments.benchmarking import BenchmarkOptions, Clock, fit, spec_of, time_steps
from experiments.callback_costs import callback_costs
from experiments.experiment import Experiment
from experiments.machine_limit import Rate, Seconds
from gan.errors import UserError
from gan.flops import Product


def run_of(**options):
    return Experiment({}, ToySource(), toy_gan(**options))


def test_the_operations_of_a_whole_step():
    run = run_of(penalty=("r1",), penalty_every=4)
    found = machine_limit.flops_of_step(run.trainer, spec_of(run))
    # 8 times G: 3 -> 8 -> 2 and D: 2 -> 8 -> 1.
    g, d = (2 * 8 * 3 * 8, 2 * 8 * 8 * 2), (2 * 8 * 2 * 8, 2 * 8 * 8 * 1)
    forward = sum(g) + 3 * sum(d)
    # A weight's gradient each, and the input's but for the data.
    discriminator = 2 * (d[0] + 2 * d[1])
    generator = d[0] + d[1] + g[0] + 2 * g[1]
    # D's first layer; the gradient by x; that one's gradients: of weights and of what it is made
    # of; and those of zeros, which ReLU's second derivative is.
    penalty = d[0] + sum(d) + (2 * d[0] + d[1]) + d[0]
    total = forward + discriminator + generator + penalty / 4
    assert found == {Product("MatMul", "float32"): total}


def test_counting_and_training_trace_the_step_once():
    run = run_of()
    machine_limit.flops_of_step(run.trainer, spec_of(run))
    fit(run, 3, steps_per_loop=2)
    machine_limit.flops_of_step(run.trainer, next(iter(run.source.pipeline(8, seed=0))))
    assert run.trainer.one_step.experimental_get_tracing_count() == 1
    assert run.trainer.step == 3
    run.trainer.retrace()
    fit(run, 1)
    assert run.trainer.one_step.experimental_get_tracing_count() == 1


def test_the_limit_is_the_time_at_the_rate_of_matrix_products():
    rates = {
        Product("MatMul", "float32"): Rate(200.0, 100.0),
        Product("Conv2D", "float32"): Rate(1.0, 1.0),
        Product("MatMul", "bfloat16"): Rate(400.0, 400.0),
    }
    flops = {
        Product("Conv2D", "float32"): 50.0,
        Product("MatMul", "float32"): 150.0,
        Product("Conv2D", "bfloat16"): 400.0,
    }
    assert machine_limit.limit(flops, rates) == Seconds(2.0, 3.0)


def test_rates_are_of_each_kind_and_the_best_is_kept():
    found = machine_limit.rates("bfloat16", repeats=1, size=64)
    ops = "MatMul", "Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"
    assert list(found) == [Product(op, "bfloat16") for op in ops]
    assert all(rate.wall > 0 and rate.cpu > 0 for rate in found.values())
    one, two = Product("MatMul", "float32"), Product("Conv2D", "float32")
    best = machine_limit.best({one: Rate(1, 5)}, {one: Rate(2, 4), two: Rate(3, 3)})
    assert best == {one: Rate(2, 5), two: Rate(3, 3)}


def test_a_measurement_times_the_steps_behind_the_first_graph_call():
    run, calls = run_of(), []

    class Counting(Clock):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            calls.append((run.trainer.step, self.spent.wall))

    timed = time_steps(run, 5, steps_per_loop=2, clock=Counting())
    assert [step for step, _ in calls] == [2, 4, 6, 7]
    assert calls[0][1] == 0.0
    assert timed.step.wall == pytest.approx(calls[-1][1] / 5)
    assert 0 <= timed.host < timed.step.wall


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A recipe that has begun in an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    recipe = {"dataset": "ring", "architecture": "mlp", "width": 0.05, "batch_size": "100"}
    run = {"eval_samples": "50", "checkpoint_every_kimg": "none", "workdir": str(folder / "run")}
    yield benchmarking.start(recipe | run)
    assert list(folder.iterdir()) == []


def test_a_recipe_is_measured(started, monkeypatch):
    monkeypatch.setattr(
        machine_limit, "rates", lambda dtype, repeats: {Product("MatMul", dtype): Rate(4.0, 2.0)}
    )
    measured = benchmarking.measure(started, BenchmarkOptions(rounds=2, steps=3))
    assert (measured.images, measured.steps, len(measured.rounds)) == (100, 3, 2)
    work = sum(measured.flops.values())
    assert measured.limit == Seconds(work / 4.0, work / 2.0)
    low, high = sorted(timed.step.wall for timed in measured.rounds)
    assert measured.step.wall == pytest.approx((low + high) / 2)
    assert measured.memory > 10**8 and started.first_seconds > started.step_seconds


def test_the_costs_of_callbacks_are_spread_over_the_steps_between(started):
    costs = {cost.name: cost for cost in callback_costs(started, times=1)}
    # 50, 10, 10 and 1 kimg are so many steps of 100 images; a graph call has 50.
    steps = {"Evaluation": 500, "CollapseAlarm": 100, "ImageGrid": 100, "MetricsLog": 50}
    assert {name: costs[name].steps for name in steps} == steps
    assert costs["NaNGuard"].steps == 50 and costs["Checkpoint"].per_step == 0
    assert all(
        costs[name].per_step == costs[name].seconds / costs[name].steps > 0 for name in steps
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "--rounds=0: expected at least 1."),
        ({"steps": 0}, "--steps=0: expected at least 1."),
        ({"threads": -1}, "--threads=-1: expected at least 1."),
        ({"trace": "a"}, "--trace='a' is of --profile: give both."),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        benchmarking.check(BenchmarkOptions(**options))
