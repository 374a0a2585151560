"""Moving the artifacts of a legacy output folder into it: files, database, results that name them, in that order.

Killed at any moment, nothing is lost and nothing names what is not there: files are copied before anything names their
new place, and removed from the old one when everything does. Done again, it goes on where it was.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from oomdb.artifacts.local import ARTIFACTS_FOLDER
from oomdb.errors import ImportFileError
from oomdb.importers.foreign_files import descend, look_at, read_file
from oomdb.importers.relocation.places import Move, copy_to_target, plan_move, remove_sources, write_aside
from oomdb.importers.relocation.references import Reference, exchange_paths, iter_paths, parse_reference
from oomdb.store.artifact_paths import (
    FoundArtifact,
    count_lost_artifacts,
    list_lost_paths,
    note_rewritten,
    repair_artifacts,
)
from oomdb.store.database import Store

# root as rows spell it → where it is
LEGACY_ROOTS: Mapping[str, Path] = {
    "/private/tmp": Path("/private/tmp"),
    "/tmp": Path("/tmp"),  # noqa: S108  # not ours: the legacy script's
}
_RESULTS = ("oom_results*.csv", "oom_results*.json", "oom_results*.html")


@dataclass(slots=True, kw_only=True)
class Migration:
    """What a migration did, or in a dry run would do."""

    moves: list[Move] = field(default_factory=list)
    rewritten: list[Path] = field(default_factory=list)
    repaired_records: int = 0
    removed_sources: int = 0
    failures: list[str] = field(default_factory=list)  # what else could not be done, and why

    @property
    def is_clean(self) -> bool:
        """Tell whether everything that is there was moved; what is missing is nobody's fault."""
        return not self.failures and all(move.is_settled or move.state == "missing" for move in self.moves)


def migrate_artifacts(
    output_dir: Path,
    store: Store | None,
    *,
    roots: Mapping[str, Path] = LEGACY_ROOTS,
    dry_run: bool = False,
    file_mode: int = 0o640,
    folder_mode: int = 0o750,
) -> Migration:
    """Move the artifacts that results and database name below `roots` into the output folder, and repair the paths.

    A file is moved only if a row names it, under a name of the legacy script, and no symlink leads to it. Results keep
    their times, from which runs are dated, and every byte but the paths'.

    Args:
        output_dir: the folder of the results.
        store: the database; None where there is none.
        roots: what the legacy script wrote to, as rows spell it, and where that is.
        dry_run: look at everything, change nothing.
        file_mode: of the files at their new place.
        folder_mode: of folders that are made.

    Raises:
        ImportFileError: if the output folder cannot be read.
        StoreError: if the database cannot be read or written.
    """
    if not output_dir.is_dir():
        raise ImportFileError(f"'{output_dir}' is no folder; name the legacy output folder with --output-dir.")
    work = _Work(Path(os.path.abspath(output_dir)), store, roots, Migration())  # noqa: PTH100  # symlinks stay
    results = work.list_results()
    work.plan(results)
    if not dry_run:
        work.copy(file_mode=file_mode, folder_mode=folder_mode)
    work.repair(results, dry_run=dry_run)
    return work.done


@dataclass(slots=True)
class _Work:
    output_dir: Path
    store: Store | None
    roots: Mapping[str, Path]
    done: Migration

    @property
    def artifacts(self) -> Path:
        return self.output_dir / ARTIFACTS_FOLDER

    def list_results(self) -> list[Path]:
        """Return the results in which artifacts may be named."""
        found = sorted(path for pattern in _RESULTS for path in self.output_dir.glob(pattern))
        for path in found:
            if look_at(path) != "file":
                self.done.failures.append(f"'{path}' is a symlink, or no ordinary file: it was left alone.")
        return [path for path in found if look_at(path) == "file"]

    def plan(self, results: Sequence[Path]) -> None:
        """Find what is named, where it lies, and what there is to do."""
        named = {reference for path in results for reference in self._iter_references(path)}
        if self.store is not None:
            named |= {found for path in list_lost_paths(self.store) for found in self._parse(path)}
        for reference in sorted(named, key=str):
            move = self._plan_one(reference)
            # what was moved before is named by its new place, and may only have to be removed from the old one
            if reference.root in self.roots or move.sources:
                self.done.moves.append(move)

    def copy(self, *, file_mode: int, folder_mode: int) -> None:
        """Copy what is new; what cannot be written counts as not moved."""
        for number, move in enumerate(self.done.moves):
            if move.state != "new":
                continue
            try:
                copy_to_target(move, file_mode=file_mode, folder_mode=folder_mode)
            except FileExistsError:  # named by both roots, or another migration was faster
                self.done.moves[number] = self._plan_one(move.reference)
            except (OSError, ImportFileError) as err:
                why = f"'{move.target}' cannot be written: {_reason(err)}"
                self.done.moves[number] = replace(move, state="refused", why=why)

    def repair(self, results: Sequence[Path], *, dry_run: bool) -> None:
        """Exchange the paths in database and results, then remove what was copied."""
        settled = [move for move in self.done.moves if move.is_settled]
        new_paths = {str(it.reference): str(it.target) for it in settled if it.reference.root in self.roots}
        if self.store is not None and dry_run:
            planned = {str(it.reference) for it in self.done.moves if it.is_settled or it.state == "new"}
            self.done.repaired_records = count_lost_artifacts(self.store, planned)
        elif self.store is not None:
            self.done.repaired_records = repair_artifacts(self.store, self._describe(settled))
        for path in results:
            try:
                self._rewrite(path, new_paths, dry_run=dry_run)
            except (OSError, ImportFileError) as err:
                self.done.failures.append(f"'{path}' was not repaired: {_reason(err)}")
        # while a result may name old places still, they stay; the next migration ends it
        if not dry_run and not self.done.failures:
            self.done.removed_sources = sum(remove_sources(move) for move in settled)

    def _rewrite(self, path: Path, new_paths: Mapping[str, str], *, dry_run: bool) -> None:
        before = read_file(path).data
        after = exchange_paths(before, path.name, new_paths)
        if after == before:
            return
        if not dry_run:
            if self.store is not None and path.suffix == ".csv":
                # before the file changes: with either content it is one that was imported
                note_rewritten(self.store, _hash(before), _hash(after))
            _replace(path, before, after)
        self.done.rewritten.append(path)

    def _plan_one(self, reference: Reference) -> Move:
        own = self.roots.get(reference.root)
        lies_there = own is not None and descend(own, reference.cluster, reference.name) is not None
        # what its root has lost, as macOS spells /tmp in two ways, may lie below the other
        folders = (own,) if own is not None and lies_there else tuple(self.roots.values())
        return plan_move(reference, folders, self.artifacts)

    def _describe(self, settled: Iterable[Move]) -> dict[str, FoundArtifact]:
        """Return the files at their new places, by the paths by which they are named."""
        found = {}
        for move in settled:
            data = read_file(move.target).data
            relative = move.target.relative_to(self.output_dir).as_posix()
            found[str(move.reference)] = FoundArtifact(relative, len(data), _hash(data), ".failed" in move.target.name)
        return found

    def _iter_references(self, path: Path) -> Iterator[Reference]:
        """Iterate over the artifacts that a results file names, at their old places or at their new one."""
        try:
            data = read_file(path).data
        except ImportFileError as err:
            self.done.failures.append(f"'{path}' {err}")
            return
        for text in iter_paths(data, path.name):
            yield from self._parse(text)

    def _parse(self, text: str) -> Iterator[Reference]:
        for root in (*self.roots, str(self.artifacts)):
            reference = parse_reference(text, root)
            if reference is not None:
                yield reference


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _reason(err: Exception) -> str:
    return str((err.strerror if isinstance(err, OSError) else None) or err)


def _replace(path: Path, before: bytes, after: bytes) -> None:
    """Put another content in the place of a file's, at once; its mode and its times stay.

    Raises:
        ImportFileError: if somebody writes to it at the same time.
        OSError: if it cannot be written.
    """
    status = path.lstat()
    aside = path.with_name(f".{path.name}.tmp")
    aside.unlink(missing_ok=True)  # of a migration that was killed
    try:
        write_aside(aside, after, mode=status.st_mode & 0o777, modified_ns=status.st_mtime_ns)
        if read_file(path).data != before:
            raise ImportFileError("it changed meanwhile: run this again when its writer is done.")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
