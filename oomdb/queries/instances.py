"""Kills and loops as instances of a pod: of one run, or of the whole history."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from oomdb.queries.exports import read_timestamps
from oomdb.queries.selection import READ, Run
from oomdb.queries.windows import select_in_window
from oomdb.store.dialect import contains
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
    begun = _find_beginnings(conn, rows)
    instances = []
    for row in rows:
        # a finding whose occurrence is not stored has no time either
        for at in begun.get(_key(row), ()) or [run.started_at]:
            instances.append(_instance(row, at))
    return instances


def list_instances_of_pods(conn: Connection, text: str) -> list[Instance]:
    """Return all kills and loops of pods whose name contains a text, over the whole history."""
    table = occurrences.c
    columns = select(table.cluster, table.namespace, table.pod, table.type, table.occurred_at)
    dated = conn.execute(columns.where(contains(table.pod, text)).order_by(table.occurred_at))
    return [*(_instance(row, row.occurred_at) for row in dated), *_iter_undated(conn, text)]


def _find_beginnings(conn: Connection, rows: Any) -> dict[tuple[str, ...], list[datetime]]:
    """Return when the occurrences behind the findings began, by the finding's pod, container and type."""
    spans: defaultdict[tuple[str, ...], list[Any]] = defaultdict(list)
    for row in rows:
        if row.first_at is not None:
            spans[_key(row)].append(row)
    if not spans:
        return {}
    since = min(row.first_at for group in spans.values() for row in group)
    until = max(row.last_at for group in spans.values() for row in group)
    begun: defaultdict[tuple[str, ...], list[datetime]] = defaultdict(list)
    for occurrence in conn.execute(select_in_window(list(occurrences.c), since, until)):
        if any(_is_behind(occurrence, row) for row in spans.get(_key(occurrence), ())):
            begun[_key(occurrence)].append(occurrence.occurred_at)
    return begun


def _is_behind(occurrence: Any, row: Any) -> bool:
    if occurrence.identity.startswith("loop:"):
        return bool(occurrence.occurred_at <= row.last_at and occurrence.last_seen_at >= row.first_at)
    return format_instant(occurrence.occurred_at) in read_timestamps(row)


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


def _key(row: Any) -> tuple[str, ...]:
    return row.cluster, row.namespace, row.pod, row.pod_uid, row.container, row.type


def _instance(row: Any, at: datetime) -> Instance:
    return Instance(cluster=row.cluster, namespace=row.namespace, pod=row.pod, type=row.type, at=at)
