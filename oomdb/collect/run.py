"""One collect from begin to end: the clusters are read in parallel, each as soon as it answers, and recorded."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from oomdb.collect.capture import Captured, CaptureRequest, capture_artifacts
from oomdb.collect.clocks import find_skew
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
from oomdb.store.writer import record_plan, record_scan

HEARTBEAT_SECONDS = 20.0  # a sixth of the silence after which a run counts as abandoned
PATIENCE_SECONDS = 5.0  # after which it is said which cluster keeps us waiting
READ = ("complete", "partial")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """How to collect: `batch` clusters at a time, `capture` None for no artifacts.

    `lookbacks` by cluster, for those that are not looked back over `scan.lookback` from when the run began.
    """

    scan: ScanRequest
    capture: CaptureRequest | None
    batch: int
    timeout_seconds: float
    retries: int
    lookbacks: Mapping[str, Lookback] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whether a cluster answered: its version, or why not."""

    cluster: str
    server_version: str = ""
    clock_skew_seconds: float | None = None
    error: OomdbError | None = None


class Listener:
    """Hears how a collect goes on, and does nothing of its own; `connected`, `scanning`, `pods_read` and `skipped` are
    called from the worker threads.
    """

    def begun(self, clusters: Sequence[str]) -> None:
        """These clusters are to be read."""

    def waiting(self, cluster: str) -> None:
        """A cluster has not answered for some seconds, and is waited for."""

    def connected(self, connection: Connection) -> None:
        """A cluster answered, or was given up."""

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
    patience_seconds: float = PATIENCE_SECONDS,
) -> CollectResult:
    """Scan the targets and record them in a run that has begun; the run is closed whatever happens.

    While nothing ends, the run gives a sign of life every `heartbeat_seconds`, and the listener hears of each cluster
    that has not answered for `patience_seconds`.

    Raises:
        StoreError: if the database cannot be written; the run is closed as far as it came.
        KeyboardInterrupt: passed on, the run closed as `partial` or `aborted`; clusters that were read are recorded.
    """

    work = _Work(store, request, listener, clock, began_at=clock())
    heart = _Heart(store, run_id, clock, heartbeat_seconds)
    scans: dict[str, ClusterScan] = {}
    new_occurrences = 0

    def take_in(part: ClusterScan, seen_at: datetime) -> None:
        nonlocal new_occurrences
        recorded = record_scan(store, run_id, part, seen_at=seen_at)
        work.drafts.pop(part.cluster, None)
        scans[part.cluster] = part
        new_occurrences += recorded.new_occurrences
        listener.scanned(part, recorded.new_occurrences)

    def look_round() -> None:
        heart.beat()
        work.tell_waiting(patience_seconds)

    try:
        record_plan(store, run_id, [_not_yet_read(target) for target in targets])
        listener.begun([target.name for target in targets])
        working = run_in_threads(
            work.scan,
            targets,
            workers=request.batch,
            on_wait=look_round,
            wait_seconds=min(heartbeat_seconds, patience_seconds),
        )
        with closing(working):  # whatever happens here, no worker begins another cluster
            for _, (part, seen_at) in working:
                take_in(part, seen_at)
                look_round()
        status = finish_run(store, run_id, now=clock())
    except BaseException as err:
        # where the database is what failed, the next run closes this one
        with suppress(StoreError):
            if isinstance(err, KeyboardInterrupt):
                for draft, seen_at in list(work.drafts.values()):
                    take_in(draft, seen_at)
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


@dataclass(frozen=True, slots=True)
class _Work:
    """What the workers of one collect share.

    `drafts`: the clusters that were read and are not recorded yet, as far as their artifacts came, and when they were
    read; it is what a run that is stopped has of them. `asked`: those that have not answered yet, and since when.
    """

    store: Store
    request: CollectRequest
    listener: Listener
    clock: Callable[[], datetime]
    began_at: datetime
    drafts: dict[str, tuple[ClusterScan, datetime]] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)

    def tell_waiting(self, patience_seconds: float) -> None:
        """Tell, once, of each cluster that keeps us waiting for its first answer."""
        for cluster, since in list(self.asked.items()):
            if time.monotonic() - since >= patience_seconds and self.asked.pop(cluster, None) is not None:
                self.listener.waiting(cluster)

    def scan(self, target: ClusterTarget) -> tuple[ClusterScan, datetime]:
        """Read one cluster in a worker thread; whatever goes wrong with the cluster becomes part of its scan.

        All is judged by the clock that dates the cluster's objects, where it differs from ours.
        """
        began = time.monotonic()
        with _open(target, self.request) as client:

            def add_cost(part: ClusterScan) -> ClusterScan:
                return replace(
                    part,
                    context=client.context_name,
                    requests=client.requests,
                    retries=client.retries,
                    duration_ms=round((time.monotonic() - began) * 1000),
                )

            connection = self._connect(client, target.name)
            now, skew = self.clock(), find_skew(connection.clock_skew_seconds)
            base = ClusterScan(
                cluster=target.name,
                context=client.context_name,
                server=target.contexts[0].cluster.server,
                status="failed",
                server_version=connection.server_version,
                clock_skew_seconds=connection.clock_skew_seconds,
            )
            if connection.error is not None:
                return add_cost(_unread(base, connection.error)), now + skew
            self.listener.scanning(target.name)

            def keep(part: ClusterScan) -> None:
                self.drafts[part.cluster] = (add_cost(part), now + skew)

            try:
                part = self._read(client, base, target.contexts[0].namespace, now, skew)
                keep(part)
                if self.request.capture is not None and part.findings:
                    part = self._add_artifacts(client, part, self.request.capture, now + skew, skew, keep)
            except StoreError:
                raise
            except Exception as err:  # one cluster's odd answer must not cost the others their scan
                part = _unread(base, as_error(err))
            return add_cost(part), now + skew

    def _connect(self, client: ClusterClient, cluster: str) -> Connection:
        """Ask a cluster for its version, and tell what came of it."""
        version, error = "", None
        self.asked[cluster] = time.monotonic()
        try:
            version = client.server_version()
        except Exception as err:
            error = as_error(err)
        self.asked.pop(cluster, None)
        connection = Connection(
            cluster=cluster, server_version=version, clock_skew_seconds=client.clock_skew_seconds, error=error
        )
        self.listener.connected(connection)
        return connection

    def _read(
        self, client: ClusterClient, base: ClusterScan, own_namespace: str, now: datetime, skew: timedelta
    ) -> ClusterScan:
        cluster, asked = base.cluster, self.request.scan
        lookback = self.request.lookbacks.get(cluster, Lookback(self.began_at - asked.lookback))
        scan = scan_cluster(
            client,
            replace(asked, lookback=now - lookback.since),
            own_namespace=own_namespace,
            at=now + skew,
            on_progress=lambda count: self.listener.pods_read(cluster, count),
        )
        self.listener.skipped(cluster, scan.skipped)
        part = _add_result(base, scan)
        if lookback.gap is not None and part.status in READ:
            # the status stays: all that can be read now was read, and the next look back begins here
            part = replace(part, gaps=(*part.gaps, lookback.gap))
        return part

    def _add_artifacts(
        self,
        client: ClusterClient,
        part: ClusterScan,
        capture: CaptureRequest,
        at: datetime,
        skew: timedelta,
        keep: Callable[[ClusterScan], None],
    ) -> ClusterScan:
        """Capture artifacts; `keep` is called with the part as it is to be recorded should the run be stopped."""
        there = capture.folder.holds
        wanted = list_uncaptured(self.store, part.cluster, part.findings, seen_at=at, is_there=there)
        findings = [finding for finding in part.findings if pod_key(part.cluster, finding) in wanted]
        try:
            captured = capture_artifacts(
                client,
                part.cluster,
                findings,
                capture,
                clock=lambda: self.clock() + skew,
                on_saved=lambda so_far: keep(_add_captured(part, so_far)),
            )
        except Exception as err:  # no artifact is worth the findings
            gap = Gap(namespace="", source="artifacts", status="failed", message=str(as_error(err)))
            captured = Captured((), (gap,))
        return _add_captured(part, captured)


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


def _not_yet_read(target: ClusterTarget) -> ClusterScan:
    context = target.contexts[0]
    return ClusterScan(
        cluster=target.name, context=context.name, server=context.cluster.server, status="unknown", error="not read yet"
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


def _add_captured(part: ClusterScan, captured: Captured) -> ClusterScan:
    status: ScanStatus = "partial" if captured.gaps and part.status == "complete" else part.status
    return replace(part, artifacts=captured.artifacts, gaps=(*part.gaps, *captured.gaps), status=status)
