"""Kills and loops as instances of a pod: of one run, or of the whole history."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from oomdb.queries.exports import read_timestamps
from oomdb.queries.selection import READ, Run
from oomdb.store.dialect import contains
from oomdb.store.folding import KILL, LOOP, identity_prefix, pod_key
from oomdb.store.schema import findings, occurrences, pods, runs
from oomdb.timespan import format_instant


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
    table = occurrences.c
    columns = select(table.cluster, table.namespace, table.pod, table.type, table.occurred_at)
    dated = conn.execute(columns.where(contains(table.pod, text)).order_by(table.occurred_at))
    return [*(_instance(row, row.occurred_at) for row in dated), *_iter_undated(conn, text)]


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


def _iter_undated(conn: Connection, text: str) -> Iterator[Instance]:
    matching = select(func.min(pods.c.first_run_id), func.max(pods.c.last_run_id)).where(contains(pods.c.pod, text))
    first, last = conn.execute(matching).one()
    if first is None:
        return
    table = findings.c
    undated = (
        select(table.cluster, table.namespace, table.pod, table.type, runs.c.started_at)
        .join_from(findings, runs)
        .where(table.run_id.between(first, last), table.first_at.is_(None), contains(table.pod, text))
        .where(runs.c.status.in_(READ))
    )
    for row in conn.execute(undated):
        yield _instance(row, row.started_at)


def _instance(row: Any, at: datetime) -> Instance:
    return Instance(cluster=row.cluster, namespace=row.namespace, pod=row.pod, type=row.type, at=at)
