"""Files of somebody else's folder: nothing is followed that leads elsewhere, nothing is waited for."""

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from oomdb.errors import ImportFileError

_LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC).timestamp()  # some file systems keep times that no calendar has

FileKind = Literal["file", "folder", "link", "other", "none"]


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file holds, and when it was changed last."""

    data: bytes
    modified_at: datetime


def read_file(path: Path, *, last_bytes: int | None = None) -> FileContent:
    """Return a file's content, or its last bytes alone; a symlink or a pipe is refused.

    Raises:
        ImportFileError: with the reason, when it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImportFileError("is no ordinary file; what comes through a pipe is read with `-`.")
            if last_bytes is not None and status.st_size > last_bytes:
                stream.seek(-last_bytes, os.SEEK_END)
            modified_at = datetime.fromtimestamp(min(max(status.st_mtime, 0), _LAST_MOMENT), UTC)
            return FileContent(stream.read(), modified_at)
    except OSError as err:
        raise ImportFileError(f"cannot be read: {err.strerror or err}.") from err


def look_at(path: Path) -> FileKind:
    """Tell what lies at a path, without following it."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):  # a name that no file can have
        return "none"
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def list_folders(folder: Path) -> list[Path]:
    """Return the folders within a folder, by name; symlinks are none.

    Raises:
        ImportFileError: when it cannot be read.
    """
    return [entry for entry in _list(folder) if look_at(entry) == "folder"]


def list_links(folder: Path) -> list[Path]:
    """Return the symlinks within a folder, by name.

    Raises:
        ImportFileError: when it cannot be read.
    """
    return [entry for entry in _list(folder) if look_at(entry) == "link"]


def descend(folder: Path, *names: str) -> Path | None:
    """Return the path of an ordinary file some folders down; None where there is none.

    A name that is no plain name (`..`, one with a slash), or leads through a symlink, leads to nothing.
    """
    path = folder
    for number, name in enumerate(names, start=1):
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            return None
        path = path / name
        if look_at(path) != ("folder" if number < len(names) else "file"):
            return None
    return path


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as err:
        raise ImportFileError(f"'{folder}' cannot be read: {err.strerror or err}.") from err
