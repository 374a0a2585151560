"""What a detector is: everything that the author of one needs to read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from oomdb.model import Event, Pod, Sighting, Suspect


@dataclass(frozen=True, slots=True)
class Window:
    """The time range of a scan: from `since` to `until`, the moment of the scan; both UTC and included."""

    since: datetime
    until: datetime

    def holds(self, at: datetime) -> bool:
        """Tell whether something that happened at `at` is in the time range; what is dated ahead of the scan is."""
        return self.since <= at


@dataclass(frozen=True, slots=True)
class Observation:
    """A sighting, perhaps a conditional one.

    `unless_node_stopped`: withdrawn after the last page of pods if the whole node stopped in the same minute (a
    reboot looks like the end of a crash loop).
    """

    sighting: Sighting
    unless_node_stopped: bool = False


class Detector(Protocol):
    """Looks at one pod at a time and says what it sees; it fetches nothing and knows no clock."""

    name: str
    types: tuple[str, ...]

    def detect(self, pod: Pod | None, events: Sequence[Event], window: Window) -> Iterator[Observation | Suspect]:
        """Yield what the pod and its events show.

        Args:
            pod: the pod as listed; None where only events speak of it (deleted, or pods could not be listed).
            events: the events about this pod (same namespace, name and UID), never about other kinds.
            window: the time range; kills and events outside it are not yielded.
        """
        ...
