"""What the charts show: the runs of a series as points on lines, gaps where nobody could look, marks, and notes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby, pairwise

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.lists import KNOWN_FOR
from oomdb.queries.selection import READ
from oomdb.queries.series import RunPoint, Series
from oomdb.reports.backups import format_day
from oomdb.reports.content import order_types
from oomdb.timespan import format_instant

MOST_POINTS = 120
_MOST_SPELLS = 5  # of not looking, that a note spells out


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One line at one place of the axis.

    Attributes:
        count: rows; None where nobody could look, or where the cluster was not known yet.
        at_least: the count is what was seen of more that could not be looked at.
        missing: why there is no count, '' where nothing is missed.
        title: what the reader is told about it.
    """

    count: int | None
    at_least: bool = False
    missing: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The values of one type, one for each place of the axis."""

    type: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of the axis: its label, what sorts by time, how counting changed before it ('' where it did not)."""

    label: str
    moment: str
    change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over one axis; `total` is the sum of all rows of all runs, by which charts are ordered."""

    name: str  # of the cluster, '' for all of them
    places: tuple[Place, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartSet:
    """All charts of a series: one a type over all clusters, one a cluster, and what their axis shows."""

    axis: str
    types: tuple[str, ...]
    overall: tuple[Chart, ...]
    clusters: tuple[Chart, ...]


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The runs that share one place of the axis; `label` is the run's moment, or the day, `moment` sorts by time."""

    label: str
    moment: str
    points: tuple[RunPoint, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """What one run says of one line: a count, perhaps at least that many, or why there is none."""

    point: RunPoint
    count: int | None
    coverage: str
    at_least: bool = False


def build_charts(series: Series, *, zone: tzinfo | None) -> ChartSet:
    """Return the charts of a series; up to MOST_POINTS runs each is a point, beyond that the days' maxima are."""
    types = tuple(order_types(list({OOM_KILLED, CRASH_LOOP_BACK_OFF, *_iter_types(series)})))
    days = _days_per_point(series, zone)
    buckets = _by_day(series, zone, days) if days else _by_run(series, zone)
    places = _build_places(buckets)
    overall = [_build_chart("", (type_,), buckets, places, _looker_at_all(series), zone) for type_ in types]
    clusters = sorted({cluster for point in series.points for cluster in point.statuses})
    charts = [_build_chart(name, types, buckets, places, _looker_at(name, series), zone) for name in clusters]
    return ChartSet(
        axis=_describe_axis(days),
        types=types,
        overall=tuple(overall),
        clusters=tuple(sorted(charts, key=lambda chart: -chart.total)),
    )


# --- the axis -------------------------------------------------------------------------------------------------------


def _days_per_point(series: Series, zone: tzinfo | None) -> int:
    """Return how many days a point stands for; 0: every run has a point of its own."""
    if len(series.points) <= MOST_POINTS:
        return 0
    first, last = (_day_of(series.points[index], zone) for index in (0, -1))
    return -(-((last - first).days + 1) // MOST_POINTS)


def _describe_axis(days: int) -> str:
    if not days:
        return "One point a run."
    span = "one point a day: the day's maximum" if days == 1 else f"one point for {days} days: their maximum"
    return f"More than {MOST_POINTS} runs, so {span} over the runs."


def _by_run(series: Series, zone: tzinfo | None) -> list[_Bucket]:
    return [
        _Bucket(_format_moment(point.started_at, zone), format_instant(point.started_at), (point,))
        for point in series.points
    ]


def _by_day(series: Series, zone: tzinfo | None, days: int) -> list[_Bucket]:
    """Return the runs by day, or by several; days without a run are there too, so that the axis is even."""
    first = _day_of(series.points[0], zone)
    by_place = {
        place: tuple(points)
        for place, points in groupby(series.points, lambda point: (_day_of(point, zone) - first).days // days)
    }
    days_of_places = (first + timedelta(days=place * days) for place in range(max(by_place) + 1))
    return [
        _Bucket(format_day(day), day.isoformat(), by_place.get(place, ())) for place, day in enumerate(days_of_places)
    ]


def _build_places(buckets: Sequence[_Bucket]) -> tuple[Place, ...]:
    """Return the places, with a mark where the runs from there on were counted by another origin or version."""
    points = [point for bucket in buckets for point in bucket.points]
    changes = {
        after.run_id: f"from {before.origin} {before.tool_version} to {after.origin} {after.tool_version}".strip()
        for before, after in pairwise(points)
        if (before.origin, before.tool_version) != (after.origin, after.tool_version)
    }
    return tuple(
        Place(
            label=bucket.label,
            moment=bucket.moment,
            change="; ".join(changes[point.run_id] for point in bucket.points if point.run_id in changes),
        )
        for bucket in buckets
    )


def _day_of(point: RunPoint, zone: tzinfo | None) -> date:
    return point.started_at.astimezone(zone).date()


def _format_moment(at: datetime, zone: tzinfo | None) -> str:
    local = at.astimezone(zone)
    return f"{format_day(local)} {local:%H:%M}"


# --- the lines ------------------------------------------------------------------------------------------------------

_Looker = Callable[[RunPoint, str], _Look | None]


def _looker_at_all(series: Series) -> _Looker:
    """Return what looks at all clusters; one that a run did not ask for, and those before did, is missed for a time."""
    last_asked: dict[str, datetime] = {}
    left_out: dict[int, int] = {}
    for point in series.points:
        known = {cluster for cluster, at in last_asked.items() if point.started_at - at <= KNOWN_FOR}
        left_out[point.run_id] = len(known - point.statuses.keys())
        last_asked |= dict.fromkeys(point.statuses, point.started_at)
    return lambda point, type_: _look_at_all(point, type_, left_out=left_out[point.run_id])


def _look_at_all(point: RunPoint, type_: str, *, left_out: int) -> _Look:
    """Return the rows of a run over all its clusters, of which so many known ones were left out."""
    read = [cluster for cluster, status in point.statuses.items() if status in READ]
    whole = [cluster for cluster in read if point.statuses[cluster] == "complete"]
    if not read:
        return _Look(point, None, "no cluster could be read")
    count = sum(rows for (_, of_type), rows in point.rows.items() if of_type == type_)
    clusters = len(point.statuses) + left_out
    if len(whole) == clusters:
        return _Look(point, count, f"{len(read)} of {len(read)} clusters read")
    partly = len(read) - len(whole)
    unread = len(point.statuses) - len(read)
    parts = [f"{unread} of {clusters} clusters not read"] if unread else []
    parts += [f"{left_out} of {clusters} clusters not asked for"] if left_out else []
    parts += [f"{partly} of {clusters} read in part"] if partly else []
    return _Look(point, count, ", ".join(parts), at_least=True)


def _looker_at(cluster: str, series: Series) -> _Looker:
    """Return what looks at one cluster: None before the first run that knew of it."""
    known_from = next(number for number, point in enumerate(series.points) if cluster in point.statuses)
    known = {point.run_id for point in series.points[known_from:]}

    def look(point: RunPoint, type_: str) -> _Look | None:
        if point.run_id not in known:
            return None
        status = point.statuses.get(cluster)
        if status is None:
            return _Look(point, None, "not asked for")
        if status not in READ:
            return _Look(point, None, status)
        return _Look(point, point.rows.get((cluster, type_), 0), status, at_least=status != "complete")

    return look


def _build_chart(
    name: str,
    types: Sequence[str],
    buckets: Sequence[_Bucket],
    places: tuple[Place, ...],
    look: _Looker,
    zone: tzinfo | None,
) -> Chart:
    lines = tuple(
        Line(type=type_, values=tuple(_build_value(bucket, type_, name, look, zone) for bucket in buckets))
        for type_ in types
    )
    points = [point for bucket in buckets for point in bucket.points]
    looks = [found for point in points if (found := look(point, types[0])) is not None]
    total = sum(
        rows for point in points for key, rows in point.rows.items() if name in ("", key[0]) and key[1] in types
    )
    notes = (*_iter_notes(name, looks, zone), *_iter_pauses(buckets))
    return Chart(name=name, places=places, lines=lines, notes=notes, total=total)


def _build_value(bucket: _Bucket, type_: str, name: str, look: _Looker, zone: tzinfo | None) -> Value:
    """Return the greatest count of the bucket's runs, or why there is none."""
    looks = [found for point in bucket.points if (found := look(point, type_)) is not None]
    if not looks:
        return Value(count=None, missing="" if bucket.points else "no run", title=f"{bucket.label}: no run")
    counted = [found for found in looks if found.count is not None]
    unread = len(looks) - len(counted)
    where = name or "all clusters"
    if not counted:
        why = ", ".join(sorted({found.coverage for found in looks}))
        title = f"{_name_of(looks[0], zone)}, {where}: {type_} not known: {why}"
        return Value(count=None, missing=why, title=title)
    top = max(counted, key=lambda found: (found.count or 0, not found.at_least))
    rows = f"{'at least ' if top.at_least else ''}{top.count} {type_} {'row' if top.count == 1 else 'rows'}"
    title = f"{_name_of(top, zone)}, {where}: {rows}, {top.coverage}"
    if len(looks) > 1:
        title += f"; the most of {len(looks)} runs" + (f", {unread} of which could not look" if unread else "")
    return Value(count=top.count, at_least=top.at_least, title=title)


def _name_of(look: _Look, zone: tzinfo | None) -> str:
    return f"run {look.point.run_id}, {_format_moment(look.point.started_at, zone)}"


# --- the notes ------------------------------------------------------------------------------------------------------


def _iter_notes(name: str, looks: Sequence[_Look], zone: tzinfo | None) -> Iterator[str]:
    """Say what was not looked at, and what a hollow point is."""
    if not looks:
        return
    spells = [
        (why, list(run)) for why, run in groupby(looks, lambda look: look.coverage if look.count is None else "") if why
    ]
    if spells:
        told = [_describe_spell(why, run, zone) for why, run in spells[-_MOST_SPELLS:]]
        earlier = len(spells) - len(told)
        more = f"; and {earlier} earlier {'time' if earlier == 1 else 'times'}" if earlier else ""
        yield f"× Not looked at: {'; '.join(told)}{more}."
    hollow = sum(1 for look in looks if look.at_least)
    if hollow:
        reasons = Counter(look.coverage for look in looks if look.at_least)
        often = reasons.most_common(1)[0][0]
        what = f"of {hollow} of {len(looks)} runs" if hollow < len(looks) else f"of all {len(looks)} runs"
        whose = "the cluster was read in part" if name else f"some clusters were not read as a whole (mostly: {often})"
        yield f"○ Hollow points are the least there was: in {what[3:]} {whose}."


def _iter_pauses(buckets: Sequence[_Bucket]) -> Iterator[str]:
    empty = sum(1 for bucket in buckets if not bucket.points)
    if empty:
        yield f"× also marks {empty} {'place' if empty == 1 else 'places'} without any run."


def _describe_spell(why: str, looks: Sequence[_Look], zone: tzinfo | None) -> str:
    first, last = (_format_moment(look.point.started_at, zone) for look in (looks[0], looks[-1]))
    if len(looks) == 1:
        return f"{first} ({why})"
    return f"{first} to {last} ({len(looks)} runs: {why})"


def _iter_types(series: Series) -> Iterable[str]:
    return (type_ for point in series.points for _, type_ in point.rows)
