"""How much of a window was looked at: complete, partly, unknown, or how much is missing."""

from datetime import datetime, timedelta

import pytest

from oomdb.model import ScanStatus
from oomdb.queries.window_coverage import Coverage, Window, no_coverage, read_coverage
from oomdb.store.database import Store
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, begin, change, scan

HOUR = timedelta(hours=1)
DAY = Window(ago(days=1), NOW)
DAY_BEFORE = Window(ago(days=2), ago(days=1))


def covered(
    store: Store, *windows: Window, clusters: tuple[str, ...] = ("prod-a",)
) -> dict[str, list[tuple[str, timedelta]]]:
    """Return by cluster of each window the state, and how much of it was looked at."""
    with store.reading() as conn:
        found = read_coverage(conn, windows or (DAY,), clusters)
    return {cluster: [(it.state, it.covered) for it in coverage] for cluster, coverage in found.items()}


def look(
    store: Store, at: datetime, lookback: timedelta, *, status: ScanStatus = "complete", scope: str = "all"
) -> int:
    return record_run(store, scan(status=status), at=at, lookback=lookback, scope=scope)


def test_a_run_looked_at_the_time_that_it_looked_back_over(store: Store) -> None:
    look(store, ago(hours=3), 6 * HOUR)
    assert covered(store) == {"prod-a": [("missing", 6 * HOUR)]}


def test_runs_that_overlap_count_the_time_once(store: Store) -> None:
    for hours in (14, 8, 0):
        look(store, ago(hours=hours), 10 * HOUR)
    look(store, ago(hours=7), HOUR)
    assert covered(store) == {"prod-a": [("complete", 24 * HOUR)]}


def test_a_pause_between_runs_is_missing(store: Store) -> None:
    look(store, ago(hours=14), 10 * HOUR)
    look(store, NOW, 10 * HOUR)
    assert covered(store) == {"prod-a": [("missing", 20 * HOUR)]}


def test_a_run_after_the_window_looked_at_the_end_of_it(store: Store) -> None:
    look(store, NOW + 2 * HOUR, 12 * HOUR)
    look(store, NOW + 2 * HOUR, 2 * HOUR)
    assert covered(store) == {"prod-a": [("missing", 10 * HOUR)]}


def test_one_run_covers_adjoining_windows_each_for_its_part(store: Store) -> None:
    look(store, NOW, 36 * HOUR)
    assert covered(store, DAY, DAY_BEFORE) == {"prod-a": [("complete", 24 * HOUR), ("missing", 12 * HOUR)]}


def test_with_reads_of_a_part_of_the_cluster_a_window_is_partly_covered(store: Store) -> None:
    look(store, ago(hours=12), 12 * HOUR)
    look(store, NOW, 12 * HOUR, status="partial")
    assert covered(store) == {"prod-a": [("partly", 24 * HOUR)]}
    look(store, NOW, 12 * HOUR)
    assert covered(store) == {"prod-a": [("complete", 24 * HOUR)]}


@pytest.mark.parametrize("scope", ["--namespace shop", "--current --include-ns shop", "--exclude-ns shop"])
def test_a_run_over_some_namespaces_read_a_part_of_the_cluster(store: Store, scope: str) -> None:
    look(store, NOW, 24 * HOUR, scope=scope)
    assert covered(store) == {"prod-a": [("partly", 24 * HOUR)]}


@pytest.mark.parametrize("scope", ["--current", "--contexts prod", "--include-ephemeral"])
def test_a_run_over_some_clusters_read_all_of_each(store: Store, scope: str) -> None:
    look(store, NOW, 24 * HOUR, scope=scope)
    assert covered(store) == {"prod-a": [("complete", 24 * HOUR)]}


def test_a_complete_cluster_of_a_run_that_missed_another_is_complete(store: Store) -> None:
    record_run(store, scan(), scan(cluster="b", status="unreachable"))
    assert covered(store, clusters=()) == {"prod-a": [("complete", 24 * HOUR)], "b": [("missing", timedelta())]}


@pytest.mark.parametrize("status", ["unreachable", "forbidden", "failed"])
def test_a_cluster_that_could_not_be_read_was_not_looked_at(store: Store, status: ScanStatus) -> None:
    look(store, NOW, 24 * HOUR, status=status)
    assert covered(store) == {"prod-a": [("missing", timedelta())]}


def test_a_cluster_of_which_nobody_noted_what_was_read_is_unknown_where_no_other_run_looked(store: Store) -> None:
    look(store, NOW, 24 * HOUR, status="unknown")
    assert covered(store) == {"prod-a": [("unknown", timedelta())]}
    look(store, NOW, 24 * HOUR, status="partial")
    assert covered(store) == {"prod-a": [("partly", 24 * HOUR)]}


def test_a_cluster_that_was_left_out_of_every_run_is_no_cluster_of_that_time(store: Store) -> None:
    look(store, NOW, 24 * HOUR, status="skipped")
    assert covered(store) == {}


def test_only_the_clusters_that_are_asked_for_are_measured(store: Store) -> None:
    record_run(store, scan(), scan(cluster="prod-b"), scan(cluster="stage"))
    assert set(covered(store, clusters=("prod-*",))) == {"prod-a", "prod-b"}


def test_a_run_that_goes_on_or_was_aborted_has_looked_at_nothing(store: Store) -> None:
    look(store, NOW, HOUR)
    open_runs = begin(store), begin(store)
    change(store, f"UPDATE runs SET status = 'aborted' WHERE id = {open_runs[0]}")
    for run_id in open_runs:
        change(store, f"CREATE TEMP TABLE copied AS SELECT * FROM run_clusters WHERE run_id <> {run_id} LIMIT 1")
        change(store, f"UPDATE copied SET run_id = {run_id}")
        change(store, "INSERT INTO run_clusters SELECT * FROM copied")
        change(store, "DROP TABLE copied")
    assert covered(store) == {"prod-a": [("missing", HOUR)]}


@pytest.mark.parametrize(("late", "state"), [(300, "complete"), (301, "missing")])
def test_a_run_may_begin_five_minutes_late(store: Store, late: int, state: str) -> None:
    look(store, ago(hours=12, seconds=late), 24 * HOUR)
    look(store, NOW, 12 * HOUR)
    assert covered(store)["prod-a"][0][0] == state


def test_pauses_that_add_up_are_missing_however_short_each_is(store: Store) -> None:
    for minutes in range(0, 24 * 60, 8):
        look(store, ago(minutes=minutes), timedelta(minutes=4))
    assert covered(store) == {"prod-a": [("missing", 12 * HOUR)]}


def test_of_a_short_window_a_minute_is_much(store: Store) -> None:
    look(store, ago(minutes=1), HOUR)
    assert covered(store, Window(ago(minutes=10), NOW)) == {"prod-a": [("missing", timedelta(minutes=9))]}


def test_windows_are_less_covered_only_where_it_makes_a_difference() -> None:
    def part(complete: float, covered: float) -> Coverage:
        length = 100 * HOUR
        return Coverage(length=length, complete=complete * length, covered=covered * length, perhaps=covered * length)

    whole = part(1, 1)
    assert not whole.is_less_than(whole)
    assert not part(0.99, 0.99).is_less_than(whole)
    assert part(0.98, 0.98).is_less_than(whole)
    assert part(0.5, 1).is_less_than(whole)
    assert not whole.is_less_than(part(0.5, 0.5))
    assert no_coverage(DAY).is_less_than(part(0.02, 0.02))
    assert no_coverage(DAY).state == "missing"
