"""Recording the run that a legacy file tells of, in one transaction."""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, insert, select

from oomdb.model import Artifact, ScanStatus, TimeQuality
from oomdb.store.artifact_paths import add_artifacts
from oomdb.store.database import Store, refresh_statistics
from oomdb.store.dialect import day_of, format_stored, parse_stored, texts_in, triples_in, unindexed
from oomdb.store.folding import LONGEST_PAUSE_OF_A_LOOP, SAME_INSTANT, Occurrence, finding_key
from oomdb.store.import_folding import FoldedRow, ImportedRow, Place, fold_rows
from oomdb.store.known_files import Mark, SourceFile, find_stored_run
from oomdb.store.prepared import Prepared
from oomdb.store.rows import (
    bind_finding,
    count_days,
    encode_timestamps,
    insert_findings,
    insert_sorted,
    of_run,
    put_artifacts,
    put_pods,
    round_up_run,
    see_again,
    see_as_known,
    see_pods_again,
)
from oomdb.store.rows_before import RowsBefore, ToldBefore
from oomdb.store.schema import import_files, occurrences, run_clusters, run_counts, runs
from oomdb.timespan import format_instant

SCOPE = "all"  # nobody knows what the legacy script was told to leave out
EVIDENCE = "legacy"  # in findings: no rule of ours saw it


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """A run as its file tells it: one row per place and type; each cluster read, or unknown.

    `artifacts` are of pods that have rows, with their clusters.
    """

    file: SourceFile
    run_at: datetime
    time_range: str
    lookback: timedelta
    tool_version: str
    arguments: str
    clusters: Mapping[str, ScanStatus]
    rows: Sequence[ImportedRow]
    artifacts: Sequence[tuple[str, Artifact]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedImport:
    """What recording a file came to.

    Attributes:
        run_id: the run that it became, or that it was already; None where that was deleted.
        is_new: whether it became one.
        new_occurrences: kills and loops that were not stored yet.
        added_artifacts: of a run that was stored already, the artifacts that it had not.
        other_run_id: an imported run of the same moment that tells something else, None for none.
    """

    run_id: int | None
    is_new: bool
    new_occurrences: int = 0
    added_artifacts: int = 0
    other_run_id: int | None = None


def record_import(store: Store, run: ImportedRun, before: RowsBefore) -> RecordedImport:
    """Record a run in one transaction; of one that is stored already, the artifacts that came since.

    Args:
        store: where.
        run: what.
        before: one for all files of an import.

    Raises:
        StoreError: if the database cannot be written; then nothing of the file is stored.
    """
    with store.writing() as conn:
        stored = find_stored_run(conn, run.file, run.run_at, lambda: {_mark(row) for row in run.rows})
        if stored.is_stored:
            added = add_artifacts(conn, stored.run_id, run.artifacts) if stored.run_id is not None else 0
            return RecordedImport(run_id=stored.run_id, is_new=False, added_artifacts=added)
        run_id = _insert_run(conn, run)
        before.check(conn)
        told, others = before.split(run.rows)
        folded = fold_rows(others, _read_stored(conn, others))
        told_now = [_tell(conn, it) for it in folded]
        put_artifacts(conn, run_id, run.artifacts)
        insert_findings(conn, _finding_values(run_id, run, [*told, *told_now]))
        _write_occurrences(conn, run_id, folded, told)
        put_pods(conn, (_pod_row(run_id, row) for row in others))
        see_pods_again(conn, run_id, before.list_pods_to_note(run_id, told))
        insert_sorted(conn, run_counts, list(_count_rows(run_id, run.rows, folded)))
        insert_sorted(conn, run_clusters, [_cluster_row(run_id, *it) for it in run.clusters.items()])
        _NOTE_FILE.run(conn, _file_row(run_id, run))
    before.keep(run_id, told, told_now)
    new = sum(len(it.new) for it in folded)
    return RecordedImport(run_id=run_id, is_new=True, new_occurrences=new, other_run_id=stored.other_id)


def finish_imports(store: Store) -> None:
    """Let the planner know how the data lies after an import."""
    with store.writing() as conn:
        refresh_statistics(conn)


def _build_near() -> Select[Any]:
    """Build the query of what begins within spans of time in pods: spans as [since, until, pod]."""
    spans, (since, until, pod) = triples_in("spans")
    near = and_(occurrences.c.occurred_at.between(since, until), occurrences.c.pod == pod)
    # an outer join, whose order is fixed: ANALYZE can make SQLite go through all occurrences first
    return select(*_STORED).select_from(spans.outerjoin(occurrences, near))


def _build_lasting() -> Select[Any]:
    """Build the query of loops in some pods that last into a time, having begun before it ends."""
    at, last_seen_at = occurrences.c.occurred_at, occurrences.c.last_seen_at
    in_pods = occurrences.c.pod.in_(select(texts_in("pods").c.value))
    lasting = (last_seen_at > at, last_seen_at >= bindparam("since"), unindexed(at) <= bindparam("until"))
    return select(*_STORED).where(*lasting, in_pods)


_FACTS = ("container_id", "exit_code", "reason", "restart_count", "first_run_id")
_OCCURRENCE = ("identity", "type", "occurred_at", "last_seen_at", "time_quality", *_FACTS)
_STORED = [occurrences.c[name] for name in ("cluster", "namespace", "pod", *_OCCURRENCE)]
_NEAR = Prepared(_build_near())
_LASTING = Prepared(_build_lasting())
_BEGIN = Prepared(insert(runs), [it.name for it in runs.c if it.name != "id"])
_NOTE_FILE = Prepared(insert(import_files), [it.name for it in import_files.c if it.name != "id"])


def _insert_run(conn: Connection, run: ImportedRun) -> int:
    is_complete = bool(run.clusters) and set(run.clusters.values()) == {"complete"}
    result = _BEGIN.run(
        conn,
        {
            # the same file has the same name in every database
            "uid": hashlib.sha256(f"{run.file.sha256} {format_instant(run.run_at)}".encode()).hexdigest()[:32],
            "started_at": run.run_at,
            "finished_at": run.run_at,
            "status": "complete" if is_complete else "partial",
            "origin": "import",
            "time_range": run.time_range,
            "lookback_seconds": int(run.lookback.total_seconds()),
            "scope": SCOPE,
            "scope_hash": SCOPE,
            "tool_version": run.tool_version,
            "host": "",
            "pid": None,
            "heartbeat_at": None,
            "arguments": run.arguments,
        },
    )
    return int(result.lastrowid)


def _read_stored(conn: Connection, rows: Sequence[ImportedRow]) -> Mapping[Place, Sequence[Occurrence]]:
    """Return what is stored of the rows' places around their instants."""
    spans = [[format_stored(since), format_stored(until), pod] for since, until, pod in _iter_spans(rows)]
    if not spans:
        return {}
    found: list[Any] = list(_NEAR.run(conn, {"spans": json.dumps(spans, ensure_ascii=False)}).fetchall())
    loops = [row for row in rows if row.is_loop and row.instants]
    if loops:
        since = min(row.instants[0] for row in loops) - LONGEST_PAUSE_OF_A_LOOP
        until = max(row.instants[-1] for row in loops) + LONGEST_PAUSE_OF_A_LOOP
        pods = json.dumps(sorted({row.pod for row in loops}), ensure_ascii=False)
        found += _LASTING.run(conn, {"since": since, "until": until, "pods": pods}).fetchall()
    stored: defaultdict[Place, dict[str, Occurrence]] = defaultdict(dict)
    for cluster, namespace, pod, *fields in found:
        if cluster is not None:
            occurrence = _build_occurrence(*fields)
            stored[cluster, namespace, pod, occurrence.type][occurrence.identity] = occurrence
    return {place: tuple(known.values()) for place, known in stored.items()}


@lru_cache(maxsize=65536)  # one is found again in run after run
def _build_occurrence(
    identity: str, type_: str, occurred_at: Any, last_seen_at: Any, time_quality: TimeQuality, *facts: Any
) -> Occurrence:
    return Occurrence(
        identity=identity,
        type=type_,
        occurred_at=parse_stored(occurred_at),
        last_seen_at=parse_stored(last_seen_at),
        time_quality=time_quality,
        **dict(zip(_FACTS, facts, strict=True)),
    )


def _iter_spans(rows: Iterable[ImportedRow]) -> Iterator[tuple[datetime, datetime, str]]:
    for row in rows:
        if row.is_loop and row.instants:
            yield row.instants[0] - LONGEST_PAUSE_OF_A_LOOP, row.instants[-1] + LONGEST_PAUSE_OF_A_LOOP, row.pod
        elif not row.is_loop:
            for at in row.instants:
                yield at - SAME_INSTANT, at + SAME_INSTANT, row.pod


def _mark(row: ImportedRow) -> Mark:
    key = finding_key(row.cluster, row.namespace, row.pod, "", "", row.type)
    first, last = (format_stored(row.instants[0]), format_stored(row.instants[-1])) if row.instants else (None, None)
    return key, first, last, encode_timestamps(row.instants, undated=row.undated)


def _write_occurrences(conn: Connection, run_id: int, folded: Sequence[FoldedRow], told: Sequence[ToldBefore]) -> None:
    begun = [_occurrence_row(run_id, item.row, it) for item in folded for it in item.new]
    insert_sorted(conn, occurrences, begun)
    see_again(conn, run_id, (it for item in folded for it in item.longer))
    known = itertools.chain(*(it.known for it in folded), *(it.known for it in told))
    see_as_known(conn, run_id, {it.identity for it in known})
    days = Counter(
        (item.row.workload.name, day_of(it.occurred_at), item.row.type, item.row.cluster, item.row.namespace)
        for item in folded
        for it in item.new
    )
    count_days(conn, days)


def _place(row: ImportedRow) -> dict[str, str]:
    return {
        "cluster": row.cluster,
        "namespace": row.namespace,
        "pod": row.pod,
        "pod_uid": "",
        "container": "",
        "type": row.type,
        "workload_kind": row.workload.kind,
        "workload": row.workload.name,
        "application": row.application,
        "component": row.component,
    }


def _tell(conn: Connection, folded: FoldedRow) -> ToldBefore:
    row = folded.row
    finding = {
        "finding_key": finding_key(row.cluster, row.namespace, row.pod, "", "", row.type),
        **_place(row),
        "occurrences": folded.occurrences,
        "first_at": row.instants[0] if row.instants else None,
        "last_at": row.instants[-1] if row.instants else None,
        "timestamps": encode_timestamps(row.instants, undated=row.undated),
        "sources": ";".join(row.sources),
        "evidence": EVIDENCE,
        "pod_gone": None,
    }
    return ToldBefore(row, (*folded.new, *folded.longer, *folded.known), bind_finding(conn, finding))


def _finding_values(run_id: int, run: ImportedRun, told: Iterable[ToldBefore]) -> list[tuple[Any, ...]]:
    saved = {(cluster, it.namespace, it.pod) for cluster, it in run.artifacts if it.status in ("ok", "empty")}
    return [of_run(it.finding, run_id, run_id if it.row.place[:3] in saved else None) for it in told]


def _occurrence_row(run_id: int, row: ImportedRow, occurrence: Occurrence) -> dict[str, Any]:
    return {
        "occurred_at": occurrence.occurred_at,
        "identity": occurrence.identity,
        **_place(row),
        "container_id": "",
        "node": "",
        "image": "",
        "revision": "",
        "memory_limit_bytes": None,
        "memory_request_bytes": None,
        "exit_code": None,
        "reason": "",
        "restart_count": None,
        "time_quality": occurrence.time_quality,
        "last_seen_at": occurrence.last_seen_at,
        "first_run_id": run_id,
        "last_run_id": run_id,
    }


def _pod_row(run_id: int, row: ImportedRow) -> dict[str, Any]:
    return {
        "pod": row.pod,
        "namespace": row.namespace,
        "cluster": row.cluster,
        "workload_kind": row.workload.kind,
        "workload": row.workload.name,
        "first_run_id": run_id,
        "runs_until": round_up_run(run_id),
    }


def _count_rows(run_id: int, rows: Iterable[ImportedRow], folded: Iterable[FoldedRow]) -> Iterator[dict[str, Any]]:
    counts = Counter((row.cluster, row.type) for row in rows)
    new: Counter[tuple[str, str]] = Counter()
    for item in folded:
        new[item.row.cluster, item.row.type] += len(item.new)
    for (cluster, type_), count in counts.items():
        yield {
            "run_id": run_id,
            "cluster": cluster,
            "type": type_,
            "rows": count,
            "findings": count,
            "new_occurrences": new[cluster, type_],
        }


def _cluster_row(run_id: int, cluster: str, status: ScanStatus) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "cluster": cluster,
        "context": "",
        "server": "",
        "skipped_by_rule": "{}",
        "status": status,
        "server_version": "",
        "namespaces_scanned": None,
        "namespaces_skipped": None,
        "namespaces_failed": None,
        "pods_seen": None,
        "events_seen": None,
        "oldest_event_at": None,
        "requests": 0,
        "retries": 0,
        "duration_ms": 0,
        "error": _UNKNOWN if status == "unknown" else "",
        "clock_skew_seconds": None,
    }


_UNKNOWN = "the imported files do not say whether it was read"


def _file_row(run_id: int, run: ImportedRun) -> dict[str, Any]:
    return {
        "sha256": run.file.sha256,
        "run_at": run.run_at,
        "kind": "import",
        "path": run.file.path,
        "modified_at": run.file.modified_at,
        "run_id": run_id,
        "rows": run.file.rows,
        "bad_rows": run.file.bad_rows,
        "time_evidence": run.file.time_evidence,
    }
