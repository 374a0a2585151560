"""A web server on loopback with a folder: pages as Apache, nginx and Jenkins write them, and the troubles of each."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from oomdb.simulator.certificates import Authority

ROOT = "/job/oom/ws/output/"
MODIFIED = "Mon, 02 Mar 2026 14:05:01 GMT"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, with header names as they came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False  # close the connection in the middle of the body
    hangs: bool = False  # say nothing as long as the client waits
    drips: bool = False  # send a byte now and then as long as the client reads


def apache(names: list[str]) -> str:
    """Return a page as Apache's mod_autoindex writes it: links that sort, and one to the folder above."""
    sorting = "".join(f'<th><a href="?C={key};O=D">{key}</a></th>' for key in "NMSD")
    links = "".join(f'<tr><td><a href="{quote(name)}">{escape(name)}</a></td></tr>' for name in names)
    return f'<table><tr>{sorting}</tr><tr><td><a href="/job/oom/ws/">Parent Directory</a></td></tr>{links}</table>'


def nginx(names: list[str]) -> str:
    """Return a page as nginx's autoindex writes it."""
    links = "".join(f'<a href="{quote(name)}">{escape(name)}</a>  02-Mar-2026 14:05  17\n' for name in names)
    return f'<html><body><h1>Index</h1><hr><pre><a href="../">../</a>\n{links}</pre><hr></body></html>'


def jenkins(names: list[str]) -> str:
    """Return a page as Jenkins browses a workspace: folders without a slash, and views, fingerprints and zips."""
    links = "".join(
        f'<tr><td><a href="{quote(name.rstrip("/"))}">{escape(name)}</a></td>'
        f'<td><a href="{quote(name.rstrip("/"))}/*fingerprint*/">f</a>'
        f'<a href="{quote(name.rstrip("/"))}/*view*/">view</a></td></tr>'
        for name in names
    )
    top = '<a href="/">Jenkins</a><a href="/job/oom/">oom</a><a href="/logout">log out</a><a href=".">here</a>'
    return f'{top}<table class="fileList">{links}</table><a href="./*zip*/output.zip">(all files in zip)</a>'


@dataclass(slots=True)
class Site:
    """A folder on the server: its files by path below ROOT, and what may go wrong.

    `page` writes the page of a folder from its names; `answer` goes before everything else where it gives a reply.
    """

    files: dict[str, bytes]
    page: Callable[[list[str]], str] = nginx
    answer: Callable[[Request], Reply | None] = lambda request: None
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    authority_pem: str = ""

    def reply(self, request: Request) -> Reply:
        """Return the answer to a request, which is noted."""
        self.requests.append(request)
        told = self.answer(request)
        if told is not None:
            return told
        path = unquote(urlsplit(request.path).path)
        if not path.startswith(ROOT):
            return Reply(404)
        name = path.removeprefix(ROOT)
        if request.method == "PUT":
            self.files[name] = request.body
            return Reply(201)
        if name in self.files:
            return Reply(body=self.files[name], headers={"Last-Modified": MODIFIED, "Content-Type": "text/plain"})
        below = sorted({_first_part(it.removeprefix(name)) for it in self.files if it.startswith(name)})
        if below and name and not name.endswith("/"):
            return Reply(302, headers={"Location": request.path + "/"})
        return Reply(body=self.page(below).encode(), headers=HTML) if below else Reply(404)

    def asked_for(self, method: str = "GET") -> list[str]:
        """Return the paths that were asked for."""
        return [it.path for it in self.requests if it.method == method]


HTML = {"Content-Type": "text/html;charset=utf-8"}


def _first_part(path: str) -> str:
    name, slash, _ = path.partition("/")
    return name + slash


@contextmanager
def serving(site: Site, *, tls: bool = False, expired: bool = False, name: str = "127.0.0.1") -> Iterator[Site]:
    """Serve a site while the block runs, with a certificate of an authority of its own where TLS is wanted."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_PUT(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            reply = site.reply(Request(self.command, self.path, dict(self.headers), body))
            self.close_connection = reply.cut or reply.hangs or reply.drips
            if reply.hangs:
                self.rfile.read(1)  # which comes when the client goes
                return
            self.send_response(reply.status)
            for key, value in reply.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(reply.body) + 100 * reply.cut + 2**30 * reply.drips))
            self.end_headers()
            self.wfile.write(reply.body)
            with suppress(ConnectionError):
                while reply.drips:
                    self.wfile.write(b"x")
                    time.sleep(0.05)

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing: the terminal is pytest's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            authority = Authority()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.server_certificate(name, expired=expired).load_into(context)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            site.authority_pem = authority.pem
        site.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}{ROOT}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
