"""What the runs of a time counted, one after the other: the points of the charts."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, or_, select

from oomdb.queries.selection import READ, Run
from oomdb.store.schema import run_clusters, run_counts, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPoint:
    """One run: how it came to each cluster, and how many rows it counted there.

    Attributes:
        statuses: cluster → status; a cluster that is not in it was no part of the run.
        rows: (cluster, type) → rows of the exports; what is not in it is zero where the cluster was read, and unknown
            where it was not.
    """

    run_id: int
    started_at: datetime
    origin: str
    tool_version: str
    statuses: Mapping[str, str]
    rows: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The runs of one scope between two instants, oldest first; also those that could read no cluster."""

    since: datetime
    until: datetime
    points: tuple[RunPoint, ...]


def read_series(conn: Connection, run: Run, plot_range: timedelta) -> Series:
    """Return the runs of a run's scope up to it.

    They begin with the UTC day in which `plot_range` before the run lies: whole days, as the legacy script counted.
    """
    begins_at = run.started_at - min(plot_range, run.started_at - _FIRST_DAY)
    since = begins_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begun = runs.c.started_at
    wanted = and_(
        runs.c.scope == run.scope,
        begun.between(since, run.started_at),
        or_(begun < run.started_at, runs.c.id <= run.id),
        runs.c.status.in_(READ),
    )
    statuses: defaultdict[int, dict[str, str]] = defaultdict(dict)
    looks = select(run_clusters.c.run_id, run_clusters.c.cluster, run_clusters.c.status).join_from(runs, run_clusters)
    for run_id, cluster, status in conn.execute(looks.where(wanted)):
        statuses[run_id][cluster] = status
    rows: defaultdict[int, dict[tuple[str, str], int]] = defaultdict(dict)
    table = run_counts.c
    counts = select(table.run_id, table.cluster, table.type, table.rows).join_from(runs, run_counts)
    for run_id, cluster, type_, count in conn.execute(counts.where(wanted)):
        rows[run_id][cluster, type_] = count
    columns = select(runs.c.id, runs.c.started_at, runs.c.origin, runs.c.tool_version)
    found = conn.execute(columns.where(wanted).order_by(begun, runs.c.id))
    return Series(
        since=since,
        until=run.started_at,
        points=tuple(
            RunPoint(
                run_id=row.id,
                started_at=row.started_at,
                origin=row.origin,
                tool_version=row.tool_version,
                statuses=statuses[row.id],
                rows=rows[row.id],
            )
            for row in found
        ),
    )


_FIRST_DAY = datetime(1, 1, 1, tzinfo=UTC)
