"""Looking at one namespace as it is now: whether it is there, what may be read in it, and what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oomdb.collect.access import NEEDS, Need
from oomdb.collect.clocks import find_skew
from oomdb.collect.namespaces import NamespaceRules
from oomdb.collect.scan import ScanRequest, scan_cluster
from oomdb.errors import ClusterError, ClusterForbidden, ClusterUnreachable, OomdbError, StoreError
from oomdb.kube.client import ClusterClient, open_client
from oomdb.kube.clusters import ClusterTarget
from oomdb.model import Finding, Gap, ScanStatus, Suspect
from oomdb.store.database import Store
from oomdb.store.stored import fold_with_stored


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRequest:
    """How to look: as a collect would scan, whose rules are judged by but not followed."""

    scan: ScanRequest
    timeout_seconds: float
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Whether one kind of request is allowed in the namespace; None where the server would not tell."""

    need: Need
    allowed: bool | None
    reason: str = ""  # in the server's words


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNow:
    """A kill or loop that shows now, and whether a run has stored it."""

    finding: Finding
    at: datetime
    is_stored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveLook:
    """One namespace of one cluster as it is now; `error` tells why nothing more is known, '' where it was read.

    `exists` is None where we may not ask. `rule` is what a collect would leave it out by, None for nothing;
    `labels_known` tells whether its labels were read, without which no rule about labels can apply.
    """

    cluster: str
    context: str
    server: str
    at: datetime
    error: str = ""
    exists: bool | None = None
    labels_known: bool = False
    rule: str | None = None
    permissions: tuple[Permission, ...] = ()
    status: ScanStatus = "failed"
    gaps: tuple[Gap, ...] = ()
    pods_seen: int | None = None
    events_seen: int | None = None
    oldest_event_at: datetime | None = None
    clock_skew_seconds: float | None = None
    found: tuple[FoundNow, ...] = ()
    suspects: tuple[Suspect, ...] = ()


def look_at_namespace(
    store: Store, target: ClusterTarget, namespace: str, request: LookRequest, *, at: datetime
) -> LiveLook:
    """Look at a namespace over the API, and hold what shows against the database; nothing is stored.

    What goes wrong with the cluster is in the result.

    Raises:
        StoreError: if the database cannot be read.
    """
    first = target.contexts[0]
    base = LiveLook(cluster=target.name, context=first.name, server=first.cluster.server, at=at)
    with open_client(target, timeout_seconds=request.timeout_seconds, retries=request.retries) as client:
        try:
            look = _look(store, client, base, namespace, request)
        except StoreError:
            raise
        except OomdbError as err:
            look = replace(base, error=str(err))
        return replace(look, context=client.context_name, clock_skew_seconds=client.clock_skew_seconds)


def _look(store: Store, client: ClusterClient, base: LiveLook, namespace: str, request: LookRequest) -> LiveLook:
    labels = None
    try:
        there = client.find_namespace(namespace)
        if there is None:
            return replace(base, exists=False)
        look, labels = replace(base, exists=True, labels_known=True), there.labels
    except ClusterForbidden:
        look = base  # nobody knows whether it is there
    look = replace(
        look,
        rule=request.scan.rules.judge(namespace, labels, named=False),
        permissions=tuple(_ask(client, need, namespace) for need in NEEDS if need.in_namespaces),
    )
    # the rules are told of, not followed: what is in there now is the question
    asked = replace(request.scan, names=(namespace,), rules=NamespaceRules(ephemeral=None))
    at = base.at + find_skew(client.clock_skew_seconds)  # by the clock that dates the cluster's objects
    scan = scan_cluster(client, asked, own_namespace=namespace, at=at)
    return replace(
        look,
        error=scan.error,
        status=scan.status,
        gaps=scan.gaps,
        pods_seen=scan.pods_seen,
        events_seen=scan.events_seen,
        oldest_event_at=scan.oldest_event_at,
        found=_hold_against(store, base.cluster, scan.findings, at),
        suspects=scan.suspects,
    )


def _ask(client: ClusterClient, need: Need, namespace: str) -> Permission:
    try:
        answer = client.review_access(need.review(namespace))
    except ClusterUnreachable:
        raise
    except ClusterError as err:  # a server that reviews nothing may still be read
        return Permission(need=need, allowed=None, reason=str(err))
    return Permission(need=need, allowed=answer.allowed, reason=answer.reason)


def _hold_against(store: Store, cluster: str, findings: Sequence[Finding], at: datetime) -> tuple[FoundNow, ...]:
    with store.reading() as conn:
        folded = fold_with_stored(conn, cluster, findings, at)
    return tuple(
        FoundNow(finding=item.finding, at=occurrence.occurred_at, is_stored=occurrence.first_run_id is not None)
        for item in folded
        for occurrence in (*item.known, *item.new)
    )
