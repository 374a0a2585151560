"""How runs begin, live and end."""

import os
import socket
import subprocess
import sys
from datetime import timedelta

import pytest

from oomdb.model import ScanStatus
from oomdb.store.checks import check_database
from oomdb.store.database import Store
from oomdb.store.runs import (
    RunningRun,
    beat,
    begin_run_alone,
    close_abandoned_runs,
    finish_run,
    interrupt_run,
    process_is_alive,
)
from oomdb.store.writer import record_plan, record_scan
from tests.store.builders import NOW, begin, change, finding, kill, rows, scan, start


def alive(_pid: int) -> bool:
    return True


def dead(_pid: int) -> bool:
    return False


def states(store: Store) -> list[str]:
    return [row[0] for row in rows(store, "SELECT status FROM runs ORDER BY id")]


@pytest.mark.parametrize(
    ("clusters", "status"),
    [
        ((), "aborted"),
        (("complete", "complete"), "complete"),
        (("complete", "skipped"), "complete"),
        (("complete", "partial"), "partial"),
        (("complete", "unreachable"), "partial"),
        (("unreachable", "unreachable"), "partial"),
        (("unknown",), "partial"),
    ],
)
def test_a_run_is_as_complete_as_its_clusters(store: Store, clusters: tuple[ScanStatus, ...], status: str) -> None:
    run_id = begin(store)
    for index, state in enumerate(clusters):
        record_scan(store, run_id, scan(cluster=f"c{index}", status=state), seen_at=NOW)
    assert finish_run(store, run_id, now=NOW + timedelta(minutes=1)) == status
    assert rows(store, "SELECT status, finished_at FROM runs") == [(status, "2026-01-15 15:01:00")]


@pytest.mark.parametrize(
    ("cluster", "status"), [("complete", "partial"), ("unreachable", "aborted"), (None, "aborted")]
)
def test_an_interrupted_run_is_partial_where_one_cluster_was_read(
    store: Store, cluster: ScanStatus | None, status: str
) -> None:
    run_id = begin(store)
    if cluster:
        record_scan(store, run_id, scan(status=cluster), seen_at=NOW)
    assert interrupt_run(store, run_id, now=NOW) == status
    assert states(store) == [status]


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_clusters_that_a_run_did_not_come_to_failed(store: Store, is_killed: bool) -> None:
    run_id = begin(store)
    record_plan(store, run_id, [scan(cluster=name, status="unknown", error="not read yet") for name in ("a", "b", "c")])
    record_scan(store, run_id, scan(finding(kill(NOW)), cluster="a"), seen_at=NOW)
    record_scan(store, run_id, scan(cluster="b", status="unreachable", error="refused"), seen_at=NOW)
    planned = "SELECT cluster, status, error FROM run_clusters ORDER BY 1"
    assert rows(store, planned)[-1] == ("c", "unknown", "not read yet")
    if is_killed:
        close_abandoned_runs(store, now=NOW + timedelta(hours=1), is_alive=dead)
    else:
        interrupt_run(store, run_id, now=NOW)
    assert states(store) == ["partial"]
    assert rows(store, planned) == [
        ("a", "complete", ""),
        ("b", "unreachable", "refused"),
        ("c", "failed", "the run was cut short before this cluster was recorded"),
    ]
    assert check_database(store) == []


def test_a_run_says_who_and_how(store: Store) -> None:
    begin(store)
    assert rows(store, "SELECT status, origin, host, pid, lookback_seconds, finished_at FROM runs") == [
        ("running", "collect", socket.gethostname(), os.getpid(), 86400, None)
    ]


def test_numbers_of_deleted_runs_are_not_used_again(store: Store) -> None:
    first = begin(store)
    change(store, "DELETE FROM runs")
    assert begin(store) > first


@pytest.mark.parametrize(
    ("silence", "closed"), [(timedelta(minutes=2), False), (timedelta(minutes=2, seconds=1), True)]
)
def test_a_dead_process_of_this_host_is_abandoned_after_two_minutes(
    store: Store, silence: timedelta, closed: bool
) -> None:
    run_id = begin(store)
    assert close_abandoned_runs(store, now=NOW + silence, is_alive=dead) == ([run_id] if closed else [])


def test_a_living_peer_is_left_alone(store: Store) -> None:
    begin(store)
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=15), is_alive=alive) == []
    assert states(store) == ["running"]


def test_after_fifteen_silent_minutes_a_run_is_abandoned_whatever_its_process_number_says(store: Store) -> None:
    run_id = begin(store)
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=15, seconds=1), is_alive=alive) == [run_id]


def test_a_heartbeat_keeps_a_run_from_being_abandoned(store: Store) -> None:
    run_id = begin(store)
    beat(store, run_id, now=NOW + timedelta(minutes=10))
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=12), is_alive=dead) == []
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=13), is_alive=dead) == [run_id]


def test_a_heartbeat_does_not_wake_a_closed_run(store: Store) -> None:
    run_id = begin(store)
    finish_run(store, run_id, now=NOW)
    beat(store, run_id, now=NOW + timedelta(hours=1))
    assert rows(store, "SELECT heartbeat_at FROM runs") == [("2026-01-15 15:00:00",)]


def test_another_hosts_process_is_not_looked_up_and_has_fifteen_minutes(store: Store) -> None:
    run_id = begin(store)
    change(store, "UPDATE runs SET host = 'elsewhere'")
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=14), is_alive=dead) == []
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=16), is_alive=dead) == [run_id]


@pytest.mark.parametrize(
    ("cluster", "status"), [("complete", "partial"), ("partial", "partial"), ("failed", "aborted")]
)
def test_an_abandoned_run_ends_with_its_last_sign_of_life(store: Store, cluster: ScanStatus, status: str) -> None:
    run_id = begin(store)
    record_scan(store, run_id, scan(status=cluster), seen_at=NOW)
    close_abandoned_runs(store, now=NOW + timedelta(hours=1), is_alive=dead)
    assert rows(store, "SELECT status, finished_at FROM runs") == [(status, "2026-01-15 15:00:00")]


def test_a_second_run_of_the_same_scope_waits_for_the_first(store: Store) -> None:
    first = begin_run_alone(store, start(), now=NOW, is_alive=alive)
    second = begin_run_alone(store, start(), now=NOW + timedelta(minutes=5), is_alive=alive)
    assert isinstance(second, RunningRun)
    assert (second.id, second.started_at, second.host, second.pid) == (first, NOW, socket.gethostname(), os.getpid())
    assert states(store) == ["running"]


def test_a_run_of_another_scope_or_after_an_abandoned_one_begins(store: Store) -> None:
    begin_run_alone(store, start(), now=NOW, is_alive=alive)
    assert begin_run_alone(store, start(scope_hash="narrow"), now=NOW, is_alive=alive) == 2
    assert begin_run_alone(store, start(), now=NOW + timedelta(minutes=5), is_alive=dead) == 3


def test_a_process_is_alive_until_it_has_ended() -> None:
    assert process_is_alive(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert not process_is_alive(child.pid)
