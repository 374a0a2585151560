"""The demo's story: the API shows what the truth says, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oomdb.errors import OomdbError
from oomdb.simulator.cluster import Content
from oomdb.simulator.fleet import CLUSTERS, EPHEMERAL_NAMESPACE, ClusterStory, Truth, tell_fleet

END = datetime(2026, 1, 30, 12, tzinfo=UTC)
LOOKS = [END - timedelta(hours=11) * number for number in range(61)]


@pytest.fixture(scope="module")
def story() -> ClusterStory:
    return tell_fleet(until=END)[0]


@pytest.fixture(scope="module")
def contents(story: ClusterStory) -> dict[datetime, Content]:
    return {at: story.content_at(at) for at in LOOKS}


def iter_statuses(content: Content) -> Iterator[tuple[Any, Any]]:
    for pod in content.pods:
        for group in ("initContainerStatuses", "containerStatuses"):
            for status in pod["status"].get(group, ()):
                yield pod, status


def iter_kill_ids(content: Content) -> Iterator[str]:
    for _, status in iter_statuses(content):
        for state in (status["state"], status["lastState"]):
            if state.get("terminated", {}).get("reason") == "OOMKilled":
                yield state["terminated"]["containerID"]


def whole_truth(story: ClusterStory) -> Truth:
    return story.truth(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), include_ephemeral=True)


def test_the_same_call_tells_the_same_story(story: ClusterStory) -> None:
    again = tell_fleet(until=END)[0]
    assert again.content_at(END) == story.content_at(END)
    assert again.truth(story.since, END) == story.truth(story.since, END)


def test_three_clusters_differ_and_are_named_as_fleets_are() -> None:
    stories = tell_fleet(until=END)
    assert tuple(each.cluster for each in stories) == CLUSTERS
    assert stories[2].context == "default/api-stone-prod-p01-0fk9-p1-openshiftapps-com:6443/someone"
    assert len({len(each.truth(each.since, END).kills) for each in stories}) > 1


def test_most_pods_are_well_and_many_are_not(contents: dict[datetime, Content]) -> None:
    for content in contents.values():
        pods = list(content.pods)
        troubled = {
            pod["metadata"]["uid"]
            for pod, status in iter_statuses(content)
            if status["restartCount"] or not status["ready"]
        }
        assert 55 <= len(pods) <= 90
        assert 8 <= len(troubled) <= 40


def test_objects_have_names_of_their_own_and_namespaces_that_exist(contents: dict[datetime, Content]) -> None:
    for content in contents.values():
        places = {each["metadata"]["name"] for each in content.namespaces}
        for objects in (list(content.pods), list(content.events)):
            keys = [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in objects]
            assert len(set(keys)) == len(keys)
            assert {namespace for namespace, _ in keys} <= places


def test_every_kill_that_is_shown_is_true(story: ClusterStory, contents: dict[datetime, Content]) -> None:
    true_ids = {kill.container_id for kill in whole_truth(story).kills}
    shown = {kill_id for content in contents.values() for kill_id in iter_kill_ids(content)}
    assert shown <= true_ids
    assert len(shown) > 40


def test_a_true_kill_is_shown_as_long_as_it_is_said_to_be(
    story: ClusterStory, contents: dict[datetime, Content]
) -> None:
    kills = whole_truth(story).kills
    for at, content in contents.items():
        told = {
            event["involvedObject"]["uid"]
            for event in content.events
            if event["reason"] == "PreviousContainerWasOOMKilled"
        }
        shown = set(iter_kill_ids(content))
        for kill in kills:
            if kill.at <= at < kill.visible_until:
                assert kill.container_id in shown or kill.pod_uid in told, kill
            elif kill.at > at:
                assert kill.container_id not in shown, kill


def test_a_kill_is_forgotten_at_the_instant_that_is_said(story: ClusterStory) -> None:
    kills = [
        kill
        for kill in story.truth(END - timedelta(days=2), END, include_ephemeral=True).kills
        if kill.container not in ("app", "warmer") and kill.visible_until < END
    ]
    assert len(kills) >= 3
    for kill in kills:
        assert kill.container_id in set(iter_kill_ids(story.content_at(kill.visible_until - timedelta(seconds=1))))
        assert kill.container_id not in set(iter_kill_ids(story.content_at(kill.visible_until)))


def test_containers_wait_in_crash_loops_in_the_times_of_true_loops_only(
    story: ClusterStory, contents: dict[datetime, Content]
) -> None:
    loops = whole_truth(story).loops
    seen = set()
    for at, content in contents.items():
        going_on = {(loop.pod_uid, loop.container) for loop in loops if loop.since <= at < loop.until}
        waiting = {
            (pod["metadata"]["uid"], status["name"])
            for pod, status in iter_statuses(content)
            if status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        }
        assert waiting <= going_on
        seen |= waiting
    assert len(seen) >= 3


def test_a_loop_is_told_by_an_event_while_it_lasts_and_three_hours_after(story: ClusterStory) -> None:
    (relay,) = (loop for loop in story.truth(story.since, END).loops if loop.container == "relay")
    assert timedelta(days=2) <= relay.until - relay.since <= timedelta(days=2, minutes=10)

    def events_at(at: datetime) -> list[Any]:
        events = story.content_at(at).events
        return [
            each for each in events if each["reason"] == "BackOff" and each["involvedObject"]["uid"] == relay.pod_uid
        ]

    assert not events_at(relay.since - timedelta(seconds=1))
    (during,) = events_at(relay.since + timedelta(days=1))
    (after,) = events_at(relay.until + timedelta(hours=2, minutes=59))
    assert during["metadata"]["name"] == after["metadata"]["name"]
    assert during["count"] < after["count"]
    assert not events_at(relay.until + timedelta(hours=3, seconds=1))


def test_a_loop_that_recovered_leaves_a_pause_and_two_restarts(story: ClusterStory) -> None:
    (relay,) = (loop for loop in story.truth(story.since, END).loops if loop.container == "relay")
    (status,) = (
        status
        for pod, status in iter_statuses(story.content_at(relay.until + timedelta(hours=5)))
        if pod["metadata"]["uid"] == relay.pod_uid
    )
    stopped_at = datetime.fromisoformat(status["lastState"]["terminated"]["finishedAt"])
    started_at = datetime.fromisoformat(status["state"]["running"]["startedAt"])
    assert started_at - stopped_at == timedelta(minutes=5)
    assert started_at == relay.until
    assert status["restartCount"] > 500


def test_restarts_never_fall_within_one_pod(contents: dict[datetime, Content]) -> None:
    highest: dict[tuple[str, str], int] = {}
    for at in sorted(contents):
        for pod, status in iter_statuses(contents[at]):
            key = (pod["metadata"]["uid"], status["name"])
            assert status["restartCount"] >= highest.get(key, 0)
            highest[key] = status["restartCount"]


def test_the_traps_are_there(contents: dict[datetime, Content]) -> None:
    statuses = [each for content in contents.values() for each in iter_statuses(content)]
    events = [event for content in contents.values() for event in content.events]
    ended = [status["lastState"]["terminated"] for _, status in statuses if status["lastState"]]
    assert any("Back-off pulling image" in event["message"] and event["type"] == "Normal" for event in events)
    assert any(last["exitCode"] == 137 and last["reason"] == "Error" for last in ended)
    assert any(last["exitCode"] == 0 for last in ended)
    assert any(pod["status"].get("reason") == "Evicted" and pod["status"]["phase"] == "Failed" for pod, _ in statuses)
    assert any(pod["metadata"]["namespace"] == EPHEMERAL_NAMESPACE for pod, _ in statuses)
    assert len({pod["metadata"]["uid"] for pod, _ in statuses if pod["metadata"]["name"] == "metrics-store-0"}) >= 5
    assert any("tekton.dev/taskRun" in pod["metadata"]["labels"] for pod, _ in statuses)


def test_events_of_a_deleted_pod_outlive_it(story: ClusterStory) -> None:
    kill = next(kill for kill in story.truth(story.since, END).kills if kill.container == "warmer")
    content = story.content_at(kill.at + timedelta(hours=1))
    assert kill.pod_uid not in {pod["metadata"]["uid"] for pod in content.pods}
    assert any(
        event["involvedObject"].get("uid") == kill.pod_uid and event["reason"] == "PreviousContainerWasOOMKilled"
        for event in content.events
    )


def test_one_workload_gets_worse_and_one_gets_better(story: ClusterStory) -> None:
    middle = story.since + (END - story.since) / 2

    def count(container: str, since: datetime, until: datetime) -> int:
        return sum(kill.container == container for kill in story.truth(since, until).kills)

    assert count("indexer", middle, END) > 2 * count("indexer", story.since, middle)
    assert count("search", story.since, middle) > 4 * count("search", middle + timedelta(days=3), END)


def test_ephemeral_namespaces_are_in_the_truth_only_if_asked_for(story: ClusterStory) -> None:
    places = {kill.namespace for kill in story.truth(story.since, END).kills}
    assert EPHEMERAL_NAMESPACE not in places
    assert EPHEMERAL_NAMESPACE in {kill.namespace for kill in whole_truth(story).kills}


def test_troubled_containers_have_logs(story: ClusterStory) -> None:
    content = story.content_at(END)
    pods = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in content.pods}
    assert {(namespace, pod) for namespace, pod, _, _ in content.logs} <= pods
    (text,) = (text for key, text in content.logs.items() if key[2] == "istio-proxy" and key[3])
    assert text.startswith(b"2026-01-30T")
    assert b"ERROR connection refused" in text


def test_a_story_needs_a_week() -> None:
    with pytest.raises(OomdbError, match="cannot be told in 6 days: give it 7 or more"):
        tell_fleet(until=END, days=6)
    assert tell_fleet(until=END, days=7)[0].content_at(END)
