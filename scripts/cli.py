"""Shared by all entry points: flags, one-line errors with exit status 2, a readable --help."""

import functools
import inspect
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import tensorflow as tf
from absl import app, flags, logging

from experiments import parts
from gan import options, registry
from gan.errors import CodeError, UserError, from_graph, printable
from scripts import _process, _recipes, _typed, _values
from scripts._terminal import waiting as waiting
from scripts._typed import command as command

FLAGS = flags.FLAGS
T = TypeVar("T")
_WIDTH = 70  # characters of what --help says of a flag or name


def run(
    main: Callable[[], int | None], parse: Callable[[Sequence[str]], None] = lambda argv: None
) -> None:
    """Runs an entry point; on a user's mistake, prints one line and exits with status 2.

    Args:
        main: the script's work, which returns the exit status (None: 0).
        parse: called with the arguments once the flags known so far are parsed, to define flags
            that depend on them.
    """

    def parser(argv: Sequence[str]) -> list[str]:
        try:
            wants_help = any(a in ("--help", "-h", "-help", "--helpfull") for a in argv[1:])
            argv = [a for a in argv if a not in ("--help", "-h", "-help", "--helpfull")]
            argv = _recipes.found(argv)
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
        del argv
        if not FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            for section, names in sections().items():
                _values.settle(names, FLAGS, checked=section == "Flags")
            _process.end(main() or 0)
        except UserError as error:
            _fail(error)
        except (MemoryError, tf.errors.ResourceExhaustedError) as error:
            _fail(UserError(f"out of memory: {next(iter(str(error).splitlines()), '')}"))
        except Exception as error:
            mistake = from_graph(error)  # A user's error raised as a graph read data.
            if mistake is None:
                raise
            _fail(mistake)

    app.run(guarded, flags_parser=parser)


def run_with(
    main: Callable[[T], int | None],
    owner: Callable[..., T],
    parse: Callable[[Sequence[str]], None] = lambda argv: None,
) -> None:
    """`run` for a script whose flags are the options of a class; `main` takes an instance of it."""
    known = options.of(owner)
    for option in known.values():
        define(option, "Flags")

    @functools.wraps(main)
    def with_options() -> int | None:
        return main(owner(**{name: FLAGS[name].value for name in known}))

    run(with_options, parse)


def run_with_folders(main: Callable[[list[str], T], int | None], owner: Callable[..., T]) -> None:
    """`run_with` for a script that takes the folders of runs too, before its flags or behind."""
    FLAGS.set_gnu_getopt()
    folders: list[str] = []

    def take(argv: Sequence[str]) -> None:
        rest = FLAGS(argv, known_only=True)[1:]
        folders[:] = [argument for argument in rest if not argument.startswith("-")]
        for folder in folders:
            argv.remove(folder)  # type: ignore[attr-defined]

    @functools.wraps(main)
    def with_folders(options: T) -> int | None:
        return main(folders, options)

    run_with(with_folders, owner, take)


def one_run(folders: Sequence[str], module: str) -> str:
    """The folder of a script that takes one.

    Raises:
        UserError: there are none or more.
    """
    if len(folders) != 1:
        got = f"got {' and '.join(map(repr, folders))}" if folders else "got none"
        raise UserError(f"expected the folder of one run, {got}: python -m {module} RUN.")
    return folders[0]


def message(error: Exception) -> str:
    """An error as a user sees it: one line, or up to five if it is in their own code."""
    lines = str(error).splitlines() if isinstance(error, CodeError) else [str(error)]
    if isinstance(error, flags.IllegalFlagValueError):  # flag --seed=x: expected a whole number
        lines = [str(error).removeprefix("flag ").rstrip(".") + "."]
    first, *more = (printable(" ".join(line.split())) for line in lines)
    return _typed.as_typed("\n".join([f"error: {first}", *(f"  {line}" for line in more)]))


def _fail(error: Exception) -> None:
    if FLAGS["verbosity"].present and FLAGS.verbosity > 0:
        traceback.print_exception(error)
    print(message(error), file=sys.stderr)
    _process.end(2)


def _reject(rest: Sequence[str]) -> None:
    """Raises UserError for the first argument that no flag took."""
    for argument in rest:
        name = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-"):
            raise UserError(unknown_flag(name))
        raise UserError(f"argument {argument!r} is not a flag; write --name=value.")


def unknown_flag(name: str) -> str:
    """The message about an unknown flag: whose flag it is, or the nearest one."""
    ours = [n for names in sections().values() for n in names]
    text = parts.unknown(name, ours, parts.every() if "trainer" in FLAGS else {})
    return f"{text} --help lists all flags of this experiment."


class _Parser(flags.ArgumentParser):
    """Reads a flag's text as its option does."""

    def __init__(self, option: options.Option) -> None:
        self.option = option

    def parse(self, argument: Any) -> Any:
        """The value of a text; absl passes default values too, which stay as they are."""
        return self.option.read(argument) if isinstance(argument, str) else argument


class _Serializer(flags.ArgumentSerializer):
    """Writes a flag's value."""

    def serialize(self, value: Any) -> str:
        """A value as text."""
        return options.write(value)


def define(option: options.Option, section: str, name: str = "") -> None:
    """Defines an option's flag. A flag of that name that is defined already stays as it is.

    Args:
        option: an option of a function or class.
        section: section of --help that lists it.
        name: name of the flag; the option's by default.

    Raises:
        UserError: a library's flag has the name.
    """
    name = name or option.name
    if name in FLAGS:
        if name not in (n for names in sections().values() for n in names):
            raise UserError(f"option {name!r} is a flag already; give it another name.")
        return
    flag: flags.Flag[Any] = flags.Flag(
        _Parser(option),
        _Serializer(),
        name,
        option.default,
        option.about,
        boolean=bool in option.types,  # --conditional alone is true, --noconditional false.
    )
    flags.DEFINE_flag(flag, module_name=section)


def define_parts(
    argv: Sequence[str], *roots: Callable[..., Any], over: Mapping[str, str] | None = None
) -> None:
    """Defines the flags of the roots' options, of the parts that these name, and so on.

    Args:
        argv: the command line.
        roots: functions or classes; see `parts.levels`.
        over: flag -> text that counts instead of the command line's.
    """
    for depth, level in enumerate(parts.levels(_Values(over or {}), roots)):
        for part in level:
            section = part.kind or (
                "Run" if depth or part.function is not roots[0] else "Experiment"
            )
            for flag, option in part.options.items():
                define(option, section.replace("_", " ").capitalize(), flag)
        FLAGS.unparse_flags()
        FLAGS(argv, known_only=True)


class _Values(Mapping[str, Any]):
    """The values of our flags that are defined so far, and others that count instead."""

    def __init__(self, over: Mapping[str, str]) -> None:
        self._over = over

    def __getitem__(self, name: str) -> Any:
        return self._over[name] if name in self._over else FLAGS[name].value

    def __iter__(self) -> Iterator[str]:
        names = (name for names in sections().values() for name in names)
        return iter(dict.fromkeys([*names, *self._over]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def sections() -> Mapping[str, list[str]]:
    """Our flags' names by section."""
    by_module = FLAGS.flags_by_module_dict()
    return {
        module: [flag.name for flag in of_module]
        for module, of_module in by_module.items()
        if "absl" not in module and "." not in module and module[:1].isupper()
    }


def help_text(main: Callable[..., Any]) -> str:
    """The script's --help: its work, its flags with their values, and the names they take."""
    module = sys.modules[main.__module__]
    lines = [_typed.as_typed(inspect.getdoc(module) or ""), ""]
    for section, names in sections().items():
        lines.append(f"{section}:")
        for name in names:
            flag = FLAGS[name]
            lines += _entry(f"--{name}={options.write(flag.value)}", flag.help or "")
        lines.append("")
    for kind in registry.KINDS:
        named = [n for names in sections().values() for n in names if _names_a(kind, n)]
        if named and registry.names(kind):
            lines.append(f"Names for --{named[0]} (or an import path, package.module:attribute):")
            for name, part in registry.entries(kind).items():
                spelling = ":".join([name, *(a.upper() for a in registry.arguments(part))])
                lines += _entry(spelling, _brief(registry.about(kind, name)))
            lines.append("")
    lines.append("Also: --flagfile=FILE reads flags from a file, or from a recipe by its name;")
    lines.append("--verbosity sets the log level; TF_CPP_MIN_LOG_LEVEL=0 TensorFlow's own.")
    return "\n".join(lines)


def _names_a(kind: str, flag: str) -> bool:
    """Whether a flag names parts of a kind."""
    return flag == kind or flag.endswith(f"_{kind}")


def _brief(text: str) -> str:
    """A text that fits one line of --help: as many of its clauses as do, or else words."""
    heads = [text[: match.start()] for match in re.finditer("[:;] ", text[:_WIDTH])]
    whole = [head for head in heads if head.count("(") == head.count(")")]
    if len(text) > _WIDTH and whole:
        return f"{whole[-1]}."
    return textwrap.shorten(text, _WIDTH, placeholder=" ...")


def _entry(head: str, text: str) -> list[str]:
    """Lines of --help: a flag or name, and its text beside or below it."""
    about, head = textwrap.wrap(text, _WIDTH) or [""], f"  {head}"
    first = [f"{head:30}{about.pop(0)}"] if len(head) < 30 else [head]
    return [*first, *(f"{'':30}{line}" for line in about)]
