"""Who is let in, and who may read what."""

import ssl
import subprocess
import sys
from collections.abc import Callable

import pytest

from oomdb.simulator.certificates import Authority, KeyPair
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.objects import namespace, pod
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import serve

from .asking import EVENTS, NAMESPACES, PODS, PROJECTS, asking


def build_cluster() -> SimulatedCluster:
    return SimulatedCluster(
        [namespace("shop"), namespace("bank")], [pod("web", namespace="shop"), pod("till", namespace="bank")]
    )


def test_a_missing_or_unknown_token_is_unauthorized() -> None:
    with serve(build_cluster()) as server:
        for token in ("", "wrong"):
            with asking(server, token=token) as asker:
                reply = asker.get(PODS)
            assert (reply.status, reply.message(), reply.json()["reason"]) == (401, "Unauthorized", "Unauthorized")
        with asking(server, token="") as asker:
            basic = asker.get(PODS, headers={"Authorization": "Basic dG9rZW46"})
    assert basic.status == 401


def test_tokens_are_read_anew_at_each_request() -> None:
    tokens = {"token": "ann"}
    with serve(build_cluster(), tokens=tokens) as server, asking(server) as asker:
        before = asker.get(PODS)
        del tokens["token"]
        tokens["other"] = "ann"
        after = asker.get(PODS)
    assert (before.status, after.status) == (200, 401)
    assert [request.user for request in server.requests] == ["ann", ""]


def test_without_tokens_everybody_is_let_in() -> None:
    with serve(build_cluster(), tokens={}) as server, asking(server, token="") as asker:
        assert asker.get(PODS).status == 200


def test_an_anonymous_user_may_read_the_version_and_nothing_else() -> None:
    with serve(build_cluster(), anonymous=True) as server, asking(server, token="") as asker:
        version = asker.get("/version")
        pods = asker.get(PODS)
    assert version.status == 200
    assert pods.message() == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope'
    )


def test_a_client_certificate_names_the_user() -> None:
    authority = Authority()
    with (
        serve(build_cluster(), authority=authority, ask_client_certificate=True) as server,
        asking(server, token="", client=authority.client_certificate("ann")) as asker,
    ):
        assert asker.get(PODS).status == 200
    assert server.requests[0].user == "ann"


def test_a_client_certificate_of_another_authority_is_not_believed() -> None:
    with (
        serve(build_cluster(), ask_client_certificate=True) as server,
        asking(server, token="", client=Authority().client_certificate("ann")) as asker,
        pytest.raises(OSError),  # noqa: PT011 -- an alert, or a reset, as the timing has it
    ):
        asker.get(PODS)


def test_a_refusal_at_the_cluster_scope_leaves_the_namespaces_open() -> None:
    permissions = Permissions(refused=(Rule(verb="list", resource="pods", namespace=None),))
    with serve(build_cluster(), permissions=permissions, tokens={"token": "x"}) as server, asking(server) as asker:
        everywhere = asker.get(PODS)
        inside = asker.get("/api/v1/namespaces/shop/pods")
        events = asker.get(EVENTS)
    assert everywhere.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'pods is forbidden: User "x" cannot list resource "pods" in API group "" at the cluster scope',
        "reason": "Forbidden",
        "details": {"kind": "pods"},
        "code": 403,
    }
    assert (inside.names(), events.status) == (["web"], 200)


def test_a_refusal_names_the_namespace_the_object_and_the_subresource() -> None:
    permissions = Permissions(refused=(Rule(verb="list", namespace="shop"), Rule(resource="pods/log")))
    with serve(build_cluster(), permissions=permissions) as server, asking(server) as asker:
        pods = asker.get("/api/v1/namespaces/shop/pods")
        log = asker.get("/api/v1/namespaces/bank/pods/till/log")
    assert pods.message() == (
        'pods is forbidden: User "user" cannot list resource "pods" in API group "" in the namespace "shop"'
    )
    assert log.message() == (
        'pods "till" is forbidden: User "user" cannot get resource "pods/log" in API group "" in the namespace "bank"'
    )
    assert log.json()["details"] == {"name": "till", "kind": "pods"}


def test_exceptions_are_allowed_and_rules_may_speak_of_one_user() -> None:
    permissions = Permissions(refused=(Rule(user="bob"),), allowed=(Rule(resource="pods", namespace="shop"),))
    tokens = {"a": "ann", "b": "bob"}
    with serve(build_cluster(), permissions=permissions, tokens=tokens) as server:
        with asking(server, token="b") as asker:
            bob = [asker.get(path).status for path in (NAMESPACES, PODS, "/api/v1/namespaces/shop/pods")]
        with asking(server, token="a") as asker:
            assert asker.get(NAMESPACES).status == 200
        server.permissions = Permissions()
        with asking(server, token="b") as asker:
            assert asker.get(NAMESPACES).status == 200
    assert bob == [403, 403, 200]


def test_projects_are_those_that_the_user_may_get() -> None:
    refused = (Rule(verb="list", resource="namespaces"), Rule(verb="get", resource="namespaces", namespace="bank"))
    with serve(build_cluster(), permissions=Permissions(refused=refused)) as server, asking(server) as asker:
        namespaces = asker.get(NAMESPACES)
        projects = asker.get(PROJECTS)
        server.permissions = Permissions(refused=(Rule(resource="projects"),))
        forbidden = asker.get(PROJECTS)
    assert (namespaces.status, projects.names()) == (403, ["shop"])
    assert forbidden.message() == (
        'projects.project.openshift.io is forbidden: User "user" cannot list resource "projects" '
        'in API group "project.openshift.io" at the cluster scope'
    )


def test_impersonation_is_honoured_where_it_is_allowed() -> None:
    permissions = Permissions(refused=(Rule(verb="impersonate", user="bob"), Rule(verb="list", user="carl")))
    pretending = {"Impersonate-User": "carl"}
    with serve(build_cluster(), permissions=permissions, tokens={"a": "ann", "b": "bob"}) as server:
        with asking(server, token="a") as asker:
            as_carl = asker.get(PODS, headers=pretending)
        with asking(server, token="b") as asker:
            refused = asker.get(PODS, headers=pretending)
    assert 'User "carl" cannot list' in as_carl.message()
    assert refused.message() == (
        'users "carl" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope'
    )


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda authority: authority.server_certificate(expired=True), "certificate has expired"),
        (lambda authority: authority.server_certificate("api.example.com"), "IP address mismatch"),
        (lambda _: Authority().server_certificate(), "certificate verify failed"),
    ],
)
def test_wrong_server_certificates_fail_their_check(build: Callable[[Authority], KeyPair], words: str) -> None:
    authority = Authority()
    with (
        serve(build_cluster(), authority=authority, certificate=build(authority)) as server,
        asking(server) as asker,
        pytest.raises(ssl.SSLCertVerificationError, match=words),
    ):
        asker.get("/version")


def test_plain_http_needs_no_authority() -> None:
    with serve(build_cluster(), plain_http=True) as server, asking(server) as asker:
        assert asker.get(PODS).status == 200
    assert server.url.startswith("http://127.0.0.1:")
    assert server.authority_pem == ""


def test_without_trustme_the_message_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['trustme'] = None\n"
        "from oomdb.errors import OomdbError\n"
        "from oomdb.simulator.certificates import Authority\n"
        "try:\n    Authority()\nexcept OomdbError as err:\n    print(err)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == (
        "Simulated clusters need the package trustme, which is not installed: run `pip install 'oomdb[demo]'`.\n"
    )
