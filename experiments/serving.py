"""A page that draws the samples of an exported generator, by a server or as a folder.

The page (demo/web) runs the .tflite file in the browser, with LiteRT.js.
"""

import functools
import gzip
import hashlib
import ipaddress
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from experiments import page
from gan.errors import UserError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "[::1]")


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for item in header.lower().split(","):
        coding, _, parameter = item.partition(";")
        name, _, weight = parameter.strip().partition("=")
        try:
            weights[coding.strip()] = float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


@functools.lru_cache(maxsize=128)
def read(file: Path, changed_ns: int, packed: bool) -> bytes:
    """A file's content, compressed or not; cached until the file changes."""
    del changed_ns  # part of the cache's key
    content = file.read_bytes()
    return gzip.compress(content, mtime=0) if packed else content


class Handler(SimpleHTTPRequestHandler):
    """Serves the page's folder, and the content that is made in `memory` by path."""

    memory: Mapping[str, Callable[[], bytes]] = {}
    names: tuple[str, ...] = NAMES
    by_address = False  # whether requests to any of the machine's addresses are answered
    protocol_version = "HTTP/1.1"
    # Browsers refuse modules and wasm of another type, and the system's own table may lack these.
    extensions_map = {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".wasm": "application/wasm",
        ".tflite": "application/octet-stream",
        "": "application/octet-stream",
    }

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=os.fspath(page.PAGE))

    def end_headers(self) -> None:
        """Adds the headers that every answer has."""
        # A page isolated from other origins may use threads and a clock that counts microseconds.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        # Nothing from elsewhere: the page runs on a machine without a network.
        self.send_header(
            "Content-Security-Policy",
            "default-src 'self' data: 'unsafe-inline' 'wasm-unsafe-eval'",
        )
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def do_GET(self) -> None:
        """Answers with content from `memory`, or with a file."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answers as GET does, without the content."""
        self._answer(body=False)

    def _answer(self, body: bool = True) -> None:
        if not self._is_meant(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server is for this machine only")
            return
        answer = self._content(packed=accepts_gzip(self.headers.get("Accept-Encoding", "")))
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        content, encoding, kind = answer
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        same = self.headers.get("If-None-Match") == tag
        self.send_response(HTTPStatus.NOT_MODIFIED if same else HTTPStatus.OK)
        self.send_header("ETag", tag)
        self.send_header("Vary", "Accept-Encoding")
        if not same:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if encoding:
                self.send_header("Content-Encoding", encoding)
        self.end_headers()
        if body and not same:
            self.wfile.write(content)

    def _is_meant(self, host: str) -> bool:
        """Whether a request came by a name of this machine.

        Another site's name can be made to point here (DNS rebinding), but its requests show it; an
        address is nobody's name. The port may be any, since it may be forwarded.
        """
        for name in (host, host.rpartition(":")[0]):
            if name in self.names:
                return True
            try:
                ipaddress.ip_address(name.strip("[]"))
            except ValueError:
                continue
            if self.by_address:
                return True
        return False

    def _content(self, packed: bool) -> tuple[bytes, str, str] | None:
        """Content, its encoding and type; None if there is no such file. Folders are not shown."""
        path = self.path.partition("?")[0]
        kind, encoding = self.guess_type(path), "gzip" if packed else ""
        if path in self.memory:
            content = self.memory[path]()
            return gzip.compress(content, mtime=0) if packed else content, encoding, kind
        file = Path(self.translate_path(path))
        if path.endswith("/"):
            file, kind = file / "index.html", self.extensions_map[".html"]
        if not file.is_file():
            return None
        return read(file, file.stat().st_mtime_ns, packed), encoding, kind

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: errors show on the page."""


def make_server(
    path: str | os.PathLike[str], port: int = 0, host: str = HOST
) -> ThreadingHTTPServer:
    """A server of the page and one file, bound to its port but not yet serving.

    Args:
        path: a `.tflite` generator; it is read now, so that a later export cannot change it.
        port: of the host; 0 takes a free one, which `server_address` gives.
        host: name or IPv4 address to listen on. 127.0.0.1 is for this machine alone, 0.0.0.0 for
            all that reach it, a phone in the same network for one.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the page cannot show the file, its npm packages are missing, or the host or port
            cannot be used.
    """
    memory = {f"/{name}": make for name, make in page.contents(path).items()}
    # Last, since a mistake in the arguments is to be reported first.
    page.check_packages()
    own = {"memory": memory, "names": (*NAMES, host), "by_address": host not in NAMES}
    try:
        return ThreadingHTTPServer((host, port), type("ModelHandler", (Handler,), own))
    except OSError as error:
        raise UserError(
            f"--host={host} --port={port}: {host}:{port} cannot be used "
            f"({error.strerror or error}); give others, or --port=0 for a free one."
        ) from error
