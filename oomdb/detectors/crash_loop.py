"""CrashLoopBackOff: containers that the kubelet holds back from restarting, now or, by the traces left, a while ago."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from oomdb.detectors.base import Observation, Window
from oomdb.detectors.evidence import CONTAINER_NAME, find_event_container, find_known_instant
from oomdb.detectors.node_stops import SAME_MINUTE
from oomdb.model import CRASH_LOOP_BACK_OFF, ContainerStatus, Event, Pod, Sighting, Suspect

_BACK_OFF = "BackOff"  # the kubelet's reason for restarts and for image pulls alike: the message tells which
_RESTARTING = "Back-off restarting failed container"  # pkg/kubelet/kuberuntime/kuberuntime_manager.go
_RESTARTED = re.compile(rf"{_RESTARTING}[ =]({CONTAINER_NAME}) (?:in )?pod[ =]")
_SHORTEST_BACK_OFF = timedelta(seconds=10)  # a first restart takes a second or two
_FEWEST_RESTARTS = 2  # the first restart is not held back
_UNKNOWN_STATUS = "ContainerStatusUnknown"  # made up by the kubelet when it lost sight of a container


class CrashLoopDetector:
    """Finds containers that restart again and again.

    `waiting`: `state.waiting.reason` is CrashLoopBackOff; in every time range, dated by the last termination.
    `event`: reason BackOff about restarts (not image pulls), of type Warning or none, dated by its last time.
    `backoff_gap`: the container runs, and ten seconds or more lie between its last termination and its start, with two
    restarts or more: a back-off that has ended. A reboot looks alike, so this one is left out where the pod's other
    containers stopped in the same minute, and holds only unless the node stopped then (`NodeStops`).

    Source: doBackOff in pkg/kubelet/kuberuntime/kuberuntime_manager.go of kubernetes/kubernetes.
    """

    name = "crash_loop"
    types = (CRASH_LOOP_BACK_OFF,)

    def detect(self, pod: Pod | None, events: Sequence[Event], window: Window) -> Iterator[Observation | Suspect]:
        """Yield the pod's crash loops that overlap the window."""
        if pod is not None:
            for status in pod.container_statuses():
                waiting = status.state.waiting
                if waiting is not None and waiting.reason == CRASH_LOOP_BACK_OFF:
                    yield _observe_waiting(status, window)
                elif status.restart_count >= _FEWEST_RESTARTS and status.last_state.terminated is not None:
                    yield from _iter_ended_back_offs(pod, status, window)
        for event in events:
            if (
                event.reason == _BACK_OFF
                and _RESTARTING in (event.message or "")
                and event.type in ("Warning", "", None)
            ):
                yield from _iter_told_back_offs(event, window)


def _observe_waiting(status: ContainerStatus, window: Window) -> Observation:
    last = status.last_state.terminated
    finished_at = find_known_instant(last.finished_at) if last is not None else None
    return Observation(
        Sighting(
            type=CRASH_LOOP_BACK_OFF,
            container=status.name,
            at=finished_at or window.until,
            time_quality="exact" if finished_at is not None else "observed",
            source="oc_get_pods",
            evidence="waiting",
            is_loop=True,
            in_progress=True,
            exit_code=last.exit_code if last is not None else None,
            reason=last.reason if last is not None else None,
            restart_count=status.restart_count,
        )
    )


def _iter_ended_back_offs(pod: Pod, status: ContainerStatus, window: Window) -> Iterator[Observation]:
    running, last = status.state.running, status.last_state.terminated
    if running is None or running.started_at is None or last is None or last.reason == _UNKNOWN_STATUS:
        return
    finished_at = find_known_instant(last.finished_at)
    if finished_at is None or not window.holds(finished_at):
        return
    if running.started_at - finished_at < _SHORTEST_BACK_OFF or _stopped_with_others(pod, status, finished_at):
        return
    sighting = Sighting(
        type=CRASH_LOOP_BACK_OFF,
        container=status.name,
        at=finished_at,
        time_quality="exact",
        source="oc_get_pods",
        evidence="backoff_gap",
        is_loop=True,
        exit_code=last.exit_code,
        reason=last.reason,
        restart_count=status.restart_count,
    )
    yield Observation(sighting, unless_node_stopped=True)


def _stopped_with_others(pod: Pod, status: ContainerStatus, stopped_at: datetime) -> bool:
    """Tell whether every other container that runs now stopped together with this one, and there is such a container.

    Containers that do not run (init containers that are done, images that cannot be pulled) had nothing to stop;
    ephemeral ones are not started again and tell nothing.
    """
    others = [
        other
        for other in (*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ()))
        if other is not status and other.state.running is not None
    ]
    return bool(others) and all(_stopped_near(other, stopped_at) for other in others)


def _stopped_near(status: ContainerStatus, stopped_at: datetime) -> bool:
    last = status.last_state.terminated
    return last is not None and last.finished_at is not None and abs(last.finished_at - stopped_at) < SAME_MINUTE


def _iter_told_back_offs(event: Event, window: Window) -> Iterator[Observation]:
    sent_at = event.last_at()
    at = sent_at or window.until
    if event.type not in ("Warning", "", None) or not window.holds(at):
        return
    container = find_event_container(event)
    if not container and (match := _RESTARTED.search(event.message or "")):
        container = match[1]
    yield Observation(
        Sighting(
            type=CRASH_LOOP_BACK_OFF,
            container=container,
            at=at,
            time_quality="event" if sent_at is not None else "observed",
            source="events",
            evidence="event",
            is_loop=True,
            first_event_at=event.first_at(),
        )
    )
