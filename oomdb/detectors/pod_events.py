"""The events of one look at a cluster, by the pod that each speaks of."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from oomdb.model import Event, Pod, PodRef

_NO_EVENT_IS_OLDER = datetime(2014, 6, 6, tzinfo=UTC)  # Kubernetes; what says so says nothing of the horizon


class PodEvents:
    """Gathers events until their pods come by; an event that is read twice counts once."""

    def __init__(self) -> None:
        self.oldest_at: datetime | None = None  # the horizon of the events
        self._keys: set[tuple[str, str]] = set()
        self._waiting: defaultdict[PodRef, dict[str, Event]] = defaultdict(dict)

    @property
    def count(self) -> int:
        """How many events there were."""
        return len(self._keys)

    def add(self, event: Event) -> None:
        """Take one event about a pod."""
        self._keys.add((event.metadata.namespace, event.metadata.name))
        last_at = event.last_at()
        if (
            last_at is not None
            and last_at > _NO_EVENT_IS_OLDER
            and (self.oldest_at is None or last_at < self.oldest_at)
        ):
            self.oldest_at = last_at
        self._waiting[find_pod(event)][event.metadata.name] = event

    def take(self, pod: Pod) -> Sequence[Event]:
        """Return the events about a listed pod, those that name no UID too, and let go of them."""
        if not self._waiting:
            return ()
        metadata = pod.metadata
        by_uid = self._waiting.pop(PodRef(metadata.namespace, metadata.name, metadata.uid), {})
        by_name = self._waiting.pop(PodRef(metadata.namespace, metadata.name, ""), {})
        return (*by_uid.values(), *by_name.values()) if by_uid or by_name else ()

    def iter_unlisted(self) -> Iterator[tuple[PodRef, Sequence[Event]]]:
        """Iterate over the pods that no list has brought, with their events."""
        for ref, events in self._waiting.items():
            yield ref, tuple(events.values())


def find_pod(event: Event) -> PodRef:
    """Return the pod that an event speaks of; its namespace is the event's own where it names none."""
    about = event.involved_object
    return PodRef(about.namespace or event.metadata.namespace, about.name, about.uid)
