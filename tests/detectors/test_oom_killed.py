"""OOMKilled by status and by event, and the suspects."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from oomdb.detectors.base import Observation
from oomdb.detectors.oom_killed import OomKilledDetector
from oomdb.model import ContainerStatus, Event, Pod, Sighting, Suspect

from .builders import NOW, WINDOW, ago, container, decode_pod, ended, event, oom, pod, runs

ADD_ON = "PreviousContainerWasOOMKilled"
LOW_ON_MEMORY = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 88920Ki. "


def detect(seen: Pod | None, *events: Event) -> tuple[list[Sighting], list[Suspect]]:
    found = list(OomKilledDetector().detect(seen, events, WINDOW))
    observations = [each for each in found if isinstance(each, Observation)]
    assert not any(each.unless_node_stopped for each in observations)
    return [each.sighting for each in observations], [each for each in found if isinstance(each, Suspect)]


def kills(seen: Pod | None, *events: Event) -> list[Sighting]:
    return detect(seen, *events)[0]


def suspects(seen: Pod | None, *events: Event) -> list[Suspect]:
    return detect(seen, *events)[1]


def test_a_healthy_pod_shows_nothing() -> None:
    assert detect(pod(container(state=runs(ago(days=3))))) == ([], [])


def test_a_pod_without_any_status_shows_nothing() -> None:
    assert detect(decode_pod('{"metadata": {"name": "new"}, "status": {"phase": "Pending"}}')) == ([], [])


def test_a_kill_in_last_state_is_told_in_full() -> None:
    seen = pod(container(state=runs(ago(hours=2)), last_state=oom(ago(hours=2)), restarts=4))
    assert detect(seen) == (
        [
            Sighting(
                type="OOMKilled",
                container="app",
                at=ago(hours=2),
                time_quality="exact",
                source="oc_get_pods",
                evidence="terminated",
                container_id="cri-o://a",
                exit_code=137,
                reason="OOMKilled",
                restart_count=4,
            )
        ],
        [],
    )


@pytest.mark.parametrize("place", ["main", "init", "ephemeral"])
@pytest.mark.parametrize("field", ["state", "last_state"])
def test_a_kill_shows_in_every_list_and_both_states(place: str, field: str) -> None:
    killed = (
        container("x", state=oom(ago(hours=1))) if field == "state" else container("x", last_state=oom(ago(hours=1)))
    )
    healthy = container("y", state=runs(ago(days=2)))
    seen = {
        "main": pod(killed, healthy),
        "init": pod(healthy, init=(killed,)),
        "ephemeral": pod(healthy, ephemeral=(killed,)),
    }[place]
    assert [each.container for each in kills(seen)] == ["x"]


def test_two_containers_killed_are_two_kills() -> None:
    seen = pod(
        container("a", state=oom(ago(hours=1), container_id="cri-o://a")),
        container("b", state=oom(ago(hours=1), container_id="cri-o://b")),
    )
    assert [each.container for each in kills(seen)] == ["a", "b"]


def test_the_same_container_id_in_state_and_last_state_is_one_kill() -> None:
    assert len(kills(pod(container(state=oom(ago(hours=1)), last_state=oom(ago(hours=1)))))) == 1


def test_two_ids_in_state_and_last_state_are_two_kills() -> None:
    seen = pod(
        container(
            state=oom(ago(hours=1), container_id="cri-o://b"), last_state=oom(ago(hours=2), container_id="cri-o://a")
        )
    )
    assert [each.at for each in kills(seen)] == [ago(hours=1), ago(hours=2)]


def test_without_ids_the_time_tells_kills_apart() -> None:
    twice = container(state=oom(ago(hours=1), container_id=None), last_state=oom(ago(hours=2), container_id=None))
    once = container(state=oom(ago(hours=1), container_id=None), last_state=oom(ago(hours=1), container_id=""))
    assert [len(kills(pod(twice))), len(kills(pod(once)))] == [2, 1]
    assert kills(pod(once))[0].container_id == ""


def test_the_window_applies_to_the_end_of_the_container_and_includes_its_bounds() -> None:
    assert kills(pod(container(last_state=oom(ago(hours=24, seconds=1))))) == []
    assert len(kills(pod(container(last_state=oom(ago(hours=24)))))) == 1
    assert len(kills(pod(container(last_state=oom(ago(seconds=-90)))))) == 1, "a node's clock may be ahead"


def test_an_oom_kill_need_not_exit_with_137() -> None:
    seen = pod(container(last_state=ended(ago(hours=1), reason="OOMKilled", exit_code=0)))
    assert [each.exit_code for each in kills(seen)] == [0]


@pytest.mark.parametrize(
    "finished_at", [None, datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)], ids=["null", "unix", "go"]
)
def test_a_kill_without_an_end_is_dated_by_its_start_else_by_the_look(finished_at: datetime | None) -> None:
    started = ended(finished_at, reason="OOMKilled", started_at=ago(hours=3))
    undated = ended(finished_at, reason="OOMKilled")
    found = kills(pod(container("a", last_state=started), container("b", last_state=undated)))
    assert [(each.at, each.time_quality) for each in found] == [(ago(hours=3), "observed"), (NOW, "observed")]


def test_hostile_names_pass_through_untouched() -> None:
    name = "<script>alert('x')</script>\n../../\N{SKULL}"
    assert [each.container for each in kills(pod(container(name, last_state=oom(ago(hours=1)))))] == [name]


def test_an_event_with_an_id_is_dated_by_its_first_time() -> None:
    told = event(
        ADD_ON,
        "The previous instance of the container 'app' (cri-o://next) was OOMKilled",
        first_at=ago(hours=2),
        last_at=ago(hours=1),
    )
    assert kills(None, told) == [
        Sighting(
            type="OOMKilled",
            container="app",
            at=ago(hours=2),
            time_quality="event",
            source="events",
            evidence="event",
            container_id="cri-o://next",
            first_event_at=ago(hours=2),
        )
    ]


def test_an_event_without_an_id_is_dated_by_its_last_time() -> None:
    told = event(
        ADD_ON, "The previous instance of the container 'app' was OOMKilled", first_at=ago(hours=2), last_at=NOW
    )
    (kill,) = kills(pod(container(state=runs(ago(days=2)))), told)
    assert (kill.at, kill.container_id, kill.first_event_at) == (NOW, "", ago(hours=2))


def test_the_window_applies_to_the_time_by_which_an_event_is_dated() -> None:
    first_at, last_at = ago(hours=30), ago(hours=1)
    with_id = event(ADD_ON, "container 'app' (cri-o://n) was OOMKilled", first_at=first_at, last_at=last_at)
    without = event(ADD_ON, "container 'app' was OOMKilled", first_at=first_at, last_at=last_at)
    assert [len(kills(None, with_id)), len(kills(None, without))] == [0, 1]


def test_an_event_with_an_id_and_only_a_last_time_is_dated_by_that() -> None:
    (kill,) = kills(None, event(ADD_ON, "container 'app' (cri-o://n) was OOMKilled", last_at=ago(hours=1)))
    assert (kill.at, kill.time_quality, kill.first_event_at) == (ago(hours=1), "event", None)


def test_an_event_without_any_time_is_dated_by_the_look() -> None:
    (kill,) = kills(None, event(ADD_ON, "container 'app' was OOMKilled"))
    assert (kill.at, kill.time_quality, kill.first_event_at) == (NOW, "observed", None)


@pytest.mark.parametrize("reason", ["OOMKilled", "OOMKilling", "ContainerOOMKilled", "ContainerWasOOM", ADD_ON])
def test_reasons_of_oom_events_are_known_by_a_part(reason: str) -> None:
    assert len(kills(None, event(reason, "", last_at=NOW))) == 1


@pytest.mark.parametrize("reason", ["SystemOOM", "Killing", "BackOff", "oomkilled", ""])
def test_other_reasons_are_no_oom_events(reason: str) -> None:
    assert kills(None, event(reason, "container 'app' was OOMKilled", last_at=NOW)) == []


@pytest.mark.parametrize(
    ("message", "field_path", "expected"),
    [
        ("container 'db' was OOMKilled", "spec.containers{app}", "db"),
        ("out of memory", "spec.initContainers{migrate-db}", "migrate-db"),
        ("out of memory", "spec.ephemeralContainers{debug}", "debug"),
        ("out of memory", "spec.containers{<script>}", ""),
        ("container '../../etc' was OOMKilled", None, ""),
        ("out of memory", "", ""),
    ],
)
def test_the_message_names_the_container_before_the_field_path_does(
    message: str, field_path: str | None, expected: str
) -> None:
    told = event("OOMKilled", message, last_at=NOW, field_path=field_path)
    assert [each.container for each in kills(None, told)] == [expected]


def test_status_and_event_of_one_kill_are_both_yielded() -> None:
    seen = pod(container(last_state=oom(ago(hours=1))))
    told = event(ADD_ON, "container 'app' (cri-o://n) was OOMKilled", first_at=ago(minutes=59), last_at=NOW)
    assert [each.evidence for each in kills(seen, told)] == ["terminated", "event"]


def test_exit_137_with_another_reason_is_a_suspect_and_no_kill() -> None:
    seen = pod(container(last_state=ended(ago(hours=1), exit_code=137)))
    assert detect(seen) == (
        [],
        [
            Suspect(
                namespace="shop",
                pod="web-1",
                pod_uid="uid-1",
                container="app",
                suspect_class="exit-137",
                at=ago(hours=1),
                exit_code=137,
            )
        ],
    )


def test_a_container_is_suspected_once_by_its_newest_exit() -> None:
    seen = pod(container(state=ended(ago(hours=1), exit_code=137), last_state=ended(ago(hours=2), exit_code=137)))
    assert [each.at for each in suspects(seen)] == [ago(hours=1)]


@pytest.mark.parametrize(
    "status",
    [
        container(last_state=ended(ago(hours=1), exit_code=137, reason="ContainerStatusUnknown")),
        container(last_state=ended(ago(hours=25), exit_code=137)),
        container(last_state=ended(None, exit_code=137)),
        container(last_state=ended(ago(hours=1), exit_code=143)),
        container(last_state=ended(ago(hours=1), exit_code=None)),
    ],
    ids=["made up by the kubelet", "before the window", "undated", "terminated", "no code"],
)
def test_what_is_no_suspect(status: ContainerStatus) -> None:
    assert detect(pod(status)) == ([], [])


def test_a_pod_evicted_for_memory_is_a_suspect_dated_by_its_last_main_container() -> None:
    seen = pod(
        container("a", state=ended(ago(hours=3))),
        container("b", state=ended(ago(hours=2))),
        init=(container("init", state=ended(ago(days=9), exit_code=0)),),
        phase="Failed",
        reason="Evicted",
        message=LOW_ON_MEMORY,
    )
    told = event("Evicted", LOW_ON_MEMORY, last_at=ago(hours=1))
    expected = Suspect(
        namespace="shop", pod="web-1", pod_uid="uid-1", container="", suspect_class="evicted-memory", at=ago(hours=2)
    )
    assert suspects(seen) == [expected]
    assert suspects(seen, told) == [expected], "status and event are one eviction"


def test_a_deleted_pod_that_an_event_calls_evicted_is_a_suspect() -> None:
    told = [event("Evicted", LOW_ON_MEMORY, last_at=ago(hours=hours)) for hours in (2, 1)]
    (suspect,) = suspects(None, *told)
    assert (suspect.namespace, suspect.pod, suspect.pod_uid, suspect.at) == ("shop", "web-1", "uid-1", ago(hours=1))


@pytest.mark.parametrize(
    ("statuses", "start_time", "events", "expected"),
    [
        ([container(state=ended(ago(hours=30)))], ago(days=9), [], 0),
        ([container(state=ended(None))], ago(hours=3), [], 1),
        ([], ago(days=9), [], 0),
        ([], None, [], 0),
        ([], ago(days=9), [event("Evicted", LOW_ON_MEMORY)], 1),
    ],
    ids=["too long ago", "began in the window", "began before it", "no time at all", "a fresh event"],
)
def test_an_eviction_counts_where_it_is_recent(
    statuses: Sequence[ContainerStatus], start_time: datetime | None, events: Sequence[Event], expected: int
) -> None:
    seen = pod(*statuses, phase="Failed", reason="Evicted", message=LOW_ON_MEMORY, start_time=start_time)
    assert len(suspects(seen, *events)) == expected


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Evicted", "The node was low on resource: ephemeral-storage. "),
        ("Evicted", None),
        ("NodeLost", LOW_ON_MEMORY),
    ],
)
def test_other_evictions_are_no_suspects(reason: str, message: str | None) -> None:
    assert suspects(pod(reason=reason, message=message, start_time=NOW)) == []
    assert suspects(None, event(reason, message or "", last_at=NOW)) == []
