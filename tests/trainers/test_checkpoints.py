"""Checkpoints: complete, whole or absent, and forgiving of a damaged one."""

import errno
import json
import math
import os
import shutil

import keras
import pytest
from toys import ToySource, assert_equal, numbers, toy_gan, translators

from gan.architectures import Networks
from gan.errors import UserError
from trainers.checkpoints import Checkpoints
from trainers.cyclegan import CycleGAN
from trainers.gan import GAN
from trainers.workdir.judged import Judged


def cyclegan():
    source = ToySource((6, 6, 1), domains=("a", "b"))
    return source, CycleGAN(translators, source.spec, batch_size=2, pool_size=3, seed=3)


def gan():
    source = ToySource()
    networks = {"batch_norm": True}
    return source, toy_gan(source, networks, penalty=("wgan_gp",), n_critic=2, batch_size=4)


@pytest.mark.parametrize("make", [gan, cyclegan])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path, make):
    def logs_of(trainer, source, stop_at=math.inf):
        lines = []

        def record_batch(batch, logs):
            lines.append((batch, dict(logs)))
            trainer.stop_training = trainer.images >= stop_at

        record = keras.callbacks.LambdaCallback(
            on_train_batch_end=record_batch,
            on_epoch_end=lambda epoch, logs: lines.append(("epoch", epoch, dict(logs))),
        )
        trainer.fit(
            source, total_kimg=0.064, steps_per_loop=2, eval_every_kimg=0.048, callbacks=[record]
        )
        return lines

    source, unbroken = make()
    expected = logs_of(unbroken, source)
    source, first = make()
    lines = logs_of(first, source, stop_at=32)
    Checkpoints(tmp_path).save(first)
    source, second = make()
    assert Checkpoints(tmp_path).restore(second) == first.step
    lines += logs_of(second, source)
    assert_equal(numbers(unbroken), numbers(second))
    assert lines == expected


def saved(tmp_path, *totals, keep=3, fids=None):
    """A trainer saved after each of these many kimg."""
    source, trainer = gan()
    checkpoints = Checkpoints(tmp_path, keep=keep)
    for total in totals:
        trainer.fit(source, total_kimg=total, steps_per_loop=1)
        checkpoints.save(trainer, {"fid": fids[total]} if fids and total in fids else None)
    return trainer, checkpoints


def test_the_newest_and_the_best_are_kept(tmp_path):
    fids = {0.008: 10.0, 0.016: 11.0, 0.032: float("nan")}
    trainer, checkpoints = saved(tmp_path, 0.008, 0.016, 0.024, 0.032, 0.04, keep=2, fids=fids)
    assert checkpoints.best() == {"step": 1, "metric": "fid", "value": 10.0}
    assert checkpoints.steps() == [1, 4, 5]
    assert checkpoints.restore(trainer, "best") == 1 and trainer.images == 8
    assert checkpoints.restore(trainer, "latest") == 5
    assert checkpoints.restore(trainer, "4") == 4 and trainer.step == 4
    with pytest.raises(UserError, match="'7'"):
        checkpoints.restore(trainer, "7")


@pytest.mark.parametrize(
    ("networks", "said"),
    [
        ({"batch_norm": False}, "another generator than this run's"),
        (
            {"batch_norm": True, "pack": 2},
            r"another discriminator than this run's \(\[2, 8\] for \[4, 8\]\)",
        ),
    ],
)
def test_other_networks_are_refused_not_called_damage(tmp_path, caplog, networks, said):
    """Such as those of an earlier version of an architecture."""
    saved(tmp_path, 0.008)
    options = {"penalty": ("wgan_gp",), "n_critic": 2, "batch_size": 4}
    with pytest.raises(UserError, match=said) as error:
        Checkpoints(tmp_path).restore(toy_gan(networks=networks, **options))
    assert "\n" not in str(error.value) and "damaged" not in caplog.text


def test_networks_that_share_a_layer_are_saved_and_restored(tmp_path):
    def siblings(spec):
        body = keras.layers.Dense(4)
        z, x = keras.Input((3,), name="z"), keras.Input(spec.shape, name="x")
        fake = keras.layers.Dense(2)(body(z))
        logits = keras.layers.Dense(1)(body(keras.layers.Dense(3)(x)))
        return Networks(keras.Model(z, fake), keras.Model(x, logits))

    source = ToySource()
    first, second = (GAN(siblings, source.spec, batch_size=8) for _ in range(2))
    first.fit(source, total_kimg=0.016, steps_per_loop=2)
    Checkpoints(tmp_path).save(first)
    assert Checkpoints(tmp_path).restore(second) == 2
    assert_equal(numbers(first), numbers(second))


def test_another_seed_is_refused_not_called_damage(tmp_path):
    saved(tmp_path, 0.008)
    with pytest.raises(UserError, match=r"--seed=4 differs from the checkpoint's --seed=0"):
        Checkpoints(tmp_path).restore(toy_gan(networks={"batch_norm": True}, seed=4))


def test_leftovers_of_a_killed_save_are_swept(tmp_path):
    trainer, checkpoints = saved(tmp_path, 0.008)
    left = tmp_path / "checkpoints" / ".tmp-step-0000000009"
    left.mkdir()
    (tmp_path / "checkpoints" / ".tmp-step-0000000010").touch()
    checkpoints.save(trainer)
    # The same step once more has a name of its own, and the first one went.
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000000001.1"]
    assert checkpoints.steps() == [1]
    checkpoints.save(trainer)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000000001.2"]


def test_at_no_moment_a_checkpoint_saved_again_is_without_a_name(tmp_path, monkeypatch):
    trainer, checkpoints = saved(tmp_path, 0.008, 0.016, fids={0.008: 1.0, 0.016: 2.0})
    seen = []

    def watched(function):
        def call(*arguments, **options):
            seen.append(Checkpoints(tmp_path).steps())
            function(*arguments, **options)
            seen.append(Checkpoints(tmp_path).steps())

        return call

    for module, name in ((os, "replace"), (shutil, "rmtree")):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    checkpoints.save(trainer)
    assert seen and all(2 in steps for steps in seen)
    seen.clear()
    assert checkpoints.roll_back(trainer) == 1
    assert seen and all(1 in steps for steps in seen)
    assert checkpoints.steps() == [1]


def test_what_is_dropped_loses_its_name_before_its_files(tmp_path, monkeypatch):
    trainer, checkpoints = saved(tmp_path, 0.008, 0.016, keep=1)

    def killed(path, **_):
        raise KeyboardInterrupt  # with all files still there

    monkeypatch.setattr(shutil, "rmtree", killed)
    trainer._step.assign_add(1)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(trainer)
    names = {p.name for p in checkpoints.directory.iterdir()}
    assert names == {"step-0000000003", ".tmp-step-0000000002-gone"}


def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    trainer, checkpoints = saved(tmp_path, 0.008)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(trainer)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000000001"]


def damage_bytes(path):
    data = next(path.glob("variables.data*"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    data.write_bytes(content)


def damage_length(path):
    data = next(path.glob("variables.data*"))
    os.truncate(data, data.stat().st_size // 2)


def damage_index(path):
    (path / "variables.index").unlink()


def damage_state(path):
    (path / "state.json").write_text("{")


def damage_bit(path):
    """A digit of a number: valid JSON, and wrong."""
    content = bytearray((path / "state.json").read_bytes())
    content[content.index(b'"epoch_steps": ') + 15] ^= 1
    (path / "state.json").write_bytes(content)


def damage_kind(path, name="epoch_sums", value=None):
    """A value of another type, its checksum right."""
    host = json.loads((path / "state.json").read_text()) | {name: value}
    (path / "state.json").write_text(json.dumps(host))
    (path / "state.sha256").unlink()


def damage_list(path):
    (path / "state.json").write_text("[]")
    (path / "state.sha256").unlink()


def damage_name(path):
    """Someone else's step under this name."""
    shutil.rmtree(path)
    shutil.copytree(path.with_name("step-0000000001"), path)


@pytest.fixture(scope="module")
def two_saves(tmp_path_factory):
    """A run's folder with two checkpoints, and the numbers of the first."""
    folder = tmp_path_factory.mktemp("two_saves")
    saved(folder, 0.008, 0.016)
    source, expected = gan()
    expected.fit(source, total_kimg=0.008, steps_per_loop=1)
    return folder, numbers(expected)


@pytest.mark.parametrize(
    "damage",
    [
        damage_bytes, damage_length, damage_index, damage_state, damage_bit, damage_kind,
        damage_list, damage_name,
    ],
)  # fmt: skip
def test_a_damaged_newest_falls_back_with_a_warning(two_saves, tmp_path, damage, caplog):
    folder, expected = two_saves
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    checkpoints = Checkpoints(tmp_path)
    damage(checkpoints.path(2))
    _, trainer = gan()
    assert checkpoints.restore(trainer) == 1
    assert "step-0000000002" in caplog.text and "damaged" in caplog.text
    assert_equal(numbers(trainer), expected)


def test_neither_stray_files_nor_an_old_checkpoints_null_metrics_matter(tmp_path):
    trainer, checkpoints = saved(tmp_path, 0.008, 0.016, fids={0.016: 3.0})
    damage_kind(checkpoints.path(1), "metrics")
    (checkpoints.directory / "step-0000000007").touch()
    (checkpoints.directory / "step-٠٠٠٠٠٠٠٠٠٩").mkdir()
    (checkpoints.directory / "notes.txt").touch()
    assert checkpoints.steps() == [1, 2]
    assert checkpoints.best() == {"step": 2, "metric": "fid", "value": 3.0}
    checkpoints.save(trainer)
    assert checkpoints.restore(trainer) == 2
    assert checkpoints.restore(trainer, "1") == 1


def test_damaged_newer_ones_cost_no_save(tmp_path):
    """A run that fell back to an older one is behind them for a while: what it saves must stay."""
    _, checkpoints = saved(tmp_path, 0.008, 0.032, keep=9)
    damage_bytes(checkpoints.path(4))
    source, trainer = gan()
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.restore(trainer) == 1
    trainer.fit(source, total_kimg=0.016)
    checkpoints.save(trainer)
    assert checkpoints.restore(gan()[1]) == 2


def test_what_lies_under_a_saves_name_does_not_stop_it(tmp_path):
    _, trainer = gan()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.directory.mkdir()
    (checkpoints.directory / "step-0000000000").touch()
    (checkpoints.directory / "step-0000000000.1").symlink_to("nowhere")
    checkpoints.save(trainer)
    assert checkpoints.steps() == [0]
    assert checkpoints.restore(trainer) == 0


def test_best_compares_within_the_newest_protocol(tmp_path):
    source, trainer = gan()
    checkpoints = Checkpoints(tmp_path, keep=10)
    for step, net, metrics in (
        (1, "fashion", {"fid": 0.5, "kid": 0.3}),
        (2, "random", {"fid": 80.0, "kid": 0.1}),
        (3, "random", {"fid": 90.0, "kid": 0.2}),
        (4, "random", {"reverse_kl": 0.01}),
        (5, "", {}),
    ):
        trainer.fit(source, total_kimg=0.008 * step, steps_per_loop=1)
        names = ("modes",) if "reverse_kl" in metrics else ("fid", "kid")
        judged = Judged.by(step, metrics, {"feature_net": net, "versions": step}, names)
        checkpoints.save(trainer, judged if metrics else None)
    found = {by: Checkpoints(tmp_path, best_by=by).best() for by in ("", "fid", "kid", "recall")}
    assert found["fid"] == {"step": 2, "metric": "fid", "value": 80.0}
    assert found["kid"] == {"step": 2, "metric": "kid", "value": 0.1}
    assert found[""] == {"step": 4, "metric": "reverse_kl", "value": 0.01}
    assert found["recall"] is None
    with pytest.raises(UserError, match=r"judged by --best_by=recall, but by fid, kid"):
        Checkpoints(tmp_path, best_by="recall").restore(trainer, "best")


def test_best_of_what_nobody_judged_is_not_the_latest(tmp_path):
    trainer, checkpoints = saved(tmp_path, 0.008)
    with pytest.raises(UserError, match=r"--checkpoint=best: no evaluation .* Take latest"):
        checkpoints.restore(trainer, "best")


def test_all_damaged_is_one_clear_line(tmp_path):
    _, checkpoints = saved(tmp_path, 0.008)
    damage_index(checkpoints.path(1))
    with pytest.raises(UserError, match=r"No checkpoint .* can be read"):
        checkpoints.restore(gan()[1])


def test_what_is_half_written_is_not_a_checkpoint(tmp_path):
    trainer, checkpoints = saved(tmp_path, 0.008)
    half = tmp_path / "checkpoints" / ".tmp-step-0000000002"
    half.mkdir()
    (half / "variables.index").write_text("")
    assert checkpoints.steps() == [1]
    assert checkpoints.restore(trainer) == 1
    assert Checkpoints(tmp_path / "none").restore(trainer) is None


def test_state_json_says_where_the_run_was(tmp_path):
    trainer, checkpoints = saved(tmp_path, 0.008)
    host = json.loads((checkpoints.path(1) / "state.json").read_text())
    assert host["step"] == trainer.step == 1 and host["images"] == trainer.images == 8


def racing(checkpoints, trainer, monkeypatch, times):
    """Each read finds, as many times, that a training saved anew and dropped what it reads."""
    read, left = Checkpoints._read, [times]

    def read_too_late(self, reader, step):
        if left[0]:
            left[0] -= 1
            trainer._step.assign_add(1)
            checkpoints.save(trainer)
            assert not checkpoints.path(step).exists()
        read(self, reader, step)

    monkeypatch.setattr(Checkpoints, "_read", read_too_late)


def test_a_reader_beside_a_training_that_saves_fast_looks_again(tmp_path, monkeypatch, caplog):
    trainer, checkpoints = saved(tmp_path, 0.016, keep=1)
    racing(checkpoints, trainer, monkeypatch, times=3)
    reader = gan()[1]
    assert Checkpoints(tmp_path).restore(reader) == trainer.step
    assert_equal(numbers(reader), numbers(trainer))
    assert not caplog.records
    # A step that is gone is said to be; nobody is told to delete a healthy folder.
    racing(checkpoints, trainer, monkeypatch, times=1)
    with pytest.raises(UserError, match=r"expected latest, best or one of the steps \[\d+\]"):
        Checkpoints(tmp_path).restore(reader, str(trainer.step))
    racing(checkpoints, trainer, monkeypatch, times=99)
    with pytest.raises(UserError, match="changed faster than they could be read"):
        Checkpoints(tmp_path).restore(reader)


def test_a_checkpoint_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    trainer, checkpoints = saved(tmp_path, 0.016)
    read, left = Checkpoints._read, [1]

    def replaced(self, reader, step):
        read(self, reader, step)
        if left[0]:
            left[0] = 0
            trainer.set_rollbacks(5)
            checkpoints.save(trainer)

    monkeypatch.setattr(Checkpoints, "_read", replaced)
    reader = gan()[1]
    assert Checkpoints(tmp_path).restore(reader) == trainer.step
    assert reader.rollbacks == 5


def test_the_state_of_other_networks_is_not_called_damage(tmp_path):
    Checkpoints(tmp_path).save(toy_gan())
    for other in (toy_gan(ToySource((3,))), toy_gan(networks={"batch_norm": True})):
        with pytest.raises(UserError, match="holds another generator than this run's") as caught:
            Checkpoints(tmp_path).restore(other)
        assert "damaged" not in str(caught.value) and "delete" not in str(caught.value)
    assert Checkpoints(tmp_path).restore(toy_gan()) == 0
