"""What is kept of the latest looks at each namespace: the newest knowledge, whatever the order, and not for ever."""

from datetime import timedelta
from typing import Any

import pytest

from oomdb.model import Gap
from oomdb.store.checks import check_database
from oomdb.store.database import Store
from oomdb.store.writer import NAMESPACES_KEPT_FOR, record_scan
from tests.store.builders import HOSTILE, NOW, ago, begin, change, finding, kill, record, rows, scan

RULE = "name test-*"
FORBIDDEN = Gap(namespace="shop", source="pods", status="forbidden", message="no")
KNOWN = "SELECT cluster, namespace, last_run_id, last_seen_at, read_run_id, read_at, rule FROM namespaces ORDER BY 1, 2"


def known(store: Store) -> list[tuple[Any, ...]]:
    return rows(store, KNOWN)


def test_what_was_read_left_out_and_failed_is_noted_with_the_run_and_when_it_began(store: Store) -> None:
    record(store, scan(namespaces_read=["api"], skipped={"test-1": RULE}, gaps=(FORBIDDEN,), status="partial"))
    at = "2026-01-15 15:00:00"
    assert known(store) == [
        ("prod-a", "api", 1, at, 1, at, None),
        ("prod-a", "shop", 1, at, None, None, None),
        ("prod-a", "test-1", 1, at, None, None, RULE),
    ]
    assert check_database(store) == []


def test_a_failure_keeps_when_it_was_read_before(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=3))
    record(store, scan(gaps=(FORBIDDEN,), status="partial"))
    assert known(store) == [("prod-a", "shop", 2, "2026-01-15 15:00:00", 1, "2026-01-15 12:00:00", None)]


def test_a_rule_goes_when_a_newer_run_looks_at_the_namespace(store: Store) -> None:
    record(store, scan(skipped={"test-1": RULE}), at=ago(hours=3))
    record(store, scan(namespaces_read=["test-1"]))
    assert rows(store, "SELECT read_run_id, rule FROM namespaces") == [(2, None)]


def test_an_older_run_that_is_recorded_later_takes_nothing_back(store: Store) -> None:
    record(store, scan(namespaces_read=["api"], skipped={"shop": RULE}))
    record(store, scan(namespaces_read=["shop"], skipped={"api": RULE}, gaps=()), at=ago(days=2))
    now, before = "2026-01-15 15:00:00", "2026-01-13 15:00:00"
    assert known(store) == [
        ("prod-a", "api", 1, now, 1, now, None),
        ("prod-a", "shop", 1, now, 2, before, RULE),  # it was read once: that is more than was known
    ]
    assert check_database(store) == []


def test_of_two_runs_the_one_that_began_later_counts_though_it_ended_first(store: Store) -> None:
    slow, quick = begin(store, at=ago(hours=1)), begin(store, at=NOW)
    record_scan(store, quick, scan(namespaces_read=["shop"]), seen_at=NOW)
    record_scan(store, slow, scan(gaps=(FORBIDDEN,), status="partial"), seen_at=NOW)
    assert rows(store, "SELECT last_run_id, read_run_id FROM namespaces") == [(quick, quick)]


def test_recorded_again_a_scan_replaces_what_it_had_said(store: Store) -> None:
    run = begin(store)
    record_scan(store, run, scan(namespaces_read=["shop"]), seen_at=NOW)
    record_scan(store, run, scan(namespaces_read=["shop"]), seen_at=NOW)
    assert rows(store, "SELECT count(*), max(read_run_id) FROM namespaces") == [(1, run)]


def test_a_namespace_that_is_both_read_and_left_out_counts_as_left_out(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"], skipped={"shop": RULE}))
    assert rows(store, "SELECT read_run_id, rule FROM namespaces") == [(None, RULE)]
    assert check_database(store) == []


def test_a_name_that_is_not_there_is_no_namespace(store: Store) -> None:
    typo = Gap(namespace="shpo", source="namespaces", status="not-found", message="there is no namespace")
    record(store, scan(namespaces_read=["shop"], gaps=(typo,), status="partial"))
    assert rows(store, "SELECT namespace FROM namespaces") == [("shop",)]


def test_a_cluster_that_cannot_be_read_forgets_nothing(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(days=60))
    whole = Gap(namespace="", source="pods", status="timeout", message="no answer")
    record(store, scan(status="unreachable", gaps=(whole,)))
    assert rows(store, "SELECT namespace, last_run_id FROM namespaces") == [("shop", 1)]


def test_what_no_run_knew_of_for_thirty_days_is_dropped_in_its_own_cluster_alone(store: Store) -> None:
    assert timedelta(days=30) == NAMESPACES_KEPT_FOR
    old = scan(namespaces_read=["gone"])
    record(store, old, scan(namespaces_read=["gone"], cluster="prod-b"), at=ago(days=30, seconds=1))
    record(store, scan(namespaces_read=["late"]), at=ago(days=30))
    record(store, scan(namespaces_read=["shop"]))
    assert rows(store, "SELECT cluster, namespace FROM namespaces ORDER BY 1, 2") == [
        ("prod-a", "late"),
        ("prod-a", "shop"),
        ("prod-b", "gone"),
    ]


def test_the_table_does_not_grow_with_the_runs_though_namespaces_come_and_go(store: Store) -> None:
    for day in range(40):
        names = [f"pr-{day}-{number}" for number in range(20)]
        record(store, scan(namespaces_read=["shop"], skipped=dict.fromkeys(names, "name pr-*")), at=ago(days=40 - day))
    assert rows(store, "SELECT count(*) FROM namespaces") == [(31 * 20 + 1,)]


def test_clusters_with_namespaces_of_the_same_name_are_told_apart(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), scan(skipped={"shop": RULE}, cluster="prod-b"))
    assert rows(store, "SELECT cluster, rule FROM namespaces ORDER BY 1") == [("prod-a", None), ("prod-b", RULE)]


@pytest.mark.parametrize("name", ["'; DROP TABLE runs;--", '"],["', "a\nb", "💥", "\x1b[31m", "%s :name ?", "\\u0000"])
def test_hostile_names_are_kept_letter_by_letter(store: Store, name: str) -> None:
    record(store, scan(namespaces_read=[name], skipped={f"{name}-2": name}))
    assert rows(store, "SELECT namespace, rule FROM namespaces") == [(name, None), (f"{name}-2", name)]


def test_a_name_that_no_namespace_can_have_costs_neither_the_scan_nor_another_name(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=1))), namespaces_read=["shop", "shop\x00", "", HOSTILE]))
    assert rows(store, "SELECT namespace FROM namespaces") == [("shop",)]
    assert rows(store, "SELECT count(*) FROM findings") == [(1,)]


def test_a_run_that_is_deleted_leaves_what_it_knew(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]))
    change(store, "DELETE FROM runs")
    assert known(store) == [("prod-a", "shop", None, "2026-01-15 15:00:00", None, "2026-01-15 15:00:00", None)]
    assert check_database(store) == []
