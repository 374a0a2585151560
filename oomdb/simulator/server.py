"""A simulated cluster behind HTTPS on loopback: tokens, client certificates, permissions, paging, gzip and faults."""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from oomdb.simulator.api import REVIEW_PATH, Answer, Call, answer_call, status_answer
from oomdb.simulator.certificates import Authority, KeyPair
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Action, CutBody, Delay, ExpireContinue, Faults, Hang, Refuse, Reset, Trickle
from oomdb.simulator.permissions import ANONYMOUS, Permissions, Rule

_GZIP_FROM_BYTES = 128 * 1024  # as the real server: apiserver/pkg/endpoints/handlers/responsewriters/writers.go
_CHUNKED_FROM_BYTES = 2048  # what Go's net/http does with a body that outgrows its buffer
_CHUNK_BYTES = 32 * 1024
_STOP_POLL_SECONDS = 0.05
_DEFAULT_TOKENS = {"token": "user"}
_NOTHING = Permissions(refused=(Rule(),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that came in; `status` is 0 where no answer was sent, `user` is '' where nobody looked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    user: str
    status: int


def serve(
    cluster: SimulatedCluster,
    *,
    authority: Authority | None = None,
    certificate: KeyPair | None = None,
    tokens: Mapping[str, str] = _DEFAULT_TOKENS,
    faults: Faults | None = None,
    permissions: Permissions | None = None,
    ask_client_certificate: bool = False,
    anonymous: bool = False,
    plain_http: bool = False,
    clock_offset_seconds: float = 0,
) -> "RunningServer":
    """Start a server for a cluster on a free port of 127.0.0.1; a context manager stops it.

    Args:
        cluster: what is served; replacing its content shows at once.
        authority: signs the server's certificate and is the one whose client certificates are believed.
        certificate: the server's own, where it is to be wrong (expired, for another host, of another authority).
        tokens: bearer token to user name, read anew at each request; empty: everybody is let in as anonymous.
        faults: what goes wrong; may be changed while the server runs.
        permissions: who may read what; everything unless given.
        ask_client_certificate: let a certificate's common name be the user.
        anonymous: without credentials, answer as `system:anonymous`, who may read /version only (as a real server
            with anonymous access does: 403); else 401.
        plain_http: no TLS.
        clock_offset_seconds: how far the server's clock (its `Date` header) is ahead of this machine's.
    """
    return RunningServer(
        cluster,
        authority=None if plain_http else authority or Authority(),
        certificate=certificate,
        gate=_Gate(tokens, permissions or Permissions(), anonymous),
        faults=faults or Faults(),
        ask_client_certificate=ask_client_certificate,
        clock_offset_seconds=clock_offset_seconds,
    )


class RunningServer:
    """A server that answers until it is stopped; stopping does not wait for requests that hang."""

    def __init__(
        self,
        cluster: SimulatedCluster,
        *,
        authority: Authority | None,
        certificate: KeyPair | None,
        gate: "_Gate",
        faults: Faults,
        ask_client_certificate: bool,
        clock_offset_seconds: float,
    ) -> None:
        self.cluster = cluster
        self.faults = faults
        self.authority = authority
        context = _tls_context(authority, certificate, ask_client_certificate) if authority else None
        self._listener = _Listener(cluster, gate, faults, context, clock_offset_seconds)
        self.port: int = self._listener.server_address[1]
        self.url = f"{'https' if authority else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(_STOP_POLL_SECONDS,), name=f"simulator-{self.port}", daemon=True
        )
        self._thread.start()

    @property
    def authority_pem(self) -> str:
        """The certificate authority for the kubeconfig; '' over plain HTTP."""
        return self.authority.pem if self.authority else ""

    @property
    def permissions(self) -> Permissions:
        """Who may read what; assign another value to change it while the server runs."""
        return self._listener.gate.permissions

    @permissions.setter
    def permissions(self, permissions: Permissions) -> None:
        gate = self._listener.gate
        self._listener.gate = _Gate(gate.tokens, permissions, gate.anonymous)

    @property
    def clock_offset_seconds(self) -> float:
        """How far the server's clock is ahead; assign another value to change it while the server runs."""
        return self._listener.clock_offset_seconds

    @clock_offset_seconds.setter
    def clock_offset_seconds(self, seconds: float) -> None:
        self._listener.clock_offset_seconds = seconds

    @property
    def requests(self) -> list[Request]:
        """The requests that came so far, in the order of their answers."""
        with self._listener.lock:
            return list(self._listener.requests)

    @property
    def connection_count(self) -> int:
        """How many TCP connections were accepted so far."""
        with self._listener.lock:
            return self._listener.connection_count

    def stop(self) -> None:
        """Close the port and all connections, and wait for the threads; a second call does nothing."""
        if self._thread.is_alive():
            self._listener.stopping.set()
            self._listener.shutdown()
            self._thread.join()
            self._listener.close_connections()
            self._listener.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class _Gate:
    tokens: Mapping[str, str]
    permissions: Permissions
    anonymous: bool

    def user_of(self, headers: Mapping[str, str], certificate: Mapping[str, Any] | None) -> str | None:
        """Return who asks, None for credentials that are missing or unknown."""
        authorization = headers.get("authorization", "")
        scheme, _, token = authorization.partition(" ")
        if authorization and self.tokens:
            return self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        name = _common_name(certificate)
        return name or (ANONYMOUS if self.anonymous or not self.tokens else None)

    def rules_for(self, user: str) -> Permissions:
        """Return the rules for a user; one without credentials may read nothing but what is public."""
        return _NOTHING if user == ANONYMOUS and self.tokens else self.permissions


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them, so that no socket outlives the server
    request_queue_size = 128

    def __init__(
        self,
        cluster: SimulatedCluster,
        gate: _Gate,
        faults: Faults,
        context: ssl.SSLContext | None,
        clock_offset_seconds: float,
    ) -> None:
        self.cluster = cluster
        self.gate = gate
        self.faults = faults
        self.context = context
        self.clock_offset_seconds = clock_offset_seconds
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.requests: list[Request] = []
        self.connection_count = 0
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Conversation)

    def server_bind(self) -> None:
        # the base class asks the resolver for this host's name, which may take seconds and is not needed
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def finish_request(self, request: Any, client_address: Any) -> None:
        # TLS begins here, in the connection's own thread: a client that is slow to greet blocks nobody else
        connection = self._wrap(request)
        with connection:
            self._remember(connection)
            try:
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
                _Conversation(connection, client_address, self)
            finally:
                with self.lock:
                    self._connections.discard(connection)

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hangs up or does not trust the certificate is what the tests are about."""

    def close_connections(self) -> None:
        """Wake the threads that wait for a next request, or for a client that does not read."""
        with self.lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not SSLSocket's, which drops the TLS state

    def _wrap(self, request: socket.socket) -> socket.socket:
        if self.context is None:
            return request
        return self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)

    def _remember(self, connection: socket.socket) -> None:
        with self.lock:
            self.connection_count += 1
            self._connections.add(connection)
        if self.stopping.is_set():
            self.close_connections()


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener
    body: bytes | None = None  # of a POST

    def do_GET(self) -> None:
        action = self.server.faults.next_action(self.path)
        match action:
            case Hang():
                self._note("", 0)
                self.server.stopping.wait()
                self.close_connection = True
            case Reset():
                self._note("", 0)
                # lingering for no time makes the kernel send RST when the socket is closed
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            case Refuse(status, headers, body, content_type):
                self._note("", status)
                failure = status_answer(status) if body is None else Answer(status, body, content_type)
                self._send(Answer(status, failure.body, failure.content_type, headers))
            case _:
                self._answer(action)

    def do_POST(self) -> None:
        if self.path != REVIEW_PATH:
            self._refuse_method()
            return
        self.body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()
        self.body = None  # the next request of this connection is another one

    def do_PUT(self) -> None:
        self._refuse_method()

    def do_PATCH(self) -> None:
        self._refuse_method()

    def do_DELETE(self) -> None:
        self._refuse_method()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep stderr for the program that runs the server."""

    def _answer(self, action: Action | None) -> None:
        if isinstance(action, Delay) and self.server.stopping.wait(action.seconds):
            self.close_connection = True
            return
        user, answer = self._compose(tokens_expired=isinstance(action, ExpireContinue))
        self._note(user, answer.status)
        match action:
            case CutBody(chunked):
                self._send_half(answer, chunked)
            case Trickle(seconds):
                self._trickle(answer, seconds)
            case _:
                self._send(answer)

    def _compose(self, *, tokens_expired: bool) -> tuple[str, Answer]:
        gate = self.server.gate
        headers = self._lower_headers()
        user = gate.user_of(headers, self._certificate())
        if user is None:
            return "", status_answer(401)
        if "json" not in headers.get("accept", "json") and "*/*" not in headers["accept"]:
            return user, status_answer(406)
        pretended = headers.get("impersonate-user", "")
        if pretended:
            if not gate.rules_for(user).allow(user, "impersonate", "users", None):
                return user, _impersonation_refusal(user, pretended)
            user = pretended
        target = urlsplit(self.path)
        call = Call(target.path, dict(parse_qsl(target.query, keep_blank_values=True)), user, self.body)
        try:
            return user, answer_call(call, self.server.cluster, gate.rules_for(user), tokens_expired=tokens_expired)
        except Exception as err:  # content that is no API objects: the caller must see it, not a closed connection
            return user, status_answer(500, f"the simulated cluster failed: {type(err).__name__}: {err}")

    def _refuse_method(self) -> None:
        self._note("", 405)
        self.close_connection = True  # the request's body is not read
        self._send(status_answer(405))

    def _send(self, answer: Answer) -> None:
        body, encoding = self._encoded(answer)
        if len(body) <= _CHUNKED_FROM_BYTES:
            framing = [("Content-Length", str(len(body)))]
            payload = body
        else:
            framing = [("Transfer-Encoding", "chunked")]
            payload = b"".join((*(_chunk(part) for part in _parts(body)), b"0\r\n\r\n"))
        self.wfile.write(self._head(answer, encoding + framing) + payload)

    def _send_half(self, answer: Answer, chunked: bool) -> None:
        body, encoding = self._encoded(answer)
        half = body[: len(body) // 2]
        if chunked:
            head = self._head(answer, [*encoding, ("Transfer-Encoding", "chunked")])
            self.wfile.write(head + f"{len(body):x}\r\n".encode() + half)
        else:
            self.wfile.write(self._head(answer, [*encoding, ("Content-Length", str(len(body)))]) + half)
        self.close_connection = True

    def _trickle(self, answer: Answer, seconds: float) -> None:
        self.close_connection = True
        self.wfile.write(self._head(answer, [("Content-Length", str(len(answer.body)))]))
        for place in range(len(answer.body)):
            if self.server.stopping.wait(seconds):
                return
            self.wfile.write(answer.body[place : place + 1])

    def _encoded(self, answer: Answer) -> tuple[bytes, list[tuple[str, str]]]:
        wanted = "gzip" in self.headers.get("Accept-Encoding", "")
        if not wanted or len(answer.body) < _GZIP_FROM_BYTES or answer.content_type != "application/json":
            return answer.body, []
        return gzip.compress(answer.body, 1), [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]

    def _head(self, answer: Answer, framing: list[tuple[str, str]]) -> bytes:
        headers = [
            ("Cache-Control", "no-cache, private"),
            ("Content-Type", answer.content_type),
            ("Date", formatdate(time.time() + self.server.clock_offset_seconds, usegmt=True)),
            *answer.headers,
            *framing,
            *([("Connection", "close")] if self.close_connection else []),
        ]
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _note(self, user: str, status: int) -> None:
        target = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            headers=self._lower_headers(),
            user=user,
            status=status,
        )
        with self.server.lock:
            self.server.requests.append(request)

    def _lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _certificate(self) -> Mapping[str, Any] | None:
        return self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None


def _impersonation_refusal(user: str, pretended: str) -> Answer:
    message = (
        f'users "{pretended}" is forbidden: User "{user}" cannot impersonate resource "users" in API group "" '
        "at the cluster scope"
    )
    return status_answer(403, message, details={"name": pretended, "kind": "users"})


def _tls_context(authority: Authority, certificate: KeyPair | None, ask: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody resumes sessions here, and unread tickets turn a close into a reset
    (certificate or authority.server_certificate()).load_into(context)
    if ask:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=authority.pem)
    return context


def _common_name(certificate: Mapping[str, Any] | None) -> str:
    names = (pair for part in (certificate or {}).get("subject", ()) for pair in part)
    return next((value for key, value in names if key == "commonName"), "")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _parts(body: bytes) -> list[bytes]:
    return [body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES)]


def _chunk(part: bytes) -> bytes:
    return f"{len(part):x}\r\n".encode() + part + b"\r\n"
