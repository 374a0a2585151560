"""Lists, pages, selectors and single objects, as a client sees them."""

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest

from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import ExpireContinue, Fault, Faults
from oomdb.simulator.objects import back_off_event, event, namespace, node_oom_event, oom_event, pod
from oomdb.simulator.server import serve

from .asking import EVENTS, NAMESPACES, PODS, PROJECTS, Asker, asking

NOW = datetime(2026, 1, 15, 15, tzinfo=UTC)


def build_cluster(pod_count: int = 7, *, projects: bool = True) -> SimulatedCluster:
    pods = [pod(f"web-{number:04}", namespace="shop" if number % 2 else "bank") for number in range(pod_count)]
    return SimulatedCluster([namespace("shop"), namespace("bank")], pods, projects=projects)


def read_pages(asker: Asker, path: str, limit: int) -> list[dict[str, Any]]:
    pages = [asker.get(path, {"limit": str(limit)}).json()]
    while token := pages[-1]["metadata"].get("continue"):
        pages.append(asker.get(path, {"limit": str(limit), "continue": token}).json())
    return pages


def test_pages_hold_every_object_once_in_storage_order_and_say_how_many_remain() -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        pages = read_pages(asker, PODS, 3)
    keys = [(item["metadata"]["namespace"], item["metadata"]["name"]) for page in pages for item in page["items"]]
    assert keys == sorted(keys)
    assert len(set(keys)) == 7
    assert [page["metadata"].get("remainingItemCount") for page in pages] == [4, 1, None]
    assert server.connection_count == 1


def test_a_list_names_its_kind_and_its_items_do_not() -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        page = asker.get("/api/v1/namespaces/shop/pods").json()
        one = asker.get("/api/v1/namespaces/shop/pods/web-0001").json()
    assert (page["kind"], page["apiVersion"]) == ("PodList", "v1")
    assert not {"kind", "apiVersion"} & set(page["items"][0])
    assert (one["kind"], one["apiVersion"]) == ("Pod", "v1")
    assert {item["metadata"]["namespace"] for item in page["items"]} == {"shop"}


def test_a_list_goes_on_over_a_replacement_as_it_began() -> None:
    cluster = build_cluster(4)
    with serve(cluster) as server, asking(server) as asker:
        first = asker.get(PODS, {"limit": "2"}).json()
        cluster.replace(pods=[])
        rest = asker.get(PODS, {"limit": "2", "continue": first["metadata"]["continue"]}).json()
        anew = asker.get(PODS).json()
    assert len(rest["items"]) == 2
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert anew["items"] == []


def test_a_compacted_token_is_answered_with_410_and_one_that_goes_on_all_the_same() -> None:
    cluster = build_cluster(4)
    with serve(cluster) as server, asking(server) as asker:
        first = asker.get(PODS, {"limit": "2"})
        cluster.compact()
        expired = asker.get(PODS, {"limit": "2", "continue": first.json()["metadata"]["continue"]})
        inconsistent = expired.json()["metadata"]["continue"]
        rest = asker.get(PODS, {"limit": "1", "continue": inconsistent})
        last = asker.get(PODS, {"continue": rest.json()["metadata"]["continue"]})
    assert (expired.status, expired.json()["reason"]) == (410, "Expired")
    assert expired.message().startswith("The provided continue parameter is too old to display a consistent list")
    assert len({*first.names(), *rest.names(), *last.names()}) == 4


def test_the_fault_that_expires_tokens_leaves_inconsistent_ones_alone() -> None:
    faults = Faults(Fault(match=PODS, action=ExpireContinue()))
    with serve(build_cluster(4), faults=faults) as server, asking(server) as asker:
        first = asker.get(PODS, {"limit": "2"}).json()
        expired = asker.get(PODS, {"limit": "2", "continue": first["metadata"]["continue"]})
        rest = asker.get(PODS, {"limit": "2", "continue": expired.json()["metadata"]["continue"]})
    assert (expired.status, rest.status, len(rest.json()["items"])) == (410, 200, 2)


@pytest.mark.parametrize("token", ["%%%", "e30", "bm90IGpzb24", "eyJ2IjoidjEiLCJydiI6MSwic3RhcnQiOiJhIn0"])
def test_a_token_that_nobody_gave_is_a_bad_request(token: str) -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        reply = asker.get(PODS, {"limit": "2", "continue": token})
    assert (reply.status, reply.json()["reason"]) == (400, "BadRequest")
    assert reply.message().startswith("invalid continue token: continue key is not valid: ")


def test_numbers_and_versions_that_make_no_sense_are_bad_requests() -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        number = asker.get(PODS, {"limit": "many"})
        token = asker.get(PODS, {"limit": "1"}).json()["metadata"]["continue"]
        version = asker.get(PODS, {"resourceVersion": "0", "continue": token})
        selector = asker.get(PODS, {"labelSelector": "app=web"})
    assert number.message() == 'strconv.ParseInt: parsing "many": invalid syntax'
    assert version.message() == "specifying resource version is not allowed when using continue"
    assert selector.message() == "the simulated cluster does not know the parameter labelSelector: leave it out"


def event_cluster() -> SimulatedCluster:
    web = pod("web-1", namespace="shop")
    return SimulatedCluster(
        events=[
            back_off_event(web, "app", at=NOW),
            oom_event(web, "app", at=NOW, new_style=True),
            event("Pulled", "Container image already present", about=web, at=NOW, container="app"),
            event("Odd", "no type", about=web, at=NOW, type=""),
            node_oom_event("node-1", at=NOW),
        ]
    )


@pytest.mark.parametrize(
    ("selector", "reasons"),
    [
        ("involvedObject.kind=Pod,reason!=Pulled", {"BackOff", "PreviousContainerWasOOMKilled", "Odd"}),
        ("involvedObject.kind==Node", {"SystemOOM"}),
        ("involvedObject.name=web-1,involvedObject.namespace=shop,type=Warning,source=kubelet", {"BackOff"}),
        ("source=kubernetes-oom-event-generator", {"PreviousContainerWasOOMKilled"}),
        ("reportingComponent!=kubelet", {"PreviousContainerWasOOMKilled"}),
        ("involvedObject.fieldPath=spec.containers{app},reason=Pulled", {"Pulled"}),
        ("type=", {"Odd"}),
        ("metadata.namespace=default", {"SystemOOM"}),
        ("reason=a\\,b\\=c", set()),
    ],
)
def test_events_are_selected_by_their_fields(selector: str, reasons: set[str]) -> None:
    with serve(event_cluster()) as server, asking(server) as asker:
        items = asker.get(EVENTS, {"fieldSelector": selector}).json()["items"]
    assert {item["reason"] for item in items} == reasons


def test_pods_are_selected_by_node_and_phase() -> None:
    pods = [pod("a", node="one"), pod("b", node="two"), pod("c", node="one", phase="Failed")]
    with serve(SimulatedCluster(pods=pods)) as server, asking(server) as asker:
        reply = asker.get(PODS, {"fieldSelector": "spec.nodeName=one,status.phase!=Failed"})
        page = asker.get(PODS, {"fieldSelector": "spec.nodeName=one", "limit": "1"}).json()
    assert reply.names() == ["a"]
    assert "continue" in page["metadata"]
    assert "remainingItemCount" not in page["metadata"]  # nobody counts with a selector


@pytest.mark.parametrize(
    ("path", "selector", "message"),
    [
        (PODS, "spec.image=x", "field label not supported: spec.image"),
        (EVENTS, "message=x", "field label not supported: message"),
        (EVENTS, "reason", "invalid selector: 'reason'; can't understand 'reason'"),
        (NAMESPACES, "type=Warning", "field label not supported: type"),
    ],
)
def test_selectors_that_the_server_does_not_support_are_bad_requests(path: str, selector: str, message: str) -> None:
    with serve(event_cluster()) as server, asking(server) as asker:
        reply = asker.get(path, {"fieldSelector": selector})
    assert (reply.status, reply.message()) == (400, message)


def test_large_answers_are_compressed_where_the_client_takes_it_and_small_ones_never() -> None:
    accepting = {"Accept-Encoding": "gzip"}
    with serve(build_cluster(200)) as server, asking(server) as asker:
        plain = asker.get(PODS)
        packed = asker.get(PODS, headers=accepting)
        small = asker.get(PODS, {"limit": "1"}, headers=accepting)
    assert plain.headers["transfer-encoding"] == "chunked"
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(plain.body) > 128 * 1024
    assert "content-encoding" not in small.headers


def test_projects_are_the_namespaces_of_an_openshift_cluster() -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        projects = asker.get(PROJECTS)
    with serve(build_cluster(projects=False)) as server, asking(server) as asker:
        missing = asker.get(PROJECTS)
    assert (projects.json()["kind"], projects.json()["apiVersion"]) == ("ProjectList", "project.openshift.io/v1")
    assert projects.names() == ["bank", "shop"]
    assert (missing.status, missing.body) == (404, b"404 page not found\n")


def test_what_is_not_there_is_not_found_but_an_unknown_namespace_is_merely_empty() -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        missing = asker.get("/api/v1/namespaces/shop/pods/nobody")
        space = asker.get(f"{NAMESPACES}/nowhere")
        empty = asker.get("/api/v1/namespaces/nowhere/pods")
        path = asker.get("/api/v1/secrets")
    assert (missing.status, missing.message()) == (404, 'pods "nobody" not found')
    assert missing.json()["details"] == {"name": "nobody", "kind": "pods"}
    assert space.message() == 'namespaces "nowhere" not found'
    assert (empty.status, empty.json()["items"]) == (200, [])
    assert (path.status, path.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_version_and_health_are_answered() -> None:
    with serve(SimulatedCluster(server_version="v1.34.4")) as server, asking(server) as asker:
        version = asker.get("/version").json()
        health = asker.get("/readyz")
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "34", "v1.34.4")
    assert health.body == b"ok"


def test_only_reading_is_simulated_and_only_json() -> None:
    with serve(build_cluster()) as server, asking(server) as asker:
        protobuf = asker.get(PODS, headers={"Accept": "application/vnd.kubernetes.protobuf"})
        either = asker.get(PODS, headers={"Accept": "application/vnd.kubernetes.protobuf,application/json"})
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = asker.get(PODS, method=method)
            assert refused.message() == "the server does not allow this method on the requested resource"
    assert (protobuf.status, either.status, refused.status) == (406, 200, 405)


def test_hostile_names_travel_as_they_are() -> None:
    name = "<script>\"'&\n../🦊\u2028"
    with serve(SimulatedCluster(pods=[pod("web", labels={"app": name})])) as server, asking(server) as asker:
        reply = asker.get(PODS)
    assert reply.json()["items"][0]["metadata"]["labels"]["app"] == name
    assert b"<script>" not in reply.body  # the Go encoder escapes it


def test_content_that_is_no_api_object_fails_loudly() -> None:
    cluster = SimulatedCluster(pods=[{"metadata": {"name": "odd"}, "spec": {"nodeName": object()}}])
    with serve(cluster) as server, asking(server) as asker:
        reply = asker.get(PODS)
    assert (reply.status, reply.json()["reason"]) == (500, "InternalError")
    assert "not JSON serializable" in reply.message()
