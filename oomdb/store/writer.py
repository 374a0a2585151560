"""Recording one cluster's part of a run, in one transaction."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, exists, func, select

from oomdb.errors import StoreError
from oomdb.model import ClusterScan, Finding
from oomdb.store.database import Store
from oomdb.store.dialect import Upsert, day_of, texts_in, upsert
from oomdb.store.folding import FoldedFinding, Occurrence, finding_key, pod_key
from oomdb.store.rows import (
    DayKey,
    count_days,
    encode_timestamps,
    insert_sorted,
    put_artifacts,
    put_pods,
    replace_occurrence,
    round_up_run,
    see_again,
)
from oomdb.store.schema import (
    findings,
    namespaces,
    occurrences,
    run_clusters,
    run_counts,
    run_gaps,
    runs,
    suspects,
)
from oomdb.store.stored import fold_with_stored, read_captures

NAMESPACES_KEPT_FOR = timedelta(days=30)  # those that live for one test come and go by the hundreds a day


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedScan:
    """What recording one cluster's scan came to."""

    findings: int
    new_occurrences: int


def _build_put_namespaces() -> Upsert:
    """Build the statement that notes the same of many namespaces: a row for each would cost three times as much."""
    key = {"cluster": bindparam("cluster"), "namespace": texts_in("names").c.value}
    noted = {it.name: bindparam(it.name, type_=it.type) for it in namespaces.c if it.name not in key}
    # SQLite would take the ON of the conflict for a join's, were there no WHERE (sqlite.org/lang_upsert.html)
    rows = select(*key.values(), *noted.values()).where(key["namespace"] != "")
    statement = upsert(namespaces).from_select([*key, *noted], rows)
    told, known = statement.excluded, namespaces.c
    # a run that began before those that are known may be recorded after them
    newer = told.last_seen_at >= known.last_seen_at
    read_newer = told.read_at >= func.coalesce(known.read_at, told.read_at)  # NULL, so not true, where not read
    taken = {name: case((newer, told[name]), else_=known[name]) for name in ("last_run_id", "last_seen_at", "rule")}
    taken |= {name: case((read_newer, told[name]), else_=known[name]) for name in ("read_run_id", "read_at")}
    return statement.on_conflict_do_update(index_elements=list(namespaces.primary_key), set_=taken)


# built once: building a statement costs more than running it
_RUN = select(
    runs.c.status,
    runs.c.started_at,
    exists()
    .where(run_clusters.c.run_id == runs.c.id, run_clusters.c.cluster == bindparam("cluster"))
    .label("recorded"),
).where(runs.c.id == bindparam("run_id"))
_PUT_NAMESPACES = _build_put_namespaces()
_DROP_NAMESPACES = delete(namespaces).where(
    namespaces.c.cluster == bindparam("of_cluster"), namespaces.c.last_seen_at < bindparam("kept_since")
)


def record_plan(store: Store, run_id: int, planned: Sequence[ClusterScan]) -> None:
    """Record which clusters a run is to read, with the status `unknown` until each is recorded.

    Without these rows a cluster that a killed run did not come to would look like one that nobody asked for.

    Raises:
        StoreError: if the database cannot be written.
    """
    with store.writing() as conn:
        insert_sorted(conn, run_clusters, [_cluster_row(run_id, scan) for scan in planned])


def record_scan(store: Store, run_id: int, scan: ClusterScan, *, seen_at: datetime) -> RecordedScan:
    """Record one cluster's part of a run in one transaction; recording it again replaces it.

    Artifacts stay known: their files are there, and findings of other runs may point to them.

    Raises:
        StoreError: if the run is not running any more, or the database cannot be written.
    """
    with store.writing() as conn:
        run = conn.execute(_RUN, {"run_id": run_id, "cluster": scan.cluster}).one_or_none()
        if run is None or run.status != "running":
            raise StoreError(f"Run {run_id} is closed already (as {run.status if run else 'deleted'}); nothing stored.")
        if run.recorded:
            _forget(conn, run_id, scan.cluster)
        folded = fold_with_stored(conn, scan.cluster, scan.findings, seen_at)
        put_artifacts(conn, run_id, ((scan.cluster, artifact) for artifact in scan.artifacts))
        _write_findings(conn, run_id, scan.cluster, folded)
        _write_occurrences(conn, run_id, scan.cluster, folded)
        _write_pods(conn, run_id, scan)
        _write_suspects_and_gaps(conn, run_id, scan)
        _write_namespaces(conn, run_id, scan, run.started_at)
        counts = _write_counts(conn, run_id, scan.cluster, folded)
        # last: the row that says the cluster is done
        insert_sorted(conn, run_clusters, [_cluster_row(run_id, scan)])
    return counts


def _forget(conn: Connection, run_id: int, cluster: str) -> None:
    """Delete what the run has recorded of the cluster."""
    for table in (findings, suspects, run_gaps, run_counts, run_clusters):
        conn.execute(delete(table).where(table.c.run_id == run_id, table.c.cluster == cluster))


def _write_findings(conn: Connection, run_id: int, cluster: str, folded: Sequence[FoldedFinding]) -> None:
    captures = read_captures(conn, cluster, [item.finding for item in folded])
    rows = []
    for item in folded:
        finding = item.finding
        capture = captures.get(pod_key(cluster, finding))
        rows.append(
            {
                "run_id": run_id,
                "finding_key": finding_key(
                    cluster, finding.namespace, finding.pod, finding.pod_uid, finding.container, finding.type
                ),
                **_place(cluster, finding),
                "container": finding.container,
                "type": finding.type,
                "occurrences": item.occurrences,
                "first_at": item.instants[0] if item.instants else None,
                "last_at": item.instants[-1] if item.instants else None,
                "timestamps": encode_timestamps(item.instants),
                "sources": ";".join(sorted({sighting.source for sighting in finding.sightings})),
                "evidence": ";".join(sorted({sighting.evidence for sighting in finding.sightings})),
                "pod_gone": None if finding.pod_gone is None else int(finding.pod_gone),
                "artifacts_from": capture.run_id if capture else None,
            }
        )
    insert_sorted(conn, findings, rows)


def _place(cluster: str, finding: Finding) -> dict[str, str]:
    return {
        "cluster": cluster,
        "namespace": finding.namespace,
        "pod": finding.pod,
        "pod_uid": finding.pod_uid,
        "workload_kind": finding.workload.kind,
        "workload": finding.workload.name,
        "application": finding.application,
        "component": finding.component,
    }


def _write_occurrences(conn: Connection, run_id: int, cluster: str, folded: Sequence[FoldedFinding]) -> None:
    begun: list[dict[str, Any]] = []
    seen_again: list[Occurrence] = []
    days: dict[DayKey, int] = defaultdict(int)
    for item in folded:
        finding = item.finding
        begun.extend(_occurrence_row(run_id, cluster, finding, occurrence) for occurrence in item.new)
        seen_again.extend(item.known)
        for it in item.adopted:
            replace_occurrence(conn, it.former_identity, _occurrence_row(run_id, cluster, finding, it.occurrence))
        for occurrence in (*item.new, *(it.occurrence for it in item.adopted)):
            day = day_of(occurrence.occurred_at)
            days[finding.workload.name, day, finding.type, cluster, finding.namespace] += 1
    insert_sorted(conn, occurrences, begun)
    see_again(conn, run_id, seen_again)
    count_days(conn, days)


def _occurrence_row(run_id: int, cluster: str, finding: Finding, occurrence: Occurrence) -> dict[str, Any]:
    return {
        "occurred_at": occurrence.occurred_at,
        "identity": occurrence.identity,
        **_place(cluster, finding),
        "container": finding.container,
        "container_id": occurrence.container_id,
        "type": finding.type,
        "node": finding.node,
        "image": finding.image,
        "revision": finding.revision,
        "memory_limit_bytes": finding.memory_limit_bytes,
        "memory_request_bytes": finding.memory_request_bytes,
        "exit_code": occurrence.exit_code,
        "reason": occurrence.reason,
        "restart_count": occurrence.restart_count,
        "time_quality": occurrence.time_quality,
        "last_seen_at": occurrence.last_seen_at,
        "first_run_id": run_id,
        "last_run_id": run_id,
    }


def _write_pods(conn: Connection, run_id: int, scan: ClusterScan) -> None:
    put_pods(
        conn,
        (
            {
                "pod": finding.pod,
                "namespace": finding.namespace,
                "cluster": scan.cluster,
                "workload_kind": finding.workload.kind,
                "workload": finding.workload.name,
                "first_run_id": run_id,
                "runs_until": round_up_run(run_id),
            }
            for finding in scan.findings
        ),
    )


def _write_suspects_and_gaps(conn: Connection, run_id: int, scan: ClusterScan) -> None:
    suspected = {
        (it.namespace, it.pod, it.pod_uid, it.container, it.suspect_class): {
            "run_id": run_id,
            "cluster": scan.cluster,
            "namespace": it.namespace,
            "pod": it.pod,
            "pod_uid": it.pod_uid,
            "container": it.container,
            "class": it.suspect_class,
            "at": it.at,
            "exit_code": it.exit_code,
        }
        for it in scan.suspects
    }
    insert_sorted(conn, suspects, list(suspected.values()))
    gaps = {
        (gap.namespace, gap.source): {
            "run_id": run_id,
            "cluster": scan.cluster,
            "namespace": gap.namespace,
            "source": gap.source,
            "status": gap.status,
            "message": gap.message,
        }
        for gap in scan.gaps
    }
    insert_sorted(conn, run_gaps, list(gaps.values()))


def _write_namespaces(conn: Connection, run_id: int, scan: ClusterScan, began_at: datetime) -> None:
    """Note which namespaces the run knew of, and what it did with each; then drop those that are long gone.

    By when the run began: the clock of the cluster, by which a scan is dated, may be another.
    """
    # named, and not there
    missing = {gap.namespace for gap in scan.gaps if (gap.source, gap.status) == ("namespaces", "not-found")}
    read = set(scan.namespaces_read) - scan.skipped.keys()
    unread: defaultdict[str | None, set[str]] = defaultdict(set)  # by the rule, None where it failed
    unread[None] = {gap.namespace for gap in scan.gaps} - {""} - missing - read - scan.skipped.keys()
    for name, rule in scan.skipped.items():
        unread[rule].add(name)
    if not read and not any(unread.values()):
        return  # of a cluster that could not be read, what was known before stays
    run = {"cluster": scan.cluster, "last_run_id": run_id, "last_seen_at": began_at}
    as_read = {"read_run_id": run_id, "read_at": began_at, "rule": None}
    conn.execute(_PUT_NAMESPACES, {**run, **as_read, "names": _as_json(read)})
    for why, names in unread.items():
        as_unread = {"read_run_id": None, "read_at": None, "rule": why}
        conn.execute(_PUT_NAMESPACES, {**run, **as_unread, "names": _as_json(names)})
    conn.execute(_DROP_NAMESPACES, {"of_cluster": scan.cluster, "kept_since": began_at - NAMESPACES_KEPT_FOR})


def _as_json(names: Iterable[str]) -> str:
    # no namespace has a NUL, which would end it in SQLite's JSON
    return json.dumps(sorted(name for name in names if "\0" not in name), ensure_ascii=False)


def _write_counts(conn: Connection, run_id: int, cluster: str, folded: Sequence[FoldedFinding]) -> RecordedScan:
    by_type: dict[str, list[FoldedFinding]] = defaultdict(list)
    for item in folded:
        by_type[item.finding.type].append(item)

    def count_new(items: Sequence[FoldedFinding]) -> int:
        # recorded a second time, what this run had begun is known by now, and new all the same
        return sum(len(item.new) + sum(it.first_run_id == run_id for it in item.known) for item in items)

    rows = [
        {
            "run_id": run_id,
            "cluster": cluster,
            "type": type_,
            "rows": len({(item.finding.namespace, item.finding.pod) for item in items}),
            "findings": len(items),
            "new_occurrences": count_new(items),
        }
        for type_, items in by_type.items()
    ]
    insert_sorted(conn, run_counts, rows)
    return RecordedScan(findings=len(folded), new_occurrences=count_new(folded))


def _cluster_row(run_id: int, scan: ClusterScan) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "cluster": scan.cluster,
        "context": scan.context,
        "server": scan.server,
        "skipped_by_rule": json.dumps(dict(sorted(scan.skipped_by_rule.items())), ensure_ascii=False),
        "status": scan.status,
        "server_version": scan.server_version,
        "namespaces_scanned": scan.namespaces_scanned,
        "namespaces_skipped": scan.namespaces_skipped,
        "namespaces_failed": scan.namespaces_failed,
        "pods_seen": scan.pods_seen,
        "events_seen": scan.events_seen,
        "oldest_event_at": scan.oldest_event_at,
        "requests": scan.requests,
        "retries": scan.retries,
        "duration_ms": scan.duration_ms,
        "error": scan.error,
        # no finer than a header with whole seconds tells
        "clock_skew_seconds": None if scan.clock_skew_seconds is None else round(scan.clock_skew_seconds, 1),
    }
