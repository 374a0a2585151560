"""Whether a run could write where it wants to: the output folder and the database's, and the room left there."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from oomdb.model import Check, CheckStatus

# twenty logs of the length at which `collect` cuts them: a bad night of one cluster
ROOM_FOR_ARTIFACTS_BYTES = 200 * 2**20
# one such log: with less a run is likely to lose what it found
ROOM_FOR_A_RUN_BYTES = 10 * 2**20


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0))


def _measure_free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def check_folders(
    output: Path,
    database: Path | None,
    *,
    may_write: Callable[[Path], bool] = _may_write,
    measure_free_bytes: Callable[[Path], int] = _measure_free_bytes,
) -> list[Check]:
    """Look at the folders that a run writes to, without writing; one that is not there yet is judged by its parent.

    Args:
        output: the folder of artifacts and exports.
        database: the database's file; None where it is none.
        may_write: tells whether a file or folder that exists may be written.
        measure_free_bytes: the room left for us on a folder's file system.
    """
    wanted = {_find_existing(output): ROOM_FOR_ARTIFACTS_BYTES}
    if database is not None:
        folder = _find_existing(database.parent)
        # an upgrade keeps a copy of the database beside it
        wanted[folder] = wanted.get(folder, ROOM_FOR_A_RUN_BYTES) + _measure_size(database)
    checks = list(_check_each(wanted, may_write, measure_free_bytes))
    if database is not None and _measure_size(database) and not may_write(database):
        told = f"{database} is read-only for this user: no run can be recorded"
        checks.append(_build("failed", told, "change its owner or mode, or say another --db."))
    return checks


def _check_each(
    wanted: Mapping[Path, int], may_write: Callable[[Path], bool], measure_free_bytes: Callable[[Path], int]
) -> Iterator[Check]:
    for folder, wanted_bytes in wanted.items():
        try:
            is_folder, free_bytes = folder.is_dir(), measure_free_bytes(folder)
        except OSError as err:
            yield _build("failed", f"{folder} cannot be looked at: {err.strerror}", "say another --output or --db.")
            continue
        if not is_folder:
            yield _build(
                "failed", f"{folder} is no folder, so nothing can be written below it", "say another --output."
            )
        elif not may_write(folder):
            yield _build(
                "failed", f"{folder} cannot be written by this user", "change its owner or mode, or say another."
            )
        elif free_bytes < ROOM_FOR_A_RUN_BYTES:
            yield _build("failed", f"{folder} is full ({_show(free_bytes)} left)", "make room before the next run.")
        elif free_bytes < wanted_bytes:
            told = (
                f"{folder} has {_show(free_bytes)} left; {_show(wanted_bytes)} should be there for a run and an upgrade"
            )
            yield _build("warning", told, "make room, or save fewer logs (`oomdb collect --log-tail-lines`).")
        else:
            yield _build("ok", f"{folder} can be written, {_show(free_bytes)} left")


def _find_existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there: the first run makes the rest."""
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if os.path.lexists(folder)), path)


def _measure_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _build(status: CheckStatus, message: str, advice: str = "") -> Check:
    return Check(subject="disk", name="folder", status=status, message=message, advice=advice)


def _show(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes // 2**20} MiB"
