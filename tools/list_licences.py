"""Makes docs/licences.md: the licences of all packages that the lock files name.

    python -m tools.list_licences

They are read from the packages' own metadata, so it runs where requirements.lock is installed.
"""

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from gan import files

ROOT = Path(__file__).parent.parent
LOCK, CUDA = ROOT / "requirements.lock", ROOT / "requirements-cuda.lock"
PAGE = ROOT / "docs" / "licences.md"
HEAD = """\
# Licences of what Tapestry installs

Tapestry is under Apache 2.0; the embedded images have [their](../gan/data/embedded/LICENSE-emoji.txt) [own](../gan/data/embedded/LICENSE-fashion-mnist.txt). `make licences` makes this page from the metadata of the packages that `requirements.lock` names; what is only for tests, benchmarks or an extra is among them. None of them is part of Tapestry's wheel.

| Package | Version | Licence |
|---|---|---|
"""  # noqa: E501
CUDA_HEAD = """
## With CUDA

`requirements-cuda.lock` adds these. Their metadata is not at hand where this page is made: NVIDIA's libraries are under NVIDIA's own terms, which come with each package.

"""  # noqa: E501


def pinned(lock: Path) -> dict[str, list[str]]:
    """The packages of a lock file, and the versions of each (they may differ by Python)."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(), re.M):
        found.setdefault(name, []).append(version)
    return found


def licence(name: str) -> str:
    """What an installed package says of its licence: an SPDX expression, or its own words."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed on the system that made this page"
    about = distribution.metadata
    named = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier") or []
        if text.startswith("License :: OSI Approved :: ")
    ]
    own = next(iter((about["License"] or "").strip().splitlines()), "")
    said = about["License-Expression"] or " and ".join(named) or own or _in_file(distribution)
    return said or "its metadata does not say"


def _in_file(distribution: importlib.metadata.Distribution) -> str:
    """The first licence that a package's licence files name."""
    names = distribution.metadata.get_all("License-File") or []
    text = " ".join(distribution.read_text(f"licenses/{name}") or "" for name in names)
    found = re.search(
        r"(Apache|Mozilla Public|MIT|BSD) License(,?\s+v(ersion)? ?[\d.]*\d)?", text, re.I
    )
    if found:
        return " ".join(found[0].split())
    return "MIT" if "Permission is hereby granted, free of charge" in text else ""


def rows(packages: Iterable[tuple[str, list[str]]]) -> str:
    """Lines of the table."""
    return "".join(f"| {n} | {', '.join(v)} | {licence(n)} |\n" for n, v in packages)


def page() -> str:
    """The page's text."""
    known = pinned(LOCK)
    added = [name for name in pinned(CUDA) if name not in known]
    return f"{HEAD}{rows(known.items())}{CUDA_HEAD}{', '.join(added)}.\n"


if __name__ == "__main__":
    files.write_whole(PAGE, page().encode())
