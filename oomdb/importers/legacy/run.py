"""Importing surveyed files: each becomes a run, in one transaction of its own."""

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from oomdb.artifacts.local import ArtifactFolder
from oomdb.errors import ImportFileError, UsageError
from oomdb.importers.legacy.artifacts import LEGACY_ROOTS, ArtifactSearch
from oomdb.importers.legacy.csv_table import LegacyRow, LegacyTable, parse_table
from oomdb.importers.legacy.reading import read_file
from oomdb.importers.legacy.rows import ReadRow, read_rows
from oomdb.importers.legacy.survey import NewFile, Survey
from oomdb.model import Artifact, ScanStatus
from oomdb.store.database import Store
from oomdb.store.imports import ImportedRun, RowsBefore, SourceFile, record_import
from oomdb.timespan import parse_span


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """How artifacts are found; see `ArtifactSearch`."""

    output_dir: Path
    artifact_dirs: Sequence[Path] = ()
    legacy_roots: Sequence[Path] = LEGACY_ROOTS
    copy_to: ArtifactFolder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """What became of one file; `failed` says why nothing of it was stored, '' otherwise.

    `run_id` is None where nothing was to be written, and where another process was faster.
    """

    new: NewFile
    failed: str = ""
    run_id: int | None = None
    rows: int = 0
    bad_rows: int = 0
    new_occurrences: int | None = None
    artifacts: int = 0
    missing_artifacts: int = 0
    notes: tuple[str, ...] = ()


def import_surveyed(store: Store | None, found: Survey, request: ImportRequest) -> Iterator[ImportedFile]:
    """Import the new files of a survey one after the other, oldest run first; without a store, read them only.

    Raises:
        ArtifactError: if an artifact cannot be copied; what was imported before stays.
        StoreError: if the database cannot be written; what was imported before stays.
    """
    searches: dict[Path, ArtifactSearch] = {}
    before = RowsBefore()
    for new in found.new:
        folder = new.file.folder
        if folder not in searches:
            searches[folder] = ArtifactSearch(
                folder, request.output_dir, request.artifact_dirs, request.legacy_roots, request.copy_to
            )
        yield _import_one(store, new, found.clusters[folder], searches[folder], before)


def _import_one(
    store: Store | None, new: NewFile, clusters: frozenset[str], search: ArtifactSearch, before: RowsBefore
) -> ImportedFile:
    try:
        table = _read_again(new)
    except ImportFileError as err:
        return ImportedFile(new=new, failed=str(err))
    read = read_rows(table.rows)
    notes = (*new.notes, *_iter_notes(table, read))
    told = ImportedFile(new=new, rows=len(read), bad_rows=len(table.bad_rows), notes=notes)
    if store is None:
        return told
    artifacts, missing = _find_artifacts(table.rows, search, new.run.at)
    run = _build_run(new, table, read, clusters, artifacts)
    recorded = record_import(store, run, before)
    if recorded is None:
        return replace(told, notes=(*notes, "its run is stored already"))
    return replace(
        told,
        run_id=recorded.run_id,
        new_occurrences=recorded.new_occurrences,
        artifacts=sum(it.status != "error" for _, it in artifacts),
        missing_artifacts=missing + sum(it.status == "error" for _, it in artifacts),
    )


def _read_again(new: NewFile) -> LegacyTable:
    read = read_file(new.file.path)
    if hashlib.sha256(read.data).hexdigest() != new.sha256:
        raise ImportFileError("changed while it was imported: import it again when its writer is done.")
    return parse_table(read.data)


def _iter_notes(table: LegacyTable, read: Iterable[ReadRow]) -> Iterator[str]:
    for bad in table.bad_rows:
        yield f"line {bad.line}: {bad.reason}; the row was left out"
    for row in read:
        if row.unread:
            yield f"line {row.line}: no time: {', '.join(map(repr, row.unread))}; the row was kept without it"


def _find_artifacts(
    rows: Iterable[LegacyRow], search: ArtifactSearch, run_at: datetime
) -> tuple[list[tuple[str, Artifact]], int]:
    """Return the artifacts of the rows' pods, each once, and how many are gone: a pod's rows name the same files."""
    found: dict[tuple[str, str, str, str], tuple[str, Artifact]] = {}
    gone = 0
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        named = (row.cluster, row.namespace, row.pod, row.description_file, row.pod_log_file)
        if named in seen:
            continue
        seen.add(named)
        for artifact in search.find(row, captured_at=run_at):
            if artifact is None:
                gone += 1
                continue
            key = (row.cluster, row.namespace, row.pod, artifact.kind)
            if key not in found or found[key][1].status == "error":
                found[key] = (row.cluster, artifact)
    return list(found.values()), gone


def _build_run(
    new: NewFile,
    table: LegacyTable,
    read: Sequence[ReadRow],
    clusters: frozenset[str],
    artifacts: Sequence[tuple[str, Artifact]],
) -> ImportedRun:
    # a folder's name need not be UTF-8
    path = str(new.file.path.absolute()).encode("utf-8", "backslashreplace").decode()
    time_range, lookback = _find_time_range(new, table.rows)
    return ImportedRun(
        file=SourceFile(
            path=path,
            sha256=new.sha256,
            modified_at=new.modified_at,
            rows=len(table.rows),
            bad_rows=len(table.bad_rows),
            time_evidence=new.run.evidence,
        ),
        run_at=new.run.at,
        time_range=time_range,
        lookback=lookback,
        tool_version=table.layout,
        arguments=shlex.join(["oomdb", "import", path]),
        clusters=_judge_clusters(new, read, clusters),
        rows=[it.row for it in read],
        artifacts=artifacts,
    )


def _judge_clusters(new: NewFile, read: Iterable[ReadRow], known: Iterable[str]) -> Mapping[str, ScanStatus]:
    """Return each known cluster as read, where the run shows it, and as unknown elsewhere: no row is not zero."""
    reached = {it.row.cluster for it in read} | (new.reach.clusters if new.reach else frozenset())
    return {name: "complete" if name in reached else "unknown" for name in sorted({*known, *reached})}


def _find_time_range(new: NewFile, rows: Sequence[LegacyRow]) -> tuple[str, timedelta]:
    """Return the time range as it was typed, and its length; nothing where the run had none or told none."""
    told = [row.time_range for row in rows if row.time_range.strip()] or [new.reach.time_range if new.reach else ""]
    text = told[0].strip()
    try:
        return text, parse_span(text)
    except UsageError:
        return text, timedelta()
