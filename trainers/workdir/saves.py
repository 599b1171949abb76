"""The folders of checkpoints, which are complete or missing.

A checkpoint is a folder `step-0000001234/` with the trainer's variables (TensorFlow's format, every
tensor with its checksum), `state.json` and its checksum. It is written under another name and then
renamed, so that a folder with such a name is complete. A second save at the same step becomes
`step-0000001234.1/` before the first one is deleted, so that there is always one of them.
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
    """The folders of one run's checkpoints.

    Args:
        directory: the folder that holds them; it may be missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _by_step(self) -> dict[int, list[Path]]:
        """The complete checkpoints by step, ascending; the latest save of a step last."""
        by_step: dict[int, dict[int, Path]] = {}
        for path in self.directory.iterdir() if self.directory.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match and path.is_dir():
                by_step.setdefault(int(match[1]), {})[int(match[2] or 0)] = path
        return {step: [saves[n] for n in sorted(saves)] for step, saves in sorted(by_step.items())}

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return list(self._by_step())

    def path(self, step: int) -> Path:
        """Folder of a checkpoint, whether it exists or not."""
        return self._by_step().get(step, [self.directory / _name(step)])[-1]

    def identity(self, step: int) -> tuple[str, int, int] | None:
        """Identity of a checkpoint's folder, which changes if it is replaced; None if missing."""
        path = self.path(step)
        try:
            stat = path.stat()
        except OSError:
            return None
        return path.name, stat.st_ino, stat.st_mtime_ns

    def state(self, step: int) -> dict[str, Any]:
        """The state of a checkpoint that `write_state` wrote.

        Raises:
            OSError: the checkpoint is missing.
            ValueError: it is damaged; the message says how.
        """
        path = self.path(step)
        content = (path / _STATE).read_bytes()
        if (path / _CHECKSUM).exists():  # Older checkpoints lack it.
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
        """A folder to write a checkpoint into, which is deleted at the end unless `keep` took it.

        Args:
            step: the checkpoint's step.
            worker: part of the folder's name, for workers that write at the same time.
        """
        temporary = self.directory / f".tmp-{worker}{_name(step)}"
        _remove(temporary)
        try:
            temporary.mkdir(parents=True)
            yield temporary
        finally:
            _remove(temporary)

    def keep(self, written: Path, step: int) -> Path:
        """Renames a written folder to the checkpoint of a step; deletes an earlier one."""
        for path in (*written.iterdir(), written):
            _sync(path)
        before, final = self._by_step().get(step, []), self._unused(step)
        os.replace(written, final)
        _sync(self.directory)
        for older in before:
            _drop(older)
        return final

    def drop(self, step: int) -> None:
        """Deletes a checkpoint."""
        _drop(self.path(step))

    def tidy(self, step: int) -> None:
        """Deletes folders that killed runs left half-written or twice; `step` is being saved."""
        name = _name(step)
        for left in self.directory.glob(".tmp-*step-*"):
            # Another worker may be writing this step.
            if left.name == f".tmp-{name}" or not left.name.endswith(name):
                _remove(left)
        for saves in self._by_step().values():
            for older in saves[:-1]:
                _drop(older)

    def _unused(self, step: int) -> Path:
        """The folder of the next save at a step, a name that is free."""
        saves = self._by_step().get(step, [])
        match = _NAME.fullmatch(saves[-1].name) if saves else None
        number = int(match[2] or 0) + 1 if match else 0
        while True:
            path = self.directory / (_name(step) + (f".{number}" if number else ""))
            if not os.path.lexists(path):
                return path
            number += 1


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes the part of a checkpoint that is no variables, with a checksum."""
    content = json.dumps(state).encode()
    (folder / _STATE).write_bytes(content)
    (folder / _CHECKSUM).write_text(f"{_sha256(content)}  {_STATE}\n")


def _name(step: int) -> str:
    return f"step-{step:010d}"


def _drop(path: Path) -> None:
    """Deletes a checkpoint; it is renamed first, since half of one must not look complete."""
    gone = path.with_name(f".tmp-{path.name}-gone")
    _remove(gone)
    with contextlib.suppress(OSError):
        os.replace(path, gone)
    _remove(gone)


def _remove(path: Path) -> None:
    """Deletes a folder or a file; if it cannot be deleted, it stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    """Writes a file or folder to the disk, so that a rename does not come before its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
