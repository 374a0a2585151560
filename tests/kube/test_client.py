"""Lists, logs and manifests as a scan reads them from a cluster over TLS."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import ClusterAnswerError, ClusterError, ClusterForbidden, ClusterNotFound, ClusterUnauthorized
from oomdb.kube.lists import Page
from oomdb.kube.objects import POD_EVENT_SELECTOR, Namespace
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import ExpireContinue, Fault, Faults
from oomdb.simulator.kubeconfig import ContextEntry
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import serve

from .connecting import change_cluster, connect, load_target, target_of


def build_pod(name: str, *, namespace: str = "shop", padding: int = 0) -> dict[str, Any]:
    killed = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-15T15:00:00Z", "containerID": "cri-o://1"}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "labels": {"app": "checkout"},
            "annotations": {"padding": "x" * padding},
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "web"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "web",
                    "restartCount": 1,
                    "state": {"running": {"startedAt": "2026-01-15T15:00:02Z"}},
                    "lastState": {"terminated": killed},
                }
            ],
        },
    }


def build_event(name: str, reason: str, *, pod: str = "web-1", kind: str = "Pod") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-15T15:00:00Z"},
        "involvedObject": {"kind": kind, "namespace": "shop", "name": pod, "uid": f"uid-{pod}"},
        "reason": reason,
        "message": "Back-off restarting failed container web",
        "lastTimestamp": "2026-01-15T15:01:00Z",
    }


def build_namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels} if labels else {"name": name}}


def names_of(pages: list[Page[Any]]) -> list[str]:
    return [item.metadata.name for page in pages for item in page.items]


def test_pods_come_in_pages_with_the_fields_that_detection_needs(tmp_path: Path) -> None:
    cluster = SimulatedCluster(pods=[build_pod(f"web-{number:04}") for number in range(1201)])
    with serve(cluster) as server, connect(target_of(server, tmp_path)) as client:
        pages = list(client.iter_pod_pages(None))
    assert [len(page.items) for page in pages] == [500, 500, 201]
    assert not any(page.restarted for page in pages)
    pod = pages[0].items[0]
    (status,) = pod.container_statuses()
    assert (pod.metadata.uid, pod.labels(), pod.spec.node_name) == ("uid-web-0000", {"app": "checkout"}, "node-1")
    assert status.last_state.terminated is not None
    assert status.last_state.terminated.container_id == "cri-o://1"
    assert [request.query["limit"] for request in server.requests] == ["500"] * 3


def test_an_empty_list_is_one_empty_page(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server, connect(target_of(server, tmp_path)) as client:
        assert list(client.iter_pod_pages("shop")) == [Page([])]


def test_pods_of_one_namespace_are_asked_for_in_it(tmp_path: Path) -> None:
    cluster = SimulatedCluster(pods=[build_pod("web"), build_pod("api", namespace="bank")])
    with serve(cluster) as server, connect(target_of(server, tmp_path)) as client:
        assert names_of(list(client.iter_pod_pages("bank"))) == ["api"]
    assert server.requests[0].path == "/api/v1/namespaces/bank/pods"


def test_events_of_routine_and_of_other_kinds_are_left_on_the_server(tmp_path: Path) -> None:
    reasons = ["Pulled", "Scheduled", "BackOff", "ContainerOOMKilled", "Evicted", "Failed", "SomethingNew"]
    events = [build_event(f"e{number}", reason) for number, reason in enumerate(reasons)]
    events.append(build_event("on-the-node", "OOMKilling", kind="Node"))
    with serve(SimulatedCluster(events=events)) as server, connect(target_of(server, tmp_path)) as client:
        (page,) = client.iter_event_pages(None)
    assert [event.reason for event in page.items] == reasons[2:]
    assert server.requests[0].query["fieldSelector"] == POD_EVENT_SELECTOR


def test_all_events_of_one_pod_come_whole(tmp_path: Path) -> None:
    events = [build_event("a", "Pulled"), build_event("b", "BackOff"), build_event("c", "BackOff", pod="web-2")]
    with serve(SimulatedCluster(events=events)) as server, connect(target_of(server, tmp_path)) as client:
        found = client.list_pod_events("shop", "web-1", "uid-web-1")
        assert [event["metadata"]["name"] for event in found] == ["a", "b"]
        assert found[0]["message"] == "Back-off restarting failed container web"
        assert client.list_pod_events("shop", "web-1", "uid-of-a-later-pod") == []
        assert len(client.list_pod_events("shop", "web-1", "")) == 2


def test_a_list_that_expires_is_read_again_from_its_start(tmp_path: Path) -> None:
    cluster = SimulatedCluster(pods=[build_pod(f"web-{number:04}") for number in range(700)])
    faults = Faults(Fault(match="continue=", action=ExpireContinue(), times=1))
    with serve(cluster, faults=faults) as server, connect(target_of(server, tmp_path)) as client:
        pages = list(client.iter_pod_pages(None))
    assert [(len(page.items), page.restarted) for page in pages] == [(500, False), (500, True), (200, False)]


def test_a_list_that_expires_twice_is_read_without_a_limit(tmp_path: Path) -> None:
    cluster = SimulatedCluster(pods=[build_pod(f"web-{number:04}") for number in range(700)])
    faults = Faults(Fault(match="continue=", action=ExpireContinue()))
    with serve(cluster, faults=faults) as server, connect(target_of(server, tmp_path)) as client:
        pages = list(client.iter_pod_pages(None))
    assert [(len(page.items), page.restarted) for page in pages] == [(500, False), (500, True), (700, True)]
    assert "limit" not in server.requests[-1].query


def test_a_small_list_that_expires_has_nothing_twice(tmp_path: Path) -> None:
    cluster = SimulatedCluster(namespaces=[build_namespace(f"n{number:04}") for number in range(700)])
    faults = Faults(Fault(match="continue=", action=ExpireContinue(), times=1))
    with serve(cluster, faults=faults) as server, connect(target_of(server, tmp_path)) as client:
        assert len(client.list_namespaces()) == 700


def test_namespaces_come_with_their_labels(tmp_path: Path) -> None:
    cluster = SimulatedCluster(namespaces=[build_namespace("bank"), build_namespace("shop", team="a")])
    with serve(cluster) as server, connect(target_of(server, tmp_path)) as client:
        expected = [Namespace("bank", {}), Namespace("shop", {"team": "a"})]
        assert client.list_namespaces() == expected
        assert client.list_projects() == expected


def test_projects_of_a_cluster_without_them_are_not_found(tmp_path: Path) -> None:
    with (
        serve(SimulatedCluster(projects=False)) as server,
        connect(target_of(server, tmp_path)) as client,
        pytest.raises(ClusterNotFound) as caught,
    ):
        client.list_projects()
    assert str(caught.value) == f"{server.url}: the server has no such API (404)."


def test_the_server_says_its_version(tmp_path: Path) -> None:
    with serve(SimulatedCluster(server_version="v1.34.4")) as server, connect(target_of(server, tmp_path)) as client:
        assert client.server_version() == "v1.34.4"


def test_a_forbidden_list_is_told_in_the_servers_words_and_not_tried_again(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(resource="pods", namespace=None),))
    with (
        serve(SimulatedCluster(pods=[build_pod("web")]), permissions=refused) as server,
        connect(target_of(server, tmp_path), retries=3) as client,
    ):
        with pytest.raises(ClusterForbidden) as caught:
            list(client.iter_pod_pages(None))
        assert names_of(list(client.iter_pod_pages("shop"))) == ["web"]
    assert str(caught.value) == (
        'pods is forbidden: User "user" cannot list resource "pods" in API group "" at the cluster scope'
    )
    assert len(server.requests) == 2


def test_a_manifest_comes_whole_and_a_pod_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with (
        serve(SimulatedCluster(pods=[build_pod("web", padding=3)])) as server,
        connect(target_of(server, tmp_path)) as client,
    ):
        assert client.get_pod("shop", "web")["metadata"]["annotations"] == {"padding": "xxx"}
        with pytest.raises(ClusterNotFound) as caught:
            client.get_pod("shop", "gone")
    assert str(caught.value) == 'pods "gone" not found'


def test_logs_keep_their_bytes_and_stop_at_the_limit(tmp_path: Path) -> None:
    text = b"caf\xe9 \x00\n" * 3
    logs = {("shop", "web", "web", False): text, ("shop", "web", "web", True): b"killed\nlast words\n"}
    with (
        serve(SimulatedCluster(pods=[build_pod("web")], logs=logs)) as server,
        connect(target_of(server, tmp_path)) as client,
    ):
        assert client.read_log("shop", "web", "web", previous=False, tail_lines=None, limit_bytes=1000) == text
        assert client.read_log("shop", "web", "web", previous=False, tail_lines=None, limit_bytes=9) == text[:9]
        assert client.read_log("shop", "web", "web", previous=True, tail_lines=1, limit_bytes=1000) == b"last words\n"


def test_a_log_that_does_not_exist_is_told_in_the_servers_words(tmp_path: Path) -> None:
    pod = build_pod("web")
    del pod["status"]["containerStatuses"][0]["lastState"]
    with (
        serve(SimulatedCluster(pods=[pod])) as server,
        connect(target_of(server, tmp_path)) as client,
        pytest.raises(ClusterAnswerError) as caught,
    ):
        client.read_log("shop", "web", "web", previous=True, tail_lines=None, limit_bytes=1000)
    assert str(caught.value) == 'previous terminated container "web" in pod "web" not found'


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "%2e%2e"])
def test_a_name_that_would_lead_elsewhere_is_never_sent(tmp_path: Path, name: str) -> None:
    with serve(SimulatedCluster()) as server, connect(target_of(server, tmp_path)) as client:
        with pytest.raises(ClusterNotFound) as caught:
            client.get_pod("shop", name)
        with pytest.raises(ClusterNotFound):
            list(client.iter_pod_pages(name))
    assert str(caught.value) == f"'{name}' cannot be a name in Kubernetes."
    assert server.requests == []


@pytest.mark.parametrize("name", ['<script>"', "a?b=c#d", "naïve 🎉", "a\nb", "a,b=c\\d"])
def test_odd_names_are_escaped(tmp_path: Path, name: str) -> None:
    with serve(SimulatedCluster()) as server, connect(target_of(server, tmp_path)) as client:
        with pytest.raises(ClusterError):
            client.get_pod("shop", name)
        assert client.list_pod_events("shop", name, "") == []
    assert server.requests[0].path.startswith("/api/v1/namespaces/shop/pods/")
    assert server.requests[0].query == {}


def test_large_answers_come_compressed_unless_the_kubeconfig_or_loopback_says_otherwise(tmp_path: Path) -> None:
    cluster = SimulatedCluster(pods=[build_pod(f"web-{number}", padding=10_000) for number in range(100)])
    with serve(cluster, certificate=(authority := Authority()).server_certificate(), authority=authority) as server:
        near = target_of(server, tmp_path)
        # a name that is not known to be this machine's, but leads here all the same
        far = change_cluster(near, lambda entry: replace(entry, server=entry.server.replace("127.0.0.1", "0.0.0.0")))
        far = change_cluster(far, lambda entry: replace(entry, tls_server_name="127.0.0.1"))
        plain = change_cluster(far, lambda entry: replace(entry, disable_compression=True))
        received = {}
        for way, target in (("near", near), ("far", far), ("plain", plain)):
            with connect(target) as client:
                assert len(names_of(list(client.iter_pod_pages(None)))) == 100
                received[way] = client.bytes_received
    assert received["near"] == received["plain"] > 1_000_000
    assert received["far"] < 100_000
    assert [request.headers["accept-encoding"] for request in server.requests] == ["identity", "gzip", "identity"]


def test_requests_share_a_connection_and_say_who_asks(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server, connect(target_of(server, tmp_path)) as client:
        for _ in range(5):
            client.server_version()
        assert (client.requests, client.retries) == (5, 0)
    assert server.connection_count == 1
    assert server.requests[0].headers["user-agent"].startswith("oomdb/")
    assert server.requests[0].user == "user"


def test_threads_share_a_client_with_a_bounded_number_of_connections(tmp_path: Path) -> None:
    cluster = SimulatedCluster(pods=[build_pod(f"web-{number}", namespace=f"n{number}") for number in range(40)])
    found: list[str] = []
    with serve(cluster) as server, connect(target_of(server, tmp_path)) as client:

        def read(start: int) -> None:
            for number in range(start, 40, 8):
                found.extend(names_of(list(client.iter_pod_pages(f"n{number}"))))

        threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.requests == 40
    assert sorted(found) == sorted(f"web-{number}" for number in range(40))
    assert server.connection_count <= 5


def test_a_server_below_a_path_is_asked_there(tmp_path: Path) -> None:
    with serve(SimulatedCluster(projects=False)) as server:
        below = change_cluster(
            target_of(server, tmp_path), lambda entry: replace(entry, server=f"{entry.server}/k8s/clusters/c-1/")
        )
        with connect(below) as client, pytest.raises(ClusterNotFound):
            client.list_namespaces()
    assert server.requests[0].path == "/k8s/clusters/c-1/api/v1/namespaces"


def test_a_client_certificate_is_enough(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), ask_client_certificate=True, authority=(authority := Authority())) as server:
        pair = authority.client_certificate("admin")
        entry = ContextEntry(context="dev", server=server.url, authority_pem=authority.pem, client=pair)
        with connect(load_target(tmp_path, entry)) as client:
            client.list_namespaces()
    assert server.requests[0].user == "admin"


def test_plain_http_works_where_the_url_says_so(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), plain_http=True) as server, connect(target_of(server, tmp_path)) as client:
        assert client.list_namespaces() == []


def test_the_next_context_of_a_server_is_tried_after_401(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server:
        entries = [
            ContextEntry(context=name, server=server.url, authority_pem=server.authority_pem, token=token)
            for name, token in (("old", "expired"), ("new", "token"))
        ]
        with connect(load_target(tmp_path, *entries)) as client:
            assert client.context_name == "old"
            client.list_namespaces()
            client.list_namespaces()
            assert client.context_name == "new"
            assert (client.requests, client.retries) == (3, 1)
    assert [request.status for request in server.requests] == [401, 200, 200]


def test_a_server_that_refuses_every_context_is_not_asked_again(tmp_path: Path) -> None:
    with serve(SimulatedCluster()) as server:
        entries = [
            ContextEntry(context=name, server=server.url, authority_pem=server.authority_pem, token=f"expired-{name}")
            for name in ("a", "b")
        ]
        with connect(load_target(tmp_path, *entries), retries=3) as client:
            for _ in range(3):
                with pytest.raises(ClusterUnauthorized) as caught:
                    client.list_namespaces()
    assert str(caught.value) == (
        f"{server.url}: the credentials of context 'a' are not accepted (401: Unauthorized); "
        f"log in with `oc login {server.url}`, or renew them in the kubeconfig. "
        "(1 more context(s) of this server failed too)"
    )
    assert len(server.requests) == 2


def test_anonymous_is_not_logged_in(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), anonymous=True) as server, connect(target_of(server, tmp_path, token="")) as client:
        assert client.server_version() == "v1.31.6"
        with pytest.raises(ClusterUnauthorized) as caught:
            client.list_namespaces()
    assert str(caught.value) == (
        f"{server.url}: the credentials of context 'dev' are missing or unknown to it (it calls us anonymous); "
        f"log in with `oc login {server.url}`, or renew them in the kubeconfig."
    )


def test_a_token_file_that_was_renewed_is_read_again(tmp_path: Path) -> None:
    tokens = {"first": "user"}
    token_file = tmp_path / "token"
    token_file.write_text("first")
    with serve(SimulatedCluster(), tokens=tokens) as server:
        target = target_of(server, tmp_path)
        context = target.contexts[0]
        user = replace(context.user, token="", token_file=token_file)
        with connect(replace(target, contexts=(replace(context, user=user),))) as client:
            assert client.list_namespaces() == []
            token_file.write_text("second")
            tokens.clear()
            tokens["second"] = "user"
            assert client.list_namespaces() == []
