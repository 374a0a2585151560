"""Looking at all files before anything is written: which are new, when their runs were, which clusters there are."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from oomdb.errors import ImportFileError
from oomdb.importers.legacy.csv_table import skim_table
from oomdb.importers.legacy.files import LegacyFile, leads_outside
from oomdb.importers.legacy.reach import LegacyReach, read_reach
from oomdb.importers.legacy.reading import ReadFile, read_file
from oomdb.importers.legacy.run_times import RunTime, Traces, date_runs, find_stamp, have_lost_times
from oomdb.store.imports import KnownFile

Known = Mapping[str, Sequence[KnownFile]]  # by SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file whose run is not stored yet; `reach` is None where no JSON tells which clusters were reached."""

    file: LegacyFile
    sha256: str
    modified_at: datetime
    run: RunTime
    reach: LegacyReach | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file of which nothing is to be imported, and why."""

    file: LegacyFile
    state: Literal["known", "export", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be imported, oldest run first, and what is not; `clusters` are those that a folder's runs know."""

    new: tuple[NewFile, ...]
    others: tuple[OtherFile, ...]
    clusters: Mapping[Path, frozenset[str]]
    warnings: tuple[str, ...]


def survey(
    files: Iterable[LegacyFile],
    known: Known,
    *,
    now: datetime,
    find_clusters: Callable[[Iterable[int]], set[str]],
    looked_at: Callable[[], None] = lambda: None,
) -> Survey:
    """Read the files as far as it needs to say what they are; what cannot be read is among the others.

    Args:
        files: as `list_legacy_files` gives them.
        known: what the store knows.
        now: no run was later.
        find_clusters: gives the clusters of stored runs, by their numbers.
        looked_at: called after each file.
    """
    folders: defaultdict[Path, _Folder] = defaultdict(_Folder)
    first: dict[str, LegacyFile] = {}  # by SHA-256
    for file in files:
        folders[file.folder].look_at(file, known, first, now)
        looked_at()
    return Survey(
        new=tuple(sorted((it for of in folders.values() for it in of.list_new()), key=_age)),
        others=tuple(it for of in folders.values() for it in of.others),
        clusters={
            path: frozenset(of.clusters | find_clusters(of.run_ids)) for path, of in folders.items() if of.looked
        },
        warnings=tuple(it for path, of in folders.items() for it in of.list_warnings(path)),
    )


def _age(new: NewFile) -> tuple[datetime, str]:
    return new.run.at, str(new.file.path)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A new file, before the folder's other files tell when it was."""

    file: LegacyFile
    sha256: str
    traces: Traces
    reach: LegacyReach | None
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Folder:
    """The files of one folder, looked at one after the other."""

    looked: list[_Looked] = field(default_factory=list)
    others: list[OtherFile] = field(default_factory=list)
    settled: list[Traces] = field(default_factory=list)  # of files whose runs are stored
    clusters: set[str] = field(default_factory=set)
    run_ids: set[int] = field(default_factory=set)

    def look_at(self, file: LegacyFile, known: Known, first: dict[str, LegacyFile], now: datetime) -> None:
        try:
            if leads_outside(file.path, file.folder):
                raise ImportFileError("a symlink that leads out of its folder: name the file that it leads to.")
            read = read_file(file.path)
            sha256 = hashlib.sha256(read.data).hexdigest()
            same = next(
                (it for it in known.get(sha256, ()) if it.is_file(str(file.path.absolute()), read.modified_at)), None
            )
            if same is not None:
                self._settle(file, same, read.modified_at)
            elif sha256 in first:
                self.others.append(OtherFile(file, "known", f"the same as {first[sha256].path}"))
            elif self._look_into(file, read, sha256, now):
                first[sha256] = file
        except ImportFileError as err:
            self.others.append(OtherFile(file, "failed", str(err)))

    def _settle(self, file: LegacyFile, same: KnownFile, modified_at: datetime) -> None:
        if same.kind == "export":
            self.others.append(OtherFile(file, "export", "oomdb wrote it itself"))
            return
        self.others.append(OtherFile(file, "known", f"imported before, as run {same.run_id}"))
        self.settled.append(Traces(name=file.path.name, layout="", modified_at=modified_at, stamped_at=same.run_at))
        if same.run_id is not None:
            self.run_ids.add(same.run_id)

    def _look_into(self, file: LegacyFile, read: ReadFile, sha256: str, now: datetime) -> bool:
        """Note what a new file tells; return whether another one with its contents would tell the same."""
        table = skim_table(read.data)
        notes = list(table.notes)
        reach = _read_reach_of(file, notes)
        traces = Traces(
            name=file.path.name,
            layout=table.layout,
            modified_at=read.modified_at,
            stamped_at=find_stamp("\n".join(table.artifact_names), now=now),
        )
        self.clusters |= table.clusters
        self.clusters.update(reach.clusters if reach else ())
        self.looked.append(_Looked(file, sha256, traces, reach, tuple(notes)))
        return table.has_rows  # those that have none all have the same contents

    def list_new(self) -> list[NewFile]:
        traces = [it.traces for it in self.looked]
        times = date_runs([*traces, *self.settled], times_lost=self._have_lost_times())
        return [
            NewFile(
                file=it.file,
                sha256=it.sha256,
                modified_at=it.traces.modified_at,
                run=run,
                reach=it.reach,
                notes=it.notes,
            )
            for it, run in zip(self.looked, times, strict=False)
        ]

    def list_warnings(self, path: Path) -> Iterable[str]:
        if not self.looked or not self._have_lost_times():
            return
        badly_dated = [it.file.path.name for it in self.list_new() if it.run.evidence == "mtime"]
        yield (
            f"{path}: its {len(self.looked) + len(self.settled)} files share one minute of modification "
            f"({self.looked[0].traces.modified_at:%Y-%m-%d %H:%M} UTC): they were copied without their times, which "
            f"`cp -p`, `rsync -t` and tar keep. "
            + (
                f"{len(badly_dated)} can be dated by nothing else: {', '.join(badly_dated)}."
                if badly_dated
                else "All can be dated by their artifacts or names."
            )
        )

    def _have_lost_times(self) -> bool:
        return have_lost_times([it.modified_at for it in (*(looked.traces for looked in self.looked), *self.settled)])


def _read_reach_of(file: LegacyFile, notes: list[str]) -> LegacyReach | None:
    if file.json_path is None:
        return None
    try:
        if leads_outside(file.json_path, file.folder):
            raise ImportFileError("a symlink that leads out of its folder")
        return read_reach(file.json_path)
    except ImportFileError as err:
        notes.append(f"{file.json_path.name} was not used: {err}")
        return None
