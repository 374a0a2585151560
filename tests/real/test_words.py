"""What a real API server says when it refuses, and that the simulator says the same word for word."""

import contextlib
import json
from typing import Any

import pytest
import urllib3

from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import RunningServer, serve
from tests.controlplane.loading import create_namespaces
from tests.controlplane.server import ApiServer, ControlPlane

NAMESPACE = "words"
POD = {"metadata": {"name": "web", "namespace": NAMESPACE}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
PLACE = f"/api/v1/namespaces/{NAMESPACE}"
STRANGER = f"system:serviceaccount:{NAMESPACE}:stranger"
NOBODY = "nobodys-token"


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    """The shared server with one pod."""
    create_namespaces(api_server, NAMESPACE)
    api_server.request("POST", f"{PLACE}/pods", POD)
    return api_server


@pytest.fixture(scope="module")
def stranger(server: ApiServer) -> str:
    """The token of an account that may do nothing."""
    return server.create_account(NAMESPACE, "stranger")


def simulate(server: ApiServer, stranger: str = "other") -> RunningServer:
    """Serve the same pod to the server's administrator, and nothing to the stranger with the token."""
    cluster = SimulatedCluster([{"metadata": {"name": name}} for name in (NAMESPACE, "default")], [POD], projects=False)
    refused = Permissions(refused=(Rule(user=STRANGER),))
    return serve(cluster, tokens={server.admin_token: "admin", stranger: STRANGER}, permissions=refused)


def asking(server: ApiServer | RunningServer) -> urllib3.PoolManager:
    pem = server.authority_pem if isinstance(server, RunningServer) else server.authority_pem.decode()
    return urllib3.PoolManager(ca_cert_data=pem)


def ask(server: ApiServer | RunningServer, path: str, token: str) -> tuple[int, Any, str]:
    """Return status, type and words of an answer, Status objects by their message and reason."""
    with asking(server) as pool:
        answer = pool.request("GET", server.url + path, headers={"Authorization": f"Bearer {token}"}, retries=False)
    if answer.headers["Content-Type"] != "application/json":
        return answer.status, answer.headers["Content-Type"], answer.data.decode()
    status = json.loads(answer.data)
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status)
    return answer.status, status.get("reason"), status["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods",
        "/api/v1/events",
        "/api/v1/namespaces",
        f"{PLACE}/pods",
        f"{PLACE}/events",
        f"{PLACE}/pods/web",
        f"{PLACE}/pods/web/log",
        f"{PLACE}/pods/gone",
    ],
)
def test_403_is_worded_alike(server: ApiServer, stranger: str, path: str) -> None:
    with simulate(server, stranger) as simulated:
        real = ask(server, path, stranger)
        assert ask(simulated, path, stranger) == real
    assert real[0] == 403


@pytest.mark.parametrize("path", ["/api/v1/pods", "/version"])
def test_401_is_worded_alike(server: ApiServer, path: str) -> None:
    with simulate(server) as simulated:
        real = ask(server, path, NOBODY)
        assert ask(simulated, path, NOBODY) == real
    assert real[0] == 401


@pytest.mark.parametrize(
    "path",
    [
        f"{PLACE}/pods/gone",
        f"{PLACE}/pods/gone/log",
        "/api/v1/namespaces/nowhere/pods/gone",
        "/apis/project.openshift.io/v1/projects",
        "/apis/nowhere.example.com/v1/things",
        "/nothing",
    ],
)
def test_404_is_worded_alike(server: ApiServer, path: str) -> None:
    with simulate(server) as simulated:
        real = ask(server, path, server.admin_token)
        assert ask(simulated, path, server.admin_token) == real
    assert real[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods?continue=eyJ2IjoidjkifQ",  # {"v":"v9"}
        "/api/v1/pods?limit=many",
        f"{PLACE}/pods?fieldSelector=metadata.name",
        f"{PLACE}/pods?fieldSelector=spec.color%3Dred",
        f"{PLACE}/pods/web/log?container=other",
        f"{PLACE}/pods/web/log?limitBytes=some",
    ],
)
def test_400_is_worded_alike(server: ApiServer, path: str) -> None:
    with simulate(server) as simulated:
        real = ask(server, path, server.admin_token)
        assert ask(simulated, path, server.admin_token) == real
    assert real[0] == 400


def test_410_is_worded_alike(control_plane: ControlPlane) -> None:
    # pages from etcd, as all servers up to 1.33 give them: newer ones remember a list for a minute or so themselves
    forgetful = control_plane.start_server("words", flags=("--feature-gates=ListFromCacheSnapshot=false",))
    with contextlib.ExitStack() as stack:
        stack.callback(forgetful.stop)
        simulated = stack.enter_context(simulate(forgetful))
        answers = []
        for asked in (forgetful, simulated):
            with asking(asked) as pool:
                headers = {"Authorization": f"Bearer {forgetful.admin_token}"}
                first = pool.request("GET", f"{asked.url}/api/v1/namespaces?limit=1", headers=headers, retries=False)
            token = first.json()["metadata"]["continue"]
            forget_the_past(asked)
            answers.append(ask(asked, f"/api/v1/namespaces?limit=1&continue={token}", forgetful.admin_token))
    assert answers[0] == answers[1]
    assert answers[0][0] == 410


def forget_the_past(server: ApiServer | RunningServer) -> None:
    if isinstance(server, RunningServer):
        server.cluster.compact()
        return
    # the revision of the last change can still be read
    server.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": f"{NAMESPACE}-"}})
    server.control_plane.compact()


@pytest.mark.parametrize("query", ["limitBytes=0", "tailLines=-1"])
def test_422_is_worded_alike(server: ApiServer, query: str) -> None:
    with simulate(server) as simulated:
        real = ask(server, f"{PLACE}/pods/web/log?{query}", server.admin_token)
        assert ask(simulated, f"{PLACE}/pods/web/log?{query}", server.admin_token) == real
    assert real[0] == 422
