"""Contents of a report, built from what a test is about; no database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from oomdb.queries.changes import Changes
from oomdb.queries.exports import ClusterCoverage
from oomdb.queries.selection import Run
from oomdb.queries.series import RunPoint, Series
from oomdb.reports.backups import PastReport
from oomdb.reports.content import ReportContent, ReportRow
from oomdb.reports.wishes import DEFAULT_WISHES, ReportWishes

AT = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
FOLDER = Path("/srv/reports")
RUN = Run(id=42, started_at=AT, status="complete", origin="collect", scope="all", time_range="1d")
NOTHING_CHANGED = Changes(
    previous=None,
    appeared=(),
    gone=(),
    not_comparable=(),
    partly_comparable=(),
    movers=(),
    movers_left=0,
    movers_unknown=(),
    dark=(),
)


def content(
    *rows: ReportRow,
    clusters: Sequence[ClusterCoverage] = (),
    run: Run = RUN,
    points: Sequence[RunPoint] = (),
    changes: Changes = NOTHING_CHANGED,
    missing_files: Sequence[str] = (),
    past_reports: Sequence[PastReport] = (),
    newer_unread: Run | None = None,
    generated_at: datetime = AT,
    wishes: ReportWishes = DEFAULT_WISHES,
) -> ReportContent:
    """Return a content of people in UTC, of which only what is given is not empty."""
    return ReportContent(
        run=run,
        clusters=tuple(clusters),
        newer_of_other_scope=None,
        newer_unread=newer_unread,
        rows=rows,
        missing_files=frozenset(missing_files),
        series=series(*points),
        changes=changes,
        past_reports=tuple(past_reports),
        folder=FOLDER,
        generated_at=generated_at,
        wishes=wishes,
        zone=UTC,
    )


def row(
    *, timestamps: Sequence[str] = ("2026-03-04T06:17:44Z",), sources: Sequence[str] = ("oc_get_pods",), **given: str
) -> ReportRow:
    """Return a row; what is not given is that of one kill of shop-1."""
    values = {
        "cluster": "c1",
        "namespace": "shop-tenant",
        "pod": "shop-1",
        "type": "OOMKilled",
        "application": "",
        "component": "",
        "description_file": "",
        "pod_log_file": "",
    }
    return ReportRow(**(values | given), timestamps=tuple(timestamps), sources=tuple(sources))


def point(
    number: int,
    rows: Mapping[tuple[str, str], int] | None = None,
    *,
    at: datetime | None = None,
    statuses: Mapping[str, str] | None = None,
    origin: str = "collect",
    version: str = "1.0",
) -> RunPoint:
    """Return a run's point; runs follow each other by eight hours, and read c1 as a whole."""
    return RunPoint(
        run_id=number,
        started_at=at or AT + timedelta(hours=8) * (number - 42),
        origin=origin,
        tool_version=version,
        statuses={"c1": "complete"} if statuses is None else statuses,
        rows=rows or {},
    )


def series(*points: RunPoint) -> Series:
    """Return a series of these runs."""
    return Series(since=AT - timedelta(days=60), until=AT, points=points)
