"""Since when `--time-range auto` looks: for each cluster since its last complete scan, and what it cannot reach."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from oomdb.model import Gap
from oomdb.store.database import Store
from oomdb.store.past_scans import PastScan, find_last_complete_scan, list_whole_scans
from oomdb.timespan import TimeRange, format_instant

AUTO = "auto"  # as it is typed, and stored with the run
LONGEST = timedelta(days=7)
# A kill shows late where the kubelet had lost the API server: its pods are given up after five minutes (the default
# toleration of node.kubernetes.io/unreachable). As much again for clocks that differ. What is seen twice counts once.
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Lookback:
    """Since when one cluster is looked at, and the gap between its last complete scan and that, if there is one.

    An instant of our clock, not a span: a cluster may wait for its turn, and what happens meanwhile is looked at too.
    """

    since: datetime
    gap: Gap | None = None


def plan_lookbacks(
    store: Store, clusters: Iterable[str], *, covered_by: Iterable[str], now: datetime
) -> dict[str, Lookback]:
    """Return for each cluster since when to look.

    Args:
        store: where its scans are.
        clusters: their names.
        covered_by: hashes of the scopes whose scans count.
        now: the moment at which the run begins.
    """
    scopes = sorted(covered_by)
    scans = list_whole_scans(store, scopes, TimeRange(now - LONGEST, now))
    return {cluster: _plan(store, cluster, scans.get(cluster, ()), scopes, now) for cluster in clusters}


def _plan(store: Store, cluster: str, scans: Sequence[PastScan], scopes: Sequence[str], now: datetime) -> Lookback:
    floor = now - LONGEST
    if not scans:
        return Lookback(floor, _gap(find_last_complete_scan(store, cluster, scopes, before=floor), floor))
    return Lookback(max(_covered_until(scans, floor) - OVERLAP, floor))


def _covered_until(scans: Sequence[PastScan], floor: datetime) -> datetime:
    """Return the first instant after the floor that no scan looked at."""
    until = floor
    for scan in sorted(scans, key=_reach):
        if _reach(scan) > until:
            break  # it looked back less far than to the scan before it
        until = max(until, scan.at)
    return until


def _reach(scan: PastScan) -> datetime:
    # A run looks back from when it began, at all its clusters, however late their turn came.
    # A complete scan by `auto` joined on to those before it.
    return scan.at - (LONGEST if scan.time_range == AUTO else scan.lookback)


def _gap(last_at: datetime | None, floor: datetime) -> Gap:
    reached = f"7 days were looked back over, to {format_instant(floor)}"
    if last_at is None:
        told = f"never read completely before; {reached}, and what happened until then is not known."
    else:
        told = f"last read completely at {format_instant(last_at)}; {reached}, and the time in between is not known."
    return Gap(namespace="", source="time-range", status="too-long-ago", message=told)
