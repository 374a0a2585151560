"""When a legacy run was: artifacts tell better than names, names better than the file's time, and both can mislead."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from oomdb.importers.legacy.files import NamedTime, read_name
from oomdb.importers.legacy.run_times import RunTime, Traces, date_runs, find_copied, find_stamp
from tests.importers.legacy.importing import NOW

AT = datetime(2026, 1, 20, 14, 0, tzinfo=UTC)


def traces(
    name: str,
    *,
    layout: str = "legacy-9",
    modified_at: datetime = AT,
    stamped_at: datetime | None = None,
    is_copied: bool = False,
) -> Traces:
    """Return what tells of the time of a file."""
    return Traces(
        name=f"oom_results_{name}.csv",
        layout=layout,
        modified_at=modified_at,
        stamped_at=stamped_at,
        is_copied=is_copied,
    )


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("01-Dec-2025_09-08-22-EDT", datetime(2025, 12, 1, 14, 8, 22, tzinfo=UTC)),  # winter, by its summer name
        ("01-Jul-2025_09-08-22-EST", datetime(2025, 7, 1, 13, 8, 22, tzinfo=UTC)),
        ("13-Feb-2026_11-01-14--03", datetime(2026, 2, 13, 14, 1, 14, tzinfo=UTC)),
        ("24-Feb-2026_15-04-05-CEST", datetime(2026, 2, 24, 14, 4, 5, tzinfo=UTC)),
        ("26-Jan-2026_19-35-22-IST", datetime(2026, 1, 26, 14, 5, 22, tzinfo=UTC)),
        ("26-Jan-2026_19-35-22-+0530", datetime(2026, 1, 26, 14, 5, 22, tzinfo=UTC)),
        ("26-Jan-2026_10-00-00-EDT (1)", datetime(2026, 1, 26, 15, tzinfo=UTC)),
        ("26-Jan-2026_10-00-00-EDT copy", datetime(2026, 1, 26, 15, tzinfo=UTC)),
        ("26-Jan-2026_10-00-00-EDT-backup", datetime(2026, 1, 26, 15, tzinfo=UTC)),
        ("13-Jan-2026_12-10-22-EST_14-Jan-2026_09-00-00-EST", datetime(2026, 1, 13, 17, 10, 22, tzinfo=UTC)),
    ],
)
def test_a_name_tells_local_time_whatever_its_zone_is_called(name: str, at: datetime) -> None:
    assert read_name(f"oom_results_{name}.csv") == NamedTime(at, zone_is_known=True)


@pytest.mark.parametrize("name", ["oom_results.csv", "oom_results_a_b.csv", "oom_results_31-Feb-2026_09-00-00-UTC.csv"])
def test_other_names_tell_nothing(name: str) -> None:
    assert read_name(name) is None


def test_the_latest_stamp_counts_and_none_that_lies_ahead_or_is_no_time() -> None:
    stamps = ("20260120T135900Z", "20260120T140000Z", "20261399T000000Z", "99990101T000000Z")
    assert find_stamp(" ".join(f"/a/ns__pod__{it}__desc.txt" for it in stamps), now=NOW) == AT


def test_artifacts_go_before_the_name_and_the_time_of_the_file() -> None:
    stamped = traces("21-Jan-2026_09-00-00-UTC", stamped_at=AT, modified_at=NOW)
    assert date_runs([stamped], now=NOW) == [RunTime(AT, "artifacts")]


def test_a_name_that_lies_ahead_tells_nothing() -> None:
    ahead = traces("15-Jan-2062_09-00-00-UTC", layout="legacy-11")
    assert date_runs([ahead], now=NOW) == [RunTime(AT, "mtime")]


def test_what_oomdb_exported_says_itself_when_the_run_was() -> None:
    exported = replace(traces("21-Jan-2026_09-00-00-UTC", modified_at=NOW), stamped_at=NOW, exported_run_at=AT)
    assert date_runs([exported], now=NOW) == [RunTime(AT, "json")]


@pytest.mark.parametrize(
    ("minutes", "copied"),
    [
        ((0, 0.5), {0, 0.5}),
        ((0, 5), set()),
        ((0, 0.2, 90), set()),
        ((0, 0.2, 0.7, 5), {0, 0.2, 0.7}),
    ],
)
def test_files_of_one_minute_are_a_copy_whatever_lies_beside_them(minutes: Sequence[float], copied: set[float]) -> None:
    times = {it: AT + timedelta(minutes=it) for it in minutes}
    assert find_copied([times[it] for it in minutes]) == {times[it] for it in copied}


def test_the_newest_columns_mean_that_a_name_has_its_own_time() -> None:
    named = traces("21-Jan-2026_09-00-00-UTC", layout="legacy-11", modified_at=AT)
    assert date_runs([named], now=NOW) == [RunTime(datetime(2026, 1, 21, 9, tzinfo=UTC), "name")]


def test_where_names_have_the_next_runs_time_the_file_has_its_own() -> None:
    named = traces("21-Jan-2026_09-00-00-UTC", modified_at=AT)
    assert date_runs([named], now=NOW) == [RunTime(AT, "mtime")]


@pytest.mark.parametrize("is_copied", [True, False])
def test_where_names_have_the_next_runs_time_and_the_files_own_is_lost_the_name_before_tells(is_copied: bool) -> None:
    before, named = (traces(f"{day}-Jan-2026_09-00-00-UTC", modified_at=NOW, is_copied=is_copied) for day in (20, 22))
    assert date_runs([named, before], now=NOW)[0] == RunTime(datetime(2026, 1, 20, 9, tzinfo=UTC), "name")


def test_neighbours_with_artifacts_tell_whose_time_the_names_have() -> None:
    # by their days these names could have the next run's time: the neighbour shows that they have their own
    witness = traces("20-Jan-2026_14-00-10-UTC", stamped_at=AT)
    named = traces("21-Jan-2026_09-00-00-UTC", modified_at=AT)
    assert date_runs([witness, named], now=NOW)[1] == RunTime(datetime(2026, 1, 21, 9, tzinfo=UTC), "name")


def test_an_unknown_zone_is_told_by_the_files_time_where_that_is_near() -> None:
    named = traces("20-Feb-2026_09-00-00-XYZT", modified_at=datetime(2026, 2, 20, 14, tzinfo=UTC))
    assert date_runs([named], now=NOW) == [RunTime(named.modified_at, "mtime")]
    far = traces("20-Feb-2026_09-00-00-XYZT", modified_at=NOW + timedelta(days=9))
    assert date_runs([far], now=NOW) == [RunTime(datetime(2026, 2, 20, 9, tzinfo=UTC), "name")]


def test_a_file_without_a_telling_name_has_its_own_time() -> None:
    assert date_runs([traces("my_copy")], now=NOW) == [RunTime(AT, "mtime")]
