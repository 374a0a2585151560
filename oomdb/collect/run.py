"""One collect from begin to end: connect to all clusters, scan them in parallel, record each as it comes."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from oomdb.collect.capture import Captured, CaptureRequest, capture_artifacts
from oomdb.collect.scan import ScanRequest, ScanResult, choose_namespaces, scan_cluster
from oomdb.collect.threads import run_in_threads
from oomdb.errors import ClusterForbidden, ClusterUnreachable, OomdbError, StoreError
from oomdb.kube.client import ClusterClient, open_client
from oomdb.kube.clusters import ClusterTarget
from oomdb.model import ClusterScan, Gap, ScanStatus
from oomdb.store.database import Store
from oomdb.store.folding import pod_key
from oomdb.store.runs import beat, finish_run, interrupt_run
from oomdb.store.stored import list_uncaptured
from oomdb.store.writer import record_scan

HEARTBEAT_SECONDS = 20.0  # a sixth of the silence after which a run counts as abandoned
READ = ("complete", "partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """How to collect: `batch` clusters at a time, `capture` None for no artifacts."""

    scan: ScanRequest
    capture: CaptureRequest | None
    batch: int
    timeout_seconds: float
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whether a cluster answered: its version, or why not."""

    target: ClusterTarget
    server_version: str = ""
    error: OomdbError | None = None


class Listener:
    """Hears how a collect goes on, and does nothing of its own; `scanning`, `pods_read` and `skipped` are called from
    the worker threads.
    """

    def connected(self, connections: Sequence[Connection]) -> None:
        """Every cluster was asked whether it is there."""

    def scanning(self, cluster: str) -> None:
        """A cluster's scan begins."""

    def pods_read(self, cluster: str, count: int) -> None:
        """So many pods of a cluster were read so far."""

    def skipped(self, cluster: str, rules: Mapping[str, str]) -> None:
        """These namespaces were left out, each by its rule."""

    def scanned(self, scan: ClusterScan, new_occurrences: int) -> None:
        """A cluster's part was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectResult:
    """What a collect came to; `scans` in the order of the targets."""

    run_id: int
    status: str
    scans: tuple[ClusterScan, ...]
    new_occurrences: int

    @property
    def clusters_read(self) -> int:
        """How many clusters were read at least in part."""
        return sum(scan.status in READ for scan in self.scans)


def connect(
    targets: Sequence[ClusterTarget], request: CollectRequest, *, on_wait: Callable[[], None] = lambda: None
) -> tuple[Connection, ...]:
    """Ask every cluster for its version, `batch` at a time; in the order of the targets.

    `on_wait` is called every HEARTBEAT_SECONDS or more often.
    """

    def ask(target: ClusterTarget) -> Connection:
        try:
            with _open(target, request) as client:
                return Connection(target=target, server_version=client.server_version())
        except OomdbError as err:
            return Connection(target=target, error=err)
        except Exception as err:
            return Connection(target=target, error=_unexpected(err))

    answers = {}
    for target, answer in run_in_threads(
        ask, targets, workers=request.batch, on_wait=on_wait, wait_seconds=HEARTBEAT_SECONDS
    ):
        answers[target.name] = answer
        on_wait()
    return tuple(answers[target.name] for target in targets)


def list_namespaces(targets: Sequence[ClusterTarget], request: CollectRequest) -> list[tuple[str, str | OomdbError]]:
    """Return (cluster, namespace) of all that would be scanned, (cluster, error) where that cannot be known."""

    def ask(target: ClusterTarget) -> list[tuple[str, str | OomdbError]]:
        try:
            with _open(target, request) as client:
                chosen = choose_namespaces(client, request.scan, own_namespace=target.contexts[0].namespace)
        except OomdbError as err:
            return [(target.name, err)]
        rows: list[tuple[str, str | OomdbError]] = [(target.name, namespace) for namespace in sorted(chosen.to_scan)]
        if chosen.gap is not None:
            rows.append((target.name, OomdbError(chosen.gap.message)))
        return rows

    answers = {target.name: rows for target, rows in run_in_threads(ask, targets, workers=request.batch)}
    return [row for target in targets for row in answers[target.name]]


def collect(
    store: Store,
    run_id: int,
    targets: Sequence[ClusterTarget],
    request: CollectRequest,
    *,
    listener: Listener,
    clock: Callable[[], datetime],
) -> CollectResult:
    """Scan the targets and record them in a run that has begun; the run is closed whatever happens.

    Raises:
        StoreError: if the database cannot be written; the run is closed as far as it came.
        KeyboardInterrupt: passed on, the run closed as `partial` or `aborted`.
    """
    try:
        connections = connect(targets, request, on_wait=lambda: beat(store, run_id, now=clock()))
        listener.connected(connections)
        scans: dict[str, ClusterScan] = {}
        new_occurrences = 0
        working = run_in_threads(
            lambda connection: _work(store, connection, request, listener, clock),
            connections,
            workers=request.batch,
            on_wait=lambda: beat(store, run_id, now=clock()),
            wait_seconds=HEARTBEAT_SECONDS,
        )
        for _, (scan, seen_at) in working:
            recorded = record_scan(store, run_id, scan, seen_at=seen_at)
            beat(store, run_id, now=clock())
            scans[scan.cluster] = scan
            new_occurrences += recorded.new_occurrences
            listener.scanned(scan, recorded.new_occurrences)
        status = finish_run(store, run_id, now=clock())
    except BaseException:
        # where the database is what failed, the next run closes this one
        with suppress(StoreError):
            interrupt_run(store, run_id, now=clock())
        raise
    ordered = tuple(scans[target.name] for target in targets)
    return CollectResult(run_id=run_id, status=status, scans=ordered, new_occurrences=new_occurrences)


def _work(
    store: Store,
    connection: Connection,
    request: CollectRequest,
    listener: Listener,
    clock: Callable[[], datetime],
) -> tuple[ClusterScan, datetime]:
    """Scan one cluster in a worker thread; whatever goes wrong with the cluster becomes part of its scan."""
    target, at, began = connection.target, clock(), time.monotonic()
    base = ClusterScan(
        cluster=target.name,
        context=target.contexts[0].name,
        server=target.contexts[0].cluster.server,
        status="failed",
        server_version=connection.server_version,
    )
    if connection.error is not None:
        return _unread(base, connection.error), at
    listener.scanning(target.name)
    try:
        with _open(target, request) as client:
            scan = scan_cluster(
                client,
                request.scan,
                own_namespace=target.contexts[0].namespace,
                at=at,
                on_progress=lambda count: listener.pods_read(target.name, count),
            )
            listener.skipped(target.name, scan.skipped)
            part = _add_result(base, client, scan)
            if request.capture is not None and part.findings:
                part = _add_artifacts(store, client, part, request.capture, at, clock)
            part = replace(part, requests=client.requests + 1, retries=client.retries)  # the first asked the version
    except StoreError:
        raise
    except OomdbError as err:
        return _unread(base, err), at
    except Exception as err:  # one cluster's odd answer must not cost the others their scan
        return _unread(base, _unexpected(err)), at
    return replace(part, duration_ms=round((time.monotonic() - began) * 1000)), at


def _unexpected(err: Exception) -> OomdbError:
    return OomdbError(f"unexpected {type(err).__name__}: {err}; please report it.")


def _open(target: ClusterTarget, request: CollectRequest) -> AbstractContextManager[ClusterClient]:
    return open_client(
        target,
        timeout_seconds=request.timeout_seconds,
        retries=request.retries,
        connections=request.scan.namespace_workers,
    )


def _unread(base: ClusterScan, err: OomdbError) -> ClusterScan:
    status: ScanStatus = "failed"
    if isinstance(err, ClusterUnreachable):
        status = "unreachable"
    elif isinstance(err, ClusterForbidden):
        status = "forbidden"
    return replace(base, status=status, error=str(err))


def _add_result(base: ClusterScan, client: ClusterClient, scan: ScanResult) -> ClusterScan:
    return replace(
        base,
        context=client.context_name,
        status=scan.status,
        error=scan.error,
        namespaces_scanned=scan.namespaces_scanned,
        namespaces_skipped=scan.namespaces_skipped,
        namespaces_failed=scan.namespaces_failed,
        skipped_by_rule=Counter(scan.skipped.values()),
        pods_seen=scan.pods_seen,
        events_seen=scan.events_seen,
        oldest_event_at=scan.oldest_event_at,
        findings=scan.findings,
        suspects=scan.suspects,
        gaps=scan.gaps,
    )


def _add_artifacts(
    store: Store,
    client: ClusterClient,
    part: ClusterScan,
    capture: CaptureRequest,
    at: datetime,
    clock: Callable[[], datetime],
) -> ClusterScan:
    wanted = list_uncaptured(store, part.cluster, part.findings, seen_at=at)
    findings = [finding for finding in part.findings if pod_key(part.cluster, finding) in wanted]
    try:
        captured = capture_artifacts(client, part.cluster, findings, capture, clock=clock)
    except Exception as err:  # no artifact is worth the findings
        captured = Captured(
            (), (Gap(namespace="", source="artifacts", status="failed", message=str(_unexpected(err))),)
        )
    gaps = (*part.gaps, *captured.gaps)
    status: ScanStatus = "partial" if captured.gaps and part.status == "complete" else part.status
    return replace(part, artifacts=captured.artifacts, gaps=gaps, status=status)
