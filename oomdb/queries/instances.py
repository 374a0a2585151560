"""Kills and loops as instances of a pod: of one run, or of the whole history."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from oomdb.queries.exports import read_timestamps
from oomdb.queries.selection import READ, Run
from oomdb.store.dialect import contains
from oomdb.store.folding import KILL, LOOP, finding_key, identity_prefix, pod_key
from oomdb.store.schema import findings, occurrences, pods, runs
from oomdb.timespan import format_instant

NameTest = Callable[[ColumnElement[str]], ColumnElement[bool]]  # builds a condition on a column of pods' names
FindingRef = tuple[int, str]  # run, finding_key
_PLACE = ("cluster", "namespace", "pod", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One kill or one loop of a pod; `at` is its own time, or its run's where it has none."""

    cluster: str
    namespace: str
    pod: str
    type: str
    at: datetime


def list_instances_of_run(conn: Connection, run: Run) -> list[Instance]:
    """Return what is behind the findings of a run, each kill and each loop once."""
    rows = conn.execute(select(findings).where(findings.c.run_id == run.id).order_by(findings.c.finding_key)).all()
    instances = []
    counted: set[str] = set()
    for row in rows:
        behind = _find_behind(row, _read_occurrences(conn, row)) if row.first_at else []
        instances += [_instance(row, it.occurred_at) for it in behind if it.identity not in counted]
        counted.update(it.identity for it in behind)
        if not behind:
            instances.append(_instance(row, row.first_at or run.started_at))
    return instances


def list_instances_of_pods(conn: Connection, text: str) -> list[Instance]:
    """Return all kills and loops of pods whose name contains a text, over the whole history."""
    return [instance for instance, _ in iter_history(conn, lambda pod: contains(pod, text))]


def iter_history(
    conn: Connection, matches: NameTest, *, since: datetime | None = None
) -> Iterator[tuple[Instance, tuple[FindingRef, ...]]]:
    """Iterate over all kills and loops of pods, each with the findings that may tell of it, the first to tell first.

    Args:
        conn: a transaction that reads.
        matches: builds the condition on the pod's name.
        since: leave out what lies before (UTC).
    """
    table = occurrences.c
    columns = [table[name] for name in (*_PLACE, "pod_uid", "container", "occurred_at", "first_run_id", "last_run_id")]
    dated = select(*columns).where(matches(table.pod)).order_by(table.occurred_at)
    for row in conn.execute(dated if since is None else dated.where(table.occurred_at >= since)):
        yield _instance(row, row.occurred_at), _find_refs(row)
    yield from _iter_undated(conn, matches, since)


def _find_refs(row: Any) -> tuple[FindingRef, ...]:
    """Return the findings by which an occurrence became known and was seen last; an import's name no container."""
    told = (finding_key(row.cluster, row.namespace, row.pod, row.pod_uid, row.container, row.type),)
    untold = (finding_key(row.cluster, row.namespace, row.pod, "", "", row.type),)
    return tuple((run, key) for run in (row.first_run_id, row.last_run_id) for key in dict.fromkeys(told + untold))


def _read_occurrences(conn: Connection, row: Any) -> list[Any]:
    """Return all loops of a finding's container, and its kills of the finding's time, in order of time.

    One statement a finding: given an OR of many, SQLite reads the whole table once ANALYZE has told it of its size.
    """
    key = (pod_key(row.cluster, row), row.container)
    kill, loop = identity_prefix(KILL, key), identity_prefix(LOOP, key)
    table = occurrences.c
    columns = select(table.identity, table.type, table.occurred_at, table.last_seen_at)
    # hex digits follow a prefix: all identities lie between it and it with a 'g'
    kills = columns.where(
        table.identity.between(kill, kill + "g"), table.occurred_at.between(row.first_at, row.last_at)
    )
    loops = columns.where(table.identity.between(loop, loop + "g"))
    return sorted([*conn.execute(kills), *conn.execute(loops)], key=lambda it: it.occurred_at)


def _find_behind(row: Any, of_container: Iterable[Any]) -> list[Any]:
    """Return the kills at a finding's instants, and its loop where it has one: a scan sees one of a container."""
    of_type = [it for it in of_container if it.type == row.type]
    instants = set(read_timestamps(row))
    kills = [it for it in of_type if it.identity.startswith(KILL) and format_instant(it.occurred_at) in instants]
    loops = [it for it in of_type if it.identity.startswith(LOOP)]
    if not loops or len(kills) >= row.occurrences:
        return kills
    # the later one where two touch the finding's time: the scan that saw the later one begin read older evidence too
    return [*kills, min(reversed(loops), key=lambda it: _distance(it, row))]


def _distance(loop: Any, row: Any) -> timedelta:
    """Return how far a loop lies from a finding's time, within which it need not be: an old event may tell of it."""
    apart: timedelta = max(timedelta(), loop.occurred_at - row.last_at, row.first_at - loop.last_seen_at)
    return apart


def _iter_undated(
    conn: Connection, matches: NameTest, since: datetime | None
) -> Iterator[tuple[Instance, tuple[FindingRef, ...]]]:
    matching = select(func.min(pods.c.first_run_id), func.max(pods.c.runs_until)).where(matches(pods.c.pod))
    first, last = conn.execute(matching).one()
    if first is None:
        return
    table = findings.c
    undated = (
        select(*(table[name] for name in (*_PLACE, "run_id", "finding_key")), runs.c.started_at)
        .join_from(findings, runs)
        .where(table.run_id.between(first, last), table.first_at.is_(None), matches(table.pod))
        .where(runs.c.status.in_(READ))
    )
    for row in conn.execute(undated if since is None else undated.where(runs.c.started_at >= since)):
        yield _instance(row, row.started_at), ((row.run_id, row.finding_key),)


def _instance(row: Any, at: datetime) -> Instance:
    return Instance(cluster=row.cluster, namespace=row.namespace, pod=row.pod, type=row.type, at=at)
