"""Connections to one server, directly or through its proxy, whose answers have a deadline."""

import io
import socket
import ssl
import time
from functools import partial
from http.client import HTTPConnection as PlainHTTPConnection
from http.client import HTTPResponse as RawResponse
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url

from oomdb.kube.contexts import Context
from oomdb.kube.credential import ClientCertificate
from oomdb.kube.proxies import Proxy
from oomdb.kube.trust import build_proxy_ssl_context, build_ssl_context

CONNECT_SECONDS = 15.0  # a server that is there accepts at once; --timeout is for its thinking

# An answer as a whole may take this many times the time-out, and a second more for each so many bytes of it: a slow
# line passes, a server that sends a byte now and then does not hold a scan for ever.
PATIENCE = 2
SLOWEST_BYTES_PER_SECOND = 16 * 1024


def open_pool(
    url: Url, context: Context, certificate: ClientCertificate | None, *, timeout_seconds: float, connections: int
) -> urllib3.HTTPConnectionPool:
    """Return a pool of connections to a server; nothing is connected yet.

    Args:
        url: the server's.
        context: whose trust, proxy and client certificate.
        certificate: of an exec plug-in.
        timeout_seconds: the longest silence of the server.
        connections: how many there may be at a time; further threads wait.

    Raises:
        KubeconfigError: a certificate, key or authority cannot be loaded.
    """
    proxy = context.cluster.proxy
    manager = (
        urllib3.PoolManager()
        if proxy is None
        else urllib3.ProxyManager(
            proxy.url,
            proxy_headers=_proxy_headers(proxy),
            proxy_ssl_context=build_proxy_ssl_context(context.cluster) if proxy.scheme == "https" else None,
        )
    )
    answer_seconds = PATIENCE * timeout_seconds
    manager.pool_classes_by_scheme = {  # they are called, nothing else
        "http": partial(_PlainPool, answer_seconds=answer_seconds),  # type: ignore[dict-item]
        "https": partial(_TlsPool, answer_seconds=answer_seconds),  # type: ignore[dict-item]
    }
    options: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=min(timeout_seconds, CONNECT_SECONDS), read=timeout_seconds),
        "maxsize": connections,
        "block": True,
    }
    tls = build_ssl_context(context, certificate)
    if tls is not None:
        options |= {"ssl_context": tls, "server_hostname": context.cluster.tls_server_name or None}
    return manager.connection_from_host(url.hostname, url.port, url.scheme, pool_kwargs=options)


def connect_plainly(url: Url, proxy: Proxy | None) -> PlainHTTPConnection:
    """Connect to a server's port, through an http:// proxy if there is one, and leave TLS to the caller.

    Raises:
        OSError, HTTPException: there is no way to the port.
        ValueError: the proxy's is an https:// URL, so that TLS would be spoken within TLS.
    """
    if proxy is None:
        connection = PlainHTTPConnection((url.hostname or "").strip("[]"), url.port or 443, timeout=CONNECT_SECONDS)
    elif proxy.scheme == "http":
        connection = PlainHTTPConnection(proxy.host, proxy.port, timeout=CONNECT_SECONDS)
        connection.set_tunnel((url.hostname or "").strip("[]"), url.port or 443, _proxy_headers(proxy))
    else:
        raise ValueError("TLS within TLS")
    connection.connect()
    return connection


def _proxy_headers(proxy: Proxy) -> dict[str, str]:
    return {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}


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
