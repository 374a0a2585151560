"""Older exports beside the new ones: the names they keep, how they get them, and the past reports among them."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path

STEM = "oom_results"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# oom_results_13-Jan-2026_12-10-22-EST.html; a second stamp or a number may follow (see `back_up`)
_NAME = re.compile(STEM + r"_(\d\d)-([A-Z][a-z]{2})-(\d{4})_(\d\d)-(\d\d)-(\d\d)(?:-([A-Za-z]+|[+-]\d{2,4}))?")
_LAST_MOMENT = datetime(9999, 12, 30, tzinfo=UTC).timestamp()  # a day before the last, so that every zone has it


@dataclass(frozen=True, slots=True, kw_only=True)
class PastReport:
    """An HTML report of an earlier time; `written_at` is local time, as its name tells it, None where it does not."""

    name: str
    written_at: datetime | None
    zone: str


def list_past_reports(folder: Path) -> tuple[PastReport, ...]:
    """Return the reports that lie in a folder, newest first; those whose name tells no time come last, by name."""
    return order_past_reports(
        describe_past_report(path.name) for path in folder.glob(f"{STEM}_*.html") if path.is_file()
    )


def order_past_reports(reports: Iterable[PastReport]) -> tuple[PastReport, ...]:
    """Return reports newest first; those whose name tells no time come last, by name."""
    by_name = sorted(reports, key=lambda it: it.name)
    dated = [it for it in by_name if it.written_at is not None]
    undated = [it for it in by_name if it.written_at is None]
    return (*sorted(dated, key=lambda it: str(it.written_at), reverse=True), *undated)


def describe_past_report(name: str) -> PastReport:
    """Return what a file's name tells of when the report was written."""
    found = _NAME.match(name.removesuffix(".html"))
    if found is None or found[2] not in _MONTHS:
        return PastReport(name=name, written_at=None, zone="")
    day, month, year, hour, minute, second = found[1], _MONTHS.index(found[2]) + 1, found[3], *found.group(4, 5, 6)
    try:
        at = datetime(int(year), month, int(day), int(hour), int(minute), int(second))  # noqa: DTZ001  # of its zone
    except ValueError:
        return PastReport(name=name, written_at=None, zone="")
    return PastReport(name=name, written_at=at, zone=found[7] or "")


def backup_name(path: Path, modified_at: datetime, zone: tzinfo | None) -> str:
    """Return the name under which an export is kept: `oom_results_13-Jan-2026_12-10-22-EST.csv`."""
    at = modified_at.astimezone(zone)
    return f"{path.stem}_{format_day(at)}_{at:%H-%M-%S-%Z}{path.suffix}"


def format_day(day: date) -> str:
    """Return a day as the legacy script wrote it, `03-Feb-2026`: in English, whatever the locale."""
    return f"{day.day:02}-{_MONTHS[day.month - 1]}-{day.year}"


def find_backup_name(path: Path, zone: tzinfo | None) -> Path:
    """Return the path that `back_up` would give a file now; where a name is taken it gets a number."""
    name = Path(backup_name(path, modified_at(path), zone))
    target = path.with_name(name.name)
    number = 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{name.stem}-{number}{name.suffix}")
    return target


def back_up(path: Path, zone: tzinfo | None, link: Callable[[Path, Path], None]) -> Path:
    """Give a file its name as a backup and return it; none that is there is replaced, so that nothing is lost."""
    while not _take_name(path, target := find_backup_name(path, zone), link):
        pass  # another process was faster
    return target


def modified_at(path: Path) -> datetime:
    """Return when a file was changed last, in UTC; some file systems keep times that no calendar has."""
    return datetime.fromtimestamp(min(max(path.stat().st_mtime, 0), _LAST_MOMENT), UTC)


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
