"""Events by the pod that they speak of."""

from datetime import UTC, datetime, timedelta

import pytest

from oomdb.detectors.pod_events import PodEvents, find_pod
from oomdb.model import Event, EventMetadata, InvolvedObject, Pod, PodMetadata, PodRef

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def event(name: str = "web.1", *, pod: str = "web", uid: str = "u1", at: datetime | None = NOON) -> Event:
    about = InvolvedObject(kind="Pod", namespace="shop", name=pod, uid=uid)
    return Event(metadata=EventMetadata(name=name, namespace="shop"), involved_object=about, last_timestamp=at)


def gather(*events: Event) -> PodEvents:
    gathered = PodEvents()
    for each in events:
        gathered.add(each)
    return gathered


def pod(name: str = "web", uid: str = "u1") -> Pod:
    return Pod(metadata=PodMetadata(name=name, namespace="shop", uid=uid))


def test_a_pod_takes_its_events_and_those_that_name_no_uid_once() -> None:
    own, nameless, other = event(), event("web.2", uid=""), event("web.3", uid="u2")
    events = gather(own, nameless, other)
    assert events.take(pod()) == (own, nameless)
    assert events.take(pod()) == ()
    assert list(events.iter_unlisted()) == [(PodRef("shop", "web", "u2"), (other,))]


def test_an_event_that_is_read_twice_counts_once_as_it_was_last() -> None:
    later = event(at=NOON + timedelta(minutes=1))
    events = gather(event(), later)
    assert (events.count, events.take(pod())) == (1, (later,))


@pytest.mark.parametrize(
    ("times", "oldest"),
    [
        ((), None),
        ((None,), None),
        ((NOON, NOON - timedelta(hours=2), NOON - timedelta(hours=1)), NOON - timedelta(hours=2)),
        ((NOON, datetime(1970, 1, 1, tzinfo=UTC)), NOON),
    ],
    ids=["none", "undated", "several", "older than Kubernetes"],
)
def test_the_oldest_event_is_the_horizon(times: tuple[datetime | None, ...], oldest: datetime | None) -> None:
    assert gather(*(event(f"web.{number}", at=at) for number, at in enumerate(times))).oldest_at == oldest


def test_an_event_that_names_no_namespace_speaks_of_a_pod_in_its_own() -> None:
    told = Event(metadata=EventMetadata(name="e", namespace="shop"), involved_object=InvolvedObject("Pod", "", "web"))
    assert find_pod(told) == PodRef("shop", "web", "")
