"""Which files of a folder are runs of the legacy script, and what their names tell of when."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from oomdb.errors import UsageError

STEM = "oom_results"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# oom_results_13-Jan-2026_12-10-22-EST.csv; a moved one has a second stamp behind the first, which counts; people's
# copies have ` (1)`, `-backup` and the like behind the zone
_NAME = re.compile(STEM + r"_(\d\d)-([A-Za-z]{3})-(\d{4})_(\d\d)-(\d\d)-(\d\d)(?:-([A-Za-z]+|[+-]\d\d(?::?\d\d)?))?")
_RENAMED_WITHIN = timedelta(seconds=5)  # of each other: the backups of one run
_NUMERIC_ZONE = re.compile(r"([+-])(\d\d):?(\d\d)?")
# The abbreviation says where, not whether it was summer: the legacy script wrote the summer name all year round.
# IST is India's, which has no other; Israel and Ireland write it too.
_ZONES = {
    "UTC": "UTC",
    "GMT": "UTC",
    "BST": "Europe/London",
    "WET": "Europe/Lisbon",
    "WEST": "Europe/Lisbon",
    "CET": "Europe/Prague",
    "CEST": "Europe/Prague",
    "EET": "Europe/Athens",
    "EEST": "Europe/Athens",
    "MSK": "Europe/Moscow",
    "IST": "Asia/Kolkata",
    "IDT": "Asia/Jerusalem",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "SGT": "Asia/Singapore",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
}


@dataclass(frozen=True, slots=True)
class LegacyFile:
    """One CSV, and the folder in which the rest of its run lies."""

    path: Path
    folder: Path
    json_name: str | None  # of the same run

    @property
    def json_path(self) -> Path | None:
        """The JSON of the same run, None for none."""
        return self.folder / self.json_name if self.json_name else None


@dataclass(frozen=True, slots=True)
class NamedTime:
    """The instant (UTC) that a name tells; its clock is taken for UTC's where the zone is not known."""

    at: datetime
    zone_is_known: bool


def list_legacy_files(
    paths: Iterable[Path], *, on_problem: Callable[[UsageError], None] | None = None
) -> list[LegacyFile]:
    """Return the CSVs that the paths name: of folders `oom_results.csv` and `oom_results_*_*.csv`, each file once.

    Args:
        paths: folders and files.
        on_problem: is told of each path of which nothing can be had, for the others to go on.

    Raises:
        UsageError: without `on_problem`, for a path that is no folder and no file, or a folder without such files.
    """
    found: dict[tuple[str, str], LegacyFile] = {}
    for path in paths:
        try:
            files = list(_list_of(path))
        except UsageError as err:
            if on_problem is None:
                raise
            on_problem(err)
            continue
        folder = os.path.realpath(files[0].folder)
        for file in files:
            found.setdefault((folder, file.path.name), file)
    return list(found.values())


def leads_outside(path: Path, folder: Path) -> bool:
    """Tell whether a file of a folder is a symlink that leads out of it."""
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_name(name: str) -> NamedTime | None:
    """Return the time that a file's name tells, None where it tells none.

    The clock reading is the local time of a place, whatever the season's name of its zone says.
    """
    found = _NAME.match(name)
    if found is None or found[2].lower() not in _MONTHS:
        return None
    month = _MONTHS.index(found[2].lower()) + 1
    day, year, hour, minute, second = (int(found[group]) for group in (1, 3, 4, 5, 6))
    zone = _find_zone(found[7] or "")
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=zone or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return NamedTime(at, zone_is_known=zone is not None)


def _list_of(path: Path) -> Iterator[LegacyFile]:
    try:
        if path.is_dir():
            beside = set(os.listdir(path))  # noqa: PTH208  # names are all that is needed
            wanted = sorted(name for name in beside if _is_run(name, ".csv"))
            if not wanted:
                raise UsageError(f"{path}: no {STEM}.csv and no {STEM}_*_*.csv lie there; name the folder of the runs.")
        elif path.exists():
            path, wanted = path.parent, [path.name]
            beside = set(os.listdir(path))  # noqa: PTH208
        else:
            raise UsageError(f"{path}: there is no such file or folder.")
    except OSError as err:
        raise UsageError(f"{path}: cannot be looked at: {err.strerror or err}.") from err
    claimed = {name.removesuffix(".csv") + ".json" for name in beside if _is_run(name, ".csv")}
    free = [name for name in beside if _is_run(name, ".json") and name not in claimed]
    for name in wanted:
        yield LegacyFile(path / name, path, _find_json(name, beside, free))


def _is_run(name: str, suffix: str) -> bool:
    stem = name.removesuffix(suffix)
    return stem != name and (stem == STEM or (stem.startswith(f"{STEM}_") and "_" in stem[len(STEM) + 1 :]))


def _find_json(name: str, beside: Iterable[str], free: Iterable[str]) -> str | None:
    """Return the JSON of a CSV's run: the backups of one run were not always renamed in the same second."""
    own = name.removesuffix(".csv") + ".json"
    if own in beside:
        return own
    named = read_name(name)
    times = ((read_name(it), it) for it in free)
    near = [(abs(its.at - named.at), it) for its, it in times if named and its]
    return min((it for it in near if it[0] <= _RENAMED_WITHIN), default=(None, None))[1]


@lru_cache
def _find_zone(word: str) -> tzinfo | None:
    number = _NUMERIC_ZONE.fullmatch(word)
    if number:
        offset = timedelta(hours=int(number[2]), minutes=int(number[3] or 0))
        return timezone(-offset if number[1] == "-" else offset) if offset < timedelta(days=1) else None
    name = _ZONES.get(word.upper())
    return ZoneInfo(name) if name else None
