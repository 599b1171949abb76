"""A generator, its students and their files, in a folder in which a compression can go on."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from absl import logging

from experiments import experiment, provenance, students
from experiments.settings import CompressOptions
from gan.compression.device import isolated, placement
from gan.compression.device.runner import latency_ms
from gan.compression.files import calibration, export
from gan.compression.report import report
from gan.compression.report.folder import DeviceFolder
from gan.compression.students.variants import Student, Variant
from gan.data.identity import facts
from gan.errors import UserError
from gan.files import to_json, write_json, write_whole
from gan.generators import weights_sha256
from gan.metrics.evaluation import Evaluator
from trainers.workdir.data import recorded
from trainers.workdir.starts import read_starts


class Compression:
    """Makes and evaluates the files of a generator and its students, each of them once."""

    def __init__(
        self, run: experiment.Experiment, options: CompressOptions, evaluator: Evaluator
    ) -> None:
        """Reads nothing and writes nothing yet.

        Args:
            run: the restored run.
            options: what to make, and how.
            evaluator: evaluates every file.
        """
        assert options.workdir and options.out
        self.run, self.options, self.evaluator = run, options, evaluator
        self.out = Path(options.out)
        self.folder = DeviceFolder(options.out)
        self._run_name = Path(options.workdir).resolve().name
        self.generator = run.trainer.inference()
        self.identity = weights_sha256(self.generator)
        self._protocol = evaluator.protocol
        self.students: dict[Student, keras.Model] = {Student(): self.generator}
        self._float32_files: dict[Student, bytes] = {}
        self.made: list[Variant] = []
        self.files: dict[str, Path] = {}
        self.judged: list[dict[str, Any]] = []

    def about(self) -> dict[str, Any]:
        """The report's note of where its figures come from: run, step, machine and versions."""
        trainer = self.run.trainer
        run = {
            "run": self._run_name,
            "step": trainer.step,
            "images": trainer.images,
            "ema": bool(trainer.ema),
            "generator_sha256": self.identity,
        }
        return run | provenance.made()

    def training(self) -> dict[str, Any]:
        """What the generator was trained with and on, for the files' model cards."""
        values, spec = self.run.values, self.run.source.spec
        starts, _ = read_starts(self.options.workdir or "")
        identity = recorded(self.options.workdir or "")
        networks = next((s.networks for s in reversed(starts) if s.networks), {})
        return {
            "command": next((s.command for s in reversed(starts) if s.command), ""),
            "facts": {
                "trainer": values.get("trainer", ""),
                "architecture": values.get("architecture", ""),
                "parameters in training": networks,
            },
            "student_kimg": self.options.finetune_kimg,
            "data": {
                "data set": spec.name,
                "licence": spec.licence or "not known",
                "split": values.get("split", ""),
                "examples and classes": facts(spec),
                "digest": identity.fingerprint if identity else "",
            },
        }

    def source(self) -> dict[str, Any]:
        """Run, step and weights of the generator, for the files' metadata."""
        run = {"run": self._run_name, "weights_sha256": self.identity}
        return run | self.run.trainer.about()

    def begin(self) -> None:
        """Marks the folder as this generator's.

        Raises:
            UserError: it holds files of another generator.
        """
        mark = self.folder.identity
        if mark.is_file() and mark.read_text(errors="replace").strip() != self.identity:
            raise UserError(
                f"--out={str(self.out)!r} holds files of another generator: the run was trained "
                "anew since they were made; take another --out."
            )
        write_whole(mark, f"{self.identity}\n".encode())

    @property
    def bound(self) -> bool:
        """Whether the folder holds anything that depends on the flags: students or int8 files."""
        free = {f"{name}.tflite" for name in export.PRECISIONS if name != "int8"}
        return self.folder.students.exists() or any(
            path.name not in free for path in self.folder.files()
        )

    def make(self, variant: Variant) -> dict[str, Any]:
        """Trains, exports and evaluates a variant, as far as that is not done; its figures."""
        if variant.name not in self.files:
            self.files[variant.name] = self.file(variant)
            self.made.append(variant)
            self.judged.append(self._judge(variant.name, self.files[variant.name]))
        return next(v for v in self.judged if v["name"] == variant.name)

    def file(self, variant: Variant) -> Path:
        """A variant's file, exported if it is not there."""
        path = self.folder.file(variant.name)
        if not path.is_file():
            self._export(variant, path)
        return path

    def measure(self, student: Student) -> tuple[float, float]:
        """`cost` of a student's int8 file, before the student is trained: it does not change."""
        path = self.out / ".cost.tflite"
        write_whole(
            path, self._content(students.sized(self.generator, student, self.options), "int8")
        )
        try:
            kb, milliseconds = self.cost(path)
        finally:
            path.unlink()
        print(f"{student.name or 'int8'}: {kb:.1f} kB gzipped, {milliseconds:.3f} ms.", flush=True)
        return kb, milliseconds

    @staticmethod
    def cost(path: Path) -> tuple[float, float]:
        """Size of a file in kB when gzipped, and its milliseconds per call."""
        return len(gzip.compress(path.read_bytes(), 9, mtime=0)) / 1000, latency_ms(path)

    def representative(self, generator: keras.Model) -> calibration.Representative:
        """Inputs that set int8's ranges: other z than those that files are evaluated on."""
        return calibration.representative(
            generator,
            count=self.options.calibration,
            seed=self.options.seed + 1,
            source=self.run.source,
        )

    def _student(self, student: Student) -> keras.Model:
        if student not in self.students:
            print(f"{student.name} learns for {self.options.finetune_kimg:g} kimg.", flush=True)
            folder = self.folder.students / student.name
            self.students[student] = students.trained(self.run, student, folder, self.options)
        return self.students[student]

    def _float32(self, student: Student) -> bytes:
        """A student's float32 file, which its other files must not outgrow; converted once."""
        if student not in self._float32_files:
            self._float32_files[student] = self._content(self._student(student), "float32")
        return self._float32_files[student]

    def _content(self, generator: keras.Model, precision: str) -> bytes:
        int8 = precision == "int8"
        return export.to_tflite(
            generator,
            precision=precision,
            data=self.representative(generator),
            keep_float=self.options.keep_float if int8 else (),
            quantizer=self.options.quantizer if int8 else "converter",
            about=self.source(),
        )

    def _export(self, variant: Variant, path: Path) -> None:
        content = float32 = self._float32(variant.student)
        if variant.precision != "float32":
            content = self._content(self._student(variant.student), variant.precision)
            export.check_growth(variant.name, content, float32)
        temporary = self.out / ".unproved" / path.name  # the file's name, for messages
        write_whole(temporary, content)
        try:
            isolated.try_out(temporary)
            placement.require_one_partition(temporary)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary.parent)
        print(f"Wrote {path}, {len(content):,} bytes.", flush=True)

    def _judge(self, name: str, path: Path) -> dict[str, Any]:
        """A file's figures."""
        reference = None if name == "float32" else self.files["float32"]

        def judge() -> dict[str, Any]:
            return report.judge(name, path, self.evaluator, reference=reference)

        return self._kept(path.name, name, report.identity(path), judge)

    def keras_figures(self) -> dict[str, Any]:
        """The metrics of the Keras generator that float32 was exported from."""

        def judge() -> dict[str, Any]:
            return report.judge_keras(self.generator, self.evaluator)

        return self._kept("the Keras generator", "keras", self.identity, judge)

    def _kept(
        self, what: str, name: str, sha256: str, judge: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Figures from `judged/` if their sha256, protocol and machine are these, else new ones."""
        path = self.folder.figures(name)
        machine = provenance.machine()
        # As JSON gives it back, to compare it with what is stored.
        key = json.loads(
            to_json(
                {
                    "sha256": sha256,
                    "protocol": self._protocol,
                    "machine": {"cpu": machine["cpu"], "cores": machine["cores"]},
                }
            )
        )
        why = ""
        try:
            record = json.loads(path.read_text())
            figures = dict(record["figures"])
            if record["figures_sha256"] != _digest(figures):
                raise ValueError("its figures have changed")
            if all(record.get(part) == value for part, value in key.items()):
                return figures
            differing = [part for part, value in key.items() if record.get(part) != value]
            why = f" again, since its {' and '.join(differing)} changed"
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            logging.warning("%s is damaged (%s); %s is evaluated again.", path, error, what)
        print(f"Judging {what}{why}.", flush=True)
        figures = judge()
        write_json(path, key | {"figures": figures, "figures_sha256": _digest(figures)})
        return figures


def _digest(figures: Mapping[str, Any]) -> str:
    return hashlib.sha256(to_json(figures).encode()).hexdigest()
