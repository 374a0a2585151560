"""The history as DataFrames."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

import oomdb
from oomdb.errors import StoreError, UsageError
from oomdb.queries.frames import History
from oomdb.store.database import Store
from tests.store.builders import NOW, ago, begin, finding, kill, loop, record, scan


@pytest.fixture
def history(store: Store, tmp_path: Path) -> Iterator[History]:
    """Record two runs and open them as a notebook does."""
    first = finding(kill(ago(hours=30), exit_code=None))
    record(store, scan(first, skipped_by_rule={"name ci-*": 2}), at=ago(hours=29))
    record(store, scan(first, finding(loop(ago(hours=1)), pod="cart-1", pod_uid="2", namespace="api")))
    with oomdb.open_store(tmp_path / "oomdb.sqlite") as opened:
        yield opened


def kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Return which columns are instants and which counts."""
    wanted = ("datetime64[us, UTC]", "Int64")
    return {str(name): str(kind) for name, kind in frame.dtypes.items() if str(kind) in wanted}


def test_instants_are_utc_and_counts_may_be_missing(history: History) -> None:
    found = history.occurrences()
    assert kinds(found) == {
        "occurred_at": "datetime64[us, UTC]",
        "exit_code": "Int64",
        "restart_count": "Int64",
        "memory_limit_bytes": "Int64",
        "memory_request_bytes": "Int64",
        "last_seen_at": "datetime64[us, UTC]",
        "first_run_id": "Int64",
        "last_run_id": "Int64",
    }
    assert found["exit_code"].isna().tolist() == [False, True]
    assert found["occurred_at"].tolist() == [pd.Timestamp(ago(hours=1)), pd.Timestamp(ago(hours=30))]


def test_an_empty_frame_has_the_types_of_a_full_one(history: History) -> None:
    for full, empty in (
        (history.runs(), history.runs(since=ago(days=-1))),
        (history.findings(), history.findings(pod="nothing")),
        (history.occurrences(), history.occurrences(pod="nothing")),
        (history.coverage(), history.coverage(cluster="nothing")),
    ):
        assert empty.empty
        assert kinds(empty) == kinds(full)
        assert list(empty.columns) == list(full.columns)


def test_filters_are_single_texts_or_lists_and_upper_case_of_types_does_not_matter(history: History) -> None:
    assert history.occurrences(type="oomkilled")["pod"].tolist() == ["checkout-1"]
    assert history.occurrences(namespace=["a*", "b*"])["pod"].tolist() == ["cart-1"]
    assert history.findings(run=1, workload=("checkout",))["run"].tolist() == [1]
    assert history.occurrences(run="latest", cluster="prod-a", application="store", component="payments").shape[0] == 2
    assert history.coverage(run=1)["skipped_by_rule"].tolist() == [{"name ci-*": 2}]


@pytest.mark.parametrize(
    "since", [ago(hours=2), ago(hours=2).replace(tzinfo=None), "2026-01-15T13:00:00Z", "2026-01-15T14:00:00+01:00"]
)
def test_a_window_is_given_as_an_instant_or_a_text(history: History, since: str | datetime) -> None:
    assert history.occurrences(since=since, until=NOW)["pod"].tolist() == ["cart-1"]
    assert history.runs(since=since)["run"].tolist() == [2]


def test_a_span_counts_back_from_now(history: History) -> None:
    assert history.runs(until="1s")["run"].tolist() == [2, 1]


def test_findings_are_those_of_the_latest_run_unless_asked_otherwise(history: History) -> None:
    assert history.findings()["run"].tolist() == [2, 2]
    assert history.findings(since=ago(days=2))["run"].tolist() == [2, 2, 1]


def test_a_run_that_is_going_on_is_among_the_runs(history: History, store: Store) -> None:
    running = begin(store)
    assert history.runs(run=running)["status"].tolist() == ["running"]
    with pytest.raises(UsageError, match="is running"):
        history.findings(run=running)


def test_wrong_questions_say_what_is_wrong(history: History, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no run 7"):
        history.coverage(run=7)
    with pytest.raises(UsageError, match="time span"):
        history.runs(since="yesterday")
    with pytest.raises(StoreError, match="there is no database"):
        oomdb.open_store(str(tmp_path / "other.sqlite"))
