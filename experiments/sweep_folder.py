"""The folder of a sweep: the names of its runs, the record of them, and which are finished.

A run is an ordinary one, in a folder named by its values. `sweep.json` lists the runs with the
values that were varied; all other values are in their flags.txt.
"""

import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from gan import files
from gan.errors import UserError
from trainers.progress import whole_images
from trainers.workdir.flags import flag_texts
from trainers.workdir.log import read_log
from trainers.workdir.paths import Workdir

RECORD = "sweep.json"
_LONGEST = 200  # bytes of a folder's name


def title(values: Mapping[str, str]) -> str:
    """Values as they are printed: `r1_gamma=0.1, penalty=r1`."""
    return ", ".join(f"{name}={text}" for name, text in values.items())


def folder_name(values: Mapping[str, str]) -> str:
    """A folder's name: the values, with what no name may hold as %2F, no two alike."""
    name = urllib.parse.quote(",".join(f"{n}={t}" for n, t in values.items()), safe="=,:+ ")
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def recorded(out: Path) -> dict[str, dict[str, str]]:
    """The runs of a sweep's folder: name -> varied flag -> text; {} of a new one.

    Raises:
        UserError: the record cannot be read.
    """
    path = out / RECORD
    try:
        runs = json.loads(path.read_text())["runs"]
        return {str(name): {str(n): str(t) for n, t in runs[name].items()} for name in runs}
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}); remove it, and repeat the sweep's "
            "command: runs that are there are found by their names."
        ) from None


def record(out: Path, runs: Mapping[str, Mapping[str, str]]) -> None:
    """Adds runs to those of a sweep's folder.

    Args:
        out: the folder.
        runs: name -> varied flag -> text; a run that is there gets the flags it has not.
    """
    before = recorded(out)
    merged = before | {name: {**before.get(name, {}), **values} for name, values in runs.items()}
    if merged != before:
        files.write_json(out / RECORD, {"runs": merged})


def begun(folder: Path) -> bool:
    """Whether a run has begun to train in a folder."""
    return Workdir(folder).flags.is_file()


def finished(folder: Path, total_kimg: float | None = None) -> bool:
    """Whether a run has ended as it should, so that its command would train no more.

    Args:
        folder: the run's.
        total_kimg: thousands of images that it is to see; None takes what its flags.txt says.
    """
    generators = [path.stat().st_mtime_ns for path in folder.glob("*.keras")]
    if not generators or not begun(folder):
        return False
    before = float(flag_texts(folder)["total_kimg"])
    total = before if total_kimg is None else total_kimg
    images = max((event.images for event in read_log(Workdir(folder).metrics).events), default=0)
    # A callback may have ended it earlier: the generator was saved behind the last start.
    by_callback = total <= before and max(generators) > Workdir(folder).flags.stat().st_mtime_ns
    return images >= whole_images(total) or by_callback
