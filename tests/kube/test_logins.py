"""Who we are while a scan goes on: plug-ins whose answers expire, files that rotate, contexts that take over."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import ClusterAnswerError, ClusterNotFound, ClusterUnauthorized
from oomdb.kube.client import ClusterClient
from oomdb.kube.impersonation import Impersonation
from oomdb.simulator.certificates import Authority, KeyPair
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import CutBody, Fault, Faults, Refuse, html_page
from oomdb.simulator.kubeconfig import ContextEntry
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import RunningServer, serve

from .connecting import connect, load_login, load_target, target_of
from .kubeconfigs import plugin

CLUSTER = SimulatedCluster(
    namespaces=[{"metadata": {"name": "shop"}}],
    pods=[
        {"metadata": {"name": f"web-{number:04}", "namespace": "shop", "uid": str(number)}} for number in range(1200)
    ],
)
EXPIRED = {"expirationTimestamp": "2020-01-01T00:00:00Z"}


def issuing(folder: Path, statuses: Sequence[dict[str, Any]], *, version: str = "v1") -> dict[str, Any]:
    """Return a user whose plug-in issues one status after the other, then the last one again and again."""
    api_version = f"client.authentication.k8s.io/{version}"
    for number, status in enumerate(statuses):
        answer = {"kind": "ExecCredential", "apiVersion": api_version, "status": status}
        (folder / f"answer-{number}").write_text(json.dumps(answer))
    path = folder / "plugin"
    path.write_text(
        f'#!/bin/sh\ncd "{folder}"\nn=$(cat runs 2> /dev/null || echo 0)\necho $((n + 1)) > runs\n'
        f"[ -e answer-$n ] || n={len(statuses) - 1}\ncat answer-$n\n"
    )
    path.chmod(0o755)
    return plugin(str(path), apiVersion=api_version)


def certificate(pair: KeyPair) -> dict[str, str]:
    return {"clientCertificateData": pair.certificate_pem, "clientKeyData": pair.key_pem}


def count_pods(client: ClusterClient) -> int:
    return sum(len(page.items) for page in client.iter_pod_pages(None))


# --- plug-ins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_token_that_expires_between_two_pages_is_renewed_before_it_is_refused(tmp_path: Path, version: str) -> None:
    user = issuing(
        tmp_path, [{"token": "one", **EXPIRED}, {"token": "two", **EXPIRED}, {"token": "three"}], version=version
    )
    tokens = {"one": "me", "two": "me", "three": "me"}
    with serve(CLUSTER, tokens=tokens) as server:
        target = load_login(tmp_path, user, server=server.url, authority_pem=server.authority_pem)
        with connect(target) as client:
            assert count_pods(client) == 1200
            assert client.retries == 0
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer one",
        "Bearer two",
        "Bearer three",
    ]


def test_a_token_that_is_refused_between_two_pages_is_asked_for_anew(tmp_path: Path) -> None:
    user = issuing(tmp_path, [{"token": "one"}, {"token": "two"}])
    tokens = {"one": "me"}
    with serve(CLUSTER, tokens=tokens) as server:
        target = load_login(tmp_path, user, server=server.url, authority_pem=server.authority_pem)
        with connect(target) as client:
            pages = client.iter_pod_pages(None)
            names = len(next(pages).items)
            tokens.clear()
            tokens["two"] = "me"
            assert names + sum(len(page.items) for page in pages) == 1200
            assert client.retries == 1
    assert [request.status for request in server.requests] == [200, 401, 200, 200]


def test_a_client_certificate_that_expires_between_two_pages_is_replaced(tmp_path: Path) -> None:
    authority = Authority()
    first, second = (certificate(authority.client_certificate(name)) for name in ("one", "two"))
    user = issuing(tmp_path, [first | EXPIRED, second])
    with serve(CLUSTER, authority=authority, ask_client_certificate=True) as server:
        target = load_login(tmp_path, user, server=server.url, authority_pem=authority.pem)
        with connect(target) as client:
            assert count_pods(client) == 1200
    assert [request.user for request in server.requests] == ["one", "two", "two"]
    assert "authorization" not in server.requests[0].headers
    assert server.connection_count == 2


def test_a_client_certificate_that_the_server_rejects_is_asked_for_anew(tmp_path: Path) -> None:
    authority = Authority()
    stranger, known = (certificate(by.client_certificate("me")) for by in (Authority(), authority))
    user = issuing(tmp_path, [stranger, known])
    with serve(CLUSTER, authority=authority, ask_client_certificate=True) as server:
        target = load_login(tmp_path, user, server=server.url, authority_pem=authority.pem)
        with connect(target) as client:
            assert count_pods(client) == 1200
            assert client.retries == 1
    assert {request.user for request in server.requests} == {"me"}


def test_a_plugins_certificate_that_stays_rejected_is_told(tmp_path: Path) -> None:
    authority = Authority()
    user = issuing(tmp_path, [certificate(Authority().client_certificate("me"))])
    with serve(CLUSTER, authority=authority, ask_client_certificate=True) as server:
        target = load_login(tmp_path, user, server=server.url, authority_pem=authority.pem)
        with connect(target, retries=3) as client, pytest.raises(ClusterUnauthorized) as caught:
            client.list_namespaces()
    assert str(caught.value).startswith(
        f"{server.url}: the server rejected the client certificate of the kubeconfig's user; log in again for a new one"
    )


# --- files and contexts ---------------------------------------------------------------------------------------------


def test_a_token_file_that_rotates_between_two_pages_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    tokens = {"one": "me"}
    with serve(CLUSTER, tokens=tokens) as server:
        target = load_login(tmp_path, {"tokenFile": "token"}, server=server.url, authority_pem=server.authority_pem)
        with connect(target) as client:
            pages = client.iter_pod_pages(None)
            next(pages)
            (tmp_path / "new").write_text("two")
            (tmp_path / "new").replace(tmp_path / "token")
            tokens.clear()
            tokens["two"] = "me"
            assert sum(len(page.items) for page in pages) == 700
    assert [request.status for request in server.requests] == [200] * 3


def test_the_next_context_is_tried_when_a_client_certificate_is_rejected(tmp_path: Path) -> None:
    authority = Authority()
    stranger = Authority().client_certificate("me")
    with serve(CLUSTER, authority=authority, ask_client_certificate=True) as server:
        entries = [
            ContextEntry(context="old", server=server.url, authority_pem=authority.pem, client=stranger),
            ContextEntry(context="new", server=server.url, authority_pem=authority.pem, token="token"),
        ]
        with connect(load_target(tmp_path, *entries)) as client:
            assert len(client.list_namespaces()) == 1
            assert client.context_name == "new"
            assert (client.requests, client.retries) == (2, 1)


# --- acting as somebody else ----------------------------------------------------------------------------------------

ACTING = {"token": "token", "as": "röot", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"a/b%": ["1"]}}


def test_who_is_acted_as_is_told_in_headers() -> None:
    acting = Impersonation(
        user="root", uid="7", groups=("a", "b"), extra=(("a/b%é", ("1", "2")), ("!#$&'*+-.^_`|~", ("",)))
    )
    assert list(acting.iter_headers()) == [
        ("Impersonate-User", "root"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-a%2Fb%25%C3%A9", "1"),
        ("Impersonate-Extra-a%2Fb%25%C3%A9", "2"),
        ("Impersonate-Extra-!#$&'*+-.^_`|~", ""),
    ]


def acting_target(folder: Path, server: RunningServer) -> Any:
    return load_login(folder, ACTING, server=server.url, authority_pem=server.authority_pem)


def test_every_request_acts_as_the_user_that_the_kubeconfig_names(tmp_path: Path) -> None:
    with serve(CLUSTER) as server, connect(acting_target(tmp_path, server)) as client:
        assert count_pods(client) == 1200
    for request in server.requests:
        assert request.headers["authorization"] == "Bearer token"
        assert request.headers["impersonate-user"].encode("latin-1").decode() == "röot"
        assert request.headers["impersonate-extra-a%2fb%25"] == "1"


def test_who_may_not_act_as_another_is_told_and_nothing_else_is_asked(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="impersonate"),))
    with serve(CLUSTER, permissions=refused) as server:
        with connect(acting_target(tmp_path, server)) as client:
            for _ in range(2):
                with pytest.raises(ClusterUnauthorized) as caught:
                    client.list_namespaces()
        assert len(server.requests) == 1
    assert str(caught.value).startswith(f"{server.url}: the user of context 'dev' may not act as 'röot' (403: users \"")
    assert str(caught.value).endswith(
        "at the cluster scope); ask for the right to impersonate, or remove as from the user in the kubeconfig."
    )


# --- what an answer tells besides -----------------------------------------------------------------------------------


def test_any_web_servers_404_is_no_cluster(tmp_path: Path) -> None:
    faults = Faults(Fault(match="", action=html_page(404)))
    with serve(CLUSTER, faults=faults) as server, connect(target_of(server, tmp_path)) as client:
        for call in (client.server_version, client.list_projects):
            with pytest.raises(ClusterAnswerError) as caught:
                call()
    assert str(caught.value) == (
        f"{server.url}: answered 404, but not as the Kubernetes API does (is a proxy or a login page in between?). "
        "First line: '<!DOCTYPE html>'"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"404 page not found\n", "the server has no such API (404)."),
        (b'{"kind":"Status","message":"no such thing"}', "no such thing"),
    ],
)
def test_the_apis_own_404_is_not_found(tmp_path: Path, body: bytes, words: str) -> None:
    faults = Faults(Fault(match="", action=Refuse(404, body=body)))
    with serve(CLUSTER, faults=faults) as server, connect(target_of(server, tmp_path)) as client:
        assert client.server_version() == ""
        with pytest.raises(ClusterNotFound) as caught:
            client.list_projects()
    assert str(caught.value).removeprefix(f"{server.url}: ") == words


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_the_bytes_of_answers_that_failed_are_counted(tmp_path: Path, chunked: bool) -> None:
    def count_bytes(*rules: Fault) -> int:
        with serve(CLUSTER, faults=Faults(*rules)) as server, connect(target_of(server, tmp_path), retries=1) as client:
            next(client.iter_pod_pages(None))
            return client.bytes_received

    whole = count_bytes()
    assert count_bytes(Fault(match="", action=CutBody(chunked=chunked), times=1)) == whole + whole // 2


def test_the_servers_clock_is_compared_with_ours(tmp_path: Path) -> None:
    with (
        serve(CLUSTER, clock_offset_seconds=3600) as server,
        connect(target_of(server, tmp_path)) as client,
    ):
        assert client.clock_skew_seconds is None
        client.server_version()
        assert client.clock_skew_seconds == pytest.approx(3600, abs=60)


def test_a_client_certificate_and_a_token_of_the_kubeconfig_are_both_shown(tmp_path: Path) -> None:
    authority = Authority()
    pair = authority.client_certificate("admin")
    fields = {
        "token": "token",
        "client-certificate-data": base64.b64encode(pair.certificate_pem.encode()).decode(),
        "client-key-data": base64.b64encode(pair.key_pem.encode()).decode(),
    }
    with serve(CLUSTER, authority=authority, ask_client_certificate=True) as server:
        target = load_login(tmp_path, fields, server=server.url, authority_pem=authority.pem)
        with connect(target) as client:
            client.list_namespaces()
    assert server.requests[0].headers["authorization"] == "Bearer token"
