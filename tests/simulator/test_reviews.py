"""The simulated server's SelfSubjectAccessReview: the words of the real one."""

import http.client
import json
import ssl
from typing import Any

from oomdb.simulator.api import REVIEW_PATH
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import RunningServer, serve


def post(server: RunningServer, body: bytes, *, path: str = REVIEW_PATH, token: str = "token") -> tuple[int, Any]:
    tls = ssl.create_default_context(cadata=server.authority_pem)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=tls, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def review(**attributes: str) -> bytes:
    kind = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    return json.dumps({**kind, "spec": {"resourceAttributes": attributes}}).encode()


def test_a_review_comes_back_with_its_status_as_something_created() -> None:
    permissions = Permissions(refused=(Rule(resource="pods/log"),))
    with serve(SimulatedCluster(), permissions=permissions) as server:
        status, answer = post(server, review(verb="get", resource="pods", subresource="log", namespace="shop"))
        assert (status, answer["kind"], answer["status"]) == (201, "SelfSubjectAccessReview", {"allowed": False})
        assert answer["spec"]["resourceAttributes"]["subresource"] == "log"
        assert post(server, review(verb="get", resource="pods", namespace="shop"))[1]["status"] == {"allowed": True}


def test_whoever_is_logged_in_may_ask_and_nobody_else() -> None:
    with serve(SimulatedCluster(), permissions=Permissions(refused=(Rule(),)), anonymous=True) as server:
        assert post(server, review(verb="list", resource="pods"))[0] == 201
        status, answer = post(server, review(verb="list", resource="pods"), token="")
    assert status == 403
    assert answer["message"] == (
        'selfsubjectaccessreviews.authorization.k8s.io is forbidden: User "system:anonymous" cannot create resource '
        '"selfsubjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope'
    )


def test_a_body_that_is_no_review_is_a_bad_request_and_no_other_path_takes_one() -> None:
    with serve(SimulatedCluster()) as server:
        for body in (b"", b"{", b"[]", b'{"spec": {}}', b'{"spec": {"resourceAttributes": {"verb": "get"}}}'):
            assert post(server, body)[0] == 400
        assert post(server, b"{}", path="/api/v1/namespaces")[0] == 405
