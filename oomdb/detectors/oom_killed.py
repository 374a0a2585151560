"""OOMKilled: kills that a container's status or an add-on's event tells of; what only may be one becomes a suspect."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from oomdb.detectors.base import Observation, Window
from oomdb.detectors.evidence import CONTAINER_NAME, find_event_container, find_known_instant
from oomdb.model import OOM_KILLED, ContainerStatus, Event, Pod, Sighting, Suspect, Terminated, TimeQuality

_EVENT_REASONS = ("OOMKill", "ContainerWasOOM")  # parts of reasons: PreviousContainerWasOOMKilled, OOMKilled, …
_SIGKILL_EXIT_CODE = 137
_NO_SUSPECTS = (OOM_KILLED, "ContainerStatusUnknown")  # the kubelet makes 137 up for the latter
_EVICTED = "Evicted"
_LOW_ON_MEMORY = "low on resource: memory"  # pkg/kubelet/eviction/helpers.go
_VICTIM = re.compile(rf"container '({CONTAINER_NAME})'(?: \(([^()\s]{{1,512}})\))?")


class OomKilledDetector:
    """Finds containers that the kernel killed for memory.

    By status: `terminated.reason` OOMKilled in `state` or `lastState` of init, main and ephemeral containers, dated by
    `finishedAt` (k8s.io/api/core/v1, ContainerStateTerminated). By event: an add-on's event on the pod whose reason
    contains `OOMKill` or `ContainerWasOOM`; the kubelet itself sends none (kubernetes/kubernetes#69676). An event is
    yielded also where the status shows the kill: whether both are one is decided where kills are folded.

    Suspects, at most one a class and container: exit code 137 with another reason, and pods evicted for memory.
    """

    name = "oom_killed"
    types = (OOM_KILLED,)

    def detect(self, pod: Pod | None, events: Sequence[Event], window: Window) -> Iterator[Observation | Suspect]:
        """Yield the pod's kills in the window, and its suspects."""
        if pod is not None:
            for status in pod.container_statuses():
                if status.state.terminated is not None or status.last_state.terminated is not None:
                    yield from _iter_kills(status, window)
                    yield from _iter_sigkills(pod, status, window)
        if events or (pod is not None and pod.status.reason == _EVICTED):
            eviction = _find_eviction(pod, events, window)
            if eviction is not None:
                yield eviction
        for event in events:
            if any(part in (event.reason or "") for part in _EVENT_REASONS):
                yield from _iter_event_kills(event, window)


def _iter_kills(status: ContainerStatus, window: Window) -> Iterator[Observation]:
    seen: set[str | datetime] = set()
    for terminated in (status.state.terminated, status.last_state.terminated):
        if terminated is None or terminated.reason != OOM_KILLED:
            continue
        at, quality = _date_kill(terminated, window)
        identity = terminated.container_id or at
        if identity in seen or not window.holds(at):
            continue
        seen.add(identity)
        yield Observation(
            Sighting(
                type=OOM_KILLED,
                container=status.name,
                at=at,
                time_quality=quality,
                source="oc_get_pods",
                evidence="terminated",
                container_id=terminated.container_id or "",
                exit_code=terminated.exit_code,
                reason=terminated.reason,
                restart_count=status.restart_count,
            )
        )


def _date_kill(terminated: Terminated, window: Window) -> tuple[datetime, TimeQuality]:
    finished_at = find_known_instant(terminated.finished_at)
    if finished_at is not None:
        return finished_at, "exact"
    # The start says only that the kill came later, but unlike the moment of the look it is the same at every look.
    return find_known_instant(terminated.started_at) or window.until, "observed"


def _iter_sigkills(pod: Pod, status: ContainerStatus, window: Window) -> Iterator[Suspect]:
    for terminated in (status.state.terminated, status.last_state.terminated):
        if terminated is None or terminated.exit_code != _SIGKILL_EXIT_CODE or terminated.reason in _NO_SUSPECTS:
            continue
        at = find_known_instant(terminated.finished_at)
        if at is not None and window.holds(at):
            yield Suspect(
                namespace=pod.metadata.namespace,
                pod=pod.metadata.name,
                pod_uid=pod.metadata.uid,
                container=status.name,
                suspect_class="exit-137",
                at=at,
                exit_code=terminated.exit_code,
            )
            return


def _find_eviction(pod: Pod | None, events: Sequence[Event], window: Window) -> Suspect | None:
    told = [event for event in events if event.reason == _EVICTED and _LOW_ON_MEMORY in (event.message or "")]
    evicted = pod if pod is not None and _is_evicted_for_memory(pod) else None
    if not told and evicted is None:
        return None
    stopped_at = _find_last_stop(evicted) if evicted is not None else None
    at = stopped_at or max((sent_at for event in told if (sent_at := event.last_at())), default=None)
    # Evicted pods stay for weeks, so one without any time is recent only where it began recently; events are young.
    recent_at = at or (window.until if told or evicted is None else evicted.status.start_time)
    if recent_at is None or not window.holds(recent_at):
        return None
    return Suspect(
        namespace=pod.metadata.namespace if pod is not None else told[0].involved_object.namespace,
        pod=pod.metadata.name if pod is not None else told[0].involved_object.name,
        pod_uid=pod.metadata.uid if pod is not None else told[0].involved_object.uid,
        container="",
        suspect_class="evicted-memory",
        at=at,
    )


def _is_evicted_for_memory(pod: Pod) -> bool:
    return pod.status.reason == _EVICTED and _LOW_ON_MEMORY in (pod.status.message or "")


def _find_last_stop(pod: Pod) -> datetime | None:
    # Main containers only: an init container ended when the pod began, not when it was evicted.
    stops = [status.state.terminated for status in pod.status.container_statuses or ()]
    instants = [find_known_instant(terminated.finished_at) for terminated in stops if terminated is not None]
    return max((at for at in instants if at is not None), default=None)


def _iter_event_kills(event: Event, window: Window) -> Iterator[Observation]:
    victim = _VICTIM.search(event.message or "")
    next_container_id = (victim[2] or "") if victim else ""
    # With an ID the event is sent again whenever another container of the pod starts: its first time is the kill's.
    sent_at = (event.first_at() or event.last_at()) if next_container_id else event.last_at()
    at = sent_at or window.until
    if window.holds(at):
        yield Observation(
            Sighting(
                type=OOM_KILLED,
                container=victim[1] if victim else find_event_container(event),
                at=at,
                time_quality="event" if sent_at is not None else "observed",
                source="events",
                evidence="event",
                container_id=next_container_id,
                first_event_at=event.first_at(),
            )
        )
