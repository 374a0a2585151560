"""What could have been missed: each doubt from the facts that raise it, and none where nothing raises one."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from oomdb.cli.why_verdict import Case, find_doubts, format_span
from oomdb.queries.namespaces import NamespaceLook
from oomdb.queries.why import NamespaceFacts, Scan, SeenSuspect
from oomdb.timespan import format_instant
from tests.store.builders import NOW, ago

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def seen(at: datetime, run_id: int, **more: Any) -> Scan:
    """Return a complete scan that read the namespace, and saw an event that was three hours old."""
    whole = Scan(
        run_id=run_id,
        began_at=at,
        origin="collect",
        scope="all",
        time_range="1d",
        lookback=DAY,
        status="complete",
        reason="",
        reason_status="",
        was_read=True,
        oldest_event_at=at - 3 * HOUR,
        clock_skew_seconds=0.0,
        findings=0,
    )
    return replace(whole, **more)


def case(*scans: Scan, rule: str | None = None, name: str = "shop", **more: Any) -> Case:
    """Return the case of a namespace that the newest scan read."""
    look = NamespaceLook(
        cluster="prod-a",
        namespace=name,
        state="read",
        run_id=scans[0].run_id,
        read_at=scans[0].began_at,
        read_run_id=scans[0].run_id,
        last_seen_at=scans[0].began_at,
        last_run_id=scans[0].run_id,
        reason="",
    )
    facts = NamespaceFacts(
        cluster="prod-a",
        namespace=name,
        context="",
        server="",
        since=ago(days=14),
        look=look,
        scans=scans,
        refusals=(),
        occurrences=(),
        suspects=(),
    )
    return Case(facts=replace(facts, **more), rule=rule, live=None, now=NOW)


def doubts(judged: Case) -> list[str]:
    """Return what is doubted besides the limits that always hold, which come last."""
    *found, limits = find_doubts(judged, format_instant)
    assert limits.what.startswith("Always: a container keeps its last termination only")
    return [f"{doubt.what} → {doubt.do}" for doubt in found]


def test_where_all_was_read_often_enough_only_the_limits_remain() -> None:
    assert doubts(case(seen(ago(minutes=5), 3), seen(ago(hours=2), 2), seen(ago(hours=4), 1))) == []


def test_a_pause_that_is_longer_than_events_reach_is_a_doubt() -> None:
    (doubt,) = doubts(case(seen(ago(minutes=5), 2), seen(ago(hours=8), 1)))
    assert doubt.startswith("Up to 7 h 55 min lie between two reads (2026-01-15T07:00:00Z to 2026-01-15T14:55:00Z).")
    assert "events reached back 3 h when they were read last" in doubt


def test_where_no_event_was_seen_their_reach_is_not_made_up() -> None:
    scans = (seen(ago(minutes=5), 2, oldest_event_at=None), seen(ago(hours=2), 1, oldest_event_at=None))
    (doubt,) = doubts(case(*scans))
    assert "how far back events reach is not known" in doubt


def test_time_that_no_run_looked_back_over_is_a_doubt() -> None:
    found = doubts(case(seen(ago(minutes=5), 2, lookback=6 * HOUR), seen(ago(hours=30), 1)))
    assert found[0].startswith("No run looked back over 2026-01-14T09:00:00Z to 2026-01-15T08:55:00Z (23 h 55 min)")


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (0.5, None),
        (5, "What happened since 2026-01-15T10:00:00Z, when it was read last. → oomdb why prod-a/shop --live"),
        (
            50,
            "It was read last on 2026-01-13T13:00:00Z, 2 d 2 h ago: a run that looks back 1d does not reach that far.",
        ),
    ],
)
def test_the_age_of_the_last_read_counts_by_what_the_next_run_can_reach(hours: float, words: str | None) -> None:
    found = doubts(case(seen(ago(hours=hours), 1)))
    assert [doubt[: len(words or "")] for doubt in found] == ([words] if words else [])


def test_an_automatic_run_reaches_back_to_the_last_read_however_old_it_is() -> None:
    (doubt,) = doubts(case(seen(ago(hours=50), 1, time_range="auto", lookback=HOUR)))
    assert doubt.startswith("What happened since 2026-01-13T13:00:00Z, when it was read last.")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(60.0, None), (None, None), (7200.0, "2:00:00 (h:mm:ss) ahead of"), (-90.0, "0:01:30 (h:mm:ss) behind")],
)
def test_a_clock_that_differs_by_more_than_a_minute_is_a_doubt(seconds: float | None, words: str | None) -> None:
    found = doubts(case(seen(ago(minutes=5), 1, clock_skew_seconds=seconds)))
    assert [words is not None and words in doubt for doubt in found] == ([True] if words else [])


def test_runs_with_filters_are_counted_and_named() -> None:
    filtered = {"scope": "--include-ns ^x", "was_read": None}
    (doubt,) = doubts(case(seen(ago(minutes=5), 3), seen(ago(hours=1), 2, **filtered), seen(ago(hours=2), 1)))
    assert doubt.startswith("1 of 3 runs had another scope (--include-ns ^x) and did not, or may not, have looked")


def test_suspects_are_told_with_the_query_that_lists_them() -> None:
    suspect = SeenSuspect(suspect_class="exit-137", at=None, pod="p", container="c", last_run_id=1)
    (doubt,) = doubts(case(seen(ago(minutes=5), 1), suspects=(suspect,)))
    assert "suspected, not counted" in doubt
    assert doubt.endswith("WHERE cluster = :cluster AND namespace = :namespace' -p cluster prod-a -p namespace shop")


def test_a_label_rule_needs_more_than_the_name() -> None:
    labelled = doubts(case(seen(ago(minutes=5), 1), rule="label a=b"))
    named = doubts(case(seen(ago(minutes=5), 1), rule="name test-*"))
    assert labelled[0].endswith("→ oomdb collect --contexts prod-a -n shop --include-ephemeral")
    assert named[0].endswith("→ oomdb collect --contexts prod-a -n shop")


def test_a_hostile_name_is_quoted_in_the_commands() -> None:
    (doubt,) = doubts(case(seen(ago(minutes=5), 1), rule="name test-*", name="$(rm -rf /); x"))
    assert doubt.endswith("-n '$(rm -rf /); x'")


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=20), "0 min"),
        (timedelta(minutes=35), "35 min"),
        (timedelta(hours=8), "8 h"),
        (timedelta(hours=47, minutes=5), "47 h 5 min"),
        (timedelta(days=2, hours=4, minutes=59), "2 d 4 h"),
        (timedelta(seconds=-5), "0 min"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(span: timedelta, text: str) -> None:
    assert format_span(span) == text
