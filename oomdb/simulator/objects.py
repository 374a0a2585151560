"""API objects by keyword: namespaces, pods whose containers have been through something, and the events about them.

Nothing here is random: UIDs and container IDs are hashes of what they belong to.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

ApiDict = dict[str, Any]
ContainerKind = Literal["main", "init", "ephemeral"]

BORN_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)  # of what is given no age
_SPEC_LISTS: Mapping[ContainerKind, str] = {
    "main": "containers",
    "init": "initContainers",
    "ephemeral": "ephemeralContainers",
}
_STATUS_LISTS: Mapping[ContainerKind, str] = {
    "main": "containerStatuses",
    "init": "initContainerStatuses",
    "ephemeral": "ephemeralContainerStatuses",
}
_RESTART_DELAY = timedelta(seconds=1)  # of a first restart, which is not held back


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as its pod's spec and status show it; `pod` fills in the container IDs."""

    name: str = "app"
    kind: ContainerKind = "main"
    image: str = "quay.io/konflux-ci/app:1f3c9a7"
    memory_limit: str = "256Mi"  # '' for none
    memory_request: str = "128Mi"
    restart_count: int = 0
    state: Mapping[str, Any] = field(default_factory=lambda: running(BORN_AT))
    last_state: Mapping[str, Any] = field(default_factory=dict)


# --- states of containers -------------------------------------------------------------------------------------------


def running(since: datetime) -> ApiDict:
    """Return the state of a container that runs."""
    return {"running": {"startedAt": rfc3339(since)}}


def waiting(reason: str, message: str = "") -> ApiDict:
    """Return the state of a container that is held back."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(
    reason: str, *, at: datetime, exit_code: int, started_at: datetime | None = None, container_id: str = ""
) -> ApiDict:
    """Return the state of a container that ended at `at`; it began an hour before unless given."""
    ended = {
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": rfc3339(started_at or at - timedelta(hours=1)),
        "finishedAt": rfc3339(at),
    }
    return {"terminated": {**ended, **({"containerID": container_id} if container_id else {})}}


def oom_killed(
    name: str = "app",
    *,
    at: datetime,
    restarted: bool = True,
    restart_count: int | None = None,
    exit_code: int = 137,
    started_at: datetime | None = None,
    container_id: str = "",
    kind: ContainerKind = "main",
    memory_limit: str = "256Mi",
) -> Container:
    """Return a container that was OOM-killed at `at`: in `lastState` and running again, or else in `state`."""
    kill = terminated("OOMKilled", at=at, exit_code=exit_code, started_at=started_at, container_id=container_id)
    restarts = (1 if restarted else 0) if restart_count is None else restart_count
    return Container(
        name=name,
        kind=kind,
        memory_limit=memory_limit,
        restart_count=restarts,
        state=running(at + _RESTART_DELAY) if restarted else kill,
        last_state=kill if restarted else {},
    )


def crash_looping(
    name: str = "app",
    *,
    last_at: datetime,
    restart_count: int = 5,
    reason: str = "Error",
    exit_code: int = 1,
    kind: ContainerKind = "main",
) -> Container:
    """Return a container that waits in CrashLoopBackOff and last ended at `last_at`, after some seconds of life."""
    started_at = last_at - timedelta(seconds=8)
    return Container(
        name=name,
        kind=kind,
        restart_count=restart_count,
        state=waiting("CrashLoopBackOff", f"back-off 5m0s restarting failed container={name}"),
        last_state=terminated(reason, at=last_at, exit_code=exit_code, started_at=started_at),
    )


def recovered(
    name: str = "app",
    *,
    stopped_at: datetime,
    pause: timedelta = timedelta(minutes=5),
    restart_count: int = 6,
    reason: str = "Error",
    exit_code: int = 1,
    kind: ContainerKind = "main",
) -> Container:
    """Return a container that runs again after a back-off: it ended at `stopped_at` and was started `pause` later."""
    started_at = stopped_at - timedelta(seconds=8)
    return Container(
        name=name,
        kind=kind,
        restart_count=restart_count,
        state=running(stopped_at + pause),
        last_state=terminated(reason, at=stopped_at, exit_code=exit_code, started_at=started_at),
    )


def image_pull_back_off(name: str = "app", *, image: str = "quay.io/konflux-ci/app:no-such-tag") -> Container:
    """Return a container whose image cannot be pulled, which is no crash loop."""
    message = f'Back-off pulling image "{image}"'
    return Container(name=name, image=image, state=waiting("ImagePullBackOff", message))


# --- objects --------------------------------------------------------------------------------------------------------


def namespace(name: str, *, labels: Mapping[str, str] | None = None, created_at: datetime = BORN_AT) -> ApiDict:
    """Return an active namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": uid_of("namespace", name),
            "resourceVersion": _version_at(created_at),
            "creationTimestamp": rfc3339(created_at),
            "labels": {"kubernetes.io/metadata.name": name, **(labels or {})},
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def pod(
    name: str = "shop-7f6d9c5b8-x2x7k",
    *,
    namespace: str = "shop-tenant",
    containers: Sequence[Container] | None = None,
    restart_policy: str = "Always",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: tuple[str, str] | None = None,
    node: str = "ip-10-29-64-78.ec2.internal",
    created_at: datetime = BORN_AT,
    uid: str = "",
    phase: str = "",
    reason: str = "",
    message: str = "",
) -> ApiDict:
    """Return a pod.

    Args:
        name: its name.
        namespace: where it is.
        containers: of all kinds, in order; one that runs unless given.
        restart_policy: Always, OnFailure or Never.
        labels: its labels, and
        annotations: its annotations.
        owner: kind and name of its controller (`("ReplicaSet", "shop-7f6d9c5b8")`), none by default.
        node: where it runs; '' for a pod that is not scheduled.
        created_at: its age.
        uid: a hash of namespace, name and creation unless given.
        phase: what follows from the containers unless given.
        reason: of the pod's status (`Evicted`), and
        message: the words for it.
    """
    containers = (Container(),) if containers is None else containers
    pod_uid = uid or uid_of("pod", namespace, name, rfc3339(created_at))
    metadata: ApiDict = {
        "name": name,
        "namespace": namespace,
        "uid": pod_uid,
        "resourceVersion": _version_at(created_at),
        "creationTimestamp": rfc3339(created_at),
        "labels": dict(labels or {}),
        "annotations": {"openshift.io/scc": "restricted-v2", **(annotations or {})},
    }
    if owner:
        metadata["ownerReferences"] = [_owner_reference(*owner, namespace)]
    spec: ApiDict = {
        "restartPolicy": restart_policy,
        "serviceAccountName": "default",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        **({"nodeName": node} if node else {}),
    }
    status: ApiDict = {
        "phase": phase or _phase(containers, restart_policy),
        "startTime": rfc3339(created_at),
        "hostIP": "10.29.64.78",
        "podIP": "10.129.9.85",
        "qosClass": "Burstable",
        **({"reason": reason} if reason else {}),
        **({"message": message} if message else {}),
    }
    for container in containers:
        spec.setdefault(_SPEC_LISTS[container.kind], []).append(_container_spec(container))
        status.setdefault(_STATUS_LISTS[container.kind], []).append(_container_status(container, pod_uid))
    spec.setdefault("containers", [])
    ready = all(each.state.get("running") for each in containers if each.kind == "main")
    status["conditions"] = [
        {"type": "PodScheduled", "status": str(bool(node)), "lastTransitionTime": rfc3339(created_at)},
        {"type": "Ready", "status": str(ready), "lastTransitionTime": rfc3339(created_at)},
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


# --- events ---------------------------------------------------------------------------------------------------------


def event(
    reason: str,
    message: str,
    *,
    about: Mapping[str, Any],
    at: datetime,
    first_at: datetime | None = None,
    count: int = 1,
    type: str = "Normal",
    container: str = "",
    component: str = "kubelet",
    new_style: bool = False,
) -> ApiDict:
    """Return an event about an object.

    Args:
        reason: why, in one word.
        message: the words.
        about: the object, with `kind` and `metadata`.
        at: when it was last seen.
        first_at: when it was first seen; `at` unless given.
        count: how often.
        type: Normal or Warning; '' leaves it out.
        container: the pod's container that it is about, which gives `involvedObject.fieldPath`.
        component: who says so.
        new_style: as clients of events.k8s.io write it: `eventTime` and no other time.
    """
    began_at = first_at or at
    metadata = about["metadata"]
    place = metadata.get("namespace") or "default"  # events on nodes are stored there
    # one event object per object, reason and message: the client counts up the one that is there
    identity = uid_of("event", metadata.get("uid", ""), reason, message, rfc3339(began_at))
    involved = {"kind": about["kind"], "apiVersion": about.get("apiVersion", "v1"), "name": metadata["name"]}
    involved |= {key: metadata[key] for key in ("namespace", "uid") if metadata.get(key)}
    if container:
        involved["fieldPath"] = f"spec.{_find_spec_list(about, container)}{{{container}}}"
    times: ApiDict = {"eventTime": None, "firstTimestamp": rfc3339(began_at), "lastTimestamp": rfc3339(at)}
    if new_style:
        times = {"eventTime": f"{rfc3339(began_at)[:-1]}.000000Z", "firstTimestamp": None, "lastTimestamp": None}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{identity.replace('-', '')[:16]}",
            "namespace": place,
            "uid": identity,
            "resourceVersion": _version_at(at),
            "creationTimestamp": rfc3339(began_at),
        },
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        **({"type": type} if type else {}),
        "count": count,
        **times,
        "source": {} if new_style else {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }


def back_off_event(
    pod: Mapping[str, Any], container: str, *, at: datetime, first_at: datetime | None = None, count: int = 1
) -> ApiDict:
    """Return the kubelet's event about a container in a crash loop."""
    metadata = pod["metadata"]
    where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    message = f"Back-off restarting failed container {container} in pod {where}"
    return event(
        "BackOff", message, about=pod, at=at, first_at=first_at, count=count, type="Warning", container=container
    )


def image_pull_back_off_event(
    pod: Mapping[str, Any], container: str, *, at: datetime, first_at: datetime | None = None, count: int = 1
) -> ApiDict:
    """Return the kubelet's event about an image that cannot be pulled, whose reason is BackOff too."""
    group = _find_spec_list(pod, container)
    image = next(each["image"] for each in pod["spec"][group] if each["name"] == container)
    message = f'Back-off pulling image "{image}"'
    return event("BackOff", message, about=pod, at=at, first_at=first_at, count=count, container=container)


def oom_event(
    pod: Mapping[str, Any], container: str, *, at: datetime, next_container_id: str = "", new_style: bool = False
) -> ApiDict:
    """Return an add-on's event about an OOM kill; `next_container_id` is the container started after it.

    Source: xing/kubernetes-oom-event-generator.
    """
    which = f"'{container}' ({next_container_id})" if next_container_id else f"'{container}'"
    return event(
        "PreviousContainerWasOOMKilled",
        f"The previous instance of the container {which} was OOMKilled",
        about=pod,
        at=at,
        type="Warning",
        component="kubernetes-oom-event-generator",
        new_style=new_style,
    )


def node_oom_event(node: str, *, at: datetime) -> ApiDict:
    """Return the kubelet's SystemOOM event about a node, which names no pod."""
    about = {"kind": "Node", "metadata": {"name": node, "uid": node}}
    victim = int(hashlib.sha256(f"{node}{rfc3339(at)}".encode()).hexdigest()[:4], 16)
    message = f"System OOM encountered, victim process: app, pid: {victim}"
    return event("SystemOOM", message, about=about, at=at, type="Warning")


# --- names and times ------------------------------------------------------------------------------------------------


def rfc3339(at: datetime) -> str:
    """Return an instant as the API writes it: UTC, whole seconds."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def uid_of(*parts: str) -> str:
    """Return the UID of what the parts name, the same each time."""
    digits = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def container_id_of(pod_uid: str, container: str, started_at: datetime) -> str:
    """Return the runtime's ID of the instance of a container that was started at an instant."""
    return _container_id(pod_uid, container, rfc3339(started_at))


def _container_id(pod_uid: str, container: str, started: str) -> str:
    return "cri-o://" + hashlib.sha256(f"{pod_uid}\0{container}\0{started}".encode()).hexdigest()


def _version_at(at: datetime) -> str:
    return str(int(at.timestamp()) % 1_000_000_000)


def _owner_reference(kind: str, name: str, namespace: str) -> ApiDict:
    groups = {"Job": "batch/v1", "TaskRun": "tekton.dev/v1", "Node": "v1"}
    return {
        "apiVersion": groups.get(kind, "apps/v1"),
        "kind": kind,
        "name": name,
        "uid": uid_of(kind, namespace, name),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _container_spec(container: Container) -> ApiDict:
    amounts = {"limits": container.memory_limit, "requests": container.memory_request}
    return {
        "name": container.name,
        "image": container.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {key: {"memory": amount} for key, amount in amounts.items() if amount},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _container_status(container: Container, pod_uid: str) -> ApiDict:
    state = _identified(container.state, container.name, pod_uid)
    last_state = _identified(container.last_state, container.name, pod_uid)
    status: ApiDict = {
        "name": container.name,
        "image": container.image,
        "imageID": f"{container.image.partition(':')[0]}@sha256:{hashlib.sha256(container.image.encode()).hexdigest()}",
        "ready": "running" in state,
        "started": "running" in state,
        "restartCount": container.restart_count,
        "state": state,
        "lastState": last_state,
    }
    if "running" in state:
        status["containerID"] = _container_id(pod_uid, container.name, state["running"]["startedAt"])
    elif ended := state.get("terminated") or last_state.get("terminated"):
        status["containerID"] = ended["containerID"]
    return status


def _identified(state: Mapping[str, Any], container: str, pod_uid: str) -> ApiDict:
    ended = state.get("terminated")
    if ended is None or "containerID" in ended:
        return dict(state)
    return {"terminated": {**ended, "containerID": _container_id(pod_uid, container, ended["startedAt"] or "")}}


def _phase(containers: Iterable[Container], restart_policy: str) -> str:
    main = [container for container in containers if container.kind == "main"]
    ended = [container.state["terminated"] for container in main if "terminated" in container.state]
    if main and len(ended) == len(main) and restart_policy != "Always":
        return "Failed" if any(each["exitCode"] for each in ended) else "Succeeded"
    begun = any("waiting" not in container.state or container.last_state for container in main)
    return "Running" if begun else "Pending"


def _find_spec_list(pod: Mapping[str, Any], container: str) -> str:
    for group in _SPEC_LISTS.values():
        if any(each["name"] == container for each in pod["spec"].get(group) or ()):
            return group
    raise ValueError(f"the pod {pod['metadata']['name']} has no container {container!r}")
