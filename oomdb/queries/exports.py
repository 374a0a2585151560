"""What the exports of one run list: findings as rows, one per (cluster, namespace, pod, type), and the coverage."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from oomdb.queries.selection import Run
from oomdb.store.schema import artifacts, findings, run_clusters
from oomdb.timespan import format_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """One row; `timestamps` and `sources` are sorted, artifact paths relative to the output folder, '' for none."""

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
    """How much of a cluster the run looked at."""

    cluster: str
    status: str
    error: str


def list_export_rows(conn: Connection, run: Run) -> list[ExportRow]:
    """Return the rows of a run, unsorted; sources belong to the pod, as they always did."""
    paths = _read_artifact_paths(conn, run)
    merged: dict[tuple[str, str, str, str], list[Any]] = {}
    sources: dict[tuple[str, str, str], set[str]] = {}
    for row in conn.execute(select(findings).where(findings.c.run_id == run.id).order_by(findings.c.finding_key)):
        merged.setdefault((row.cluster, row.namespace, row.pod, row.type), []).append(row)
        sources.setdefault((row.cluster, row.namespace, row.pod), set()).update(row.sources.split(";"))
    return [_build_row(key, rows, sorted(sources[key[:3]]), paths) for key, rows in merged.items()]


def list_coverage(conn: Connection, run: Run) -> list[ClusterCoverage]:
    """Return the clusters of a run, by name."""
    columns = select(run_clusters.c.cluster, run_clusters.c.status, run_clusters.c.error)
    rows = conn.execute(columns.where(run_clusters.c.run_id == run.id).order_by(run_clusters.c.cluster))
    return [ClusterCoverage(cluster=row.cluster, status=row.status, error=row.error) for row in rows]


def read_timestamps(row: Any) -> list[str]:
    """Return the instants of a finding's row, as the exports print them; they are kept apart where they are many."""
    if row.timestamps is not None:
        return [str(at) for at in json.loads(row.timestamps)]
    return sorted({format_instant(at) for at in (row.first_at, row.last_at) if at is not None})


_ArtifactKey = tuple[int, str, str, str, str]  # run, cluster, namespace, pod, pod UID


def _read_artifact_paths(conn: Connection, run: Run) -> dict[_ArtifactKey, dict[str, str]]:
    """Return the paths of the artifacts to which the run's findings point, by kind."""
    wanted = (
        select(findings.c.pod_uid, findings.c.artifacts_from)
        .where(findings.c.run_id == run.id, findings.c.artifacts_from.is_not(None))
        .distinct()
        .subquery()
    )
    table = artifacts.c
    found = select(artifacts).join_from(
        wanted,
        artifacts,
        (table.pod_uid == wanted.c.pod_uid) & (table.run_id == wanted.c.artifacts_from),
    )
    paths: dict[_ArtifactKey, dict[str, str]] = {}
    for row in conn.execute(found):
        paths.setdefault((row.run_id, row.cluster, row.namespace, row.pod, row.pod_uid), {})[row.kind] = row.path
    return paths


def _build_row(
    key: tuple[str, str, str, str],
    rows: Sequence[Any],
    sources: Iterable[str],
    paths: dict[_ArtifactKey, dict[str, str]],
) -> ExportRow:
    cluster, namespace, pod, type_ = key
    # several pods may have borne the name: the newest capture is shown
    captured = sorted((row.artifacts_from, row.pod_uid) for row in rows if row.artifacts_from is not None)
    files: dict[str, str] = {}
    if captured:
        run_id, pod_uid = captured[-1]
        files = paths.get((run_id, cluster, namespace, pod, pod_uid), {})
    return ExportRow(
        cluster=cluster,
        namespace=namespace,
        pod=pod,
        type=type_,
        application=next((row.application for row in rows if row.application), ""),
        component=next((row.component for row in rows if row.component), ""),
        timestamps=tuple(sorted({at for row in rows for at in read_timestamps(row)})),
        sources=tuple(sources),
        description=files.get("description", ""),
        log=files.get("log", ""),
    )
