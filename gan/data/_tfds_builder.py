"""Builders of tensorflow-datasets: of data prepared on disk, or downloaded now."""

from __future__ import annotations

import difflib
import functools
import threading
import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

from gan.errors import UserError

_PROBE_SECONDS = 15.0


@functools.cache
def library() -> Any:
    """tensorflow-datasets, imported where it is needed."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(f"tfds: needs tensorflow-datasets ({error}).") from error
    return tensorflow_datasets


def _line(error: BaseException) -> str:
    """The first line of an error, of which tensorflow-datasets writes many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def local(name: str, data_dir: str | None) -> Any:
    """A builder of the prepared data set on disk, or None; the network is left alone."""
    library()
    from tensorflow_datasets.core import read_only_builder, registered

    where = {"data_dir": data_dir} if data_dir else {}
    try:
        return read_only_builder.builder_from_files(name, **where)
    except registered.DatasetNotFoundError:
        return None
    except Exception as error:
        raise UserError(f"tfds:{name}: {_line(error)}") from error


def fetched(name: str, data_dir: str | None, download: bool) -> Any:
    """A builder whose data was downloaded and prepared just now."""
    tfds = library()
    from tensorflow_datasets.core import registered

    try:
        where = {"data_dir": data_dir} if data_dir else {}
        builder = tfds.builder(name, try_gcs=False, **where)
    except registered.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(name.split("/")[0].split(":")[0], known, n=1)
        guess = f" Did you mean 'tfds:{near[0]}'?" if near else ""
        place = data_dir or "$TFDS_DATA_DIR or ~/tensorflow_datasets"
        raise UserError(
            f"tfds:{name}: tensorflow-datasets knows no such data set, and none is prepared in "
            f"{place}.{guess}"
        ) from None
    except Exception as error:
        raise UserError(f"tfds:{name}: {_line(error)}{_configs(name)}") from error
    remedy = (
        f"Run `tfds build {name}` where there is a connection and put the result into "
        f"{builder.data_dir}, or name its folder by --data_dir."
    )
    if not download:
        raise UserError(f"tfds:{name}: not prepared in {builder.data_dir}. {remedy}")
    problem = unreachable(builder.url_infos or ())
    if problem:
        raise UserError(f"tfds:{name}: not prepared on disk and no download: {problem}. {remedy}")
    try:
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        raise UserError(f"tfds:{name}: cannot be prepared: {_line(error)} {remedy}") from error
    return builder


def _configs(name: str) -> str:
    """Which configurations a data set has, where a name asked for one."""
    base, slash, config = name.split(":")[0].partition("/")
    try:
        known = list(library().builder_cls(base).builder_configs) if slash else []
    except Exception:
        return ""
    near = difflib.get_close_matches(config, known, n=1)
    listing = f" It has {', '.join(known)}." if 0 < len(known) <= 24 else ""
    return f" Did you mean 'tfds:{base}/{near[0]}'?" if near else listing


def unreachable(urls: Iterable[str]) -> str:
    """What is wrong with the first host that does not answer in time, or an empty string.

    The library itself retries for minutes. One address per host is asked for, all at once, in
    threads that are left behind: looking up a name cannot be given a time limit.
    """
    import requests

    hosts = {urllib.parse.urlsplit(url).netloc: url for url in urls if url.startswith("http")}
    answers: dict[str, str] = {}

    def ask(host: str, url: str) -> None:
        try:
            with requests.get(url, stream=True, timeout=(5, 10)) as reply:
                answers[host] = "" if reply.ok else f"{host} answers {reply.status_code}"
        except Exception as error:
            answers[host] = f"{host} does not answer ({type(error).__name__})"

    threads = [
        threading.Thread(target=ask, args=item, daemon=True) for item in list(hosts.items())[:8]
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for thread, host in zip(threads, hosts):
        thread.join(max(0.0, deadline - time.monotonic()))
        problem = answers.get(host, f"{host} does not answer in {_PROBE_SECONDS:.0f} s")
        if problem:
            return problem
    return ""
