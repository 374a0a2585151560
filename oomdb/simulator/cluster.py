"""What a simulated cluster holds: API objects and logs, swapped as a whole, with the revisions that paging needs."""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from oomdb.errors import OomdbError

ApiObject = Mapping[str, Any]
LogKey = tuple[str, str, str, bool]  # namespace, pod, container, previous

_FIRST_REVISION = 90_000_000  # real clusters count high; it must not look like an index
_KEPT_REVISIONS = 4  # lists that were begun may go on over this many replacements, then their tokens expire


class Content(NamedTuple):
    """All that a cluster shows at one instant; objects are API dicts with names that are unique where they must be."""

    namespaces: Iterable[ApiObject] = ()
    pods: Iterable[ApiObject] = ()
    events: Iterable[ApiObject] = ()
    logs: Mapping[LogKey, bytes] = {}


class StoredObject:
    """One API object under its storage key (`namespace/name`, or `name`), encoded once for lists."""

    __slots__ = ("_list_json", "key", "value")

    def __init__(self, value: ApiObject) -> None:
        metadata = value["metadata"]
        namespace = metadata.get("namespace")
        self.key: str = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
        self.value = value
        self._list_json: bytes | None = None

    def list_json(self) -> bytes:
        """Return the object as a list shows it: without apiVersion and kind, which only the list names."""
        if self._list_json is None:
            item = {name: part for name, part in self.value.items() if name not in ("apiVersion", "kind")}
            self._list_json = encode(item)
        return self._list_json


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one revision; `objects` holds `namespaces`, `pods` and `events` in storage order."""

    revision: int
    objects: Mapping[str, tuple[StoredObject, ...]]
    logs: Mapping[LogKey, bytes]
    by_key: Mapping[str, Mapping[str, StoredObject]] = field(default_factory=dict)

    def find(self, resource: str, key: str) -> StoredObject | None:
        """Return the object of a resource under its storage key, or None."""
        return self.by_key[resource].get(key)


class SimulatedCluster:
    """A cluster's content, shared by the threads of a server; objects are swapped, never changed in place.

    `projects` tells whether it is an OpenShift cluster (it serves project.openshift.io). The last few revisions are
    kept, so that a list in pages stays consistent while the content is replaced; `compact` forgets them, as etcd
    does every five minutes, and then old continue tokens are answered with 410.
    """

    def __init__(
        self,
        namespaces: Iterable[ApiObject] = (),
        pods: Iterable[ApiObject] = (),
        events: Iterable[ApiObject] = (),
        logs: Mapping[LogKey, bytes] | None = None,
        *,
        projects: bool = True,
        server_version: str = "v1.31.6",
    ) -> None:
        self.projects = projects
        self.server_version = server_version
        self._lock = threading.Lock()
        first = _snapshot(_FIRST_REVISION, Content(namespaces, pods, events, logs or {}))
        self._snapshots = {first.revision: first}
        self._latest = first

    @property
    def namespaces(self) -> list[ApiObject]:
        """The namespaces, in storage order."""
        return [stored.value for stored in self.snapshot().objects["namespaces"]]

    @property
    def pods(self) -> list[ApiObject]:
        """The pods, in storage order."""
        return [stored.value for stored in self.snapshot().objects["pods"]]

    @property
    def events(self) -> list[ApiObject]:
        """The events, in storage order."""
        return [stored.value for stored in self.snapshot().objects["events"]]

    @property
    def logs(self) -> Mapping[LogKey, bytes]:
        """The logs by (namespace, pod, container, previous)."""
        return self.snapshot().logs

    def replace(
        self,
        namespaces: Iterable[ApiObject] | None = None,
        pods: Iterable[ApiObject] | None = None,
        events: Iterable[ApiObject] | None = None,
        logs: Mapping[LogKey, bytes] | None = None,
    ) -> None:
        """Swap the content at once, as a new revision; what is not given stays. `replace(*content)` takes a Content."""
        with self._lock:
            kept = self._latest
            content = Content(
                _values(kept, "namespaces") if namespaces is None else namespaces,
                _values(kept, "pods") if pods is None else pods,
                _values(kept, "events") if events is None else events,
                kept.logs if logs is None else logs,
            )
            self._latest = _snapshot(kept.revision + 1, content)
            self._snapshots[self._latest.revision] = self._latest
            self._snapshots.pop(self._latest.revision - _KEPT_REVISIONS, None)

    def compact(self) -> None:
        """Forget every revision, the present one's too: all continue tokens given so far expire."""
        with self._lock:
            kept = self._latest
            self._latest = Snapshot(kept.revision + 1, kept.objects, kept.logs, kept.by_key)
            self._snapshots = {self._latest.revision: self._latest}

    def snapshot(self, revision: int | None = None) -> Snapshot:
        """Return the content at a revision that is still kept, or the latest.

        Raises:
            KeyError: for a revision that was compacted.
        """
        with self._lock:
            return self._latest if revision is None else self._snapshots[revision]


def load_folder(path: Path, *, projects: bool = True, server_version: str = "v1.31.6") -> SimulatedCluster:
    """Return the cluster that a folder holds.

    The layout: `namespaces.json`, `pods.json`, `events.json` (lists as the API returns them) and
    `logs/<namespace>__<pod>__<container>__{current,previous}.log`.

    Raises:
        OomdbError: where a list is missing or cannot be read, or a log's name does not say whose it is.
    """
    return SimulatedCluster(
        _load_items(path / "namespaces.json"),
        _load_items(path / "pods.json"),
        _load_items(path / "events.json"),
        dict(_load_log(file) for file in sorted((path / "logs").glob("*.log"))),
        projects=projects,
        server_version=server_version,
    )


def encode(value: object) -> bytes:
    """Return JSON as the Go encoder of the real server writes it: compact UTF-8 with <, > and & escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text.encode(errors="replace")


def _snapshot(revision: int, content: Content) -> Snapshot:
    objects = {
        "namespaces": _stored(content.namespaces),
        "pods": _stored(content.pods),
        "events": _stored(content.events),
    }
    by_key = {resource: {stored.key: stored for stored in values} for resource, values in objects.items()}
    return Snapshot(revision, objects, dict(content.logs), by_key)


def _stored(values: Iterable[ApiObject]) -> tuple[StoredObject, ...]:
    return tuple(sorted(map(StoredObject, values), key=lambda stored: stored.key))


def _values(snapshot: Snapshot, resource: str) -> list[ApiObject]:
    return [stored.value for stored in snapshot.objects[resource]]


def _load_items(path: Path) -> list[ApiObject]:
    try:
        document = json.loads(path.read_bytes())
        items: list[ApiObject] = document["items"]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise OomdbError(
            f"{path} cannot be read as a list of API objects ({err}): give a folder with "
            "namespaces.json, pods.json and events.json."
        ) from err
    return items


def _load_log(path: Path) -> tuple[LogKey, bytes]:
    match path.stem.split("__"):
        case [namespace, pod, container, "current" | "previous" as which]:
            return (namespace, pod, container, which == "previous"), path.read_bytes()
    raise OomdbError(f"{path} is not named <namespace>__<pod>__<container>__current.log or …__previous.log: rename it.")
