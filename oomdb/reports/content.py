"""What the exports of a run say, ready to be rendered: prepared once, the same for every format."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oomdb.artifacts.local import ArtifactFolder
from oomdb.errors import ArtifactError
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.exports import ExportRow, Selection, list_export_rows, select_run
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
    """A run and its rows: OOMKilled first, then CrashLoopBackOff, then other types; in a type by place and pod."""

    rows: tuple[ReportRow, ...]

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


def build_content(store: Store, wanted: Literal["latest"] | int, *, output_dir: Path) -> ReportContent:
    """Read what a run's exports say.

    Args:
        wanted: a run's number, or the latest one.
        output_dir: the folder against which artifact paths are made absolute.

    Raises:
        UsageError: if there is no such run, or nothing to report in it.
    """
    with store.reading() as conn:
        selection = select_run(conn, wanted)
        rows = list_export_rows(conn, selection.run)
    folder = ArtifactFolder(output_dir)
    return ReportContent(
        run=selection.run,
        clusters=selection.clusters,
        newer_of_other_scope=selection.newer_of_other_scope,
        newer_unread=selection.newer_unread,
        rows=tuple(_build_row(row, folder) for row in sorted(rows, key=_order)),
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
