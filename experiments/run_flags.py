"""The values that make an experiment: completed, and read back from a run's flags.txt.

From these a run can be resumed, judged and repeated from its folder alone.
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

# Whose options the flags of a training run are.
ROOTS = (Names, RunOptions)


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of an experiment: the value it is given or its default.

    Args:
        values: option -> value, as text or not.

    Raises:
        UserError: an option that there is not, or a value that stands for none of its type.
    """
    found = parts.find(values, ROOTS)
    known = {flag: option for part in found for flag, option in part.options.items()}
    for name in values:
        if name not in known:
            raise UserError(parts.unknown(name, known, parts.every()))
    return {
        name: parts.read(name, option, values[name]) if name in values else option.default
        for name, option in known.items()
    }


def absolute(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with all paths made absolute: so a run's folder can be used from anywhere."""
    names = places.paths(parts.find(values, ROOTS))
    return {name: places.absolute(name, value, names) for name, value in values.items()}


def read(
    workdir: str | os.PathLike[str], *, dataset: str | None = None, trust_code: bool = False
) -> dict[str, Any]:
    """The typed values of a run's `flags.txt`.

    Args:
        workdir: of the run.
        dataset: the same data in another place, if it was moved.
        trust_code: import what its flags name outside of the project.

    Raises:
        UserError: not a run's folder, or it names such code and isn't trusted.
    """
    # Callbacks are of training alone: nobody else has to trust them.
    texts = {n: text for n, text in flag_texts(workdir).items() if n != "callbacks"}
    admit_code(Path(workdir), texts, trust=trust_code)
    values: dict[str, Any] = dict(texts)
    found = parts.find(texts)
    known = [*options.of(RunOptions).items(), *(o for part in found for o in part.options.items())]
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
    found: Sequence[parts.Part] | None = None,
    *,
    flag: str = "workdir",
) -> None:
    """Refuses to resume a run with other options than it was started with.

    Args:
        workdir: with the run's `flags.txt`, if it was started.
        values: of now.
        found: the parts whose options they are, which say what may differ; a training run's by
            default.
        flag: that names the folder.

    Raises:
        UserError: names the first flag that differs.
    """
    if not Workdir(workdir).flags.is_file():
        return
    before = flag_texts(workdir)
    found = parts.find(values, ROOTS) if found is None else found
    names = places.paths(found)
    free = {name for part in found for name, option in part.options.items() if option.free}
    for name, value in sorted(values.items()):
        if name in free or name not in before:
            continue
        then, now = (options.write(places.absolute(name, v, names)) for v in (before[name], value))
        if then != now and not places.moved(name, then, now, workdir, names):
            raise UserError(
                f"--{name}={options.write(value)} differs from --{name}={before[name]}, with which "
                f"the run in {str(workdir)!r} was started; take that value or another --{flag}."
            )
