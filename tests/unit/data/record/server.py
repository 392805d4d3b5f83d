"""A record's server on this machine, which fails as it is told to."""

import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rfe.data.record.connection import Patience

PATIENCE = Patience(connect_s=5.0, stall_s=0.7, attempts=4, first_wait_s=0.01, longest_wait_s=0.05)
RECORD = "1234567"
LISTING = f"/api/records/{RECORD}"


class RecordServer:
    """Serves `files` as record 1234567.

    A path's faults are met one by one, one for each request; then all is well. A fault is a status, or:
    `stall` (half, then nothing more), `silent` (nothing at all), `truncate` (half, and the end of the connection),
    `short` (half, as if it were all), `corrupt` (another first byte), `no_range` (all, whatever was asked for),
    `other_range` (a later part than was asked for), `early_range` (from 5 bytes before), `long` (more than there is).
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: dict[str, list[int | str]] = defaultdict(list)
        self.headers: dict[str, str] = {}
        """Sent with every failing status."""
        self.requests: list[tuple[str, int | None]] = []
        """Path, and the first byte asked for."""
        self.listing: Any = None
        """Instead of the right one."""
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def api(self) -> str:
        return f"{self.root}/api"

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def asked_for(self, name: str) -> list[int | None]:
        """The first byte of each request for a file."""
        return [start for path, start in self.requests if path == f"/files/{name}"]

    def entry(self, name: str, content: bytes) -> dict[str, Any]:
        return {
            "key": name,
            "size": len(content),
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "links": {"self": f"{self.root}/files/{name}"},
        }

    def right_listing(self) -> dict[str, Any]:
        return {
            "id": int(RECORD),
            "metadata": {"title": "A record", "access_right": "open"},
            "files": [self.entry(name, content) for name, content in self.files.items()],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        record = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                start = int(asked[1]) if asked else None
                record.requests.append((self.path, start))
                fault = record.faults[self.path].pop(0) if record.faults[self.path] else ""
                if isinstance(fault, int):
                    self._send(fault, b"sorry", record.headers)
                elif fault == "silent":
                    record.over.wait(30)
                elif self.path == LISTING:
                    told = record.right_listing() if record.listing is None else record.listing
                    self._send(200, told if isinstance(told, bytes) else json.dumps(told).encode(), {})
                elif (name := self.path.removeprefix("/files/")) in record.files:
                    self._send_file(record.files[name], start, fault)
                else:
                    self._send(404, b"{}", {})

            def _send(self, status: int, content: bytes, headers: dict[str, str], sent: int | None = None) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if sent is None or sent >= 0:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if sent is None else content[: abs(sent)])
                self.wfile.flush()

            def _send_file(self, content: bytes, start: int | None, fault: str) -> None:
                status, headers = 200, {}
                if start is not None and fault != "no_range":
                    if start >= len(content):
                        self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                        return
                    start += {"other_range": 3, "early_range": -5}.get(fault, 0)
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    status, content = 206, content[start:]
                if fault == "corrupt":
                    content = bytes([content[0] ^ 1]) + content[1:]
                if fault == "long":
                    self._send(status, content + b"more", headers, -len(content) - 4)
                    return
                half = len(content) // 2
                self._send(status, content, headers, {"truncate": half, "stall": half, "short": -half}.get(fault))
                if fault == "stall":
                    record.over.wait(30)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[RecordServer]:
    server = RecordServer(files)
    try:
        yield server
    finally:
        server.close()
