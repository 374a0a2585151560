"""One context's connections: a request goes out, its answer comes back whole, or a failure in plain words."""

import contextlib
import importlib
import ipaddress
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException, IncompleteRead
from types import ModuleType

import urllib3
from urllib3.util import Url, parse_url

from oomdb.errors import ClusterAnswerError, ClusterTimeout, KubeconfigError
from oomdb.kube.contexts import Context
from oomdb.kube.credential import ClientCertificate, Credential
from oomdb.kube.failures import CONNECTION_ERRORS, Certificate, Peer, RequestFailedError, explain_connection_failure
from oomdb.kube.pools import connect_plainly, open_pool
from oomdb.kube.trust import build_ssl_context
from oomdb.version import __version__

inflate: ModuleType = zlib
with contextlib.suppress(ImportError):
    inflate = importlib.import_module("isal.isal_zlib")  # the same interface, three times as fast

JSON = "application/json"
GOOD_STATUSES = (200, 201)  # 201: what was posted is there
PIECE_BYTES = 1 << 20
MAX_BODY_BYTES = 1 << 30  # an unlimited list of 100,000 pods; what is larger is no list but a fault
ERROR_BODY_BYTES = 64 * 1024  # of an answer that is an error only its message is wanted


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is inflated; header names are case-insensitive; instants are Unix time by our clock."""

    status: int
    headers: Mapping[str, str]
    body: bytearray
    wire_bytes: int
    sent_at: float
    answered_at: float


class Transport:
    """The connections that one context gives us; may be used by several threads at a time."""

    def __init__(self, context: Context, *, timeout_seconds: float, connections: int) -> None:
        """Prepare the pool; nothing is connected yet.

        Raises:
            KubeconfigError: the server's URL cannot be used, or its CA or client certificate cannot be loaded.
        """
        context.require_usable()
        url = _parse_server(context)
        cluster = context.cluster
        self._context = context
        self._timeout_seconds = timeout_seconds
        is_forwarded = url.scheme == "http" and cluster.proxy is not None  # without TLS a proxy is told the whole URL
        self._base = ("" if not is_forwarded else f"http://{url.netloc}") + (url.path or "").rstrip("/")
        self.peer = Peer(
            server=f"{url.scheme}://{url.netloc}",
            host=cluster.tls_server_name or url.hostname or "",
            has_own_ca=bool(cluster.certificate_authority or cluster.certificate_authority_data),
            has_client_certificate=context.user.has_client_certificate,
            proxy=cluster.proxy,
        )
        compress = not (cluster.disable_compression or context.in_cluster or _is_loopback(url.hostname or ""))
        self._headers = urllib3.HTTPHeaderDict(
            {"User-Agent": f"oomdb/{__version__}", "Accept-Encoding": "gzip" if compress else "identity"}
        )
        if context.user.impersonation:
            self._headers.extend(context.user.impersonation.iter_headers())
        self._open_pool = partial(open_pool, url, context, timeout_seconds=timeout_seconds, connections=connections)
        self._lock = threading.Lock()
        self._pools: dict[ClientCertificate | None, urllib3.HTTPConnectionPool] = {None: self._open_pool(None)}

    def close(self) -> None:
        """Close all idle connections; the others close when their answers end."""
        for pool in self._pools.values():
            pool.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        credential: Credential,
        body: bytes | None = None,
        accept: str = JSON,
        limit_bytes: int | None = None,
    ) -> Answer:
        """Send one request and read its answer, whatever its status.

        Args:
            method: GET or POST.
            path: below the server's URL, with its query, both escaped.
            credential: who we are; each client certificate has connections of its own.
            body: JSON to send along.
            accept: the header's value: the media types that are understood.
            limit_bytes: read no more than so many bytes of a good answer's body, and take the rest for granted.

        Raises:
            RequestFailedError: no answer, or not all of it.
        """
        headers = self._headers.copy()
        headers["Accept"] = accept
        if credential.authorization is not None:
            headers["Authorization"] = credential.authorization
        if body is not None:
            headers["Content-Type"] = JSON
        pool = self._find_pool(credential.certificate)
        sent_at = time.time()
        try:
            # an answer that sends elsewhere is no API's, and must not get the token
            response = pool.urlopen(
                method,
                self._base + path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except CONNECTION_ERRORS as err:
            peer = replace(self.peer, has_client_certificate=True) if credential.certificate else self.peer
            raise explain_connection_failure(
                err, peer, timeout_seconds=self._timeout_seconds, look_at_certificate=self._look_at_certificate
            ) from err
        answered_at = time.time()
        try:
            limit = limit_bytes if response.status in GOOD_STATUSES else ERROR_BODY_BYTES
            content = _read_body(response, limit, self.peer.label)
        finally:
            response.close()
            response.release_conn()
        return Answer(response.status, response.headers, content, response.tell(), sent_at, answered_at)

    def _find_pool(self, certificate: ClientCertificate | None) -> urllib3.HTTPConnectionPool:
        # pools of certificates that were replaced stay open until we close: other threads may be waiting in them
        with self._lock:
            if certificate not in self._pools:
                self._pools[certificate] = self._open_pool(certificate)
            return self._pools[certificate]

    def _look_at_certificate(self) -> Certificate:
        # a second, anonymous handshake that checks the authority but neither name nor dates: only such a one
        # lets us read the certificate that failed
        try:
            tls = build_ssl_context(self._context)
            assert tls is not None
            tls.check_hostname = False
            tls.verify_flags |= _NO_CHECK_TIME
            with (
                contextlib.closing(connect_plainly(_parse_server(self._context), self.peer.proxy)) as connection,
                tls.wrap_socket(connection.sock, server_hostname=self.peer.host) as wrapped,
            ):
                return wrapped.getpeercert() or {}
        except (OSError, ValueError, HTTPException):
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


def _read_body(response: urllib3.BaseHTTPResponse, limit_bytes: int | None, server: str) -> bytearray:
    """Return the body, inflated as it comes; with a limit no more than that, else an error beyond MAX_BODY_BYTES."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise _bad_answer(f"{server}: answered with content-encoding '{encoding}', which was not asked for.", 0)
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
        raise RequestFailedError(ClusterTimeout(text), may_pass=True, wire_bytes=response.tell()) from err
    except CONNECTION_ERRORS as err:
        raise cut_answer(server, response.tell() + _count_unread(err)) from err
    except inflate.error as err:
        raise _bad_answer(f"{server}: the answer's gzip is damaged.", response.tell(), may_pass=True) from err
    if len(body) >= MAX_BODY_BYTES:
        text = f"{server}: the answer is larger than {MAX_BODY_BYTES >> 20} MiB; reading stopped."
        raise _bad_answer(text, response.tell())
    if inflater and not inflater.eof and len(body) < limit:
        raise cut_answer(server, response.tell())
    return body


def cut_answer(server: str, received_bytes: int) -> RequestFailedError:
    """Return the failure of an answer that ended too early."""
    return _bad_answer(f"{server}: answer cut after {received_bytes} bytes.", received_bytes, may_pass=True)


def _bad_answer(text: str, received_bytes: int, *, may_pass: bool = False) -> RequestFailedError:
    return RequestFailedError(ClusterAnswerError(text), may_pass=may_pass, wire_bytes=received_bytes)


def _count_unread(err: Exception) -> int:
    # of a chunked answer that is cut, the last piece comes with the exception, and its last part with the cause of that
    count = 0
    cause = err.args[-1] if err.args else None
    while isinstance(cause, IncompleteRead):
        count += len(cause.partial) if isinstance(cause.partial, bytes) else 0  # urllib3's own holds a number, counted
        cause = cause.__cause__
    return count
