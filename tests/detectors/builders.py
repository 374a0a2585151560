"""Pods and events as the API shows them, built from what a test is about."""

from datetime import UTC, datetime, timedelta

import msgspec

from oomdb.detectors.base import Window
from oomdb.model import (
    ContainerState,
    ContainerStatus,
    Event,
    EventMetadata,
    InvolvedObject,
    Pod,
    PodMetadata,
    PodSpec,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)

NOW = datetime(2026, 1, 15, 15, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(days=1), NOW)


def ago(**span: float) -> datetime:
    """Return the instant that lies so long (`hours=2`) before the scan."""
    return NOW - timedelta(**span)


def ended(
    at: datetime | None,
    *,
    reason: str | None = "Error",
    exit_code: int | None = 1,
    container_id: str | None = "cri-o://a",
    started_at: datetime | None = None,
) -> ContainerState:
    """Return the state of a container that terminated."""
    return ContainerState(
        terminated=Terminated(
            reason=reason, exit_code=exit_code, started_at=started_at, finished_at=at, container_id=container_id
        )
    )


def oom(at: datetime | None, *, container_id: str | None = "cri-o://a") -> ContainerState:
    """Return the state of a container that was killed for memory."""
    return ended(at, reason="OOMKilled", exit_code=137, container_id=container_id)


def runs(since: datetime) -> ContainerState:
    """Return the state of a container that runs."""
    return ContainerState(running=Running(started_at=since))


def waits(reason: str) -> ContainerState:
    """Return the state of a container that waits."""
    return ContainerState(waiting=Waiting(reason=reason))


def container(
    name: str = "app",
    *,
    state: ContainerState | None = None,
    last_state: ContainerState | None = None,
    restarts: int = 0,
) -> ContainerStatus:
    """Return a container's status."""
    return ContainerStatus(
        name=name,
        restart_count=restarts,
        state=state or ContainerState(),
        last_state=last_state or ContainerState(),
    )


def pod(
    *containers: ContainerStatus,
    init: tuple[ContainerStatus, ...] = (),
    ephemeral: tuple[ContainerStatus, ...] = (),
    node: str | None = "node-1",
    phase: str = "Running",
    reason: str | None = None,
    message: str | None = None,
    start_time: datetime | None = None,
) -> Pod:
    """Return a pod with these containers."""
    return Pod(
        metadata=PodMetadata(name="web-1", namespace="shop", uid="uid-1"),
        spec=PodSpec(node_name=node),
        status=PodStatus(
            phase=phase,
            reason=reason,
            message=message,
            start_time=start_time,
            container_statuses=containers,
            init_container_statuses=init,
            ephemeral_container_statuses=ephemeral,
        ),
    )


def event(
    reason: str,
    message: str,
    *,
    first_at: datetime | None = None,
    last_at: datetime | None = None,
    field_path: str | None = None,
    kind: str | None = "Warning",
) -> Event:
    """Return an event about the pod of `pod()`."""
    return Event(
        metadata=EventMetadata(name="e", namespace="shop"),
        involved_object=InvolvedObject(kind="Pod", namespace="shop", name="web-1", uid="uid-1", field_path=field_path),
        reason=reason,
        message=message,
        type=kind,
        first_timestamp=first_at,
        last_timestamp=last_at,
    )


def decode_pod(text: str) -> Pod:
    """Return a pod from JSON, as a page of a list is read."""
    return msgspec.json.decode(text, type=Pod)
