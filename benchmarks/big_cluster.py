"""Large clusters on loopback, in a process of their own: every page is encoded before anybody asks for it."""

import json
import multiprocessing
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oomdb.simulator.certificates import Authority
from oomdb.simulator.objects import (
    ApiDict,
    Container,
    back_off_event,
    crash_looping,
    image_pull_back_off,
    image_pull_back_off_event,
    namespace,
    oom_killed,
    pod,
    uid_of,
)

NAMESPACES = 2_000
PODS = 20_000
EVENTS = 6_000
KILLED_EVERY, LOOPING_EVERY, PULLING_EVERY = 200, 250, 10  # pods
PAGE = 500

# the first digits of every UID, in whose place each cluster has its own
_UID_DIGITS = b"00000000"


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
        body = pages[number].replace(_UID_DIGITS, self.server.uid_digits) if pages else b"{}"
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
    names = [f"team-{number}-tenant" for number in range(NAMESPACES)]
    pods = [_pod(number, names[number % NAMESPACES], now) for number in range(PODS)]
    events = list(_iter_events(pods, now))
    for number, each in enumerate(pods):
        _fatten(each, number)
    return {
        "/version": [json.dumps({"gitVersion": "v1.34.4"}).encode()],
        "/api/v1/namespaces": _pages("NamespaceList", [namespace(name) for name in names]),
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


def _pod(number: int, where: str, now: datetime) -> ApiDict:
    container = Container()
    if number % KILLED_EVERY == 1:
        container = oom_killed(at=now - timedelta(minutes=number % 1400))
    elif number % LOOPING_EVERY == 2:
        container = crash_looping(last_at=now - timedelta(minutes=3), restart_count=40)
    elif number % PULLING_EVERY == 3:
        container = image_pull_back_off()
    name = f"service-{number % 300}-7f6d9c5b8-{number:05}"
    return pod(
        name,
        namespace=where,
        containers=[container, Container(name="sidecar")],
        labels={"app.kubernetes.io/name": f"service-{number % 300}", "pod-template-hash": "7f6d9c5b8"},
        owner=("ReplicaSet", f"service-{number % 300}-7f6d9c5b8"),
        node=f"ip-10-29-{number % 60}-{number % 200}.ec2.internal",
        uid=_UID_DIGITS.decode() + uid_of(where, name)[8:],
    )


def _iter_events(pods: Sequence[ApiDict], now: datetime) -> Iterator[ApiDict]:
    """Iterate over the events that pass the selector: back-offs of images for the most part, some of crash loops."""
    looping = [each for number, each in enumerate(pods) if number % LOOPING_EVERY == 2]
    pulling = [each for number, each in enumerate(pods) if number % PULLING_EVERY == 3]
    for each in looping:
        yield back_off_event(each, "app", at=now - timedelta(minutes=2), count=40)
    for number in range(EVENTS - len(looping)):
        at = now - timedelta(minutes=number % 60)
        # the same pod again after a while: an event of its own
        yield image_pull_back_off_event(pulling[number % len(pulling)], "app", at=at, first_at=at)


def _fatten(target: ApiDict, number: int) -> None:
    """Give a pod what makes real ones large: environment, volumes, and the fields that somebody manages."""
    for container in target["spec"]["containers"]:
        container["env"] = [
            {"name": f"SETTING_{index}", "valueFrom": {"configMapKeyRef": {"name": f"map-{number % 50}", "key": "k"}}}
            for index in range(12)
        ]
        container["volumeMounts"] = [
            {"name": f"volume-{index}", "mountPath": f"/var/run/volume-{index}", "readOnly": True} for index in range(8)
        ]
    target["spec"]["volumes"] = [
        {"name": f"volume-{index}", "projected": {"sources": [{"configMap": {"name": f"map-{index}"}}]}}
        for index in range(8)
    ]
    managed: ApiDict = {
        f"f:field-{index}": {".": {}, "f:name": {}, "f:valueFrom": {".": {}, "f:configMapKeyRef": {}}}
        for index in range(36)
    }
    target["metadata"]["managedFields"] = [
        {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": managed}
        for manager in ("kube-controller-manager", "kubelet")
    ]
