"""Artifact files in the output folder: written aside and renamed, never over one another, never outside."""

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from oomdb.artifacts.names import LONGEST_NAME_BYTES, safe_name
from oomdb.errors import ArtifactError
from oomdb.model import ArtifactKind
from oomdb.timespan import to_whole_seconds

ARTIFACTS_FOLDER = "logs_and_description_files"
# what artifacts leave free on their disk: the database lies there too, and findings come first (a run of a thousand
# findings writes about 2 MB, its write-ahead log as much again)
RESERVED_BYTES = 32 * 2**20
# a file aside that was not touched for so long has lost its writer: no piece of a log is waited for as long
ABANDONED_AFTER_SECONDS = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was written: its path relative to the output folder, with `/`, its size and its SHA-256 (hex)."""

    path: str
    size_bytes: int
    sha256: str


class ArtifactFolder:
    """The artifact files of one output folder; several threads and processes may write at once.

    `file_mode` and `folder_mode` hold for what is made here, whatever the umask; folders that exist keep theirs.
    No file is left that takes the disk's last `reserved_bytes`. What writers that were killed left half written is
    removed when a folder is written to first. `write_bytes`, `link` and `count_free_bytes` (of the
    file system of a folder) are the system's, and parameters for tests and for file systems that differ.
    """

    def __init__(
        self,
        output_dir: Path,
        *,
        file_mode: int = 0o640,
        folder_mode: int = 0o750,
        reserved_bytes: int = RESERVED_BYTES,
        write_bytes: Callable[[int, memoryview], int] = os.write,
        link: Callable[[Path, Path], None] = os.link,
        count_free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._output_dir = Path(os.path.abspath(output_dir))  # noqa: PTH100  # symlinks stay: they may be moved
        self._file_mode = file_mode
        self._folder_mode = folder_mode
        self._reserved_bytes = reserved_bytes
        self._write_bytes = write_bytes
        self._link = link
        self._count_free_bytes = count_free_bytes
        self._tidied: set[Path] = set()

    def write(
        self, cluster: str, namespace: str, pod: str, at: datetime, kind: ArtifactKind, pieces: Iterable[bytes]
    ) -> WrittenFile:
        """Write the pieces, each as it comes, to one file below the output folder.

        It is `logs_and_description_files/<cluster>/<namespace>__<pod>__<YYYYMMDDTHHMMSSZ>__<desc|log>.txt`; names are
        made safe. Where a file of that name exists (a pod of the same name, in the same second), the new one is called
        `…__desc-2.txt` and so on.

        Raises:
            ArtifactError: with path and reason, when the file cannot be written; then nothing of it remains.
            ValueError: when `at` has no zone.
        """
        folder = self._output_dir / ARTIFACTS_FOLDER / safe_name(cluster)
        try:
            return self._write_new(folder, _iter_file_names(namespace, pod, at, kind), pieces)
        except OSError as err:
            told = f"Artifact files cannot be written to '{folder}': {_explain(err)}."
            raise ArtifactError(told) from err

    def write_named(self, subfolder: str, names: Iterator[str], pieces: Iterable[bytes]) -> WrittenFile:
        """Write the pieces to one file of a folder below the output folder, by the first name that nothing has yet.

        Args:
            subfolder: a plain name.
            names: plain names, as many as may be taken.
            pieces: the content.

        Raises:
            ArtifactError: with path and reason, when the file cannot be written; then nothing of it remains.
        """
        folder = self._output_dir / subfolder
        try:
            return self._write_new(folder, names, pieces)
        except OSError as err:
            raise ArtifactError(f"No file can be written to '{folder}': {_explain(err)}.") from err

    def make_folder(self, subfolder: str) -> Path:
        """Make a folder below the output folder where there is none, and return its path.

        Raises:
            ArtifactError: when it cannot be made, or a symlink leads elsewhere.
        """
        folder = self._output_dir / subfolder
        try:
            self._refuse_outside(folder)
            self._make_folder(folder)
            if not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as err:
            raise ArtifactError(f"The folder '{folder}' cannot be made: {_explain(err)}.") from err
        return folder

    def open(self, relative: str, *, below: str = ARTIFACTS_FOLDER) -> BinaryIO:
        """Open an ordinary file for reading, named relative to the output folder; no symlink is followed.

        Raises:
            ArtifactError: for a path that does not lie in the folder `below`, or leads out of it by `..` or a symlink,
                for anything that is no ordinary file, and for one that cannot be opened.
        """
        first, *names = relative.split("/")
        if first != below or not names or not all(_is_plain(name) for name in names):
            raise ArtifactError(f"{relative!r} leads out of '{self._output_dir / below}': it is not opened.")
        try:
            return _open_step_by_step(self._output_dir, [first, *names])
        except OSError as err:
            told = "a symlink leads there" if err.errno in _SAID_OF_SYMLINKS else err.strerror or str(err)
            raise ArtifactError(f"'{self._output_dir / relative}' cannot be opened: {told}.") from err

    def read(self, relative: str) -> bytes:
        """Return the content of a file, named relative to the output folder.

        Raises:
            ArtifactError: for a path that leads out of the folder, by `..`, a root or a symlink, for anything that is
                no ordinary file, and for one that cannot be read.
        """
        path = Path(self.absolute(relative) or self._output_dir)
        try:
            self._refuse_outside(path)
            if not path.is_file():  # a pipe would keep us waiting
                raise ArtifactError(f"'{path}' is not there, or is no ordinary file.")
            return path.read_bytes()
        except OSError as err:
            raise ArtifactError(f"'{path}' cannot be read: {err.strerror or err}.") from err

    def holds(self, relative: str) -> bool:
        """Tell whether there is an ordinary file of this path below the output folder."""
        return (self._output_dir / relative).is_file()

    def absolute(self, relative: str) -> str:
        """Return the absolute path of a file named relative to the output folder, '' for ''; no file is looked at.

        Raises:
            ArtifactError: for a path that leads out of the folder by `..` or a root.
        """
        if not relative:
            return ""
        path = os.path.normpath(self._output_dir / relative)
        if "\0" in relative or not Path(path).is_relative_to(self._output_dir):
            raise ArtifactError(f"{relative!r} leads out of the output folder '{self._output_dir}': it is not used.")
        return path

    def _write_new(self, folder: Path, names: Iterator[str], pieces: Iterable[bytes]) -> WrittenFile:
        size_bytes, digest = 0, hashlib.sha256()

        def count(piece: bytes) -> bytes:
            nonlocal size_bytes
            size_bytes += len(piece)
            digest.update(piece)
            return piece

        self._refuse_outside(folder)
        self._make_folder(folder)
        if folder not in self._tidied:
            self._tidied.add(folder)
            _remove_abandoned(folder)
        final = self._write_aside_and_rename(folder, names, map(count, pieces))
        return WrittenFile(final.relative_to(self._output_dir).as_posix(), size_bytes, digest.hexdigest())

    def _make_folder(self, folder: Path) -> None:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            try:
                each.mkdir(self._folder_mode)
            except FileExistsError:
                continue  # another writer was faster
            each.chmod(self._folder_mode)

    def _refuse_outside(self, path: Path) -> None:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._output_dir)):
            raise ArtifactError(f"'{path}' leads out of the output folder '{self._output_dir}': remove that symlink.")

    def _write_aside_and_rename(self, folder: Path, names: Iterator[str], pieces: Iterable[bytes]) -> Path:
        aside = folder / f".{secrets.token_hex(_ASIDE_BYTES)}.tmp"
        try:
            self._write_file(aside, pieces)
            self._refuse_last_space(folder)  # asked afterwards: of several writers, each counts what all have taken
            return next(final for final in (folder / name for name in names) if self._take_name(aside, final))
        finally:
            with suppress(OSError):
                aside.unlink()

    def _refuse_last_space(self, folder: Path) -> None:
        if self._count_free_bytes(folder) < self._reserved_bytes:
            raise OSError(
                errno.ENOSPC, f"less than {self._reserved_bytes // 2**20} MiB are free, kept for the database"
            )

    def _write_file(self, path: Path, pieces: Iterable[bytes]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, self._file_mode)
        try:
            os.fchmod(descriptor, self._file_mode)
            for piece in pieces:
                self._write_whole(descriptor, piece)
                del piece  # a whole log perhaps: let go of it before the next one comes
        finally:
            os.close(descriptor)

    def _write_whole(self, descriptor: int, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[self._write_bytes(descriptor, rest) :]

    def _take_name(self, aside: Path, final: Path) -> bool:
        """Give the file its final name; False when that is taken. A rename would overwrite, a link does not."""
        try:
            self._link(aside, final)
        except FileExistsError:
            return False
        except OSError as err:
            if err.errno not in _NO_HARD_LINKS:
                raise
            return _rename_onto_reserved(aside, final)
        return True


_ASIDE_BYTES = 8  # of chance in the name of a file aside
_ASIDE_GLOB = f".{'[0-9a-f]' * 2 * _ASIDE_BYTES}.tmp"


def _remove_abandoned(folder: Path) -> None:
    untouched_since = time.time() - ABANDONED_AFTER_SECONDS
    for aside in folder.glob(_ASIDE_GLOB):
        with suppress(OSError):  # of two that tidy up at once, each removes some
            if aside.lstat().st_mtime < untouched_since:
                aside.unlink()


_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_SUFFIXES: dict[ArtifactKind, str] = {"description": "desc", "log": "log"}
_LONGEST_NAMESPACE = 100  # Kubernetes allows 63; the rest of the file name is the pod's
_ROOM_FOR_NUMBER = len("-999999")


def _iter_file_names(namespace: str, pod: str, at: datetime, kind: ArtifactKind) -> Iterator[str]:
    first = safe_name(namespace, limit=_LONGEST_NAMESPACE)
    last = f"{to_whole_seconds(at):%Y%m%dT%H%M%SZ}__{_SUFFIXES[kind]}"
    room = LONGEST_NAME_BYTES - len(f"{first}____{last}.txt") - _ROOM_FOR_NUMBER
    stem = f"{first}__{safe_name(pod, limit=room)}__{last}"
    yield f"{stem}.txt"
    for number in range(2, 10**6):
        yield f"{stem}-{number}.txt"
    raise ArtifactError(f"There are a million files named '{stem}-….txt': no further one is written.")


def _rename_onto_reserved(aside: Path, final: Path) -> bool:
    try:
        os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        return False
    try:
        aside.replace(final)
    except OSError:
        final.unlink()
        raise
    return True


def _explain(err: OSError) -> str:
    advice = "free some space" if err.errno in (errno.ENOSPC, errno.EDQUOT) else "check that folder"
    return f"{err.strerror or err}; {advice}"


_SAID_OF_SYMLINKS = (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)  # the last of one in a folder's place


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "\0" not in name


def _open_step_by_step(root: Path, names: Sequence[str]) -> BinaryIO:
    """Open a file through each of its folders in turn, so that nothing can be put in the way meanwhile."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            above, folder = folder, os.open(name, _PLAIN | os.O_DIRECTORY, dir_fd=folder)
            os.close(above)
        descriptor = os.open(names[-1], _PLAIN | os.O_NONBLOCK, dir_fd=folder)  # a pipe would keep us waiting
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no ordinary file")
    return os.fdopen(descriptor, "rb")


_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
