"""Every way to log in, on a real API server: who it takes us for, through which door, and how it refuses."""

import base64
import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import ClusterForbidden, ClusterUnauthorized, ClusterUnreachable, OomdbError
from oomdb.kube.client import ClusterClient, open_client
from oomdb.kube.clusters import ClusterTarget, plan_clusters
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.simulator.certificates import Authority
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from tests.controlplane.loading import create_namespaces
from tests.controlplane.permissions import allow, grant
from tests.controlplane.server import ApiServer, ControlPlane, RequestFailed
from tests.kube.connecting import load_login
from tests.kube.proxy import run_proxy

NAMESPACE = "logins"
PODS = 501  # two pages
READERS = "readers-of-logins"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SELF_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
NAME = "api.logins.invalid"  # no resolver knows it; the proxy leads it to loopback
PATIENCE_SECONDS = 60.0  # the server remembers tokens for ten seconds, and writes its audit log when it likes
EXPIRED = {"expirationTimestamp": "2020-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    """The shared server with two pages of pods, which the group of readers may list."""
    create_namespaces(api_server, NAMESPACE)
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    for number in range(PODS):
        body = {"metadata": {"name": f"web-{number:04}"}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
        api_server.request("POST", pods, body)
    rules = [allow("list", "pods", "namespaces", "events"), allow("get", "pods", "pods/log")]
    api_server.request("POST", f"{RBAC}/clusterroles", {"metadata": {"name": READERS}, "rules": rules})
    for kind, name in (("Group", READERS), ("User", "acted-as")):
        bind(api_server, kind, name, role=READERS)
    return api_server


def bind(server: ApiServer, kind: str, name: str, *, role: str) -> None:
    body = {
        "metadata": {"generateName": "logins-"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}],
    }
    server.request("POST", f"{RBAC}/clusterrolebindings", body)


def create_reader(server: ApiServer, name: str) -> str:
    """Create a service account that may read the pods of the namespace, and return its token."""
    token = server.create_account(NAMESPACE, name)
    grant(server, NAMESPACE, name, [allow("list", "pods"), allow("get", "pods", "pods/log")], namespace=NAMESPACE)
    return token


def login(
    server: ApiServer, folder: Path, user: Mapping[str, Any], *, url: str = "", authority_pem: str = "", **fields: Any
) -> ClusterTarget:
    """Return the server as one user sees it, by another URL or with another authority if asked."""
    pem = authority_pem or server.authority.pem
    return load_login(folder, user, server=url or server.url, authority_pem=pem, **fields)


@contextlib.contextmanager
def connect(target: ClusterTarget) -> Iterator[ClusterClient]:
    with open_client(target, timeout_seconds=30, retries=0) as client:
        yield client


def count_pods(target: ClusterTarget) -> int:
    with connect(target) as client:
        return sum(len(page.items) for page in client.iter_pod_pages(NAMESPACE))


def refusal(target: ClusterTarget, error: type[OomdbError]) -> str:
    with connect(target) as client, pytest.raises(OomdbError) as caught:
        list(client.iter_pod_pages(NAMESPACE))
    assert type(caught.value) is error
    return str(caught.value)


def inline(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def reader_certificate(server: ApiServer, user: str) -> dict[str, str]:
    pair = server.issue_client_certificate(user, group=READERS)
    return {"client-certificate-data": inline(pair.certificate_pem), "client-key-data": inline(pair.key_pem)}


def wait_for_requests(server: ApiServer, user: str, count: int) -> list[dict[str, Any]]:
    """Return the requests that the server's audit log has of a user; it is written after the answers."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = [event for event in server.audit_events() if event["user"].get("username") == user]
        if len(found) >= count or time.monotonic() > deadline:
            assert len(found) == count
            return found
        time.sleep(0.05)


# --- certificates and tokens ----------------------------------------------------------------------------------------


def test_a_client_certificate(server: ApiServer, tmp_path: Path) -> None:
    assert count_pods(login(server, tmp_path, reader_certificate(server, "certified"))) == PODS


def test_a_client_certificate_in_files(server: ApiServer, tmp_path: Path) -> None:
    pair = server.issue_client_certificate("certified", group=READERS)
    (tmp_path / "me.crt").write_text(pair.certificate_pem)
    (tmp_path / "me.key").write_text(pair.key_pem)
    assert count_pods(login(server, tmp_path, {"client-certificate": "me.crt", "client-key": "me.key"})) == PODS


def test_a_client_certificate_of_another_authority_is_refused(server: ApiServer, tmp_path: Path) -> None:
    pair = Authority().client_certificate("stranger", group=READERS)
    user = {"client-certificate-data": inline(pair.certificate_pem), "client-key-data": inline(pair.key_pem)}
    assert "the credentials of context 'dev' are not accepted (401: Unauthorized);" in refusal(
        login(server, tmp_path, user), ClusterUnauthorized
    )


def test_a_token(server: ApiServer, tmp_path: Path) -> None:
    assert count_pods(login(server, tmp_path, {"token": create_reader(server, "by-token")})) == PODS


def test_a_token_that_became_invalid_between_two_pages(server: ApiServer, tmp_path: Path) -> None:
    token = create_reader(server, "deleted")
    with connect(login(server, tmp_path, {"token": token})) as client:
        pages = client.iter_pod_pages(NAMESPACE)
        next(pages)
        server.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/deleted")
        wait_until_refused(server, token)
        with pytest.raises(ClusterUnauthorized, match=r"are not accepted \(401: Unauthorized\); log in with"):
            list(pages)


def wait_until_refused(server: ApiServer, token: str) -> None:
    """Wait until the server has forgotten a token: it remembers for ten seconds what it has checked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            server.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", SELF_REVIEW, token=token)
        except RequestFailed as err:
            if err.status == 401:
                return
            raise
        time.sleep(0.2)
    raise AssertionError("the token is still good")


def test_a_token_file_that_rotates_between_two_pages(server: ApiServer, tmp_path: Path) -> None:
    first, second = create_reader(server, "rotating-1"), create_reader(server, "rotating-2")
    (tmp_path / "token").write_text(first)
    with connect(login(server, tmp_path, {"tokenFile": "token"})) as client:
        pages = client.iter_pod_pages(NAMESPACE)
        count = len(next(pages).items)
        (tmp_path / "new").write_text(second)
        (tmp_path / "new").replace(tmp_path / "token")
        assert count + sum(len(page.items) for page in pages) == PODS
        assert client.retries == 0
    for number in (1, 2):
        wait_for_requests(server, f"system:serviceaccount:{NAMESPACE}:rotating-{number}", 1)


def test_the_account_of_a_pod(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(create_reader(server, "in-cluster"))
    (tmp_path / "ca.crt").write_text(server.authority.pem)
    (tmp_path / "namespace").write_text(NAMESPACE)
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
    kubeconfig = load_kubeconfig(path=None, environ=environ, home=tmp_path, service_account_folder=tmp_path)
    (target,) = plan_clusters(kubeconfig, names={})
    assert target.contexts[0].namespace == NAMESPACE
    assert count_pods(target) == PODS


def test_the_next_context_takes_over_when_the_first_is_refused(server: ApiServer, tmp_path: Path) -> None:
    entries = [
        ContextEntry(context=name, server=server.url, authority_pem=server.authority.pem, token=token)
        for name, token in (("old", "expired"), ("new", create_reader(server, "next-context")))
    ]
    path = write_kubeconfig(tmp_path / "config", entries)
    (target,) = plan_clusters(load_kubeconfig(path=str(path), environ={}, home=tmp_path), names={})
    with connect(target) as client:
        assert sum(len(page.items) for page in client.iter_pod_pages(NAMESPACE)) == PODS
        assert client.context_name == "new"


# --- exec plug-ins --------------------------------------------------------------------------------------------------


def issuing(folder: Path, statuses: Sequence[dict[str, Any]], *, version: str = "v1", **fields: Any) -> dict[str, Any]:
    """Return a user whose plug-in issues one status after the other, and notes what it was told."""
    api_version = f"client.authentication.k8s.io/{version}"
    for number, status in enumerate(statuses):
        answer = {"kind": "ExecCredential", "apiVersion": api_version, "status": status}
        (folder / f"answer-{number}").write_text(json.dumps(answer))
    path = folder / "plugin"
    path.write_text(
        f'#!/bin/sh\ncd "{folder}"\nprintf %s "$KUBERNETES_EXEC_INFO" > told\n'
        f"n=$(cat runs 2> /dev/null || echo 0)\necho $((n + 1)) > runs\n"
        f"[ -e answer-$n ] || n={len(statuses) - 1}\ncat answer-$n\n"
    )
    path.chmod(0o755)
    entry = {"apiVersion": api_version, "command": str(path), "interactiveMode": "Never"}
    return {"exec": entry | fields}


def status_of(server: ApiServer, user: str, **fields: Any) -> dict[str, Any]:
    pair = server.issue_client_certificate(user, group=READERS)
    return {"clientCertificateData": pair.certificate_pem, "clientKeyData": pair.key_pem, **fields}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugins_token_that_expires_between_two_pages(server: ApiServer, tmp_path: Path, version: str) -> None:
    accounts = [f"exec-{version}-{number}" for number in (1, 2)]
    first, second = (create_reader(server, account) for account in accounts)
    user = issuing(tmp_path, [{"token": first, **EXPIRED}, {"token": second}], version=version)
    with connect(login(server, tmp_path, user)) as client:
        assert sum(len(page.items) for page in client.iter_pod_pages(NAMESPACE)) == PODS
        assert client.retries == 0
    for account in accounts:
        wait_for_requests(server, f"system:serviceaccount:{NAMESPACE}:{account}", 1)


def test_a_plugins_client_certificate_that_expires_between_two_pages(server: ApiServer, tmp_path: Path) -> None:
    user = issuing(tmp_path, [status_of(server, "issued-1", **EXPIRED), status_of(server, "issued-2")])
    with connect(login(server, tmp_path, user)) as client:
        assert sum(len(page.items) for page in client.iter_pod_pages(NAMESPACE)) == PODS
        assert client.retries == 0
    for name in ("issued-1", "issued-2"):
        wait_for_requests(server, name, 1)


def test_a_plugin_that_is_told_of_the_cluster(server: ApiServer, tmp_path: Path) -> None:
    user = issuing(tmp_path, [{"token": create_reader(server, "told")}], provideClusterInfo=True)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "logins"}}
    assert count_pods(login(server, tmp_path, user, extensions=[extension])) == PODS
    assert json.loads((tmp_path / "told").read_text())["spec"]["cluster"] == {
        "server": server.url,
        "certificate-authority-data": inline(server.authority.pem),
        "config": {"audience": "logins"},
    }


def test_a_plugins_token_that_the_server_refuses_is_asked_for_anew(server: ApiServer, tmp_path: Path) -> None:
    user = issuing(tmp_path, [{"token": "stale"}, {"token": create_reader(server, "renewed")}])
    with connect(login(server, tmp_path, user)) as client:
        assert sum(len(page.items) for page in client.iter_pod_pages(NAMESPACE)) == PODS
        assert client.retries == 1


# --- proxies, names and trust ---------------------------------------------------------------------------------------


def test_the_proxy_of_the_kubeconfig(server: ApiServer, tmp_path: Path) -> None:
    user = reader_certificate(server, "proxied")
    with run_proxy(tmp_path) as proxy:
        assert count_pods(login(server, tmp_path, user, proxy_url=proxy.url())) == PODS
        assert proxy.requests == [f"CONNECT 127.0.0.1:{server.port}"]


def test_the_proxy_of_the_environment_unless_the_server_is_exempt(server: ApiServer, tmp_path: Path) -> None:
    fields = {"url": f"https://{NAME}:{server.port}", "tls_server_name": "127.0.0.1"}
    with run_proxy(tmp_path) as proxy:
        environ = {"HTTPS_PROXY": proxy.url()}
        assert count_pods(login(server, tmp_path, {"token": server.admin_token}, environ=environ, **fields)) == PODS
        assert proxy.requests == [f"CONNECT {NAME}:{server.port}"]
        environ["NO_PROXY"] = ".logins.invalid"
        target = login(server, tmp_path, {"token": server.admin_token}, environ=environ, **fields)
        assert "the host name cannot be resolved" in refusal(target, ClusterUnreachable)
        near = login(server, tmp_path, {"token": server.admin_token}, environ={"HTTPS_PROXY": proxy.url()})
        assert count_pods(near) == PODS  # on loopback
        assert len(proxy.requests) == 1


def test_the_name_that_is_checked(server: ApiServer, tmp_path: Path) -> None:
    user = {"token": server.admin_token}
    assert count_pods(login(server, tmp_path, user, tls_server_name="localhost")) == PODS
    words = refusal(login(server, tmp_path, user, tls_server_name="api.example.com"), ClusterUnreachable)
    assert words.startswith(f"{server.url}: its TLS certificate is not for api.example.com but for ")


def test_another_authority(server: ApiServer, tmp_path: Path) -> None:
    target = login(server, tmp_path, {"token": server.admin_token}, authority_pem=Authority().pem)
    assert refusal(target, ClusterUnreachable) == (
        f"{server.url}: its TLS certificate is not signed by the CA in the kubeconfig; "
        "correct certificate-authority(-data), or log in again for a new kubeconfig."
    )


@pytest.mark.parametrize("disabled", [False, True])
def test_large_lists_come_compressed_unless_the_kubeconfig_says_otherwise(
    server: ApiServer, tmp_path: Path, disabled: bool
) -> None:
    # by a name that is not known to be this machine's
    fields = {"url": f"https://{NAME}:{server.port}", "tls_server_name": "127.0.0.1"}
    with run_proxy(tmp_path) as proxy:
        target = login(
            server,
            tmp_path,
            {"token": server.admin_token},
            proxy_url=proxy.url(),
            disable_compression=disabled,
            **fields,
        )
        with connect(target) as client:
            assert len(next(client.iter_pod_pages(NAMESPACE)).items) == 500
            assert (client.bytes_received > 200_000) is disabled


# --- acting as somebody else ----------------------------------------------------------------------------------------


def test_acting_as_somebody_else(server: ApiServer, tmp_path: Path) -> None:
    extra = {"example.com/team": ["a", "b"]}
    rules = [
        allow("impersonate", "users", "groups"),
        allow("impersonate", "uids", "userextras/example.com/team", group="authentication.k8s.io"),
    ]
    token = server.create_account(NAMESPACE, "actor")
    user = {"token": token, "as": "acted-as", "as-uid": "7", "as-groups": ["x", "y"], "as-user-extra": extra}
    grant(server, NAMESPACE, "actor", rules)
    assert count_pods(login(server, tmp_path, user)) == PODS
    requests = wait_for_requests(server, f"system:serviceaccount:{NAMESPACE}:actor", 2)
    assert requests[0]["impersonatedUser"] == {
        "username": "acted-as",
        "uid": "7",
        "groups": ["x", "y", "system:authenticated"],
        "extra": extra,
    }


def test_acting_as_somebody_who_may_not_read(server: ApiServer, tmp_path: Path) -> None:
    user = {"token": server.admin_token, "as": "nobody-in-particular"}
    words = refusal(login(server, tmp_path, user), ClusterForbidden)
    assert words.startswith('pods is forbidden: User "nobody-in-particular" cannot list resource "pods"')


def test_acting_as_somebody_else_without_the_right_to(server: ApiServer, tmp_path: Path) -> None:
    token = create_reader(server, "pretender")
    words = refusal(login(server, tmp_path, {"token": token, "as": "acted-as"}), ClusterUnauthorized)
    assert words == (
        f"{server.url}: the user of context 'dev' may not act as 'acted-as' (403: users \"acted-as\" is forbidden: "
        f'User "system:serviceaccount:{NAMESPACE}:pretender" cannot impersonate resource "users" in API group "" '
        "at the cluster scope); ask for the right to impersonate, or remove as from the user in the kubeconfig."
    )


def test_an_expired_certificate_of_the_server(control_plane: ControlPlane, tmp_path: Path) -> None:
    authority = Authority()
    expired = control_plane.start_server("logins-expired", certificate=authority.server_certificate(expired=True))
    try:
        words = refusal(
            login(expired, tmp_path, {"token": expired.admin_token}, authority_pem=authority.pem), ClusterUnreachable
        )
    finally:
        expired.stop()
    since = words.removeprefix(f"{expired.url}: its TLS certificate expired on ").partition(";")[0]
    assert datetime.fromisoformat(since) < datetime.now(UTC)
