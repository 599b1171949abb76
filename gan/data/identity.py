"""What tells one data set from another: kept with a run, so that a resumed run notices changes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan.data.spec import Spec
from gan.errors import printable

# Of more files than this only the fingerprint is recorded, and not each name.
_MOST_FILES = 100_000
# Fields of a spec that must not change, beside those in `facts`.
_KIND = ("domains", "paired", "channel_classes")
# Names that a message holds.
_FEW = 3


@dataclass(frozen=True)
class Identity:
    """A data set's facts and fingerprint; its path is not part of it, so a copy is equal.

    Attributes:
        spec: the facts.
        fingerprint: of the files' names and sizes, or of the content; "" where there is none.
        files: name below the data set's folder -> bytes; None where there are none, or too many
            to record.
    """

    spec: Spec
    fingerprint: str = ""
    files: Mapping[str, int] | None = None

    @classmethod
    def of_files(cls, spec: Spec, files: Mapping[str, int]) -> Identity:
        """An identity by names and sizes: cheap, and equal for copies, unlike change times."""
        digest = hashlib.sha256()
        for name, size in sorted(files.items()):
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
        return cls(spec, digest.hexdigest(), files)

    def record(self) -> dict[str, Any]:
        """The identity as a dict ready for JSON."""
        few = self.files if self.files is not None and len(self.files) <= _MOST_FILES else None
        spec = dataclasses.asdict(self.spec)
        return {"spec": spec, "fingerprint": self.fingerprint, "files": few and dict(few)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Identity:
        """The identity from what `record` returned.

        Raises:
            ValueError, TypeError, KeyError: the record is not one.
        """
        known = {field.name for field in dataclasses.fields(Spec)}
        spec: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in dict(record["spec"]).items()
            if name in known
        }
        files = record["files"]
        return cls(
            Spec(**spec),
            str(record["fingerprint"]),
            None if files is None else {name: int(size) for name, size in files.items()},
        )

    def changes(self, now: Identity) -> str:
        """What differs in the data as it is now, as a sentence; "" if nothing does."""
        details = [*_classes(self.spec, now.spec), *self._files(now)]
        before, after = facts(self.spec), facts(now.spec)
        if before != after:
            head = f"held {before} when the run began, and now {after}"
        elif details or any(getattr(self.spec, n) != getattr(now.spec, n) for n in _KIND):
            head = "is not what it was when the run began"
        else:
            return ""
        return printable(f"{now.spec.name} {': '.join(filter(None, (head, '; '.join(details))))}")

    def _files(self, now: Identity) -> list[str]:
        if not self.fingerprint or not now.fingerprint or self.fingerprint == now.fingerprint:
            return []
        if self.files is None or now.files is None:
            return ["its content is another"]
        # The files of a class that has another name are not all gone and new.
        renamed = dict(_renamed(self.spec, now.spec))
        before = {}
        for name, size in self.files.items():
            folder, slash, rest = name.partition("/")
            before[f"{renamed.get(folder, folder)}{slash}{rest}"] = size
        after = now.files
        differences = {
            "gone": sorted(before.keys() - after.keys()),
            "new": sorted(after.keys() - before.keys()),
            "of another size": sorted(n for n in before.keys() & after if before[n] != after[n]),
        }
        return [f"{what}: {some(names)}" for what, names in differences.items() if names]


def facts(spec: Spec) -> str:
    """Size, shape and classes of a data set, in words."""
    size = f"{spec.size:,} examples of shape {'x'.join(map(str, spec.shape))}"
    return f"{size} in {spec.num_classes:,} classes" if spec.num_classes else size


def _renamed(before: Spec, after: Spec) -> list[tuple[str, str]]:
    if len(before.class_names) != len(after.class_names):
        return []
    pairs = zip(before.class_names, after.class_names)
    return [(old, new) for old, new in pairs if old != new]


def _classes(before: Spec, after: Spec) -> list[str]:
    """What happened to the classes, by name."""
    old, new = before.class_names, after.class_names
    if len(old) == len(new):
        texts = [
            f"class {old.index(a)} was {a!r}, is now {b!r}" for a, b in _renamed(before, after)
        ]
        return [*texts[:_FEW], *([f"and {len(texts) - _FEW} more classes"] * (len(texts) > _FEW))]
    gone = [name for name in old if name not in new]
    come = [name for name in new if name not in old]
    return [f"{what}: {some(n)}" for what, n in (("classes gone", gone), ("new", come)) if n]


def some(names: Sequence[str]) -> str:
    """The first few of some names, for a message."""
    more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
    return f"{', '.join(names[:_FEW])}{more}"
