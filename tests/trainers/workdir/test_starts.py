"""How a run was started, as it says itself."""

from trainers.workdir.paths import Workdir
from trainers.workdir.starts import Start, add_start, read_starts


def test_starts_come_back_in_their_order(tmp_path):
    assert read_starts(tmp_path) == ([], [])
    starts = [
        Start(0, 0, "2026-01-01", "python -m scripts.train", {"cores": 2}, {"keras": "3"},
              {"generator": 5}, {"a\nb": 3}),
        Start(7, 448),
    ]  # fmt: skip
    for start in starts:
        add_start(tmp_path, start)
    assert read_starts(tmp_path) == (starts, [])


def test_damaged_lines_and_parts_are_left_out(tmp_path):
    add_start(tmp_path, Start(3, 30, networks={"generator": 5}))
    with open(Workdir(tmp_path).starts, "a") as file:
        file.write('{"step": 4, "images": 40, "networks": [1], "command": 5, "more": 1}\n')
        file.write('{"step": "4", "images": 40}\n[]\n{"step": 5, "ima')
    starts, notes = read_starts(tmp_path)
    assert starts == [Start(3, 30, networks={"generator": 5}), Start(4, 40)]
    assert notes == [f"{tmp_path}/starts.jsonl: 3 damaged lines are left out"]
