"""Asking a server what we may do: its yes and no, and answers that are none."""

import json
from pathlib import Path

import msgspec
import pytest

from oomdb.errors import ClusterAnswerError, ClusterUnauthorized
from oomdb.kube.reviews import REVIEW_PATH, AccessAnswer, AccessReview, decode_review, encode_review
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Faults, Refuse, too_many_requests
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import serve

from .connecting import connect, target_of

PODS = AccessReview("list", "pods")
LOGS = AccessReview("get", "pods", subresource="log", namespace="shop")


def test_a_review_names_only_what_it_is_about() -> None:
    assert json.loads(encode_review(PODS)) == {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}},
    }
    projects = AccessReview("list", "projects", group="project.openshift.io", namespace="shop")
    assert json.loads(encode_review(projects))["spec"]["resourceAttributes"] == {
        "verb": "list",
        "resource": "projects",
        "group": "project.openshift.io",
        "namespace": "shop",
    }


def test_the_answer_is_that_of_the_servers_permissions_in_each_place(tmp_path: Path) -> None:
    permissions = Permissions(refused=(Rule(),), allowed=(Rule(verb="get", resource="pods/log", namespace="shop"),))
    with (
        serve(SimulatedCluster(), permissions=permissions) as server,
        connect(target_of(server, tmp_path)) as client,
    ):
        assert client.review_access(LOGS).allowed
        assert not client.review_access(AccessReview("get", "pods", subresource="log")).allowed
        assert not client.review_access(PODS).allowed
    assert {(request.method, request.path, request.status) for request in server.requests} == {
        ("POST", REVIEW_PATH, 201)
    }


def test_a_review_is_sent_again_like_any_other_request(tmp_path: Path) -> None:
    waits: list[float] = []
    faults = Faults(Fault(match=REVIEW_PATH, action=too_many_requests(7), times=1))
    with (
        serve(SimulatedCluster(), faults=faults) as server,
        connect(target_of(server, tmp_path), retries=1, waits=waits) as client,
    ):
        assert client.review_access(PODS).allowed
        assert client.server_version()  # on the same connection: the body of the first try was read
    assert waits == [7]


def test_who_is_anonymous_is_told_to_log_in(tmp_path: Path) -> None:
    with (
        serve(SimulatedCluster(), anonymous=True) as server,
        connect(target_of(server, tmp_path, token="")) as client,
        pytest.raises(ClusterUnauthorized, match="it calls us anonymous"),
    ):
        client.review_access(PODS)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"kind": "Status", "status": {"allowed": true}}',
        b'{"kind": "SelfSubjectAccessReview", "status": {}}',
        b'{"kind": "SelfSubjectAccessReview", "status": {"allowed": "yes"}}',
    ],
)
def test_what_is_no_review_is_never_a_yes(body: bytes, tmp_path: Path) -> None:
    faults = Faults(Fault(match=REVIEW_PATH, action=Refuse(201, body=body)))
    with (
        serve(SimulatedCluster(), faults=faults) as server,
        connect(target_of(server, tmp_path)) as client,
        pytest.raises(ClusterAnswerError),
    ):
        client.review_access(PODS)


def test_the_servers_reason_is_kept_on_one_line_and_an_evaluation_error_stands_in_for_it() -> None:
    assert decode_review(
        b'{"kind": "SelfSubjectAccessReview", "status": {"allowed": false, "reason": "no\\n\\u001b[31mrole"}}'
    ) == AccessAnswer(False, "no [31mrole")
    assert decode_review(
        b'{"kind": "SelfSubjectAccessReview", "status": {"allowed": true, "evaluationError": "webhook timed out"}}'
    ) == AccessAnswer(True, "webhook timed out")


def test_a_cut_review_cannot_be_decoded() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_review(b'{"kind": "SelfSubjectAccessReview", "status": {"allo')
