"""The options of an experiment: completed with defaults, and read back from a run's flags.txt.

With these a run can be resumed, evaluated and repeated from its folder alone.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import parts, places
from experiments.settings import Names, RunOptions
from gan import options
from gan.data import absolute as absolute_name
from gan.data import same_but_place
from gan.errors import UserError
from trainers.workdir.code import admit_code
from trainers.workdir.flags import flag_texts
from trainers.workdir.paths import Workdir

# The classes whose options are flags of every training run.
ROOTS = (Names, RunOptions)


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of an experiment: the given value or its default.

    Args:
        values: option -> value, as text or not.

    Raises:
        UserError: there is no such option, or a value does not fit its type.
    """
    named = parts.find(values, ROOTS)
    known = {flag: option for part in named for flag, option in part.options.items()}
    for name in values:
        if name not in known:
            raise UserError(parts.unknown(name, known, parts.every()))
    return {
        name: parts.read(name, option, values[name]) if name in values else option.default
        for name, option in known.items()
    }


def absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with all paths made absolute, so that a run can be used from any directory."""
    names = places.paths(parts.find(values, ROOTS))
    return {name: places.absolute(name, value, names) for name, value in values.items()}


def read(
    workdir: str | os.PathLike[str], *, dataset: str | None = None, trust_code: bool = False
) -> dict[str, Any]:
    """The typed values of a run's `flags.txt`.

    Args:
        workdir: the run's folder.
        dataset: where the run's data is now, if it was moved.
        trust_code: import code outside of the project that its flags name.

    Raises:
        UserError: the folder is no run's, or its flags name such code and it isn't trusted.
    """
    # Callbacks are used in training only: nobody else has to trust their code.
    texts = {n: text for n, text in flag_texts(workdir).items() if n != "callbacks"}
    admit_code(Path(workdir), texts, trust=trust_code)
    values: dict[str, Any] = dict(texts)
    named = parts.find(texts)
    known = [*options.of(RunOptions).items(), *(o for part in named for o in part.options.items())]
    for flag, option in known:
        if flag in texts:
            values[flag] = parts.read(flag, option, texts[flag])
    if dataset and not same_but_place(values["dataset"], dataset):
        raise UserError(
            f"--dataset={dataset!r}: the run's is {values['dataset']!r}; say where that is now."
        )
    return values | ({"dataset": absolute_name(dataset)} if dataset else {})


def check_resumable(
    workdir: Path,
    values: Mapping[str, Any],
    named: Sequence[parts.Part] | None = None,
    *,
    flag: str = "workdir",
) -> None:
    """Refuses to resume a run with other options than it was started with.

    Args:
        workdir: the run's folder; nothing is refused if it holds no `flags.txt`.
        values: the options of now.
        named: the parts that the options belong to, which say what may differ; None finds those
            of a training run.
        flag: the flag that names the folder.

    Raises:
        UserError: an option differs; the first one is named.
    """
    if not Workdir(workdir).flags.is_file():
        return
    before = flag_texts(workdir)
    named = parts.find(values, ROOTS) if named is None else named
    names = places.paths(named)
    free = {name for part in named for name, option in part.options.items() if option.free}
    for name, value in sorted(values.items()):
        if name in free or name not in before:
            continue
        old, new = (options.write(places.absolute(name, v, names)) for v in (before[name], value))
        if old != new and not places.moved(name, old, new, workdir, names):
            raise UserError(
                f"--{name}={options.write(value)} differs from --{name}={before[name]}, with which "
                f"the run in {str(workdir)!r} was started; take that value or another --{flag}."
            )
