"""What was imported and what was collected is one: in either order, and only where it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oomdb.model import Finding
from oomdb.store.checks import check_database
from oomdb.store.database import Store
from tests.importers.legacy.importing import Row, import_paths, rows_of, write_run
from tests.store.builders import finding, kill, loop, record, scan

AT = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)
OCCURRENCES = "SELECT occurred_at, last_seen_at, type, pod_uid, container, workload, exit_code FROM occurrences"

Step = Callable[[Store, Path], object]


def importing(*rows: Row) -> Step:
    """Return the step that imports a run with some rows."""
    return lambda store, folder: import_paths(store, write_run(folder, *rows))


def collecting(*findings: Finding) -> Step:
    """Return the step that records a collect of one cluster."""
    return lambda store, folder: record(store, scan(*findings, cluster="prod-a"))


in_either_order = pytest.mark.parametrize("order", [1, -1], ids=["import-first", "collect-first"])


def do(store: Store, folder: Path, order: int, *steps: Step) -> None:
    """Do the steps, in their order or backwards."""
    for step in steps[::order]:
        step(store, folder)
    assert check_database(store) == []


@in_either_order
@pytest.mark.parametrize("apart", [-1, 0, 1])
def test_a_kill_that_was_imported_and_collected_is_one_and_has_its_container(
    database: Store, tmp_path: Path, order: int, apart: int
) -> None:
    told = f"{AT + timedelta(seconds=apart):%Y-%m-%dT%H:%M:%SZ}"
    do(database, tmp_path / "runs", order, importing(Row(timestamps=told)), collecting(finding(kill(AT))))
    expected = ("2026-01-15 14:00:00", "2026-01-15 14:00:00", "OOMKilled", "uid-1", "app", "checkout", 137)
    assert rows_of(database, OCCURRENCES) == [expected]
    assert rows_of(database, "SELECT workload, day, occurrences FROM daily_counts") == [("checkout", "2026-01-15", 1)]
    assert rows_of(database, "SELECT occurrences FROM findings") == [(1,), (1,)]
    assert rows_of(database, "SELECT sum(new_occurrences) FROM run_counts") == [(1,)]


@in_either_order
@pytest.mark.parametrize(
    "other",
    [
        Row(timestamps="2026-01-15T14:00:02Z"),
        Row(pod="checkout-2"),
        Row(namespace="shop-2"),
        Row(cluster="prod-b"),
        Row(type="CrashLoopBackOff"),
    ],
    ids=["two-seconds-later", "pod", "namespace", "cluster", "type"],
)
def test_what_differs_in_time_place_or_type_is_another(database: Store, tmp_path: Path, order: int, other: Row) -> None:
    do(database, tmp_path / "runs", order, importing(other), collecting(finding(kill(AT))))
    assert len(rows_of(database, OCCURRENCES)) == 2


@in_either_order
def test_instants_within_a_collected_loop_are_that_loop(database: Store, tmp_path: Path, order: int) -> None:
    # the scan looked at 15:00 and found it waiting since 14:00
    told = Row(type="CrashLoopBackOff", timestamps="2026-01-15T14:20:00Z;2026-01-15T14:40:00Z")
    do(database, tmp_path / "runs", order, importing(told), collecting(finding(loop(AT))))
    [(_, last_seen_at, type_, pod_uid, *_)] = rows_of(database, OCCURRENCES)
    assert (last_seen_at, type_, pod_uid) == ("2026-01-15 15:00:00", "CrashLoopBackOff", "uid-1")


def test_two_kills_of_a_second_in_two_containers_take_one_imported_kill_once(database: Store, tmp_path: Path) -> None:
    both = [finding(kill(AT, container=name, container_id=name), container=name) for name in ("app", "sidecar")]
    do(database, tmp_path / "runs", 1, importing(Row()), collecting(*both))
    assert sorted(row[4] for row in rows_of(database, OCCURRENCES)) == ["app", "sidecar"]


def test_an_imported_kill_stays_one_over_many_collects(database: Store, tmp_path: Path) -> None:
    again = collecting(finding(kill(AT)))
    do(database, tmp_path / "runs", 1, importing(Row()), again, again, again)
    assert len(rows_of(database, OCCURRENCES)) == 1


def test_one_loop_told_of_by_several_instants_and_runs_is_one(database: Store, tmp_path: Path) -> None:
    first = Row(type="CrashLoopBackOff", timestamps=";2026-01-15T13:00:00Z;2026-01-15T14:00:00Z")
    later = Row(type="CrashLoopBackOff", timestamps="2026-01-15T14:15:00Z")
    write_run(tmp_path, first, name="oom_results_15-Jan-2026_14-00-00-UTC", written_at=AT)
    write_run(tmp_path, later, written_at=AT + timedelta(hours=1))
    import_paths(database, tmp_path)
    [(occurred_at, last_seen_at, *_)] = rows_of(database, OCCURRENCES)
    assert (occurred_at, last_seen_at) == ("2026-01-15 13:00:00", "2026-01-15 14:15:00")


def test_loops_with_a_pause_between_are_two_whichever_is_imported_first(database: Store, tmp_path: Path) -> None:
    earlier, later = (Row(type="CrashLoopBackOff", timestamps=f"2026-01-{day}T13:00:00Z") for day in (10, 15))
    import_paths(database, write_run(tmp_path / "new", later))
    import_paths(database, write_run(tmp_path / "old", earlier, written_at=AT - timedelta(days=5)))
    assert [row[0][:10] for row in rows_of(database, OCCURRENCES)] == ["2026-01-10", "2026-01-15"]


def test_a_row_without_an_instant_is_a_finding_and_no_occurrence(database: Store, tmp_path: Path) -> None:
    import_paths(database, write_run(tmp_path, Row(timestamps=""), Row(pod="other", timestamps="0001-01-01T00:00:00Z")))
    assert rows_of(database, OCCURRENCES) == []
    assert rows_of(database, "SELECT occurrences, first_at FROM findings") == [(0, None), (0, None)]


def test_an_event_seconds_after_a_kill_tells_of_that_kill(database: Store, tmp_path: Path) -> None:
    times = "2026-01-15T14:00:00Z;2026-01-15T14:00:02Z"
    import_paths(database, write_run(tmp_path, Row(timestamps=times, sources="events;oc_get_pods")))
    assert [row[0] for row in rows_of(database, OCCURRENCES)] == ["2026-01-15 14:00:00"]


def test_rows_of_prometheus_are_findings_of_types_of_their_own(database: Store, tmp_path: Path) -> None:
    seen = Row(timestamps="Prometheus-detected", sources="prometheus")
    import_paths(
        database, write_run(tmp_path, seen, Row(type="FoundBy", timestamps="", sources="prometheus"), Row(pod="b"))
    )
    assert rows_of(database, "SELECT type, rows FROM run_counts ORDER BY type") == [
        ("FoundBy", 1),
        ("OOMKilled", 1),
        ("OOMKilled (Prometheus-detected)", 1),
    ]


def test_a_blank_among_the_times_is_kept_for_the_exports(database: Store, tmp_path: Path) -> None:
    import_paths(database, write_run(tmp_path, Row(timestamps=";2026-01-15T14:00:00Z")))
    assert rows_of(database, "SELECT timestamps FROM findings") == [('["","2026-01-15T14:00:00Z"]',)]
