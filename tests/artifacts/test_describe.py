"""A description shows what kubectl shows, whatever the pod holds."""

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomdb.artifacts.describe import MANIFEST_HEADING, describe_pod, format_age

DATA = Path(__file__).parents[1] / "data"
RICH = json.loads((DATA / "describe" / "rich-pod.json").read_text())
OBJECTS = DATA / "detection-cases" / "objects" / "kflux-prd-rh02"
NOW = datetime(2026, 1, 15, 15, 0, tzinfo=UTC)


def pod(**fields: Any) -> dict[str, Any]:
    metadata = {"name": "web-0", "namespace": "shop", **fields.pop("metadata", {})}
    return {"metadata": metadata, "spec": fields.pop("spec", {}), "status": fields.pop("status", {}), **fields}


def sections(described: dict[str, Any], events: list[dict[str, Any]] | None = None) -> str:
    return describe_pod(described, events or [], now=NOW).split(f"\n{MANIFEST_HEADING}\n")[0]


def manifest(described: dict[str, Any]) -> Any:
    return yaml.safe_load(describe_pod(described, [], now=NOW).split(f"\n{MANIFEST_HEADING}\n")[1])


def test_a_pod_with_everything_is_described_as_kubectl_does() -> None:
    expected = (DATA / "describe" / "rich-pod.txt").read_text()
    assert describe_pod(RICH["pod"], RICH["events"], now=NOW) == expected


def test_each_pod_of_the_detection_cases_is_described_with_its_manifest() -> None:
    for each in json.loads((OBJECTS / "pods.json").read_text())["items"]:
        text = describe_pod(each, [], now=NOW)
        assert text.startswith(f"Name:             {each['metadata']['name']}\n")
        assert manifest(each) == {"apiVersion": "v1", "kind": "Pod", **each}


def test_an_empty_pod_is_described() -> None:
    assert sections({}) == (
        "Name:         \n"
        "Namespace:    \n"
        "Node:         <none>\n"
        "Labels:       <none>\n"
        "Annotations:  <none>\n"
        "Status:       \n"
        "IP:           \n"
        "IPs:          <none>\n"
        "Containers: <none>\n"
        "Volumes:         <none>\n"
        "QoS Class:       \n"
        "Node-Selectors:  <none>\n"
        "Tolerations:     <none>\n"
        "Events:          <none>\n"
    )


STRANGERS: tuple[Any, ...] = (None, -1.5, True, "text", [3, None], {"name": {"deep": [1]}})


def mutations(value: Any) -> Iterator[Any]:
    """Yield a JSON value with each of its nodes, in turn, replaced by other values."""
    root = [copy.deepcopy(value)]
    places: list[tuple[Any, Any]] = [(root, 0)]
    while places:
        holder, key = places.pop()
        original = holder[key]
        for stranger in STRANGERS:
            holder[key] = stranger
            yield root[0]
        holder[key] = original
        if isinstance(original, dict):
            places.extend((original, child) for child in original)
        elif isinstance(original, list):
            places.extend((original, child) for child in range(len(original)))


def parts_of_the_rich_pod() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield small pods that are the rich one together, since describing it whole for each node takes long."""
    yield "metadata", {"metadata": RICH["pod"]["metadata"]}
    for key, value in RICH["pod"]["spec"].items():
        status = RICH["pod"]["status"] if key in ("containers", "readinessGates") else {}
        yield key, {"spec": {key: value}, "status": status}


@pytest.mark.parametrize("part", [pytest.param(part, id=name) for name, part in parts_of_the_rich_pod()])
def test_any_json_value_may_stand_anywhere_in_a_pod(part: dict[str, Any]) -> None:
    for mutant in mutations(part):
        if isinstance(mutant, dict):
            assert describe_pod(mutant, [], now=NOW).startswith("Name:")


def test_any_json_value_may_stand_anywhere_in_a_real_pod() -> None:
    real = json.loads((OBJECTS / "pods.json").read_text())["items"][9]
    for mutant in mutations(real):
        if isinstance(mutant, dict):
            assert describe_pod(mutant, [], now=NOW).startswith("Name:")


def test_any_json_value_may_stand_anywhere_in_an_event() -> None:
    for mutant in mutations(RICH["events"]):
        if isinstance(mutant, list):
            assert "Events:" in describe_pod({}, mutant, now=NOW)


def test_what_is_nested_too_deeply_is_said() -> None:
    deep: Any = "bottom"
    for _ in range(2000):
        deep = [deep]
    text = describe_pod(pod(status={"podIP": deep}), [], now=NOW)
    assert "IP:           <nested too deeply>\n" in text
    assert text.endswith("# The manifest cannot be written as YAML: RecursionError.\n")


def test_a_name_cannot_break_the_line_it_stands_in() -> None:
    text = sections(pod(metadata={"name": "a\nStatus:  fine\t\x1b[31m\r\x07\x7f\u202e\u2028\ud800"}))
    assert text.startswith("Name:         a\\nStatus:  fine\\t^[[31m\\r^G^?\\u202e\\u2028\\ud800\n")


def test_emoji_and_markup_are_left_as_they_are() -> None:
    text = sections(pod(metadata={"labels": {"x": "<script>alert('🧨')</script> 👩\u200d💻"}}))
    assert "Labels:       x=<script>alert('🧨')</script> 👩\u200d💻\n" in text


def test_the_lines_of_a_message_stand_below_its_first_one() -> None:
    ended = {"exitCode": 2, "message": "panic: no memory\nState:  Running\n", "finishedAt": "2026-01-15T14:00:00Z"}
    status = {"containerStatuses": [{"name": "app", "lastState": {"terminated": ended}}]}
    text = sections(pod(spec={"containers": [{"name": "app"}]}, status=status))
    assert "      Message:      panic: no memory\n                    State:  Running\n      Exit Code:    2\n" in text


def test_a_long_annotation_is_cut_between_characters() -> None:
    text = sections(pod(metadata={"annotations": {"note": "ü" * 100}}))
    assert f"Annotations:  note:\n                {'ü' * 69}...\n" in text


def test_the_last_applied_annotation_and_managed_fields_are_left_out() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "SECRET", "kept": "1"}
    described = pod(metadata={"annotations": annotations, "managedFields": [{"manager": "SECRET"}]})
    text = describe_pod(described, [], now=NOW)
    assert "SECRET" not in text
    assert "\n# Without metadata.managedFields and the annotation kubectl.kubernetes.io/last-applied" in text
    assert manifest(described)["metadata"]["annotations"] == {"kept": "1"}
    assert described["metadata"]["annotations"] == annotations


def test_a_manifest_loads_again_as_the_same_values() -> None:
    texts = [
        "yes",
        "1",
        "2026-01-15",
        " pad ",
        "a\n\nb\n",
        "\ttab\n",
        "- x: {",
        "\x00\x1b\x85",
        "\u202ertl\ufeff",
        "🧨",
        "",
    ]
    described = pod(spec={"texts": texts, "\u202ekey\n": None, "number": 1.5, "large": 2**70})
    text = describe_pod(described, [], now=NOW)
    assert manifest(described)["spec"] == described["spec"]
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_scripts_are_blocks_in_the_manifest() -> None:
    text = describe_pod(pod(spec={"args": ["set -e\necho one\n"]}), [], now=NOW)
    assert "  args:\n  - |\n    set -e\n    echo one\n" in text


def test_half_a_surrogate_pair_can_be_written_to_a_file() -> None:
    text = describe_pod(pod(metadata={"labels": {"\ud83d": "\ude00"}}), [], now=NOW)
    assert text.encode()
    assert "    \\ud83d: \\ude00\n" in text


def test_a_failed_pod_that_is_deleted_keeps_its_phase() -> None:
    deleted = {"deletionTimestamp": "2026-01-15T14:57:00Z", "deletionGracePeriodSeconds": 30}
    assert "Status:       Failed\n" in sections(pod(metadata=deleted, status={"phase": "Failed"}))
    running = sections(pod(metadata=deleted, status={"phase": "Running"}))
    assert "Status:                    Terminating (lasts 3m)\nTermination Grace Period:  30s\n" in running


def test_events_are_listed_by_the_last_time_they_were_seen() -> None:
    events: list[dict[str, Any]] = [
        {"type": "Warning", "reason": "Later", "lastTimestamp": "2026-01-15T14:58:00Z", "count": 12}
        | {"firstTimestamp": "2026-01-15T14:20:00Z", "source": {"component": "kubelet"}, "message": "two\nlines"},
        {"type": "Normal", "reason": "Sooner", "lastTimestamp": "2026-01-15T14:10:00Z", "count": 1}
        | {"firstTimestamp": "2026-01-15T14:10:00Z", "reportingComponent": "scheduler", "message": " Hello "},
    ]
    assert sections({}, events).split("Events:\n")[1] == (
        "  Type     Reason  Age                From       Message\n"
        "  ----     ------  ----               ----       -------\n"
        "  Normal   Sooner  50m                scheduler  Hello\n"
        "  Warning  Later   2m (x12 over 40m)  kubelet    two\n"
        "                                                 lines\n"
    )


def test_events_that_could_not_be_read_are_not_drawn_as_none() -> None:
    assert "Events:          <unknown: they could not be read>\n" in describe_pod({}, None, now=NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (205, "3m25s"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (5 * 3600 + 600, "5h10m"),
        (47 * 3600, "47h"),
        (49 * 3600, "2d1h"),
        (72 * 3600, "3d"),
        (400 * 86400, "400d"),
        (740 * 86400, "2y10d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_are_abbreviated_as_kubectl_does(seconds: int, text: str) -> None:
    assert format_age(timedelta(seconds=seconds)) == text


def test_a_variable_from_an_unknown_source_keeps_its_name() -> None:
    container = {"name": "app", "env": [{"name": "TOKEN", "valueFrom": {"fileKeyRef": {"key": "k"}}}]}
    text = sections(pod(spec={"containers": [container]}))
    assert "    Environment:\n      TOKEN:     <set from fileKeyRef>\n    Mounts:      <none>\n" in text


def test_pod_level_resources_are_shown() -> None:
    text = sections(pod(spec={"resources": {"limits": {"memory": "1Gi"}}}))
    assert "Resources:\n  Limits:\n    memory:  1Gi\nContainers: <none>\n" in text
