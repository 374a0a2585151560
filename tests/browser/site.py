"""A folder served over HTTP on loopback, with the headers of the server that a test is about."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

# https://www.jenkins.io/doc/book/security/configuring-content-security-policy/, the default
JENKINS = {"Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"}


@dataclass(frozen=True, slots=True)
class Site:
    """A served folder, and the paths that were asked for."""

    url: str
    asked_for: list[str]


@contextmanager
def serve(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Serve a folder while the block runs, with these headers on each answer."""
    asked_for: list[str] = []
    handler = partial(_Handler, directory=str(folder), headers_sent=headers or {}, asked_for=asked_for)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Site(f"http://127.0.0.1:{server.server_port}", asked_for)
        finally:
            server.shutdown()
            thread.join()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, headers_sent: Mapping[str, str], asked_for: list[str], **kwargs: Any) -> None:
        self._headers_sent = headers_sent
        self._asked_for = asked_for
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:  # as http.server calls it
        self._asked_for.append(self.path)
        super().do_GET()

    def end_headers(self) -> None:
        for name, value in self._headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing: the terminal is pytest's."""
