"""A real API server's lists, read as protobuf and as JSON: the same objects, whatever tenants wrote into them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import urllib3

from oomdb.errors import ClusterForbidden
from oomdb.kube.client import ClusterClient, open_client
from oomdb.kube.clusters import plan_clusters
from oomdb.kube.formats import ListFormat, find_status
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.kube.messages import create_message
from oomdb.simulator.cluster import Content, load_folder
from oomdb.workloads import find_memory
from tests.controlplane.loading import create_namespaces, load_content, load_pod
from tests.controlplane.server import ApiServer, ControlPlane

CASES = Path(__file__).parent.parent / "data" / "detection-cases" / "objects" / "kflux-prd-rh02"
HOSTILE = "hostile"
PROTOBUF = "application/vnd.kubernetes.protobuf"
FORMATS: tuple[ListFormat, ListFormat] = ("protobuf", "json")


@dataclass(frozen=True)
class Both:
    """One server, and its lists in either format."""

    server: ApiServer
    protobuf: ClusterClient
    json: ClusterClient


@pytest.fixture(scope="module")
def both(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The detection cases, and a namespace in which a tenant wrote what the API server lets pass."""
    cluster = load_folder(CASES)
    server = control_plane.start_server("two-formats")
    load_content(server, Content(cluster.namespaces, cluster.pods, cluster.events, cluster.logs))
    create_namespaces(server, HOSTILE, labels={"tier": "gold", "empty": ""})
    load_pod(server, hostile_pod())
    for number, event in enumerate(HOSTILE_EVENTS):
        server.request("POST", f"/api/v1/namespaces/{HOSTILE}/events", hostile_event(f"e-{number}", **event))
    post_protobuf(server, f"/api/v1/namespaces/{HOSTILE}/events", "Event", event_in_protobuf())
    path = server.write_kubeconfig(tmp_path_factory.mktemp("two-formats") / "kubeconfig")
    (target,) = plan_clusters(load_kubeconfig(path=str(path), environ={}, home=path.parent), names={})
    with (
        open_client(target, timeout_seconds=20, retries=0, lists="protobuf") as protobuf,
        open_client(target, timeout_seconds=20, retries=0, lists="json") as as_json,
    ):
        yield Both(server, protobuf, as_json)
    server.stop()


def test_pods_are_the_same(both: Both) -> None:
    pods = {
        lists: [pod for page in client.iter_pod_pages(None) for pod in page.items]
        for lists, client in (("protobuf", both.protobuf), ("json", both.json))
    }
    assert len(pods["json"]) > 30
    for one, other in zip(pods["protobuf"], pods["json"], strict=True):
        assert plain(one) == plain(other)
        assert one.labels() == other.labels()
        for status in one.container_statuses():
            assert find_memory(one, status.name) == find_memory(other, status.name)


def test_events_are_the_same(both: Both) -> None:
    events = {
        lists: [event for page in client.iter_event_pages(None) for event in page.items]
        for lists, client in (("protobuf", both.protobuf), ("json", both.json))
    }
    assert len(events["json"]) > 20
    assert events["protobuf"] == events["json"]


def test_what_a_tenant_wrote_is_read(both: Both) -> None:
    (page,) = both.protobuf.iter_event_pages(HOSTILE)
    read = {event.metadata.name: event for event in page.items}
    assert read["e-0"].last_timestamp is None  # year 0
    assert read["from-protobuf"].message == "Back-off \ufffd"
    (pods,) = both.protobuf.iter_pod_pages(HOSTILE)
    (pod,) = pods.items
    assert [status.restart_count for status in pod.container_statuses()] == [2**31 - 1]
    assert find_memory(pod, "app") == (1610612736, 1000)


def test_namespaces_are_the_same(both: Both) -> None:
    namespaces = both.protobuf.list_namespaces()
    assert namespaces == both.json.list_namespaces()
    (hostile,) = (each for each in namespaces if each.name == HOSTILE)
    assert hostile.labels == {"tier": "gold", "empty": "", "kubernetes.io/metadata.name": HOSTILE}


def test_protobuf_is_what_came(both: Both) -> None:
    listed = request(both.server, "/api/v1/pods?limit=1", accept=f"{PROTOBUF},application/json")
    assert listed.headers["Content-Type"] == PROTOBUF
    assert listed.data.startswith(b"k8s\0")


def test_a_refusal_has_the_same_words(both: Both, tmp_path: Path) -> None:
    token = both.server.create_account(HOSTILE, "stranger")
    path = both.server.write_kubeconfig(tmp_path / "kubeconfig", token=token)
    (target,) = plan_clusters(load_kubeconfig(path=str(path), environ={}, home=tmp_path), names={})
    words = set()
    for lists in FORMATS:
        with (
            open_client(target, timeout_seconds=20, retries=0, lists=lists) as client,
            pytest.raises(ClusterForbidden) as caught,
        ):
            next(client.iter_pod_pages(None))
        words.add(str(caught.value))
    assert words == {
        f'pods is forbidden: User "system:serviceaccount:{HOSTILE}:stranger" cannot list resource "pods" '
        'in API group "" at the cluster scope'
    }


def test_an_expired_list_says_so_in_either_format(both: Both, control_plane: ControlPlane) -> None:
    # of events the API server caches nothing; of pods it may still know what etcd has forgotten
    token = both.server.request("GET", "/api/v1/events?limit=1")["metadata"]["continue"]
    create_namespaces(both.server, "after-the-first-page")
    control_plane.compact()
    statuses = []
    for accept in (PROTOBUF, "application/json"):
        expired = request(both.server, f"/api/v1/events?limit=1&continue={quote(token)}", accept=accept)
        assert (expired.status, expired.headers["Content-Type"]) == (410, accept)
        statuses.append(find_status(expired.data, expired.headers))
    one, other = statuses
    assert one is not None
    assert other is not None
    assert (one.message, one.reason) == (other.message, other.reason)
    assert one.reason == "Expired"
    assert one.metadata.continue_token
    assert other.metadata.continue_token


# --- what the API server lets pass ----------------------------------------------------------------------------------

ODD_TEXT = '</script> \\ " \u2028 \u0007 \U0001f4a5 é \ufffe' + "x" * 900
HOSTILE_EVENTS: list[dict[str, Any]] = [
    {"lastTimestamp": "0000-01-01T00:00:00Z", "count": 2**31 - 1},
    {"lastTimestamp": "0001-01-01T00:00:00Z"},  # Go's zero time
    {"lastTimestamp": "9999-12-31T23:59:59Z", "firstTimestamp": "1970-01-01T00:00:00Z", "count": -(2**31)},
    {
        "eventTime": "2026-01-15T12:00:00.123456Z",
        "action": "a",
        "reason": "New",
        "type": "Warning",
        "reportingComponent": "k8s.io/c",
        "reportingInstance": "i",
    },
    {"series": {"count": 3, "lastObservedTime": "2026-01-15T12:00:00.000001Z"}},
    {"message": ODD_TEXT, "reason": ODD_TEXT[:128], "type": "Normal"},
    {"type": "", "message": "", "reason": ""},
]


def hostile_event(name: str, **fields: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "namespace": HOSTILE, "name": "p", "uid": "u", "fieldPath": "spec.containers{app}"}
    return {"metadata": {"name": name, "namespace": HOSTILE}, "involvedObject": about, **fields}


def hostile_pod() -> dict[str, Any]:
    terminated = {
        "exitCode": -(2**31),
        "reason": ODD_TEXT,
        "startedAt": "0001-01-01T00:00:01Z",
        "finishedAt": "9999-12-31T23:59:59Z",
        "containerID": "cri-o://" + "0" * 64,
    }
    status = {
        "name": "app",
        "restartCount": 2**31 - 1,
        "image": "",
        "imageID": "",
        "ready": False,
        "state": {"waiting": {"reason": ODD_TEXT}},
        "lastState": {"terminated": terminated},
    }
    container = {
        "name": "app",
        "image": "image",
        "resources": {"limits": {"memory": "1.5Gi", "cpu": "100m"}, "requests": {"memory": "1e3", "cpu": "0"}},
    }
    owners = [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1", "controller": False},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "b", "uid": "2"},
    ]
    return {
        "metadata": {"name": "p", "namespace": HOSTILE, "labels": {"app": "", "a/b": "c"}, "ownerReferences": owners},
        "spec": {"containers": [container], "initContainers": [{"name": "init", "image": "image"}]},
        "status": {"phase": "Failed", "reason": ODD_TEXT, "message": ODD_TEXT, "containerStatuses": [status]},
    }


def event_in_protobuf() -> Any:
    """Return an event as the kubelet sends it, whose message was cut where a character is."""
    return create_message(
        "Event",
        metadata={"name": b"from-protobuf", "namespace": HOSTILE.encode()},
        involved_object={"kind": b"Pod", "namespace": HOSTILE.encode(), "name": b"p\xff", "uid": b"\xff"},
        reason=b"\xff",
        message=b"Back-off \xe2",
        last_timestamp=create_message("Time", seconds=2**62).SerializeToString(),
    )


def post_protobuf(server: ApiServer, path: str, kind: str, message: Any) -> None:
    shell = create_message("Answer", type_meta={"kind": kind.encode()}, raw=message.SerializeToString())
    version = b"\x0a\x02v1"  # a field of TypeMeta that only a sender needs
    type_meta = version + shell.type_meta.SerializeToString()
    body = b"k8s\0" + b"\x0a" + bytes([len(type_meta)]) + type_meta + shell.SerializeToString()
    answered = request(server, path, accept="application/json", body=body)
    assert answered.status == 201, answered.data


def request(server: ApiServer, path: str, *, accept: str, body: bytes | None = None) -> urllib3.BaseHTTPResponse:
    headers = {"Accept": accept, "Authorization": f"Bearer {server.admin_token}", "Content-Type": PROTOBUF}
    with urllib3.PoolManager(ca_cert_data=server.authority_pem.decode()) as pool:
        return pool.request("POST" if body else "GET", server.url + path, body=body, headers=headers, retries=False)


def plain(value: msgspec.Struct) -> Any:
    """Return what an object tells, without the ways in which nothing is said: null, {} and []."""
    return without_nothing(json.loads(msgspec.json.encode(value)))


def without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: without_nothing(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, {}, [])}
    return [without_nothing(inner) for inner in value] if isinstance(value, list) else value
