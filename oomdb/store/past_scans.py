"""Which scans of a cluster lie behind us, and read all of it that could be read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, false, func, select

from oomdb.store.database import Store
from oomdb.store.schema import namespaces, run_clusters, run_gaps, runs
from oomdb.timespan import TimeRange

_LISTS = ("namespaces", "events", "pods")  # sources of gaps that leave something unread
_NO_USE_ASKING_AGAIN = ("forbidden", "not-found")  # why, in a word, where a later look would not show more

# built once: building a statement costs more than running it
_SCANS = (
    select(
        run_clusters.c.cluster,
        run_clusters.c.run_id,
        runs.c.started_at,
        runs.c.time_range,
        runs.c.lookback_seconds,
        run_clusters.c.status,
    )
    .join_from(runs, run_clusters)
    .where(runs.c.origin == "collect", runs.c.scope_hash.in_(bindparam("scopes", expanding=True)))
)
_READ_WITHIN = _SCANS.where(
    run_clusters.c.status.in_(("complete", "partial")),
    runs.c.started_at.between(bindparam("since"), bindparam("until")),
)


def _build_gaps_that_matter() -> Select[Any]:
    """Build the query for what scans lack, but for namespaces that were refused and that no run read in that time."""
    scans, gaps = _READ_WITHIN.subquery(), run_gaps.c
    was_read = func.coalesce(namespaces.c.read_at >= bindparam("since"), false())
    refused_all_the_time = and_(gaps.namespace != "", gaps.status.in_(_NO_USE_ASKING_AGAIN), ~was_read)
    return (
        select(gaps.cluster, gaps.run_id, gaps.namespace, gaps.source, gaps.status)
        .join_from(scans, run_gaps, and_(gaps.run_id == scans.c.run_id, gaps.cluster == scans.c.cluster))
        .outerjoin(namespaces, and_(namespaces.c.cluster == gaps.cluster, namespaces.c.namespace == gaps.namespace))
        .where(gaps.source.in_(_LISTS), ~refused_all_the_time)
    )


_GAPS_THAT_MATTER = _build_gaps_that_matter()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastScan:
    """A cluster that was read by a run that began at `at` and looked back over `lookback`."""

    at: datetime
    time_range: str
    lookback: timedelta


class _Lack(NamedTuple):
    namespace: str
    source: str
    status: str


def list_whole_scans(store: Store, scopes: Sequence[str], within: TimeRange) -> dict[str, list[PastScan]]:
    """Return by cluster the scans that read all that could be read, of collects that began within a time.

    These are the complete ones, and those that lack only what was refused (403) all that time: to look further back
    would not show it. A refusal that is new may be a mistake that ends; what came in between is to be looked at then.
    A scan that was recorded counts whatever became of its run afterwards.

    Args:
        store: where the scans are.
        scopes: hashes of the scopes whose scans count.
        within: when their runs began.
    """
    asked = {"scopes": scopes, "since": within.since, "until": within.until}
    lacks: defaultdict[tuple[str, int], set[_Lack]] = defaultdict(set)
    with store.reading() as conn:
        scans = conn.execute(_READ_WITHIN, asked).all()
        for gap in conn.execute(_GAPS_THAT_MATTER, asked):
            lacks[gap.cluster, gap.run_id].add(_Lack(gap.namespace, gap.source, gap.status))
    by_cluster: defaultdict[str, list[set[_Lack]]] = defaultdict(list)
    for scan in scans:
        by_cluster[scan.cluster].append(lacks[scan.cluster, scan.run_id])
    always = {
        cluster: {lack for lack in set.intersection(*each) if lack.status in _NO_USE_ASKING_AGAIN}
        for cluster, each in by_cluster.items()
    }
    whole: defaultdict[str, list[PastScan]] = defaultdict(list)
    for scan in scans:
        if lacks[scan.cluster, scan.run_id] <= always[scan.cluster]:
            lookback = timedelta(seconds=scan.lookback_seconds)
            whole[scan.cluster].append(PastScan(at=scan.started_at, time_range=scan.time_range, lookback=lookback))
    return whole


def find_last_complete_scan(store: Store, cluster: str, scopes: Sequence[str], *, before: datetime) -> datetime | None:
    """Return when the last run before an instant began that read the cluster in full, None where none did."""
    scan = run_clusters.c
    begun = _SCANS.where(scan.cluster == cluster, scan.status == "complete", runs.c.started_at < before)
    with store.reading() as conn:
        row = conn.execute(begun.order_by(runs.c.started_at.desc()).limit(1), {"scopes": scopes}).first()
    return row.started_at if row else None
