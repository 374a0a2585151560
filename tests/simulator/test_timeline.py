"""Lives of pods that end in the middle of something."""

from datetime import UTC, datetime, timedelta

from oomdb.simulator.timeline import COMPLETED, NEVER, OOM, ContainerLife, PodLife, Stay, crash_loop, restarts

BORN = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def live(life: ContainerLife, *, deleted_at: datetime | None = None, evicted_at: datetime | None = None) -> PodLife:
    return PodLife("shop", "web", BORN, (life,), deleted_at=deleted_at, evicted_at=evicted_at)


def test_what_would_have_happened_after_a_pods_deletion_did_not_happen() -> None:
    kills = restarts(BORN, [BORN + HOUR, BORN + 3 * HOUR], OOM)
    (kill,) = live(ContainerLife("app", kills), deleted_at=BORN + 2 * HOUR).kills()
    assert (kill.at, kill.visible_until) == (BORN + HOUR, BORN + 2 * HOUR)
    loop = crash_loop(BORN, since=BORN + 3 * HOUR, until=BORN + 5 * HOUR, life=timedelta(seconds=9))
    assert not list(live(ContainerLife("app", loop), deleted_at=BORN + 2 * HOUR).loops())


def test_a_loop_ends_with_its_pod_and_its_event_three_hours_later() -> None:
    stays = crash_loop(BORN, since=BORN + HOUR, until=BORN + 9 * HOUR, life=timedelta(seconds=9))
    pod = live(ContainerLife("app", stays), deleted_at=BORN + 2 * HOUR)
    (loop,) = pod.loops()
    assert loop.since > BORN + HOUR  # the first restart is not held back
    assert (loop.until, loop.visible_until) == (BORN + 2 * HOUR, BORN + 5 * HOUR)
    (event,) = pod.events_at(BORN + 4 * HOUR)
    assert event["lastTimestamp"] <= "2026-01-10T02:00:00Z"
    assert not list(pod.events_at(BORN + 5 * HOUR))
    assert not list(pod.events_at(BORN - HOUR))


def test_a_container_waits_for_what_comes_before_it() -> None:
    setup = ContainerLife("setup", (Stay(BORN + HOUR, BORN + 2 * HOUR, *COMPLETED),), "init")
    app = ContainerLife("app", (Stay(BORN + 2 * HOUR),))
    pod = PodLife("shop", "web", BORN, (setup, app))

    def states(at: datetime) -> list[dict[str, object]]:
        status = pod.pod_at(at)["status"]
        return [status[group][0]["state"] for group in ("initContainerStatuses", "containerStatuses")]

    assert states(BORN) == [
        {"waiting": {"reason": "ContainerCreating"}},
        {"waiting": {"reason": "PodInitializing"}},
    ]
    assert [list(state) for state in states(BORN + 3 * HOUR)] == [["terminated"], ["running"]]
    assert not list(pod.logs_at(BORN))


def test_the_last_kill_before_the_end_is_shown_for_ever() -> None:
    (kill,) = live(ContainerLife("app", (Stay(BORN, BORN + HOUR, *OOM),))).kills()
    assert kill.visible_until == NEVER


def test_an_evicted_pod_has_failed_and_says_why() -> None:
    pod = live(ContainerLife("app", (Stay(BORN),)), evicted_at=BORN + HOUR)
    before, after = pod.pod_at(BORN)["status"], pod.pod_at(BORN + HOUR)["status"]
    assert (before["phase"], "reason" in before) == ("Running", False)
    assert (after["phase"], after["reason"]) == ("Failed", "Evicted")
    assert after["message"].startswith("The node was low on resource: memory.")
    assert after["containerStatuses"][0]["state"]["terminated"]["finishedAt"] == "2026-01-10T01:00:00Z"
    assert [event["reason"] for event in pod.events_at(BORN + 2 * HOUR)] == ["Scheduled", "Evicted"]
