"""Events whose times cannot be read: anybody who may create events in a namespace can write such ones."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from oomdb.kube.events import EVENT_LIST
from oomdb.model import Event

AT = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
GOOD = "2026-01-15T12:00:00Z"
UNREADABLE = [
    "0000-01-01T00:00:00Z",  # the API server takes and sends this one
    "9999999-01-01T00:00:00Z",
    "2026-01-15T12:00:00",  # without a zone it could be any of a day's
    "2026-02-30T12:00:00Z",
    "yesterday",
    "",
    1768478400,
    True,
    [GOOD],
    {"seconds": 1768478400},
]


def decode(*events: Any) -> list[Event]:
    body = {"kind": "EventList", "metadata": {"continue": "next"}, "items": events}
    page = EVENT_LIST.decode(msgspec.json.encode(body))
    assert page.metadata.continue_token == "next"
    return page.items or []


@pytest.mark.parametrize("time", UNREADABLE, ids=str)
def test_a_time_that_cannot_be_read_is_unknown_and_the_next_one_is_taken(time: Any) -> None:
    event = {"reason": "BackOff", "lastTimestamp": time, "eventTime": GOOD, "count": 3}
    assert decode(event) == [Event(reason="BackOff", event_time=AT, count=3)]
    assert decode(event)[0].last_at() == AT


@pytest.mark.parametrize("time", UNREADABLE, ids=str)
def test_an_event_of_which_no_time_can_be_read_has_none(time: Any) -> None:
    event = {
        "metadata": {"name": "e", "namespace": "team", "creationTimestamp": time},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "eventTime": time,
        "series": {"count": 2, "lastObservedTime": time},
    }
    (read,) = decode(event)
    assert (read.metadata.name, read.series and read.series.count) == ("e", 2)
    assert (read.first_at(), read.last_at()) == (None, None)


def test_the_other_events_of_the_list_are_as_they_were() -> None:
    good = {"reason": "BackOff", "lastTimestamp": GOOD}
    bad = {"reason": "Odd", "lastTimestamp": UNREADABLE[0]}
    assert decode(good, bad, good) == [
        Event(reason="BackOff", last_timestamp=AT),
        Event(reason="Odd"),
        Event(reason="BackOff", last_timestamp=AT),
    ]


@pytest.mark.parametrize("event", [{"message": 5}, {"count": "many"}, {"metadata": []}, {"series": "x"}, [], None, 7])
def test_an_event_of_another_shape_is_still_refused(event: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode({"lastTimestamp": UNREADABLE[0]}, event)


def test_another_kind_of_list_is_still_refused() -> None:
    body = msgspec.json.encode({"kind": "PodList", "items": [{"lastTimestamp": UNREADABLE[0]}]})
    with pytest.raises(msgspec.ValidationError, match=r"Expected `EventList`, got `PodList`"):
        EVENT_LIST.decode(body)


def test_a_list_that_was_cut_is_still_no_list() -> None:
    body = msgspec.json.encode({"kind": "EventList", "items": [{"lastTimestamp": UNREADABLE[0]}]})
    with pytest.raises(msgspec.DecodeError, match="truncated"):
        EVENT_LIST.decode(body[:-1])
