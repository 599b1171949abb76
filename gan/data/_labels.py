"""A file that says which classes the images of a folder have: labels.csv or labels.json."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gan.data._listing import SUFFIXES
from gan.data.identity import some
from gan.data.spec import JOINT, NO_CLASS
from gan.errors import UserError

NAMES = ("labels.csv", "labels.json")


class Labels:
    """The classes of image files, as a file in their folder or above it says them.

    Args:
        file: labels.csv or labels.json; the images' names are relative to its folder.
        name: of the data set, for messages.

    Raises:
        UserError: it cannot be read, or is not what is expected.
    """

    def __init__(self, file: pathlib.Path, name: str) -> None:
        self.file, self._name = file, name
        try:
            text = file.read_text(encoding="utf-8-sig")
            rows = _csv(text) if file.suffix == ".csv" else _json(text)
        except (OSError, ValueError, TypeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{name}: {file} cannot be read as labels ({reason}).") from error
        self._of = {image: self._joined(image, classes) for image, classes in rows.items()}
        # Whether any image has several classes, or none.
        self.combined = any(JOINT in c or c == NO_CLASS for c in self._of.values())

    @classmethod
    def find(cls, folders: Sequence[pathlib.Path], name: str) -> Labels | None:
        """The labels in the first of these folders that has some; None if none has.

        Raises:
            UserError: a folder has two such files; see also `Labels`.
        """
        for folder in folders:
            found = [folder / each for each in NAMES if (folder / each).is_file()]
            if len(found) > 1:
                raise UserError(f"{name}: {folder} has {' and '.join(NAMES)}: keep one.")
            if found:
                return cls(found[0], name)
        return None

    def __call__(self, files: Sequence[pathlib.Path]) -> tuple[np.ndarray, tuple[str, ...]]:
        """Labels int32 (N,) of image files, and the names of all classes that these have.

        Raises:
            UserError: the file does not name one of them.
        """
        names = [file.relative_to(self.file.parent).as_posix() for file in files]
        lacking = [name for name in names if name not in self._of]
        if lacking:
            raise UserError(
                f"{self._name}: {self.file} has no line for {some(lacking)}. (If it is something "
                "else than labels, rename it.)"
            )
        of = [self._of[name] for name in names]
        classes = sorted(set(of))
        if all(c.isascii() and c.isdigit() for c in classes):
            classes.sort(key=int)
        number = {name: i for i, name in enumerate(classes)}
        return np.array([number[c] for c in of], np.int32), tuple(classes)

    def _joined(self, image: str, classes: Sequence[str]) -> str:
        kept = sorted({c.strip() for c in classes} - {""})
        if bad := [c for c in kept if JOINT in c]:
            raise UserError(
                f"{self._name}: {self.file}: the class {bad[0]!r} of {image} has a {JOINT}, which "
                "joins the classes of an image that has several."
            )
        return JOINT.join(kept) or NO_CLASS


def _csv(text: str) -> dict[str, Sequence[str]]:
    """Lines of a file's name and its classes; a first line that names no image is a header."""
    rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    if rows and not rows[0][0].lower().endswith(SUFFIXES):
        rows = rows[1:]
    return _once([(row[0], row[1:]) for row in rows])


def _json(text: str) -> dict[str, Sequence[str]]:
    """An object of file names; a value is a class or a list of classes, as texts or numbers."""
    pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise ValueError("expected an object, file name: class or list of classes")
    return _once([(name, _texts(name, value)) for name, value in pairs])


def _texts(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(type(v) in (str, int) for v in values):
        raise ValueError(f"{name}: expected a class or a list of classes")
    return [str(v) for v in values]


def _once(rows: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for name, classes in rows:
        if name in found:
            raise ValueError(f"{name} comes twice")
        found[name] = classes
    return found
