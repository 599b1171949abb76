"""Sets of images made of packages: small packages made here, a stand-in for npm, real kills."""

import dataclasses
import io
import json
import os
import pathlib
import signal
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from experiments import preparing
from experiments.preparing import emoji, image_set, openmoji, packages, prepare
from experiments.settings import PrepareOptions
from gan import data
from gan.errors import UserError
from trainers.workdir.lock import locked

# 40 animals, and a hand in six skin tones.
HAND = ["1f44b.png", *(f"1f44b-1f3f{tone}.png" for tone in "bcdef")]
ANIMALS = [f"1f4{i:02d}.png" for i in range(40)]
OF_STYLE = {"google": emoji.GOOGLE, "twitter": emoji.TWITTER}


def tgz(path, content):
    """A package as npm packs it."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data_ in content.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data_)
            tar.addfile(info, io.BytesIO(data_))
    return path


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def pixels_of(style, name):
    """RGBA of 64x64 with every kind of transparency, another for each emoji and style."""
    return np.random.default_rng([*f"{style}{name}".encode()]).integers(0, 256, (64, 64, 4), "u1")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Style -> package of that style."""
    folder = tmp_path_factory.mktemp("archives")
    tones = {tone.upper(): {"image": f"1f44b-{tone}.png"} for tone in ("1f3fb", "1f3fc", "1f3fd")}
    tones |= {tone.upper(): {"image": f"1f44b-{tone}.png"} for tone in ("1f3fe", "1f3ff")}
    table = [{"image": name, "category": "Animals & Nature"} for name in ANIMALS]
    table += [{"image": HAND[0], "category": "People & Body", "skin_variations": tones}]
    return {
        style: tgz(
            folder / OF_STYLE[style].file_name,
            {"emoji.json": json.dumps(table).encode(), f"img/{style}/128/x.png": b"no image"}
            | {f"img/{style}/64/{n}": png(pixels_of(style, n)) for n in [*ANIMALS, *HAND]},
        )
        for style in OF_STYLE
    }


@pytest.fixture
def known(archives, monkeypatch):
    """The packages that emoji are made of are those of `archives`."""
    made = tuple(
        dataclasses.replace(OF_STYLE[style], integrity=packages.integrity(path))
        for style, path in archives.items()
    )
    monkeypatch.setitem(preparing.SETS, "emoji", dataclasses.replace(emoji.SET, packages=made))


@pytest.fixture
def options(archives, known, tmp_path):
    """Options that need no npm."""
    tarball = tuple(map(str, reversed(archives.values())))  # In any order.
    return PrepareOptions(set="emoji", out=tmp_path / "data" / "emoji", tarball=tarball)


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Puts a stand-in for npm on the path, which copies the files of a folder; counts its calls."""

    def install(folder):
        calls, tool = tmp_path / "calls", tmp_path / "bin" / "npm"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(
            f'#!/bin/sh\necho "$@" >> {calls}\nname=$(echo "$3" | tr @ -).tgz\n'
            f'cp "{folder}/$name" . || {{ echo "no $3 here" >&2; exit 1; }}\n'
        )
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
        monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path / "cache"))
        return lambda: calls.read_text().splitlines() if calls.exists() else []

    return install


def below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))


def test_pairs_on_white_by_category_with_all_skin_tones_in_one_split(options):
    done = prepare(options)
    assert done.new and done.images == 2 * 46
    out = options.out
    assert below(out / "google") == below(out / "A") == below(out / "B")
    assert {name.partition("/")[2] for name in below(out / "A") if "1f44b" in name} == {
        f"people_body/{name}" for name in HAND
    }
    assert len({name.partition("/")[0] for name in below(out / "A") if "1f44b" in name}) == 1
    assert sorted(os.listdir(out / "A")) == ["test", "train"]
    for domain, style in (("A", "google"), ("B", "twitter")):
        for file in (out / domain).rglob("*.png"):
            rgba = pixels_of(style, file.name).astype(np.float64)
            alpha = rgba[..., 3:] / 255
            expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
            # Rounding float32's and float64's halves may differ.
            assert np.abs(np.asarray(Image.open(file)) - expected).max() <= 0.5 + 1e-4
    pairs = [data.load(f"pairs:{out}", split=split).spec for split in ("train", "test")]
    assert sum(spec.size for spec in pairs) == 46 and pairs[0].shape == (64, 64, 3)
    assert data.load(f"folder:{out / 'twitter'}").spec.class_names[0] == "animals_nature"
    assert "CC-BY-4.0" in (out / preparing.LICENCES).read_text() == "\n".join(done.licences) + "\n"
    assert os.listdir(out.parent) == ["emoji"]


def test_the_split_is_a_tenth_and_is_decided_by_the_name_alone():
    splits = [image_set.split_of(f"{i:x}") for i in range(20_000)]
    assert abs(splits.count("test") / 20_000 - 0.1) < 0.01  # 4.7 standard deviations
    # By sha256sum, the first 8 bytes of their hashes end in the digits 0 and 4.
    assert [image_set.split_of(f"{name}.png") for name in ("1f615", "1f600")] == ["test", "train"]


def test_a_set_that_is_there_is_left_alone_and_a_damaged_or_another_one_refused(options):
    prepare(options)
    before = {p: p.stat().st_mtime_ns for p in options.out.rglob("*")}
    again = prepare(dataclasses.replace(options, tarball=("nowhere.tgz",)))
    assert not again.new and again.images == 92
    assert before == {p: p.stat().st_mtime_ns for p in options.out.rglob("*")}
    with pytest.raises(UserError, match=r"holds emoji of 64 pixels.*give a new folder"):
        prepare(dataclasses.replace(options, set="openmoji"))
    next((options.out / "A").rglob("*.png")).unlink()
    with pytest.raises(UserError, match=r"holds 91 images .* had 92 .*remove it to prepare"):
        prepare(options)
    (options.out / preparing.RECORD).write_text("[]")
    with pytest.raises(UserError, match="not prepared by this script"):
        prepare(options)
    assert len(list(options.out.rglob("*.png"))) == 91


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"set": None}, "--set is missing: --set=emoji or --set=openmoji"),
        ({"set": "emojy"}, "Did you mean 'emoji'"),
        ({"out": None}, "--out is missing: .* --out=data/emoji"),
        ({"size": 32}, "--size=32: emoji has only 64"),
        ({"set": "openmoji", "size": 4}, "--size=4: openmoji has 8 to 1,024"),
        ({"out": __file__}, "is a file; expected a folder"),
        ({"tarball": ("nowhere.tgz",)}, "--tarball='nowhere.tgz' cannot be read: No such file"),
        ({"tarball": (__file__,)}, "has sha512-.*; expected emoji-datasource-google 16.0.0 "),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(options, values, wanted):
    with pytest.raises(UserError, match=wanted):
        prepare(dataclasses.replace(options, **values))
    assert not options.out.parent.exists()


def killed(function):
    """Runs a function that kills its own process, in a child; whether it was killed."""
    if (pid := os.fork()) == 0:
        function()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


def test_a_killed_run_leaves_no_folder_and_the_next_one_clears_up(options, monkeypatch):
    def dies(files, size):
        for i, picture in enumerate(emoji.pictures(files, size)):
            if i == 30:
                os.kill(os.getpid(), signal.SIGKILL)
            yield picture

    whole = preparing.SETS["emoji"]
    with monkeypatch.context() as patch:
        patch.setitem(preparing.SETS, "emoji", dataclasses.replace(whole, pictures=dies))
        assert killed(lambda: prepare(options))
    assert os.listdir(options.out.parent) == [".emoji.partial"]
    assert len(list(options.out.parent.rglob("*.png"))) == 30
    assert prepare(options).images == 92
    assert os.listdir(options.out.parent) == ["emoji"]


def test_a_second_process_is_refused_or_finds_what_the_first_made(options, monkeypatch):
    wanted = rf"^--out='{options.out}' is in use by process .* remove .*partial/lock"
    refused = pytest.raises(UserError, match=wanted)
    with locked(options.out.with_name(".emoji.partial")), refused:
        prepare(options)
    assert prepare(options).new
    # It looked before the first had finished, and gets the lock after it.
    looked = iter([0])
    look = preparing._images
    monkeypatch.setattr(preparing, "_images", lambda *a: next(looked, None) or look(*a))
    assert not prepare(options).new


def test_npm_fetches_what_the_cache_lacks_once(options, archives, npm):
    calls = npm(next(iter(archives.values())).parent)
    options = dataclasses.replace(options, tarball=None)
    assert prepare(options).images == 92
    wanted = [f"pack --silent emoji-datasource-{style}@16.0.0" for style in archives]
    assert calls() == wanted
    assert prepare(dataclasses.replace(options, out=options.out.with_name("again"))).new
    assert calls() == wanted
    cached = pathlib.Path(os.environ["TAPESTRY_CACHE"], "packages", emoji.GOOGLE.file_name)
    cached.write_bytes(cached.read_bytes()[:-1])  # A damaged one is fetched anew.
    assert prepare(dataclasses.replace(options, out=options.out.with_name("third"))).new
    assert calls() == [*wanted, wanted[0]]
    assert len(os.listdir(cached.parent)) == 2


def test_another_content_is_not_used_and_without_npm_the_way_is_said(
    options, archives, npm, monkeypatch, tmp_path
):
    options = dataclasses.replace(options, tarball=None)
    (tmp_path / "other").mkdir()
    tgz(tmp_path / "other" / emoji.GOOGLE.file_name, {"emoji.json": b"[]"})
    npm(tmp_path / "other")
    with pytest.raises(UserError, match=r"npm fetched .*google 16.0.0 with sha512-.*; expected"):
        prepare(options)
    assert os.listdir(tmp_path / "cache" / "packages") == []
    npm(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"npm cannot fetch .* \(.*No such file"):
        prepare(options)
    monkeypatch.setenv("TAPESTRY_CACHE", str(archives["google"]))
    with pytest.raises(UserError, match=r"cannot be written or read \(.*by \$TAPESTRY_CACHE"):
        prepare(options)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"npm is not installed.* --tarball=FILE"):
        prepare(options)
    assert not options.out.parent.exists()


def svg(body):
    return f'<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{body}</svg>'.encode()


def test_drawings_with_lines_of_their_own_are_rasterised(tmp_path, monkeypatch):
    pytest.importorskip("resvg_py", reason="resvg-py, of the extra svg, is not installed")
    line = '<path d="M0 36H72" stroke="#000" stroke-width="18"/>'
    ring = '<circle cx="36" cy="36" r="20" fill="none" stroke="#000"/>'
    red = '<path d="M0 0H72V36H0Z" fill="#f00"/>'
    drawings = [
        {"hexcode": "1F600", "group": "smileys-emotion", "skintone": ""},
        {"hexcode": "1F601", "group": "flags", "skintone": ""},  # These two have equal lines.
        {"hexcode": "1F602", "group": "flags", "skintone": ""},
        {"hexcode": "1F600-1F3FB", "group": "smileys-emotion", "skintone": 1},
    ]
    content = {"data/openmoji.json": json.dumps(drawings).encode()}
    for drawing in drawings:
        own = line if drawing["group"] == "smileys-emotion" else ring
        content[f"black/svg/{drawing['hexcode']}.svg"] = svg(own)
        content[f"color/svg/{drawing['hexcode']}.svg"] = svg(red + own)
    path = tgz(tmp_path / "openmoji.tgz", content)
    package = dataclasses.replace(openmoji.OPENMOJI, integrity=packages.integrity(path))
    made = dataclasses.replace(openmoji.SET, packages=(package,))
    monkeypatch.setitem(preparing.SETS, "openmoji", made)
    out = tmp_path / "out"
    options = PrepareOptions(set="openmoji", out=out, tarball=(str(path),), size=8)
    assert prepare(options).images == 2
    (lines,), (colour,) = ([*(out / domain).rglob("*.png")] for domain in ("lines/", "colour/"))
    # Of 8 rows, a stroke 18/72 wide in the middle covers two; red is above.
    expected = np.full((8, 8), 255)
    expected[3:5] = 0
    np.testing.assert_array_equal(Image.open(lines), expected)
    rgb = np.repeat(expected[..., None], 3, axis=-1)
    rgb[:3, :, 1:] = 0
    np.testing.assert_array_equal(Image.open(colour), rgb)


def test_without_the_rasteriser_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UserError, match=r"pip install resvg-py==\d"):
        prepare(PrepareOptions(set="openmoji", out=tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_openmoji_of_npm_is_what_is_expected(npm_packages, tmp_path):
    tarball = str(npm_packages / openmoji.OPENMOJI.file_name)
    out = tmp_path / "openmoji"
    assert prepare(PrepareOptions(set="openmoji", out=out, tarball=(tarball,))).images == 2 * 2017
    specs = [data.load(f"pairs:{out}", split=split).spec for split in ("train", "test")]
    assert sum(spec.size for spec in specs) == 2017
