"""Rows that runs of every origin write, and the statements that write them, each compiled once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Table,
    Update,
    bindparam,
    case,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from oomdb.model import Artifact
from oomdb.store.dialect import Upsert, greatest, least, stored_day, texts_in, triples_in, upsert
from oomdb.store.folding import Occurrence
from oomdb.store.prepared import Prepared
from oomdb.store.schema import (
    artifacts,
    daily_counts,
    findings,
    occurrences,
    pods,
    run_clusters,
    run_counts,
    run_gaps,
    suspects,
)
from oomdb.timespan import format_instant

PodPlace = tuple[str, str, str]  # pod, namespace, cluster
_RUNS_AT_A_TIME = 32  # a power of two
DayKey = tuple[str, str, str, str, str]  # workload, day, type, cluster, namespace
_POD_KEY = ("pod", "namespace", "cluster")
_DAY_KEY = ("workload", "day", "type", "cluster", "namespace")


def insert_sorted(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert new rows in the order of the table's key."""
    _INSERTS[table.name].execute(conn, _sorted_by_key(table, rows))


def bind_finding(conn: Connection, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values of a finding as the driver takes them, but for those that its run tells: `of_run` adds them."""
    return _INSERTS[findings.name].bind(conn, {**row, "run_id": None, "artifacts_from": None})[1:-1]


def of_run(finding: tuple[Any, ...], run_id: int, artifacts_from: int | None) -> tuple[Any, ...]:
    """Return the values of a finding, of which everything but these two is the same in another run."""
    return run_id, *finding, artifacts_from


def insert_findings(conn: Connection, values: Iterable[tuple[Any, ...]]) -> None:
    """Insert new findings, values as `of_run` gives them, in the order of the table's key."""
    _INSERTS[findings.name].execute_bound(conn, sorted(values, key=itemgetter(0, 1)))


def put_artifacts(conn: Connection, run_id: int, captured: Iterable[tuple[str, Artifact]]) -> None:
    """Write what a run captured, each with its cluster; one that the run has captured already is replaced."""
    rows = [
        {
            "run_id": run_id,
            "cluster": cluster,
            "namespace": artifact.namespace,
            "pod": artifact.pod,
            "pod_uid": artifact.pod_uid,
            "kind": artifact.kind,
            "status": artifact.status,
            "path": artifact.path,
            "size_bytes": artifact.size_bytes,
            "sha256": artifact.sha256,
            "message": artifact.message,
            "captured_at": artifact.captured_at,
        }
        for cluster, artifact in captured
    ]
    _PUT_ARTIFACTS.execute(conn, _sorted_by_key(artifacts, rows))


def put_pods(conn: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Note pods that have a finding, each of which may be known already."""
    each_once = {(it["pod"], it["namespace"], it["cluster"]): it for it in rows}
    _PUT_PODS.execute(conn, _sorted_by_key(pods, each_once.values()))


def round_up_run(run_id: int) -> int:
    """Return the number of a run that is not smaller: the same for 32 runs, so that most have nothing to write."""
    return run_id | (_RUNS_AT_A_TIME - 1)


def see_pods_again(conn: Connection, run_id: int, places: Iterable[PodPlace]) -> None:
    """Note that a run has findings of pods that are known."""
    listed = json.dumps(sorted(set(places)), ensure_ascii=False)
    if listed != "[]":
        _SEE_PODS_AGAIN.run(conn, {"places": listed, "until": round_up_run(run_id)})


def count_days(conn: Connection, days: Mapping[DayKey, int]) -> None:
    """Add to the counts of days."""
    rows = [dict(zip(_DAY_KEY, key, strict=True), occurrences=count) for key, count in sorted(days.items())]
    _COUNT_DAYS.execute(conn, rows)


def see_again(conn: Connection, run_id: int, seen: Iterable[Occurrence]) -> None:
    """Note what a run tells of occurrences that are stored already."""
    rows = {
        it.identity: {
            "known_identity": it.identity,
            "seen_by_run": run_id,
            "last_seen_at": it.last_seen_at,
            "container_id": it.container_id,
            "exit_code": it.exit_code,
            "reason": it.reason,
            "restart_count": it.restart_count,
        }
        for it in seen
    }
    _SEE_AGAIN.execute(conn, [rows[identity] for identity in sorted(rows)])


def see_as_known(conn: Connection, run_id: int, identities: Iterable[str]) -> None:
    """Note that a run saw occurrences of which it tells nothing new."""
    listed = json.dumps(sorted(identities))
    if listed != "[]":
        _SEE_AS_KNOWN.run(conn, {"identities": listed, "seen_by_run": run_id})


def replace_occurrence(conn: Connection, former_identity: str, row: Mapping[str, Any]) -> None:
    """Let a row take the place of a stored occurrence, whose first run it keeps; it is no longer counted on its day."""
    former = conn.execute(_FORMER, {"former_identity": former_identity}).one()
    day = {f"of_{name}": value for name, value in former._mapping.items() if name in _DAY_KEY}
    if not conn.execute(_COUNT_ONE_LESS, day).rowcount:
        conn.execute(_DROP_DAY, day)
    kept = {"first_run_id": former.first_run_id, "last_run_id": max(former.last_run_id, row["last_run_id"])}
    _REPLACE.execute(conn, [{"former_identity": former_identity, **row, **kept}])


def encode_timestamps(instants: Sequence[datetime], *, undated: bool = False) -> str | None:
    """Return the instants of a finding as JSON, '' standing for one that is not known; None where two columns do."""
    if len(instants) <= 2 and not (undated and instants):
        return None  # a tenth of a finding's bytes, for what first_at and last_at say already
    texts = [*([""] if undated else []), *(format_instant(at) for at in instants)]
    return json.dumps(texts, separators=(",", ":"))


def _sorted_by_key(table: Table, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    # in the order of the key: pages fill one after the other, and concurrent writers lock rows in one order
    return sorted(rows, key=itemgetter(*table.primary_key.columns.keys()))


def _build_put_artifacts() -> Upsert:
    statement = upsert(artifacts)
    key = artifacts.primary_key.columns.keys()
    told = {column.name: column for column in statement.excluded if column.name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=told)


def _build_put_pods() -> Upsert:
    statement = upsert(pods)
    told = statement.excluded
    # the first name may have been a guess, by an event alone: the kind tells
    known = told.workload_kind != ""
    return statement.on_conflict_do_update(
        index_elements=list(pods.primary_key),
        set_={
            "workload": case((known, told.workload), else_=pods.c.workload),
            "workload_kind": case((known, told.workload_kind), else_=pods.c.workload_kind),
            "first_run_id": least(pods.c.first_run_id, told.first_run_id),
            "runs_until": greatest(pods.c.runs_until, told.runs_until),
        },
    )


def _build_see_pods_again() -> Update:
    places, columns = triples_in("places")
    listed = tuple_(*(pods.c[name] for name in _POD_KEY)).in_(select(*columns).select_from(places))
    return update(pods).where(listed).values(runs_until=greatest(pods.c.runs_until, bindparam("until", type_=Integer)))


def _build_count_days() -> Upsert:
    statement = upsert(daily_counts)
    return statement.on_conflict_do_update(
        index_elements=list(daily_counts.primary_key),
        set_={"occurrences": daily_counts.c.occurrences + statement.excluded.occurrences},
    )


# what `of_run` and `insert_findings` know of the table
assert findings.c.keys()[:2] == ["run_id", "finding_key"]
assert findings.c.keys()[-1] == "artifacts_from"

_OF_DAY = [daily_counts.c[name] == bindparam(f"of_{name}") for name in _DAY_KEY]
_OF_FORMER = occurrences.c.identity == bindparam("former_identity")

# built once: building a statement costs more than running it
_INSERTS = {
    table.name: Prepared(insert(table), table.c.keys())
    for table in (findings, occurrences, suspects, run_gaps, run_counts, run_clusters)
}
_PUT_ARTIFACTS = Prepared(_build_put_artifacts(), artifacts.c.keys())
_PUT_PODS = Prepared(_build_put_pods(), pods.c.keys())
_SEE_PODS_AGAIN = Prepared(_build_see_pods_again(), ("runs_until",))
_COUNT_DAYS = Prepared(_build_count_days(), daily_counts.c.keys())
# a slow run may come after a later one that saw it too
_LATEST_RUN = greatest(occurrences.c.last_run_id, bindparam("seen_by_run", type_=Integer))
_SEE_AGAIN = Prepared(
    update(occurrences).where(occurrences.c.identity == bindparam("known_identity")).values(last_run_id=_LATEST_RUN),
    ("last_seen_at", "container_id", "exit_code", "reason", "restart_count"),
)
_SEE_AS_KNOWN = Prepared(
    update(occurrences)
    .where(occurrences.c.identity.in_(select(texts_in("identities").c.value)))
    .values(last_run_id=_LATEST_RUN),
    ("last_run_id",),
)
_FORMER = select(
    *(stored_day(occurrences.c.occurred_at).label(name) if name == "day" else occurrences.c[name] for name in _DAY_KEY),
    occurrences.c.first_run_id,
    occurrences.c.last_run_id,
).where(_OF_FORMER)
_COUNT_ONE_LESS = (
    update(daily_counts)
    .where(*_OF_DAY, daily_counts.c.occurrences > 1)
    .values(occurrences=daily_counts.c.occurrences - 1)
)
_DROP_DAY = delete(daily_counts).where(*_OF_DAY)
_REPLACE = Prepared(update(occurrences).where(_OF_FORMER), occurrences.c.keys())
