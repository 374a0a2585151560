"""The lists as streams of rows: what is in them, in which order, and how much of the history they read."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.model import CRASH_LOOP_BACK_OFF, Gap, ScanStatus
from oomdb.queries.filters import FindingFilter
from oomdb.queries.lists import (
    ListQuery,
    build_coverage_query,
    build_findings_query,
    build_gaps_query,
    build_occurrences_query,
    build_runs_query,
    list_missed_clusters,
    resolve_run,
    run_meant,
    stream,
)
from oomdb.store.database import Store, open_for_reading, open_for_writing
from tests.reports.recording import record_run
from tests.store.builders import HOSTILE, NOW, ago, artifact, begin, change, finding, kill, loop, record, scan

ALL = FindingFilter()
GAP = Gap(namespace="shop", source="pods", status="forbidden", message=HOSTILE)
DOWN: ScanStatus = "unreachable"

Build = Callable[[Store], ListQuery]


def listed(store: Store, query: ListQuery, *names: str) -> list[tuple[Any, ...]]:
    table = stream(store, query)
    indexes = [table.headers.index(name) for name in names]
    return [tuple(row[index] for index in indexes) for row in table.rows]


def test_findings_come_newest_run_first_then_kills_then_loops_then_the_rest_by_name(store: Store) -> None:
    record_run(
        store,
        scan(
            finding(pod="a-1", type_="Evicted"),
            finding(loop(ago(hours=2)), pod="a-1"),
            finding(kill(ago(hours=2)), pod="b-1", container="sidecar"),
            finding(kill(ago(hours=2)), pod="b-1", container="app"),
            finding(kill(ago(hours=2), container_id="c"), pod="z-1", namespace="api"),
            cluster="prod-b",
        ),
        scan(finding(kill(ago(hours=2)), pod="y-1", pod_uid="y"), cluster="prod-a"),
        at=ago(hours=1),
    )
    record_run(store, scan(finding(loop(NOW), pod="a-1")))
    found = listed(store, build_findings_query(ALL, None), "run", "type", "cluster", "namespace", "pod", "container")
    assert found == [
        (2, CRASH_LOOP_BACK_OFF, "prod-a", "shop", "a-1", "app"),
        (1, "OOMKilled", "prod-a", "shop", "y-1", "app"),
        (1, "OOMKilled", "prod-b", "api", "z-1", "app"),
        (1, "OOMKilled", "prod-b", "shop", "b-1", "app"),
        (1, "OOMKilled", "prod-b", "shop", "b-1", "sidecar"),
        (1, CRASH_LOOP_BACK_OFF, "prod-b", "shop", "a-1", "app"),
        (1, "Evicted", "prod-b", "shop", "a-1", "app"),
    ]


def test_a_finding_tells_whether_its_pod_is_gone_and_where_its_artifacts_are(store: Store) -> None:
    at = kill(ago(minutes=5))
    record(
        store,
        scan(
            finding(at, pod="here", pod_uid="1", pod_gone=False),
            finding(at, pod="gone", pod_uid="2", pod_gone=True),
            finding(at, pod="unseen", pod_uid="3", pod_gone=None),
            artifacts=(
                artifact(pod="here", pod_uid="1", path="d.txt"),
                artifact(pod="here", pod_uid="1", path="l.txt", kind="log"),
            ),
        ),
    )
    found = listed(store, build_findings_query(ALL, None), "pod", "pod_gone", "description", "log")
    assert found == [
        ("gone", "yes", None, None),
        ("here", "no", "d.txt", "l.txt"),
        ("unseen", "unknown", None, None),
    ]


def test_what_is_not_finished_is_among_the_runs_only(store: Store) -> None:
    done = record_run(store, scan(finding(kill(ago(hours=2))), gaps=(GAP,)), at=ago(hours=1))
    open_runs = {begin(store): "running", begin(store): "aborted"}
    for run_id, status in open_runs.items():
        for table in ("findings", "run_clusters", "run_gaps"):
            change(store, f"CREATE TEMP TABLE copied AS SELECT * FROM {table} WHERE run_id = {done}")
            change(store, f"UPDATE copied SET run_id = {run_id}")
            change(store, f"INSERT INTO {table} SELECT * FROM copied")
            change(store, "DROP TABLE copied")
        change(store, f"UPDATE runs SET status = '{status}' WHERE id = {run_id}")
    assert listed(store, build_runs_query(ALL, None), "run", "status", "finished_at") == [
        (3, "aborted", None),
        (2, "running", None),
        (1, "complete", ago(hours=1)),
    ]
    for build in (build_findings_query, build_coverage_query, build_gaps_query):
        assert listed(store, build(ALL, None), "run") == [(1,)]


def test_runs_count_clusters_rows_and_what_was_new(store: Store) -> None:
    seen = finding(kill(ago(hours=2)))
    record_run(store, scan(seen), scan(cluster="b", status=DOWN), at=ago(hours=1))
    record_run(store, scan(seen, finding(kill(ago(minutes=1)), container="other")), scan(cluster="b"))
    record_run(store, scan(status=DOWN), at=ago(hours=-1))
    names = ("run", "clusters_read", "clusters", "rows", "new_occurrences")
    assert listed(store, build_runs_query(ALL, None), *names) == [(3, 0, 1, 0, 0), (2, 2, 2, 1, 1), (1, 1, 2, 1, 1)]


def test_a_run_saw_no_kill_of_a_cluster_that_it_could_not_read(store: Store) -> None:
    of_a, of_b = finding(kill(ago(hours=3)), pod_uid="a"), finding(kill(ago(hours=3)), pod="cart-1", pod_uid="b")
    record(store, scan(of_a), scan(of_b, cluster="b"), at=ago(hours=2))
    record(store, scan(of_a), scan(cluster="b", status=DOWN), at=ago(hours=1))
    record(store, scan(of_a), scan(of_b, cluster="b"))

    def seen_by(run: int) -> list[tuple[Any, ...]]:
        return sorted(listed(store, build_occurrences_query(store, FindingFilter(run=run), None), "pod"))

    assert [seen_by(run) for run in (1, 2, 3)] == [
        [("cart-1",), ("checkout-1",)],
        [("checkout-1",)],
        [("cart-1",), ("checkout-1",)],
    ]


def test_a_run_saw_what_its_evidence_says_however_old_it_is(store: Store) -> None:
    record(store, scan(finding(kill(ago(days=40)))))
    assert listed(store, build_occurrences_query(store, FindingFilter(run=1), None), "pod") == [("checkout-1",)]


def test_a_run_and_a_window_together_narrow_to_both(store: Store) -> None:
    both = scan(finding(kill(ago(hours=5))), finding(kill(ago(hours=1)), pod="cart-1", pod_uid="2"))
    record(store, both)
    wanted = FindingFilter(run=1, since=ago(hours=2))
    assert listed(store, build_occurrences_query(store, wanted, None), "pod") == [("cart-1",)]


@pytest.mark.parametrize(
    ("clusters", "expected"),
    [
        (("prod-*",), ["prod-a", "prod-b"]),
        (("prod-[!a]",), ["prod-b"]),
        (("prod-[^a]",), ["prod-b"]),
        (("PROD-*",), []),
        (("prod",), []),
        (("dev", "*-a"), ["dev", "prod-a"]),
        (("%", "prod_a", "[prod-a"), []),
        (("",), []),
    ],
)
def test_clusters_are_chosen_by_globs_of_whole_names(store: Store, clusters: tuple[str, ...], expected: object) -> None:
    record(store, *(scan(finding(kill(NOW)), cluster=name) for name in ("prod-a", "prod-b", "dev")))
    wanted = FindingFilter(clusters=clusters)
    for query in (build_findings_query(wanted, None), build_coverage_query(wanted, None)):
        assert [name for (name,) in listed(store, query, "cluster")] == expected


@pytest.mark.parametrize("field", ["namespaces", "pod", "applications", "components", "workloads", "types"])
def test_hostile_texts_are_values_in_every_filter(store: Store, field: str) -> None:
    record(store, scan(finding(kill(NOW))))
    wanted = FindingFilter(**{field: HOSTILE if field == "pod" else (HOSTILE,)})  # type: ignore[arg-type]
    assert not listed(store, build_findings_query(wanted, None), "pod")
    assert not listed(store, build_occurrences_query(store, wanted, None), "pod")


def test_hostile_names_come_out_as_they_went_in(store: Store) -> None:
    name = HOSTILE.replace("\x00", "")
    record(store, scan(finding(kill(NOW), pod=name, namespace=name, workload=name), gaps=(GAP,)))
    wanted = FindingFilter(pod="💥", workloads=(name,))
    assert listed(store, build_findings_query(wanted, None), "pod", "namespace") == [(name, name)]
    assert listed(store, build_occurrences_query(store, wanted, None), "pod", "workload") == [(name, name)]
    assert listed(store, build_gaps_query(ALL, None), "namespace", "status", "message") == [
        ("shop", "forbidden", HOSTILE)
    ]


def test_pods_are_found_by_a_part_of_their_name_in_every_run(store: Store) -> None:
    record(store, scan(finding(kill(ago(days=9)), pod="cart-7", pod_uid="7")), at=ago(days=9))
    record(store, scan(finding(kill(ago(days=5)), pod="checkout-1")), at=ago(days=5))
    record(store, scan(finding(kill(ago(days=1)), pod="cart-8", pod_uid="8")), at=ago(days=1))
    cart = FindingFilter(pod="cart-")
    for wanted in (cart, replace(cart, since=ago(days=10)), replace(cart, until=NOW)):
        assert listed(store, build_findings_query(wanted, None), "pod") == [("cart-8",), ("cart-7",)]
    assert not listed(store, build_findings_query(FindingFilter(pod="Cart-"), None), "pod")
    assert listed(store, build_findings_query(FindingFilter(pod="cart", run=1), None), "pod") == [("cart-7",)]


def test_coverage_tells_of_each_cluster_what_was_looked_at(store: Store) -> None:
    record(
        store, scan(gaps=(GAP,), status="partial", skipped_by_rule={"name test-*": 12}), scan(cluster="b", status=DOWN)
    )
    names = ("run_started_at", "cluster", "status", "pods_seen", "gaps", "skipped_by_rule")
    assert listed(store, build_coverage_query(ALL, None), *names) == [
        (NOW, "b", "unreachable", None, 0, {}),
        (NOW, "prod-a", "partial", None, 1, {"name test-*": 12}),
    ]


def test_gaps_name_the_clusters_that_could_not_be_read_and_no_namespace_leaves_them_out(store: Store) -> None:
    record(store, scan(cluster="b", status=DOWN, error="no route"), scan(cluster="a"), at=ago(hours=1))
    whole = Gap(namespace="", source="events", status="timeout", message="slow")
    record(
        store, scan(cluster="b", status="failed", error="odd"), scan(cluster="c", status="partial", gaps=(GAP, whole))
    )
    names = ("run", "cluster", "namespace", "source", "status")
    found = [
        (2, "b", "", "cluster", "failed"),
        (2, "c", "", "events", "timeout"),
        (2, "c", "shop", "pods", "forbidden"),
        (1, "b", "", "cluster", "unreachable"),
    ]
    assert listed(store, build_gaps_query(ALL, None), *names) == found
    assert listed(store, build_gaps_query(replace(ALL, namespaces=("web-*",)), None), *names) == [
        it for it in found if it[2] == ""
    ]
    of_b = replace(ALL, clusters=("b",))
    assert listed(store, build_gaps_query(of_b, None), "run_started_at", "message") == [
        (NOW, "odd"),
        (ago(hours=1), "no route"),
    ]


def test_clusters_of_the_last_thirty_days_are_missed_where_a_run_did_not_read_them(store: Store) -> None:
    def read(*clusters: str, at: Any) -> int:
        return record(store, *(scan(cluster=name) for name in clusters), at=at)

    read("retired", "prod-a", at=ago(days=31))
    read("prod-a", "prod-b", at=ago(days=3))
    read("prod-b", at=ago(days=2))
    wanted = record(store, scan(cluster="prod-a", status=DOWN), scan(cluster="prod-c"))
    read("prod-b", at=ago(days=-1))
    assert list_missed_clusters(store, wanted) == [("prod-a", ago(days=3)), ("prod-b", ago(days=2))]
    assert list_missed_clusters(store, wanted, ["*-b", "*-c"]) == [("prod-b", ago(days=2))]


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        (ALL, "latest"),
        (FindingFilter(pod="x"), "latest"),
        (FindingFilter(since=NOW), None),
        (FindingFilter(until=NOW), None),
        (FindingFilter(since=NOW, run="latest"), "latest"),
        (FindingFilter(run=0), 0),
    ],
)
def test_a_list_is_of_the_latest_run_unless_a_run_or_a_window_is_given(filters: FindingFilter, meant: object) -> None:
    assert run_meant(filters) == meant


def test_a_run_is_resolved_and_the_other_filters_stay(store: Store) -> None:
    record(store, scan())
    assert resolve_run(store, FindingFilter(pod="x", run="latest")) == FindingFilter(pod="x", run=1)
    window = FindingFilter(since=NOW)
    assert resolve_run(store, window) is window


def test_a_stream_that_is_left_half_way_lets_go_of_the_database(store: Store, tmp_path: Path) -> None:
    record(store, scan(*(finding(kill(NOW), pod=f"p-{n}", pod_uid=str(n)) for n in range(1200))))
    with open_for_reading(str(tmp_path / "oomdb.sqlite")) as reader:
        rows = iter(stream(reader, build_occurrences_query(reader, ALL, None)).rows)
        next(rows)
        del rows
        record(store, scan(), at=ago(hours=-1))
        assert listed(reader, build_runs_query(ALL, 1), "run") == [(2,)]


def test_a_limit_reads_no_more_than_it_gives(store: Store) -> None:
    record(store, scan(*(finding(kill(NOW), pod=f"p-{n}", pod_uid=str(n)) for n in range(50))))
    for query in (build_findings_query(ALL, 3), build_occurrences_query(store, ALL, 3)):
        assert len(listed(store, query, "pod")) == 3
    assert len(listed(store, build_occurrences_query(store, FindingFilter(since=ago(days=1)), 3), "pod")) == 3


WEEK = FindingFilter(since=ago(days=7))
WINDOWED: dict[str, Build] = {
    "runs": lambda _: build_runs_query(WEEK, None),
    "findings": lambda _: build_findings_query(WEEK, None),
    "findings of pods": lambda _: build_findings_query(FindingFilter(since=WEEK.since, pod="p-1"), None),
    "findings of the latest run": lambda store: build_findings_query(resolve_run(store, ALL), None),
    "occurrences": lambda store: build_occurrences_query(store, WEEK, None),
    "newest occurrences": lambda store: build_occurrences_query(store, ALL, 5),
    "occurrences of the latest run": lambda store: build_occurrences_query(store, resolve_run(store, ALL), None),
    "coverage": lambda _: build_coverage_query(WEEK, None),
    "gaps": lambda _: build_gaps_query(WEEK, None),
}


def test_a_week_costs_the_same_however_long_the_history(tmp_path: Path) -> None:
    short, long = (_steps(tmp_path / f"{days}.sqlite", days) for days in (15, 150))
    assert {name: count for name, count in long.items() if count > 1.25 * short[name]} == {}


def _steps(path: Path, days: int) -> dict[str, int]:
    """Return how many instructions SQLite's machine takes for each query, on a history of so many days."""
    with open_for_writing(str(path)) as store:
        for day in range(days, 0, -1):
            at = ago(days=day - 1)
            kills = [
                finding(kill(at - timedelta(hours=n + 1)), pod=f"p-{n}-{day}", pod_uid=f"{n}-{day}") for n in range(4)
            ]
            looped = finding(loop(at), pod=f"looped-{day}", pod_uid=f"looped-{day}")
            record(store, scan(*kills, looped, gaps=(GAP,)), at=at)
        counts = {}
        for name, build in WINDOWED.items():
            query = build(store)
            with store.reading() as conn:
                driver = conn.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                ticks: list[None] = []
                driver.set_progress_handler(lambda ticks=ticks: ticks.append(None), 1)  # type: ignore[misc]
                conn.execute(query.statement).all()
                driver.set_progress_handler(None, 0)
            counts[name] = len(ticks)
    return counts
