"""What the exports of one run list: findings as rows, one per (cluster, namespace, pod, type), and the coverage."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, func, select

from oomdb.queries.selection import Run, find_newer_of_other_scope, find_newer_unread, find_reportable_run
from oomdb.store.schema import artifacts, findings, run_clusters, run_counts, run_gaps
from oomdb.timespan import format_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """One row; `timestamps` and `sources` are sorted, artifact paths relative to the output folder, '' for none.

    A timestamp of '' stands for findings of which no instant is known.
    """

    cluster: str
    namespace: str
    pod: str
    type: str
    application: str
    component: str
    timestamps: tuple[str, ...]
    sources: tuple[str, ...]
    description: str
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCoverage:
    """How much of a cluster the run looked at; None where nobody counted, or the database does not tell."""

    cluster: str
    status: str
    error: str
    namespaces_scanned: int | None = None
    namespaces_failed: int | None = None
    pods_seen: int | None = None
    gaps: int = 0
    new_occurrences: int = 0  # kills and loops that no earlier run had seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which run is reported, what it looked at, and, where the latest was asked for, which newer ones it is not."""

    run: Run
    clusters: tuple[ClusterCoverage, ...]
    newer_of_other_scope: Run | None = None
    newer_unread: Run | None = None  # the newest run that could read no cluster


def select_run(conn: Connection, wanted: Literal["latest"] | int) -> Selection:
    """Find the run that is wanted.

    Raises:
        NothingReadError: if no run has read a cluster, and the latest is wanted.
        UsageError: if there is no such run, or nothing to report in it.
    """
    run = find_reportable_run(conn, wanted)
    latest = wanted == "latest"
    return Selection(
        run=run,
        clusters=tuple(list_coverage(conn, run)),
        newer_of_other_scope=find_newer_of_other_scope(conn, run) if latest else None,
        newer_unread=find_newer_unread(conn, run) if latest else None,
    )


def list_export_rows(conn: Connection, run: Run) -> list[ExportRow]:
    """Return the rows of a run, unsorted.

    Sources, application, component and artifacts belong to the pod: its rows of several types have the same. Where
    several pods had the name, the newest that tells counts.
    """
    paths = _read_artifact_paths(conn, run)
    pods: defaultdict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for row in conn.execute(select(findings).where(findings.c.run_id == run.id)):
        pods[row.cluster, row.namespace, row.pod].append(row)
    return [row for of_pod in pods.values() for row in _build_rows(of_pod, paths)]


def list_coverage(conn: Connection, run: Run) -> list[ClusterCoverage]:
    """Return the clusters of a run, by name."""
    table = run_clusters.c
    gaps = select(func.count()).where(run_gaps.c.run_id == table.run_id, run_gaps.c.cluster == table.cluster)
    new = select(func.coalesce(func.sum(run_counts.c.new_occurrences), 0)).where(
        run_counts.c.run_id == table.run_id, run_counts.c.cluster == table.cluster
    )
    columns = (table.cluster, table.status, table.error, table.namespaces_scanned, table.namespaces_failed)
    counted = (gaps.scalar_subquery().label("gaps"), new.scalar_subquery().label("new_occurrences"))
    rows = conn.execute(
        select(*columns, table.pods_seen, *counted).where(table.run_id == run.id).order_by(table.cluster)
    )
    return [ClusterCoverage(**row._mapping) for row in rows]


def read_timestamps(row: Any) -> list[str]:
    """Return the instants of a finding's row, as the exports print them; they are kept apart where they are many."""
    if row.timestamps is not None:
        return [str(at) for at in json.loads(row.timestamps)]
    return sorted({format_instant(at) for at in (row.first_at, row.last_at) if at is not None})


_ArtifactKey = tuple[int, str, str, str, str]  # run, cluster, namespace, pod, pod UID


def _read_artifact_paths(conn: Connection, run: Run) -> dict[_ArtifactKey, dict[str, str]]:
    """Return the paths of the artifacts to which the run's findings point, by kind, where something was saved."""
    wanted = (
        select(findings.c.pod_uid, findings.c.artifacts_from)
        .where(findings.c.run_id == run.id, findings.c.artifacts_from.is_not(None))
        .distinct()
        .subquery()
    )
    table = artifacts.c
    found = (
        select(artifacts)
        .join_from(
            wanted,
            artifacts,
            (table.pod_uid == wanted.c.pod_uid) & (table.run_id == wanted.c.artifacts_from),
        )
        .where(table.status.in_(("ok", "empty")), table.path != "")
    )
    paths: dict[_ArtifactKey, dict[str, str]] = {}
    for row in conn.execute(found):
        paths.setdefault((row.run_id, row.cluster, row.namespace, row.pod, row.pod_uid), {})[row.kind] = row.path
    return paths


def _build_rows(of_pod: Sequence[Any], paths: Mapping[_ArtifactKey, dict[str, str]]) -> list[ExportRow]:
    """Build the rows of one pod from its findings."""
    newest_first = sorted(of_pod, key=_age, reverse=True)
    by_type: defaultdict[str, list[Any]] = defaultdict(list)
    for row in newest_first:
        by_type[row.type].append(row)
    captures = (paths.get(_artifact_key(row), {}) for row in newest_first)
    files = next((found for found in captures if found), {})
    sources = tuple(sorted({source for row in of_pod for source in row.sources.split(";") if source}))
    return [
        ExportRow(
            cluster=rows[0].cluster,
            namespace=rows[0].namespace,
            pod=rows[0].pod,
            type=type_,
            application=next((row.application for row in newest_first if row.application), ""),
            component=next((row.component for row in newest_first if row.component), ""),
            timestamps=tuple(sorted({at for row in rows for at in read_timestamps(row) or [""]})),
            sources=sources,
            description=files.get("description", ""),
            log=files.get("log", ""),
        )
        for type_, rows in by_type.items()
    ]


def _age(row: Any) -> tuple[str, str]:
    return (format_instant(row.last_at) if row.last_at else "", row.finding_key)


def _artifact_key(row: Any) -> _ArtifactKey:
    return row.artifacts_from, row.cluster, row.namespace, row.pod, row.pod_uid
