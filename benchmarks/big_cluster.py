"""Large clusters on loopback, in a process of their own: every page is encoded before anybody asks for it."""

import json
import multiprocessing
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.content import UID_DIGITS, build_namespaces, build_pods, fatten, iter_evidence, manage
from oomdb.simulator.certificates import Authority
from oomdb.simulator.objects import ApiDict

NAMESPACES = 2_000
PODS = 20_000
EVENTS = 6_000
PAGE = 500


@dataclass(frozen=True, slots=True)
class BigClusters:
    """Clusters that answer; `sent` counts the bytes of their answers' bodies."""

    urls: tuple[str, ...]
    authority_pem: str
    sent: "Synchronized[int]"


@contextmanager
def big_clusters(count: int) -> Iterator[BigClusters]:
    """Start `count` clusters of 2,000 namespaces, 20,000 pods of 10 kB and 6,000 events behind one process."""
    context = multiprocessing.get_context("fork")
    sent = context.Value("q", 0)
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(count, theirs, sent), daemon=True)
    process.start()
    try:
        urls, pem = ours.recv()
        yield BigClusters(tuple(urls), pem, sent)
    finally:
        process.terminate()
        process.join()
        ours.close()
        theirs.close()


def _serve(count: int, to_parent: Connection, sent: "Synchronized[int]") -> None:
    authority = Authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.server_certificate().load_into(context)
    pages = _encode_pages(datetime.now(UTC))
    servers = [_Server(number + 1, pages, context, sent) for number in range(count)]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    to_parent.send(([f"https://127.0.0.1:{server.server_port}" for server in servers], authority.pem))
    servers[0].serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, number: int, pages: dict[str, list[bytes]], context: ssl.SSLContext, sent: "Synchronized[int]"
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.uid_digits = f"{number:08x}".encode()
        self.pages = pages
        self.sent = sent


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        pages = self.server.pages.get(url.path, [])
        number = int(parse_qs(url.query).get("continue", ["0"])[0])
        body = pages[number].replace(UID_DIGITS.encode(), self.server.uid_digits) if pages else b"{}"
        self.send_response(200 if pages else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        with self.server.sent.get_lock():
            self.server.sent.value += len(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _encode_pages(now: datetime) -> dict[str, list[bytes]]:
    namespaces = build_namespaces(NAMESPACES)
    pods = build_pods(PODS, namespaces, now)
    events = list(iter_evidence(EVENTS, pods, now))
    for number, each in enumerate(pods):
        fatten(each, number)
        manage(each)
    return {
        "/version": [json.dumps({"gitVersion": "v1.34.4"}).encode()],
        "/api/v1/namespaces": _pages("NamespaceList", namespaces),
        "/api/v1/pods": _pages("PodList", pods),
        "/api/v1/events": _pages("EventList", events),
    }


def _pages(kind: str, items: Sequence[ApiDict]) -> list[bytes]:
    pages = []
    for start in range(0, len(items), PAGE):
        more = start + PAGE < len(items)
        metadata = {"resourceVersion": "1", **({"continue": str(start // PAGE + 1)} if more else {})}
        page = {"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items[start : start + PAGE]}
        pages.append(json.dumps(page, separators=(",", ":")).encode())
    return pages
