"""Scanning one cluster: which namespaces, its events, its pods, and what could not be read."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from oomdb.collect.namespaces import NamespaceRules
from oomdb.collect.threads import run_in_threads
from oomdb.detectors.base import Detector, Window
from oomdb.detectors.findings import FindingsBuilder
from oomdb.detectors.pod_events import PodEvents, find_pod
from oomdb.errors import (
    ClusterError,
    ClusterForbidden,
    ClusterNotFound,
    ClusterTimeout,
    ClusterUnreachable,
    KubeconfigError,
    find_similar,
)
from oomdb.kube.client import ClusterClient
from oomdb.kube.objects import Namespace
from oomdb.model import Event, Finding, Gap, Pod, ScanStatus, Suspect

ListSource = Literal["events", "pods"]
TIMEOUTS_OF_A_DEAD_SERVER = 3  # namespaces in a row
EVERYWHERE = ""  # the namespace of a gap that is the whole cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What to look at in every cluster, and how.

    `names`: read only these namespaces, one by one; empty for all. `namespace_batch` namespaces are read at a time, by
    `namespace_workers` threads, where they are read one by one.
    """

    lookback: timedelta
    detectors: Sequence[Detector]
    names: tuple[str, ...] = ()
    rules: NamespaceRules = field(default_factory=NamespaceRules)
    namespace_batch: int = 10
    namespace_workers: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What one cluster showed, and how much of it was looked at; counts are None where nothing could be listed.

    `namespaces_skipped` is None without a list of all namespaces: those in which nothing showed are not known then.
    """

    status: ScanStatus
    error: str
    findings: tuple[Finding, ...]
    suspects: tuple[Suspect, ...]
    gaps: tuple[Gap, ...]
    namespaces_scanned: int | None
    namespaces_skipped: int | None
    namespaces_failed: int
    skipped: Mapping[str, str]  # namespace → rule that left it out
    namespaces_read: tuple[str, ...]  # in which both lists were read to their end
    pods_seen: int | None
    events_seen: int | None
    oldest_event_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenNamespaces:
    """The namespaces of a cluster by the rules; `gap` tells where not all of them could be listed.

    `known` is False where no list was to be had: then `to_scan` is the context's own namespace alone.
    """

    to_scan: tuple[str, ...]
    skipped: Mapping[str, str]  # name → rule
    known: bool
    gap: Gap | None = None

    @property
    def lists_all(self) -> bool:
        """Whether a namespace that is neither to be scanned nor skipped does not exist, or was not asked for."""
        return self.known and self.gap is None


def choose_namespaces(client: ClusterClient, request: ScanRequest, *, own_namespace: str) -> ChosenNamespaces:
    """Find out which namespaces there are and which of them to scan.

    All namespaces, else the OpenShift projects (those that one may read), else the context's own namespace. With
    names given nothing is listed.

    Raises:
        ClusterError: if the cluster cannot be read at all.
    """
    if request.names:
        return _apply_rules([Namespace(name) for name in request.names], request)
    try:
        return _apply_rules(client.list_namespaces(), request)
    except ClusterForbidden as err:
        refused = err
    try:
        projects = client.list_projects()
        told = f"{refused}; the {len(projects)} projects that may be read were looked at."
        return _apply_rules(projects, request, gap=_gap(EVERYWHERE, "namespaces", refused, told))
    except (ClusterForbidden, ClusterNotFound):
        told = f"{refused}; without a list of namespaces nobody knows which there are."
        return ChosenNamespaces(
            to_scan=(own_namespace,), skipped={}, known=False, gap=_gap(EVERYWHERE, "namespaces", refused, told)
        )


def scan_cluster(
    client: ClusterClient,
    request: ScanRequest,
    *,
    own_namespace: str,
    at: datetime,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ScanResult:
    """Read one cluster's events, then its pods, and return what they show.

    What cannot be read is a gap in the result, never an exception; what was read before an error counts.

    Args:
        client: the open API of the cluster.
        own_namespace: of the context, where no namespace may be listed.
        at: the moment of the scan.
        on_progress: called now and then with the number of pods read so far.
    """
    scan = _Scan(client, request, at=at, on_progress=on_progress)
    try:
        chosen = choose_namespaces(client, request, own_namespace=own_namespace)
    except ClusterError as err:
        return scan.give_up(err)
    scan.run(chosen)
    return scan.result(chosen)


class _Scan:
    """One scan under way; pages are taken in under a lock, since namespaces may be read by several threads."""

    def __init__(
        self, client: ClusterClient, request: ScanRequest, *, at: datetime, on_progress: Callable[[int], None]
    ) -> None:
        self._client = client
        self._request = request
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._builder = FindingsBuilder(request.detectors, Window(at - request.lookback, at))
        self._skipped: dict[str, str] = {}
        self._judged: set[str] = set()  # namespaces that no list had named, and that are to be looked at
        self._gaps: list[Gap] = []
        self._errors: list[ClusterError] = []
        self._refused: ClusterForbidden | None = None  # of a list of the whole cluster
        self._events = PodEvents()
        self._pods_seen: set[str] = set()
        self._namespaces_seen: set[str] = set()
        self._read: set[tuple[ListSource, str]] = set()  # lists that were read to their end

    def give_up(self, err: ClusterError) -> ScanResult:
        """Build the result of a cluster that could not be read at all."""
        return self._build(None, _status_of(err), str(err))

    def run(self, chosen: ChosenNamespaces) -> None:
        """Read everything; events come first, so that a pod that they speak of and that is not listed was deleted."""
        self._skipped = dict(chosen.skipped)
        self._judged = set(chosen.to_scan)
        for source in ("events", "pods"):
            try:
                self._read_source(source, chosen)
            except ClusterUnreachable as err:
                # no server, no use asking it for the next list
                self._fail(EVERYWHERE, source, err)
                break
        self._look_at_unlisted()
        if self._request.names:
            self._look_for_the_empty(chosen)
        whole: set[tuple[ListSource, str]] = {("events", EVERYWHERE), ("pods", EVERYWHERE)}
        if chosen.gap and not whole <= self._read:
            # where both lists of the whole cluster were read, nobody needed the list of namespaces
            self._gaps.append(chosen.gap)
        if self._request.rules.has_filters and chosen.lists_all and self._skipped and not self._judged:
            self._gaps.append(_nothing_in_scope(self._skipped))

    def result(self, chosen: ChosenNamespaces) -> ScanResult:
        """Build the result after the last page."""
        failure = self._errors[-1] if self._errors else self._refused
        if failure is not None and not self._read and not self._pods_seen and not self._events.count:
            return self._build(chosen, _status_of(failure), str(failure))
        error = str(self._errors[-1]) if self._errors else ""
        return self._build(chosen, "partial" if self._gaps else "complete", error)

    def _build(self, chosen: ChosenNamespaces | None, status: ScanStatus, error: str) -> ScanResult:
        findings, suspects = self._builder.build()
        listed = {source for source, _ in self._read}
        failed = {gap.namespace for gap in self._gaps if gap.namespace != EVERYWHERE}
        return ScanResult(
            status=status,
            error=error,
            findings=findings,
            suspects=suspects,
            gaps=tuple(self._gaps),
            namespaces_scanned=self._count_scanned(chosen, failed) if listed else None,
            namespaces_skipped=len(self._skipped) if chosen and chosen.lists_all else None,
            namespaces_failed=len(failed),
            skipped=self._skipped,
            namespaces_read=self._list_read(chosen, failed),
            pods_seen=len(self._pods_seen) if "pods" in listed or self._pods_seen else None,
            events_seen=self._events.count if "events" in listed or self._events.count else None,
            oldest_event_at=self._events.oldest_at,
        )

    def _list_read(self, chosen: ChosenNamespaces | None, failed: set[str]) -> tuple[str, ...]:
        """Return the namespaces of which events and pods were read to the end, with those that no list had named."""
        wanted = self._judged if chosen and chosen.known else self._namespaces_seen | {name for _, name in self._read}

        def is_read(source: ListSource, name: str) -> bool:
            return (source, EVERYWHERE) in self._read or (source, name) in self._read

        there = wanted - failed - {EVERYWHERE}
        return tuple(sorted(name for name in there if is_read("events", name) and is_read("pods", name)))

    def _count_scanned(self, chosen: ChosenNamespaces | None, failed: set[str]) -> int:
        if chosen and chosen.known:
            return len(set(chosen.to_scan) - failed)
        # nobody could list them: those that showed something, and those that were read by name
        return len(self._namespaces_seen | {namespace for _, namespace in self._read if namespace != EVERYWHERE})

    def _read_source(self, source: ListSource, chosen: ChosenNamespaces) -> None:
        """Read one list of the whole cluster; namespace by namespace where that is forbidden or names are given."""
        if not self._request.names:
            try:
                self._read_list(source, EVERYWHERE)
                return
            except ClusterForbidden as err:
                self._refused = err  # the sign to go namespace by namespace
            except ClusterError as err:
                self._fail(EVERYWHERE, source, err)
                return
        timed_out = 0
        for batch in _batches(chosen.to_scan, self._request.namespace_batch):
            reading = run_in_threads(
                lambda namespace: self._try_list(source, namespace), batch, workers=self._request.namespace_workers
            )
            for namespace, failure in reading:
                if failure is not None:
                    self._fail(namespace, source, failure)
                # one slow namespace is not a dead server, several in a row are
                timed_out = timed_out + 1 if isinstance(failure, ClusterTimeout) else 0
                gone = isinstance(failure, ClusterUnreachable) and not isinstance(failure, ClusterTimeout)
                if failure is not None and (gone or timed_out >= TIMEOUTS_OF_A_DEAD_SERVER):
                    raise failure

    def _try_list(self, source: ListSource, namespace: str) -> ClusterError | None:
        try:
            self._read_list(source, namespace)
        except ClusterError as err:
            return err
        return None

    def _read_list(self, source: ListSource, namespace: str) -> None:
        with _as_cluster_errors():
            self._read_pages(source, namespace)
        with self._lock:
            self._read.add((source, namespace))

    def _read_pages(self, source: ListSource, namespace: str) -> None:
        where = namespace or None
        if source == "events":
            for page in self._client.iter_event_pages(where):
                with self._lock:
                    self._take_events(page.items)
                page.items.clear()
        else:
            # a list that began anew brings pods again: those that were looked at are known by their UID
            for pods in self._client.iter_pod_pages(where):
                with self._lock:
                    self._take_pods(pods.items)
                # the pods hold their page's bytes; let go of both before the next page comes
                pods.items.clear()

    def _take_events(self, events: Iterable[Event]) -> None:
        for event in events:
            namespace = find_pod(event).namespace
            if event.involved_object.kind != "Pod" or self._is_skipped(namespace):
                continue
            self._namespaces_seen.add(namespace)
            self._events.add(event)

    def _take_pods(self, pods: Iterable[Pod]) -> None:
        for pod in pods:
            metadata = pod.metadata
            if metadata.uid in self._pods_seen or self._is_skipped(metadata.namespace):
                continue
            self._pods_seen.add(metadata.uid)
            self._namespaces_seen.add(metadata.namespace)
            self._builder.add_pod(pod, self._events.take(pod))
        self._on_progress(len(self._pods_seen))

    def _is_skipped(self, namespace: str) -> bool:
        """Tell whether a rule leaves the namespace out; of one that no list named, only filters can."""
        if namespace in self._judged:
            return False
        if namespace not in self._skipped:
            rule = self._request.rules.judge(namespace, None, named=bool(self._request.names))
            if rule is None:
                self._judged.add(namespace)
                return False
            self._skipped[namespace] = rule
        return True

    def _look_at_unlisted(self) -> None:
        """Look at the pods that events speak of and no list of pods has: deleted, if their list was complete."""
        for ref, events in self._events.iter_unlisted():
            listed = ("pods", EVERYWHERE) in self._read or ("pods", ref.namespace) in self._read
            self._builder.add_unlisted(ref, events, gone=True if listed else None)

    def _look_for_the_empty(self, chosen: ChosenNamespaces) -> None:
        """Ask for the named namespaces that showed nothing: the lists of one that does not exist are empty too."""
        for name in chosen.to_scan:
            if name in self._namespaces_seen or not {("events", name), ("pods", name)} <= self._read:
                continue
            try:
                with _as_cluster_errors():
                    if self._client.find_namespace(name) is None:
                        told = f"there is no namespace '{name}' in this cluster; {self._suggest_names(name)}"
                        self._gaps.append(Gap(namespace=name, source="namespaces", status="not-found", message=told))
            except ClusterForbidden:
                pass  # nobody knows whether it is there
            except ClusterError as err:
                self._fail(name, "namespaces", err)

    def _suggest_names(self, name: str) -> str:
        near: list[str] = []
        for listed in (self._client.list_namespaces, self._client.list_projects):
            with suppress(ClusterForbidden, ClusterNotFound):
                near = find_similar(name, (namespace.name for namespace in listed()))
                break
        return f"did you mean {' or '.join(near)}?" if near else "check its name, and whether this is its cluster."

    def _fail(self, namespace: str, source: str, err: ClusterError) -> None:
        seen = len(self._pods_seen)
        told = f"{err} ({seen} pods were read before)" if source == "pods" and namespace == EVERYWHERE and seen else ""
        self._errors.append(err)
        self._gaps.append(_gap(namespace, source, err, told))


def _apply_rules(namespaces: Iterable[Namespace], request: ScanRequest, *, gap: Gap | None = None) -> ChosenNamespaces:
    to_scan, skipped = [], {}
    for namespace in namespaces:
        rule = request.rules.judge(namespace.name, namespace.labels, named=bool(request.names))
        if rule is None:
            to_scan.append(namespace.name)
        else:
            skipped[namespace.name] = rule
    return ChosenNamespaces(to_scan=tuple(to_scan), skipped=skipped, known=True, gap=gap)


def _nothing_in_scope(skipped: Mapping[str, str]) -> Gap:
    counts = sorted(Counter(skipped.values()).items())
    told = (
        f"nothing was in scope: all {len(skipped)} namespaces were left out "
        f"({', '.join(f'{count} by {rule}' for rule, count in counts)}); check the expressions."
    )
    return Gap(namespace=EVERYWHERE, source="namespaces", status="not-found", message=told)


def _gap(namespace: str, source: str, err: ClusterError, message: str = "") -> Gap:
    return Gap(namespace=namespace, source=source, status=err.slug, message=message or str(err))


def _status_of(err: ClusterError) -> ScanStatus:
    if isinstance(err, ClusterUnreachable):
        return "unreachable"
    return "forbidden" if isinstance(err, ClusterForbidden) else "failed"


@contextmanager
def _as_cluster_errors() -> Iterator[None]:
    # credentials that break in the middle of a scan must not cost what was read before
    try:
        yield
    except KubeconfigError as err:
        raise ClusterError(str(err)) from err


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
