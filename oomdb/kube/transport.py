"""One context's connections: a request goes out, its answer comes back whole, or a failure in plain words."""

import contextlib
import importlib
import io
import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse as RawResponse
from http.client import IncompleteRead
from types import ModuleType
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url, parse_url

from oomdb.errors import ClusterAnswerError, ClusterTimeout, KubeconfigError
from oomdb.kube.auth import build_ssl_context
from oomdb.kube.failures import CONNECTION_ERRORS, Certificate, Peer, RequestFailedError, explain_connection_failure
from oomdb.kube.kubeconfig import Context
from oomdb.version import __version__

inflate: ModuleType = zlib
with contextlib.suppress(ImportError):
    inflate = importlib.import_module("isal.isal_zlib")  # the same interface, three times as fast

CONNECT_SECONDS = 15.0  # a server that is there accepts at once; --timeout is for its thinking
PIECE_BYTES = 1 << 20
MAX_BODY_BYTES = 1 << 30  # an unlimited list of 100,000 pods; what is larger is no list but a fault
ERROR_BODY_BYTES = 64 * 1024  # of an answer that is an error only its message is wanted

# An answer as a whole may take this many times the time-out, and a second more for each so many bytes of it: a slow
# line passes, a server that sends a byte now and then does not hold a scan for ever.
PATIENCE = 2
SLOWEST_BYTES_PER_SECOND = 16 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is inflated; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytearray
    wire_bytes: int


class Transport:
    """The connections that one context gives us; may be used by several threads at a time."""

    def __init__(self, context: Context, *, timeout_seconds: float, connections: int) -> None:
        """Prepare the pool; nothing is connected yet.

        Raises:
            KubeconfigError: the server's URL cannot be used, or its CA or client certificate cannot be loaded.
        """
        context.require_usable()
        url = _parse_server(context)
        cluster, user = context.cluster, context.user
        self._context = context
        self._timeout_seconds = timeout_seconds
        self._base_path = (url.path or "").rstrip("/")
        self.peer = Peer(
            server=f"{url.scheme}://{url.netloc}",
            host=cluster.tls_server_name or url.hostname or "",
            has_own_ca=bool(cluster.certificate_authority or cluster.certificate_authority_data),
            has_client_certificate=bool(user.client_certificate or user.client_certificate_data),
        )
        compress = not (cluster.disable_compression or context.in_cluster or _is_loopback(url.hostname or ""))
        self._headers = {
            "User-Agent": f"oomdb/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip" if compress else "identity",
        }
        self._pool = _open_pool(url, context, timeout_seconds=timeout_seconds, connections=connections)

    def close(self) -> None:
        """Close all idle connections; the others close when their answers end."""
        self._pool.close()

    def get(self, path: str, *, authorization: str | None, limit_bytes: int | None = None) -> Answer:
        """Send one GET and read its answer, whatever its status.

        Args:
            path: below the server's URL, with its query, both escaped.
            authorization: the header's value.
            limit_bytes: read no more than so many bytes of a good answer's body, and take the rest for granted.

        Raises:
            RequestFailedError: no answer, or not all of it.
        """
        headers = self._headers if authorization is None else self._headers | {"Authorization": authorization}
        try:
            # an answer that sends elsewhere is no API's, and must not get the token
            response = self._pool.urlopen(
                "GET",
                self._base_path + path,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except CONNECTION_ERRORS as err:
            raise explain_connection_failure(
                err, self.peer, timeout_seconds=self._timeout_seconds, look_at_certificate=self._look_at_certificate
            ) from err
        try:
            limit = limit_bytes if response.status == 200 else ERROR_BODY_BYTES
            body = _read_body(response, limit, self.peer.server)
        finally:
            response.close()
            response.release_conn()
        return Answer(response.status, response.headers, body, response.tell())

    def _look_at_certificate(self) -> Certificate:
        # a second, anonymous handshake that checks the authority but neither name nor dates: only such a one
        # lets us read the certificate that failed
        try:
            tls = build_ssl_context(self._context)
            url = _parse_server(self._context)
            assert tls is not None
            tls.check_hostname = False
            tls.verify_flags |= _NO_CHECK_TIME
            address = ((url.hostname or "").strip("[]"), url.port or 443)
            with (
                socket.create_connection(address, timeout=CONNECT_SECONDS) as plain,
                tls.wrap_socket(plain, server_hostname=self.peer.host) as wrapped,
            ):
                return wrapped.getpeercert() or {}
        except (OSError, ValueError):
            return {}


_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, include/openssl/x509_vfy.h


def _parse_server(context: Context) -> Url:
    server = context.cluster.server
    try:
        url = parse_url(server)
    except urllib3.exceptions.HTTPError as err:
        raise _refuse_server(context) from err
    if url.scheme not in ("https", "http") or not url.hostname or url.auth:
        raise _refuse_server(context)
    return url


def _refuse_server(context: Context) -> KubeconfigError:
    return KubeconfigError(
        f"{context.cluster.file}: the server of cluster '{context.cluster.name}' is no URL that can be used; "
        "it should look like https://api.example.com:6443."
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _open_pool(
    url: Url, context: Context, *, timeout_seconds: float, connections: int
) -> urllib3.HTTPConnectionPool | urllib3.HTTPSConnectionPool:
    options: dict[str, Any] = {
        "host": url.hostname,
        "port": url.port,
        "timeout": urllib3.Timeout(connect=min(timeout_seconds, CONNECT_SECONDS), read=timeout_seconds),
        "maxsize": connections,
        "block": True,
        "answer_seconds": PATIENCE * timeout_seconds,
    }
    tls = build_ssl_context(context)
    if tls is None:
        return _PlainPool(**options)
    return _TlsPool(**options, ssl_context=tls, server_hostname=context.cluster.tls_server_name or None)


class _BoundedReader(io.RawIOBase):
    """Reads from a socket until the answer has taken longer than it may."""

    def __init__(self, raw: io.RawIOBase, answer_seconds: float) -> None:
        self._raw = raw
        self._deadline = time.monotonic() + answer_seconds
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if time.monotonic() > self._deadline + self._received / SLOWEST_BYTES_PER_SECOND:
            raise TimeoutError
        count: int | None = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(RawResponse):
    """An answer whose head and body together have a deadline."""

    def __init__(self, sock: socket.socket, *args: Any, answer_seconds: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_BoundedReader(raw, answer_seconds), 64 * 1024)


class _PlainConnection(HTTPConnection):
    def __init__(self, *args: Any, answer_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.response_class = partial(_BoundedResponse, answer_seconds=answer_seconds)  # type: ignore[assignment]


class _TlsConnection(HTTPSConnection):
    def __init__(self, *args: Any, answer_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.response_class = partial(_BoundedResponse, answer_seconds=answer_seconds)  # type: ignore[assignment]

    def request(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().request(*args, **kwargs)
        except (ssl.SSLEOFError, ConnectionError):
            # under TLS 1.3 a server hangs up on a client certificate while we send already; what it said is unread
            if self.sock is not None:
                self.sock.recv(1)
            raise

    def connect(self) -> None:
        super().connect()
        # without this urllib3 warns at each request; insecure-skip-tls-verify is warned of once, by name
        self.is_verified = True


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _read_body(response: urllib3.BaseHTTPResponse, limit_bytes: int | None, server: str) -> bytearray:
    """Return the body, inflated as it comes; with a limit no more than that, else an error beyond MAX_BODY_BYTES."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise _bad_answer(f"{server}: answered with content-encoding '{encoding}', which was not asked for.")
    inflater = inflate.decompressobj(wbits=16 + zlib.MAX_WBITS) if encoding == "gzip" else None
    limit = MAX_BODY_BYTES if limit_bytes is None else limit_bytes
    body = bytearray()
    try:
        while len(body) < limit:
            piece = response.read(min(PIECE_BYTES, limit - len(body)), decode_content=False)
            if not piece:
                break
            body += inflater.decompress(piece, limit - len(body)) if inflater else piece
    except urllib3.exceptions.ReadTimeoutError as err:
        text = f"{server}: the answer stalled after {response.tell()} bytes."
        raise RequestFailedError(ClusterTimeout(text), may_pass=True) from err
    except CONNECTION_ERRORS as err:
        raise cut_answer(server, response.tell() + _count_unread(err)) from err
    except inflate.error as err:
        raise _bad_answer(f"{server}: the answer's gzip is damaged.", may_pass=True) from err
    if len(body) >= MAX_BODY_BYTES:
        raise _bad_answer(f"{server}: the answer is larger than {MAX_BODY_BYTES >> 20} MiB; reading stopped.")
    if inflater and not inflater.eof and len(body) < limit:
        raise cut_answer(server, response.tell())
    return body


def cut_answer(server: str, received_bytes: int) -> RequestFailedError:
    """Return the failure of an answer that ended too early."""
    return _bad_answer(f"{server}: answer cut after {received_bytes} bytes.", may_pass=True)


def _bad_answer(text: str, *, may_pass: bool = False) -> RequestFailedError:
    return RequestFailedError(ClusterAnswerError(text), may_pass=may_pass)


def _count_unread(err: Exception) -> int:
    # of a chunked answer that is cut, the last piece comes with the exception
    cause = err.args[-1] if err.args else None
    return len(cause.partial) if isinstance(cause, IncompleteRead) and isinstance(cause.partial, bytes) else 0
