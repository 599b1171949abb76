"""The lock files, and the page of licences, fit each other and setup.cfg."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import tools

ROOT = Path(tools.__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-cuda.lock")


def pins(name):
    """The requirements of a lock file, each with its hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line.partition(" --hash=") for line in text.splitlines() if line.strip()]
    return [(Requirement(pin), hashes.split("--hash=")) for pin, _, hashes in lines]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_address(name):
    assert "://" not in (ROOT / name).read_text()
    for requirement, hashes in pins(name):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h.strip()) for h in hashes), requirement


def test_the_lock_for_cuda_adds_nvidias_libraries_alone():
    plain, cuda = ({str(r): set(hashes) for r, hashes in pins(name)} for name in LOCKS)
    added = {name: hashes for name, hashes in cuda.items() if name not in plain}
    assert plain.items() <= cuda.items()
    assert added and all(name.startswith("nvidia-") for name in added)


def test_the_locks_hold_what_setup_cfg_asks_for():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    asked = "\n".join([setup["options"]["install_requires"], *extras.values()]).splitlines()
    pinned = {r.name: r.specifier for r, _ in pins(LOCKS[0])}
    for line in asked:
        if line.strip() and not line.startswith("#"):
            wanted = Requirement(line)
            (pin,) = pinned[wanted.name.replace("_", "-")]
            assert pin.version in wanted.specifier, line


def test_the_page_of_licences_fits_the_locks():
    """make licences writes it anew."""
    page = (ROOT / "docs" / "licences.md").read_text()
    rows = dict(re.findall(r"^\| ([a-z][\w.-]+) \| (.+ \| .+\w.*) \|$", page, re.M))
    pinned: dict[str, list[str]] = {}
    for requirement, _ in pins(LOCKS[0]):
        pinned.setdefault(requirement.name, []).append(str(requirement.specifier)[2:])
    assert {n: r.partition(" | ")[0] for n, r in rows.items()} == {
        name: ", ".join(versions) for name, versions in pinned.items()
    }
    # Three that are known from the packages' own pages.
    for name, licence in (("keras", "Apache"), ("tqdm", "MPL-2.0"), ("ruff", "MIT")):
        assert licence in rows[name]
    for requirement, _ in pins(LOCKS[1]):
        assert requirement.name in rows or f"{requirement.name}," in page.replace(".\n", ",\n")
