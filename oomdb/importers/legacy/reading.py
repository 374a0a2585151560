"""Reading a file that somebody else wrote, and may be writing still."""

import hashlib
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from oomdb.errors import ImportFileError

LARGEST_FILE_BYTES = 256 * 2**20  # ten thousand times what a run of the legacy script writes
_LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC).timestamp()  # some file systems keep times that no calendar has


FileState = tuple[int, int]  # its size, and its time of modification in nanoseconds


@dataclass(frozen=True, slots=True)
class ReadFile:
    """The content of a file, and when it was changed last, in whole seconds.

    `state` is another one when it is changed again.
    """

    data: bytes
    sha256: str
    modified_at: datetime
    state: FileState


def read_file(path: Path, *, limit_bytes: int = LARGEST_FILE_BYTES) -> ReadFile:
    """Return a file's content, as it was at one moment.

    Raises:
        ImportFileError: if it cannot be read, is no ordinary file, is too large, or changes while it is read.
    """
    try:
        # without waiting: a pipe that bears the name of a CSV would never end
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read(descriptor, limit_bytes)
        finally:
            os.close(descriptor)
    except OSError as err:
        raise ImportFileError(f"cannot be read: {err.strerror or err}.") from err


def has_changed(path: Path, state: FileState) -> bool:
    """Tell whether a file is another one by now than it was when it was read, or is gone."""
    try:
        return _state_of(path.stat()) != state
    except OSError:
        return True


def _read(descriptor: int, limit_bytes: int) -> ReadFile:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise ImportFileError("is no ordinary file.")
    if before.st_size > limit_bytes:
        raise ImportFileError(
            f"{before.st_size:,} bytes; no run of the legacy script is larger than {limit_bytes:,}: cut it into parts."
        )
    data = b""
    while len(data) < before.st_size and (piece := os.read(descriptor, before.st_size - len(data))):
        data += piece
    state = _state_of(before)
    if _state_of(os.fstat(descriptor)) != state or len(data) != before.st_size:
        raise ImportFileError("changed while it was read: import it again when its writer is done.")
    # in whole seconds, as times are stored: else it would not be known again by them
    modified_at = datetime.fromtimestamp(int(min(max(before.st_mtime, 0), _LAST_MOMENT)), UTC)
    return ReadFile(data, hashlib.sha256(data).hexdigest(), modified_at, state)


def _state_of(status: os.stat_result) -> FileState:
    return status.st_size, status.st_mtime_ns
