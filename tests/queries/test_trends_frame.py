"""Trends as a DataFrame: a row per group, window and type."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import oomdb
from oomdb.errors import UsageError
from oomdb.queries.frames import History
from oomdb.store.database import Store
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, change, finding, kill, loop, scan

MIDDLE, BEGIN = pd.Timestamp(ago(days=7)), pd.Timestamp(ago(days=14))
END = pd.Timestamp(NOW)


@pytest.fixture
def history(store: Store, tmp_path: Path) -> Iterator[History]:
    """Record two clusters, of which the second was not read in the older week, and open them as a notebook does."""
    looped = finding(loop(ago(days=1), restarts=40), pod="cart-1", pod_uid="2", workload="cart")
    older, newer = (finding(kill(ago(days=day), container_id=str(day))) for day in (9, 2))
    week = timedelta(days=7)
    record_run(store, scan(older), scan(cluster="b", status="unreachable"), at=ago(days=7), lookback=week)
    record_run(store, scan(newer), scan(looped, cluster="b"), lookback=week)
    with oomdb.open_store(tmp_path / "oomdb.sqlite") as opened:
        yield opened


def listed(frame: pd.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return list(frame[list(names)].astype(object).itertuples(index=False, name=None))


def test_every_group_has_a_row_for_each_window_and_type(history: History) -> None:
    frame = history.trends()
    assert listed(frame, "cluster", "namespace", "window_since", "window_until", "type", "occurrences") == [
        ("b", "shop", MIDDLE, END, "OOMKilled", 0),
        ("b", "shop", MIDDLE, END, "CrashLoopBackOff", 1),
        ("b", "shop", BEGIN, MIDDLE, "OOMKilled", pd.NA),
        ("b", "shop", BEGIN, MIDDLE, "CrashLoopBackOff", pd.NA),
        ("prod-a", "shop", MIDDLE, END, "OOMKilled", 1),
        ("prod-a", "shop", MIDDLE, END, "CrashLoopBackOff", 0),
        ("prod-a", "shop", BEGIN, MIDDLE, "OOMKilled", 1),
        ("prod-a", "shop", BEGIN, MIDDLE, "CrashLoopBackOff", 0),
    ]


def test_nobody_looked_is_missing_and_never_nought(history: History) -> None:
    frame = history.trends(by="cluster")
    unread = frame[(frame["cluster"] == "b") & (frame["window_since"] == BEGIN)]
    assert unread["occurrences"].isna().all()
    assert unread["covered_share"].tolist() == [0.0, 0.0]
    assert frame["occurrences"].sum() == 3


def test_shares_tell_how_much_was_looked_at_and_are_missing_where_nobody_noted_it(
    history: History, store: Store
) -> None:
    change(store, "UPDATE run_clusters SET status = 'partial' WHERE cluster = 'prod-a' AND run_id = 2")
    change(store, "UPDATE run_clusters SET status = 'unknown' WHERE cluster = 'b' AND run_id = 2")
    names = ("cluster", "window_since", "complete_share", "covered_share")
    assert listed(history.trends(by="cluster", type="OOMKilled", periods=1), *names) == [("prod-a", MIDDLE, 0.0, 1.0)]
    frame = history.trends(by="cluster", periods=4, window=timedelta(days=3, hours=12))
    assert frame[frame["cluster"] == "b"]["complete_share"].isna().tolist() == [True] * 4 + [False] * 4


def test_restarts_are_told_of_pods(history: History) -> None:
    frame = history.trends(by=["pod"])
    assert listed(frame[frame["pod"] == "cart-1"], "type", "restarts") == [
        ("OOMKilled", pd.NA),
        ("CrashLoopBackOff", 40),
        ("OOMKilled", pd.NA),
        ("CrashLoopBackOff", pd.NA),
    ]
    assert "restarts" not in history.trends()


def test_an_empty_frame_has_the_types_of_a_full_one(history: History) -> None:
    full, empty = history.trends(by="cluster,pod"), history.trends(by="cluster,pod", pod="nothing")
    assert empty.empty
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert {name: str(kind) for name, kind in full.dtypes.items()} == {
        "cluster": "object",
        "pod": "object",
        "type": "object",
        "window_since": "datetime64[us, UTC]",
        "window_until": "datetime64[us, UTC]",
        "occurrences": "Int64",
        "restarts": "Int64",
        "complete_share": "Float64",
        "covered_share": "Float64",
    }


@pytest.mark.parametrize("until", [ago(days=7), ago(days=7).replace(tzinfo=None), "2026-01-08T16:00:00+01:00"])
def test_windows_end_where_they_are_told_to(history: History, until: str | datetime) -> None:
    frame = history.trends(window="1d", periods=3, until=until, cluster="prod-*", type="oomkilled", workload="checkout")
    assert listed(frame, "window_until", "occurrences") == [
        (pd.Timestamp(ago(days=7)), 0),
        (pd.Timestamp(ago(days=8)), 0),
        (pd.Timestamp(ago(days=9)), 1),
    ]


def test_wrong_questions_say_what_is_wrong(history: History) -> None:
    with pytest.raises(UsageError, match="'7 days' is not a time span"):
        history.trends(window="7 days")
    with pytest.raises(UsageError, match="not told by 'team'"):
        history.trends(by=("cluster", "team"))
    with pytest.raises(UsageError, match="ask for 1 to 60"):
        history.trends(periods=0)
