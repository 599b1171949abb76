"""Code that a run's flags name by import path: its copy in the run's folder, and when it may run.

A user's modules are copied to RUN/code when training starts, with the user's modules that they
import, so that the run can be opened where they are missing. Since a run may come from anywhere,
its code runs only with --trust_code.
"""

import ast
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gan import files, options, origin, registry
from gan.errors import UserError, printable
from trainers.workdir.damage import set_aside
from trainers.workdir.paths import Workdir

_MANIFEST = "manifest.json"


def foreign(values: Mapping[str, Any]) -> list[str]:
    """The import paths among an experiment's values of objects outside of the project."""
    return list(dict.fromkeys(path for path in _paths(values) if not _is_projects(path)))


def _paths(values: Mapping[str, Any]) -> Iterator[str]:
    """The import paths among the values of all flags that name parts."""
    for flag, value in values.items():
        kind = next((k for k in registry.KINDS if flag == k or flag.endswith(f"_{k}")), "")
        for item in options.write(value).split(",") if kind else ():
            name = item.rpartition("=")[2]  # without the group of GROUP=NAME
            while name.partition(":")[0] in registry.names(kind):  # in stacked:BASE, BASE is one
                name = name.partition(":")[2]
            if registry.is_import_path(name):
                yield name


def _is_projects(path: str) -> bool:
    """Whether the object of an import path is defined in the project."""
    if path.partition(".")[0].partition(":")[0] not in origin.PACKAGES:
        return False
    try:
        value = registry.import_path(path, what="")
    except UserError:
        return True  # There is nothing to run; to look it up will raise the error.
    module = getattr(value, "__module__", None) or type(value).__module__
    return module.partition(".")[0] in origin.PACKAGES


def keep_code(workdir: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Copies the modules of an experiment's import paths, and their imports, into the run's folder.

    An earlier copy that differs is moved to code/replaced, and a line printed.
    """
    modules = _modules([path.partition(":")[0] for path in foreign(values)])
    if not modules:
        return
    folder = Workdir(workdir).code
    try:
        kept = _manifest(folder)
    except UserError as error:
        set_aside(folder, error)
        kept = {}
    for name, (source, relative) in modules.items():
        content = source.read_bytes()
        before, copy = kept.get(name), folder / relative
        if before and before["sha256"] != _sha256(content) and copy.is_file():
            old = folder / "replaced" / before["sha256"][:12] / relative
            files.write_whole(old, copy.read_bytes())
            print(f"{printable(str(source))} has changed since the run began; the copy from then "
                  f"is {old}.")  # fmt: skip
        files.write_whole(copy, content)
        kept[name] = {"file": relative, "sha256": _sha256(content)}
    files.write_json(folder / _MANIFEST, {"modules": kept})


def admit_code(workdir: str | os.PathLike[str], values: Mapping[str, Any], *, trust: bool) -> None:
    """Makes the code that a run's flags name importable: as installed, or else the run's copy.

    Args:
        workdir: the run's folder.
        values: the values of its flags.
        trust: whether the user allows the code to run.

    Raises:
        UserError: the user does not, and the message names the code; or the run's copy is damaged.
    """
    paths = foreign(values)
    if not paths:
        return
    folder = Workdir(workdir).code
    kept = _manifest(folder)
    here = {name: _file(name) for name in [*kept, *(path.partition(":")[0] for path in paths)]}
    copies = any(file is None for file in here.values()) and bool(kept)
    if not trust:
        shown = ", ".join(f"{p} ({_shown(folder, p, here, kept, copies)})" for p in paths)
        raise UserError(
            f"--workdir={str(workdir)!r} would run code that is not this project's: {shown}. "
            "If you trust it, add --trust_code."
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name, record in kept.items():
        copy, file = folder / record["file"], here[name]
        if copies and not (copy.is_file() and _sha256(copy.read_bytes()) == record["sha256"]):
            raise UserError(f"{str(copy)!r} is not the copy that the run was started with.")
        if (
            not copies
            and file
            and os.path.isfile(file)
            and _sha256(Path(file).read_bytes()) != record["sha256"]
        ):
            print(f"warning: {printable(file)} differs from {copy}, the copy of the run.",
                  file=sys.stderr)  # fmt: skip
    if copies:
        sys.path.insert(0, str(folder.resolve()))
        print(f"Its code is the run's copy, {folder}.")


def _shown(
    folder: Path,
    path: str,
    here: Mapping[str, str | None],
    kept: Mapping[str, Mapping[str, str]],
    copies: bool,
) -> str:
    """The file that an import path would run."""
    name = path.partition(":")[0]
    if copies and name in kept:
        return str(folder / kept[name]["file"])
    return printable(here[name] or "which is not here")


def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    """Module -> file and hash of its copy; empty without copies.

    Raises:
        UserError: the manifest is damaged, or names files elsewhere.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        return {}
    try:
        kept = {
            str(name): {"file": str(record["file"]), "sha256": str(record["sha256"])}
            for name, record in json.loads(path.read_text())["modules"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{str(path)!r} is damaged; move {str(folder)!r} away.") from None
    for name, record in kept.items():
        places = (_relative(name, package=False), _relative(name, package=True))
        if not registry.is_import_path(f"{name}:x") or record["file"] not in places:
            raise UserError(f"{str(path)!r} keeps {name!r} as {record['file']!r}, not its place.")
    return kept


def _modules(names: list[str]) -> dict[str, tuple[Path, str]]:
    """The user's modules among these and their imports: name -> (file, path of its copy)."""
    modules: dict[str, tuple[Path, str]] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        parent = name.rpartition(".")[0]
        if parent:
            waiting += [parent] if parent not in modules else []
        file = _file(name) if name not in modules else None
        if file is None or not origin.is_users(file):
            continue
        if not file.endswith(".py"):
            print(f"{printable(file)} is no Python source; the run keeps no copy of it.")
            continue
        package = Path(file).name == "__init__.py"
        modules[name] = (Path(file), _relative(name, package=package))
        waiting += _imports(Path(file), name if package else parent)
    return modules


def _imports(file: Path, package: str) -> set[str]:
    """The modules that a module's source may import, also within its functions."""
    names: set[str] = set()
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".") if node.level else []
            base = base[: len(base) - node.level + 1] if node.level else base
            base += [node.module] if node.module else []
            names.add(".".join(base))
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names - {""}


def _relative(name: str, *, package: bool) -> str:
    path = name.replace(".", "/")
    return f"{path}/__init__.py" if package else f"{path}.py"


def _file(name: str) -> str | None:
    """The file that a module would be imported from, current directory first; imports nothing."""
    search: list[str] | None = [os.getcwd(), *sys.path]
    spec, parts = None, name.split(".")
    for i in range(len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[: i + 1]), search)
        if spec is None:
            return "Python's own" if name in sys.builtin_module_names else None
        search = list(spec.submodule_search_locations or ())
    return spec.origin if spec and spec.origin else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
