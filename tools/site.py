"""Makes the site of the pages and docstrings, build/site, with zensical: make site.

    python -m tools.site

Pages are laid out in build/site-pages as they lie in the repository, so that their links hold as
they are; one to what is no page, such as a source file, leads to a page that shows it. The
reference has a page for each public module of four rooms, which are read and never imported.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build"
ROOMS = ("gan", "trainers", "layers", "callbacks")
# Fenced blocks, and code in a line: what looks like a link there is none.
CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.S | re.M)
# The target of a link or picture, not that of another site or of this page; and its anchor.
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".js": "javascript", ".html": "html", ".json": "json"}
FENCE = "`" * 5  # longer than those in the files shown


class BrokenLinkError(Exception):
    """A page links to what is not there."""


def pages() -> list[pathlib.Path]:
    """The repository's pages, from its root."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(page.relative_to(ROOT) for page in found)


def place(path: pathlib.Path) -> str:
    """Where the site has a page, file or folder of the repository; both from their roots."""
    if (ROOT / path / "README.md").is_file():
        path /= "README.md"
    if path.name == "README.md":
        return path.with_name("index.md").as_posix()
    if path.suffix == ".md" or path.is_relative_to("docs"):
        return path.as_posix()
    return f"{path.as_posix()}/index.md" if (ROOT / path).is_dir() else f"{path.as_posix()}.md"


def relink(page: pathlib.Path, text: str, linked: set[pathlib.Path]) -> str:
    """A page's text with its links as the site needs them.

    Args:
        page: the page, from the root.
        text: its Markdown.
        linked: receives what the links name, from the root.

    Raises:
        BrokenLinkError: a link leads nowhere.
    """
    start = pathlib.PurePosixPath(place(page)).parent

    def relinked(match: re.Match[str]) -> str:
        target = pathlib.Path(os.path.normpath(page.parent / match[1]))
        if not (ROOT / target).exists():
            raise BrokenLinkError(f"{page}: links to {match[1]!r}, which is not there.")
        linked.add(target)
        return os.path.relpath(place(target), start) + (match[2] or "")

    parts = CODE.split(text)
    parts[::2] = [LINK.sub(relinked, part) for part in parts[::2]]
    return "".join(parts)


def show(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(place, Markdown) of the page that shows a file; of a folder, of its files' pages too."""
    if (ROOT / path).is_dir():
        files = sorted(path / file.name for file in (ROOT / path).iterdir() if file.is_file())
        yield place(path), f"# {path}\n\n" + "".join(f"- [{f.name}]({f.name}.md)\n" for f in files)
        for file in files:
            yield from show(file)
    else:
        text, language = (ROOT / path).read_text().rstrip(), LANGUAGES.get(path.suffix, "text")
        yield place(path), f"# {path}\n\n{FENCE}{language}\n{text}\n{FENCE}\n"


def reference(package: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(dotted name, place) of a package and its public modules, modules before packages."""
    yield ".".join(package.parts), f"reference/{package.as_posix()}/index.md"
    inside = (ROOT / package).iterdir()
    for path in sorted(inside, key=lambda path: (path.is_dir(), path.name)):
        name = package / path.stem
        if (path / "__init__.py").is_file():
            yield from reference(name)
        elif path.suffix == ".py" and not path.name.startswith("_"):
            yield ".".join(name.parts), f"reference/{name.as_posix()}.md"


def navigation(places: dict[str, str]) -> list[dict[str, Any]]:
    """The reference's part of the navigation: a package is a list that begins with its own page."""
    parts: dict[str, list[dict[str, Any]]] = {"": []}
    for name, page in places.items():
        parent, _, title = name.rpartition(".")
        if page.endswith("/index.md"):
            parts[name] = [{title: page}]
            parts[parent].append({title: parts[name]})
        else:
            parts[parent].append({title: page})
    return parts[""]


def toml(value: Any) -> str:
    """Strings, lists and tables of these, in TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value)


def lay_out(out: pathlib.Path) -> None:
    """Writes a folder `site-pages` and the settings `zensical.toml` beside it.

    Raises:
        BrokenLinkError: a page links to what is not there.
    """
    linked: set[pathlib.Path] = set()
    texts = {place(page): relink(page, (ROOT / page).read_text(), linked) for page in pages()}
    for path in sorted(linked):
        if path.suffix != ".md" and not path.is_relative_to("docs"):
            texts |= show(path)
    places = {name: page for room in ROOMS for name, page in reference(pathlib.Path(room))}
    texts |= {page: f"::: {name}\n" for name, page in places.items()}
    shutil.rmtree(out / "site-pages", ignore_errors=True)
    ignored = shutil.ignore_patterns("*.md")
    shutil.copytree(ROOT / "docs", out / "site-pages" / "docs", ignore=ignored)
    for page, text in texts.items():
        file = out / "site-pages" / page
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    settings = (ROOT / "zensical.toml").read_text()
    settings = settings.replace('= "REFERENCE"', f"= {toml(navigation(places))}")
    (out / "zensical.toml").write_text(settings)


def main() -> int:
    """Makes build/site; a warning, also one of a docstring, is an error."""
    try:
        lay_out(OUT)
    except BrokenLinkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file"]
    made = subprocess.run([*command, OUT / "zensical.toml"], stderr=subprocess.PIPE, text=True)
    print(made.stderr, end="", file=sys.stderr)
    if made.returncode or "griffe:" in made.stderr:
        return 1
    print("build/site/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
