"""Finding the descriptions and logs that a row names: in the folders that are allowed, and nowhere else.

A path in a CSV is what anybody may have written: it is only taken apart as text, until what is left of it names a file
of an allowed folder. What is opened there is an ordinary file, by a name that the legacy script gives, and no symlink
leads to it.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from oomdb.artifacts.local import ARTIFACTS_FOLDER, ArtifactFolder, WrittenFile
from oomdb.artifacts.names import safe_name
from oomdb.artifacts.records import build_artifact
from oomdb.importers.legacy.csv_table import LegacyRow
from oomdb.model import Artifact, ArtifactKind, PodRef

# where the first versions wrote: below it a folder for each cluster; macOS resolves the one to the other
LEGACY_ROOTS = (Path("/tmp"), Path("/private/tmp"))  # noqa: S108  # not ours: the legacy script's
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,240}__(\d{8}T\d{6}Z)__(desc|log)(\.failed)?\.txt")
_SUFFIXES: Mapping[ArtifactKind, str] = {"description": "desc", "log": "log"}
_LONGEST_TOLD = 1000  # letters of a path; the CSV has the rest
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class ArtifactSearch:
    """Where a folder's artifacts are looked for, and where they shall be.

    Attributes:
        folder: the folder of the CSVs, below whose `logs_and_description_files` artifacts may lie.
        output_dir: the output folder, to which the database's paths are relative.
        beside: further folders with a folder for each cluster.
        legacy_roots: those that the legacy script wrote to.
        copy_to: what copies artifacts that lie elsewhere into the output folder; None: they stay where they are.
    """

    folder: Path
    output_dir: Path
    beside: Sequence[Path] = ()
    legacy_roots: Sequence[Path] = LEGACY_ROOTS
    copy_to: ArtifactFolder | None = None
    _places: dict[tuple[str, str], tuple["_Place", ...]] = field(default_factory=dict)  # each listed once

    def is_gone(self, cluster: str, path: str) -> bool:
        """Tell whether a path leads to where artifacts are, and none is there: most do, old ones are cleared away."""
        folder, _, name = path.rpartition("/")
        places = self._list_places(cluster, folder)
        return bool(places) and all(name not in it.names for it in places)

    def find(self, row: LegacyRow, *, captured_at: datetime) -> list[Artifact]:
        """Return the description and the log of a row's pod, but for those that are gone.

        One that must not be opened, or lies elsewhere, says why, and where it lies.

        Raises:
            ArtifactError: if a file cannot be copied, because the disk is full for example.
        """
        paths: dict[ArtifactKind, str] = {"description": row.description_file, "log": row.pod_log_file}
        return [
            self._find(row, kind, path, captured_at)
            for kind, path in paths.items()
            if path and not self.is_gone(row.cluster, path)
        ]

    def _find(self, row: LegacyRow, kind: ArtifactKind, path: str, captured_at: datetime) -> Artifact:
        folder, _, name = path.rpartition("/")
        place = next((it for it in self._list_places(row.cluster, folder) if name in it.names), None)
        parts = _NAME.fullmatch(name)
        ref = PodRef(row.namespace, row.pod, "")
        if parts is None or parts[2] != _SUFFIXES[kind]:
            return build_artifact(ref, captured_at, kind, "error", _tell("not opened: not an artifact's name", path))
        at = _read_stamp(parts[1]) or captured_at
        if place is None:
            return build_artifact(ref, at, kind, "error", _tell("not opened: outside the folders of artifacts", path))
        try:
            with place.open(name) as stream:
                written = self._take(row, kind, at, place, name, stream)
        except OSError as err:
            why = f"not opened: {err.strerror or err}"
            return build_artifact(ref, at, kind, "error", _tell(why, f"{place.folder}/{name}"))
        if written is None:
            told = _tell("not in the output folder, and not copied (--copy-artifacts)", f"{place.folder}/{name}")
            return build_artifact(ref, at, kind, "error", told)
        if parts[3]:
            return build_artifact(ref, at, kind, "error", "the legacy script could not save it", written)
        return build_artifact(ref, at, kind, "ok" if written.size_bytes else "empty", "", written)

    def _list_places(self, cluster: str, folder: str) -> tuple["_Place", ...]:
        key = (cluster, folder)
        if key not in self._places:
            self._places[key] = tuple(_Place.listed(*it) for it in self._iter_places(cluster, folder))
        return self._places[key]

    def _iter_places(self, cluster: str, folder: str) -> Iterator[tuple[Path, Path]]:
        """Iterate over the folders that may be meant, the likeliest first, with the allowed ones that they lie in."""
        parts = folder.split("/")
        if ".." in parts or "\0" in folder:
            return
        if parts[-2:-1] == [ARTIFACTS_FOLDER]:
            yield self.folder / ARTIFACTS_FOLDER / parts[-1], self.folder
        if cluster in (".", "..") or "/" in cluster:
            return
        for root in self.legacy_roots:
            if folder == str(root / cluster):
                yield root / cluster, root
        for root in self.beside:
            yield root / cluster, root

    def _take(
        self, row: LegacyRow, kind: ArtifactKind, at: datetime, place: "_Place", name: str, stream: BinaryIO
    ) -> WrittenFile | None:
        """Return the file as one of the output folder, where it lies there or is copied; None where neither holds."""
        output_dir, path = Path(os.path.realpath(self.output_dir)), Path(os.path.realpath(place.folder), name)
        if path.is_relative_to(output_dir):
            return _describe(path.relative_to(output_dir).as_posix(), stream)
        if self.copy_to is None:
            return None
        # of an import that was cut short, or of another file that names the same artifact
        copied = f"{ARTIFACTS_FOLDER}/{safe_name(row.cluster)}/{name}"
        wanted = _describe(copied, stream)
        if self._holds(copied, wanted):
            return wanted
        stream.seek(0)
        pieces = iter(lambda: stream.read(_PIECE_BYTES), b"")
        return self.copy_to.write(row.cluster, row.namespace, row.pod, at, kind, pieces)

    def _holds(self, relative: str, wanted: WrittenFile) -> bool:
        path = self.output_dir / relative
        try:
            with _Place(path.parent, self.output_dir, frozenset()).open(path.name) as stream:
                return _describe(relative, stream) == wanted
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder that was listed, and the allowed folder in which it must lie."""

    folder: Path
    root: Path
    names: frozenset[str]

    @classmethod
    def listed(cls, folder: Path, root: Path) -> "_Place":
        try:
            return cls(folder, root, frozenset(it.name for it in os.scandir(folder)))
        except OSError:
            return cls(folder, root, frozenset())

    def open(self, name: str) -> BinaryIO:
        """Open an ordinary file to which no symlink leads.

        Raises:
            OSError: if it is none, or cannot be opened.
        """
        real = os.path.join(os.path.realpath(self.root), self.folder.relative_to(self.root))  # noqa: PTH118  # realpath's
        if os.path.realpath(self.folder) != os.path.normpath(real):
            raise OSError("a symlink leads there")
        descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("no ordinary file")
        return os.fdopen(descriptor, "rb")


def _describe(relative: str, stream: BinaryIO) -> WrittenFile:
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants readinto
    return WrittenFile(relative, stream.tell(), digest)


@lru_cache
def _read_stamp(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _tell(why: str, path: str) -> str:
    return f"{why}: {path if len(path) <= _LONGEST_TOLD else path[:_LONGEST_TOLD] + '…'}"
