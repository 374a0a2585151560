"""Which run `latest` is, and which numbers can be asked for."""

import re

import pytest

from oomdb.errors import NothingReadError, UsageError
from oomdb.queries.selection import find_newer_of_other_scope, find_newer_unread, find_run
from oomdb.store.database import Store
from tests.reports.recording import record_run
from tests.store.builders import ago, begin, change, scan

DOWN = scan(cluster="b", status="unreachable", error="refused")


def found(store: Store, wanted: int | None = None, *, any_status: bool = False) -> int:
    with store.reading() as conn:
        return find_run(conn, "latest" if wanted is None else wanted, any_status=any_status).id


def test_the_latest_run_is_the_newest_over_all_contexts_that_read_a_cluster(store: Store) -> None:
    record_run(store, scan(), at=ago(hours=4))
    wanted = record_run(store, scan(status="partial"), DOWN, at=ago(hours=3))
    record_run(store, DOWN, at=ago(hours=2))
    record_run(store, scan(), at=ago(hours=1), scope="--current")
    assert found(store) == wanted


def test_a_run_that_was_recorded_later_but_began_earlier_is_not_the_latest(store: Store) -> None:
    wanted = record_run(store, scan(), at=ago(hours=1))
    record_run(store, scan(), at=ago(days=30))
    assert found(store) == wanted


def test_where_no_run_is_over_all_contexts_the_newest_that_read_a_cluster_is_the_latest(store: Store) -> None:
    wanted = record_run(store, scan(), at=ago(hours=2), scope="--current")
    record_run(store, DOWN, at=ago(hours=1))
    assert found(store) == wanted


def test_where_no_cluster_was_ever_read_the_message_says_what_to_do(store: Store) -> None:
    begin(store)
    with pytest.raises(NothingReadError, match="No run has read a cluster yet: run `oomdb collect`"):
        found(store)
    record_run(store, DOWN)
    record_run(store, DOWN)
    told = "No run has read a cluster yet: 2 tried and could read none: `oomdb coverage` says why."
    with pytest.raises(NothingReadError, match=f"^{re.escape(told)}$"):
        found(store)


def test_a_running_run_is_not_read_but_can_be_looked_at(store: Store) -> None:
    finished = record_run(store, scan(), at=ago(hours=1))
    running = begin(store)
    assert found(store) == finished
    with pytest.raises(UsageError, match=f"Run {running} is running; `oomdb runs` lists"):
        found(store, running)
    assert found(store, running, any_status=True) == running


@pytest.mark.parametrize("number", [0, 99, 10**17])
def test_an_unknown_number_is_wrong_usage_whatever_status_is_wanted(store: Store, number: int) -> None:
    record_run(store, scan())
    for any_status in (False, True):
        with pytest.raises(UsageError, match=f"There is no run {number}; `oomdb runs` lists them."):
            found(store, number, any_status=any_status)


def test_newer_runs_are_told_apart_by_whether_they_read_anything(store: Store) -> None:
    record_run(store, scan(), at=ago(hours=4))
    record_run(store, DOWN, at=ago(hours=3))
    unread = record_run(store, DOWN, at=ago(hours=2))
    other = record_run(store, scan(), at=ago(hours=1), scope="--current")
    aborted = begin(store)
    change(store, f"UPDATE runs SET status = 'aborted' WHERE id = {aborted}")
    with store.reading() as conn:
        latest = find_run(conn, "latest")
        newer = find_newer_unread(conn, latest), find_newer_of_other_scope(conn, latest)
    assert [it and it.id for it in newer] == [unread, other]
