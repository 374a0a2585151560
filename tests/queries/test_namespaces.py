"""What is said of each namespace after the latest looks at its cluster."""

from typing import Any

import pytest

from oomdb.model import Gap
from oomdb.queries.filters import FindingFilter
from oomdb.queries.namespaces import (
    find_latest_look,
    iter_looks,
    list_clusters_unknown_by_namespace,
    list_namespace_looks,
    parse_named,
)
from oomdb.store.database import Store
from oomdb.store.writer import record_scan
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, begin, change, finding, kill, record, scan

RULE = "name test-*"
WHOLE = Gap(namespace="", source="pods", status="timeout", message="no answer for 45 s")


def gap(namespace: str, source: str = "pods", message: str = "pods is forbidden") -> Gap:
    return Gap(namespace=namespace, source=source, status="forbidden", message=message)


def states(store: Store, **filters: Any) -> list[tuple[Any, ...]]:
    rows = list_namespace_looks(store, FindingFilter(**filters)).rows
    return [(row[1], row[2], row[4], row[7]) for row in rows]


def test_each_namespace_has_the_state_of_the_latest_run_and_when_it_was_read_last(store: Store) -> None:
    record(store, scan(namespaces_read=["api", "old", "shop"], skipped={"test-1": RULE}), at=ago(hours=2))
    record(store, scan(namespaces_read=["api"], skipped={"test-1": RULE}, gaps=(gap("shop"),), status="partial"))
    assert states(store) == [
        ("api", "read", 2, ""),
        ("old", "unseen", 1, "run 2 read the cluster and knew of no such namespace"),
        ("shop", "failed", 1, "pods is forbidden"),
        ("test-1", "skipped", None, RULE),
    ]


@pytest.mark.parametrize("status", ["unreachable", "forbidden", "failed"])
def test_all_namespaces_of_a_cluster_that_could_not_be_read_failed(store: Store, status: Any) -> None:
    record(store, scan(namespaces_read=["shop"], skipped={"test-1": RULE}), at=ago(hours=2))
    record(store, scan(status=status, error="connection refused"))
    assert states(store) == [
        ("shop", "failed", 1, "connection refused"),
        ("test-1", "failed", None, "connection refused"),
    ]


def test_of_two_runs_that_began_in_one_second_the_later_counts(store: Store) -> None:
    record(store, scan(namespaces_read=["api", "old", "shop"]))
    record(store, scan(namespaces_read=["api"], gaps=(gap("shop"),), status="partial"))
    assert [(name, state) for name, state, *_ in states(store)] == [
        ("api", "read"),
        ("old", "unseen"),
        ("shop", "failed"),
    ]


def test_a_list_of_the_cluster_that_broke_off_is_a_failure_of_all_its_namespaces(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=2))
    record(store, scan(gaps=(WHOLE,), status="partial"))
    assert states(store) == [("shop", "failed", 1, "no answer for 45 s")]


def test_a_run_by_names_says_nothing_of_other_namespaces(store: Store) -> None:
    record(store, scan(namespaces_read=["api", "shop"]), at=ago(hours=2))
    record_run(store, scan(namespaces_read=["api"]), scope="--namespace api")
    assert states(store) == [("api", "read", 2, ""), ("shop", "read", 1, "")]


def test_a_run_by_names_counts_where_it_is_the_newest_that_looked(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=2))
    record_run(store, scan(gaps=(gap("shop"),), status="partial"), scope="--namespace shop")
    assert states(store) == [("shop", "failed", 1, "pods is forbidden")]


def test_a_quiet_namespace_was_read_with_the_whole_cluster_where_nobody_may_list_namespaces(store: Store) -> None:
    record(store, scan(namespaces_read=["quiet", "shop"], listed=False), at=ago(hours=2))
    record(store, scan(namespaces_read=["shop"], listed=False))
    assert states(store) == [("quiet", "read", 2, ""), ("shop", "read", 2, "")]


def test_without_a_list_of_namespaces_nobody_knows_which_of_them_filters_left_out(store: Store) -> None:
    record(store, scan(namespaces_read=["quiet"]), at=ago(hours=2))
    record_run(store, scan(namespaces_read=["shop"], listed=False), scope="--exclude-ns ^q")
    reason = "run 2 had no list of namespaces, and its filters may have left this one out"
    assert states(store) == [("quiet", "failed", 1, reason), ("shop", "read", 2, "")]


def test_each_state_names_the_run_that_it_is_of(store: Store) -> None:
    record(store, scan(namespaces_read=["api", "old", "shop"], skipped={"test-1": RULE}), at=ago(hours=3))
    record(store, scan(namespaces_read=["api"], skipped={"test-1": RULE}, gaps=(gap("shop"),)), at=ago(hours=2))
    record_run(store, scan(namespaces_read=["other"]), scope="--namespace other")
    with store.reading() as conn:
        found = {look.namespace: (look.state, look.run_id, look.last_run_id) for look in iter_looks(conn, (), ())}
    assert found == {
        "api": ("read", 2, 2),
        "old": ("unseen", 2, 1),
        "other": ("read", 3, 3),
        "shop": ("failed", 2, 2),
        "test-1": ("skipped", 2, 2),
    }


def test_gaps_of_artifacts_and_of_time_do_not_make_a_namespace_unread(store: Store) -> None:
    artifacts = gap("", "artifacts", "disk full")
    late = Gap(namespace="", source="time-range", status="too-long-ago", message="7 days")
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=2))
    record(store, scan(namespaces_read=["new"], gaps=(artifacts, late), status="partial"))
    assert [(name, state) for name, state, *_ in states(store)] == [("new", "read"), ("shop", "unseen")]


def test_an_import_and_a_run_that_goes_on_take_nothing_back(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=2))
    record(store, scan(status="unknown"), at=ago(hours=1))
    record_scan(store, begin(store), scan(status="unreachable"), seen_at=NOW)
    assert states(store) == [("shop", "read", 1, "")]


def test_a_run_that_was_deleted_is_named_no_more_and_a_lost_reason_is_not_made_up(store: Store) -> None:
    record(store, scan(namespaces_read=["api"], gaps=(gap("shop"),), status="partial"))
    change(store, "DELETE FROM runs")
    assert states(store) == [("api", "read", None, ""), ("shop", "failed", None, "why is not known any more")]


def test_clusters_and_namespaces_are_chosen_by_globs(store: Store) -> None:
    parts = [scan(namespaces_read=["api", "a[1]", "shop"], cluster=name) for name in ("prod-a", "prod-b", "test")]
    record(store, *parts)
    rows = list_namespace_looks(store, FindingFilter(clusters=("prod-*",), namespaces=("a*", "x"))).rows
    assert [(row[0], row[1]) for row in rows] == [
        ("prod-a", "a[1]"),
        ("prod-a", "api"),
        ("prod-b", "a[1]"),
        ("prod-b", "api"),
    ]


def test_clusters_of_which_no_namespace_was_ever_noted_are_known(store: Store) -> None:
    assert list_clusters_unknown_by_namespace(store) == []
    record(store, scan(finding(kill(ago(hours=1))), cluster="imported", status="unknown"), at=ago(days=1))
    record(store, scan(cluster="long-gone"), at=ago(days=31))
    record(store, scan(namespaces_read=["shop"]), scan(cluster="down", status="unreachable"))
    assert list_clusters_unknown_by_namespace(store) == ["down", "imported"]
    assert list_clusters_unknown_by_namespace(store, ["i*"]) == ["imported"]


def test_the_latest_look_at_a_cluster_is_none_where_there_was_none(store: Store) -> None:
    with store.reading() as conn:
        assert find_latest_look(conn, "prod-a") is None


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("all", set()),
        ("--current", set()),
        ("--namespace a,b", {"a", "b"}),
        ("--contexts x --namespace a --include-ns z", {"a"}),
    ],
)
def test_the_names_that_a_run_was_told_stand_in_its_scope(scope: str, names: set[str]) -> None:
    assert parse_named(scope) == names
