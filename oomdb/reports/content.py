"""What the exports of a run say, ready to be rendered: prepared once, the same for every format."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Literal

from oomdb.artifacts.local import ArtifactFolder
from oomdb.errors import ArtifactError
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.changes import Changes, read_changes
from oomdb.queries.exports import ExportRow, Selection, list_export_rows, select_run
from oomdb.queries.series import Series, read_series
from oomdb.reports.backups import PastReport, list_past_reports
from oomdb.reports.wishes import DEFAULT_WISHES, ReportWishes
from oomdb.store.database import Store

_TYPES_FIRST = (OOM_KILLED, CRASH_LOOP_BACK_OFF)

COLUMNS = (
    "cluster",
    "namespace",
    "pod",
    "type",
    "application",
    "component",
    "timestamps",
    "sources",
    "description_file",
    "pod_log_file",
    "time_range",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One row, as all formats print it; artifact paths are absolute, '' where there is none."""

    cluster: str
    namespace: str
    pod: str
    type: str
    application: str
    component: str
    timestamps: tuple[str, ...]
    sources: tuple[str, ...]
    description_file: str
    pod_log_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent(Selection):
    """A run and its rows: OOMKilled first, then CrashLoopBackOff, then other types; in a type by place and pod.

    Attributes:
        rows: what the run found.
        missing_files: paths in the rows at which no file lies any more.
        series: the runs up to this one, for the charts.
        changes: what is other than before.
        past_reports: reports of earlier times in the output folder, newest first.
        folder: the output folder, to which links are relative.
        generated_at: when this content was built.
        wishes: what people chose of the page.
        zone: people's time zone, None: the system's.
    """

    rows: tuple[ReportRow, ...]
    missing_files: frozenset[str]
    series: Series
    changes: Changes
    past_reports: tuple[PastReport, ...]
    folder: Path
    generated_at: datetime
    wishes: ReportWishes
    zone: tzinfo | None

    def cells(self) -> list[tuple[str, ...]]:
        """Return the rows as texts, in the order of COLUMNS."""
        return [
            (
                row.cluster,
                row.namespace,
                row.pod,
                row.type,
                row.application,
                row.component,
                ";".join(row.timestamps),
                ";".join(row.sources),
                row.description_file,
                row.pod_log_file,
                self.run.time_range,
            )
            for row in self.rows
        ]


def build_content(
    store: Store,
    wanted: Literal["latest"] | int,
    *,
    output_dir: Path,
    wishes: ReportWishes = DEFAULT_WISHES,
    zone: tzinfo | None = None,
    generated_at: datetime | None = None,
) -> ReportContent:
    """Read what a run's exports say.

    Args:
        store: where the runs are.
        wanted: a run's number, or the latest one.
        output_dir: the folder against which artifact paths are made absolute, and in which past reports lie.
        wishes: what people chose of the page.
        zone: people's time zone, None: the system's.
        generated_at: when this is said to be; None: now.

    Raises:
        UsageError: if there is no such run, or nothing to report in it.
    """
    with store.reading() as conn:
        selection = select_run(conn, wanted)
        found = list_export_rows(conn, selection.run)
        series = read_series(conn, selection.run, wishes.plot_range)
        changes = read_changes(conn, selection.run)
    artifacts = ArtifactFolder(output_dir)
    rows = tuple(_build_row(row, artifacts) for row in sorted(found, key=_order))
    return ReportContent(
        run=selection.run,
        clusters=selection.clusters,
        newer_of_other_scope=selection.newer_of_other_scope,
        newer_unread=selection.newer_unread,
        rows=rows,
        missing_files=_find_missing(rows),
        series=series,
        changes=changes,
        past_reports=list_past_reports(output_dir),
        folder=Path(os.path.abspath(output_dir)),  # noqa: PTH100  # symlinks stay: they may be moved
        generated_at=generated_at or datetime.now(UTC),
        wishes=wishes,
        zone=zone,
    )


def order_types(types: Sequence[str]) -> list[str]:
    """Return types in the order in which they are shown: OOMKilled, CrashLoopBackOff, then others by name."""
    return sorted(types, key=_type_order)


def _order(row: ExportRow) -> tuple[tuple[int, str], str, str, str]:
    return _type_order(row.type), row.cluster, row.namespace, row.pod


def _type_order(type_: str) -> tuple[int, str]:
    return (_TYPES_FIRST.index(type_) if type_ in _TYPES_FIRST else len(_TYPES_FIRST), type_)


def _build_row(row: ExportRow, folder: ArtifactFolder) -> ReportRow:
    return ReportRow(
        cluster=row.cluster,
        namespace=row.namespace,
        pod=row.pod,
        type=row.type,
        application=row.application,
        component=row.component,
        timestamps=row.timestamps,
        sources=row.sources,
        description_file=_absolute(folder, row.description),
        pod_log_file=_absolute(folder, row.log),
    )


def _absolute(folder: ArtifactFolder, path: str) -> str:
    try:
        return folder.absolute(path)
    except ArtifactError:
        return ""  # it leads out of the folder: no artifact of ours, and nobody shall open it


def _find_missing(rows: Iterable[ReportRow]) -> frozenset[str]:
    paths = {path for row in rows for path in (row.description_file, row.pod_log_file) if path}
    return frozenset(path for path in paths if not os.path.isfile(path))  # noqa: PTH113  # thousands: Path is slow
