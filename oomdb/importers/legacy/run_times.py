"""When a run of the legacy script was: by the best evidence that it left, and which that is.

Its time is the moment at which its files were written, seconds after the last artifact: so the kinds of evidence agree.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from oomdb.importers.legacy.files import NamedTime, read_name

Evidence = Literal["json", "artifacts", "name", "mtime"]

_STAMP = re.compile(r"__(\d{8}T\d{6}Z)__(?:desc|log)(?:\.failed)?\.txt")
_CLOCKS_DIFFER = timedelta(days=1)  # what lies further ahead was not written by a clock
# the names of 7afcf91 to 7a3b47f have the time of the next run, those from 0571008 on that of their own; people's
# backups are named as either script did, so that without a witness the day decides
_NAMES_OF_THE_NEXT_RUN = (datetime(2026, 1, 13, tzinfo=UTC), datetime(2026, 2, 2, 19, tzinfo=UTC))
_RUN_LASTS = timedelta(minutes=30)  # from its first artifact to its files: longer than any that was seen
_ZONES_DIFFER = timedelta(hours=14)  # from UTC, at most
_ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What tells of the time of one file.

    Attributes:
        name: of the file.
        layout: which columns it has.
        modified_at: when it was changed last.
        stamped_at: the latest stamp of its artifacts' names.
        exported_run_at: when the run was of which oomdb itself exported the file.
        is_copied: its time of modification is that of a copy, and tells nothing.
    """

    name: str
    layout: str
    modified_at: datetime
    stamped_at: datetime | None
    exported_run_at: datetime | None = None
    is_copied: bool = False


@dataclass(frozen=True, slots=True)
class RunTime:
    """When a run was (UTC), and by which evidence."""

    at: datetime
    evidence: Evidence


def find_stamp(text: str, *, now: datetime) -> datetime | None:
    """Return the latest stamp of artifact names in a text, None where there is none; none that lies ahead counts."""
    for stamp in sorted(set(_STAMP.findall(text)), reverse=True):
        try:
            at = datetime.fromisoformat(stamp)
        except ValueError:
            continue
        if not lies_ahead(at, now):
            return at
    return None


def lies_ahead(at: datetime, now: datetime) -> bool:
    """Tell whether no run can have been then: further ahead than clocks differ."""
    return at > now + _CLOCKS_DIFFER


def find_copied(modified: Sequence[datetime]) -> set[datetime]:
    """Return the times of modification that files share with others of one minute, as runs never do: those of a copy.

    Two files of a minute are none where there are more: somebody may have started two runs.
    """
    enough = min(3, max(2, len(modified)))
    ordered = sorted(modified)
    groups = ((first, bisect_right(ordered, at + _ONE_MINUTE)) for first, at in enumerate(ordered))
    return {at for first, end in groups if end - first >= enough for at in ordered[first:end]}


def date_runs(folder: Sequence[Traces], *, now: datetime) -> list[RunTime]:
    """Return the time of each file of one folder.

    By the stamps in its artifacts' names, else by the file's name, else by its modification. A name may have the time
    of the next run; then the modification is right, or else the name before it. What oomdb exported says it itself.

    Args:
        folder: all files of the folder, in any order.
        now: no run was later: a name that lies ahead tells nothing.
    """
    names = {it.name: its for it in folder if (its := read_name(it.name)) is not None and not lies_ahead(its.at, now)}
    in_order = sorted((its.at, name) for name, its in names.items())
    before = {name: at for (at, _), (_, name) in pairwise(in_order)}
    is_of_next = _judge_names(folder)
    return [_date(it, names.get(it.name), before.get(it.name), is_of_next) for it in folder]


_Judge = Callable[[Traces, datetime], bool]


def _date(it: Traces, named: NamedTime | None, named_before: datetime | None, is_of_next: _Judge) -> RunTime:
    if it.exported_run_at is not None:
        return RunTime(it.exported_run_at, "json")
    if it.stamped_at is not None:
        return RunTime(it.stamped_at, "artifacts")
    if named is None:
        return RunTime(it.modified_at, "mtime")
    if is_of_next(it, named.at):
        if not it.is_copied and it.modified_at <= named.at:
            return RunTime(it.modified_at, "mtime")
        return RunTime(named_before or named.at, "name")
    if not named.zone_is_known and not it.is_copied and abs(it.modified_at - named.at) <= _ZONES_DIFFER:
        return RunTime(it.modified_at, "mtime")
    return RunTime(named.at, "name")


def _judge_names(folder: Sequence[Traces]) -> _Judge:
    """Return what tells whether a name has the time of the next run: as its neighbours' names do, whose stamps show it.

    11 columns were only ever renamed by versions that give a file its own time.
    """
    witnesses = [
        (named.at, named.at - it.stamped_at > _RUN_LASTS)
        for it in folder
        if it.stamped_at is not None and (named := read_name(it.name)) is not None and named.zone_is_known
    ]

    def judge(it: Traces, named_at: datetime) -> bool:
        if it.layout == "legacy-11":
            return False
        if witnesses:
            return min(witnesses, key=lambda witness: abs(witness[0] - named_at))[1]
        since, until = _NAMES_OF_THE_NEXT_RUN
        return since <= named_at < until

    return judge
