"""One generator's way to files on a device, in a folder that a stopped compression goes on in."""

import gzip
import json
from pathlib import Path
from typing import Any

import keras
from absl import flags

from gan.compression import calibration, export, placement, report
from gan.compression.runner import latency_ms
from gan.compression.variants import Student, Variant
from gan.files import write_json, write_whole
from gan.metrics.evaluation import Evaluator
from scripts import _students, experiment

FLAGS = flags.FLAGS


class Compression:
    """One generator, its students and their files, in a folder that a stopped one goes on in."""

    def __init__(self, run: experiment.Experiment, out: Path, evaluator: Evaluator) -> None:
        """Keeps what is needed.

        Args:
            run: restored.
            out: the folder.
            evaluator: judges every file.
        """
        self.run, self.out, self.evaluator = run, out, evaluator
        self.generator = run.trainer.inference()
        self.students: dict[Student, keras.Model] = {Student(): self.generator}
        self._whole: dict[Student, bytes] = {}
        self.made: list[Variant] = []
        self.files: dict[str, Path] = {}
        self.judged: list[dict[str, Any]] = []

    def make(self, variant: Variant) -> dict[str, Any]:
        """Trains, exports and judges a variant, as far as that is not done: its figures."""
        if variant.name not in self.files:
            self.files[variant.name] = self.file(variant)
            self.made.append(variant)
            self.judged.append(self._judge(variant.name, self.files[variant.name]))
        return next(v for v in self.judged if v["name"] == variant.name)

    def file(self, variant: Variant) -> Path:
        """A variant's file, exported if it is not there."""
        path = self.out / f"{variant.name}.tflite"
        if not path.is_file():
            self._export(variant, path)
        return path

    def measure(self, student: Student) -> tuple[float, float]:
        """What a student's int8 file will cost, see `cost`, whatever it will have learnt."""
        path = self.out / ".untrained.tflite"
        write_whole(path, self._content(_students.cut(self.generator, student), "int8"))
        kb, milliseconds = self.cost(path)
        path.unlink()
        print(f"{student.name or 'int8'}: {kb:.1f} kB gzipped, {milliseconds:.3f} ms.", flush=True)
        return kb, milliseconds

    @staticmethod
    def cost(path: Path) -> tuple[float, float]:
        """A file's kB when gzipped, and milliseconds."""
        return len(gzip.compress(path.read_bytes(), 9, mtime=0)) / 1000, latency_ms(path)

    def representative(self, generator: keras.Model) -> calibration.Representative:
        """What sets int8's ranges: not the z that files are judged on."""
        return calibration.representative(
            generator, count=FLAGS.calibration, seed=FLAGS.seed + 1, source=self.run.source
        )

    def _student(self, student: Student) -> keras.Model:
        if student not in self.students:
            print(f"{student.name} learns for {FLAGS.finetune_kimg:g} kimg.", flush=True)
            folder = self.out / "students" / student.name
            self.students[student] = _students.trained(self.run, student, folder)
        return self.students[student]

    def _float32(self, student: Student) -> bytes:
        """A student's float32 file, which its others must not outgrow: converted once for all."""
        if student not in self._whole:
            self._whole[student] = self._content(self._student(student), "float32")
        return self._whole[student]

    def _content(self, generator: keras.Model, precision: str) -> bytes:
        int8 = precision == "int8"
        return export.to_tflite(
            generator,
            precision=precision,
            data=self.representative(generator),
            keep_float=FLAGS.keep_float if int8 else (),
            quantizer=FLAGS.quantizer if int8 else "converter",
        )

    def _export(self, variant: Variant, path: Path) -> None:
        content = whole = self._float32(variant.student)
        if variant.precision != "float32":
            content = self._content(self._student(variant.student), variant.precision)
            export.check_growth(variant.name, content, whole)
        temporary = self.out / ".unproved" / path.name  # its own name, for messages
        write_whole(temporary, content)
        placement.require_one_partition(temporary)
        temporary.replace(path)
        print(f"Wrote {path}, {len(content):,} bytes.", flush=True)

    def _judge(self, name: str, path: Path) -> dict[str, Any]:
        """The figures of a file; from `judged/` where they are of this very file."""
        kept = self.out / "judged" / f"{name}.json"
        identity = report.identity(path)
        if kept.is_file():
            record = json.loads(kept.read_text())
            if record["sha256"] == identity:
                return dict(record["figures"])
        print(f"Judging {path.name}.", flush=True)
        reference = None if name == "float32" else self.files["float32"]
        figures = report.judge(name, path, self.evaluator, reference=reference)
        write_json(kept, {"sha256": identity, "figures": figures})
        return figures

    def keras_figures(self) -> dict[str, Any]:
        """The metrics of the Keras generator that float32 was exported from."""
        kept = self.out / "judged" / "keras.json"
        if not kept.is_file():
            write_json(kept, report.judge_keras(self.generator, self.evaluator))
        return dict(json.loads(kept.read_text()))
