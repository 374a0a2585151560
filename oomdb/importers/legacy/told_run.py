"""What one file tells of its run: read once, and kept as small as it can be until its run is stored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from oomdb.errors import ImportFileError
from oomdb.importers.legacy.artifacts import ArtifactSearch
from oomdb.importers.legacy.csv_table import LegacyRow, LegacyTable, parse_table
from oomdb.importers.legacy.files import LegacyFile, leads_outside
from oomdb.importers.legacy.reach import LegacyReach, read_reach
from oomdb.importers.legacy.reading import FileState, ReadFile, read_file
from oomdb.importers.legacy.rows import ReadRow, read_rows
from oomdb.importers.legacy.run_times import find_stamp, lies_ahead
from oomdb.store.import_folding import ImportedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRun:
    """What a file, and the JSON beside it, tell of their run.

    Attributes:
        file: where it lies.
        sha256: of its contents.
        state: of the file when it was read.
        modified_at: when it was changed last.
        layout: legacy-8, legacy-9 or legacy-11.
        rows: one per (cluster, namespace, pod, type); equal ones of several files are one object.
        row_count: of the rows that it has.
        bad_row_count: of those that tell nothing that could be kept.
        time_range: as it was typed, '' where nothing tells it.
        stamped_at: the latest stamp of its artifacts' names, None for none.
        with_artifacts: those rows, once for each pod, of which an artifact may be there.
        missing_artifact_count: of the artifacts that are gone.
        json_sha256: of the contents of the JSON, '' where none is used.
        exported_run_at: when the run was, where oomdb itself exported the files.
        clusters: those that it reached: with rows, or in the JSON.
        notes: what there is to say of it.
    """

    file: LegacyFile
    sha256: str
    state: FileState
    modified_at: datetime
    layout: str
    rows: tuple[ImportedRow, ...]
    row_count: int
    bad_row_count: int
    time_range: str
    stamped_at: datetime | None
    with_artifacts: tuple[LegacyRow, ...]
    missing_artifact_count: int
    json_sha256: str
    exported_run_at: datetime | None
    clusters: frozenset[str]
    notes: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether it has a header and nothing else: all of these have the same contents."""
        return not self.row_count and not self.bad_row_count


def read_content(file: LegacyFile) -> ReadFile:
    """Read a file.

    Raises:
        ImportFileError: if it cannot be read, or a symlink leads out of its folder.
    """
    if leads_outside(file.path, file.folder):
        raise ImportFileError("a symlink that leads out of its folder: name the file that it leads to.")
    return read_file(file.path)


def read_run(file: LegacyFile, content: ReadFile, search: ArtifactSearch, *, now: datetime) -> ToldRun:
    """Return what a file tells.

    Args:
        file: where it lies.
        content: what is in it.
        search: looks for its artifacts.
        now: no run was later.

    Raises:
        ImportFileError: with the line and the reason, if it is no table of the legacy script.
    """
    table = parse_table(content.data)
    shown = frozenset({row.cluster for row in table.rows})
    reach, problems = _read_reach_of(file, shown)
    read = read_rows(table.rows)
    with_artifacts, missing = _split_by_artifacts(table.rows, search)
    names = "\n".join(f"{row.description_file}\n{row.pod_log_file}" for row in table.rows)
    exported_run_at = reach.exported_run_at if reach else None
    time_ranges = (row.time_range for row in table.rows if row.time_range)
    return ToldRun(
        file=file,
        sha256=content.sha256,
        state=content.state,
        modified_at=content.modified_at,
        layout=table.layout,
        rows=tuple(it.row for it in read),
        row_count=len(table.rows),
        bad_row_count=len(table.bad_rows),
        time_range=next(time_ranges, reach.time_range if reach else ""),
        stamped_at=find_stamp(names, now=now),
        with_artifacts=with_artifacts,
        missing_artifact_count=missing,
        json_sha256=reach.sha256 if reach else "",
        exported_run_at=exported_run_at if exported_run_at and not lies_ahead(exported_run_at, now) else None,
        clusters=shown | (reach.clusters if reach else frozenset()),
        notes=(*table.notes, *problems, *_iter_notes(table, read)),
    )


def _read_reach_of(file: LegacyFile, shown: frozenset[str]) -> tuple[LegacyReach | None, tuple[str, ...]]:
    """Return what the JSON adds, or why it was not used: it must name the clusters that the CSV shows."""
    path = file.json_path
    if path is None:
        return None, ()
    try:
        if leads_outside(path, file.folder):
            raise ImportFileError("a symlink that leads out of its folder")
        reach = read_reach(path)
        foreign = sorted(shown - reach.clusters)
        if foreign:
            raise ImportFileError(f"it does not name the cluster {foreign[0]!r} of the CSV: it is of another run")
        return reach, ()
    except ImportFileError as err:
        return None, (f"{path.name} was not used: {err}",)


def _split_by_artifacts(rows: Iterable[LegacyRow], search: ArtifactSearch) -> tuple[tuple[LegacyRow, ...], int]:
    """Return the rows of which an artifact may be there, and how many are gone: a pod's rows name the same files."""
    found: list[LegacyRow] = []
    missing = 0
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        named = (row.cluster, row.namespace, row.pod, row.description_file, row.pod_log_file)
        if named in seen:
            continue
        seen.add(named)
        paths = [path for path in named[3:] if path]
        gone = sum(search.is_gone(row.cluster, path) for path in paths)
        missing += gone
        if gone < len(paths):
            found.append(row)
    return tuple(found), missing


def _iter_notes(table: LegacyTable, read: Iterable[ReadRow]) -> Iterator[str]:
    for bad in table.bad_rows:
        yield f"line {bad.line}: {bad.reason}; the row was left out"
    for row in read:
        if row.unread:
            yield f"line {row.line}: no time: {', '.join(map(repr, row.unread))}; the row was kept without it"
