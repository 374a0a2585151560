"""How far `--time-range auto` looks back: for each cluster since its last complete scan, and what it cannot reach."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from oomdb.model import Gap
from oomdb.store.database import Store
from oomdb.store.runs import CompleteScan, find_last_complete_scan, list_complete_scans
from oomdb.timespan import TimeRange, format_instant

AUTO = "auto"  # as it is typed, and stored with the run
LONGEST = timedelta(days=7)
# A kill shows late where the kubelet had lost the API server: its pods are given up after five minutes (the default
# toleration of node.kubernetes.io/unreachable). As much again for clocks that differ. What is seen twice counts once.
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Lookback:
    """How far one cluster is looked back over, and the gap between its last complete scan and that, if there is one."""

    span: timedelta
    gap: Gap | None = None


def plan_lookbacks(
    store: Store, clusters: Iterable[str], *, covered_by: Iterable[str], now: datetime
) -> dict[str, Lookback]:
    """Return for each cluster how far to look back.

    Args:
        store: where its scans are.
        clusters: their names.
        covered_by: hashes of the scopes whose scans count.
        now: the moment at which the run begins.
    """
    scopes = sorted(covered_by)
    scans = list_complete_scans(store, scopes, TimeRange(now - LONGEST, now))
    return {cluster: _plan(store, cluster, scans.get(cluster, ()), scopes, now) for cluster in clusters}


def _plan(store: Store, cluster: str, scans: Sequence[CompleteScan], scopes: Sequence[str], now: datetime) -> Lookback:
    floor = now - LONGEST
    if not scans:
        return Lookback(LONGEST, _gap(find_last_complete_scan(store, cluster, scopes, before=floor), floor))
    return Lookback(min(now - _covered_until(scans, floor) + OVERLAP, LONGEST))


def _covered_until(scans: Sequence[CompleteScan], floor: datetime) -> datetime:
    """Return the first instant after the floor that no scan looked at."""
    until = floor
    for scan in sorted(scans, key=_reach):
        if _reach(scan) > until:
            break  # it looked back less far than to the scan before it
        until = max(until, scan.at)
    return until


def _reach(scan: CompleteScan) -> datetime:
    # a complete scan by `auto` joined on to those before it
    return scan.at - (LONGEST if scan.time_range == AUTO else scan.lookback)


def _gap(last_at: datetime | None, floor: datetime) -> Gap:
    reached = f"7 days were looked back over, to {format_instant(floor)}"
    if last_at is None:
        told = f"never read completely before; {reached}, and what happened until then is not known."
    else:
        told = f"last read completely at {format_instant(last_at)}; {reached}, and the time in between is not known."
    return Gap(namespace="", source="time-range", status="too-long-ago", message=told)
