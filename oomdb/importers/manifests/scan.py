"""What a capture shows: the same detectors as over the API, and coverage that counts only what was saved."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

from oomdb.detectors.base import Detector, Window
from oomdb.detectors.findings import FindingsBuilder
from oomdb.detectors.pod_events import PodEvents, find_pod
from oomdb.importers.manifests.capture import Capture
from oomdb.kube.objects import ROUTINE_REASONS
from oomdb.model import ClusterScan, Event

_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)  # zeros of Unix time and of Go are no times


def find_newest_instant(capture: Capture, *, now: datetime) -> datetime | None:
    """Return the newest time that pods and events tell, None where they tell none; one after `now` is not believed."""
    pods = (at for captured in capture.pods for at in captured.instants())
    events = (at for captured in capture.events for at in captured.instants())
    return max((at for at in chain(pods, events) if _LONG_AGO < at <= now), default=None)


def scan_capture(
    capture: Capture, *, cluster: str, at: datetime, lookback: timedelta, detectors: Sequence[Detector]
) -> ClusterScan:
    """Return what a capture shows, as a scan of the cluster at the moment when it was saved.

    Args:
        capture: pods and events.
        cluster: whose they are.
        at: when they were saved.
        lookback: how long before that kills and loops count.
        detectors: the rules.
    """
    builder = FindingsBuilder(detectors, Window(at - lookback, at))
    events = PodEvents()
    for it in capture.events:
        # those that a collect does not ask for: routine tells nothing, and is most of all events
        if it.event.reason not in ROUTINE_REASONS:
            events.add(it.event)
    for captured in capture.pods:
        builder.add_pod(captured.pod, events.take(captured.pod))
    listed_at = _find_when_listed(capture, at)
    for ref, told in events.iter_unlisted():
        builder.add_unlisted(ref, told, gone=_was_deleted(told, listed_at.get(capture.list_key(ref.namespace))))
    findings, suspects = builder.build()
    namespaces = _list_namespaces(capture)
    return ClusterScan(
        cluster=cluster,
        context="",
        server="",
        status="partial" if capture.gaps else "complete",
        namespaces_scanned=len(namespaces),
        namespaces_failed=len({gap.namespace for gap in capture.gaps} - {""}),
        namespaces_read=tuple(name for name in namespaces if _is_read(capture, name)),
        pods_seen=len(capture.pods) if capture.pods or _has_list(capture, "pods") else None,
        events_seen=events.count if events.count or _has_list(capture, "events") else None,
        oldest_event_at=events.oldest_at,
        findings=findings,
        suspects=suspects,
        gaps=capture.gaps,
    )


def _find_when_listed(capture: Capture, at: datetime) -> dict[str, datetime]:
    """Return for each complete list of pods a moment before which it was not read: as the newest time in it tells."""
    began_at = capture.began_at or _LONG_AGO
    newest = {key: began_at for source, key in capture.lists if source == "pods"}
    for captured in capture.pods:
        key = capture.list_key(captured.pod.metadata.namespace)
        if key in newest:
            newest[key] = max((newest[key], *(told for told in captured.instants() if told <= at)))
    return newest


def _was_deleted(events: Sequence[Event], listed_at: datetime | None) -> bool | None:
    """Tell whether a pod that a list does not have was there before the list was read; None where nobody knows.

    Files do not tell whether pods or events were read first: one that began after the pods were listed is missing
    among them and lives.
    """
    told = [at for event in events for at in (event.first_at(), event.last_at()) if at is not None]
    return True if listed_at is not None and told and min(told) < listed_at else None


def _list_namespaces(capture: Capture) -> list[str]:
    named = {captured.pod.metadata.namespace for captured in capture.pods}
    named |= {find_pod(captured.event).namespace for captured in capture.events}
    return sorted((named | {namespace for _, namespace in capture.lists}) - {""})


def _is_read(capture: Capture, namespace: str) -> bool:
    key = capture.list_key(namespace)
    return ("pods", key) in capture.lists and ("events", key) in capture.lists


def _has_list(capture: Capture, source: str) -> bool:
    return any(listed == source for listed, _ in capture.lists)
