"""What a large cluster holds: pods of some 10 kB as real ones are, few of them killed; events, most of them routine."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from oomdb.simulator.objects import (
    ApiDict,
    Container,
    back_off_event,
    crash_looping,
    event,
    image_pull_back_off,
    image_pull_back_off_event,
    namespace,
    oom_killed,
    pod,
    uid_of,
)

KILLED_EVERY, LOOPING_EVERY, PULLING_EVERY = 200, 250, 10  # pods

# the first digits of every UID, in whose place each cluster may have its own
UID_DIGITS = "00000000"


def build_namespaces(count: int) -> list[ApiDict]:
    """Build the namespaces of tenants."""
    return [namespace(f"team-{number}-tenant") for number in range(count)]


def build_pods(count: int, namespaces: Sequence[ApiDict], now: datetime) -> list[ApiDict]:
    """Build pods, spread over the namespaces; `fatten` makes them as large as real ones."""
    names = [each["metadata"]["name"] for each in namespaces]
    return [_pod(number, names[number % len(names)], now) for number in range(count)]


def iter_evidence(count: int, pods: Sequence[ApiDict], now: datetime) -> Iterator[ApiDict]:
    """Iterate over events that pass the selector: back-offs of images for the most part, some of crash loops."""
    looping = [each for number, each in enumerate(pods) if number % LOOPING_EVERY == 2]
    pulling = [each for number, each in enumerate(pods) if number % PULLING_EVERY == 3]
    for each in looping:
        yield back_off_event(each, "app", at=now - timedelta(minutes=2), count=40)
    for number in range(count - len(looping)):
        at = now - timedelta(minutes=number % 60)
        # the same pod again after a while: an event of its own
        yield image_pull_back_off_event(pulling[number % len(pulling)], "app", at=at, first_at=at)


def iter_routine(count: int, pods: Sequence[ApiDict], now: datetime) -> Iterator[ApiDict]:
    """Iterate over events that the selector leaves at the server."""
    for number in range(count):
        reason, message = _ROUTINE[number % len(_ROUTINE)]
        about = pods[number % len(pods)]
        at = now - timedelta(minutes=number % 60, seconds=number // len(pods))
        yield event(reason, message, about=about, at=at, container="app")


_ROUTINE = (
    ("Pulled", "Successfully pulled image in 1.2s"),
    ("Created", "Created container: app"),
    ("Started", "Started container app"),
    ("Scheduled", "Successfully assigned the pod to a node"),
    ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
)


def fatten(target: ApiDict, number: int, *, settings: int = 12, volumes: int = 8) -> None:
    """Give a pod what makes real ones large: environment and volumes."""
    for container in target["spec"]["containers"]:
        container["env"] = [
            {"name": f"SETTING_{index}", "valueFrom": {"configMapKeyRef": {"name": f"map-{number % 50}", "key": "k"}}}
            for index in range(settings)
        ]
        container["volumeMounts"] = [
            {"name": f"volume-{index}", "mountPath": f"/var/run/volume-{index}", "readOnly": True}
            for index in range(volumes)
        ]
    target["spec"]["volumes"] = [
        {"name": f"volume-{index}", "projected": {"sources": [{"configMap": {"name": f"map-{index}"}}]}}
        for index in range(volumes)
    ]


def manage(target: ApiDict) -> None:
    """Add what an API server notes of who set which field."""
    managed: ApiDict = {
        f"f:field-{index}": {".": {}, "f:name": {}, "f:valueFrom": {".": {}, "f:configMapKeyRef": {}}}
        for index in range(36)
    }
    target["metadata"]["managedFields"] = [
        {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": managed}
        for manager in ("kube-controller-manager", "kubelet")
    ]


def _pod(number: int, where: str, now: datetime) -> ApiDict:
    container = Container()
    if number % KILLED_EVERY == 1:
        container = oom_killed(at=now - timedelta(minutes=number % 1400))
    elif number % LOOPING_EVERY == 2:
        container = crash_looping(last_at=now - timedelta(minutes=3), restart_count=40)
    elif number % PULLING_EVERY == 3:
        container = image_pull_back_off()
    name = f"service-{number % 300}-7f6d9c5b8-{number:05}"
    return pod(
        name,
        namespace=where,
        containers=[container, Container(name="sidecar")],
        labels={"app.kubernetes.io/name": f"service-{number % 300}", "pod-template-hash": "7f6d9c5b8"},
        owner=("ReplicaSet", f"service-{number % 300}-7f6d9c5b8"),
        node=f"ip-10-29-{number % 60}-{number % 200}.ec2.internal",
        uid=UID_DIGITS + uid_of(where, name)[8:],
    )
