"""Names of variants, what a search tries, and what it takes."""

import math

import pytest

from gan.compression.students import search
from gan.compression.students.search import Limits
from gan.compression.students.variants import Student, Variant, parse, variant
from gan.errors import UserError


def test_names_say_what_they_are():
    assert parse("int8") == Variant("int8", Student(), "int8")
    assert parse("pruned_int8", sparsity=0.8).student == Student(sparsity=0.8)
    assert parse("slim_float16", width=0.3) == Variant("slim_float16", Student(0.3), "float16")
    assert parse("slim_int8", target_macs=9000).student == Student(macs=9000)
    assert parse("slim0.25_int8", target_macs=9000).student == Student(0.25)
    whole = parse("slim0.25_pruned0.9_qat_dynamic")
    assert whole.student == Student(0.25, sparsity=0.9, aware=True)
    assert whole.student.name == "slim0.25_pruned0.9_qat"
    assert parse("pruned2of4_int8").student == Student(two_of_four=True)
    assert parse("slim1_int8").student.name == "" and Student(macs=5).name == "slim5macs"


def test_a_students_name_is_read_back():
    for student in (
        Student(0.5),
        Student(0.35, sparsity=0.7),
        Student(two_of_four=True, aware=True),
    ):
        assert parse(variant(student, "int8").name) == variant(student, "int8")
    assert variant(Student(), "dynamic").name == "dynamic"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("int4", "ends in 'int4'; expected words joined by _"),
        ("thin_int8", "'thin' is not known"),
        ("slimx_int8", "'slimx': expected slimNUMBER"),
        ("slim2_int8", "more than 0 and at most 1"),
        ("pruned1_int8", "less than 1"),
        ("slim0.5_slim0.25_int8", "comes twice"),
        ("pruned_pruned2of4_int8", "pruned in two ways"),
    ],
)
def test_names_that_are_wrong(name, line):
    with pytest.raises(UserError, match=line):
        parse(name)


def cost(student):
    """A network whose bytes are its weights, and whose time its width."""
    return 400 * student.width**2 * (1 - student.sparsity), student.width


def test_candidates_keep_the_limits_with_the_fewest_zeros():
    found, smallest = search.candidates(Limits(kb=100), cost)
    # 400 (1 - s) <= 100 wants 0.8 of 0.7 and 0.8; 225 (1 - s) wants 0.7; 100 needs none.
    assert [(c.student.width, c.student.sparsity) for c in found] == [
        (1.0, 0.8), (0.75, 0.7), (0.5, 0.0), (0.35, 0.0), (0.25, 0.0), (0.125, 0.0),
    ]  # fmt: skip
    assert smallest.kb == pytest.approx(min(c.kb for c in found), rel=1)
    fast, _ = search.candidates(Limits(latency_ms=0.3), cost)
    assert [c.student for c in fast] == [Student(0.25), Student(0.125)]
    none, smallest = search.candidates(Limits(kb=0.1), cost)
    assert none == [] and smallest.student == Student(0.125, sparsity=0.9)


def explored(limits, fid, trials=6):
    found, _ = search.candidates(limits, cost)
    tried = []

    def ratio(student):
        tried.append(student)
        return fid(student)

    search.explore(found, limits, ratio, trials)
    return tried


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (0.35, [0.35, 0.25, 0.5]),
        (0.125, [0.35, 0.25, 0.125]),
        (0.75, [0.35, 0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_under_a_budget_it_climbs_from_the_middle(best, tried):
    found = explored(Limits(kb=100), lambda s: 1 + abs(math.log(s.width / best)))
    assert [s.width for s in found] == tried
    assert len(explored(Limits(kb=100), lambda s: s.width, trials=2)) == 2


def test_under_a_limit_on_time_the_widest_come_first():
    assert [s.width for s in explored(Limits(latency_ms=0.5), lambda s: 1 / s.width)] == [0.5, 0.35]


def test_under_a_limit_on_fid_widths_are_halved_in_and_then_pruned():
    """FID is 1 + 0.05 / width and 0.3 more at 80% zeros: 0.25 with 0.7 is the smallest at 1.2."""
    limits = Limits(fid_ratio=1.2)
    tried = explored(limits, lambda s: 1 + 0.05 / s.width + 0.3 * (s.sparsity > 0.7))
    dense = [s.width for s in tried if not s.sparsity]
    assert min(w for w in dense if 1 + 0.05 / w <= 1.2) == 0.25 and len(dense) <= 3
    assert [s for s in tried if s.sparsity] == [Student(0.25, sparsity=s) for s in (0.5, 0.7, 0.8)]
    # The trained generator itself costs no training, and is no trial.
    tried = explored(limits, lambda s: 2.0, trials=2)
    assert [s.width for s in tried] == [0.35, 0.75, 1.0]


def judged(name, gzip_bytes, latency_ms, fid):
    return {"name": name, "gzip_bytes": gzip_bytes, "latency_ms": latency_ms, "fid": fid}


FILES = [
    judged("float32", 4_000_000, 1.0, 2.0),
    judged("int8", 900_000, 0.3, 2.02),
    judged("slim0.5_int8", 200_000, 0.1, 2.5),
    judged("slim0.25_int8", 60_000, 0.05, 3.1),
    judged("broken", 10, 0.01, None),
]


@pytest.mark.parametrize(
    ("limits", "name", "why"),
    [
        (Limits(kb=250), "slim0.5_int8", "the lowest FID of the 2 of 5 files that keep 250 kB"),
        (Limits(latency_ms=0.3), "int8", "the lowest FID of the 3 of 5 files that keep 0.3 ms"),
        (Limits(fid_ratio=1.3), "slim0.5_int8", "the smallest of the 3 of 5 files that keep 1.3"),
        (Limits(kb=250, fid_ratio=1.1), None, "keeps 250 kB gzipped and 1.1 times float32's FID"),
        (Limits(kb=5), None, "none of 5 files keeps 5 kB gzipped; the nearest: slim0.25_int8"),
    ],
)
def test_the_choice_and_its_reason(limits, name, why):
    chosen, reason = search.choose(FILES, limits)
    assert (chosen and chosen["name"]) == name
    assert why in reason


def test_no_limit_is_none():
    assert not Limits().any and Limits().fits(math.inf, math.inf, math.inf)
