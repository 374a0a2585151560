"""Whole collects: several clusters, some of them down, again and again."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from oomdb.collect.run import list_namespaces
from oomdb.collect.threads import run_in_threads
from oomdb.errors import StoreError
from oomdb.simulator import objects
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Faults, Hang
from oomdb.simulator.permissions import Permissions, Rule
from tests.collect.simulated import NOON, running_fleet

HOUR = timedelta(hours=1)


def with_pods(*pods: dict[str, object], events: tuple[dict[str, object], ...] = ()) -> SimulatedCluster:
    return SimulatedCluster([objects.namespace("shop-tenant")], pods, events)


def killed(at: timedelta, *, restarts: int = 1) -> dict[str, object]:
    return objects.pod(containers=[objects.oom_killed(at=NOON + at, restart_count=restarts)])


def looping(last: timedelta, *, restarts: int, name: str = "loop-7f6d9c5b8-x2x7k") -> dict[str, object]:
    return objects.pod(name, containers=[objects.crash_looping(last_at=NOON + last, restart_count=restarts)])


def test_each_kill_and_each_loop_is_counted_once_over_overlapping_runs(tmp_path: Path) -> None:
    cluster = with_pods(killed(-HOUR), looping(-timedelta(minutes=3), restarts=10))
    with running_fleet(tmp_path, {"c1": cluster}) as fleet:
        first = fleet.collect(NOON)
        cluster.replace(pods=[killed(-HOUR), looping(timedelta(minutes=57), restarts=22)])
        second = fleet.collect(NOON + HOUR)
        cluster.replace(pods=[killed(HOUR + HOUR / 2, restarts=2), looping(timedelta(minutes=117), restarts=34)])
        third = fleet.collect(NOON + 2 * HOUR)
        occurrences = fleet.rows("SELECT type, occurred_at, last_seen_at, last_run_id FROM occurrences ORDER BY 2")
        counts = fleet.rows("SELECT run_id, type, rows, new_occurrences FROM run_counts ORDER BY 1, 2")
    assert [result.new_occurrences for result in (first, second, third)] == [2, 0, 1]
    assert occurrences == [
        ("OOMKilled", "2026-01-15 11:00:00", "2026-01-15 11:00:00", 2),
        ("CrashLoopBackOff", "2026-01-15 11:57:00", "2026-01-15 14:00:00", 3),
        ("OOMKilled", "2026-01-15 13:30:00", "2026-01-15 13:30:00", 3),
    ]
    assert counts == [
        (1, "CrashLoopBackOff", 1, 1),
        (1, "OOMKilled", 1, 1),
        (2, "CrashLoopBackOff", 1, 0),
        (2, "OOMKilled", 1, 0),
        (3, "CrashLoopBackOff", 1, 0),
        (3, "OOMKilled", 1, 1),
    ]


def test_artifacts_are_captured_once_per_new_occurrence_one_pair_a_pod(tmp_path: Path) -> None:
    cluster = with_pods(killed(-HOUR), looping(-timedelta(minutes=3), restarts=10))
    with running_fleet(tmp_path, {"c1": cluster}) as fleet:
        fleet.collect(NOON)
        fleet.collect(NOON + timedelta(minutes=5))
        cluster.replace(pods=[killed(HOUR, restarts=2), looping(timedelta(minutes=57), restarts=22)])
        fleet.collect(NOON + HOUR)
        captures = fleet.rows("SELECT run_id, pod, count(*) FROM artifacts GROUP BY 1, 2 ORDER BY 1, 2")
        pointers = fleet.rows("SELECT run_id, pod, artifacts_from FROM findings ORDER BY 1, 2")
        saved = fleet.rows("SELECT path, status FROM artifacts")
    assert captures == [(1, "loop-7f6d9c5b8-x2x7k", 2), (1, "shop-7f6d9c5b8-x2x7k", 2), (3, "shop-7f6d9c5b8-x2x7k", 2)]
    assert pointers == [
        (1, "loop-7f6d9c5b8-x2x7k", 1),
        (1, "shop-7f6d9c5b8-x2x7k", 1),
        (2, "loop-7f6d9c5b8-x2x7k", 1),
        (2, "shop-7f6d9c5b8-x2x7k", 1),
        (3, "loop-7f6d9c5b8-x2x7k", 1),
        (3, "shop-7f6d9c5b8-x2x7k", 3),
    ]
    assert all((tmp_path / path).stat().st_size > 0 for path, _ in saved)
    assert saved[0][0].startswith("logs_and_description_files/c1/shop-tenant__")


def test_artifacts_whose_files_were_wiped_are_captured_again(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": with_pods(killed(-HOUR))}) as fleet:
        fleet.collect(NOON)
        for (path,) in fleet.rows("SELECT path FROM artifacts"):
            (tmp_path / str(path)).unlink()
        fleet.collect(NOON + HOUR)
        fleet.collect(NOON + HOUR * 2)
        assert fleet.rows("SELECT run_id, artifacts_from FROM findings") == [(1, 1), (2, 2), (3, 2)]
        saved = fleet.rows("SELECT path FROM artifacts WHERE run_id = 2")
        assert [(tmp_path / str(path)).is_file() for (path,) in saved] == [True, True]


def test_a_pod_that_is_gone_keeps_its_finding_and_its_artifacts_say_so(tmp_path: Path) -> None:
    pod = objects.pod("lost-6c9b7f9d5-bbbbb")
    event = objects.oom_event(pod, "app", at=NOON - timedelta(minutes=5))
    with running_fleet(tmp_path, {"c1": with_pods(events=(event,))}) as fleet:
        fleet.collect()
        assert fleet.rows("SELECT pod, type, pod_gone, artifacts_from FROM findings") == [
            ("lost-6c9b7f9d5-bbbbb", "OOMKilled", 1, 1)
        ]
        assert fleet.rows("SELECT kind, status, path FROM artifacts ORDER BY 1") == [
            ("description", "gone", ""),
            ("log", "gone", ""),
        ]


def test_logs_that_may_not_be_read_leave_finding_and_description(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(resource="pods/log"),))
    with running_fleet(tmp_path, {"c1": with_pods(killed(-HOUR))}, permissions=refused) as fleet:
        result = fleet.collect()
        statuses = dict(fleet.rows("SELECT kind, status FROM artifacts"))
    assert (result.status, statuses) == ("complete", {"description": "ok", "log": "error"})


def test_one_cluster_down_leaves_the_others_complete_and_is_itself_a_gap(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": with_pods(killed(-HOUR)), "c2": with_pods(), "c3": with_pods()}) as fleet:
        fleet.servers["c2"].stop()
        result = fleet.collect()
        rows = fleet.rows("SELECT cluster, status, pods_seen, error != '' FROM run_clusters ORDER BY 1")
    assert (result.status, result.clusters_read) == ("partial", 2)
    assert rows == [("c1", "complete", 1, 0), ("c2", "unreachable", None, 1), ("c3", "complete", 0, 0)]


def test_all_clusters_down_is_a_run_that_read_nothing(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": with_pods(), "c2": with_pods()}) as fleet:
        for server in fleet.servers.values():
            server.stop()
        result = fleet.collect()
        assert fleet.rows("SELECT status FROM runs") == [("partial",)]
        assert fleet.rows("SELECT * FROM latest_run") == []
    assert result.clusters_read == 0


def test_a_cluster_that_hangs_does_not_hold_up_the_others(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="/api", action=Hang()))}
    clusters = {name: with_pods(killed(-HOUR)) for name in ("c1", "c2", "c3")}
    with running_fleet(tmp_path, clusters, faults=faults) as fleet:
        result = fleet.collect(artifacts=False)
    assert [(scan.cluster, scan.status) for scan in result.scans] == [
        ("c1", "unreachable"),
        ("c2", "complete"),
        ("c3", "complete"),
    ]


def test_a_run_is_closed_when_the_database_breaks_under_it(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": with_pods(killed(-HOUR))}) as fleet:
        with fleet.store.writing() as conn:
            conn.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON findings "
                "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        with pytest.raises(StoreError, match="disk is full"):
            fleet.collect(artifacts=False)
        assert fleet.rows("SELECT status FROM runs") == [("aborted",)]
        assert fleet.rows("SELECT status FROM run_clusters") == [("failed",)]


def test_what_would_be_scanned_is_listed_without_scanning(tmp_path: Path) -> None:
    names = ("b-tenant", "a-tenant", "test-x")
    clusters = {"c1": SimulatedCluster([objects.namespace(name) for name in names])}
    with running_fleet(tmp_path, clusters) as fleet:
        assert list_namespaces(fleet.targets, fleet.request()) == [("c1", "a-tenant"), ("c1", "b-tenant")]


def test_an_error_in_a_thread_reaches_the_one_who_waits() -> None:
    def work(task: int) -> int:
        if task == 3:
            raise ValueError("three")
        return task

    with pytest.raises(ValueError, match="three"):
        list(run_in_threads(work, range(6), workers=2))


def test_whoever_waits_is_called_back_while_nothing_ends() -> None:
    waited: list[int] = []

    def work(_task: int) -> None:
        while len(waited) < 2:
            time.sleep(0.005)

    list(run_in_threads(work, [1], workers=1, on_wait=lambda: waited.append(1), wait_seconds=0.01))
    assert len(waited) >= 2
