"""What every entry point shares: one-line errors, exit status 2, a readable --help."""

import inspect
import os
import shlex
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import app, flags, logging

from gan import origin, registry
from gan.errors import CodeError, UserError, from_graph, printable
from scripts import _process, _values
from scripts.parts import Part

FLAGS = flags.FLAGS


def run(
    main: Callable[[Sequence[str]], int | None],
    parse: Callable[[Sequence[str]], None] = lambda argv: None,
) -> None:
    """Runs an entry point: exits 2 with one line on a user's mistake.

    Args:
        main: takes the remaining arguments; what it returns is the exit status.
        parse: called with the arguments once the flags known so far are parsed, to define those
            that depend on them.
    """

    def parser(argv: Sequence[str]) -> list[str]:
        try:
            wants_help = any(a in ("--help", "-h", "-help", "--helpfull") for a in argv[1:])
            argv = [a for a in argv if a not in ("--help", "-h", "-help", "--helpfull")]
            FLAGS(argv, known_only=True)
            parse(argv)
            FLAGS.unparse_flags()
            rest = FLAGS(argv, known_only=True)
            if wants_help:
                print(help_text(main))
                _process.end(0)
            _reject(rest[1:])
            return rest
        except (UserError, flags.Error) as error:
            _fail(error)
            raise

    def guarded(argv: Sequence[str]) -> None:
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            for section, names in sections().items():
                _values.settle(names, FLAGS, checked=section == "Flags")
            _process.end(main(argv) or 0)
        except UserError as error:
            _fail(error)
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            _fail(UserError(f"out of memory: {next(iter(str(error).splitlines()), '')}"))
        except Exception as error:
            known = from_graph(error)  # Of data that could not be read on.
            if known is None:
                raise
            _fail(known)

    app.run(guarded, flags_parser=parser)


def run_with(
    main: Callable[[Sequence[str]], int | None], options: Mapping[str, tuple[Any, str]]
) -> None:
    """`run` for a script whose flags are a table of name -> (default, help)."""
    for name, (default, text) in options.items():
        define(name, default, text, "Flags")
    run(main)


def message(error: Exception) -> str:
    """What a user sees of a mistake: one line, of one in their own code at most five."""
    lines = str(error).splitlines() if isinstance(error, CodeError) else [str(error)]
    first, *more = (printable(" ".join(line.split())) for line in lines)
    return "\n".join([f"error: {first}", *(f"  {line}" for line in more)])


def _fail(error: Exception) -> None:
    if FLAGS["verbosity"].present and FLAGS.verbosity > 0:
        traceback.print_exception(error)
    print(message(error), file=sys.stderr)
    _process.end(2)


def command(module: str, **values: object) -> str:
    """A command line with flags, for a user to paste into the shell that started this script."""
    words = [_python(), "-m", module, *(f"--{name}={value}" for name, value in values.items())]
    return shlex.join(words)


def _python() -> str:
    """This interpreter as that shell can call it, with a virtual environment active or not."""
    if shutil.which("python") == sys.executable:
        return "python"
    relative = os.path.relpath(sys.executable)
    return sys.executable if relative.startswith("..") else relative


def _reject(rest: Sequence[str]) -> None:
    """Anything left over is a mistake."""
    for argument in rest:
        name = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-"):
            ours = [n for names in sections().values() for n in names]
            message = registry.unknown("flag", name, ours).split(" Valid:")[0]
            raise UserError(f"{message} --help lists all flags of this experiment.")
        raise UserError(f"argument {argument!r} is not a flag; write --name=value.")


def define(name: str, default: Any, help_text: str, section: str) -> None:
    """Defines a flag of the type of its default; a tuple is a comma-separated list.

    Sections order --help. A name defined already keeps its first definition.
    """
    if name in FLAGS:
        return
    if isinstance(default, bool):
        flags.DEFINE_bool(name, default, help_text, module_name=section)
    elif isinstance(default, int):
        flags.DEFINE_integer(name, default, help_text, module_name=section)
    elif isinstance(default, float):
        flags.DEFINE_float(name, default, help_text, module_name=section)
    elif isinstance(default, tuple):
        flags.DEFINE_list(name, list(map(str, default)), help_text, module_name=section)
    else:
        flags.DEFINE_string(name, default, help_text, module_name=section)


def define_options(owner: Callable[..., Any], section: str) -> None:
    """Defines a flag for each keyword-only argument of a function or class."""
    for name, parameter in registry.options(owner).items():
        define(name, parameter.default, registry.describe(owner, name), section)


def define_part(part: Part) -> None:
    """Defines the flags of a part's options.

    Raises:
        UserError: one is a flag already, with another default.
    """
    for option, flag in part.flags.items():
        default = part.parameters[flag].default
        wanted = list(map(str, default)) if isinstance(default, tuple) else default
        define(flag, default, registry.describe(part.function, option), part.section)
        before = FLAGS[flag].default
        if type(before) is not type(wanted) or before != wanted:
            raise UserError(
                f"{origin.described(part.function)}: option {option!r} is a flag already, "
                f"--{flag}={before}; give it another name."
            )


def sections() -> Mapping[str, list[str]]:
    """Our flags' names by section."""
    by_module = FLAGS.flags_by_module_dict()
    return {
        module: [f.name for f in found]
        for module, found in by_module.items()
        if "absl" not in module and "." not in module and module[:1].isupper()
    }


def help_text(main: Callable[..., Any]) -> str:
    """What the script does, then its flags with their values, by section."""
    module = sys.modules[main.__module__]
    lines = [inspect.getdoc(module) or "", ""]
    for section, names in sections().items():
        lines.append(f"{section}:")
        for name in names:
            flag = FLAGS[name]
            value = ",".join(flag.value) if isinstance(flag.value, list) else flag.value
            head = f"  --{name}={value}" if value is not None else f"  --{name}"
            about = textwrap.wrap(flag.help or "", 70) or [""]
            if len(head) < 30:
                lines.append(f"{head:30}{about[0]}")
                about = about[1:]
            else:
                lines.append(head)
            lines += [f"{'':30}{line}" for line in about]
        lines.append("")
    lines.append("Also: --flagfile=FILE reads flags from a file; --verbosity sets the log level.")
    return "\n".join(lines)
