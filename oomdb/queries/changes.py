"""What is other in a run than before it: rows that came and went, namespaces that grew, clusters that went dark."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select

from oomdb.queries.lists import read_missed_clusters
from oomdb.queries.namespaces import LISTS
from oomdb.queries.selection import READ, Run, find_previous_run
from oomdb.queries.window_coverage import Window, read_coverage
from oomdb.queries.windows import select_in_window
from oomdb.store.schema import findings, occurrences, run_clusters, run_gaps, runs

WEEK = timedelta(days=7)
MOVERS_NAMED = 5
_SECOND = timedelta(seconds=1)  # instants are stored in whole ones


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RowKey:
    """One row of the exports."""

    cluster: str
    namespace: str
    pod: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """A namespace with more occurrences in the seven days `now` than in the seven days `before` those."""

    cluster: str
    namespace: str
    now: int
    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkCluster:
    """A cluster that earlier runs read and this one did not; `status` is `absent` where it was no part of the run."""

    cluster: str
    last_read_at: datetime
    status: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is other in a run than before; only runs of its scope are compared with it.

    Attributes:
        previous: the newest run before it that read a cluster; None for none, and then nothing appeared or is gone.
        appeared: rows that the previous run looked for and did not have, by place.
        gone: rows of the previous run that this one looked for and does not have, by place.
        not_comparable: clusters that one of both runs did not read, so that none of their rows appeared or is gone.
        partly_comparable: clusters of which both runs read something, and one could not read all that it was to.
        movers: the namespaces that rose most in occurrences, kills and loops each once; at most five.
        movers_left: how many more rose.
        movers_unknown: clusters where more occurred than in the week before, of which less was looked at.
        dark: clusters that the thirty days before it had read and it did not.
    """

    previous: Run | None
    appeared: tuple[RowKey, ...]
    gone: tuple[RowKey, ...]
    not_comparable: tuple[str, ...]
    partly_comparable: tuple[str, ...]
    movers: tuple[Mover, ...]
    movers_left: int
    movers_unknown: tuple[str, ...]
    dark: tuple[DarkCluster, ...]


def read_changes(conn: Connection, run: Run) -> Changes:
    """Return what is other in a run than before it, as far as that can be told.

    Runs that began later play no part, but for kills and loops of those two weeks that were found later: movers are
    counted by what is known now, as `oomdb trends` does.
    """
    previous = find_previous_run(conn, run)
    compared = _Comparison() if previous is None else _compare_rows(conn, previous, run)
    risers, unknown = _read_risers(conn, run)
    return Changes(
        previous=previous,
        appeared=compared.appeared,
        gone=compared.gone,
        not_comparable=compared.not_comparable,
        partly_comparable=compared.partly_comparable,
        movers=tuple(risers[:MOVERS_NAMED]),
        movers_left=len(risers[MOVERS_NAMED:]),
        movers_unknown=unknown,
        dark=tuple(_iter_dark(conn, run)),
    )


# --- rows of two runs -------------------------------------------------------------------------------------------------

_Place = tuple[str, str]  # cluster, namespace; '' for the whole cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    appeared: tuple[RowKey, ...] = ()
    gone: tuple[RowKey, ...] = ()
    not_comparable: tuple[str, ...] = ()
    partly_comparable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How a run came to its clusters: their states, and the places where it could not read a list."""

    states: Mapping[str, str]
    unread: Collection[_Place]
    lookback: timedelta

    def looked_at(self, row: RowKey) -> bool:
        """Tell whether the run would have found the row, were it in a cluster that it read."""
        return (row.cluster, "") not in self.unread and (row.cluster, row.namespace) not in self.unread


def _compare_rows(conn: Connection, previous: Run, run: Run) -> _Comparison:
    old, new = _read_look(conn, previous), _read_look(conn, run)
    clusters = sorted({*old.states, *new.states})
    comparable = {it for it in clusters if old.states.get(it) in READ and new.states.get(it) in READ}
    # a run that looks back farther finds what was there before, one that looks back less far does not find it any more
    reach = min(old.lookback, new.lookback)
    found = _read_rows(conn, run, since=previous.started_at - reach if reach < new.lookback else None)
    had = _read_rows(conn, previous, since=previous.started_at - reach if reach < old.lookback else None)
    appeared, gone = found - _read_rows(conn, previous), had - _read_rows(conn, run)
    return _Comparison(
        appeared=tuple(sorted(row for row in appeared if row.cluster in comparable and old.looked_at(row))),
        gone=tuple(sorted(row for row in gone if row.cluster in comparable and new.looked_at(row))),
        not_comparable=tuple(it for it in clusters if it not in comparable),
        partly_comparable=tuple(sorted(comparable & {cluster for cluster, _ in {*old.unread, *new.unread}})),
    )


def _read_look(conn: Connection, run: Run) -> _Look:
    states = select(run_clusters.c.cluster, run_clusters.c.status).where(run_clusters.c.run_id == run.id)
    gaps = select(run_gaps.c.cluster, run_gaps.c.namespace)
    gaps = gaps.where(run_gaps.c.run_id == run.id, run_gaps.c.source.in_(LISTS))
    lookback = select(runs.c.lookback_seconds).where(runs.c.id == run.id)
    return _Look(
        states={row.cluster: row.status for row in conn.execute(states)},
        unread={(row.cluster, row.namespace) for row in conn.execute(gaps)},
        lookback=timedelta(seconds=conn.execute(lookback).scalar_one()),
    )


def _read_rows(conn: Connection, run: Run, *, since: datetime | None = None) -> set[RowKey]:
    """Return the rows of a run; with `since` those with evidence from then on, or of a time that nobody knows."""
    table = findings.c
    rows = select(table.cluster, table.namespace, table.pod, table.type).where(table.run_id == run.id)
    if since is not None:
        rows = rows.where(or_(table.last_at.is_(None), table.last_at >= since))
    return {RowKey(**row._mapping) for row in conn.execute(rows)}


# --- occurrences of two weeks -----------------------------------------------------------------------------------------


def _read_risers(conn: Connection, run: Run) -> tuple[list[Mover], tuple[str, ...]]:
    """Return the namespaces that rose, the highest rise first, and the clusters of which that cannot be told."""
    middle = run.started_at - WEEK
    weeks = (Window(middle, run.started_at), Window(middle - WEEK, middle))
    coverage = read_coverage(conn, weeks, ())
    now, before = (_count_occurrences(conn, week) for week in weeks)
    clusters = set(conn.execute(select(run_clusters.c.cluster).where(run_clusters.c.run_id == run.id)).scalars())
    risers, unknown = [], set()
    for (cluster, namespace), count in now.items():
        count_before = before.get((cluster, namespace), 0)
        if cluster not in clusters or count <= count_before:
            continue
        looks = coverage.get(cluster)
        if looks is None or looks[1].is_less_than(looks[0]):
            unknown.add(cluster)  # a time that nobody looked at would be the bottom of the rise
        else:
            risers.append(Mover(cluster=cluster, namespace=namespace, now=count, before=count_before))
    # where nothing is seen to have risen in a cluster that was looked at less this week, that may be why
    calm = clusters & coverage.keys() - {it.cluster for it in risers}
    unknown |= {it for it in calm if coverage[it][0].is_less_than(coverage[it][1])}
    risers.sort(key=lambda it: (it.before - it.now, it.cluster, it.namespace))
    return risers, tuple(sorted(unknown))


def _count_occurrences(conn: Connection, week: Window) -> dict[_Place, int]:
    """Return the number of kills and loops in a window by place, by what is known of that time now."""
    place = [occurrences.c.cluster, occurrences.c.namespace]
    held = select_in_window(place, week.since + _SECOND, week.until).order_by(None).subquery()
    counts = select(held.c.cluster, held.c.namespace, func.count()).group_by(held.c.cluster, held.c.namespace)
    return {(cluster, namespace): count for cluster, namespace, count in conn.execute(counts)}


# --- clusters ---------------------------------------------------------------------------------------------------------


def _iter_dark(conn: Connection, run: Run) -> Iterator[DarkCluster]:
    table = run_clusters.c
    tried = conn.execute(select(table.cluster, table.status, table.error).where(table.run_id == run.id))
    outcomes = {row.cluster: (row.status, row.error) for row in tried}
    for cluster, last_read_at in read_missed_clusters(conn, run.id, scope=run.scope):
        status, error = outcomes.get(cluster, ("absent", ""))
        yield DarkCluster(cluster=cluster, last_read_at=last_read_at, status=status, error=error)
