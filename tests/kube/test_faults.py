"""What can go wrong between us and an API server, over TLS, with the words that the user reads."""

import gzip
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomdb.errors import (
    ClusterAnswerError,
    ClusterError,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
    KubeconfigError,
    OomdbError,
)
from oomdb.kube.clusters import ClusterTarget
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import (
    NOT_JSON,
    Action,
    CutBody,
    Delay,
    Fault,
    Faults,
    Hang,
    Refuse,
    Reset,
    Trickle,
    html_page,
    too_many_requests,
)
from oomdb.simulator.kubeconfig import ContextEntry
from oomdb.simulator.server import RunningServer, serve

from .connecting import ScriptedServer, change_cluster, connect, load_target, target_of

FOREIGN_LIBRARIES = ("urllib3", "ssl", "msgspec", "http", "socket", "zlib", "isal")


def serve_fault(action: Action, *, times: int | None = None) -> RunningServer:
    namespaces = [{"metadata": {"name": f"namespace-{number}"}} for number in range(20)]
    return serve(SimulatedCluster(namespaces=namespaces), faults=Faults(Fault(match="", action=action, times=times)))


def fail(
    target: ClusterTarget,
    error: type[OomdbError],
    *,
    retries: int = 0,
    timeout_seconds: float = 20,
    waits: list[float] | None = None,
) -> str:
    """Return the words with which listing the namespaces fails."""
    with (
        connect(target, retries=retries, timeout_seconds=timeout_seconds, waits=waits) as client,
        pytest.raises(OomdbError) as caught,
    ):
        client.list_namespaces()
    assert type(caught.value) is error
    return str(caught.value)


# --- tried again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        too_many_requests(),
        Refuse(500),
        Refuse(503),
        html_page(502),
        Refuse(504),
        Reset(),
        CutBody(),
        CutBody(chunked=True),
    ],
    ids=["429", "500", "503", "502-page", "504", "reset", "cut", "cut-chunked"],
)
def test_trouble_that_passes_is_tried_again(tmp_path: Path, action: Action) -> None:
    waits: list[float] = []
    with (
        serve_fault(action, times=2) as server,
        connect(target_of(server, tmp_path), retries=2, waits=waits) as client,
    ):
        assert len(client.list_namespaces()) == 20
        assert (client.requests, client.retries) == (3, 2)
    assert len(waits) == 2


def test_the_wait_doubles_up_to_its_cap_when_the_server_names_none(tmp_path: Path) -> None:
    waits: list[float] = []
    with serve_fault(Refuse(503)) as server:
        fail(target_of(server, tmp_path), ClusterAnswerError, retries=8, waits=waits)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("7", 7),
        ("86400", 60),
        ("0", 0),
        ("Wed, 21 Oct 2015 07:28:05 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
        ("soon", 0.5),
        ("-1", 0.5),
        ("", 0.5),
        ("٣", 0.5),
    ],
)
def test_the_servers_wish_to_be_left_alone_is_honoured_up_to_a_minute(
    tmp_path: Path, retry_after: str, wait: float
) -> None:
    waits: list[float] = []
    refusal = answer(b"", b"Retry-After: " + retry_after.encode() + b"\r\n", status=b"429 Busy")
    with ScriptedServer(refusal, Authority()) as server:
        fail(server.target(tmp_path), ClusterAnswerError, retries=1, waits=waits)
    assert waits == [wait]


def test_a_date_to_come_back_at_is_counted_by_the_servers_clock(tmp_path: Path) -> None:
    waits: list[float] = []
    dates = b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:12 GMT\r\n"
    refusal = answer(b"", dates, status=b"503 Busy")
    with ScriptedServer(refusal, Authority()) as server:
        fail(server.target(tmp_path), ClusterAnswerError, retries=1, waits=waits)
    assert waits == [12]


# --- what the user reads --------------------------------------------------------------------------------------------


def test_a_busy_server_is_told_with_its_words_and_the_tries(tmp_path: Path) -> None:
    with serve_fault(too_many_requests()) as server:
        words = fail(target_of(server, tmp_path), ClusterAnswerError, retries=3)
    assert words == f"{server.url}: answered 429: Too many requests, please try again later. (tried 4 times)"


def test_a_reset_connection(tmp_path: Path) -> None:
    with serve_fault(Reset()) as server:
        words = fail(target_of(server, tmp_path), ClusterUnreachable)
    assert words == f"{server.url}: the connection was closed before an answer came."


def test_a_refused_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    entry = ContextEntry(context="dev", server=url, token="t", authority_pem=Authority().pem)
    words = fail(load_target(tmp_path, entry), ClusterUnreachable, retries=1)
    assert words == f"{url}: connection refused; is the API server up, and its port right? (tried 2 times)"


def test_a_name_that_does_not_resolve(tmp_path: Path) -> None:
    entry = ContextEntry(context="dev", server="https://api.nowhere.invalid:6443", token="t")
    words = fail(load_target(tmp_path, entry), ClusterUnreachable)
    assert words == (
        "https://api.nowhere.invalid:6443: the host name cannot be resolved; "
        "check the server's URL in the kubeconfig, DNS and VPN."
    )


@pytest.mark.parametrize("action", [Hang(), Delay(30)], ids=["hang", "late"])
def test_a_server_that_does_not_answer_in_time(tmp_path: Path, action: Action) -> None:
    with serve_fault(action) as server:
        words = fail(target_of(server, tmp_path), ClusterTimeout, timeout_seconds=0.3)
    assert words == f"{server.url}: no answer within 0.3 s; is it reachable from here (VPN, firewall)?"


def test_a_server_that_sends_a_byte_now_and_then_does_not_hold_us(tmp_path: Path) -> None:
    with serve_fault(Trickle(0.05)) as server:
        words = fail(target_of(server, tmp_path), ClusterTimeout, timeout_seconds=0.5)
    assert words.startswith(f"{server.url}: the answer stalled after ")


def test_a_server_whose_headers_trickle_does_not_hold_us(tmp_path: Path) -> None:
    with ScriptedServer(answer(b"{}", b"X-Long: " + b"x" * 5000), Authority(), pause_seconds=0.05) as server:
        words = fail(server.target(tmp_path), ClusterTimeout, timeout_seconds=0.5)
    assert words == f"{server.url}: no answer within 0.5 s; is it reachable from here (VPN, firewall)?"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_cut_in_the_middle(tmp_path: Path, chunked: bool) -> None:
    with serve_fault(CutBody(chunked=chunked)) as server:
        words = fail(target_of(server, tmp_path), ClusterAnswerError, retries=1)
    assert words.startswith(f"{server.url}: answer cut after ")
    assert words.endswith(" bytes. (tried 2 times)")


def test_json_cut_in_the_middle_of_a_body_that_seems_whole(tmp_path: Path) -> None:
    with ScriptedServer(answer(b'{"kind":"NamespaceList","items":[{"meta'), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError, retries=1)
    assert words == f"{server.url}: answer cut after 39 bytes. (tried 2 times)"


def test_json_cut_in_a_body_without_a_length(tmp_path: Path) -> None:
    with ScriptedServer(b'HTTP/1.1 200 OK\r\n\r\n{"kind":"Nam', Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    assert words == f"{server.url}: answer cut after 12 bytes."


def test_gzip_that_is_cut(tmp_path: Path) -> None:
    body = gzip.compress(b'{"kind":"NamespaceList","items":[]}', mtime=0)[:-12]
    with ScriptedServer(answer(body, b"Content-Encoding: gzip\r\n"), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    assert words == f"{server.url}: answer cut after {len(body)} bytes."


def test_gzip_that_is_damaged(tmp_path: Path) -> None:
    with ScriptedServer(answer(b"no gzip at all", b"Content-Encoding: gzip\r\n"), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    assert words == f"{server.url}: the answer's gzip is damaged."


def test_an_encoding_that_nobody_asked_for(tmp_path: Path) -> None:
    with ScriptedServer(answer(b"?", b"Content-Encoding: br\r\n"), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    assert words == f"{server.url}: answered with content-encoding 'br', which was not asked for."


def test_a_proxys_login_page_is_shown_by_its_first_line(tmp_path: Path) -> None:
    with serve_fault(html_page(200)) as server:
        words = fail(target_of(server, tmp_path), ClusterAnswerError, retries=3)
    assert words == (
        f"{server.url}: answered 200, but not as the Kubernetes API does (is a proxy or a login page in between?). "
        "First line: '<!DOCTYPE html>'"
    )
    assert len(server.requests) == 1


def test_text_that_is_not_json_is_shown_by_its_first_line(tmp_path: Path) -> None:
    with serve_fault(NOT_JSON) as server:
        words = fail(target_of(server, tmp_path), ClusterAnswerError)
    assert words.endswith("First line: 'upstream said: no healthy upstream'")


def test_a_page_instead_of_a_log_is_no_log(tmp_path: Path) -> None:
    with (
        serve_fault(html_page(200)) as server,
        connect(target_of(server, tmp_path)) as client,
        pytest.raises(ClusterAnswerError) as caught,
    ):
        client.read_log("shop", "web", "web", previous=False, tail_lines=None, limit_bytes=1000)
    assert str(caught.value).endswith("First line: '<!DOCTYPE html>'")


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    page = html_page(302, location="https://login.example.com/auth?state=secret")
    with serve_fault(page) as server:
        words = fail(target_of(server, tmp_path), ClusterAnswerError)
    assert words == (
        f"{server.url}: answered 302, but not as the Kubernetes API does "
        "(it sends us to https://login.example.com: is a login page in between?). First line: '<!DOCTYPE html>'"
    )
    assert len(server.requests) == 1


def test_a_gateways_403_is_not_taken_for_a_missing_permission(tmp_path: Path) -> None:
    with serve_fault(html_page(403)) as server:
        words = fail(target_of(server, tmp_path), ClusterAnswerError)
    assert words.startswith(f"{server.url}: answered 403, but not as the Kubernetes API does")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "Object missing required field `kind`"),
        (b'{"kind":"NamespaceList"}', "Object missing required field `items`"),
        (b'{"kind":"PodList","items":[]}', "Expected `NamespaceList`, got `PodList` - at `$.kind`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"kind":"NamespaceList","items":[{"metadata":{"name":7}}]}', "Expected `str`, got `int`"),
    ],
)
def test_json_that_is_no_list_never_passes_for_an_empty_one(tmp_path: Path, body: bytes, why: str) -> None:
    with ScriptedServer(answer(body), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    assert words.startswith(f"{server.url}: answered 200, but not as the Kubernetes API does ({why}")


def test_a_list_whose_pages_never_end_is_an_error(tmp_path: Path) -> None:
    body = b'{"kind":"NamespaceList","metadata":{"continue":"again"},"items":[]}'
    with ScriptedServer(answer(body), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    assert words == "The server repeats the same page of a list without end; is a cache in between?"


def test_what_a_hostile_server_says_is_one_short_visible_line(tmp_path: Path) -> None:
    body = b"\n\x1b[31mred\x07 \xe2\x80\xae" + b"x" * 300 + b"\nsecond line"
    with ScriptedServer(answer(body), Authority()) as server:
        words = fail(server.target(tmp_path), ClusterAnswerError)
    first_line = words.partition("First line: ")[2]
    assert first_line == f"'[31mred {'x' * 191}…'"


def test_an_answer_that_is_no_http(tmp_path: Path) -> None:
    with ScriptedServer(b"SSH-2.0-OpenSSH_9.6\r\n", Authority()) as server:
        words = fail(server.target(tmp_path), ClusterUnreachable)
    assert words == f"{server.url}: the connection was closed before an answer came."


@pytest.mark.parametrize("status", [b"200 OK", b"400 Bad", b"401 No", b"403 No", b"404 No", b"503 Busy"])
def test_a_token_that_comes_back_is_never_shown(tmp_path: Path, status: bytes) -> None:
    echoes = (
        b"GET / HTTP/1.1 Authorization: Bearer s3cret-token",
        b'{"kind":"Status","message":"who is Bearer s3cret-token?"}',
    )
    for echo in echoes:
        with (
            ScriptedServer(answer(echo, status=status), Authority()) as server,
            connect(server.target(tmp_path)) as client,
            pytest.raises(ClusterError) as caught,
        ):
            client.list_namespaces()
        assert "s3cret" not in str(caught.value)


def test_a_token_that_cannot_be_sent_is_not_shown(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server:
        words = fail(target_of(server, tmp_path, token="s3cret\u2028näive"), ClusterUnauthorized)
    assert "s3cret" not in words
    assert server.requests == []


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_an_expired_certificate(tmp_path: Path) -> None:
    authority = Authority()
    expired = authority.server_certificate(expired=True)
    with serve(SimulatedCluster(), authority=authority, certificate=expired) as server:
        words = fail(target_of(server, tmp_path), ClusterUnreachable, retries=3)
    since = words.removeprefix(f"{server.url}: its TLS certificate expired on ").partition(";")[0]
    assert datetime.fromisoformat(since) < datetime.now(UTC)
    assert words.endswith("; the cluster's administrator must renew it (is this machine's clock right?).")
    assert server.requests == []


def test_a_certificate_of_an_unknown_authority(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server:
        words = fail(target_of(server, tmp_path, authority_pem=Authority().pem), ClusterUnreachable, retries=3)
    assert words == (
        f"{server.url}: its TLS certificate is not signed by the CA in the kubeconfig; "
        "correct certificate-authority(-data), or log in again for a new kubeconfig."
    )


def test_a_certificate_that_the_system_does_not_trust(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server:
        words = fail(target_of(server, tmp_path, authority_pem=""), ClusterUnreachable)
    assert words == (
        f"{server.url}: its TLS certificate is not signed by an authority that this system trusts; "
        "name its CA in the kubeconfig (certificate-authority)."
    )


def test_a_certificate_for_other_names(tmp_path: Path) -> None:
    authority = Authority()
    other = authority.server_certificate("api.example.com", "10.0.0.1")
    with serve(SimulatedCluster(), authority=authority, certificate=other) as server:
        words = fail(target_of(server, tmp_path), ClusterUnreachable)
    assert words == (
        f"{server.url}: its TLS certificate is not for 127.0.0.1 but for api.example.com, 10.0.0.1; "
        "correct the server's URL, or set tls-server-name in the kubeconfig."
    )


def test_tls_server_name_is_the_name_that_is_checked(tmp_path: Path) -> None:
    authority = Authority()
    other = authority.server_certificate("api.example.com")
    with serve(SimulatedCluster(), authority=authority, certificate=other) as server:
        target = target_of(server, tmp_path)
        right = change_cluster(target, lambda entry: replace(entry, tls_server_name="api.example.com"))
        wrong = change_cluster(target, lambda entry: replace(entry, tls_server_name="api.example.org"))
        with connect(right) as client:
            assert client.list_namespaces() == []
        words = fail(wrong, ClusterUnreachable)
    assert "is not for api.example.org but for api.example.com;" in words


def test_no_check_is_made_where_the_kubeconfig_says_so(tmp_path: Path) -> None:
    expired = Authority().server_certificate("elsewhere", expired=True)
    with serve(SimulatedCluster(), certificate=expired) as server:
        target = target_of(server, tmp_path, authority_pem="")
        insecure = change_cluster(target, lambda entry: replace(entry, insecure_skip_tls_verify=True))
        with connect(insecure) as client:
            assert client.list_namespaces() == []


def test_a_plain_http_server_at_an_https_url(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), plain_http=True) as server:
        url = server.url.replace("http://", "https://")
        target = change_cluster(target_of(server, tmp_path), lambda entry: replace(entry, server=url))
        words = fail(target, ClusterUnreachable, retries=3)
    assert words == (
        f"{url}: the server does not speak TLS on this port; check the server's URL in the kubeconfig "
        "(a plain HTTP server's begins with http://)."
    )


def test_a_client_certificate_that_is_asked_for_and_missing(tmp_path: Path) -> None:
    authority = Authority()
    with ScriptedServer(answer(b"{}"), authority, client_authority=authority) as server:
        words = fail(server.target(tmp_path), ClusterUnauthorized, retries=3)
    assert words == (
        f"{server.url}: the server asks for a client certificate, and the kubeconfig's user has none "
        "(TLS: tlsv13 alert certificate required)."
    )


def test_a_client_certificate_that_is_rejected(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority()
    with ScriptedServer(answer(b"{}"), authority, client_authority=authority) as server:
        target = server.target(tmp_path, client=stranger.client_certificate("admin"))
        words = fail(target, ClusterUnauthorized, retries=3)
    assert words == (
        f"{server.url}: the server rejected the client certificate of the kubeconfig's user; "
        "log in again for a new one (TLS: tlsv1 alert unknown ca)."
    )


@pytest.mark.parametrize("server_url", ["ftp://api.example.com", "https://", "https://u:s3cret@api.example.com", "::"])
def test_a_server_that_is_no_url_is_the_kubeconfigs_fault(tmp_path: Path, server_url: str) -> None:
    with serve(SimulatedCluster()) as server:
        target = change_cluster(target_of(server, tmp_path), lambda entry: replace(entry, server=server_url))
        words = fail(target, KubeconfigError)
    assert "it should look like https://api.example.com:6443." in words
    assert "s3cret" not in words


# --- nothing foreign leaks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        Refuse(400, body=b"\xff\xfe"),
        Refuse(418),
        Refuse(204, body=b""),
        Refuse(410),
        Refuse(503, body=b""),
        html_page(200),
        html_page(301, location="::::"),
        CutBody(),
        CutBody(chunked=True),
        Reset(),
        NOT_JSON,
    ],
    ids=repr,
)
def test_no_error_of_another_library_leaks(tmp_path: Path, action: Action) -> None:
    with serve_fault(action) as server, connect(target_of(server, tmp_path)) as client:
        calls: list[Callable[[], object]] = [
            client.server_version,
            client.list_namespaces,
            client.list_projects,
            lambda: list(client.iter_pod_pages(None)),
            lambda: list(client.iter_event_pages("shop")),
            lambda: client.get_pod("shop", "web"),
            lambda: client.list_pod_events("shop", "web", "uid"),
        ]
        for call in calls:
            with pytest.raises(ClusterError) as caught:
                call()
            assert type(caught.value).__module__.partition(".")[0] not in FOREIGN_LIBRARIES
            assert str(caught.value)


def answer(body: bytes, headers: bytes = b"", *, status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: " + str(len(body)).encode() + b"\r\n"
    return b"HTTP/1.1 " + status + b"\r\nConnection: close\r\n" + headers + length + b"\r\n" + body
