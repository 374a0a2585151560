"""What became of each namespace in the latest looks at its cluster: read, left out, failed, or not seen any more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, bindparam, func, select

from oomdb.queries.filters import FindingFilter
from oomdb.queries.lists import KNOWN_FOR, any_glob
from oomdb.queries.selection import READ
from oomdb.store.database import Store
from oomdb.store.dialect import contains
from oomdb.store.schema import namespaces, run_clusters, run_gaps, runs
from oomdb.table import Table

NamespaceState = Literal["read", "skipped", "failed", "unseen"]

LOOKED = ("complete", "partial", "unreachable", "forbidden", "failed")  # states of a cluster that was to be read
LISTS = ("namespaces", "events", "pods")  # sources of gaps that leave a namespace unread
_FILTERS = ("--include-ns ", "--exclude-ns ")  # in the scope of a run, before their regular expressions
_BY_NAME = "--namespace "  # in the scope of a run that looked at named namespaces only; their names follow


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceLook:
    """What is known of the latest looks at one namespace.

    `state` is what the latest run that looked at the cluster came to: `read` (its pods and events, to the end),
    `skipped` (by the rule in `reason`), `failed` (it could not be read, or nobody knows; `reason` says why), `unseen`
    (the run read the cluster, and knew of no such namespace).
    """

    cluster: str
    namespace: str
    state: NamespaceState
    run_id: int | None  # that latest run; None where it was deleted
    read_at: datetime | None  # when the newest run began that read it; None: no run did
    read_run_id: int | None  # that run; None also where it was deleted
    last_seen_at: datetime  # when the newest run began that knew of it
    last_run_id: int | None
    reason: str  # '' where it was read


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLook:
    """The latest run that looked at all of a cluster, and why it failed where it did.

    `listed`: it had a list of the cluster's namespaces; else it knew of those alone in which something showed.
    """

    run_id: int
    began_at: datetime
    scope: str
    status: str
    listed: bool
    reason: str  # '' where nothing that concerns the whole cluster failed


def list_namespace_looks(store: Store, filters: FindingFilter) -> Table:
    """Return a row for each namespace that is known, by cluster and name, read from the database while printed."""
    headers = ("cluster", "namespace", "state", "read_at", "read_run", "last_seen_at", "last_run", "reason")
    return Table(headers, (_as_row(look) for look in _iter_looks(store, filters)))


def iter_looks(conn: Connection, clusters: Sequence[str], namespaces_wanted: Sequence[str]) -> Iterator[NamespaceLook]:
    """Iterate over what is known of namespaces, by cluster and name.

    Args:
        conn: a reading connection.
        clusters: globs, of which one must fit; none: every cluster.
        namespaces_wanted: the same for the names of namespaces.
    """
    table = namespaces.c
    names = select(table.cluster).distinct().where(any_glob(table.cluster, clusters)).order_by(table.cluster)
    for cluster in conn.execute(names).scalars().all():
        latest = find_latest_look(conn, cluster)
        reasons = _Reasons(conn, cluster)
        rows = select(namespaces).where(table.cluster == cluster, any_glob(table.namespace, namespaces_wanted))
        for row in conn.execute(rows.order_by(table.namespace)):
            yield _judge(row, latest, reasons)


def find_latest_look(conn: Connection, cluster: str) -> ClusterLook | None:
    """Return the latest closed run that was to look at all of a cluster, whether it could or not; None for none."""
    row = conn.execute(_LATEST_LOOK, {"cluster": cluster}).first()
    if row is None:
        return None
    reason = row.error if row.status not in READ else _Reasons(conn, cluster).of_run(row.id).get("", "")
    return ClusterLook(
        run_id=row.id,
        began_at=row.started_at,
        scope=row.scope,
        status=row.status,
        listed=row.namespaces_skipped is not None,
        reason=reason,
    )


def list_clusters_unknown_by_namespace(store: Store, clusters: Sequence[str] = ()) -> list[str]:
    """Return the clusters that runs of the last thirty days looked at, and of whose namespaces nothing is known.

    Their runs were recorded before revision 0002, or imported from files that do not tell.
    """
    table = run_clusters.c
    newest = select(func.max(runs.c.started_at, type_=runs.c.started_at.type))
    with store.reading() as conn:
        until = conn.execute(newest).scalar_one()
        if until is None:
            return []
        known = select(namespaces.c.cluster)
        looked = select(table.cluster).distinct().join_from(runs, run_clusters)
        looked = looked.where(runs.c.started_at >= until - KNOWN_FOR, runs.c.status.in_(READ))
        looked = looked.where(any_glob(table.cluster, clusters), table.cluster.not_in(known))
        return list(conn.execute(looked.order_by(table.cluster)).scalars())


def parse_named(scope: str) -> frozenset[str]:
    """Return the namespaces that a run was told to look at by name; none: it was to look at all."""
    _, named, names = scope.partition(_BY_NAME)
    return frozenset(names.split(" ")[0].split(",")) if named else frozenset()


def _build_latest_look() -> Select[Any]:
    scan = run_clusters.c
    return (
        select(runs.c.id, runs.c.started_at, runs.c.scope, scan.status, scan.error, scan.namespaces_skipped)
        .join_from(runs, run_clusters, scan.run_id == runs.c.id)
        .where(scan.cluster == bindparam("cluster"), scan.status.in_(LOOKED), runs.c.status.in_(READ))
        .where(~contains(runs.c.scope, _BY_NAME))
        .order_by(runs.c.started_at.desc(), runs.c.id.desc())
        .limit(1)
    )


_LATEST_LOOK = _build_latest_look()


class _Reasons:
    """Why a cluster's namespaces could not be read, by run; asked for where something failed."""

    def __init__(self, conn: Connection, cluster: str) -> None:
        self._conn = conn
        self._cluster = cluster
        self._known: dict[int, Mapping[str, str]] = {}

    def of_run(self, run_id: int) -> Mapping[str, str]:
        """Return the messages of a run's gaps by namespace, '' being the whole cluster."""
        if run_id not in self._known:
            gaps = run_gaps.c
            wanted = select(gaps.namespace, gaps.message).where(gaps.run_id == run_id, gaps.cluster == self._cluster)
            found = self._conn.execute(wanted.where(gaps.source.in_(LISTS)).order_by(gaps.source.desc()))
            self._known[run_id] = {row.namespace: row.message for row in found}
        return self._known[run_id]


def _judge(row: Any, latest: ClusterLook | None, reasons: _Reasons) -> NamespaceLook:
    """Return what the latest run says of a namespace: one that noted it, else the latest that looked at its cluster."""
    noted = NamespaceLook(
        cluster=row.cluster,
        namespace=row.namespace,
        state="read",
        run_id=row.last_run_id,
        read_at=row.read_at,
        read_run_id=row.read_run_id,
        last_seen_at=row.last_seen_at,
        last_run_id=row.last_run_id,
        reason="",
    )
    # times are of whole seconds: of two runs that began in one, the later has the higher number
    if latest is not None and (row.last_seen_at, row.last_run_id or 0) < (latest.began_at, latest.run_id):
        return _judge_unnoted(replace(noted, run_id=latest.run_id), latest)
    if row.rule is not None:
        return replace(noted, state="skipped", reason=row.rule)
    if (row.read_at, row.read_run_id) == (row.last_seen_at, row.last_run_id):
        return noted
    told = {} if row.last_run_id is None else reasons.of_run(row.last_run_id)
    reason = told.get(row.namespace) or told.get("") or "why is not known any more"
    return replace(noted, state="failed", reason=reason)


def _judge_unnoted(look: NamespaceLook, latest: ClusterLook) -> NamespaceLook:
    """Judge a namespace of which the latest run that looked at its cluster noted nothing."""
    if latest.status not in READ or latest.reason:
        return replace(look, state="failed", reason=latest.reason)
    if latest.listed:
        reason = f"run {latest.run_id} read the cluster and knew of no such namespace"
        return replace(look, state="unseen", reason=reason)
    if any(filter_ in latest.scope for filter_ in _FILTERS):
        reason = f"run {latest.run_id} had no list of namespaces, and its filters may have left this one out"
        return replace(look, state="failed", reason=reason)
    # the lists of the whole cluster were read to the end, and nothing showed in it
    return replace(look, read_at=latest.began_at, read_run_id=latest.run_id)


def _iter_looks(store: Store, filters: FindingFilter) -> Iterator[NamespaceLook]:
    with store.reading() as conn:
        yield from iter_looks(conn, filters.clusters, filters.namespaces)


def _as_row(look: NamespaceLook) -> tuple[str | int | datetime | None, ...]:
    seen = (look.read_at, look.read_run_id, look.last_seen_at, look.last_run_id)
    return (look.cluster, look.namespace, look.state, *seen, look.reason)
