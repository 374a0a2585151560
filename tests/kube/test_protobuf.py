"""Lists as protobuf: the same objects as from JSON, and plain words for whatever a server or a tenant may send."""

import random
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from oomdb.errors import ClusterAnswerError, ClusterError, ClusterForbidden
from oomdb.kube.formats import EVENTS, NAMESPACES, PODS, PROJECTS, RAW_EVENTS, find_status
from oomdb.kube.messages import create_message
from oomdb.kube.objects import ObjectList
from oomdb.model import Event, Pod
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.server import serve

from .connecting import ScriptedServer, connect, target_of

PROTOBUF = {"Content-Type": "application/vnd.kubernetes.protobuf"}
AT_SECONDS = 1_768_478_400
AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
NONE = b""

T = TypeVar("T")


def encode(name: str, **fields: Any) -> bytes:
    encoded: bytes = create_message(name, **fields).SerializeToString()
    return encoded


def answer(kind: str, **fields: Any) -> bytes:
    """Return a body as the API server writes it."""
    return b"k8s\0" + encode("Answer", type_meta={"kind": kind.encode()}, raw=encode(kind, **fields))


def time(seconds: int, nanos: int = 0) -> bytes:
    return encode("Time", seconds=seconds, nanos=nanos)


def read_pod(pod: dict[str, Any]) -> Pod:
    return items(PODS.decode(answer("PodList", items=[pod]), PROTOBUF))[0]


def read_event(event: dict[str, Any]) -> Event:
    return items(EVENTS.decode(answer("EventList", items=[event]), PROTOBUF))[0]


def items(page: ObjectList[T]) -> list[T]:
    assert page.items is not None
    return page.items


def http(body: bytes, *, status: str = "200 OK", content_type: str = PROTOBUF["Content-Type"]) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


# --- the same as from JSON ------------------------------------------------------------------------------------------


def test_a_pod_is_the_one_that_json_tells_of() -> None:
    terminated = {
        "exit_code": 137,
        "reason": b"OOMKilled",
        "started_at": time(AT_SECONDS - 60),
        "finished_at": time(AT_SECONDS),
        "container_id": b"cri-o://abc",
    }
    amounts = [{"resource": b"memory", "quantity": {"text": b"1Gi"}}]
    resources = encode("ResourceRequirements", limits=amounts, requests=[])
    pod = read_pod(
        {
            "metadata": {
                "name": b"web-1",
                "namespace": b"team",
                "uid": b"u-1",
                "labels": [{"key": b"app", "value": "wéb".encode()}],
                "owner_references": [{"kind": b"ReplicaSet", "name": b"web", "controller": True}, {"kind": b"Other"}],
            },
            "spec": {
                "node_name": b"node-1",
                "containers": [{"name": b"app", "resources": resources}, {"name": b"sidecar"}],
                "init_containers": [{"name": b"init"}],
                "ephemeral_containers": [{"common": {"name": b"debug"}}],
            },
            "status": {
                "phase": b"Running",
                "start_time": time(AT_SECONDS - 90),
                "container_statuses": [
                    {
                        "name": b"app",
                        "state": encode("ContainerState", waiting={"reason": b"CrashLoopBackOff"}),
                        "last_state": encode("ContainerState", terminated=terminated),
                        "restart_count": 4,
                        "image": b"web:1",
                        "resources": resources,
                    }
                ],
                "ephemeral_container_statuses": [
                    {"name": b"debug", "state": encode("ContainerState", running={"started_at": time(AT_SECONDS)})}
                ],
            },
        }
    )
    assert pod == msgspec.convert(
        {
            "metadata": {
                "name": "web-1",
                "namespace": "team",
                "uid": "u-1",
                "labels": msgspec.Raw('{"app":"wéb"}'.encode()),
                "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "web", "controller": True},
                    {"kind": "Other", "controller": None},
                ],
            },
            "spec": {
                "nodeName": "node-1",
                "containers": [
                    {"name": "app", "resources": msgspec.Raw(b'{"limits":{"memory":"1Gi"},"requests":{}}')},
                    {"name": "sidecar"},
                ],
                "initContainers": [{"name": "init"}],
                "ephemeralContainers": [{"name": "debug"}],
            },
            "status": {
                "phase": "Running",
                "startTime": "2026-01-15T11:58:30Z",
                "containerStatuses": [
                    {
                        "name": "app",
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {
                            "terminated": {
                                "exitCode": 137,
                                "reason": "OOMKilled",
                                "startedAt": "2026-01-15T11:59:00Z",
                                "finishedAt": "2026-01-15T12:00:00Z",
                                "containerID": "cri-o://abc",
                            }
                        },
                        "restartCount": 4,
                        "image": "web:1",
                        "resources": msgspec.Raw(b'{"limits":{"memory":"1Gi"},"requests":{}}'),
                    }
                ],
                "ephemeralContainerStatuses": [
                    {"name": "debug", "image": "", "state": {"running": {"startedAt": "2026-01-15T12:00:00Z"}}}
                ],
            },
        },
        Pod,
    )
    assert pod.labels() == {"app": "wéb"}


def test_states_that_are_long_and_unlike_are_not_kept_in_memory() -> None:
    def body(number: int) -> bytes:
        terminated = {"exit_code": 1, "container_id": b"cri-o://%08d" % number + b"x" * 4096}
        status = {"name": b"app", "state": encode("ContainerState", terminated=terminated)}
        return answer("PodList", items=[{"metadata": {"name": b"p"}, "status": {"container_statuses": [status]}}])

    tracemalloc.start()
    try:
        PODS.decode(body(0), PROTOBUF)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 501):
            PODS.decode(body(number), PROTOBUF)
        kept_bytes = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept_bytes < 500 * 4096 / 4


def test_an_event_is_the_one_that_json_tells_of() -> None:
    event = read_event(
        {
            "metadata": {"name": b"e", "namespace": b"team", "creation_timestamp": time(AT_SECONDS)},
            "involved_object": {
                "kind": b"Pod",
                "namespace": b"team",
                "name": b"web-1",
                "uid": b"u-1",
                "field_path": b"spec.containers{app}",
            },
            "reason": b"BackOff",
            "message": b"Back-off restarting failed container",
            "type": b"Warning",
            "count": 7,
            "first_timestamp": time(AT_SECONDS - 600),
            "last_timestamp": NONE,
            "event_time": time(AT_SECONDS, 123_456_000),
            "series": {"count": 2, "last_observed_time": time(AT_SECONDS + 1, 1_000)},
        }
    )
    assert event == msgspec.convert(
        {
            "metadata": {"name": "e", "namespace": "team", "creationTimestamp": "2026-01-15T12:00:00Z"},
            "involvedObject": {
                "kind": "Pod",
                "namespace": "team",
                "name": "web-1",
                "uid": "u-1",
                "fieldPath": "spec.containers{app}",
            },
            "reason": "BackOff",
            "message": "Back-off restarting failed container",
            "type": "Warning",
            "count": 7,
            "firstTimestamp": "2026-01-15T11:50:00Z",
            "eventTime": "2026-01-15T12:00:00.123456Z",
            "series": {"count": 2, "lastObservedTime": "2026-01-15T12:00:01.000001Z"},
        },
        Event,
    )


def test_what_json_leaves_out_is_unknown_here_too() -> None:
    assert read_pod({"metadata": {"name": b""}, "spec": {"node_name": b""}, "status": {"phase": b""}}) == Pod()
    assert read_event({"reason": b"", "message": b"", "type": b"", "count": 0, "event_time": NONE}) == Event()


def test_a_list_tells_how_to_go_on() -> None:
    page = PODS.decode(answer("PodList", metadata={"continue_token": b"next"}, items=[{}, {}]), PROTOBUF)
    assert (page.metadata.continue_token, len(items(page))) == ("next", 2)
    last = PODS.decode(answer("PodList", metadata={"continue_token": b""}), PROTOBUF)
    assert (last.metadata.continue_token, last.items) == (None, [])


def test_namespaces_have_their_labels() -> None:
    namespaces = [
        {"metadata": {"name": b"team", "labels": [{"key": b"tier", "value": b"gold"}]}},
        {"metadata": {"name": b"bare"}},
    ]
    found = NAMESPACES.decode(answer("NamespaceList", items=namespaces), PROTOBUF)
    assert [(each.to_namespace().name, each.to_namespace().labels) for each in items(found)] == [
        ("team", {"tier": "gold"}),
        ("bare", {}),
    ]


# --- what tenants and servers may send ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "instant"),
    [
        (NONE, None),
        (time(0), datetime(1970, 1, 1, tzinfo=UTC)),
        (time(-1), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (time(-62_135_596_799), datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC)),
        (time(-62_167_219_200), None),  # 0000-01-01T00:00:00Z, which Go takes
        (time(253_402_300_799), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (time(253_402_300_800), None),
        (time(2**63 - 1, 2**31 - 1), None),
        (time(-(2**63), -(2**31)), None),
    ],
)
def test_a_time_is_an_instant_or_unknown(encoded: bytes, instant: datetime | None) -> None:
    assert read_event({"last_timestamp": encoded}).last_at() == instant
    running = encode("ContainerState", running={"started_at": encoded})
    status = read_pod({"status": {"container_statuses": [{"state": running}]}}).container_statuses()
    assert [each.state.running and each.state.running.started_at for each in status] == [instant]


def test_numbers_are_those_of_32_bits() -> None:
    assert read_event({"count": -(2**31)}).count == -(2**31)
    too_large = b"\x40" + b"\xff" * 9 + b"\x01"  # count, of 64 bits
    body = b"k8s\0" + encode("Answer", type_meta={"kind": b"EventList"}, raw=b"\x12\x0b" + too_large)
    assert items(EVENTS.decode(body, PROTOBUF))[0].count == -1


def test_text_that_is_no_utf_8_is_read_as_far_as_it_is() -> None:
    cut_character = "Back-off €".encode()[:-1]
    assert read_event({"message": cut_character, "reason": b"\xff"}) == Event(message="Back-off �", reason="�")
    pod = read_pod({"metadata": {"name": b"\xfe", "labels": [{"key": b"\xff", "value": b"\xed\xa0\x80"}]}})
    assert pod.metadata.name == "�"
    assert list(pod.labels()) == ["�"]


def test_fields_that_we_do_not_know_are_skipped() -> None:
    raw = encode("PodList", items=[{"metadata": {"name": b"web"}}]) + b"\xfa\x01\x03new"
    body = b"k8s\0" + encode("Answer", type_meta={"kind": b"PodList"}, raw=raw) + b"\x1a\x00\x22\x00"
    assert [pod.metadata.name for pod in items(PODS.decode(body, PROTOBUF))] == ["web"]


@pytest.mark.parametrize("raw", [b"", b"\x12\x7f"])  # an empty list, and one that no list of pods could be
def test_another_kind_of_list_is_refused(raw: bytes) -> None:
    body = b"k8s\0" + encode("Answer", type_meta={"kind": b"ServiceList"}, raw=raw)
    with pytest.raises(msgspec.ValidationError, match=r"^Expected `PodList`, got `ServiceList`$"):
        PODS.decode(body, PROTOBUF)


def test_a_body_that_was_cut_is_never_a_shorter_list() -> None:
    whole = answer("PodList", items=[{"metadata": {"name": b"web-%d" % number}} for number in range(5)])
    for length in range(len(whole)):
        with pytest.raises(msgspec.DecodeError):
            PODS.decode(whole[:length], PROTOBUF)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x12\x7f",  # an item longer than the list
        b"\x13" * 200,  # groups in groups, deeper than the library reads
        b"\x12\x03\x0a\x7f\x00",
        b"\x12" + b"\xff" * 10,
    ],
)
def test_a_damaged_list_is_an_answer_that_is_refused(raw: bytes) -> None:
    body = b"k8s\0" + encode("Answer", type_meta={"kind": b"PodList"}, raw=raw)
    with pytest.raises(msgspec.ValidationError, match=r"^its protobuf is damaged$"):
        PODS.decode(body, PROTOBUF)


def test_bytes_at_random_are_a_list_or_refused() -> None:
    source = random.Random(1)
    whole = answer(
        "PodList",
        items=[
            {
                "metadata": {"name": b"web", "labels": [{"key": b"app", "value": b"web"}]},
                "status": {
                    "container_statuses": [
                        {"state": encode("ContainerState", running={"started_at": time(AT_SECONDS)})},
                        {"resources": encode("ResourceRequirements", limits=[{"resource": b"cpu"}])},
                    ]
                },
            }
        ],
    )
    refused = 0
    for _ in range(3000):
        body = bytearray(whole)
        for _ in range(source.randrange(1, 4)):
            body[source.randrange(4, len(body))] = source.randrange(256)
        try:
            for pod in items(PODS.decode(body, PROTOBUF)):
                msgspec.json.decode(msgspec.json.encode(pod), type=Pod)
        except msgspec.DecodeError:
            refused += 1
    assert 0 < refused < 3000


# --- what is asked for, and what comes ------------------------------------------------------------------------------


def test_protobuf_is_asked_for_where_it_can_be_had_and_json_is_read_where_it_comes(tmp_path: Path) -> None:
    namespaces = [{"metadata": {"name": "team"}}]
    with serve(SimulatedCluster(namespaces=namespaces)) as server:  # which has no protobuf
        with connect(target_of(server, tmp_path)) as client:
            assert [each.name for each in client.list_namespaces()] == ["team"]
            assert [page.items for page in client.iter_pod_pages(None)] == [[]]
            assert [page.items for page in client.iter_event_pages("team")] == [[]]
            client.list_pod_events("team", "web", "")
            client.server_version()
            client.list_projects()
        asked = [(request.path, request.headers["accept"]) for request in server.requests]
    both = "application/vnd.kubernetes.protobuf,application/json"
    assert asked == [
        ("/api/v1/namespaces", both),
        ("/api/v1/pods", both),
        ("/api/v1/namespaces/team/events", both),
        ("/api/v1/namespaces/team/events", "application/json"),
        ("/version", "application/json"),
        ("/apis/project.openshift.io/v1/projects", "application/json"),
    ]


def test_all_is_json_where_protobuf_is_not_wanted() -> None:
    assert {reader.accept("json") for reader in (PODS, EVENTS, NAMESPACES, PROJECTS, RAW_EVENTS)} == {
        "application/json"
    }


def test_protobuf_is_not_asked_for_where_the_library_is_not_compiled() -> None:
    command = "from oomdb.kube.formats import PODS; print(PODS.accept('protobuf'))"
    environ = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    done = subprocess.run([sys.executable, "-c", command], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "application/json\n"


def test_the_library_is_not_loaded_before_it_is_needed() -> None:
    command = "import sys, oomdb.kube.client; print([name for name in sys.modules if name.startswith('google')])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_list_comes_as_protobuf(tmp_path: Path) -> None:
    body = answer("PodList", items=[{"metadata": {"name": b"web"}}])
    content_type = "Application/vnd.kubernetes.protobuf; charset=binary"
    with (
        ScriptedServer(http(body, content_type=content_type), Authority()) as server,
        connect(server.target(tmp_path)) as client,
    ):
        assert [pod.metadata.name for page in client.iter_pod_pages(None) for pod in page.items] == ["web"]


def test_a_cut_list_is_asked_for_again_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    body = answer("NamespaceList", items=[{"metadata": {"name": b"team"}}])
    assert "answer cut after" in fail(http(body[:-3]), tmp_path)
    assert "(tried 2 times)" in fail(http(body[:-3]), tmp_path)
    words = fail(http(answer("PodList")), tmp_path)
    assert "answered 200, but not as the Kubernetes API does (Expected `NamespaceList`, got `PodList`)" in words
    assert "tried" not in words


def test_an_error_comes_as_protobuf_and_our_token_is_not_shown(tmp_path: Path) -> None:
    message = b'namespaces is forbidden: User "s3cret-token" cannot list'
    refusal = answer("Status", message=message, reason=b"Forbidden")
    words = fail(http(refusal, status="403 Forbidden"), tmp_path, ClusterForbidden)
    assert words == 'namespaces is forbidden: User "***" cannot list'


def test_an_error_tells_how_to_go_on() -> None:
    body = answer("Status", message=b"expired", reason=b"Expired", metadata={"continue_token": b"from-here"})
    status = find_status(body, PROTOBUF)
    assert status is not None
    assert (status.message, status.reason, status.metadata.continue_token) == ("expired", "Expired", "from-here")


@pytest.mark.parametrize("body", [b"", b"k8s\0", b'{"kind":"Status"}', answer("PodList"), answer("Status")[:-1]])
def test_what_is_no_status_is_none(body: bytes) -> None:
    assert find_status(body, PROTOBUF) is None


def fail(said: bytes, folder: Path, error: type[ClusterError] = ClusterAnswerError) -> str:
    """Return the words with which listing the namespaces fails."""
    with (
        ScriptedServer(said, Authority()) as server,
        connect(server.target(folder), retries=1) as client,
        pytest.raises(error) as caught,
    ):
        client.list_namespaces()
    assert type(caught.value) is error
    return str(caught.value)
