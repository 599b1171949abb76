"""Writing files that others read: whole or not at all, whenever the machine dies."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def cache_dir() -> Path:
    """Where what can be made again is kept: $TAPESTRY_CACHE, or tapestry in the user's cache."""
    own = os.environ.get("TAPESTRY_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapestry"


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file in one replace; missing folders are made.

    Args:
        path: where to; what is there already stays until the new content is on the disk.
        data: the content.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside it: a replace is atomic within one file system only.
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            # Without it, a crash may leave the new name on content that never reached the disk.
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Writes a record as indented JSON, whole; a number that is not finite becomes null.

    Args:
        path: where to.
        record: of dicts, lists, strings, numbers and None.
    """
    text = json.dumps(_finite(record), indent=2, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def _finite(value: Any) -> Any:
    """JSON has no NaN, and readers other than Python's refuse a file that holds one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
