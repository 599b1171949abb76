"""The folders of checkpoints: whole or not there.

A checkpoint is a folder `step-0000001234/` with the trainer's variables (TensorFlow's format, every
tensor with its checksum), `state.json` and the checksum of that. It is written under another name
and renamed into place, so a folder with that name is complete. Saved once more at the same step it
becomes `step-0000001234.1/`, and only then the first one goes: there is no moment without.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NAME = re.compile(r"step-([0-9]{10})(?:\.([0-9]{1,6}))?")
_STATE, _CHECKSUM = "state.json", "state.sha256"


class Saves:
    """The checkpoints' folders of one run.

    Args:
        directory: that they are in; it may be missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _found(self) -> dict[int, list[Path]]:
        """The complete checkpoints by step, ascending; of each the latest save last."""
        found: dict[int, dict[int, Path]] = {}
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match and path.is_dir():
                found.setdefault(int(match[1]), {})[int(match[2] or 0)] = path
        return {step: [saves[n] for n in sorted(saves)] for step, saves in sorted(found.items())}

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return list(self._found())

    def path(self, step: int) -> Path:
        """Folder of one checkpoint, or what it would be called."""
        return self._found().get(step, [self.directory / _name(step)])[-1]

    def identity(self, step: int) -> tuple[str, int, int] | None:
        """Tells a checkpoint from another that took its place; None where it is gone."""
        path = self.path(step)
        try:
            found = path.stat()
        except OSError:
            return None
        return path.name, found.st_ino, found.st_mtime_ns

    def state(self, step: int) -> dict[str, Any]:
        """What `write_state` left of a checkpoint.

        Raises:
            OSError: it is not there.
            ValueError: it is damaged, and how.
        """
        path = self.path(step)
        content = (path / _STATE).read_bytes()
        if (path / _CHECKSUM).exists():  # Checkpoints were once written without.
            expected = (path / _CHECKSUM).read_text(errors="replace").split()[:1]
            if expected != [_sha256(content)]:
                raise ValueError(f"{_STATE} is not what {_CHECKSUM} was made of")
        host = json.loads(content)
        if not isinstance(host, dict):
            raise ValueError(f"{_STATE} holds a {type(host).__name__}")
        for name in ("step", "images", "seed", "epoch_steps"):
            if type(host.get(name)) is not int:
                raise ValueError(f"{_STATE}: {name} is {host.get(name)!r}")
        if host["step"] != step:
            raise ValueError(f"{_STATE} is that of step {host['step']}")
        sums = host.get("epoch_sums")
        if not isinstance(sums, dict) or not all(type(v) in (int, float) for v in sums.values()):
            raise ValueError(f"{_STATE}: epoch_sums is {sums!r}")
        return host

    @contextlib.contextmanager
    def writing(self, step: int, worker: str = "") -> Iterator[Path]:
        """A folder to write a checkpoint into, which is gone at the end unless it was kept.

        Args:
            step: of the checkpoint.
            worker: tells apart those who write at the same time.
        """
        temporary = self.directory / f".tmp-{worker}{_name(step)}"
        _remove(temporary)
        try:
            temporary.mkdir(parents=True)
            yield temporary
        finally:
            _remove(temporary)

    def keep(self, written: Path, step: int) -> Path:
        """Makes what was written the checkpoint of a step, in one rename; an earlier one goes."""
        for path in (*written.iterdir(), written):
            _sync(path)
        before, final = self._found().get(step, []), self._unused(step)
        os.replace(written, final)
        _sync(self.directory)
        for older in before:
            _drop(older)
        return final

    def drop(self, step: int) -> None:
        """Removes a checkpoint."""
        _drop(self.path(step))

    def tidy(self, step: int) -> None:
        """Removes what killed runs left half-written, or saved twice; `step` is being saved."""
        name = _name(step)
        for left in self.directory.glob(".tmp-*step-*"):
            # Another worker may be writing this very step.
            if left.name == f".tmp-{name}" or not left.name.endswith(name):
                _remove(left)
        for saves in self._found().values():
            for older in saves[:-1]:
                _drop(older)

    def _unused(self, step: int) -> Path:
        """The name of the next save at a step: behind all there, and behind what is no save."""
        saves = self._found().get(step, [])
        match = _NAME.fullmatch(saves[-1].name) if saves else None
        number = int(match[2] or 0) + 1 if match else 0
        while True:
            path = self.directory / (_name(step) + (f".{number}" if number else ""))
            if not os.path.lexists(path):
                return path
            number += 1


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes what a checkpoint holds beside its variables, with a checksum."""
    content = json.dumps(state).encode()
    (folder / _STATE).write_bytes(content)
    (folder / _CHECKSUM).write_text(f"{_sha256(content)}  {_STATE}\n")


def _name(step: int) -> str:
    return f"step-{step:010d}"


def _drop(path: Path) -> None:
    """A checkpoint loses its name before its files, or half of it would pass for a whole one."""
    gone = path.with_name(f".tmp-{path.name}-gone")
    _remove(gone)
    with contextlib.suppress(OSError):
        os.replace(path, gone)
    _remove(gone)


def _remove(path: Path) -> None:
    """Whatever it is, a stray file too; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    """Onto the disk, so that the rename does not come before the bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
