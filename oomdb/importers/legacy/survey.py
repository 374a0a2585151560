"""Looking at all files before anything is written: which are new, when their runs were, which clusters there are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from oomdb.errors import ImportFileError
from oomdb.importers.legacy.artifacts import ArtifactSearch
from oomdb.importers.legacy.collector import looking_for_cycles_rarely
from oomdb.importers.legacy.files import LegacyFile
from oomdb.importers.legacy.run_times import RunTime, Traces, date_runs, find_copied
from oomdb.importers.legacy.told_run import ToldRun, read_content, read_run
from oomdb.store.known_files import KnownFile

Known = Mapping[str, Sequence[KnownFile]]  # by SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file whose run is not stored yet, what it tells, and when its run was."""

    told: ToldRun
    run: RunTime

    @property
    def file(self) -> LegacyFile:
        """Where it lies."""
        return self.told.file


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A file of which nothing is to be imported, and why."""

    file: LegacyFile
    state: Literal["known", "copy", "export", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be imported, oldest run first, and what is not.

    `clusters` are those that a folder's runs know, `searches` look for its artifacts.
    """

    new: tuple[NewFile, ...]
    others: tuple[OtherFile, ...]
    clusters: Mapping[Path, frozenset[str]]
    searches: Mapping[Path, ArtifactSearch]
    warnings: tuple[str, ...]


def survey(
    files: Iterable[LegacyFile],
    known: Known,
    *,
    now: datetime,
    search_in: Callable[[Path], ArtifactSearch],
    find_clusters: Callable[[Iterable[int]], set[str]],
    again: bool = False,
    looked_at: Callable[[], None] = lambda: None,
) -> Survey:
    """Read the files; what cannot be read is among the others.

    Args:
        files: as `list_legacy_files` gives them.
        known: what the store knows.
        now: no run was later.
        search_in: gives what looks for a folder's artifacts.
        find_clusters: gives the clusters of stored runs, by their numbers.
        again: files that were imported before are new too: for artifacts that came since.
        looked_at: called after each file.
    """
    folders: dict[Path, _Folder] = {}
    first: dict[str, LegacyFile] = {}  # by SHA-256
    with looking_for_cycles_rarely():
        for file in files:
            if file.folder not in folders:
                folders[file.folder] = _Folder(search_in(file.folder))
            folders[file.folder].look_at(file, known, first, now, again=again)
            looked_at()
    return Survey(
        new=tuple(sorted((it for of in folders.values() for it in of.list_new(now)), key=_age)),
        others=tuple(it for of in folders.values() for it in of.others),
        clusters={path: frozenset(of.clusters | find_clusters(of.run_ids)) for path, of in folders.items() if of.told},
        searches={path: of.search for path, of in folders.items()},
        warnings=tuple(it for path, of in folders.items() for it in of.list_warnings(path, now)),
    )


def _age(new: NewFile) -> tuple[datetime, str]:
    return new.run.at, str(new.file.path)


@dataclass(slots=True)
class _Folder:
    """The files of one folder, looked at one after the other."""

    search: ArtifactSearch
    told: list[ToldRun] = field(default_factory=list)  # of new files
    others: list[OtherFile] = field(default_factory=list)
    settled: list[Traces] = field(default_factory=list)  # of files whose runs are stored
    clusters: set[str] = field(default_factory=set)
    run_ids: set[int] = field(default_factory=set)

    def look_at(
        self, file: LegacyFile, known: Known, first: dict[str, LegacyFile], now: datetime, *, again: bool
    ) -> None:
        try:
            content = read_content(file)
            sha256, modified_at = content.sha256, content.modified_at
            same = next((it for it in known.get(sha256, ()) if it.is_file(file.path, modified_at)), None)
            if same is not None and not (again and same.kind == "import"):
                self._settle(file, same, modified_at)
            elif sha256 in first:
                self.others.append(OtherFile(file, "copy", f"the same as {first[sha256].path}"))
            else:
                told = read_run(file, content, self.search, now=now)
                if any(it.kind == "export" for it in known.get(told.json_sha256, ())):
                    # without a row, a CSV alone is like any other
                    self.others.append(OtherFile(file, "export", "oomdb wrote it itself"))
                    return
                self.clusters |= told.clusters
                self.told.append(told)
                if not told.is_empty:
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

    def list_new(self, now: datetime) -> list[NewFile]:
        if not self.told:
            return []
        copied = self._find_copied()
        traces = [_trace(it, is_copied=it.modified_at in copied) for it in self.told]
        settled = [replace(it, is_copied=it.modified_at in copied) for it in self.settled]
        times = date_runs([*traces, *settled], now=now)
        return [NewFile(told=told, run=run) for told, run in zip(self.told, times, strict=False)]

    def list_warnings(self, path: Path, now: datetime) -> Iterable[str]:
        copied = self._find_copied() if self.told else set()
        if not any(it.modified_at in copied for it in self.told):
            return
        badly_dated = [
            it.file.path.name
            for it in self.list_new(now)
            if it.run.evidence == "mtime" and it.told.modified_at in copied
        ]
        times = self._list_times()
        count = sum(at in copied for at in times)
        yield (
            f"{path}: {count} of its {len(times)} files share one minute of modification "
            f"({min(copied):%Y-%m-%d %H:%M} UTC): they were copied without their times, which "
            f"`cp -p`, `rsync -t` and tar keep. "
            + (
                f"{len(badly_dated)} can be dated by nothing else: {', '.join(badly_dated)}."
                if badly_dated
                else "All can be dated by their artifacts or names."
            )
        )

    def _find_copied(self) -> set[datetime]:
        return find_copied(self._list_times())

    def _list_times(self) -> list[datetime]:
        return [*(it.modified_at for it in self.told), *(it.modified_at for it in self.settled)]


def _trace(told: ToldRun, *, is_copied: bool) -> Traces:
    return Traces(
        name=told.file.path.name,
        layout=told.layout,
        modified_at=told.modified_at,
        stamped_at=told.stamped_at,
        exported_run_at=told.exported_run_at,
        is_copied=is_copied,
    )
