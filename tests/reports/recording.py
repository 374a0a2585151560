"""Runs with a scope and a time range of their own, recorded in one call."""

from dataclasses import replace
from datetime import datetime, timedelta

from oomdb.model import ClusterScan
from oomdb.store.database import Store
from oomdb.store.runs import begin_run, finish_run
from oomdb.store.writer import record_scan
from tests.store.builders import NOW, start


def record_run(
    store: Store,
    *scans: ClusterScan,
    at: datetime = NOW,
    scope: str = "all",
    lookback: timedelta = timedelta(days=1),
    origin: str = "collect",
    tool_version: str = "0.1.0",
) -> int:
    """Record a run from begin to finish and return its number."""
    begun = replace(
        start(at=at, scope_hash=scope), scope=scope, lookback=lookback, origin=origin, tool_version=tool_version
    )
    run_id = begin_run(store, begun, now=at)
    for part in scans:
        record_scan(store, run_id, part, seen_at=at)
    finish_run(store, run_id, now=at)
    return run_id
