"""What the store knows of a scan's pods already: their occurrences, and the last capture of their artifacts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select

from oomdb.model import Finding
from oomdb.store.database import Store
from oomdb.store.folding import (
    KILL,
    LOOP,
    ContainerKey,
    FoldedFinding,
    Occurrence,
    fold,
    identity_prefix,
    kill_identity,
    pod_key,
)
from oomdb.store.schema import artifacts, occurrences

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # no kill is older
_CHUNK = 200  # terms of one OR, values in one IN: far below SQLite's limits (expression depth 1,000)


@dataclass(frozen=True, slots=True)
class Capture:
    """The run that captured a pod's artifacts last, and when."""

    run_id: int
    captured_at: datetime


def list_uncaptured(store: Store, cluster: str, scanned: Sequence[Finding], *, seen_at: datetime) -> set[str]:
    """Return the keys (`pod_key`) of the pods whose description and log shall be captured.

    A pod is captured where it never was, and again only where an occurrence is new or later than the last capture.
    """
    with store.reading() as conn:
        folded = fold_with_stored(conn, cluster, scanned, seen_at)
        captures = read_captures(conn, cluster, scanned)
    wanted = set()
    for item in folded:
        key = pod_key(cluster, item.finding)
        last = captures.get(key)
        if last is None or item.new or any(it.occurred_at > last.captured_at for it in item.known):
            wanted.add(key)
    return wanted


def fold_with_stored(
    conn: Connection, cluster: str, scanned: Sequence[Finding], seen_at: datetime
) -> list[FoldedFinding]:
    """Fold a scan's findings with the occurrences that are stored of their containers."""
    return fold(cluster, scanned, _read_stored(conn, cluster, scanned), seen_at=seen_at)


def _read_stored(
    conn: Connection, cluster: str, scanned: Sequence[Finding]
) -> Mapping[ContainerKey, Sequence[Occurrence]]:
    stored: dict[ContainerKey, list[Occurrence]] = defaultdict(list)
    if not scanned:
        return stored
    earliest = _earliest_to_compare(scanned)
    identity, occurred_at = occurrences.c.identity, occurrences.c.occurred_at
    by_prefix: dict[str, ContainerKey] = {}
    told: dict[str, list[str]] = defaultdict(list)  # by prefix: the identities of the kills that the scan tells of
    for finding in scanned:
        key = (pod_key(cluster, finding), finding.container)
        kills = [kill_identity(key, sighting) for sighting in finding.sightings if not sighting.is_loop]
        by_prefix |= {identity_prefix(kind, key): key for kind in (KILL, LOOP)}
        told[identity_prefix(KILL, key)] += kills
    for prefixes in _chunks(by_prefix):
        # an identity is its prefix and as many hex digits again: all lie between the prefix and the prefix and 'g'
        rows = conn.execute(
            select(occurrences)
            .where(or_(*(identity.between(prefix, prefix + "g") for prefix in prefixes)))
            .where(or_(identity.startswith(LOOP), occurred_at >= earliest))
        ).all()
        # one pod's events can be more than a statement may have values
        for older in _chunks({it for prefix in prefixes for it in told[prefix]} - {row.identity for row in rows}):
            rows = [*rows, *conn.execute(select(occurrences).where(identity.in_(older)))]
        for row in rows:
            stored[by_prefix[row.identity[: len(prefixes[0])]]].append(_occurrence_of(row))
    return stored


def _earliest_to_compare(scanned: Sequence[Finding]) -> datetime:
    # a kill is compared with itself, whatever time it was given before, and with kills of its time; a loop with the
    # container's last one, whenever that was. An event that is sent again keeps its first time, which its sender may
    # have set to any year
    sightings = [sighting for finding in scanned for sighting in finding.sightings]
    first = min((min(it.at, it.first_event_at or it.at) for it in sightings), default=_BEGINNING)
    return max(first, _BEGINNING) - timedelta(hours=1)


def _occurrence_of(row: Any) -> Occurrence:
    return Occurrence(
        identity=row.identity,
        type=row.type,
        occurred_at=row.occurred_at,
        last_seen_at=row.last_seen_at,
        time_quality=row.time_quality,
        container_id=row.container_id,
        exit_code=row.exit_code,
        reason=row.reason,
        restart_count=row.restart_count,
        first_run_id=row.first_run_id,
    )


def read_captures(conn: Connection, cluster: str, scanned: Sequence[Finding]) -> dict[str, Capture]:
    """Return the last capture of each pod; one that failed does not count, so that the next run tries again."""
    captures: dict[str, Capture] = {}
    table = artifacts.c
    names = {(finding.namespace, finding.pod, finding.pod_uid): pod_key(cluster, finding) for finding in scanned}
    for uids in _chunks({finding.pod_uid for finding in scanned}):
        rows = conn.execute(
            select(table.namespace, table.pod, table.pod_uid, table.run_id, table.captured_at)
            .where(table.pod_uid.in_(uids), table.cluster == cluster, table.kind == "description")
            .where(table.status != "error")
            .order_by(table.captured_at, table.run_id)
        )
        for row in rows:
            if key := names.get((row.namespace, row.pod, row.pod_uid)):
                captures[key] = Capture(row.run_id, row.captured_at)
    return captures


def _chunks(values: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
