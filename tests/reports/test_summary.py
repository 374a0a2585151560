"""Instances: each kill and each loop once, on the day it happened or began."""

from datetime import UTC, datetime, timedelta

import pytest

from oomdb.queries.instances import list_instances_of_pods, list_instances_of_run
from oomdb.queries.selection import find_run
from oomdb.reports.summary import render_pod_summary, render_run_summary
from oomdb.store.database import Store
from tests.store.builders import NOW, ago, change, finding, kill, loop, loop_event, rows, scan

from .recording import record_run


def summary(store: Store, run: int) -> list[str]:
    """Return the lines of a run's summary that count something."""
    with store.reading() as conn:
        text = render_run_summary(list_instances_of_run(conn, find_run(conn, run)), zone=UTC)
    return [line.partition(", Namespace")[0] for line in text.splitlines() if "instance(s)" in line]


def history(store: Store, text: str) -> list[str]:
    with store.reading() as conn:
        return render_pod_summary(text, list_instances_of_pods(conn, text), zone=UTC).splitlines()[4:-1]


def test_a_loop_of_several_days_counts_once_on_the_day_it_began(store: Store) -> None:
    for day in range(4):
        at = NOW + timedelta(days=day)
        record_run(store, scan(finding(loop(at - timedelta(minutes=2), restarts=5 + day * 100))), at=at)
    assert rows(store, "SELECT count(*) FROM occurrences") == [(1,)]
    assert summary(store, 4) == ["CrashLoopBackOff: 1 instance(s) on 15-Jan-2026"]
    assert history(store, "check") == [
        "OOMKilled: 0 instances (no occurrences in the history)",
        "CrashLoopBackOff: 1 instance(s) on 15-Jan-2026, Namespace: shop (cluster: prod-a)",
    ]


def test_a_loop_is_dated_by_its_beginning_also_where_a_run_saw_older_evidence_of_it(store: Store) -> None:
    record_run(store, scan(finding(loop(ago(minutes=10)))))
    record_run(store, scan(finding(loop_event(ago(minutes=12)))), at=NOW + timedelta(days=1))
    assert summary(store, 2) == ["CrashLoopBackOff: 1 instance(s) on 15-Jan-2026"]


def test_of_two_loops_of_a_container_each_run_shows_its_own(store: Store) -> None:
    record_run(store, scan(finding(loop(ago(minutes=1), restarts=5))))
    later = NOW + timedelta(days=3)
    second = (loop(later - timedelta(minutes=1), restarts=6), loop_event(NOW - timedelta(minutes=1)))
    record_run(store, scan(finding(*second)), at=later)
    assert rows(store, "SELECT count(*) FROM occurrences") == [(2,)]
    assert summary(store, 1) == ["CrashLoopBackOff: 1 instance(s) on 15-Jan-2026"]
    assert summary(store, 2) == ["CrashLoopBackOff: 1 instance(s) on 18-Jan-2026"]


def test_a_run_counts_the_kills_that_it_saw_and_no_other(store: Store) -> None:
    kills = [kill(ago(hours=hours), container_id=f"cri-o://{hours}") for hours in (50, 3, 2, 1)]
    record_run(store, scan(finding(kills[0])), at=ago(hours=49))
    record_run(store, scan(finding(*kills[1:])))
    assert summary(store, 1) == ["OOMKilled: 1 instance(s) on 13-Jan-2026"]
    assert summary(store, 2) == ["OOMKilled: 3 instance(s) on 15-Jan-2026"]


def test_a_finding_without_a_time_is_dated_by_its_run(store: Store) -> None:
    record_run(store, scan(finding(type_="CrashLoopBackOff")))
    assert summary(store, 1) == ["CrashLoopBackOff: 1 instance(s) on 15-Jan-2026"]
    assert history(store, "checkout")[1].startswith("CrashLoopBackOff: 1 instance(s) on 15-Jan-2026")


def test_a_finding_whose_occurrence_is_gone_is_dated_by_its_own_time(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=30)))))
    change(store, "DELETE FROM occurrences")
    assert summary(store, 1) == ["OOMKilled: 1 instance(s) on 14-Jan-2026"]


def test_lines_are_in_calendar_order_and_other_types_come_last(store: Store) -> None:
    moments = [datetime(2026, 2, 2, tzinfo=UTC), datetime(2026, 1, 28, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)]
    kills = [kill(at, container_id=f"cri-o://{at}") for at in moments]
    odd = finding(type_="Evicted", container="")
    record_run(store, scan(finding(*kills), odd))
    assert summary(store, 1) == [
        "OOMKilled: 1 instance(s) on 31-Dec-2025",
        "OOMKilled: 1 instance(s) on 28-Jan-2026",
        "OOMKilled: 1 instance(s) on 02-Feb-2026",
        "Evicted: 1 instance(s) on 15-Jan-2026",
    ]


@pytest.mark.parametrize("name", ["a\nOOMKilled: 99 instance(s)", "a\x1b[31m", "a\u202e"])
def test_no_name_can_forge_a_line_or_draw_on_the_terminal(store: Store, name: str) -> None:
    record_run(store, scan(finding(kill(ago(hours=1)), pod=name, namespace=name), cluster=name))
    with store.reading() as conn:
        text = render_run_summary(list_instances_of_run(conn, find_run(conn, 1)), zone=UTC)
    assert len(text.splitlines()) == 7
    assert text.replace("\n", "").isprintable()
    assert history(store, name)[0].startswith("OOMKilled: 1 instance(s)")
