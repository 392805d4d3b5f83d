"""Serves the live page on this machine only, or keeps it up to date as a file."""

import gzip
import json
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rfe.errors import RfeError
from rfe.journal.records import as_json
from rfe.reporting.running import see_running
from rfe.reporting.watch.page import watch_html
from rfe.reporting.watch.study import WatchedStudy
from rfe.tracking.ui import free_port
from rfe.workspace import StudyFolder
from rfe.writing import write_text

LOOPBACK = "127.0.0.1"
SMALL = 1400
"""Bytes up to which an answer is not worth compressing."""


class PageServer(ThreadingHTTPServer):
    """`/` is the page, `/data?start=N&changes=C` what the page lacks.

    A request must name this machine as its host: a page of another site could otherwise read the study by giving its
    own name this machine's address.

    Args:
        folder: of the study.
        port: to listen on, on the loopback interface only.
        every_s: how often the page asks.
    """

    daemon_threads = True

    def __init__(self, folder: StudyFolder, port: int, every_s: float) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.study, self.every_s = WatchedStudy(folder), every_s
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is nothing to report."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if self.headers.get("Host") not in self.server.hosts:
            self._answer(403, "text/plain", "open the address that `rfe watch` printed\n")
            return
        try:
            if parts.path == "/":
                data = as_json(self.server.study.payload())
                self._answer(200, "text/html", watch_html(data, every_s=self.server.every_s, served=True))
            elif parts.path == "/data":
                asked = parse_qs(parts.query)
                start, changes = (_whole(asked.get(name, [""])[0]) for name in ("start", "changes"))
                data = as_json(self.server.study.payload(start or 0, changes))
                self._answer(200, "application/json", json.dumps(data, allow_nan=False, ensure_ascii=False))
            else:
                self._answer(404, "text/plain", "there is one page: /\n")
        except RfeError as error:
            self._answer(500, "text/plain", f"{error}\n")

    def _answer(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        if len(content) > SMALL and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content, compresslevel=1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not shown."""


def serve_page(folder: StudyFolder, *, port: int, every_s: float, note: Callable[[str], None]) -> None:
    """Serve the page until interrupted.

    Raises:
        ConfigError: no port is free.
    """
    chosen = free_port(port)
    if chosen != port:
        note(f"port {port} is taken; using {chosen}")
    with PageServer(folder, chosen, every_s) as server:
        note(f"study {folder.name} is at {server.address}  (Ctrl-C ends the page, not the search)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            note("the page has ended")


def write_live_page(folder: StudyFolder, path: Path) -> None:
    """Write the page as it is now to a file; raises StudyError where the journal is damaged."""
    _write(path, WatchedStudy(folder), 0.0)


def _write(path: Path, study: WatchedStudy, every_s: float) -> None:
    write_text(path, watch_html(as_json(study.payload()), every_s=every_s, served=False))


def keep_page(folder: StudyFolder, path: Path, *, every_s: float, note: Callable[[str], None]) -> None:
    """Write the page to a file, and again every `every_s` seconds while the search runs; the last one stays.

    Raises:
        StudyError: the journal is damaged.
    """
    study, said = WatchedStudy(folder), False
    while True:
        running = see_running(folder) is not None
        _write(path, study, every_s if running else 0.0)
        if not running:
            return
        if not said:
            note(f"{path} is written every {every_s:g} s while study {folder.name} runs; open it in a browser")
            said = True
        time.sleep(every_s)


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None
