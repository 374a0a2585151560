"""Occurrences window by window, and what has become more or less of: each kill and each loop once in a window."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args

from sqlalchemy import Column, ColumnElement, Connection, Subquery, func, select

from oomdb.errors import UsageError, suggest
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.filters import FindingFilter
from oomdb.queries.lists import any_glob, of_pods
from oomdb.queries.owners import owner_of
from oomdb.queries.selection import Run, find_run
from oomdb.queries.window_coverage import Coverage, Window, no_coverage, read_coverage
from oomdb.queries.windows import select_in_window
from oomdb.store.schema import occurrences
from oomdb.table import escape_controls
from oomdb.timespan import to_whole_seconds

Dimension = Literal["cluster", "namespace", "workload", "application", "component", "pod", "node", "owner"]
Trend = Literal["↑↑", "↑", "→", "↓", "?"]

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
MOST_PERIODS = 60  # two months of days, a year of weeks

_SECOND = timedelta(seconds=1)  # the store's instants are whole seconds


@dataclass(frozen=True, slots=True)
class Count:
    """What a window holds of one type, in one group.

    `occurrences` is None where there are none and nobody looked; `restarts` is the highest number of restarts of a
    container when one of them was last seen, None where it is not known.
    """

    occurrences: int | None
    restarts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One value of each dimension, and what happened there; windows are newest first.

    Attributes:
        names: as stored, '' where it is not known.
        counts: by window and type.
        coverage: by window, of its cluster, or of the one of all clusters that was looked at least.
        trend: the newest window against the one before; None where there is no other.
    """

    names: tuple[str, ...]
    counts: tuple[Mapping[str, Count], ...]
    coverage: tuple[Coverage, ...]
    trend: Trend | None

    @property
    def restarts(self) -> int | None:
        """The highest number of restarts in all windows, None where it is not known."""
        known = (count.restarts for counts in self.counts for count in counts.values())
        return max((restarts for restarts in known if restarts is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trends:
    """Groups by what the newest window holds of them, most first; then by restarts if pods are told apart; by name.

    Attributes:
        windows: newest first, adjoining.
        types: those that are asked for or occur.
        clusters: by window, of each that is asked for and that a run was to read, or in which something occurred.
        run: the run with whose beginning the newest window ends; None where its end was given.
    """

    by: tuple[Dimension, ...]
    windows: tuple[Window, ...]
    types: tuple[str, ...]
    groups: tuple[Group, ...]
    clusters: Mapping[str, tuple[Coverage, ...]]
    run: Run | None


def find_trends(
    conn: Connection, filters: FindingFilter, *, by: Sequence[Dimension], window: timedelta, periods: int
) -> Trends:
    """Count occurrences in windows of one length, one before the other.

    A window holds the kills in it and the loops that overlap it: a long loop counts in each window that it overlaps.

    Args:
        conn: a reading connection.
        filters: which count; `until` is where the newest window ends, without it the beginning of the latest run.
        by: the dimensions of a group.
        window: length of a window, whole seconds.
        periods: how many windows.

    Raises:
        UsageError: for windows that cannot be.
        NothingReadError: where no run has read a cluster, and `until` is not given.
    """
    run, until = None, filters.until
    if until is None:
        run = find_run(conn, "latest")
        until = run.started_at
    windows = _plan_windows(until, window, periods)
    clusters = _read_clusters(conn, windows, filters.clusters)
    counted = [_count(conn, filters, by, it) for it in windows]
    found = {type_ for counts in counted for by_type in counts.values() for type_ in by_type}
    types = _order_types(filters.types, found)
    groups = _iter_groups(counted, types, by, clusters)
    return Trends(
        by=tuple(by),
        windows=windows,
        types=types,
        groups=tuple(sorted(groups, key=_most_first(by))),
        clusters=clusters,
        run=run,
    )


def parse_dimensions(texts: Iterable[str]) -> tuple[Dimension, ...]:
    """Return the dimensions that texts name, each with one or several that commas part; what comes twice counts once.

    Raises:
        UsageError: for a word that is none, and for no word at all.
    """
    known: dict[str, Dimension] = {name: name for name in DIMENSIONS}
    words = dict.fromkeys(word for text in texts for part in text.split(",") if (word := part.strip()))
    for word in words:
        if word not in known:
            raise UsageError(f"Trends are not told by '{escape_controls(word)}'; {suggest(word, known)}")
    if not words:
        raise UsageError(f"Say by what to tell trends; known: {', '.join(known)}.")
    return tuple(known[word] for word in words)


def compare(newest: int, before: int) -> Trend:
    """Return which way a count went; the two swapped, the arrow turns round.

    `↑` from a quarter more on, `↑↑` from twice as much on, if it is at least three more; `↓` where the count before is
    by a quarter more than the newest; else `→`. It describes; whether chance alone would do that is not asked.
    """
    if newest == before or max(newest, before) * 4 < min(newest, before) * 5:
        return "→"
    if newest < before:
        return "↓"
    return "↑↑" if newest >= 2 * before and newest >= before + 3 else "↑"


_Counts = Mapping[tuple[str, ...], Mapping[str, Count]]  # by names and type


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How the clusters of a group were looked at: by window, and in the newest against the one before."""

    worst: tuple[Coverage, ...]
    any_read: tuple[bool, ...]
    newest_is_less: bool
    before_is_less: bool


def _plan_windows(until: datetime, length: timedelta, periods: int) -> tuple[Window, ...]:
    if not 1 <= periods <= MOST_PERIODS:
        raise UsageError(f"{periods} windows cannot be compared: ask for 1 to {MOST_PERIODS} periods.")
    if length < _SECOND or length % _SECOND:
        raise UsageError(f"A window cannot be {length} long: ask for whole seconds, at least one.")
    try:
        ends = [to_whole_seconds(until) - length * number for number in range(periods + 1)]
    except OverflowError as err:
        raise UsageError(
            f"{periods} windows of {length.days} days begin before the calendar does: ask for shorter ones, or fewer."
        ) from err
    return tuple(Window(since, end) for end, since in pairwise(ends))


def _read_clusters(
    conn: Connection, windows: Sequence[Window], wanted: Sequence[str]
) -> dict[str, tuple[Coverage, ...]]:
    whole = Window(windows[-1].since, windows[0].until)
    struck = select(_within(whole, [occurrences.c.cluster], any_glob(occurrences.c.cluster, wanted)).c.cluster)
    unread = tuple(no_coverage(window) for window in windows)
    clusters = dict.fromkeys(conn.execute(struck.distinct()).scalars(), unread)
    clusters |= read_coverage(conn, windows, wanted)
    return dict(sorted(clusters.items()))


def _count(conn: Connection, filters: FindingFilter, by: Sequence[Dimension], window: Window) -> _Counts:
    table = occurrences.c
    stored = dict.fromkeys(name for it in by for name in (("cluster", "namespace") if it == "owner" else (it,)))
    columns = [*(table[name] for name in stored), table.type, table.restart_count]
    held = _within(window, columns, *of_pods(filters, table)).c
    keys = [*(func.coalesce(owner_of(held), "") if name == "owner" else held[name] for name in by), held.type]
    counts: defaultdict[tuple[str, ...], dict[str, Count]] = defaultdict(dict)
    for *names, type_, number, restarts in conn.execute(
        select(*keys, func.count(), func.max(held.restart_count)).group_by(*keys)
    ):
        counts[tuple(names)][type_] = Count(number, restarts)
    return counts


def _within(window: Window, columns: Sequence[Column[Any]], *conditions: ColumnElement[bool]) -> Subquery:
    selected = select_in_window(columns, window.since + _SECOND, window.until, *conditions)
    return selected.order_by(None).subquery()


def _order_types(wanted: Sequence[str], found: set[str]) -> tuple[str, ...]:
    """Return kills, loops, then others by name; of those that are asked for also the ones that did not occur."""
    usual = (OOM_KILLED, CRASH_LOOP_BACK_OFF)
    if not wanted:
        return (*usual, *sorted(found.difference(usual)))
    spelled = {type_.lower(): type_ for type_ in (*wanted, *sorted(found), *usual)}  # the later spelling counts
    asked = {spelled[type_.lower()] for type_ in wanted} | found
    return (*(type_ for type_ in usual if type_ in asked), *sorted(asked.difference(usual)))


def _iter_groups(
    counted: Sequence[_Counts],
    types: Sequence[str],
    by: Sequence[Dimension],
    clusters: Mapping[str, tuple[Coverage, ...]],
) -> Iterator[Group]:
    @cache
    def look_at(cluster: str | None) -> _Look:
        return _build_look(list(clusters.values()) if cluster is None else [clusters[cluster]])

    place = by.index("cluster") if "cluster" in by else None
    for names in {names for counts in counted for names in counts}:
        look = look_at(None if place is None else names[place])
        counts = tuple(
            {type_: of_window.get(names, {}).get(type_, Count(0 if read else None)) for type_ in types}
            for of_window, read in zip(counted, look.any_read, strict=True)
        )
        totals = [_total(of_window) for of_window in counts]
        trend = _draw(totals[0], totals[1], look) if len(totals) > 1 else None
        yield Group(names=names, counts=counts, coverage=look.worst, trend=trend)


def _build_look(clusters: Sequence[tuple[Coverage, ...]]) -> _Look:
    by_window = list(zip(*clusters, strict=True))
    newest, before = by_window[0], by_window[:2][-1]
    return _Look(
        worst=tuple(min(of_each, key=lambda it: (it.covered, it.complete)) for of_each in by_window),
        any_read=tuple(any(it.covered for it in of_each) for of_each in by_window),
        newest_is_less=_is_less(newest, before),
        before_is_less=_is_less(before, newest),
    )


def _is_less(one: Sequence[Coverage], other: Sequence[Coverage]) -> bool:
    """Tell whether some cluster was looked at less in one window than in the other, or no cluster at all."""
    less = any(coverage.is_less_than(than) for coverage, than in zip(one, other, strict=True))
    return less or not any(coverage.covered for coverage in one)


def _draw(newest: int, before: int, look: _Look) -> Trend:
    """Return the arrow, or `?` where what was not looked at could turn it."""
    arrow = compare(newest, before)
    rose, fell = arrow in ("↑", "↑↑"), arrow == "↓"
    return "?" if (look.newest_is_less and not rose) or (look.before_is_less and not fell) else arrow


def _most_first(by: Sequence[Dimension]) -> Callable[[Group], tuple[int, int, tuple[str, ...]]]:
    # of pods that did the same, the one that restarted most is the worst
    restarts_count = "pod" in by
    return lambda group: (-_total(group.counts[0]), -(group.restarts or 0) if restarts_count else 0, group.names)


def _total(counts: Mapping[str, Count]) -> int:
    return sum(count.occurrences or 0 for count in counts.values())
