"""What scripts.benchmark prints of what was measured."""

import re

from experiments.benchmarking import Measured, Timed
from experiments.machine_limit import Rate, Seconds
from experiments.profiling import Profile
from gan.flops import Product
from scripts import benchmark

RATES = {
    Product("MatMul", "float32"): Rate(100e9, 50e9),
    Product("MatMul", "bfloat16"): Rate(200e9, 125e9),
}
MEASURED = Measured(
    images=64,
    steps=16,
    rounds=[Timed(Seconds(ms / 1000, 2 * ms / 1000), 1e-5) for ms in (32, 16, 20)],
    flops={Product("Conv2D", "float32"): 0.25e9, Product("MatMul", "float32"): 0.75e9},
    rates=RATES,
    memory=5 * 10**8,
    sample=Seconds(1 / 2000, 1 / 1000),
)


def cells(text: str) -> dict[str, list[str]]:
    """The words of each line behind its first sixteen characters, by these."""
    return {line[:16].strip(): line[16:].split() for line in text.splitlines()}


def test_speed_and_the_share_of_the_limit():
    rows = cells(benchmark.speed(MEASURED))
    assert rows["Images a second"] == ["3,200", "1,600"]
    assert rows["Samples a second"] == ["2,000", "1,000"]
    assert rows["A step"] == ["ms", "20.00", "40.00"]
    assert rows["The limit"][-2:] == ["10.00", "20.00"]
    assert rows["Reached"] == ["50%", "50%"]
    assert rows["A step's GFLOP"] == ["1.000:", "MatMul", "0.750,", "Conv2D", "0.250"]
    text = benchmark.speed(MEASURED)
    assert "2,000 to 4,000" in text and "1,000 to 2,000" in text
    assert "MatMul in bfloat16" in text and "500 MB" in text


def test_the_times_that_are_not_shown_are_summed_up():
    by_op = {f"Op{i}": (30 - i) / 1000 for i in range(20)}
    total = sum(by_op.values())
    by_part = {"generator": total / 2, "x": total / 2}
    profile = Profile(4, Seconds(total, total), 0.0, 0.0, by_op, by_part)
    lines = benchmark.places(profile, MEASURED).splitlines()
    shown = [line.split() for line in lines if re.match(r"Op\d", line)]
    assert [row[0] for row in shown] == [f"Op{i}" for i in range(15)]
    assert shown[0][1:] == ["30.000", f"{0.03 / total:.1%}"]
    (others,) = (line.split() for line in lines if "other types" in line)
    assert others[0] == "5" and float(others[3]) == 15 + 14 + 13 + 12 + 11
    assert any(line.split() == ["generator", f"{500 * total:.3f}", "50.0%"] for line in lines)


def test_products_alone_say_what_a_step_could_reach():
    by_op = {"FusedMatMul": 0.02, "Conv2DBackpropInput": 0.01, "Sub": 0.01}
    profile = Profile(4, Seconds(0.04, 0.04), 0.0, 0.0, by_op, {"generator": 0.04})
    last = benchmark.places(profile, MEASURED).splitlines()[-1]
    # A step of 40 ms, a limit of 20: half, of three quarters.
    assert last.startswith("Products take 75.0% of the ops' time.") and "reach 67% of" in last
