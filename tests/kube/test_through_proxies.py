"""A cluster behind a proxy that is a process of its own: what goes through, what is checked, what the user reads."""

import base64
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import ClusterAnswerError, ClusterTimeout, ClusterUnreachable, OomdbError
from oomdb.kube.clusters import ClusterTarget
from oomdb.kube.lists import Page
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Faults, Refuse, Trickle
from oomdb.simulator.server import RunningServer, serve

from .connecting import connect, load_login
from .proxy import RunningProxy, run_proxy

TOKEN = {"token": "token"}
CLUSTER = SimulatedCluster(namespaces=[{"metadata": {"name": "shop"}}])
NAME = "api.dev.invalid"  # no resolver knows it; the proxy leads it to loopback


def behind(proxy: RunningProxy, server: RunningServer, folder: Path, *, userinfo: str = "") -> ClusterTarget:
    """Return a server with a proxy-url."""
    return load_login(
        folder, TOKEN, server=server.url, authority_pem=server.authority_pem, proxy_url=proxy.url(userinfo)
    )


def named(server: RunningServer, folder: Path, **environ: str) -> ClusterTarget:
    """Return a server by a name that only the proxy can resolve."""
    url = f"{server.url.partition('://')[0]}://{NAME}:{server.port}"
    return load_login(folder, TOKEN, server=url, authority_pem=server.authority_pem, environ=environ)


def fail(target: ClusterTarget, error: type[OomdbError], *, timeout_seconds: float = 20, retries: int = 0) -> str:
    with (
        connect(target, timeout_seconds=timeout_seconds, retries=retries) as client,
        pytest.raises(OomdbError) as caught,
    ):
        client.list_namespaces()
    assert type(caught.value) is error
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def serve_named(**options: Any) -> RunningServer:
    authority = Authority()
    return serve(CLUSTER, authority=authority, certificate=authority.server_certificate(NAME), **options)


# --- what goes through ----------------------------------------------------------------------------------------------


def test_all_requests_take_one_tunnel_through_the_proxy_of_the_kubeconfig(tmp_path: Path) -> None:
    with run_proxy(tmp_path) as proxy, serve(CLUSTER) as server:
        with connect(behind(proxy, server, tmp_path)) as client:
            assert len(client.list_namespaces()) == 1
            assert list(client.iter_pod_pages("shop")) == [Page([])]
        assert proxy.requests == [f"CONNECT 127.0.0.1:{server.port}"]
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer token"] * 2
    assert "proxy-authorization" not in server.requests[0].headers


def test_the_proxy_of_the_environment_resolves_the_servers_name(tmp_path: Path) -> None:
    with run_proxy(tmp_path) as proxy, serve_named() as server:
        with connect(named(server, tmp_path, https_proxy=proxy.url())) as client:
            assert len(client.list_namespaces()) == 1
        assert proxy.requests == [f"CONNECT {NAME}:{server.port}"]


def test_a_server_of_no_proxy_is_asked_directly(tmp_path: Path) -> None:
    with run_proxy(tmp_path) as proxy, serve_named() as server:
        words = fail(named(server, tmp_path, HTTPS_PROXY=proxy.url(), NO_PROXY=".invalid"), ClusterUnreachable)
        assert proxy.requests == []
    assert "the host name cannot be resolved" in words


def test_a_server_on_loopback_is_asked_directly_whatever_the_environment_says(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://proxy.invalid:3128"}
    with serve(CLUSTER) as server:
        target = load_login(tmp_path, TOKEN, server=server.url, authority_pem=server.authority_pem, environ=environ)
        with connect(target) as client:
            assert len(client.list_namespaces()) == 1


def test_a_server_without_tls_is_asked_by_its_whole_url(tmp_path: Path) -> None:
    with run_proxy(tmp_path) as proxy, serve(CLUSTER, plain_http=True) as server:
        with connect(named(server, tmp_path, HTTP_PROXY=proxy.url())) as client:
            assert len(client.list_namespaces()) == 1
        assert proxy.requests == [f"GET http://{NAME}:{server.port}/api/v1/namespaces?limit=500"]
    assert server.requests[0].headers["host"] == f"{NAME}:{server.port}"


def test_a_proxy_may_speak_tls_itself(tmp_path: Path) -> None:
    authority = Authority()
    with (
        run_proxy(tmp_path, pair=authority.server_certificate()) as proxy,
        serve(CLUSTER, authority=authority) as server,
    ):
        with connect(behind(proxy, server, tmp_path)) as client:
            assert len(client.list_namespaces()) == 1
        assert proxy.requests == [f"CONNECT 127.0.0.1:{server.port}"]


def test_the_password_of_the_proxy_is_sent_to_it_alone(tmp_path: Path) -> None:
    wanted = f"Basic {base64.b64encode(b'me:p@s3cret').decode()}"
    with run_proxy(tmp_path, authorization=wanted) as proxy, serve(CLUSTER) as server:
        with connect(behind(proxy, server, tmp_path, userinfo="me:p%40s3cret@")) as client:
            assert len(client.list_namespaces()) == 1
        assert "s3cret" not in repr(behind(proxy, server, tmp_path, userinfo="me:p%40s3cret@"))
    assert "proxy-authorization" not in server.requests[0].headers


def test_a_client_certificate_reaches_the_server_through_the_proxy(tmp_path: Path) -> None:
    authority = Authority()
    me = authority.client_certificate("admin")
    fields = {
        "client-certificate-data": base64.b64encode(me.certificate_pem.encode()).decode(),
        "client-key-data": base64.b64encode(me.key_pem.encode()).decode(),
    }
    with (
        run_proxy(tmp_path) as proxy,
        serve(CLUSTER, authority=authority, ask_client_certificate=True) as server,
    ):
        target = load_login(tmp_path, fields, server=server.url, authority_pem=authority.pem, proxy_url=proxy.url())
        with connect(target) as client:
            assert len(client.list_namespaces()) == 1
    assert server.requests[0].user == "admin"


# --- what is checked ------------------------------------------------------------------------------------------------


def test_the_servers_certificate_is_checked_through_the_proxy(tmp_path: Path) -> None:
    with run_proxy(tmp_path) as proxy, serve(CLUSTER) as server:
        unknown = load_login(tmp_path, TOKEN, server=server.url, authority_pem=Authority().pem, proxy_url=proxy.url())
        words = fail(unknown, ClusterUnreachable)
        assert words.startswith(f"{server.url}: its TLS certificate is not signed by the CA in the kubeconfig;")
        other = load_login(
            tmp_path,
            TOKEN,
            server=server.url,
            authority_pem=server.authority_pem,
            proxy_url=proxy.url(),
            tls_server_name="api.example.org",
        )
        words = fail(other, ClusterUnreachable)
    assert "its TLS certificate is not for api.example.org but for 127.0.0.1, localhost;" in words
    assert server.requests == []


def test_tls_server_name_is_checked_through_the_proxy(tmp_path: Path) -> None:
    with run_proxy(tmp_path) as proxy, serve_named() as server:
        target = load_login(
            tmp_path,
            TOKEN,
            server=server.url,
            authority_pem=server.authority_pem,
            proxy_url=proxy.url(),
            tls_server_name=NAME,
        )
        with connect(target) as client:
            assert len(client.list_namespaces()) == 1


def test_an_expired_certificate_is_dated_through_the_proxy(tmp_path: Path) -> None:
    authority = Authority()
    expired = authority.server_certificate(expired=True)
    with run_proxy(tmp_path) as proxy, serve(CLUSTER, authority=authority, certificate=expired) as server:
        words = fail(behind(proxy, server, tmp_path), ClusterUnreachable)
    since = words.removeprefix(f"{server.url}: its TLS certificate expired on ").partition(";")[0]
    assert datetime.fromisoformat(since) < datetime.now(UTC)


def test_a_slow_answer_does_not_hold_us_through_the_proxy(tmp_path: Path) -> None:
    faults = Faults(Fault(match="", action=Trickle(0.05)))
    with run_proxy(tmp_path) as proxy, serve(CLUSTER, faults=faults) as server:
        words = fail(behind(proxy, server, tmp_path), ClusterTimeout, timeout_seconds=0.5)
    assert words.startswith(f"{server.url} (through the proxy {proxy.url()}): the answer stalled after ")


# --- what the user reads --------------------------------------------------------------------------------------------


def test_a_proxy_that_refuses_the_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = RunningProxy(listener.getsockname()[1], tmp_path / "none")
    with serve_named() as server:
        words = fail(behind(proxy, server, tmp_path, userinfo="me:s3cret@"), ClusterUnreachable, retries=1)
        assert words == (
            f"{server.url}: its proxy {proxy.url()} (of proxy-url) refuses the connection: is it up? Correct proxy-url "
            "in the kubeconfig, or remove it if the server can be reached without. (tried 2 times)"
        )
        words = fail(named(server, tmp_path, HTTPS_PROXY=proxy.url("me:s3cret@")), ClusterUnreachable)
        assert words == (
            f"https://{NAME}:{server.port}: its proxy {proxy.url()} (of HTTPS_PROXY) refuses the connection: is it up? "
            "Correct HTTPS_PROXY, or list the server in NO_PROXY if it can be reached without."
        )


def test_a_proxy_whose_name_does_not_resolve(tmp_path: Path) -> None:
    with serve_named() as server:
        words = fail(named(server, tmp_path, HTTPS_PROXY="http://me:s3cret@proxy.invalid:3128"), ClusterUnreachable)
    assert words == (
        f"https://{NAME}:{server.port}: its proxy http://proxy.invalid:3128 (of HTTPS_PROXY) has a host name that "
        "cannot be resolved; correct HTTPS_PROXY, or list the server in NO_PROXY if it can be reached without."
    )


def test_a_proxy_that_says_nothing(tmp_path: Path) -> None:
    with run_proxy(tmp_path, hang=True) as proxy, serve(CLUSTER) as server:
        words = fail(behind(proxy, server, tmp_path), ClusterTimeout, timeout_seconds=0.5)
    assert words == (
        f"{server.url} (through the proxy {proxy.url()}): no answer within 0.5 s; "
        "is it reachable from here (VPN, firewall)?"
    )


@pytest.mark.parametrize(
    ("userinfo", "wish"),
    [("", "wants a user and a password"), ("me:s3cret@", "does not accept its user and password")],
)
def test_a_proxy_that_wants_another_password(tmp_path: Path, userinfo: str, wish: str) -> None:
    with run_proxy(tmp_path, authorization="Basic b3RoZXI6b25l") as proxy, serve(CLUSTER) as server:
        words = fail(behind(proxy, server, tmp_path, userinfo=userinfo), ClusterUnreachable, retries=3)
    assert words == (
        f"{server.url}: its proxy {proxy.url()} (of proxy-url) answered 407: it {wish}; "
        f"write them into proxy-url (http://USER:PASSWORD@127.0.0.1:{proxy.port})."
    )


@pytest.mark.parametrize(
    ("status", "words", "tries"),
    [
        (403, "(No Way): it does not let us through to this server; ask who runs it, or use another way.", 1),
        (502, "(No Way): it cannot reach the server; is the server's URL right, and is it up? (tried 2 times)", 2),
    ],
)
def test_a_proxy_that_does_not_let_us_through(tmp_path: Path, status: int, words: str, tries: int) -> None:
    with run_proxy(tmp_path, refuse=status) as proxy, serve(CLUSTER) as server:
        read = fail(behind(proxy, server, tmp_path), ClusterUnreachable, retries=1)
        assert read == f"{server.url}: its proxy {proxy.url()} (of proxy-url) answered {status} {words}"
        assert len(proxy.requests) == tries


def test_a_server_that_the_proxy_cannot_reach(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with run_proxy(tmp_path) as proxy:
        target = load_login(tmp_path, TOKEN, server=url, authority_pem=Authority().pem, proxy_url=proxy.url())
        words = fail(target, ClusterUnreachable)
    assert words.startswith(
        f"{url}: its proxy {proxy.url()} (of proxy-url) answered 502 (Bad Gateway): it cannot reach"
    )


def test_a_proxy_with_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    with run_proxy(tmp_path, pair=Authority().server_certificate()) as proxy, serve(CLUSTER) as server:
        words = fail(behind(proxy, server, tmp_path), ClusterUnreachable, retries=3)
    assert words.startswith(
        f"{server.url}: its proxy {proxy.url()} (of proxy-url) has a TLS certificate that is not accepted ("
    )


def test_a_proxy_that_does_not_speak_tls_as_its_url_says(tmp_path: Path) -> None:
    with serve(CLUSTER, plain_http=True) as proxy, serve(CLUSTER) as server:
        url = proxy.url.replace("http:", "https:")
        target = load_login(tmp_path, TOKEN, server=server.url, authority_pem=server.authority_pem, proxy_url=url)
        words = fail(target, ClusterUnreachable, retries=3)
    assert words == (
        f"{server.url}: its proxy {url} (of proxy-url) does not speak TLS as asked (wrong version number); "
        "correct proxy-url in the kubeconfig, or remove it if the server can be reached without."
    )


def test_an_error_of_the_server_names_the_proxy_too(tmp_path: Path) -> None:
    faults = Faults(Fault(match="", action=Refuse(503)))
    with run_proxy(tmp_path) as proxy, serve(CLUSTER, faults=faults) as server:
        words = fail(behind(proxy, server, tmp_path), ClusterAnswerError)
    assert words.startswith(f"{server.url} (through the proxy {proxy.url()}): answered 503: ")
