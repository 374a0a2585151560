"""Why a request failed, in words that a user can act on: connections, TLS checks, and answers that are no answers."""

import errno
import re
import socket
import ssl
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

from urllib3 import exceptions as http_errors

from oomdb.errors import ClusterError, ClusterTimeout, ClusterUnauthorized, ClusterUnreachable
from oomdb.kube.proxies import Proxy
from oomdb.timespan import format_instant

FIRST_LINE_CHARACTERS = 200  # enough to recognise a login page by
NAME_CHARACTERS = 200  # of a context or a namespace
MESSAGE_CHARACTERS = 2000  # a server's message is kept whole; only a hostile one is longer

# All that urllib3, http.client, ssl and the socket raise while a request is sent and its answer read.
CONNECTION_ERRORS = (http_errors.HTTPError, HTTPException, OSError)

Certificate = Mapping[str, Any]  # as ssl.SSLSocket.getpeercert() returns it; empty where it could not be had


class RequestFailedError(Exception):
    """One try failed with `error`; `may_pass` tells whether another one makes sense. It never leaves this package."""

    def __init__(
        self, error: ClusterError, *, may_pass: bool, wait_seconds: float | None = None, wire_bytes: int = 0
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.may_pass = may_pass
        self.wait_seconds = wait_seconds  # as the server asked for; None leaves it to the back-off
        self.wire_bytes = wire_bytes  # of an answer that came in part


@dataclass(frozen=True, slots=True)
class Peer:
    """The server as the kubeconfig names it, for messages."""

    server: str  # scheme, host and port
    host: str  # the name that the certificate must be for
    has_own_ca: bool
    has_client_certificate: bool
    proxy: Proxy | None = None

    @property
    def label(self) -> str:
        """What a message begins with: the server, and the proxy that leads to it."""
        return f"{self.server} (through the proxy {self.proxy.url})" if self.proxy else self.server


def explain_connection_failure(
    err: Exception, peer: Peer, *, timeout_seconds: float, look_at_certificate: Callable[[], Certificate]
) -> RequestFailedError:
    """Return what kept a request from being answered.

    Args:
        err: one of CONNECTION_ERRORS.
        peer: whom we talked to.
        timeout_seconds: how long it was waited for.
        look_at_certificate: fetches the server's certificate for the details of a failed check.
    """
    cause = _find_cause(err)
    if peer.proxy is not None:
        refusal = _PROXY_REFUSAL.fullmatch(str(cause))
        if refusal is not None:
            return _explain_proxy_refusal(int(refusal[1]), refusal[2], peer.server, peer.proxy)
        if isinstance(err, http_errors.ProxyError):
            return _explain_proxy(cause, peer.server, peer.proxy, timeout_seconds)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _unreachable(_explain_verification(cause, peer, look_at_certificate), may_pass=False)
    if isinstance(cause, ssl.SSLError):
        return _explain_tls(cause, peer)
    if isinstance(cause, socket.gaierror):
        return _unreachable(
            f"{peer.server}: the host name cannot be resolved; check the server's URL in the kubeconfig, DNS and VPN.",
            may_pass=cause.errno == socket.EAI_AGAIN,
        )
    if isinstance(cause, TimeoutError):
        text = f"{peer.label}: no answer within {timeout_seconds:g} s; is it reachable from here (VPN, firewall)?"
        return RequestFailedError(ClusterTimeout(text), may_pass=True)
    if isinstance(cause, ConnectionRefusedError):
        return _unreachable(f"{peer.server}: connection refused; is the API server up, and its port right?")
    if isinstance(cause, (ConnectionError, HTTPException)):
        return _unreachable(f"{peer.label}: the connection was closed before an answer came.")
    if _is_no_route(cause):
        return _unreachable(f"{peer.server}: no route to the host; is the network (VPN) up?")
    return _unreachable(f"{peer.label}: the connection failed: {to_plain(str(cause), MESSAGE_CHARACTERS)}")


def find_first_line(body: bytes | bytearray) -> str:
    """Return the first line with text in it, without control characters, of at most FIRST_LINE_CHARACTERS."""
    text = bytes(body[: 64 * 1024]).decode("utf-8", errors="replace")
    lines = (to_plain(line, FIRST_LINE_CHARACTERS) for line in text.splitlines())
    return next((line for line in lines if line), "")


def to_plain(text: str, characters: int) -> str:
    """Return text that is safe on a terminal: one line, nothing invisible, at most so many characters."""
    visible = "".join(" " if character.isspace() else character for character in text)
    visible = "".join(character for character in visible if unicodedata.category(character)[0] != "C").strip()
    return visible if len(visible) <= characters else visible[: characters - 1] + "…"


def _find_cause(err: BaseException) -> BaseException:
    if isinstance(err, http_errors.ConnectTimeoutError) and err.__cause__ is None:
        return TimeoutError()
    if isinstance(err, (http_errors.SSLError, http_errors.ProtocolError)):
        inner = next((part for part in reversed(err.args) if isinstance(part, BaseException)), None)
    elif isinstance(err, http_errors.HTTPError):
        inner = TimeoutError() if isinstance(err, http_errors.ReadTimeoutError) else err.__cause__
    else:
        inner = None
    return err if inner is None else _find_cause(inner)


def _is_no_route(cause: BaseException) -> bool:
    return isinstance(cause, OSError) and cause.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)


def _unreachable(text: str, *, may_pass: bool = True) -> RequestFailedError:
    return RequestFailedError(ClusterUnreachable(text), may_pass=may_pass)


# How http.client words it when a proxy does not let us through (HTTPConnection._tunnel).
_PROXY_REFUSAL = re.compile(r"Tunnel connection failed: (\d+) ?(.*)", re.DOTALL)


def _explain_proxy(cause: BaseException, server: str, proxy: Proxy, timeout_seconds: float) -> RequestFailedError:
    its = f"{server}: its proxy {proxy.url} (of {proxy.named_by})"
    advice = f"correct {proxy.named_by}, or list the server in NO_PROXY if it can be reached without"
    if proxy.named_by == "proxy-url":
        advice = "correct proxy-url in the kubeconfig, or remove it if the server can be reached without"
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"{its} has a TLS certificate that is not accepted ({_find_reason(cause)}); {advice}."
        return _unreachable(text, may_pass=False)
    if isinstance(cause, ssl.SSLError):
        text = f"{its} does not speak TLS as asked ({_spell(cause.reason or '') or 'it hung up'}); {advice}."
        return _unreachable(text, may_pass=False)
    if isinstance(cause, socket.gaierror):
        text = f"{its} has a host name that cannot be resolved; {advice}."
        return _unreachable(text, may_pass=cause.errno == socket.EAI_AGAIN)
    if isinstance(cause, TimeoutError):
        text = f"{its} did not answer within {timeout_seconds:g} s; {advice}."
        return RequestFailedError(ClusterTimeout(text), may_pass=True)
    if isinstance(cause, ConnectionRefusedError):
        return _unreachable(f"{its} refuses the connection: is it up? {advice[0].upper()}{advice[1:]}.")
    if isinstance(cause, (ConnectionError, HTTPException)):
        return _unreachable(f"{its} closed the connection before it answered; {advice}.")
    if _is_no_route(cause):
        return _unreachable(f"{its} cannot be reached: there is no route to it; is the network (VPN) up?")
    return _unreachable(f"{its} cannot be reached: {to_plain(str(cause), MESSAGE_CHARACTERS)}; {advice}.")


def _find_reason(err: ssl.SSLCertVerificationError) -> str:
    return to_plain(err.verify_message or str(err), MESSAGE_CHARACTERS)


def _explain_proxy_refusal(status: int, words: str, server: str, proxy: Proxy) -> RequestFailedError:
    said = f"{server}: its proxy {proxy.url} (of {proxy.named_by}) answered {status}"
    phrase = to_plain(words, FIRST_LINE_CHARACTERS)
    if status == 407:
        wish = "does not accept its user and password" if proxy.authorization else "wants a user and a password"
        text = f"{said}: it {wish}; write them into {proxy.named_by} (http://USER:PASSWORD@{proxy.host}:{proxy.port})."
        return _unreachable(text, may_pass=False)
    if status >= 500:
        return _unreachable(f"{said} ({phrase}): it cannot reach the server; is the server's URL right, and is it up?")
    text = f"{said} ({phrase}): it does not let us through to this server; ask who runs it, or use another way."
    return _unreachable(text, may_pass=status == 429)


# Numbers of the checks that OpenSSL makes: include/openssl/x509_vfy.h, X509_V_ERR_….
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_AUTHORITY = (19, 20, 21)
_OTHER_NAME = (62, 64)


def _explain_verification(
    err: ssl.SSLCertVerificationError, peer: Peer, look_at_certificate: Callable[[], Certificate]
) -> str:
    its = f"{peer.server}: its TLS certificate"
    code = err.verify_code
    if code == _EXPIRED:
        since = _find_past_instant(look_at_certificate().get("notAfter"))
        return (
            f"{its} {f'expired on {since}' if since else 'has expired'}; "
            "the cluster's administrator must renew it (is this machine's clock right?)."
        )
    if code == _NOT_YET_VALID:
        return f"{its} is not valid yet; is this machine's clock right?"
    if code in _OTHER_NAME:
        names = ", ".join(_list_names(look_at_certificate()))
        return (
            f"{its} is not for {peer.host}{f' but for {names}' if names else ''}; "
            "correct the server's URL, or set tls-server-name in the kubeconfig."
        )
    if code == _SELF_SIGNED or code in _UNKNOWN_AUTHORITY:
        self_signed = "self-signed and " if code == _SELF_SIGNED else ""
        if peer.has_own_ca:
            return (
                f"{its} is {self_signed}not signed by the CA in the kubeconfig; correct certificate-authority(-data), "
                "or log in again for a new kubeconfig."
            )
        return (
            f"{its} is {self_signed}not signed by an authority that this system trusts; "
            "name its CA in the kubeconfig (certificate-authority)."
        )
    return f"{its} was not accepted: {to_plain(err.verify_message or str(err), MESSAGE_CHARACTERS)}."


def _find_past_instant(not_after: str | None) -> str | None:
    # where an authority in the chain has expired, the server's own certificate may still be good
    if not not_after:
        return None
    at = datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), UTC)
    return format_instant(at) if at < datetime.now(UTC) else None


def _list_names(certificate: Certificate) -> list[str]:
    return [to_plain(name, FIRST_LINE_CHARACTERS) for _kind, name in certificate.get("subjectAltName", ())[:20]]


# What OpenSSL says where the other side's first bytes are no TLS record.
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
)
_ALERTS_ON_CLIENT_CERTIFICATES = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR")


def _explain_tls(err: ssl.SSLError, peer: Peer) -> RequestFailedError:
    reason = err.reason or ""
    if reason in _NOT_TLS:
        return _unreachable(
            f"{peer.server}: the server does not speak TLS on this port; check the server's URL in the kubeconfig "
            "(a plain HTTP server's begins with http://).",
            may_pass=False,
        )
    if "ALERT" in reason and any(part in reason for part in _ALERTS_ON_CLIENT_CERTIFICATES):
        wish = (
            "rejected the client certificate of the kubeconfig's user; log in again for a new one"
            if peer.has_client_certificate
            else "asks for a client certificate, and the kubeconfig's user has none"
        )
        text = f"{peer.server}: the server {wish} (TLS: {_spell(reason)})."
        return RequestFailedError(ClusterUnauthorized(text), may_pass=False)
    if "ALERT" in reason or "PROTOCOL" in reason:
        return _unreachable(f"{peer.server}: no common TLS version or cipher (TLS: {_spell(reason)}).", may_pass=False)
    return _unreachable(f"{peer.server}: the TLS connection broke ({_spell(reason) or 'closed by the server'}).")


def _spell(reason: str) -> str:
    return reason.replace("_", " ").lower()
