"""Importing surveyed files: each becomes a run, in one transaction of its own."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from oomdb.artifacts.local import ArtifactFolder
from oomdb.errors import UsageError
from oomdb.importers.legacy.artifacts import LEGACY_ROOTS, ArtifactSearch
from oomdb.importers.legacy.collector import looking_for_cycles_rarely
from oomdb.importers.legacy.csv_table import LegacyRow
from oomdb.importers.legacy.reading import has_changed
from oomdb.importers.legacy.survey import NewFile, Survey
from oomdb.model import Artifact, ScanStatus
from oomdb.store.database import Store
from oomdb.store.imports import ImportedRun, record_import
from oomdb.store.known_files import SourceFile
from oomdb.store.rows_before import RowsBefore
from oomdb.timespan import parse_span


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """How artifacts are found; see `ArtifactSearch`."""

    output_dir: Path
    artifact_dirs: Sequence[Path] = ()
    legacy_roots: Sequence[Path] = LEGACY_ROOTS
    copy_to: ArtifactFolder | None = None

    def search_in(self, folder: Path) -> ArtifactSearch:
        """Return what looks for the artifacts of a folder's runs."""
        return ArtifactSearch(folder, self.output_dir, self.artifact_dirs, self.legacy_roots, self.copy_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """What became of one file.

    Attributes:
        new: the file.
        failed: why nothing of it was stored, '' otherwise.
        run_id: the run that it became; None where nothing was to be written, or its run is stored already.
        is_stored_already: its run is: by another process, or from a file with the same rows.
        rows: in it.
        bad_rows: those that could not be kept.
        new_occurrences: kills and loops that were not stored yet; None where nothing was written.
        artifacts: that were found.
        missing_artifacts: that were not.
        notes: what there is to say of it.
    """

    new: NewFile
    failed: str = ""
    run_id: int | None = None
    is_stored_already: bool = False
    rows: int = 0
    bad_rows: int = 0
    new_occurrences: int | None = None
    artifacts: int = 0
    missing_artifacts: int = 0
    notes: tuple[str, ...] = ()


def import_surveyed(store: Store | None, found: Survey) -> Iterator[ImportedFile]:
    """Import the new files of a survey one after the other, oldest run first; without a store, say what they tell.

    Raises:
        ArtifactError: if an artifact cannot be copied; what was imported before stays.
        StoreError: if the database cannot be written; what was imported before stays.
    """
    before = RowsBefore()
    with looking_for_cycles_rarely():
        for new in found.new:
            folder = new.file.folder
            yield _import_one(store, new, found.clusters[folder], found.searches[folder], before)


def _import_one(
    store: Store | None, new: NewFile, clusters: frozenset[str], search: ArtifactSearch, before: RowsBefore
) -> ImportedFile:
    told = new.told
    if has_changed(told.file.path, told.state):
        return ImportedFile(new=new, failed="changed while it was imported: import it again when its writer is done.")
    imported = ImportedFile(new=new, rows=len(told.rows), bad_rows=told.bad_row_count, notes=told.notes)
    if store is None:
        return imported
    artifacts = _find_artifacts(told.with_artifacts, search, new.run.at)
    recorded = record_import(store, _build_run(new, clusters, artifacts), before)
    if not recorded.is_new:
        added = f"; {recorded.added_artifacts} artifacts were added to it" if recorded.added_artifacts else ""
        note = f"its run is stored already, as run {recorded.run_id}{added}"
        return replace(imported, is_stored_already=True, artifacts=recorded.added_artifacts, notes=(note,))
    if recorded.other_run_id is not None:
        note = f"run {recorded.other_run_id} of the same moment tells something else: both are stored"
        imported = replace(imported, notes=(*imported.notes, note))
    return replace(
        imported,
        run_id=recorded.run_id,
        new_occurrences=recorded.new_occurrences,
        artifacts=sum(it.status != "error" for _, it in artifacts),
        missing_artifacts=told.missing_artifact_count + sum(it.status == "error" for _, it in artifacts),
    )


def _find_artifacts(rows: Iterable[LegacyRow], search: ArtifactSearch, run_at: datetime) -> list[tuple[str, Artifact]]:
    """Return the artifacts of the rows' pods, each once."""
    found: dict[tuple[str, str, str, str], tuple[str, Artifact]] = {}
    for row in rows:
        for artifact in search.find(row, captured_at=run_at):
            key = (row.cluster, row.namespace, row.pod, artifact.kind)
            if key not in found or found[key][1].status == "error":
                found[key] = (row.cluster, artifact)
    return list(found.values())


def _build_run(new: NewFile, clusters: frozenset[str], artifacts: Sequence[tuple[str, Artifact]]) -> ImportedRun:
    told = new.told
    # a folder's name need not be UTF-8
    path = str(told.file.path.absolute()).encode("utf-8", "backslashreplace").decode()
    return ImportedRun(
        file=SourceFile(
            path=path,
            sha256=told.sha256,
            modified_at=told.modified_at,
            rows=told.row_count,
            bad_rows=told.bad_row_count,
            time_evidence=new.run.evidence,
        ),
        run_at=new.run.at,
        time_range=told.time_range,
        lookback=_find_lookback(told.time_range),
        tool_version=told.layout,
        arguments=shlex.join(["oomdb", "import", path]),
        clusters=_judge_clusters(told.clusters, clusters),
        rows=told.rows,
        artifacts=artifacts,
    )


def _judge_clusters(reached: frozenset[str], known: frozenset[str]) -> Mapping[str, ScanStatus]:
    """Return each known cluster as read, where the run shows it, and as unknown elsewhere: no row is not zero."""
    return {name: "complete" if name in reached else "unknown" for name in sorted(known | reached)}


def _find_lookback(time_range: str) -> timedelta:
    """Return the length of a time range; nothing where the run had none or told none."""
    try:
        return parse_span(time_range)
    except UsageError:
        return timedelta()
