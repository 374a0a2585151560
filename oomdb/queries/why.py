"""What the database knows of one namespace: how it was looked at, what was found in it, and between which looks."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select, union

from oomdb.errors import UsageError, find_similar, suggest
from oomdb.queries.namespaces import LISTS, LOOKED, NamespaceLook, iter_looks, parse_named
from oomdb.queries.selection import READ
from oomdb.queries.windows import select_in_window
from oomdb.store.database import Store
from oomdb.store.schema import findings, namespaces, occurrences, pods, run_clusters, run_gaps, runs, suspects
from oomdb.table import escape_controls

FORBIDDEN = "forbidden"  # the status of a gap: the server's 403
_EPHEMERAL_TOO = "--include-ephemeral"  # in the scope of a run without rules about ephemeral namespaces
_NEAREST = 8  # names in a message about an unknown one


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One look at the cluster by a run; `reason` is why the namespace could not be read in it, '' for no reason.

    `was_read` tells whether pods and events of the namespace were read to the end; None where nobody noted that: the
    run was imported, or its rules may have left the namespace out.
    """

    run_id: int
    began_at: datetime
    origin: str
    scope: str
    time_range: str
    lookback: timedelta
    status: str
    reason: str
    reason_status: str  # the reason in a word: forbidden, timeout, skipped, …; '' for none
    was_read: bool | None
    oldest_event_at: datetime | None
    clock_skew_seconds: float | None
    findings: int  # of the namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What runs were forbidden to read, in the namespace or (`everywhere`) in its whole cluster."""

    source: str  # namespaces, pods, events, artifacts
    everywhere: bool
    message: str  # of the newest one
    runs: int
    last_run_id: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """The time between two looks at a namespace that read it."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it was."""
        return self.until - self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenOccurrence:
    """A kill or a loop in the namespace."""

    occurred_at: datetime
    last_seen_at: datetime
    type: str
    pod: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSuspect:
    """What may have been a kill for memory: `exit-137`, or `evicted-memory`."""

    suspect_class: str
    at: datetime | None
    pod: str
    container: str
    last_run_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFacts:
    """All that is known of one namespace of one cluster since an instant."""

    cluster: str
    namespace: str
    context: str  # by which the newest scan read the cluster
    server: str
    since: datetime
    look: NamespaceLook | None  # None: no run that noted namespaces knew of it
    scans: tuple[Scan, ...]  # newest first
    refusals: tuple[Refusal, ...]  # by source
    occurrences: tuple[SeenOccurrence, ...]  # newest first
    suspects: tuple[SeenSuspect, ...]  # newest first

    @property
    def counts(self) -> Mapping[str, int]:
        """How many kills and loops there were, by type."""
        return Counter(occurrence.type for occurrence in self.occurrences)

    @property
    def reads(self) -> tuple[Scan, ...]:
        """The scans that are known to have read the namespace, newest first."""
        return tuple(scan for scan in self.scans if scan.was_read)

    @property
    def longest_pause(self) -> Pause | None:
        """The longest time between two reads, None where there are not two."""
        return max(self._iter_pauses(), key=lambda pause: pause.length, default=None)

    @property
    def unreached(self) -> Pause | None:
        """The longest time that no read looked back over, though reads came before and after it; None for none."""
        reads = self.reads
        holes = (
            Pause(older.began_at, newer.began_at - newer.lookback)
            for newer, older in pairwise(reads)
            if newer.began_at - newer.lookback > older.began_at
        )
        return max(holes, key=lambda pause: pause.length, default=None)

    def _iter_pauses(self) -> Iterator[Pause]:
        for newer, older in pairwise(self.reads):
            yield Pause(older.began_at, newer.began_at)


def list_clusters_with(store: Store, namespace: str) -> list[str]:
    """Return the clusters in which a namespace is known: by a look at it, or by a finding in it."""
    looked = select(namespaces.c.cluster).where(namespaces.c.namespace == namespace)
    found = select(pods.c.cluster).where(pods.c.namespace == namespace)
    with store.reading() as conn:
        return sorted(conn.execute(union(looked, found)).scalars())


def require_known(store: Store, cluster: str, namespace: str) -> None:
    """Raise an error that names what is near to a cluster or a namespace that no run knows; '' for no cluster.

    Raises:
        UsageError: always: the cluster is not known, else the namespace is not.
    """
    with store.reading() as conn:
        clusters = set(conn.execute(select(run_clusters.c.cluster).distinct()).scalars())
        if cluster and cluster not in clusters:
            named = suggest(cluster, map(escape_controls, clusters))
            raise UsageError(f"No run knows a cluster '{escape_controls(cluster)}'; {named}")
        known = set(conn.execute(union(select(namespaces.c.namespace), select(pods.c.namespace))).scalars())
    named = f"'{escape_controls(namespace)}'"
    if cluster and namespace in known:
        named += f" in cluster '{escape_controls(cluster)}'"
    raise UsageError(
        f"No run knows a namespace {named}; {_suggest_few(namespace, known)} `oomdb coverage --namespaces` lists what "
        "runs knew of; with --live the cluster itself is asked."
    )


def find_facts(store: Store, cluster: str, namespace: str, *, since: datetime) -> NamespaceFacts:
    """Return what is known of a namespace of a cluster; of one that no run knew, the scans of its cluster."""
    with store.reading() as conn:
        look = next(iter_looks(conn, (_literally(cluster),), (_literally(namespace),)), None)
        context, server = _find_way(conn, cluster)
        return NamespaceFacts(
            cluster=cluster,
            namespace=namespace,
            context=context,
            server=server,
            since=since,
            look=look,
            scans=tuple(_iter_scans(conn, cluster, namespace, since, look)),
            refusals=tuple(_iter_refusals(conn, cluster, namespace, since)),
            occurrences=tuple(_iter_occurrences(conn, cluster, namespace, since)),
            suspects=tuple(_iter_suspects(conn, cluster, namespace, since)),
        )


def _literally(name: str) -> str:
    """Return the glob that one name fits, whatever is in it."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _suggest_few(word: str, known: set[str]) -> str:
    near = find_similar(word, known, limit=_NEAREST)
    return suggest(word, map(escape_controls, near)) if near else f"none of the {len(known)} known ones is like it."


def _find_way(conn: Connection, cluster: str) -> tuple[str, str]:
    scan = run_clusters.c
    newest = select(scan.context, scan.server).join_from(runs, run_clusters, scan.run_id == runs.c.id)
    newest = newest.where(scan.cluster == cluster).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(1)
    row = conn.execute(newest).first()
    return (row.context, row.server) if row else ("", "")


def _iter_scans(
    conn: Connection, cluster: str, namespace: str, since: datetime, look: NamespaceLook | None
) -> Iterator[Scan]:
    reasons = _read_reasons(conn, cluster, namespace, since)
    read_scope = None
    scan = run_clusters.c
    of_namespace = (findings.c.run_id == runs.c.id, findings.c.cluster == cluster, findings.c.namespace == namespace)
    found = select(func.count()).where(*of_namespace).scalar_subquery()
    rows = (
        select(runs, scan.status.label("scan_status"), scan.error, scan.oldest_event_at, scan.clock_skew_seconds)
        .add_columns(scan.skipped_by_rule)
        .add_columns(found.label("found"))
        .join_from(runs, run_clusters, scan.run_id == runs.c.id)
        .where(scan.cluster == cluster, runs.c.started_at >= since, runs.c.status.in_(READ))
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
    )
    for row in conn.execute(rows):
        unread = (row.scan_status, row.error)
        reason_status, reason = reasons.get(row.id, ("", "")) if row.scan_status in READ else unread
        if look is not None and look.state == "skipped" and row.id == look.last_run_id:
            reason_status, reason = "skipped", look.reason
        if look is not None and row.id == look.read_run_id:
            read_scope = row.scope  # the runs that come now are older
        yield Scan(
            run_id=row.id,
            began_at=row.started_at,
            origin=row.origin,
            scope=row.scope,
            time_range=row.time_range,
            lookback=timedelta(seconds=row.lookback_seconds),
            status=row.scan_status,
            reason=reason,
            reason_status=reason_status,
            was_read=_was_read(row, namespace, reason, look, read_scope),
            oldest_event_at=row.oldest_event_at,
            clock_skew_seconds=row.clock_skew_seconds,
            findings=row.found,
        )


def _read_reasons(conn: Connection, cluster: str, namespace: str, since: datetime) -> Mapping[int, tuple[str, str]]:
    """Return by run why the namespace could not be read, its own reasons before those of the whole cluster.

    In a word, and in a sentence.
    """
    rows = _select_gaps(cluster, namespace, since).where(run_gaps.c.source.in_(LISTS))
    in_order = conn.execute(rows.order_by(run_gaps.c.namespace, run_gaps.c.source.desc()))
    return {row.run_id: (row.status, row.message) for row in in_order}


def _iter_refusals(conn: Connection, cluster: str, namespace: str, since: datetime) -> Iterator[Refusal]:
    rows = _select_gaps(cluster, namespace, since).where(run_gaps.c.status == FORBIDDEN)
    by_place: defaultdict[tuple[str, bool], list[Any]] = defaultdict(list)
    for row in conn.execute(rows.order_by(run_gaps.c.source, runs.c.started_at, runs.c.id)):
        by_place[row.source, row.namespace == ""].append(row)
    for (source, everywhere), refused in by_place.items():
        newest = refused[-1]
        yield Refusal(
            source=source,
            everywhere=everywhere,
            message=newest.message,
            runs=len(refused),
            last_run_id=newest.run_id,
            last_at=newest.started_at,
        )


def _select_gaps(cluster: str, namespace: str, since: datetime) -> Select[Any]:
    gaps = run_gaps.c
    return (
        select(run_gaps, runs.c.started_at)
        .join_from(runs, run_gaps, gaps.run_id == runs.c.id)
        .where(runs.c.started_at >= since, runs.c.status.in_(READ), gaps.cluster == cluster)
        .where(or_(gaps.namespace == namespace, gaps.namespace == ""))
    )


def _was_read(row: Any, namespace: str, reason: str, look: NamespaceLook | None, read_scope: str | None) -> bool | None:
    if row.scan_status not in LOOKED:
        return None
    named = parse_named(row.scope)
    if reason or row.scan_status not in READ or (named and namespace not in named):
        return False
    if look is None:
        return None
    if look.read_at is None or (row.started_at, row.id) > (look.read_at, look.read_run_id or row.id):
        return False
    # the newest read is noted; of those before it, rules may have left the namespace out
    return None if _may_be_left_out(row, namespace, read_scope) else True


def _may_be_left_out(row: Any, namespace: str, read_scope: str | None) -> bool:
    """Tell whether one of the rules by which a run left namespaces out may have left out this one.

    Args:
        row: the run's part of the cluster.
        namespace: the namespace.
        read_scope: of the newest run that read it; a run of the same scope had the same rules. None: not known.
    """
    if row.scope == read_scope:
        return False
    for rule in json.loads(row.skipped_by_rule):
        kind, _, what = rule.partition(" ")
        if kind == "label" and read_scope is not None and _EPHEMERAL_TOO not in read_scope:
            continue  # these hold for -n too: they spared it when it was read
        if kind == "name" and not fnmatchcase(namespace, what.replace("<uuid>", "*")):
            continue
        return True
    return False


def _iter_occurrences(conn: Connection, cluster: str, namespace: str, since: datetime) -> Iterator[SeenOccurrence]:
    table = occurrences.c
    columns = [table.occurred_at, table.last_seen_at, table.type, table.pod, table.container]
    for row in conn.execute(
        select_in_window(columns, since, None, table.cluster == cluster, table.namespace == namespace)
    ):
        yield SeenOccurrence(**row._mapping)


def _iter_suspects(conn: Connection, cluster: str, namespace: str, since: datetime) -> Iterator[SeenSuspect]:
    table = suspects.c
    of_one = (table["class"], table.at, table.pod, table.container)
    rows = (
        select(*of_one, func.max(table.run_id).label("last_run_id"))
        .join_from(runs, suspects, table.run_id == runs.c.id)
        .where(runs.c.started_at >= since, table.cluster == cluster, table.namespace == namespace)
        .group_by(*of_one, table.pod_uid)
        .order_by(table.at.desc(), table.pod, table.container)
    )
    for row in conn.execute(rows):
        suspect_class, at, pod, container, last_run_id = row
        yield SeenSuspect(suspect_class=suspect_class, at=at, pod=pod, container=container, last_run_id=last_run_id)
