"""From observations to findings: grouped by container and type, with the facts of the pod."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from oomdb.detectors.base import Detector, Observation, Window
from oomdb.detectors.node_stops import NodeStops
from oomdb.model import Event, Finding, Pod, PodRef, Sighting, Suspect, WorkloadRef
from oomdb.workloads import find_application, find_component, find_memory, find_workload

_CLOCKS_DIFFER = timedelta(hours=1)  # an event's time is what its sender says
_REVISION_LABELS = ("pod-template-hash", "controller-revision-hash")


class FindingsBuilder:
    """Gathers what detectors see in one cluster, one pod after the other, and makes findings of it at the end."""

    def __init__(self, detectors: Sequence[Detector], window: Window) -> None:
        self._detectors = detectors
        self._window = window
        self._found: dict[tuple[PodRef, str, str], _Gathered] = {}
        self._suspects: list[Suspect] = []
        self._node_stops = NodeStops()

    def add_pod(self, pod: Pod, events: Sequence[Event]) -> None:
        """Look at a listed pod and its events; once per pod."""
        self._node_stops.count(pod)
        facts: _PodFacts | None = None
        for seen in self._detect(pod, events):
            if isinstance(seen, Suspect):
                self._suspects.append(seen)
                continue
            if facts is None:
                facts = _read_facts(pod)
            ref = PodRef(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)
            gathered = self._gather(ref, seen, facts)
            if not gathered.image:
                gathered.image = _find_image(pod, seen.sighting.container)
                gathered.memory = find_memory(pod, seen.sighting.container)

    def add_unlisted(self, ref: PodRef, events: Sequence[Event], *, gone: bool | None) -> None:
        """Look at a pod that only events speak of.

        Args:
            gone: True if a complete list of pods, read after the events, does not have it; None if nobody knows.
        """
        facts = _PodFacts(workload=find_workload(None, {}, ref.name), gone=gone)
        for seen in self._detect(None, events):
            if isinstance(seen, Suspect):
                self._suspects.append(seen)
            else:
                self._gather(ref, seen, facts)

    def build(self) -> tuple[tuple[Finding, ...], tuple[Suspect, ...]]:
        """Return the findings and suspects; withdraws what a node's stop explains, so call it after the last page."""
        findings = []
        for (ref, container, type_), gathered in self._found.items():
            sightings = tuple(
                seen.sighting
                for seen in gathered.observations
                if not (seen.unless_node_stopped and self._node_stops.explains(gathered.facts.node, seen.sighting.at))
            )
            if sightings:
                findings.append(_build_finding(ref, container, type_, gathered, sightings))
        return tuple(findings), tuple(self._suspects)

    def _detect(self, pod: Pod | None, events: Sequence[Event]) -> Iterable[Observation | Suspect]:
        for detector in self._detectors:
            yield from detector.detect(pod, events, self._window)

    def _gather(self, ref: PodRef, seen: Observation, facts: "_PodFacts") -> "_Gathered":
        seen = self._not_ahead(seen)
        key = (ref, seen.sighting.container, seen.sighting.type)
        gathered = self._found.setdefault(key, _Gathered(facts))
        gathered.observations.append(seen)
        return gathered

    def _not_ahead(self, seen: Observation) -> Observation:
        """Return what was seen, dated by the look where its time lies ahead of it by more than clocks differ."""
        sighting, until = seen.sighting, self._window.until
        if sighting.at <= until + _CLOCKS_DIFFER:
            return seen
        first = None if sighting.first_event_at is None else min(sighting.first_event_at, until)
        return replace(seen, sighting=replace(sighting, at=until, time_quality="observed", first_event_at=first))


@dataclass(frozen=True, slots=True, kw_only=True)
class _PodFacts:
    workload: WorkloadRef
    application: str = ""
    component: str = ""
    node: str = ""
    revision: str = ""
    gone: bool | None = False


@dataclass(slots=True)
class _Gathered:
    facts: _PodFacts
    image: str = ""
    memory: tuple[int | None, int | None] = (None, None)
    observations: list[Observation] = field(default_factory=list)


def _read_facts(pod: Pod) -> _PodFacts:
    labels = pod.labels()
    return _PodFacts(
        workload=find_workload(pod.metadata.owner_references, labels, pod.metadata.name),
        application=find_application(labels),
        component=find_component(labels),
        node=pod.spec.node_name or "",
        revision=next((labels[key] for key in _REVISION_LABELS if labels.get(key)), ""),
    )


def _find_image(pod: Pod, container: str) -> str:
    return next((it.image or "" for it in pod.container_statuses() if it.name == container), "")


def _build_finding(
    ref: PodRef, container: str, type_: str, gathered: _Gathered, sightings: tuple[Sighting, ...]
) -> Finding:
    facts = gathered.facts
    limit, request = gathered.memory
    return Finding(
        namespace=ref.namespace,
        pod=ref.name,
        pod_uid=ref.uid,
        container=container,
        type=type_,
        sightings=sightings,
        workload=facts.workload,
        application=facts.application,
        component=facts.component,
        node=facts.node,
        image=gathered.image,
        revision=facts.revision,
        memory_limit_bytes=limit,
        memory_request_bytes=request,
        pod_gone=facts.gone,
    )
