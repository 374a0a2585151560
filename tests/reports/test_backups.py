"""Names of older exports, and the past reports that a page links to."""

from datetime import datetime
from pathlib import Path

import pytest

from oomdb.reports.backups import describe_past_report, list_past_reports


def test_past_reports_are_listed_newest_first_whatever_their_names_sort_like(tmp_path: Path) -> None:
    for name in (
        "oom_results_28-Jan-2026_10-00-00-EST.html",
        "oom_results_02-Feb-2026_09-00-00-EST.html",
        "oom_results_31-Dec-2025_23-00-00-EST.html",
        "oom_results_copy_of_mine.html",
        "oom_results_02-Feb-2026_09-00-00-EST.csv",
        "oom_results.html",
    ):
        (tmp_path / name).touch()
    (tmp_path / "oom_results_a_folder.html").mkdir()
    assert [report.name for report in list_past_reports(tmp_path)] == [
        "oom_results_02-Feb-2026_09-00-00-EST.html",
        "oom_results_28-Jan-2026_10-00-00-EST.html",
        "oom_results_31-Dec-2025_23-00-00-EST.html",
        "oom_results_copy_of_mine.html",
    ]


def test_a_folder_that_is_not_there_has_no_past_reports(tmp_path: Path) -> None:
    assert list_past_reports(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("name", "at", "zone"),
    [
        ("oom_results_13-Jan-2026_12-10-22-EST.html", datetime(2026, 1, 13, 12, 10, 22), "EST"),  # noqa: DTZ001
        ("oom_results_13-Feb-2026_11-00-00--03.html", datetime(2026, 2, 13, 11, 0), "-03"),  # noqa: DTZ001
        ("oom_results_13-Jan-2026_12-10-22-EST-2.html", datetime(2026, 1, 13, 12, 10, 22), "EST"),  # noqa: DTZ001
        ("oom_results_30-Feb-2026_12-10-22-EST.html", None, ""),
        ("oom_results_13-Foo-2026_12-10-22-EST.html", None, ""),
        ("oom_results_<script>.html", None, ""),
    ],
)
def test_a_name_tells_when_the_report_was_written(name: str, at: datetime | None, zone: str) -> None:
    report = describe_past_report(name)
    assert (report.written_at, report.zone) == (at, zone)
