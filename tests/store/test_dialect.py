"""Instants as they are stored, and comparisons of texts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import literal, select
from sqlalchemy.engine import make_url

from oomdb.store.database import Store
from oomdb.store.dialect import Instant, contains, matches_glob
from tests.store.builders import HOSTILE, ago, finding, kill, record, rows, scan

SQLITE = make_url("sqlite://").get_dialect()()
POSTGRESQL = make_url("postgresql://").get_dialect()()


@pytest.mark.parametrize(
    ("at", "stored"),
    [
        (datetime(2026, 1, 15, 15, 0, 59, 999_999, tzinfo=UTC), "2026-01-15 15:00:59"),
        (datetime(2026, 1, 15, 1, tzinfo=timezone(timedelta(hours=2))), "2026-01-14 23:00:00"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01 00:00:00"),
    ],
)
def test_instants_are_stored_as_utc_texts_of_one_width(at: datetime, stored: str) -> None:
    assert Instant().process_bind_param(at, SQLITE) == stored
    assert Instant().process_result_value(stored, SQLITE) == at.replace(microsecond=0)


def test_no_instant_is_null() -> None:
    assert Instant().process_bind_param(None, SQLITE) is None
    assert Instant().process_result_value(None, SQLITE) is None


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        Instant().process_bind_param(datetime(2026, 1, 15), SQLITE)  # noqa: DTZ001  # the point


def test_where_the_database_has_instants_they_stay_instants() -> None:
    at = datetime(2026, 1, 15, 1, tzinfo=timezone(timedelta(hours=2)))
    bound = Instant().process_bind_param(at, POSTGRESQL)
    assert (bound, bound.tzinfo) == (at, UTC)
    back = Instant().process_result_value(at, POSTGRESQL)
    assert (back, back and back.tzinfo) == (at, UTC)


def test_stored_instants_compare_exactly_with_those_of_sqlite(store: Store) -> None:
    record(store, scan(finding(kill(ago(days=7)))))
    days = "SELECT count(*) FROM occurrences WHERE occurred_at >= datetime('2026-01-15 15:00:0{}', '-7 days')"
    assert rows(store, days.format(0)) == [(1,)]
    assert rows(store, days.format(1)) == [(0,)]


@pytest.mark.parametrize(
    ("text", "part", "there"),
    [("a%b", "%", True), ("ab", "%", False), ("Ab", "ab", False), (HOSTILE, "DROP TABLE", True), ("", "", True)],
)
def test_contains_takes_every_letter_as_it_is(store: Store, text: str, part: str, there: bool) -> None:
    with store.reading() as conn:
        assert conn.execute(select(contains(literal(text), part))).scalar() == there


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [("shop-1", "shop-*", True), ("shop-1", "shop-?", True), ("shop-1", "SHOP-*", False), ("a_b", "a_b", True)],
)
def test_globs_match_whole_texts(store: Store, text: str, pattern: str, fits: bool) -> None:
    with store.reading() as conn:
        assert bool(conn.execute(select(matches_glob(literal(text), pattern))).scalar()) is fits
