"""The command tapestry: `tapestry train ...` does what `python -m scripts.train ...` does.

It finds the scripts and what they do without importing them, since TensorFlow takes seconds.
"""

import ast
import importlib.util
import os
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import gan
from gan.errors import printable
from gan.registry import nearest

HELP = ("help", "--help", "-h", "-help", "--helpfull")
# The command's name as it was typed, for what the scripts print, and for scripts that they start.
TYPED = "TAPESTRY_COMMAND"


def main() -> int:
    """Runs the script that the first argument names.

    Returns:
        The exit status: 2 for a command that there is not.
    """
    name = sys.argv[1] if len(sys.argv) > 1 else "help"
    known = commands()
    if name in HELP:
        print(help_text(known))
        return 0
    if name == "--version":
        print(f"tapestry {gan.__version__}")
        return 0
    if name not in known:
        near = nearest(name, list(known))
        guess = f" Did you mean {near!r}?" if near else ""
        print(
            f"error: command {printable(name)!r} is not known.{guess} tapestry --help lists all.",
            file=sys.stderr,
        )
        return 2
    os.environ[TYPED] = typed()
    sys.argv = ["-m", *sys.argv[2:]]  # As Python itself has it while it imports a script.
    runpy.run_module(f"scripts.{name}", run_name="__main__", alter_sys=True)
    return 0


def commands() -> dict[str, str]:
    """The scripts by name: modules of the room that have a main, and what they do in one line."""
    spec = importlib.util.find_spec("scripts")
    found = {}
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("[!_]*.py")):
            module = ast.parse(file.read_bytes())
            if any(isinstance(n, ast.FunctionDef) and n.name == "main" for n in module.body):
                found[file.stem] = summary(ast.get_docstring(module) or "")
    return found


def summary(docstring: str) -> str:
    """The first line of a script's docstring, without its command and full stop."""
    return docstring.partition("\n")[0].partition(": python -m ")[0].removesuffix(".")


def help_text(known: dict[str, str]) -> str:
    """The command's --help."""
    lines = ["Usage: tapestry COMMAND --flag=value ...", ""]
    lines += [f"  {name:11}{about}" for name, about in known.items()]
    lines += ["", "tapestry COMMAND --help lists its flags; tapestry --version says which this is."]
    return "\n".join(lines)


def typed() -> str:
    """This command as the shell that started it can call it."""
    program = sys.argv[0]
    name = os.path.basename(program)
    return shlex.quote(name if shutil.which(name) == program else program)
