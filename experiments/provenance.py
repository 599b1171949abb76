"""Where figures come from: date, command, machine and versions."""

import datetime
import hashlib
import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

# Environment variables that change how numbers are rounded.
_SWITCHES = (
    "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
)  # fmt: skip
# Libraries that figures depend on; those that are not installed are left out.
_LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "pillow", "ai-edge-litert")


def made() -> dict[str, Any]:
    """Date (UTC, ISO 8601), command line, machine and library versions, ready for JSON."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.isoformat(timespec="seconds"),
        "command": command(),
        "machine": machine(),
        "versions": versions(),
    }


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def command() -> str:
    """The command line, to be typed again."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", spec.name] if spec else [sys.argv[0]]
    return shlex.join(["python", *program, *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """CPU, how many of its cores this process may use, and the operating system."""
    able = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu(),
        "cores": len(able(0)) if able else os.cpu_count(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def arithmetic() -> dict[str, Any]:
    """What rounding may depend on beside the CPU: threads, accelerators, switches."""
    import tensorflow as tf

    threading = tf.config.threading
    facts: dict[str, Any] = {
        "threads": threading.get_intra_op_parallelism_threads() or "one per core",
        "threads_between_ops": threading.get_inter_op_parallelism_threads() or "one per core",
    }
    devices = tf.config.list_physical_devices()
    details = [tf.config.experimental.get_device_details(d) | {"kind": d.device_type}
               for d in devices if d.device_type != "CPU"]  # fmt: skip
    if details:
        facts["accelerators"] = [str(d.get("device_name", d["kind"])) for d in details]
    return facts | {name: os.environ[name] for name in _SWITCHES if name in os.environ}


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that figures depend on."""
    texts = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            texts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return texts


def _cpu() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
