"""CrashLoopBackOff: waiting now, told by events, or betrayed by a pause."""

from datetime import datetime, timedelta

import pytest

from oomdb.detectors.base import Observation
from oomdb.detectors.crash_loop import CrashLoopDetector
from oomdb.model import ContainerState, ContainerStatus, Event, Pod, Sighting

from .builders import NOW, WINDOW, ago, container, ended, event, pod, runs, waits

TOLD = "Back-off restarting failed container app in pod web-1_shop(uid-1)"


def observe(seen: Pod | None, *events: Event) -> list[Observation]:
    found = list(CrashLoopDetector().detect(seen, events, WINDOW))
    assert all(isinstance(each, Observation) for each in found)
    return [each for each in found if isinstance(each, Observation)]


def loops(seen: Pod | None, *events: Event) -> list[Sighting]:
    return [each.sighting for each in observe(seen, *events)]


def recovered(
    *,
    stopped_at: datetime,
    pause_seconds: float = 300,
    restarts: int = 9,
    reason: str = "Error",
    name: str = "app",
) -> ContainerStatus:
    return container(
        name,
        state=runs(stopped_at + timedelta(seconds=pause_seconds)),
        last_state=ended(stopped_at, reason=reason),
        restarts=restarts,
    )


def test_a_waiting_container_is_a_loop_in_progress() -> None:
    seen = pod(container(state=waits("CrashLoopBackOff"), last_state=ended(ago(minutes=4)), restarts=11))
    assert observe(seen) == [
        Observation(
            Sighting(
                type="CrashLoopBackOff",
                container="app",
                at=ago(minutes=4),
                time_quality="exact",
                source="oc_get_pods",
                evidence="waiting",
                is_loop=True,
                in_progress=True,
                exit_code=1,
                reason="Error",
                restart_count=11,
            )
        )
    ]


def test_a_loop_that_waits_now_is_in_every_time_range() -> None:
    seen = pod(container(state=waits("CrashLoopBackOff"), last_state=ended(ago(days=3))))
    assert [each.at for each in loops(seen)] == [ago(days=3)]


@pytest.mark.parametrize("last_state", [ContainerState(), ended(None)])
def test_a_waiting_loop_without_a_termination_is_dated_by_the_look(last_state: ContainerState) -> None:
    (loop,) = loops(pod(container(state=waits("CrashLoopBackOff"), last_state=last_state)))
    assert (loop.at, loop.time_quality) == (NOW, "observed")


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError", "PodInitializing"])
def test_other_reasons_to_wait_are_no_loops(reason: str) -> None:
    assert loops(pod(container(state=waits(reason)))) == []


def test_init_sidecar_and_ephemeral_containers_loop_too() -> None:
    seen = pod(
        container("app", state=waits("PodInitializing")),
        init=(container("init", state=waits("CrashLoopBackOff")),),
        ephemeral=(container("debug", state=waits("CrashLoopBackOff")),),
    )
    assert [each.container for each in loops(seen)] == ["init", "debug"]


def test_a_back_off_event_is_a_loop_dated_by_its_last_time() -> None:
    told = event("BackOff", TOLD, first_at=ago(hours=2), last_at=ago(hours=1), field_path="spec.initContainers{db}")
    assert observe(None, told) == [
        Observation(
            Sighting(
                type="CrashLoopBackOff",
                container="db",
                at=ago(hours=1),
                time_quality="event",
                source="events",
                evidence="event",
                is_loop=True,
                first_event_at=ago(hours=2),
            )
        )
    ]


@pytest.mark.parametrize(
    ("message", "kind", "is_loop"),
    [
        (TOLD, "Warning", True),
        (TOLD, None, True),
        (TOLD, "", True),
        (f"(combined from similar events): {TOLD}", "Warning", True),
        ("Back-off restarting failed container", "Warning", True),
        (TOLD, "Normal", False),
        ('Back-off pulling image "quay.io/nobody/none:1"', "Normal", False),
        ('Back-off pulling image "quay.io/nobody/none:1"', "Warning", False),
        ("Error: ImagePullBackOff", "Warning", False),
    ],
)
def test_only_back_offs_of_restarts_are_loops(message: str, kind: str | None, is_loop: bool) -> None:
    assert bool(loops(None, event("BackOff", message, last_at=NOW, kind=kind))) is is_loop


def test_another_reason_with_the_same_message_is_no_loop() -> None:
    assert loops(None, event("BackoffLimitExceeded", TOLD, last_at=NOW)) == []


@pytest.mark.parametrize(
    ("message", "field_path", "expected"),
    [
        (TOLD, "spec.containers{web}", "web"),
        (TOLD, None, "app"),
        (TOLD, "implicitly required container POD", "app"),
        ("Back-off restarting failed container=side-car pod=web-1_shop(uid)", None, "side-car"),
        ("Back-off restarting failed container", None, ""),
        ("Back-off restarting failed container <b> in pod x", "spec.containers{'; DROP}", ""),
    ],
)
def test_the_field_path_names_the_container_before_the_message_does(
    message: str, field_path: str | None, expected: str
) -> None:
    (loop,) = loops(None, event("BackOff", message, last_at=NOW, field_path=field_path))
    assert loop.container == expected


def test_an_event_before_the_window_is_no_loop_and_one_without_time_is_dated_by_the_look() -> None:
    assert loops(None, event("BackOff", TOLD, last_at=ago(hours=25))) == []
    (loop,) = loops(None, event("BackOff", TOLD))
    assert (loop.at, loop.time_quality) == (NOW, "observed")


def test_a_pause_before_the_last_start_is_the_trace_of_a_loop() -> None:
    (observation,) = observe(pod(recovered(stopped_at=ago(hours=1))))
    assert observation == Observation(
        Sighting(
            type="CrashLoopBackOff",
            container="app",
            at=ago(hours=1),
            time_quality="exact",
            source="oc_get_pods",
            evidence="backoff_gap",
            is_loop=True,
            exit_code=1,
            reason="Error",
            restart_count=9,
        ),
        unless_node_stopped=True,
    )


@pytest.mark.parametrize(
    ("status", "is_loop"),
    [
        (recovered(stopped_at=ago(hours=1), pause_seconds=10), True),
        (recovered(stopped_at=ago(hours=1), pause_seconds=9), False),
        (recovered(stopped_at=ago(hours=1), pause_seconds=-3600), False),
        (recovered(stopped_at=ago(hours=1), restarts=2), True),
        (recovered(stopped_at=ago(hours=1), restarts=1), False),
        (recovered(stopped_at=ago(hours=24)), True),
        (recovered(stopped_at=ago(hours=24, seconds=1)), False),
        (recovered(stopped_at=ago(hours=1), reason="Completed"), True),
        (recovered(stopped_at=ago(hours=1), reason="ContainerStatusUnknown"), False),
        (container(state=ended(NOW), last_state=ended(ago(hours=1)), restarts=9), False),
        (container(state=runs(NOW), last_state=ended(None), restarts=9), False),
        (container(state=runs(NOW), restarts=900), False),
    ],
    ids=[
        "ten seconds",
        "nine seconds",
        "started before it ended",
        "two restarts",
        "one restart",
        "the window's edge",
        "before the window",
        "a clean exit",
        "made up by the kubelet",
        "does not run",
        "no end",
        "a bare restart count",
    ],
)
def test_what_is_the_trace_of_a_loop(status: ContainerStatus, is_loop: bool) -> None:
    assert bool(loops(pod(status))) is is_loop


STOP = ago(hours=1).replace(second=59)


@pytest.mark.parametrize(
    ("others", "init", "is_loop"),
    [
        ((recovered(name="b", stopped_at=STOP + timedelta(seconds=2)),), (), False),
        ((recovered(name="b", stopped_at=STOP - timedelta(seconds=59)),), (), False),
        ((recovered(name="b", stopped_at=STOP - timedelta(seconds=60)),), (), True),
        ((container("b", state=runs(ago(days=2))),), (), True),
        ((recovered(name="b", stopped_at=STOP), container("c", state=runs(ago(days=2)))), (), True),
        ((recovered(name="b", stopped_at=STOP), container("c", state=waits("ImagePullBackOff"))), (), False),
        ((), (recovered(name="sidecar", stopped_at=STOP),), False),
        ((), (container("init", state=ended(ago(days=2), reason="Completed", exit_code=0)),), True),
    ],
    ids=[
        "the other stopped two seconds later, in the clock's next minute",
        "59 seconds before",
        "60 seconds before",
        "the other ran on",
        "one of two ran on",
        "one of two never ran",
        "a side-car among the init containers stopped too",
        "an init container was done long ago",
    ],
)
def test_a_pod_that_stopped_as_a_whole_was_no_loop(
    others: tuple[ContainerStatus, ...], init: tuple[ContainerStatus, ...], is_loop: bool
) -> None:
    seen = pod(recovered(stopped_at=STOP), *others, init=init)
    assert ("app" in {each.container for each in loops(seen)}) is is_loop
