"""A run's log is read and cut whatever became of its lines."""

import json
import math

from gan.metrics.keys import Key
from trainers.workdir.log import LogEvent, append_line, read_log, truncate_log

HOSTILE = [
    b'{"step": 17, "ima',  # half-written
    b'{"images": 16}',
    b'{"step": "4", "images": 32}',
    b'{"step": true, "images": 32}',
    b'{"step": -1, "images": 32}',
    b"[1, 2]",
    b"null",
    b"\x00" * 12,
    b'{"step": 4, "images": 32, "fid": "\xff"}',
    b'{"step": 4, "images": 32, "eval/fid": 1' + b"0" * 400 + b"}",
    b"[" * 100_000,
]


def event(step, **values):
    return {"step": step, "images": 8 * step, "seconds": 0.0, **values}


def events(*lines):
    return [LogEvent.read(json.dumps(line).encode()) for line in lines]


def write(path, *lines):
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"".join(text + b"\n" for text in texts))


def test_damage_in_the_middle_costs_that_line_alone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = [event(n, **{"loss/generator": 0.5 / n}) for n in range(1, len(HOSTILE) + 2)]
    mixed = [line for pair in zip(good, HOSTILE) for line in pair]
    write(path, *mixed, b"", b"   ", good[-1])
    log = read_log(path)
    assert log.events == events(*good)
    assert [json.loads(line) for line in log.lines] == good
    assert [line for _, line in log.damaged] == HOSTILE
    assert [number for number, _ in log.damaged] == list(range(2, 2 * len(HOSTILE) + 1, 2))
    assert log.notes(path) == [
        f"{path}: damaged lines 2, 4, 6, 8, 10, 12, 14, 16, ... are left out"
    ]


def test_a_last_line_without_its_end(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, event(1), HOSTILE[0])
    path.write_bytes(path.read_bytes()[:-1])
    assert read_log(path).notes(path) == [f"{path}: its half-written last line is left out"]
    # One that lacks nothing but its line break counts.
    write(path, event(1), event(2))
    path.write_bytes(path.read_bytes()[:-1])
    log = read_log(path)
    assert (log.events, log.notes(path)) == (events(event(1), event(2)), [])
    assert truncate_log(path, 2) == events(event(1), event(2))
    assert path.read_bytes().endswith(b"\n")
    assert read_log(tmp_path / "none.jsonl").events == []


def test_a_truncated_log_keeps_good_lines_behind_damage_and_the_damage_in_a_file(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    write(path, event(1), HOSTILE[2], event(2), event(3))
    assert truncate_log(path, 2) == events(event(1), event(2))
    assert read_log(path).events == events(event(1), event(2))
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == HOSTILE[2] + b"\n"
    assert "damaged line 2 is left out, and kept in metrics.jsonl.damaged" in caplog.text
    # What is whole is not written again.
    before = path.stat().st_mtime_ns
    assert truncate_log(path, 2) == events(event(1), event(2))
    assert path.stat().st_mtime_ns == before


def test_a_log_without_its_checkpoints_is_kept_aside(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    for kimg, aside in ((80, "metrics.1.jsonl"), (160, "metrics.2.jsonl")):
        write(path, event(0, fid=9.0), event(kimg * 125))
        content = path.read_bytes()
        assert truncate_log(path, 0) == []
        assert not path.exists()
        assert (tmp_path / aside).read_bytes() == content
        assert f"reaches {kimg} kimg" in caplog.text and aside in caplog.text
    # An evaluation of the untrained generator is no loss: it comes again.
    write(path, event(0, fid=9.0))
    assert truncate_log(path, 0) == []
    assert not (tmp_path / "metrics.3.jsonl").exists()


def test_an_event_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    values = {"loss/generator": math.inf, "eval/fid": 0.1, "progress/images_per_second": 3.0}
    keys = {"fid": Key("fid", better="lower", unit="px", metric="ideas:fid")}
    event = LogEvent(2, 16, 0.125, values, keys, "fashion")
    append_line(path, event.json())
    assert path.read_text().endswith("}\n") and "\n" not in event.json()
    assert json.loads(path.read_text())["loss/generator"] is None  # JSON has no infinity
    (found,) = read_log(path).events
    assert math.isnan(found.values["loss/generator"])
    assert dict(found.values) == values | {"loss/generator": found.values["loss/generator"]}
    assert (found.step, found.images, found.seconds) == (2, 16, 0.125)
    assert (found.keys, found.feature_net) == (keys, "fashion")


def test_what_is_no_number_of_a_kind_is_left_out_and_the_line_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    odd = b'{"step": 1, "images": 8, "seconds": "x", "loss": 1, "eval/a": true, "eval/b": "2"}'
    write(path, odd, b'{"step":2,"images":16,  "note": [1]}', event(3))
    first = read_log(path).events[0]
    assert (first.values, first.keys, math.isnan(first.seconds)) == ({}, {}, True)
    truncate_log(path, 2)
    assert path.read_bytes() == odd + b'\n{"step":2,"images":16,  "note": [1]}\n'
