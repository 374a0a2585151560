"""Which runs a chart shows, and what it tells of each."""

from datetime import UTC, datetime, timedelta

import pytest

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.selection import find_run
from oomdb.queries.series import Series, read_series
from oomdb.store.database import Store
from tests.reports.recording import record_run
from tests.store.builders import HOSTILE, NOW, ago, begin, change, finding, kill, loop, scan

DAY = timedelta(days=1)
DOWN = scan(status="unreachable", error="refused")


def series(store: Store, run_id: int, plot_range: timedelta = 60 * DAY) -> Series:
    with store.reading() as conn:
        return read_series(conn, find_run(conn, run_id), plot_range)


def shown(store: Store, run_id: int, plot_range: timedelta = 60 * DAY) -> list[int]:
    return [point.run_id for point in series(store, run_id, plot_range).points]


def test_a_point_tells_how_each_cluster_was_come_to_and_how_many_rows_it_had(store: Store) -> None:
    two_containers = [finding(kill(NOW, container=name), container=name) for name in ("app", "sidecar")]
    record_run(store, scan(cluster="prod-b"), at=ago(days=1))
    run = record_run(
        store,
        scan(*two_containers, finding(loop(NOW)), finding(kill(NOW), pod="other", pod_uid="uid-2")),
        scan(cluster="prod-b", status="unreachable", error="refused"),
        scan(cluster=HOSTILE, status="partial"),
    )
    first, last = series(store, run).points
    assert (first.run_id, first.started_at) == (run - 1, ago(days=1))
    assert (first.statuses, first.rows) == ({"prod-b": "complete"}, {})
    assert (last.run_id, last.started_at) == (run, NOW)
    assert (last.origin, last.tool_version) == ("collect", "0.1.0")
    assert last.statuses == {"prod-a": "complete", "prod-b": "unreachable", HOSTILE: "partial"}
    assert last.rows == {("prod-a", OOM_KILLED): 2, ("prod-a", CRASH_LOOP_BACK_OFF): 1}


def test_points_come_in_the_order_in_which_runs_began_whenever_they_were_recorded(store: Store) -> None:
    later = record_run(store, scan(), at=ago(hours=1))
    earlier = record_run(store, scan(), at=ago(days=3))
    run = record_run(store, scan())
    assert shown(store, run) == [earlier, later, run]


def test_a_run_that_could_read_no_cluster_is_shown_and_one_that_goes_on_or_was_aborted_is_not(store: Store) -> None:
    unread = record_run(store, DOWN, at=ago(hours=3))
    aborted = begin(store, at=ago(hours=2))
    change(store, f"UPDATE runs SET status = 'aborted' WHERE id = {aborted}")
    begin(store, at=ago(hours=1))
    run = record_run(store, scan())
    assert shown(store, run) == [unread, run]
    assert series(store, run).points[0].statuses == {"prod-a": "unreachable"}


def test_runs_of_other_scopes_and_runs_that_came_later_are_not_shown(store: Store) -> None:
    first = record_run(store, scan(), at=ago(hours=3))
    other = record_run(store, scan(), at=ago(hours=2), scope="--current")
    run = record_run(store, scan(), at=ago(hours=1))
    record_run(store, scan())
    assert shown(store, run) == [first, run]
    assert shown(store, other) == [other]


def test_of_runs_that_began_in_one_second_those_with_a_higher_number_came_later(store: Store) -> None:
    first, second, third = (record_run(store, scan()) for _ in range(3))
    assert shown(store, second) == [first, second]
    assert shown(store, third) == [first, second, third]


@pytest.mark.parametrize(("plot_range", "first_day"), [(2 * DAY, 13), (timedelta(hours=16), 14), (timedelta(0), 15)])
def test_the_runs_begin_with_the_utc_day_in_which_the_range_counted_back_from_the_run_lies(
    store: Store, plot_range: timedelta, first_day: int
) -> None:
    midnight = datetime(2026, 1, first_day, tzinfo=UTC)
    record_run(store, scan(), at=midnight - timedelta(seconds=1))
    first = record_run(store, scan(), at=midnight)
    run = record_run(store, scan())
    found = series(store, run, plot_range)
    assert (found.since, found.until) == (midnight, NOW)
    assert [point.run_id for point in found.points] == [first, run]


def test_a_range_that_reaches_before_the_calendar_shows_all_runs(store: Store) -> None:
    first = record_run(store, scan(), at=datetime(1970, 1, 1, tzinfo=UTC))
    run = record_run(store, scan())
    assert shown(store, run, timedelta(days=999_999)) == [first, run]
