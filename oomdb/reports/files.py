"""The export files: rendered, written aside, noted, and put in the place of older ones, which keep another name."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Literal

from oomdb.errors import OomdbError
from oomdb.reports.content import ReportContent, build_content
from oomdb.reports.csv_export import render_csv
from oomdb.reports.json_export import render_json
from oomdb.reports.table_export import render_table
from oomdb.store.database import Store
from oomdb.store.files import note_exports

Render = Callable[[ReportContent], bytes]

FORMATS: Mapping[str, Render] = {"csv": render_csv, "json": render_json, "table": render_table}
STEM = "oom_results"
FILE_MODE = 0o640
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What became of the files: written, left alone because they would not change, and the old ones' new names."""

    content: ReportContent
    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]
    backed_up: tuple[Path, ...]


def write_exports(
    store: Store,
    wanted: Literal["latest"] | int,
    *,
    output_dir: Path,
    formats: Sequence[str] = tuple(FORMATS),
    backup: bool = True,
    zone: tzinfo | None = None,
    file_mode: int = FILE_MODE,
    write_bytes: Callable[[Path, bytes], object] = Path.write_bytes,
    link: Callable[[Path, Path], None] = os.link,
) -> ExportResult:
    """Write `oom_results.<format>` of a run, all from one content, and note them in the database.

    A file that is there is kept under another name, by the time of its last change in `zone` (None: the system's);
    one that would not change is left alone. All files are written aside and noted before the first one is replaced:
    a full disk or a locked database leaves every old one as it was. `write_bytes` and `link` are the system's, and
    parameters for file systems that differ.

    Raises:
        UsageError: if there is no such run, or it could read no cluster.
        OomdbError: if a file cannot be written; those that were there are whole.
        StoreError: if the database cannot be read or written.
    """
    content = build_content(store, wanted, output_dir=output_dir)
    rendered = {output_dir / f"{STEM}.{name}": FORMATS[name](content) for name in formats}
    backed_up: list[Path] = []
    try:
        output_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        changed = [path for path, data in rendered.items() if not _holds(path, data)]
        with tempfile.TemporaryDirectory(prefix=f".{STEM}-", dir=output_dir) as folder:
            aside = {path: Path(folder) / path.name for path in changed}
            for path in changed:
                write_bytes(aside[path], rendered[path])
                aside[path].chmod(file_mode)
            _note(store, content, rendered, aside)
            for path in changed:
                if backup and path.exists():
                    backed_up.append(_back_up(path, zone, link))
                aside[path].replace(path)
    except OSError as err:
        advice = "free some space" if err.errno in _FULL else "check that folder, or name another one with --output"
        raise OomdbError(
            f"The exports cannot be written to '{output_dir}': {err.strerror or err}; {advice}. "
            "The files that were there are whole."
        ) from err
    return ExportResult(
        content=content,
        written=tuple(changed),
        unchanged=tuple(path for path in rendered if path not in changed),
        backed_up=tuple(backed_up),
    )


def backup_name(path: Path, modified_at: datetime, zone: tzinfo | None) -> str:
    """Return the name under which an export is kept: `oom_results_13-Jan-2026_12-10-22-EST.csv`."""
    at = modified_at.astimezone(zone)
    return f"{path.stem}_{format_day(at)}_{at:%H-%M-%S-%Z}{path.suffix}"


def format_day(day: date) -> str:
    """Return a day as the legacy script wrote it, `03-Feb-2026`: in English, whatever the locale."""
    return f"{day.day:02}-{_MONTHS[day.month - 1]}-{day.year}"


_FULL = (errno.ENOSPC, errno.EDQUOT)
_LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC).timestamp()  # a day before the last, so that every zone has it


def _holds(path: Path, data: bytes) -> bool:
    """Tell whether a file is there and says just this."""
    if not os.path.lexists(path):
        return False
    if not path.is_file():  # a pipe would keep us waiting, a folder would be renamed with all that is in it
        raise OomdbError(f"{path}: cannot be written: it is no ordinary file; move it away.")
    return path.stat().st_size == len(data) and path.read_bytes() == data


def _back_up(path: Path, zone: tzinfo | None, link: Callable[[Path, Path], None]) -> Path:
    """Give a file its name as a backup; where that is taken it gets a number, so that nothing is lost."""
    name = Path(backup_name(path, _modified_at(path), zone))
    target = path.with_name(name.name)
    number = 1
    while not _take_name(path, target, link):
        number += 1
        target = path.with_name(f"{name.stem}-{number}{name.suffix}")
    return target


def _take_name(path: Path, target: Path, link: Callable[[Path, Path], None]) -> bool:
    """Give a file a further name; False when that is taken. A rename would overwrite, a link does not.

    With a link there is no moment without the export; where the file system has none, the name is reserved first.
    """
    try:
        link(path, target)
        return True
    except FileExistsError:
        return False
    except OSError:
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        except FileExistsError:
            return False
        try:
            path.replace(target)
        except OSError:
            target.unlink()
            raise
        return True


def _note(store: Store, content: ReportContent, rendered: Mapping[Path, bytes], aside: Mapping[Path, Path]) -> None:
    """Note what the run's exports are, also those that stay: another database may have written them."""
    files = [
        (
            # a folder's name need not be UTF-8
            str(path.absolute()).encode("utf-8", "backslashreplace").decode(),
            hashlib.sha256(data).hexdigest(),
            _modified_at(aside.get(path, path)),
            len(content.rows),
        )
        for path, data in rendered.items()
    ]
    note_exports(store, content.run.id, files, run_at=content.run.started_at)


def _modified_at(path: Path) -> datetime:
    # some file systems keep times that no calendar has
    return datetime.fromtimestamp(min(max(path.stat().st_mtime, 0), _LAST_MOMENT), UTC)
