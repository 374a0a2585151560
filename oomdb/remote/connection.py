"""Requests to one web server: sent again where that may help, never sent elsewhere with our login."""

import random
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import truststore
import urllib3

from oomdb.errors import RemoteForbidden, RemoteNotFound, RemoteRefusesMethod, RemoteUnavailable
from oomdb.remote.address import FolderAddress
from oomdb.remote.login import HOW_TO_LOG_IN, Login
from oomdb.remote.sockets import Sockets, remember_sockets
from oomdb.settings import mask_password
from oomdb.version import __version__

TIMEOUT_SECONDS = 45.0
CONNECT_SECONDS = 15.0  # a server that is there accepts at once
RETRIES = 4
LONGEST_PAUSE_SECONDS = 60.0  # whatever Retry-After says
_PIECE_BYTES = 2**18
_MAY_PASS = (408, 429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 3  # a folder's missing slash is one
_GOOD = (200, 201, 204)

_T = TypeVar("_T")
Read = Callable[[urllib3.BaseHTTPResponse], _T]


class Connection:
    """Connections to the server of one folder; may be used by several threads at a time.

    Args:
        root: the folder; nothing outside it is asked for.
        login: who we are; None: nobody.
        tls: how TLS is spoken; None: by the system's trust store.
        connections: at a time.
        timeout_seconds: without a byte.
        retries: further tries of a request.
        sleep: waits for seconds; None: until `stop` is called at most. A parameter for tests.
    """

    def __init__(
        self,
        root: FolderAddress,
        login: Login | None,
        *,
        tls: ssl.SSLContext | None = None,
        connections: int = 8,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.root = root
        self._stopped = threading.Event()
        self._login = login
        self._retries = retries
        self._sleep = sleep or self._stopped.wait
        self._headers = {"User-Agent": f"oomdb/{__version__}", "Accept-Encoding": "identity"}
        if login is not None:
            self._headers[login.header] = login.value
        self._pool = _open_pool(root, tls or _trust_the_system(), connections, timeout_seconds)
        self._sockets = Sockets()
        remember_sockets(self._pool, self._sockets)

    def stop(self) -> None:
        """Let requests of all threads fail now, also those that wait for the server, and those to come."""
        self._stopped.set()
        self._sockets.end()

    def read_pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Iterate over an answer's body, by as much as has come.

        Raises:
            RemoteUnavailable: when `stop` was called.
        """
        while piece := response.read1(_PIECE_BYTES):
            self._refuse_stopped()
            yield piece

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def get(self, url: str, read: Read[_T]) -> _T:
        """Ask for a file or page of the folder and return what `read` makes of the answer.

        `read` may be called again, for a further try.

        Raises:
            RemoteFolderError: if there is no good answer, with the reason.
        """
        for _ in range(_MOST_REDIRECTS):
            answer = self._try("GET", url, read)
            if not isinstance(answer, _Elsewhere):
                return answer
            url = answer.url
        raise RemoteUnavailable(f"{self.root.url}: sends us around in a circle; is the URL right?")

    def put(self, url: str, content: Path) -> None:
        """Upload a file.

        Raises:
            RemoteRefusesMethod: if the server does not take files.
            RemoteFolderError: if it fails otherwise, with the reason.
        """
        answer = self._try("PUT", url, lambda response: response.drain_conn(), content)
        if isinstance(answer, _Elsewhere):
            raise RemoteUnavailable(f"{url}: the server sends uploads elsewhere, which is not followed.")

    def _try(self, method: str, url: str, read: Read[_T], content: Path | None = None) -> "_T | _Elsewhere":
        for tries_left in range(self._retries, -1, -1):
            self._refuse_stopped()
            try:
                return self._send(method, url, read, content)
            except _MayPassError as err:
                if not tries_left:
                    raise RemoteUnavailable(f"{url}: {err} ({self._retries + 1} tries).") from err
                number = self._retries - tries_left
                # a quarter of chance, so that parallel requests do not come back all at once
                pause = err.retry_after_seconds or 2.0**number * random.uniform(0.75, 1.25)  # noqa: S311  # no secret
                self._sleep(min(pause, LONGEST_PAUSE_SECONDS))
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, url: str, read: Read[_T], content: Path | None) -> "_T | _Elsewhere":
        try:
            if content is None:
                return self._read_answer(self._ask(method, url, None), method, url, read)
            with content.open("rb") as body:
                answer = self._ask(method, url, body, size_bytes=content.stat().st_size)
                return self._read_answer(answer, method, url, read)
        except (urllib3.exceptions.HTTPError, HTTPException, ConnectionError, TimeoutError) as err:
            cause = err.args[0] if err.args else None
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise self._distrust(cause) from err
            raise _MayPassError(_explain(err)) from err

    def _ask(self, method: str, url: str, body: object, *, size_bytes: int | None = None) -> urllib3.BaseHTTPResponse:
        headers = self._headers if size_bytes is None else {**self._headers, "Content-Length": str(size_bytes)}
        return self._pool.urlopen(
            method,
            url,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def _read_answer(
        self, response: urllib3.BaseHTTPResponse, method: str, url: str, read: Read[_T]
    ) -> "_T | _Elsewhere":
        try:
            if response.status in _GOOD:
                return read(response)
            return self._judge(response.status, response.headers, method, url)
        finally:
            response.close()
            response.release_conn()

    def _judge(self, status: int, headers: Mapping[str, str], method: str, url: str) -> "_Elsewhere":
        """Say why an answer is none; where it sends us to another place of the folder, return that.

        Raises:
            RemoteFolderError: with the reason.
        """
        if status in _REDIRECTS:
            there = self.root.resolve(url, headers.get("Location", ""))
            if there:
                return _Elsewhere(there)
            raise RemoteForbidden(
                f"{url}: the server sends us out of the folder, to log in perhaps, or to https: {self._advise()}."
            )
        if status in (401, 403):
            raise RemoteForbidden(f"{url}: not allowed (HTTP {status}): {self._advise()}.")
        if status in (404, 410):
            raise RemoteNotFound(f"{url}: there is no such file or folder (HTTP {status}).")
        if status in (405, 501):
            raise RemoteRefusesMethod(f"{url}: the server does not allow {method} (HTTP {status}).")
        if status in _MAY_PASS:
            raise _MayPassError(f"HTTP {status}", _read_retry_after(headers.get("Retry-After", "")))
        raise RemoteUnavailable(f"{url}: the server answers HTTP {status}.")

    def _refuse_stopped(self) -> None:
        if self._stopped.is_set():
            raise RemoteUnavailable(f"{self.root.url}: stopped.")

    def _advise(self) -> str:
        if self._login is None:
            return HOW_TO_LOG_IN
        return f"look at {self._login.source}, by which we came, or {HOW_TO_LOG_IN}"

    def _distrust(self, err: ssl.SSLCertVerificationError) -> RemoteUnavailable:
        return RemoteUnavailable(
            f"{self.root.url}: its certificate is not trusted ({err.verify_message}): add its authority to the "
            "system's trust store, or set SSL_CERT_FILE."
        )


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    url: str


class _MayPassError(Exception):
    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


def _trust_the_system() -> ssl.SSLContext:
    tls = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return tls


def _open_pool(
    root: FolderAddress, tls: ssl.SSLContext, connections: int, timeout_seconds: float
) -> urllib3.PoolManager:
    proxy = "" if proxy_bypass(root.host) else getproxies().get(root.scheme, "")
    timeout = urllib3.Timeout(connect=min(timeout_seconds, CONNECT_SECONDS), read=timeout_seconds)
    settings: dict[str, Any] = {"maxsize": connections, "block": True, "timeout": timeout, "ssl_context": tls}
    if not proxy:
        return urllib3.PoolManager(**settings)
    try:
        url = urllib3.util.parse_url(proxy if "://" in proxy else f"http://{proxy}")
        login = urllib3.make_headers(proxy_basic_auth=url.auth) if url.auth else None
        return urllib3.ProxyManager(url._replace(auth=None).url, proxy_headers=login, **settings)
    except urllib3.exceptions.HTTPError:
        # not chained: it may quote a password
        raise RemoteUnavailable(
            f"the proxy {mask_password(proxy)} of {root.scheme}_proxy is no URL: mend it."
        ) from None


def _explain(err: BaseException) -> str:
    """Return a connection's failure in a few words, without the addresses of objects that urllib3 tells."""
    if isinstance(err, urllib3.exceptions.NameResolutionError):
        return "its name is not known here"
    if isinstance(err, urllib3.exceptions.NewConnectionError):  # which urllib3 counts among the time-outs
        return "no connection"
    if isinstance(err, urllib3.exceptions.SSLError):
        return f"TLS failed ({err})"
    if isinstance(err, urllib3.exceptions.ProxyError):
        return "the proxy gives no connection"
    if isinstance(err, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(err, (urllib3.exceptions.ProtocolError, HTTPException, ConnectionError)):
        return "the answer was cut off"
    return type(err).__name__


def _read_retry_after(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0.0  # dates: our own pause
