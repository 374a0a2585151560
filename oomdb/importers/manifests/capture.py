"""What was saved of one cluster: its pods and events, and what of them is missing or cannot be read."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from oomdb.detectors.pod_events import find_pod
from oomdb.errors import ImportFileError
from oomdb.importers.manifests.documents import Document, Manifest, read_documents
from oomdb.kube.events import EVENT_LIST
from oomdb.model import Event, Gap, Pod

Source = Literal["pods", "events"]

EVERYWHERE = ""  # the namespace of a list of a file, of which nobody knows how much of the cluster it is
NOT_CAPTURED = "not-captured"
BROKEN = "broken"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class CapturedPod:
    """A pod, and its whole manifest as JSON."""

    pod: Pod
    encoded: bytes | msgspec.Raw

    def instants(self) -> Iterator[datetime]:
        """Iterate over the times in its status, all of which lie before it was saved."""
        if self.pod.status.start_time is not None:
            yield self.pod.status.start_time
        for status in self.pod.container_statuses():
            for state in (status.state, status.last_state):
                if state.running is not None and state.running.started_at is not None:
                    yield state.running.started_at
                if state.terminated is not None and state.terminated.finished_at is not None:
                    yield state.terminated.finished_at


@dataclass(frozen=True, slots=True)
class CapturedEvent:
    """An event about a pod, and the whole of it as JSON."""

    event: Event
    encoded: bytes | msgspec.Raw

    def instants(self) -> Iterator[datetime]:
        """Iterate over the times at which it was sent, first and last."""
        yield from (at for at in (self.event.first_at(), self.event.last_at()) if at is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What a file or a folder holds of one cluster.

    `lists` are those that were saved and could be read to their end, as (source, namespace); of a file the namespace is
    `EVERYWHERE`, of a folder (`is_folder`) each namespace has its own.
    """

    path: str  # as it is told and remembered
    sha256: str  # of all that was read
    modified_at: datetime
    began_at: datetime | None  # by a folder's `timestamp` file, None where there is none
    ended_at: datetime | None  # likewise
    pods: Sequence[CapturedPod]
    events: Sequence[CapturedEvent]
    lists: frozenset[tuple[Source, str]]
    gaps: tuple[Gap, ...]
    folders: Sequence[Path] = ()  # each holds `namespaces`, with the logs; of a file there is none

    @property
    def is_folder(self) -> bool:
        """Tell a folder, whose namespaces were saved one by one, from a file."""
        return bool(self.folders)

    def list_key(self, namespace: str) -> str:
        """Return under which namespace the lists stand that hold a namespace's pods and events."""
        return namespace if self.is_folder else EVERYWHERE


def read_capture_file(data: bytes, *, path: str, modified_at: datetime) -> Capture:
    """Return what a file of lists, or of single objects, holds.

    Raises:
        ImportFileError: if it holds neither pods nor events.
    """
    gathering = Gathering()
    gathering.take(data, path=path, namespace=EVERYWHERE)
    if not gathering.lists and not gathering.has_objects:
        raise ImportFileError(gathering.tell_why_empty(path))
    for source in _SOURCES:
        if (source, EVERYWHERE) not in gathering.lists and not gathering.is_missed(EVERYWHERE, source):
            gathering.miss(EVERYWHERE, source, NOT_CAPTURED, f"{path} holds no list of {source}")
    if len(gathering.namespaces) < _FEWEST_OF_ALL:
        gathering.miss(EVERYWHERE, "namespaces", NOT_CAPTURED, f"{path} holds one namespace alone, perhaps not all")
    return gathering.finish(path=path, modified_at=modified_at)


class Gathering:
    """Gathers the objects of one file, or of many; what cannot be read is noted, and the rest goes on."""

    def __init__(self) -> None:
        self.lists: set[tuple[Source, str]] = set()
        self._pods: dict[tuple[str, ...], CapturedPod] = {}
        self._events: dict[tuple[str, str], CapturedEvent] = {}
        self._missing: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        self._other_kinds: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    @property
    def has_objects(self) -> bool:
        """Tell whether there was any pod, or any event about one."""
        return bool(self._pods or self._events)

    @property
    def namespaces(self) -> set[str]:
        """Whose pods, and events about pods, there were."""
        of_pods = {captured.pod.metadata.namespace for captured in self._pods.values()}
        return of_pods | {find_pod(captured.event).namespace for captured in self._events.values()}

    def take(self, data: bytes, *, path: str, namespace: str, holds: Source | None = None) -> None:
        """Take the objects of a file.

        Args:
            data: its content.
            path: where it lies, for people.
            namespace: whose it is; `EVERYWHERE` where it may hold any.
            holds: of what it is a list by its name, which counts where the list itself does not say it.
        """
        self._digest.update(hashlib.sha256(data).digest())
        for document in read_documents(data):
            listed = _sources_of(document, holds)
            self.lists |= {(source, namespace) for source in listed}
            for source, told in self._take_document(document, namespace, listed or _SOURCES):
                self.lists.discard((source, namespace))
                self.miss(namespace, source, BROKEN, f"{path}: {told}")

    def is_missed(self, namespace: str, source: Source) -> bool:
        """Tell whether something of a list could not be read."""
        return any((namespace, source) == missed[:2] for missed in self._missing)

    def miss(self, namespace: str, source: str, status: str, told: str) -> None:
        """Note what could not be looked at, and why."""
        self._missing[namespace, source, status].append(told)

    def finish(
        self, *, path: str, modified_at: datetime, times: Sequence[datetime] = (), folders: Sequence[Path] = ()
    ) -> Capture:
        """Return all that was gathered."""
        return Capture(
            path=path,
            sha256=self._digest.hexdigest(),
            modified_at=modified_at,
            began_at=min(times, default=None),
            ended_at=max(times, default=None),
            pods=tuple(self._pods.values()),
            events=tuple(self._events.values()),
            lists=frozenset(self.lists),
            gaps=tuple(_build_gaps(self._missing)),
            folders=folders,
        )

    def tell_why_empty(self, path: str) -> str:
        """Return why there is nothing to look at, in a sentence."""
        broken = next((told[0] for (_, _, status), told in self._missing.items() if status == BROKEN), None)
        if broken is not None:
            return f"{broken}; save it again with `oc get pods,events -A -o json`."
        found = ", ".join(f"{count} {kind or 'without a kind'}" for kind, count in self._other_kinds.most_common(3))
        return (
            f"{path}: holds no pods and no events{f', but {found}' if found else ''}; "
            "save them with `oc get pods,events -A -o json`."
        )

    def _take_document(
        self, document: Document, namespace: str, listed: Iterable[Source]
    ) -> Iterator[tuple[Source, str]]:
        """Take a document's objects, and yield of which source something cannot be read, and why."""
        for manifest in document.manifests:
            try:
                if manifest.kind == "Pod":
                    self._take_pod(manifest, namespace)
                elif manifest.kind == "Event":
                    self._take_event(manifest, namespace)
                else:
                    self._other_kinds[manifest.kind] += 1
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as err:
                yield _KINDS[manifest.kind], f"{manifest.where}: {manifest.kind} that cannot be read: {err}"
        if document.error:
            yield from ((source, document.error) for source in listed)

    def _take_pod(self, manifest: Manifest, namespace: str) -> None:
        pod = _POD.decode(manifest.encoded)
        metadata = pod.metadata
        _check_place(metadata.namespace, metadata.name, namespace)
        key = (metadata.uid,) if metadata.uid else (metadata.namespace, metadata.name)
        self._pods.setdefault(key, CapturedPod(pod, manifest.encoded))

    def _take_event(self, manifest: Manifest, namespace: str) -> None:
        event = _decode_event(manifest.encoded)
        if event.involved_object.kind != "Pod":
            return
        ref = find_pod(event)
        _check_place(ref.namespace, ref.name, namespace)
        key = (event.metadata.namespace, event.metadata.name)
        self._events.setdefault(key, CapturedEvent(event, manifest.encoded))


_POD = msgspec.json.Decoder(Pod)
_FEWEST_OF_ALL = 2  # namespaces: `oc get` lists one of them, or all
_SHOWN = 3  # messages of a gap; a file with a thousand broken objects has a thousand
# names of pods are DNS subdomains, of namespaces labels (k/k pkg/apis/core/validation, ValidatePodName)
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_SOURCES: tuple[Source, ...] = ("pods", "events")
_KINDS: dict[str, Source] = {"Pod": "pods", "Event": "events"}
# events.k8s.io/v1 calls the same things by other names (k/k pkg/apis/events/v1/conversion.go)
_CORE_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}


def _sources_of(document: Document, holds: Source | None) -> set[Source]:
    """Return what a document is a list of; a single object is none."""
    if not document.kind:
        return {holds} if holds is not None and document.error else set()
    told = {document.kind.removesuffix("List"), *(manifest.kind for manifest in document.manifests)}
    return {_KINDS[kind] for kind in told & _KINDS.keys()} | ({holds} if holds is not None else set())


def _decode_event(encoded: bytes | msgspec.Raw) -> Event:
    event = EVENT_LIST.decode_one(encoded)
    if event.involved_object.kind:
        return event
    whole: dict[str, Any] = msgspec.json.decode(encoded)
    return EVENT_LIST.decode_one(
        msgspec.json.encode({_CORE_NAMES.get(key, key): value for key, value in whole.items()})
    )


def _check_place(namespace: str, name: str, expected: str) -> None:
    if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise msgspec.ValidationError(f"namespace {namespace!r} and name {name!r} are none of Kubernetes")
    if expected not in (EVERYWHERE, namespace):
        raise msgspec.ValidationError(f"it is of namespace {namespace!r}")


def _build_gaps(missing: dict[tuple[str, str, str], list[str]]) -> Iterator[Gap]:
    by_place: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for (namespace, source, status), told in missing.items():
        by_place[namespace, source] += [(status, each) for each in told]
    for (namespace, source), causes in sorted(by_place.items()):
        yield Gap(namespace=namespace, source=source, status=causes[0][0], message=_join(told for _, told in causes))


def _join(told: Iterable[str]) -> str:
    every = list(dict.fromkeys(told))
    more = f"; and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return "; ".join(every[:_SHOWN]) + more
