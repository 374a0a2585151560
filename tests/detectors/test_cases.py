"""The hand-made cases of tests/data: each namespace shows what its truth says."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oomdb.detectors.base import Observation, Window
from oomdb.detectors.node_stops import NodeStops
from oomdb.detectors.registry import load_detectors
from oomdb.model import Event, Pod, Sighting, Suspect

CASES = Path(__file__).parents[1] / "data" / "detection-cases"
OBJECTS = CASES / "objects" / "kflux-prd-rh02"
AT = datetime(2026, 1, 15, 15, tzinfo=UTC)
UNREADABLE = "case-pods-forbidden-tenant"  # its pods may not be listed


def read_cases() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((CASES / "cases.json").read_text())["cases"]
    return cases


class _Pods(msgspec.Struct):
    items: list[Pod]


class _Events(msgspec.Struct):
    items: list[Event]


def scan() -> Iterator[tuple[str, Sighting | Suspect]]:
    """Run every detector over the whole cluster, as one scan of a day does."""
    listed = msgspec.json.decode((OBJECTS / "pods.json").read_bytes(), type=_Pods).items
    pods = [pod for pod in listed if pod.metadata.namespace != UNREADABLE]
    events: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in msgspec.json.decode((OBJECTS / "events.json").read_bytes(), type=_Events).items:
        about = event.involved_object
        if about.kind == "Pod":
            events[about.namespace, about.name, about.uid].append(event)
    stops = NodeStops()
    for pod in pods:
        stops.count(pod)
    seen: list[tuple[str, Pod | None, list[Event]]] = []
    for pod in pods:
        key = (pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)
        seen.append((pod.metadata.namespace, pod, events.pop(key, [])))
    seen += [(key[0], None, left) for key, left in events.items()]
    window = Window(AT - timedelta(days=1), AT)
    for namespace, each, told in seen:
        for detector in load_detectors():
            for found in detector.detect(each, told, window):
                if isinstance(found, Suspect):
                    yield namespace, found
                    continue
                node = each.spec.node_name or "" if each is not None else ""
                if not (found.unless_node_stopped and stops.explains(node, found.sighting.at)):
                    yield namespace, found.sighting


@pytest.fixture(scope="module")
def found() -> dict[str, list[Sighting | Suspect]]:
    by_namespace: dict[str, list[Sighting | Suspect]] = defaultdict(list)
    for namespace, each in scan():
        by_namespace[namespace].append(each)
    return by_namespace


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: str(case["case"]))
def test_each_case_shows_the_types_of_its_truth(
    case: dict[str, Any], found: dict[str, list[Sighting | Suspect]]
) -> None:
    truth = [] if case["case"] == "exit-137-error" else case["truth"]
    types = {each.type for each in found.get(case["namespace"], []) if isinstance(each, Sighting)}
    assert sorted(types) == truth


def test_there_are_thirty_cases() -> None:
    assert len(read_cases()) == 30


def test_the_hidden_kill_and_the_eviction_are_the_only_suspects(found: dict[str, list[Sighting | Suspect]]) -> None:
    suspects = [each for results in found.values() for each in results if isinstance(each, Suspect)]
    assert sorted((each.namespace, each.suspect_class, each.container) for each in suspects) == [
        ("case-exit-137-error-tenant", "exit-137", "app"),
        ("case-oom-event-then-deleted-other-pods-deleted-tenant", "evicted-memory", ""),
    ]


def test_every_sighting_of_the_cases_names_its_container(found: dict[str, list[Sighting | Suspect]]) -> None:
    sightings = [each for results in found.values() for each in results if isinstance(each, Sighting)]
    assert sightings
    assert all(each.container for each in sightings)


def test_the_rebooted_node_would_show_loops_without_the_count_of_its_stops() -> None:
    pods = msgspec.json.decode((OBJECTS / "pods.json").read_bytes(), type=_Pods).items
    window = Window(AT - timedelta(days=1), AT)
    conditional = [
        found
        for pod in pods
        if pod.metadata.namespace == "case-node-reboot-tenant"
        for detector in load_detectors()
        for found in detector.detect(pod, (), window)
        if isinstance(found, Observation) and found.unless_node_stopped
    ]
    assert len(conditional) == 6
