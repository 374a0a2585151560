"""The lists that people print: runs, findings, occurrences, coverage, gaps; as statements, and as streams of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
)

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.filters import FindingFilter
from oomdb.queries.owners import is_owned_by, owner_of
from oomdb.queries.selection import READ, find_run
from oomdb.queries.windows import select_in_window
from oomdb.store.database import Store
from oomdb.store.dialect import contains, matches_glob, unindexed
from oomdb.store.schema import artifacts, findings, occurrences, pods, run_clusters, run_counts, run_gaps, runs
from oomdb.table import Cell, Table

EVERYWHERE = ""  # the namespace of a gap that is the whole cluster
KNOWN_FOR = timedelta(days=30)  # a cluster that was not read for longer is no longer missed

Query = Select[Any]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A statement, and the headers of its rows."""

    headers: tuple[str, ...]
    statement: Query


def stream(store: Store, query: ListQuery) -> Table:
    """Return a table whose rows are read from the database while they are printed."""
    return Table(query.headers, _iter_rows(store, query))


def run_meant(filters: FindingFilter) -> Literal["latest"] | int | None:
    """Return the run that a list is about: the latest where neither a run nor a window is given, None for a window."""
    if filters.run is None and filters.since is None and filters.until is None:
        return "latest"
    return filters.run


def resolve_run(store: Store, filters: FindingFilter, *, any_status: bool = False) -> FindingFilter:
    """Return the filter with the number of the run that it means; without run and window that is the latest.

    Args:
        store: where the run is looked for.
        filters: what is asked for.
        any_status: take a run by its number also while it is running, or when it was aborted.

    Raises:
        NothingReadError: if no run has read a cluster, and the latest is wanted.
        UsageError: if there is no such run.
    """
    wanted = run_meant(filters)
    if wanted is None:
        return filters
    with store.reading() as conn:
        return replace(filters, run=find_run(conn, wanted, any_status=any_status).id)


def build_runs_query(filters: FindingFilter, limit: int | None) -> ListQuery:
    """List runs, newest first, with how many clusters they read and what they found."""
    of_run = run_clusters.c.run_id == runs.c.id
    counts = run_counts.c.run_id == runs.c.id
    statement = select(
        runs.c.id,
        runs.c.started_at,
        runs.c.finished_at,
        runs.c.status,
        runs.c.origin,
        runs.c.scope,
        runs.c.time_range,
        select(func.count()).where(of_run, run_clusters.c.status.in_(READ)).scalar_subquery(),
        select(func.count()).where(of_run).scalar_subquery(),
        select(func.coalesce(func.sum(run_counts.c.rows), 0)).where(counts).scalar_subquery(),
        select(func.coalesce(func.sum(run_counts.c.new_occurrences), 0)).where(counts).scalar_subquery(),
    )
    statement = statement.where(*_of_runs(filters)).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
    headers = ("run", "started_at", "finished_at", "status", "origin", "scope", "time_range")
    return ListQuery((*headers, "clusters_read", "clusters", "rows", "new_occurrences"), statement)


def build_findings_query(filters: FindingFilter, limit: int | None) -> ListQuery:
    """List findings, of the newest run first; within a run by type, cluster, namespace and pod."""
    table = findings.c
    columns = [
        table.run_id,
        runs.c.started_at,
        table.cluster,
        table.namespace,
        table.pod,
        table.container,
        table.type,
        table.workload_kind,
        table.workload,
        table.application,
        table.component,
        owner_of(table).label("owner"),
        table.occurrences,
        table.first_at,
        table.last_at,
        table.sources,
        table.evidence,
        _tell_pod_gone().label("pod_gone"),
    ]
    statement = (
        select(*columns, _artifact_path("description"), _artifact_path("log"))
        .join_from(runs, findings, _of_run(table))
        .where(runs.c.status.in_(READ), *_of_runs(filters), *of_pods(filters, table))
        .order_by(
            *_newest_run_first(table),
            _type_order(table.type),
            table.type,
            table.cluster,
            table.namespace,
            table.pod,
            table.container,
        )
        .limit(limit)
    )
    if filters.pod and filters.since is None and filters.run is None:
        # only the runs that can match; a run, or a window's beginning, bounds them more cheaply than a look at all pods
        matching = contains(pods.c.pod, filters.pod)
        first = select(func.min(pods.c.first_run_id)).where(matching).scalar_subquery()
        last = select(func.max(pods.c.runs_until)).where(matching).scalar_subquery()
        statement = statement.where(table.run_id.between(first, last))
    headers = ("run", "run_started_at", *(column.name for column in columns[2:]), "description", "log")
    return ListQuery(headers, statement)


def build_occurrences_query(store: Store, filters: FindingFilter, limit: int | None) -> ListQuery:
    """List kills and loops, each once, newest first; a window holds the loops that overlap it."""
    table = occurrences.c
    names = (
        "occurred_at",
        "cluster",
        "namespace",
        "pod",
        "container",
        "type",
        "workload_kind",
        "workload",
        "application",
        "component",
        "exit_code",
        "reason",
        "restart_count",
        "memory_limit_bytes",
        "memory_request_bytes",
        "node",
        "image",
        "revision",
        "time_quality",
        "last_seen_at",
        "first_run_id",
        "last_run_id",
        "pod_uid",
        "container_id",
    )
    columns = [table[name] for name in names]
    conditions = of_pods(filters, table)
    since = filters.since
    if isinstance(filters.run, int):
        seen_since, seen = _seen_by_run(store, filters.run)
        conditions.append(seen)
        since = max(seen_since, since) if since else seen_since
    statement = select_in_window(columns, since, filters.until, *conditions).limit(limit)
    return ListQuery(names, statement)


def build_coverage_query(filters: FindingFilter, limit: int | None) -> ListQuery:
    """List what each run looked at: a row per cluster, newest run first."""
    table = run_clusters.c
    names = (
        "cluster",
        "status",
        "namespaces_scanned",
        "namespaces_skipped",
        "namespaces_failed",
        "pods_seen",
        "events_seen",
        "oldest_event_at",
    )
    gaps = (
        select(func.count())
        .where(run_gaps.c.run_id == table.run_id, run_gaps.c.cluster == table.cluster)
        .scalar_subquery()
    )
    columns = (table[name] for name in names)
    skipped_by_rule = type_coerce(table.skipped_by_rule, JSON).label("skipped_by_rule")
    more_names = ("server_version", "requests", "retries", "duration_ms", "clock_skew_seconds", "error")
    more = (skipped_by_rule, *(table[name] for name in more_names))
    statement = (
        select(table.run_id, runs.c.started_at, *columns, gaps, *more)
        .join_from(runs, run_clusters, _of_run(table))
        .where(runs.c.status.in_(READ), *_of_runs(filters), any_glob(table.cluster, filters.clusters))
        .order_by(*_newest_run_first(table), table.cluster)
        .limit(limit)
    )
    headers = ("run", "run_started_at", *names, "gaps", *(column.name for column in more))
    return ListQuery(headers, statement)


def build_gaps_query(filters: FindingFilter, limit: int | None) -> ListQuery:
    """List what could not be looked at: a row per cluster, namespace and source; of clusters not read, `cluster`.

    What is true of a whole cluster has no namespace, and is true of each: no filter by namespace leaves it out.
    """
    gap, scan = run_gaps.c, run_clusters.c
    names = ("cluster", "namespace", "source", "status", "message")
    of_runs = (runs.c.status.in_(READ), *_of_runs(filters))
    within = (
        select(gap.run_id, runs.c.started_at, *(gap[name] for name in names))
        .join_from(runs, run_gaps, _of_run(gap))
        .where(*of_runs, any_glob(gap.cluster, filters.clusters))
        .where(or_(gap.namespace == EVERYWHERE, any_glob(gap.namespace, filters.namespaces)))
    )
    whole = (
        select(scan.run_id, runs.c.started_at, scan.cluster, literal(EVERYWHERE), literal("cluster"))
        .add_columns(scan.status, scan.error)
        .join_from(runs, run_clusters, _of_run(scan))
        .where(*of_runs, scan.status.not_in(READ), any_glob(scan.cluster, filters.clusters))
    )
    both = union_all(within, whole).subquery()
    in_order = (both.c.started_at.desc(), both.c.run_id.desc(), both.c.cluster, both.c.namespace, both.c.source)
    return ListQuery(("run", "run_started_at", *names), select(both).order_by(*in_order).limit(limit))


def list_missed_clusters(store: Store, run_id: int, clusters: Sequence[str] = ()) -> list[tuple[str, datetime]]:
    """Return the clusters that the thirty days before a run had read and the run did not, with their last time.

    Args:
        store: where the runs are.
        run_id: the run, which must exist.
        clusters: globs, of which one must fit; none: every cluster.
    """
    with store.reading() as conn:
        return read_missed_clusters(conn, run_id, clusters=clusters)


def read_missed_clusters(
    conn: Connection, run_id: int, *, clusters: Sequence[str] = (), scope: str | None = None
) -> list[tuple[str, datetime]]:
    """Return what `list_missed_clusters` does; with `scope` the clusters that runs of that scope had read."""
    at = conn.execute(select(runs.c.started_at).where(runs.c.id == run_id)).scalar_one()
    read_now = select(run_clusters.c.cluster).where(run_clusters.c.run_id == run_id, run_clusters.c.status.in_(READ))
    statement = (
        select(run_clusters.c.cluster, func.max(runs.c.started_at, type_=runs.c.started_at.type))
        .join_from(run_clusters, runs)
        .where(runs.c.started_at.between(at - KNOWN_FOR, at), run_clusters.c.status.in_(READ))
        .where(run_clusters.c.cluster.not_in(read_now), any_glob(run_clusters.c.cluster, clusters))
        .group_by(run_clusters.c.cluster)
        .order_by(run_clusters.c.cluster)
    )
    if scope is not None:
        statement = statement.where(runs.c.scope == scope)
    return [(row[0], row[1]) for row in conn.execute(statement)]


def any_glob(column: Column[str], patterns: Sequence[str]) -> ColumnElement[bool]:
    """Build 'the column fits one of the globs'; without globs every value does."""
    # and_() of nothing would be deprecated SQL for TRUE
    return or_(*(matches_glob(column, pattern) for pattern in patterns)) if patterns else column.is_not(None)


def of_pods(filters: FindingFilter, table: Any) -> list[ColumnElement[bool]]:
    """Build which pods and types are wanted, of the columns of `findings` or `occurrences`."""
    conditions = [any_glob(table.cluster, filters.clusters), any_glob(table.namespace, filters.namespaces)]
    for column, values in (
        (table.application, filters.applications),
        (table.component, filters.components),
        (table.workload, filters.workloads),
    ):
        if values:
            conditions.append(column.in_(values))
    if filters.types:
        conditions.append(func.lower(table.type).in_([type_.lower() for type_ in filters.types]))
    if filters.pod:
        conditions.append(contains(table.pod, filters.pod))
    if filters.owners:
        conditions.append(is_owned_by(filters.owners, table))
    return conditions


def _iter_rows(store: Store, query: ListQuery) -> Iterator[Sequence[Cell]]:
    with store.reading() as conn:
        yield from conn.execution_options(yield_per=500).execute(query.statement)


def _of_run(table: Any) -> ColumnElement[bool]:
    # lets SQLite go from runs to their rows only: an equal cluster or pod looks narrow to it, and it would begin there
    run_id: ColumnElement[int] = table.run_id
    return unindexed(runs.c.id) == run_id


def _newest_run_first(table: Any) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    # by the time first, so that SQLite goes from the runs of the window to their rows, not over all rows
    return runs.c.started_at.desc(), table.run_id.desc()


def _of_runs(filters: FindingFilter) -> list[ColumnElement[bool]]:
    """Build which runs: by number, or by when they began."""
    conditions: list[ColumnElement[bool]] = []
    if isinstance(filters.run, int):
        conditions.append(runs.c.id == filters.run)
    if filters.since is not None:
        conditions.append(runs.c.started_at >= filters.since)
    if filters.until is not None:
        conditions.append(runs.c.started_at <= filters.until)
    return conditions


def _seen_by_run(store: Store, run_id: int) -> tuple[datetime, ColumnElement[bool]]:
    """Return from when on a run saw anything, which bounds what is read, and the condition that it saw an occurrence.

    Between the first and the last run that saw it there may be runs that did not look there: these have no finding.
    """
    row = (findings.c.cluster, findings.c.namespace, findings.c.pod, findings.c.type)
    found = select(*row).where(findings.c.run_id == run_id)
    with store.reading() as conn:
        started_at, lookback, first_at = conn.execute(
            select(
                runs.c.started_at,
                runs.c.lookback_seconds,
                select(func.min(findings.c.first_at, type_=findings.c.first_at.type))
                .where(findings.c.run_id == run_id)
                .scalar_subquery(),
            ).where(runs.c.id == run_id)
        ).one()
    # an hour more, for what was dated by an event
    since = started_at - timedelta(seconds=lookback, hours=1)
    table = occurrences.c
    seen = and_(
        table.first_run_id <= run_id,
        table.last_run_id >= run_id,
        tuple_(table.cluster, table.namespace, table.pod, table.type).in_(found),
    )
    return min(since, first_at or since), seen


def _artifact_path(kind: str) -> ColumnElement[Any]:
    path = select(artifacts.c.path).where(
        artifacts.c.pod_uid == findings.c.pod_uid,
        artifacts.c.run_id == findings.c.artifacts_from,
        artifacts.c.cluster == findings.c.cluster,
        artifacts.c.namespace == findings.c.namespace,
        artifacts.c.pod == findings.c.pod,
        artifacts.c.kind == kind,
    )
    return path.scalar_subquery()


def _type_order(column: Column[str]) -> ColumnElement[int]:
    return case((column == OOM_KILLED, 0), (column == CRASH_LOOP_BACK_OFF, 1), else_=2)


def _tell_pod_gone() -> ColumnElement[str]:
    return case((findings.c.pod_gone == 1, "yes"), (findings.c.pod_gone == 0, "no"), else_="unknown")
