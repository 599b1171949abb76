"""The pages that teach: their files are written, their commands run, and what these say compared.

A block of Python begins with the name of its file, `# ideas.py`. The lines of a block without a
language are typed in turn. In a console block the lines below a command are in its output, which
for `error:` is how it ends.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from forked import run_all
from PIL import Image

import gan
import scripts

ROOT = Path(scripts.__file__).parent.parent
WRITE = sorted((ROOT / "docs" / "write").glob("[a-z]*.md"))
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
# Two steps of narrow networks, and little to judge; no more than that in the fast test.
TINY = {
    "scripts.train": ["--total_kimg=0.128", "--eval_samples=32"],
    "scripts.evaluate": ["--num_samples=32"],
    "scripts.compress": ["--eval_samples=32"],
}
BARE = ["--eval_every_kimg=none", "--image_every_kimg=none"]


def typed(page):
    """(command, lines that its output holds), in the page's order."""
    for language, block in BLOCK.findall(page.read_text()):
        if language == "console":
            for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, *said = part.splitlines()
                yield command, said
        elif not language:
            yield from ((line, []) for line in block.splitlines() if line.startswith("python "))


def arguments(command):
    words = shlex.split(command, comments=True)
    words = words[2:] if words[1] == "-m" else words[1:]
    narrow = ["--width=0.1"] if "--width=" in command else []
    return [*words, *narrow, *TINY.get(words[0], [])]


def follow(pages, folder, choose=typed, more=()):
    """Does what pages say, each in a folder of its own; (page, command, lines, answer) of each."""
    lines, asked = [], []
    for page in pages:
        home = folder / page.stem
        home.mkdir()
        for language, block in BLOCK.findall(page.read_text()):
            if language == "python":
                name = re.match(r"# (\w+\.py)\n", block)
                assert name, f"{page}: a block of Python does not say which file it is"
                (home / name[1]).write_text(block)
        for command, said in choose(page):
            own = more if not said and "--eval_metrics" not in command else ()
            lines.append([f"--cd={home}", *arguments(command), *own])
            asked.append((page.name, command, said))
    return [(*about, answer) for about, answer in zip(asked, run_all(lines, folder))]


def compare(answers):
    for page, command, said, (status, out, err) in answers:
        fails = any(line.startswith("error:") for line in said)
        assert status == (2 if fails else 0), f"{page}: {command}\n{out}\n{err}"
        for line in said:
            assert line in out + err, f"{page}: {command}\n{out}\n{err}"


def first(page):
    """A page's first training, and those of its mistakes that are found before one."""
    commands = [(command, said) for command, said in typed(page) if "scripts.train" in command]
    narrow = [(command, said) for command, said in commands if "--width=" in command]
    return narrow[:1] + [about for about in commands if about[1] and about not in narrow]


def test_what_the_pages_write_trains_and_mistakes_say_what_the_pages_say(tmp_path):
    answers = follow(WRITE, tmp_path, first, BARE)
    compare(answers)
    assert {page for page, *_ in answers} == {page.name for page in WRITE}


@pytest.mark.slow
@pytest.mark.parametrize("page", [TUTORIAL, *WRITE], ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(page, tmp_path):
    compare(follow([page], tmp_path))


def test_the_version_is_everywhere_the_same():
    citation = (ROOT / "CITATION.cff").read_text()
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.M) == [gan.__version__]
    assert re.findall(r"^## \[(.*?)\]", changes, re.M)[0] == gan.__version__


def comings():
    """The trainings that docs/coming_from.md shows whole."""
    page = (ROOT / "docs" / "coming_from.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("python -m scripts.train")]
    rows = [line.split(" | ")[-1] for line in page.splitlines() if line.startswith("| ")]
    cells = [c for row in rows for c in re.findall(r"`(python -m scripts.train [^`]*)`", row)]
    return [command for command in lines + cells if "DIR" not in command]


@pytest.mark.slow
def test_what_others_typed_could_be_trained_here(tmp_path):
    pair = np.random.default_rng(0).integers(256, size=(64, 128, 3), dtype=np.uint8)
    for i, place in enumerate(("photos/1", "photos/2", "maps/trainA", "maps/trainB", "facades")):
        (tmp_path / place).mkdir(parents=True)
        image = Image.fromarray(np.roll(pair, i))
        (image if place == "facades" else image.crop((0, 0, 64, 64))).save(
            tmp_path / place / "1.png"
        )
    # Smaller, so that building takes seconds, and of data that is here.
    smaller = {"--image_size=256": "--image_size=64", "tfds:cifar10": "emoji_small"}
    lines = []
    for command in comings():
        for there, here in smaller.items():
            command = command.replace(there, here)
        lines.append([*shlex.split(command)[2:], "--width=0.1", "--dry_run"])
    answers = run_all(lines, tmp_path)
    assert len(lines) >= 10
    for line, (status, out, err) in zip(lines, answers):
        assert status == 0 and "parameters" in out, f"{line}\n{err}"
