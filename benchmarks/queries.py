"""Steps of SQLite's virtual machine for every query of lists and exports, when the history grows ten times."""

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, event

from benchmarks.bounds import Measured, report
from benchmarks.history import DAYS as GROWN_DAYS
from benchmarks.history import LAST_RUN, iter_history, stored_history
from oomdb.queries.changes import read_changes
from oomdb.queries.filters import FindingFilter
from oomdb.queries.instances import list_instances_of_run
from oomdb.queries.lists import (
    ListQuery,
    build_coverage_query,
    build_findings_query,
    build_gaps_query,
    build_occurrences_query,
    build_runs_query,
    list_missed_clusters,
    resolve_run,
    stream,
)
from oomdb.queries.selection import Run, find_run
from oomdb.queries.series import read_series
from oomdb.queries.trends import Dimension, Trends, find_trends
from oomdb.reports.content import build_content
from oomdb.reports.wishes import ReportWishes
from oomdb.store.database import Store, open_for_reading, open_for_writing, refresh_statistics
from oomdb.store.stored import list_uncaptured

DAYS = GROWN_DAYS // 10
BOUND = 1.25

ONE_WEEK, PLOT_RANGE = timedelta(days=7), timedelta(days=60)
WEEK = FindingFilter(since=LAST_RUN - ONE_WEEK)
TWO_MONTHS = FindingFilter(since=LAST_RUN - PLOT_RANGE)


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    failed = 0
    for title, analyze in (("as written", False), ("after ANALYZE", True)):
        with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as folder:
            short, long = (_count_steps_of(days, Path(folder), analyze=analyze) for days in (DAYS, GROWN_DAYS))
        measured = [
            Measured(f"{name}: {before:,} → {long[name]:,}", long[name] / before, BOUND)
            for name, before in short.items()
        ]
        failed |= report(f"VM steps, {DAYS} days → {GROWN_DAYS} days, {title}", measured)
        print()
    return failed


def _count_steps_of(days: int, folder: Path, *, analyze: bool) -> dict[str, int]:
    path = str(folder / f"{days}.sqlite")
    shutil.copy(stored_history(days), path)
    if analyze:
        with open_for_writing(path) as store, store.writing() as conn:
            refresh_statistics(conn)
    with open_for_reading(path) as store:
        return _count_steps(store)


def _count_steps(store: Store) -> dict[str, int]:
    """Return the steps of each query, by what it is for; the functions that the commands call are what is counted."""
    steps = 0

    def tick() -> int:
        nonlocal steps
        steps += 1
        return 0

    @event.listens_for(store._engine, "checkout")
    def attach(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
        connection.set_progress_handler(tick, 1)

    def count(work: Callable[[], object]) -> int:
        before = steps
        work()
        return steps - before

    return {name: count(work) for name, work in _queries(store).items()}


def _queries(store: Store) -> dict[str, Callable[[], object]]:
    def rows(query: ListQuery) -> list[object]:
        return list(stream(store, query).rows)

    def findings(filters: FindingFilter, limit: int | None = None) -> list[object]:
        return rows(build_findings_query(resolve_run(store, filters), limit))

    def occurrences(filters: FindingFilter, limit: int | None = None) -> list[object]:
        return rows(build_occurrences_query(store, filters, limit))

    def coverage(filters: FindingFilter) -> list[object]:
        return rows(build_coverage_query(resolve_run(store, filters), None))

    def of_latest(read: Callable[[Connection, Run], object]) -> object:
        with store.reading() as conn:
            return read(conn, find_run(conn, "latest"))

    def trends(*by: Dimension, periods: int) -> Trends:
        with store.reading() as conn:
            return find_trends(conn, FindingFilter(), by=by, window=ONE_WEEK, periods=periods)

    latest = resolve_run(store, FindingFilter(run="latest"))
    one_pod, one_cluster = replace(WEEK, pod="service-17"), replace(WEEK, clusters=("kflux-prd-rh03",))
    *_, last_run = iter_history(5)
    return {
        "the latest run": lambda: resolve_run(store, FindingFilter(run="latest")),
        "runs --since 7d": lambda: rows(build_runs_query(WEEK, None)),
        "runs --limit 20": lambda: rows(build_runs_query(FindingFilter(), 20)),
        "findings": lambda: findings(FindingFilter()),
        "findings --since 7d": lambda: findings(WEEK),
        "findings --since 60d": lambda: findings(TWO_MONTHS),
        "findings --since 7d --limit 20": lambda: findings(WEEK, 20),
        "findings --since 7d --pod TEXT": lambda: findings(one_pod),
        "findings --since 7d --cluster NAME": lambda: findings(one_cluster),
        "occurrences --since 7d": lambda: occurrences(WEEK),
        "occurrences --since 60d": lambda: occurrences(TWO_MONTHS),
        "occurrences --since 7d --pod TEXT": lambda: occurrences(one_pod),
        "occurrences --since 7d --cluster NAME": lambda: occurrences(one_cluster),
        "occurrences --run latest": lambda: occurrences(latest),
        "occurrences --limit 20": lambda: occurrences(FindingFilter(), 20),
        "coverage": lambda: coverage(FindingFilter()),
        "coverage --since 7d": lambda: coverage(WEEK),
        "coverage --gaps": lambda: rows(build_gaps_query(latest, None)),
        "coverage --gaps --since 7d": lambda: rows(build_gaps_query(WEEK, None)),
        "coverage: clusters not read": lambda: list_missed_clusters(store, int(latest.run or 0)),
        "report: series of 60 days": lambda: of_latest(lambda conn, run: read_series(conn, run, PLOT_RANGE)),
        "report: what changed": lambda: of_latest(read_changes),
        "report: all of it, --plot-range 60d": lambda: build_content(
            store, "latest", output_dir=Path(), wishes=ReportWishes(plot_range=PLOT_RANGE)
        ),
        "trends --by cluster,namespace": lambda: trends("cluster", "namespace", periods=2),
        "trends --by pod --periods 8": lambda: trends("pod", periods=8),
        "summary": lambda: of_latest(list_instances_of_run),
        "collect: what is stored of a scan": lambda: [
            list_uncaptured(store, scan.cluster, scan.findings, seen_at=last_run.at) for scan in last_run.scans
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
