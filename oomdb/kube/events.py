"""Lists of events as JSON: a time that cannot be read is unknown, and takes neither its event nor the list with it.

Whoever may create events writes their times. The API server takes year 0, which Python does not know.
"""

from typing import Any

import msgspec

from oomdb.kube.objects import ListDecoder, ObjectList
from oomdb.model import ApiInstant, Event

_EVENT_TIMES = ("firstTimestamp", "lastTimestamp", "eventTime")


class EventListDecoder:
    """A decoder of lists of events that refuses every other kind."""

    def __init__(self) -> None:
        self._whole = ListDecoder("EventList", Event)
        self._piecemeal = ListDecoder("EventList", msgspec.Raw)
        self._event = msgspec.json.Decoder(Event)

    def decode(self, body: bytes | bytearray, /) -> ObjectList[Event]:
        """Return the page; pages in which all is well, as nearly all are, are decoded in one go.

        Raises:
            msgspec.DecodeError: for JSON that is broken, or no list of events.
        """
        try:
            return self._whole.decode(body)
        except msgspec.ValidationError:
            page = self._piecemeal.decode(body)
        return ObjectList(
            kind=page.kind,
            items=[self.decode_one(encoded) for encoded in page.items or ()],
            metadata=page.metadata,
        )

    def decode_one(self, encoded: bytes | msgspec.Raw) -> Event:
        """Return one event of a list.

        Raises:
            msgspec.DecodeError: for what is no event.
        """
        try:
            return self._event.decode(encoded)
        except msgspec.ValidationError:
            event = msgspec.json.decode(encoded)
        if isinstance(event, dict):
            _drop_unreadable(event, *_EVENT_TIMES)
            _drop_unreadable(event.get("metadata"), "creationTimestamp")
            _drop_unreadable(event.get("series"), "lastObservedTime")
        return msgspec.convert(event, Event)


def _drop_unreadable(parent: Any, *names: str) -> None:
    for name in names:
        if isinstance(parent, dict) and not _is_readable(parent.get(name)):
            del parent[name]


def _is_readable(time: object) -> bool:
    try:
        msgspec.convert(time, ApiInstant | None)
    except msgspec.ValidationError:
        return False
    return True


EVENT_LIST = EventListDecoder()
