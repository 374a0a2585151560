"""One collect from begin to end: connect to all clusters, scan them in parallel, record each as it comes."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from oomdb.collect.capture import Captured, CaptureRequest, capture_artifacts
from oomdb.collect.lookback import Lookback
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
CLOCKS_AGREE_SECONDS = 60.0  # a server's clock that differs by less is taken for ours
READ = ("complete", "partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """How to collect: `batch` clusters at a time, `capture` None for no artifacts.

    `lookbacks` by cluster, for those that are not looked back over `scan.lookback`.
    """

    scan: ScanRequest
    capture: CaptureRequest | None
    batch: int
    timeout_seconds: float
    retries: int
    lookbacks: Mapping[str, Lookback] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whether a cluster answered: its version, or why not; by which context, and what it cost to find out."""

    target: ClusterTarget
    context_name: str
    server_version: str = ""
    clock_skew_seconds: float | None = None
    requests: int = 0
    retries: int = 0
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
    targets: Sequence[ClusterTarget],
    request: CollectRequest,
    *,
    on_wait: Callable[[], None] = lambda: None,
    wait_seconds: float = HEARTBEAT_SECONDS,
) -> tuple[Connection, ...]:
    """Ask every cluster for its version, `batch` at a time; in the order of the targets.

    `on_wait` is called every `wait_seconds` or more often.
    """

    def ask(target: ClusterTarget) -> Connection:
        version, error = "", None
        with _open(target, request) as client:
            try:
                version = client.server_version()
            except Exception as err:
                error = as_error(err)
            return Connection(
                target=target,
                context_name=client.context_name,
                server_version=version,
                clock_skew_seconds=client.clock_skew_seconds,
                requests=client.requests,
                retries=client.retries,
                error=error,
            )

    answers = {}
    for target, answer in run_in_threads(
        ask, targets, workers=request.batch, on_wait=on_wait, wait_seconds=wait_seconds
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
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> CollectResult:
    """Scan the targets and record them in a run that has begun; the run is closed whatever happens.

    While nothing ends, the run gives a sign of life every `heartbeat_seconds`.

    Raises:
        StoreError: if the database cannot be written; the run is closed as far as it came.
        KeyboardInterrupt: passed on, the run closed as `partial` or `aborted`.
    """

    def scan(connection: Connection) -> tuple[ClusterScan, datetime]:
        return _work(store, connection, request, listener, clock)

    heart = _Heart(store, run_id, clock, heartbeat_seconds)
    try:
        connections = connect(targets, request, on_wait=heart.beat, wait_seconds=heartbeat_seconds)
        listener.connected(connections)
        scans: dict[str, ClusterScan] = {}
        new_occurrences = 0
        working = run_in_threads(
            scan,
            connections,
            workers=request.batch,
            on_wait=heart.beat,
            wait_seconds=heartbeat_seconds,
        )
        with closing(working):  # whatever happens here, no worker begins another cluster
            for _, (part, seen_at) in working:
                recorded = record_scan(store, run_id, part, seen_at=seen_at)
                heart.beat()
                scans[part.cluster] = part
                new_occurrences += recorded.new_occurrences
                listener.scanned(part, recorded.new_occurrences)
        status = finish_run(store, run_id, now=clock())
    except BaseException:
        # where the database is what failed, the next run closes this one
        with suppress(StoreError):
            interrupt_run(store, run_id, now=clock())
        raise
    ordered = tuple(scans[target.name] for target in targets)
    return CollectResult(run_id=run_id, status=status, scans=ordered, new_occurrences=new_occurrences)


class _Heart:
    """Gives signs of life of a run, as often as is needed and no more, whoever asks for it."""

    def __init__(self, store: Store, run_id: int, clock: Callable[[], datetime], every_seconds: float) -> None:
        self._store = store
        self._run_id = run_id
        self._clock = clock
        self._every_seconds = every_seconds
        self._last = time.monotonic()

    def beat(self) -> None:
        if time.monotonic() - self._last < self._every_seconds:
            return
        self._last = time.monotonic()
        # a database that is busy just now is no reason to die; one that fails shows when a scan is recorded
        with suppress(StoreError):
            beat(self._store, self._run_id, now=self._clock())


def _work(
    store: Store,
    connection: Connection,
    request: CollectRequest,
    listener: Listener,
    clock: Callable[[], datetime],
) -> tuple[ClusterScan, datetime]:
    """Scan one cluster in a worker thread; whatever goes wrong with the cluster becomes part of its scan."""
    target, began = connection.target, time.monotonic()
    clock = _clock_of_the_cluster(connection, clock)
    at = clock()
    base = ClusterScan(
        cluster=target.name,
        context=connection.context_name,
        server=target.contexts[0].cluster.server,
        status="failed",
        server_version=connection.server_version,
        clock_skew_seconds=connection.clock_skew_seconds,
        requests=connection.requests,
        retries=connection.retries,
    )
    if connection.error is not None:
        return _unread(base, connection.error), at
    listener.scanning(target.name)
    with _open(target, request) as client:
        try:
            part = _read_cluster(store, client, base, connection, request, listener, at, clock)
        except StoreError:
            raise
        except Exception as err:  # one cluster's odd answer must not cost the others their scan
            part = _unread(base, as_error(err))
        part = replace(
            part,
            context=client.context_name,
            requests=base.requests + client.requests,
            retries=base.retries + client.retries,
            duration_ms=round((time.monotonic() - began) * 1000),
        )
    return part, at


def _clock_of_the_cluster(connection: Connection, clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """Return the clock by which a cluster's times are judged: its own where it differs from ours."""
    skew_seconds = connection.clock_skew_seconds or 0.0
    if abs(skew_seconds) <= CLOCKS_AGREE_SECONDS:
        return clock
    skew = timedelta(seconds=skew_seconds)
    return lambda: clock() + skew


def _read_cluster(
    store: Store,
    client: ClusterClient,
    base: ClusterScan,
    connection: Connection,
    request: CollectRequest,
    listener: Listener,
    at: datetime,
    clock: Callable[[], datetime],
) -> ClusterScan:
    cluster = base.cluster
    lookback = request.lookbacks.get(cluster, Lookback(request.scan.lookback))
    scan = scan_cluster(
        client,
        replace(request.scan, lookback=lookback.span),
        own_namespace=connection.target.contexts[0].namespace,
        at=at,
        on_progress=lambda count: listener.pods_read(cluster, count),
    )
    listener.skipped(cluster, scan.skipped)
    part = _add_result(base, scan)
    if request.capture is not None and part.findings:
        part = _add_artifacts(store, client, part, request.capture, at, clock)
    if lookback.gap is not None and part.status in READ:
        # the status stays: all that can be read now was read, and the next look back begins here
        part = replace(part, gaps=(*part.gaps, lookback.gap))
    return part


def as_error(err: Exception) -> OomdbError:
    """Return an error for people: one of ours as it is, any other one as what it is, a fault of oomdb."""
    if isinstance(err, OomdbError):
        return err
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


def _add_result(base: ClusterScan, scan: ScanResult) -> ClusterScan:
    return replace(
        base,
        status=scan.status,
        error=scan.error,
        namespaces_scanned=scan.namespaces_scanned,
        namespaces_skipped=scan.namespaces_skipped,
        namespaces_failed=scan.namespaces_failed,
        skipped_by_rule=Counter(scan.skipped.values()),
        skipped=scan.skipped,
        namespaces_read=scan.namespaces_read,
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
        captured = Captured((), (Gap(namespace="", source="artifacts", status="failed", message=str(as_error(err))),))
    gaps = (*part.gaps, *captured.gaps)
    status: ScanStatus = "partial" if captured.gaps and part.status == "complete" else part.status
    return replace(part, artifacts=captured.artifacts, gaps=gaps, status=status)
