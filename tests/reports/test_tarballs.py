"""Tarballs to make: one a type and day, in the order of the report."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from oomdb.queries.bundles import Evidence, SavedText
from oomdb.queries.instances import Instance
from oomdb.reports.tarballs import format_ordinal_day, plan_tarballs

SAVED = datetime(2026, 1, 28, 15, tzinfo=UTC)


def evidence(type_: str, at: datetime, *paths: str) -> Evidence:
    """Return a kill or loop with texts of these paths."""
    place = {"cluster": "prod-a", "namespace": "shop", "pod": "checkout-1"}
    told = {"kind": "log", "status": "ok", "sha256": "", "message": ""}
    texts = [SavedText(**place, **told, path=it, captured_at=SAVED) for it in paths]
    return Evidence(Instance(**place, type=type_, at=at), tuple(texts))


def test_tarballs_come_by_type_then_by_the_calendar_and_hold_each_text_once() -> None:
    found = [
        evidence("Evicted", datetime(2026, 1, 1, tzinfo=UTC), "e"),
        evidence("CrashLoopBackOff", datetime(2026, 2, 2, tzinfo=UTC), "d"),
        evidence("CrashLoopBackOff", datetime(2026, 1, 28, tzinfo=UTC), "c"),
        evidence("OOMKilled", datetime(2026, 1, 28, 10, tzinfo=UTC), "a", "b"),
        evidence("OOMKilled", datetime(2026, 1, 28, 12, tzinfo=UTC), "b"),
        evidence("OOMKilled", datetime(2025, 12, 31, tzinfo=UTC)),
    ]
    planned = plan_tarballs("checkout", found, zone=UTC)
    assert [(it.stem, [text.path for text in it.texts]) for it in planned] == [
        ("OOMKilled-checkout-instance-31st-Dec-2025", []),
        ("OOMKilled-checkout-instance-28th-Jan-2026", ["a", "b"]),
        ("CrashLoopBackOff-checkout-instance-28th-Jan-2026", ["c"]),
        ("CrashLoopBackOff-checkout-instance-2nd-Feb-2026", ["d"]),
        ("Evicted-checkout-instance-1st-Jan-2026", ["e"]),
    ]


def test_a_day_is_that_of_the_zone() -> None:
    found = [evidence("OOMKilled", datetime(2026, 1, 28, 2, tzinfo=UTC))]
    (planned,) = plan_tarballs("x", found, zone=ZoneInfo("America/New_York"))
    assert planned.day == date(2026, 1, 27)


@pytest.mark.parametrize(
    ("day", "text"),
    [
        *((day, f"{day}th") for day in (*range(4, 21), *range(24, 31))),
        *((day, f"{day}st") for day in (1, 21, 31)),
        *((day, f"{day}nd") for day in (2, 22)),
        *((day, f"{day}rd") for day in (3, 23)),
    ],
)
def test_days_are_counted_as_people_do(day: int, text: str) -> None:
    assert format_ordinal_day(date(2026, 1, day)) == f"{text}-Jan-2026"
