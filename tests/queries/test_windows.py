"""What a window of time holds: kills by their time, loops that overlap it."""

from datetime import datetime

import pytest

from oomdb.queries.windows import select_in_window
from oomdb.store.database import Store
from oomdb.store.schema import occurrences
from tests.store.builders import ago, finding, kill, loop, record, scan

SINCE, UNTIL = ago(hours=10), ago(hours=4)


def in_window(store: Store, since: datetime | None, until: datetime | None) -> list[str]:
    with store.reading() as conn:
        rows = conn.execute(select_in_window([occurrences.c.pod], since, until))
        return [row.pod for row in rows]


@pytest.fixture(autouse=True)
def history(store: Store) -> None:
    """Record kills and loops on both sides of the window's ends; pods are named by what happened."""
    kills = {
        "killed-too-early": ago(hours=10, seconds=1),
        "killed-at-the-beginning": SINCE,
        "killed-at-the-end": UNTIL,
        "killed-too-late": ago(hours=4, seconds=-1),
    }
    loops = {
        "looped-before": (ago(hours=14), ago(hours=11)),
        "looped-into-it": (ago(hours=13), ago(hours=9)),
        "looped-over-it": (ago(hours=12), ago(hours=1)),
        "looped-within": (ago(hours=8), ago(hours=7)),
        "looped-out-of-it": (ago(hours=6), ago(hours=2)),
        "looped-after": (ago(hours=3), ago(hours=2)),
    }
    record(
        store,
        scan(*(finding(kill(at), pod=pod, pod_uid=pod) for pod, at in kills.items())),
    )
    for pod, (begun, ended) in loops.items():
        for at in (begun, ended):
            record(store, scan(finding(loop(at, restarts=at.hour * 100), pod=pod, pod_uid=pod)), at=at)


def test_a_window_holds_kills_by_their_time_and_loops_that_overlap_it_newest_first(store: Store) -> None:
    assert in_window(store, SINCE, UNTIL) == [
        "killed-at-the-end",
        "looped-out-of-it",
        "looped-within",
        "killed-at-the-beginning",
        "looped-over-it",
        "looped-into-it",
    ]


def test_a_window_without_an_end_holds_all_that_came_later(store: Store) -> None:
    assert in_window(store, ago(hours=4, seconds=-1), None) == [
        "looped-after",
        "killed-too-late",
        "looped-out-of-it",
        "looped-over-it",
    ]


def test_a_window_without_a_beginning_holds_all_that_began_before_its_end(store: Store) -> None:
    assert in_window(store, None, ago(hours=12)) == ["looped-over-it", "looped-into-it", "looped-before"]


def test_without_ends_everything_is_there_once(store: Store) -> None:
    everything = in_window(store, None, None)
    assert len(everything) == len(set(everything)) == 10
