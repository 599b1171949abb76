"""Folders of pairs, and of two domains without pairs: tiny PNG files, in memory and streamed."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from gan.data import absolute, load, same_but_place
from gan.errors import UserError
from gan.metrics.evaluation import Evaluator

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape or (6, 6, 3), np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def whole(source, key):
    """The ordered pass of a domain, uint8."""
    x = np.concatenate([batch[key].numpy() for batch in source.ordered(2)])
    return np.rint((x + 1) * 127.5).astype(np.uint8)


@pytest.fixture(params=["folders", "side by side"])
def five(request, tmp_path):
    """Five pairs of one of the two kinds: the folder, and the images of a and b."""
    a, b = noise(5, 6, 6, 3), noise(5, 6, 6, 3)
    for i in range(5):
        if request.param == "folders":
            save(tmp_path / "A" / f"{i}.png", a[i])
            save(tmp_path / "B" / f"{i}.png", b[i])
        else:
            save(tmp_path / f"{i}.png", np.concatenate([a[i], b[i]], axis=1))
    return tmp_path, a, b


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_pairs_are_read_whole_and_in_either_direction(five, memory_mb):
    path, a, b = five
    source = load(f"pairs:{path}", memory_mb=memory_mb)
    assert (source.spec.shape, source.spec.size, source.spec.num_classes) == ((6, 6, 3), 5, 0)
    assert source.spec.domains == ("a", "b") and source.spec.paired
    np.testing.assert_array_equal(whole(source, "a"), a)
    np.testing.assert_array_equal(whole(source, "b"), b)
    turned = load(f"pairs:{path}", memory_mb=memory_mb, direction="b_to_a")
    assert turned.spec.domains == ("b", "a")
    np.testing.assert_array_equal(whole(turned, "a"), a)
    assert "is not what it was" in source.identity().changes(turned.identity())
    prints = {source.fingerprint(), turned.fingerprint()}
    assert len(prints) == 1 + (memory_mb == 0)


def test_both_images_of_a_pair_are_mirrored_or_none(tmp_path):
    for i in range(8):
        image = noise(6, 6, 3)
        save(tmp_path / "A" / f"{i}.png", image)
        save(tmp_path / "B" / f"{i}.png", 255 - image)
    memory = load(f"pairs:{tmp_path}", flip=True)
    stream = load(f"pairs:{tmp_path}", flip=True, memory_mb=0)
    images = whole(memory, "a")
    mirrored = 0
    for one, other in zip(*(s.pipeline(8, seed=1, start=3).take(3) for s in (memory, stream))):
        np.testing.assert_allclose(one["a"], -one["b"].numpy(), atol=1e-6)
        np.testing.assert_array_equal(one["a"], other["a"])
        np.testing.assert_array_equal(one["b"], other["b"])
        drawn = np.rint((one["a"].numpy() + 1) * 127.5).astype(np.uint8)
        mirrored += sum(not any((x == image).all() for image in images) for x in drawn)
    assert 4 < mirrored < 20


def test_what_is_done_to_images_is_done_to_each_half(five):
    path, _, b = five
    source = load(f"pairs:{path}", image_size=3, channels=1)
    assert source.spec.shape == (3, 3, 1)
    halved = [np.asarray(Image.fromarray(x).convert("L").resize((3, 3), 2)) for x in b]
    np.testing.assert_allclose(whole(source, "b")[..., 0], np.stack(halved), atol=1.01)


def test_grey_beside_colour_is_read_as_colour_and_endings_may_differ(tmp_path):
    edges, photo = noise(6, 6), noise(6, 6, 3)
    save(tmp_path / "A" / "x.png", edges)
    save(tmp_path / "B" / "x.webp", photo)
    source = load(f"pairs:{tmp_path}")
    assert source.spec.shape == (6, 6, 3)
    np.testing.assert_array_equal(whole(source, "a")[0], np.repeat(edges[..., None], 3, -1))


def test_a_pair_with_a_damaged_image_is_left_out(five, caplog):
    path, a, _ = five
    bad = next(p for p in sorted(path.rglob("3.png")))
    bad.write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        source = load(f"pairs:{path}")
    np.testing.assert_array_equal(whole(source, "a"), a[[0, 1, 2, 4]])
    assert f"cannot read {bad}" in caplog.text and "skipped 1 of 5" in caplog.text
    with pytest.raises(UserError, match=rf"cannot read {bad}"):
        load(f"pairs:{path}", strict_data=True)


def test_another_pair_stands_in_for_one_that_breaks_while_training(five, caplog):
    path, a, b = five
    source = load(f"pairs:{path}", memory_mb=0)
    bad = sorted(path.rglob("3.png"))[-1]
    bad.unlink()
    with caplog.at_level(logging.WARNING):
        seen_a, seen_b = whole(source, "a"), whole(source, "b")
    (stand_in,) = [i for i in range(5) if (a[i] == seen_a[3]).all()]
    assert stand_in != 3
    np.testing.assert_array_equal(seen_b[3], b[stand_in])
    assert f"cannot read {bad} (No such file or directory)" in caplog.text


@pytest.mark.parametrize(
    "layout",
    ["{split}/A/x.png {split}/B/x.png", "A/{split}/x.png B/{split}/x.png",
     "{split}A/x.png {split}B/x.png"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pairs", "unpaired"])
def test_splits_are_folders(tmp_path, kind, layout):
    for split, value in (("train", 10), ("test", 20)):
        for file in layout.format(split=split).split():
            save(tmp_path / file, np.full((4, 4), value, np.uint8))
    assert (whole(load(f"{kind}:{tmp_path}"), "b") == 10).all()
    assert (whole(load(f"{kind}:{tmp_path}", split="test"), "a") == 20).all()
    with pytest.raises(UserError, match=r"split='val'.* has test, train"):
        load(f"{kind}:{tmp_path}", split="val")


def test_pairs_side_by_side_have_splits_too(tmp_path):
    save(tmp_path / "train" / "x.png", noise(4, 8, 3))
    save(tmp_path / "val" / "y.png", noise(4, 8, 3))
    assert load(f"pairs:{tmp_path}", split="val").spec.size == 1


@pytest.mark.parametrize(
    ("kind", "files", "says"),
    [
        ("pairs", ["x.txt"], "holds no pairs: put images into folders A and B"),
        ("pairs", ["A/1.png"], "has a folder A and no B"),
        ("pairs", ["A/1.png", "A/2.png", "B/1.png", "B/3.png"],
         "one name in both folders: 2 in A alone; 3 in B alone. .*unpaired:DIR"),
        ("pairs", ["A/1.png", *(f"B/{i}.png" for i in range(1, 7))], "2, 3, 4 and 2 more in B al"),
        ("pairs", ["A/1.png", "A/1.jpg", "B/1.png"], "1.jpg and 1.png have one name"),
        ("pairs", ["1.png"], r"1.png is 5 pixels wide, and a pair side by side has an even width"),
        ("pairs", ["A/x.txt", "B/x.txt"], "no .png"),
        ("unpaired", ["cats/1.png", "dogs/1.png"],
         "needs folders A and B, or trainA and trainB; .* holds cats, dogs"),
        ("unpaired", ["1.png"], "holds no folders"),
        ("unpaired", ["trainA/1.png", "testA/1.png"], "has a folder trainA and no trainB"),
        ("unpaired", ["A/1.png", "B/x.txt"], r"unpaired:.*/B: no .png"),
    ],
)  # fmt: skip
def test_strangers_folders_are_answered_in_one_line(tmp_path, kind, files, says):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        if file.endswith("txt"):
            (tmp_path / file).write_text("")
        else:
            save(tmp_path / file, noise(6, 5, 3))
    with pytest.raises(UserError, match=says) as caught:
        load(f"{kind}:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_files_that_may_hold_one_image_are_named_once(tmp_path, caplog):
    pair = np.concatenate([noise(4, 4, 3), noise(4, 4, 3)], axis=1)
    save(tmp_path / "1.png", pair)
    with caplog.at_level(logging.WARNING):
        load(f"pairs:{tmp_path}")
        assert not caplog.records
        save(tmp_path / "2.png", noise(4, 6, 3))
        source = load(f"pairs:{tmp_path}", image_size="4x8")
    (record,) = caplog.records
    line = record.getMessage()
    assert "1 of 2 files are not twice as wide" in line and "2.png, 4 pixels high and 6" in line
    assert source.spec.shape == (4, 8, 3)


def test_sizes_must_agree_across_domains(tmp_path):
    save(tmp_path / "A" / "x.png", noise(6, 6, 3))
    save(tmp_path / "B" / "x.png", noise(8, 8, 3))
    for kind in ("pairs", "unpaired"):
        with pytest.raises(UserError, match=r"2 sizes .*give --image_size"):
            load(f"{kind}:{tmp_path}")
        assert load(f"{kind}:{tmp_path}", image_size=4).spec.shape == (4, 4, 3)
        assert load(f"{kind}:{tmp_path}", image_size="4x8").spec.shape == (4, 8, 3)


def test_a_direction_that_is_none(tmp_path):
    with pytest.raises(UserError, match="direction='ab': expected a_to_b or b_to_a"):
        load(f"pairs:{tmp_path}", direction="ab")


@pytest.fixture
def uneven(tmp_path):
    """Two images of a, five of b, of one grey value each."""
    for i in range(2):
        save(tmp_path / "A" / f"{i}.png", np.full((4, 4), i, np.uint8))
    for i in range(5):
        save(tmp_path / "B" / f"{i}.png", np.full((4, 4), 100 + i, np.uint8))
    return tmp_path


def test_unpaired_domains_have_epochs_of_their_own(uneven):
    memory, stream = (load(f"unpaired:{uneven}", memory_mb=mb) for mb in (1024, 0))
    assert memory.spec == stream.spec and not memory.spec.paired
    assert (memory.spec.size, memory.spec.sizes) == (5, (2, 5))
    drawn = []
    for one, other in zip(*(s.pipeline(5, seed=3).take(8) for s in (memory, stream))):
        for key in "ab":
            np.testing.assert_array_equal(one[key], other[key])
        drawn.append([np.rint((one[k][:, 0, 0, 0].numpy() + 1) * 127.5) for k in "ab"])
    a, b = (np.concatenate(x).astype(int) for x in zip(*drawn))
    assert all(set(x) == {0, 1} for x in a.reshape(-1, 2))
    assert all(set(x) == set(range(100, 105)) for x in b.reshape(-1, 5))
    # Resumed at position 7, as a run is, both go on where they were.
    resumed = next(iter(memory.pipeline(5, seed=3, start=7)))
    np.testing.assert_array_equal(np.rint((resumed["a"][:, 0, 0, 0] + 1) * 127.5), a[7:12])
    np.testing.assert_array_equal(np.rint((resumed["b"][:, 0, 0, 0] + 1) * 127.5), b[7:12])


def test_the_smaller_domain_is_judged_once_each(uneven):
    source = load(f"unpaired:{uneven}", image_size=8)
    np.testing.assert_array_equal(whole(source, "a")[:, 0, 0, 0], [0, 1, 0, 1, 0])
    for domain, count in (("a", 2), ("b", 5)):
        judge = Evaluator(source, domain=domain, feature_net="random", metrics=["fid"])
        assert judge.reference.count == judge.num_reference == count


def test_a_copy_is_the_same_data_and_a_change_is_named(uneven, tmp_path):
    before = load(f"unpaired:{uneven}").identity()
    copy = tmp_path / "copy"
    shutil.copytree(uneven / "A", copy / "A")
    shutil.copytree(uneven / "B", copy / "B")
    again = load(f"unpaired:{copy}")
    assert before.changes(again.identity()) == ""
    assert again.fingerprint() == load(f"unpaired:{uneven}").fingerprint()
    (copy / "A" / "1.png").rename(copy / "A" / "7.png")
    assert "gone: A/1.png; new: A/7.png" in before.changes(load(f"unpaired:{copy}").identity())


def test_their_folders_may_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ("pairs", "unpaired"):
        assert absolute(f"{kind}:here") == f"{kind}:{tmp_path}/here"
        assert same_but_place(f"{kind}:/a", f"{kind}:/b")
    assert not same_but_place("pairs:/a", "folder:/a")
