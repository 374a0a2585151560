"""The export files: rendered, kept from overwriting older ones, written aside and renamed."""

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
    """What became of the files: written, left alone because they would not change, and the names of backups."""

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
) -> ExportResult:
    """Write `oom_results.<format>` of a run, all from one content, and note them in the database.

    A file that is there is first renamed by the time of its last change, in `zone` (None: the system's); one that
    would not change is left alone.

    Raises:
        UsageError: if there is no such run.
        OomdbError: if a file cannot be written; those that were there are whole.
        StoreError: if the database cannot be read or written.
    """
    content = build_content(store, wanted, output_dir=output_dir)
    rendered = {output_dir / f"{STEM}.{name}": FORMATS[name](content) for name in formats}
    changed = {path: data for path, data in rendered.items() if _read(path) != data}
    backed_up: list[Path] = []
    for path, data in changed.items():
        try:
            output_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
            aside = _write_aside(path, data, file_mode)
            try:
                if backup and path.exists():
                    backed_up.append(_back_up(path, zone))
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as err:
            raise OomdbError(f"{path}: cannot be written: {err.strerror or err}.") from err
    _note(store, content, changed)
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


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # not there, or not a file: writing will tell


def _write_aside(path: Path, data: bytes, mode: int) -> Path:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _back_up(path: Path, zone: tzinfo | None) -> Path:
    """Rename a file; where the name is taken already the new one gets a number, so that nothing is lost."""
    name = Path(backup_name(path, datetime.fromtimestamp(path.stat().st_mtime, UTC), zone))
    target = path.with_name(name.name)
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{name.stem}-{number}{name.suffix}")
    path.rename(target)
    return target


def _note(store: Store, content: ReportContent, written: Mapping[Path, bytes]) -> None:
    files = [
        (
            str(path.absolute()),
            hashlib.sha256(data).hexdigest(),
            datetime.fromtimestamp(path.stat().st_mtime, UTC),
            len(content.rows),
        )
        for path, data in written.items()
    ]
    note_exports(store, content.run.id, files, run_at=content.run.started_at)
