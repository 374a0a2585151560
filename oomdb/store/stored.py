"""What the store knows of a scan's pods already: their occurrences, and the last capture of their artifacts."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, or_, select

from oomdb.model import Finding
from oomdb.store.database import Store
from oomdb.store.dialect import texts_in
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
    unknown_container,
)
from oomdb.store.schema import artifacts, occurrences

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # no kill is older
_CHUNK = 200  # values in one IN: far below SQLite's limit (999 before 3.32)


def has_prefix(prefix: ColumnElement[str]) -> ColumnElement[bool]:
    """Build 'the occurrence is of the container whose identities begin so': the unique index finds it."""
    # an identity is its prefix and as many hex digits again: all lie between the prefix and the prefix and 'g'
    return occurrences.c.identity.between(prefix, prefix + "g")


def _build_stored() -> Select[Any]:
    """Build the query of the occurrences of some containers: all loops, the kills of the time, and those told of."""
    identity, prefix = occurrences.c.identity, texts_in("prefixes")
    wanted = or_(
        identity.startswith(LOOP),
        occurrences.c.occurred_at >= bindparam("earliest"),
        identity.in_(select(texts_in("told").c.value)),
    )
    # an outer join, whose order is fixed: ANALYZE can make SQLite go through all occurrences first. It has a row of
    # NULLs for a container of which nothing is stored
    joined = prefix.outerjoin(occurrences, and_(has_prefix(prefix.c.value), wanted))
    return select(*(occurrences.c[field.name] for field in fields(Occurrence))).select_from(joined)


def _build_captures() -> Select[Any]:
    table = artifacts.c
    return (
        select(table.namespace, table.pod, table.pod_uid, table.run_id, table.captured_at, table.status, table.path)
        .where(table.pod_uid.in_(bindparam("uids", expanding=True)), table.cluster == bindparam("cluster"))
        .where(table.kind == "description", table.status != "error")
        .order_by(table.captured_at, table.run_id)
    )


# asked at every scan: building a statement costs more than running it
_STORED = _build_stored()
_CAPTURES = _build_captures()


@dataclass(frozen=True, slots=True)
class Capture:
    """The run whose artifacts of a pod are to be shown, and when the pod was captured last.

    `path` is that of its description, '' where the last look found the pod gone: it cannot be had again.
    """

    run_id: int
    captured_at: datetime
    path: str


def list_uncaptured(
    store: Store,
    cluster: str,
    scanned: Sequence[Finding],
    *,
    seen_at: datetime,
    is_there: Callable[[str], bool] = lambda _: True,
) -> set[str]:
    """Return the keys (`pod_key`) of the pods whose description and log shall be captured.

    A pod is captured where it never was, and again only where an occurrence is new or later than the last capture, or
    where the file is not there any more: the output folder is another one, or was wiped.

    Args:
        store: where captures are known.
        cluster: its name.
        scanned: what a scan found.
        seen_at: when.
        is_there: tells whether the output folder has a file, by its relative path.
    """
    with store.reading() as conn:
        folded = fold_with_stored(conn, cluster, scanned, seen_at)
        captures = read_captures(conn, cluster, scanned)
    wanted = set()
    for item in folded:
        key = pod_key(cluster, item.finding)
        last = captures.get(key)
        is_saved = last is not None and (not last.path or is_there(last.path))
        if last is None or not is_saved or item.new or any(it.occurred_at > last.captured_at for it in item.known):
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
    by_prefix: dict[str, ContainerKey] = {}
    told: set[str] = set()  # the identities of the kills that the scan tells of
    for finding in scanned:
        key = (pod_key(cluster, finding), finding.container)
        nameless = unknown_container(cluster, finding.namespace, finding.pod)  # what an import may have stored of it
        by_prefix |= {identity_prefix(kind, it): it for it in (key, nameless) for kind in (KILL, LOOP)}
        told.update(kill_identity(key, sighting) for sighting in finding.sightings if not sighting.is_loop)
    wanted = {
        "prefixes": json.dumps(sorted(by_prefix)),
        "told": json.dumps(sorted(told)),
        "earliest": _earliest_to_compare(scanned),
    }
    length = len(next(iter(by_prefix)))
    for row in conn.execute(_STORED, wanted):
        if row.identity is not None:
            stored[by_prefix[row.identity[:length]]].append(Occurrence(**row._mapping))
    return stored


def _earliest_to_compare(scanned: Sequence[Finding]) -> datetime:
    # a kill is compared with itself, whatever time it was given before, and with kills of its time; a loop with the
    # container's last one, whenever that was. An event that is sent again keeps its first time, which its sender may
    # have set to any year
    sightings = [sighting for finding in scanned for sighting in finding.sightings]
    first = min((min(it.at, it.first_event_at or it.at) for it in sightings), default=_BEGINNING)
    return max(first, _BEGINNING) - timedelta(hours=1)


def read_captures(conn: Connection, cluster: str, scanned: Sequence[Finding]) -> dict[str, Capture]:
    """Return the last capture of each pod; one that failed does not count, so that the next run tries again."""
    captures: dict[str, Capture] = {}
    names = {(finding.namespace, finding.pod, finding.pod_uid): pod_key(cluster, finding) for finding in scanned}
    for uids in _chunks({finding.pod_uid for finding in scanned}):
        rows = conn.execute(_CAPTURES, {"uids": uids, "cluster": cluster})
        for row in rows:
            if key := names.get((row.namespace, row.pod, row.pod_uid)):
                before = captures.get(key)
                # of a pod that is gone by now, what was saved before is what there is to show
                shown = before.run_id if before and row.status == "gone" else row.run_id
                captures[key] = Capture(shown, row.captured_at, row.path)
    return captures


def _chunks(values: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]
