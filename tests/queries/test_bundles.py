"""Bundles: which pods a text means, and which saved texts belong to each kill and loop."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from oomdb.model import Artifact, ArtifactStatus
from oomdb.queries.bundles import Evidence, list_evidence, list_evidence_of_names, match_pods
from oomdb.queries.filters import FindingFilter
from oomdb.store.database import Store
from tests.reports.recording import record_run
from tests.store.builders import HOSTILE, NOW, ago, artifact, change, finding, kill, loop, scan


def texts(at: datetime, name: str, *, pod: str = "checkout-1", status: ArtifactStatus = "ok") -> tuple[Artifact, ...]:
    """Return the description of one capture; where nothing was saved it has no path."""
    return (artifact(captured_at=at, path=name if status == "ok" else "", pod=pod, status=status),)


def evidence(store: Store, pod: str = "checkout-1", **filters: tuple[str, ...]) -> list[Evidence]:
    with store.reading() as conn:
        return list_evidence(conn, match_pods(conn, FindingFilter(pod=pod, **filters)))  # type: ignore[arg-type]


def shown(found: Iterable[Evidence]) -> list[tuple[str, list[str]]]:
    """Return the day of each kill or loop, and the paths of its texts."""
    return [(f"{it.instance.at:%m-%d}", [text.path or text.status for text in it.texts]) for it in found]


def test_each_kill_has_the_texts_of_the_run_that_saw_it_first(store: Store) -> None:
    first, second = kill(ago(hours=30)), kill(ago(hours=2), container_id="cri-o://2")
    record_run(store, scan(finding(first), artifacts=texts(ago(hours=29), "a")), at=ago(hours=29))
    record_run(store, scan(finding(first, second), artifacts=texts(ago(hours=1), "b")), at=ago(hours=1))
    record_run(store, scan(finding(first, second)))
    assert shown(evidence(store)) == [("01-14", ["a"]), ("01-15", ["b"])]


def test_a_capture_that_failed_gives_way_to_that_of_a_later_run(store: Store) -> None:
    seen = kill(ago(hours=3))
    record_run(store, scan(finding(seen), artifacts=texts(ago(hours=2), "", status="error")), at=ago(hours=2))
    record_run(store, scan(finding(seen), artifacts=texts(NOW, "b")))
    assert shown(evidence(store)) == [("01-15", ["b"])]


def test_a_capture_from_before_the_kill_gives_way_to_one_after_it(store: Store) -> None:
    before, after = kill(ago(hours=30)), kill(ago(hours=3), container_id="cri-o://2")
    record_run(store, scan(finding(before), artifacts=texts(ago(hours=29), "a")), at=ago(hours=29))
    record_run(store, scan(finding(after), artifacts=texts(ago(hours=2), "", status="error")), at=ago(hours=2))
    record_run(store, scan(finding(after), artifacts=texts(NOW, "c")))
    assert shown(evidence(store)) == [("01-14", ["a"]), ("01-15", ["c"])]


def test_where_nothing_could_be_saved_it_is_told_why(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=3))), artifacts=texts(NOW, "", status="gone")))
    assert shown(evidence(store)) == [("01-15", ["gone"])]


def test_where_nobody_tried_to_save_anything_there_are_no_texts(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=3)))))
    assert shown(evidence(store)) == [("01-15", [])]


def test_a_loop_of_several_days_belongs_to_the_day_it_began(store: Store) -> None:
    for day in range(3):
        at = NOW + timedelta(days=day)
        looping = finding(loop(at - timedelta(minutes=2), restarts=5 + day * 100))
        record_run(store, scan(looping, artifacts=texts(at, f"day-{day}")), at=at)
    assert shown(evidence(store)) == [("01-15", ["day-0"])]


def test_a_finding_without_a_time_has_the_texts_of_its_run_too(store: Store) -> None:
    undated = finding(type_="CrashLoopBackOff")
    record_run(store, scan(undated, artifacts=texts(ago(days=1), "a")), at=ago(days=1))
    assert shown(evidence(store)) == [("01-14", ["a"])]


def test_another_pod_of_the_same_name_keeps_its_own_texts(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=3))), artifacts=texts(ago(hours=2), "a")), at=ago(hours=2))
    again = finding(kill(ago(hours=1), container_id="cri-o://9"), pod_uid="uid-2")
    saved = artifact(captured_at=NOW, path="b", pod_uid="uid-2")
    record_run(store, scan(again, artifacts=(saved,)))
    assert shown(evidence(store)) == [("01-15", ["a"]), ("01-15", ["b"])]


def test_texts_of_thousands_of_kills_are_found(store: Store) -> None:
    kills = [kill(NOW - timedelta(minutes=number), container_id=f"cri-o://{number}") for number in range(1500)]
    record_run(store, scan(finding(*kills), artifacts=texts(NOW, "a")))
    found = evidence(store)
    assert len(found) == 1500
    assert {it.texts[0].path for it in found} == {"a"}


@pytest.fixture
def pods(store: Store) -> None:
    """Record pods whose names contain one another, in two clusters."""
    names = [("api", "api", "shop"), ("api-1", "api", "shop"), ("api-worker-1", "api-worker", "shop")]
    found = [
        finding(kill(ago(hours=2)), pod=pod, pod_uid=pod, workload=workload, namespace=namespace)
        for pod, workload, namespace in names
    ]
    other = finding(kill(ago(hours=1)), pod="api-1", pod_uid="other", workload="api", namespace="test")
    record_run(store, scan(*found), scan(other, cluster="prod-b"))


@pytest.mark.usefixtures("pods")
@pytest.mark.parametrize(
    ("text", "is_exact", "names"),
    [
        ("api", True, {"api"}),
        ("api-1", True, {"api-1"}),
        ("api-", False, {"api-1", "api-worker-1"}),
        ("worker", False, {"api-worker-1"}),
        ("API", False, set()),
        ("api%", False, set()),
        ("*", False, set()),
        (HOSTILE, False, set()),
    ],
)
def test_a_pod_of_that_very_name_goes_before_those_that_contain_it(
    store: Store, text: str, is_exact: bool, names: set[str]
) -> None:
    with store.reading() as conn:
        match = match_pods(conn, FindingFilter(pod=text))
    assert (match.is_exact, {pod for _, _, pod in match.places}) == (is_exact, names)
    assert {it.instance.pod for it in evidence(store, text)} == names


@pytest.mark.usefixtures("pods")
def test_the_workloads_that_match_are_counted_by_where_they_are(store: Store) -> None:
    with store.reading() as conn:
        match = match_pods(conn, FindingFilter(pod="api-"))
    assert [(it.cluster, it.namespace, it.kind, it.name, it.pods) for it in match.workloads] == [
        ("prod-a", "shop", "Deployment", "api", 1),
        ("prod-a", "shop", "Deployment", "api-worker", 1),
        ("prod-b", "test", "Deployment", "api", 1),
    ]


@pytest.mark.usefixtures("pods")
@pytest.mark.parametrize(
    ("filters", "clusters"),
    [
        ({}, ["prod-a", "prod-b"]),
        ({"clusters": ("*-b",)}, ["prod-b"]),
        ({"namespaces": ("shop", "nowhere")}, ["prod-a"]),
        ({"workloads": ("api-worker",)}, []),
    ],
)
def test_a_match_can_be_narrowed(store: Store, filters: dict[str, tuple[str, ...]], clusters: list[str]) -> None:
    assert [it.instance.cluster for it in evidence(store, "api-1", **filters) if it.instance.pod == "api-1"] == clusters


@pytest.mark.usefixtures("pods")
def test_an_exact_name_that_does_not_fit_leaves_those_that_contain_it(store: Store) -> None:
    assert [it.instance.pod for it in evidence(store, "api", clusters=("prod-b",))] == ["api-1"]


def test_pods_of_a_run_are_asked_for_by_their_names_from_a_moment_on(store: Store) -> None:
    old, new = kill(ago(days=9)), kill(ago(hours=2), container_id="cri-o://2")
    record_run(store, scan(finding(old), artifacts=texts(ago(days=9), "a")), at=ago(days=9) + timedelta(hours=1))
    undated = finding(type_="CrashLoopBackOff", pod="checkout-2", pod_uid="uid-2")
    record_run(store, scan(finding(new), undated, artifacts=texts(NOW, "b")))
    with store.reading() as conn:
        found = list_evidence_of_names(conn, {"checkout-1", "checkout-2"}, since=ago(days=2))
    assert [(it.instance.pod, [text.path for text in it.texts]) for it in found] == [
        ("checkout-1", ["b"]),
        ("checkout-2", []),
    ]


def test_an_occurrence_whose_findings_were_pruned_has_no_texts(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=3))), artifacts=texts(NOW, "a")))
    change(store, "DELETE FROM findings")
    assert shown(evidence(store)) == [("01-15", [])]
