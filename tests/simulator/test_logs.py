"""Logs of containers, and the words for there being none."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from oomdb.simulator.cluster import LogKey, SimulatedCluster
from oomdb.simulator.objects import (
    Container,
    container_id_of,
    crash_looping,
    image_pull_back_off,
    oom_killed,
    pod,
    running,
    terminated,
    waiting,
)
from oomdb.simulator.server import serve

from .asking import Reply, asking

NOW = datetime(2026, 1, 15, 15, tzinfo=UTC)
LINES = b"one\ntwo\nthr\xff\xe9e\n"


def ask_log(
    *containers: Container,
    query: Mapping[str, str] | None = None,
    node: str = "node-1",
    logs: Mapping[LogKey, bytes] | None = None,
) -> Reply:
    web = pod("web", namespace="shop", containers=containers, node=node)
    with serve(SimulatedCluster(pods=[web], logs=logs)) as server, asking(server) as asker:
        return asker.get("/api/v1/namespaces/shop/pods/web/log", query)


def kept(*, previous: bool = False, container: str = "app") -> dict[LogKey, bytes]:
    return {("shop", "web", container, previous): LINES}


def test_the_present_and_the_previous_log_are_bytes_as_they_were_written() -> None:
    killed = oom_killed(at=NOW)
    current = ask_log(killed, logs=kept())
    previous = ask_log(killed, logs=kept(previous=True), query={"previous": "true", "container": "app"})
    assert (current.status, current.body, current.headers["content-type"]) == (200, LINES, "text/plain")
    assert previous.body == LINES


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ({"tailLines": "2"}, b"two\nthr\xff\xe9e\n"),
        ({"tailLines": "0"}, b""),
        ({"limitBytes": "5"}, b"one\nt"),
        ({"tailLines": "2", "limitBytes": "3"}, b"two"),
        (
            {"timestamps": "true", "limitBytes": "70"},
            b"2026-01-15T15:00:01.000000000Z one\n2026-01-15T15:00:02.000000000Z two\n",
        ),
    ],
)
def test_logs_are_cut_and_stamped_as_asked(query: dict[str, str], body: bytes) -> None:
    assert ask_log(oom_killed(at=NOW), logs=kept(), query=query).body == body


def test_a_log_that_was_never_written_is_empty_and_one_thrown_away_says_so() -> None:
    killed = oom_killed(at=NOW, container_id="cri-o://abc")
    assert ask_log(killed).body == b""
    gone = ask_log(killed, query={"previous": "true"})
    assert (gone.status, gone.body) == (200, b"unable to retrieve container logs for cri-o://abc")


def test_a_pod_without_a_node_has_an_empty_log() -> None:
    assert ask_log(Container(state=waiting("ContainerCreating")), node="").body == b""


def test_a_loop_shows_its_last_instance_in_both_logs() -> None:
    looping = crash_looping(last_at=NOW)
    assert ask_log(looping, logs=kept()).body == LINES
    assert ask_log(looping, logs=kept(previous=True), query={"previous": "true"}).body == LINES


def test_a_container_that_ended_for_good_shows_its_log() -> None:
    ended = oom_killed(at=NOW, restarted=False)
    assert ask_log(ended, logs=kept()).body == LINES


SIDE = Container(name="side")
INIT = Container(name="setup", kind="init", state=terminated("Completed", at=NOW, exit_code=0))


@pytest.mark.parametrize(
    ("containers", "query", "message"),
    [
        ([Container(), SIDE], {}, "a container name must be specified for pod web, choose one of: [app side]"),
        (
            [Container(), SIDE, INIT],
            {},
            "a container name must be specified for pod web, choose one of: [app side]"
            " or one of the init containers: [setup]",
        ),
        ([Container()], {"container": "nope"}, "container nope is not valid for pod web"),
        ([Container()], {"previous": "true"}, 'previous terminated container "app" in pod "web" not found'),
        (
            [image_pull_back_off()],
            {},
            'container "app" in pod "web" is waiting to start: trying and failing to pull image',
        ),
        (
            [Container(state=waiting("ErrImagePull"))],
            {},
            'container "app" in pod "web" is waiting to start: image can\'t be pulled',
        ),
        (
            [Container(state=waiting("ContainerCreating"))],
            {},
            'container "app" in pod "web" is waiting to start: ContainerCreating',
        ),
        ([Container(state={})], {}, 'container "app" in pod "web" is waiting to start - no logs yet'),
        ([Container()], {"tailLines": "x"}, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ([Container()], {"follow": "true"}, "the simulated cluster does not know the parameter follow: leave it out"),
    ],
)
def test_there_is_no_log_for_a_reason(containers: list[Container], query: dict[str, str], message: str) -> None:
    reply = ask_log(*containers, query=query)
    assert (reply.status, reply.message(), reply.json()["reason"]) == (400, message, "BadRequest")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            {"limitBytes": "0"},
            'PodLogOptions "web" is invalid: limitBytes: Invalid value: 0: must be greater than 0',
        ),
        (
            {"tailLines": "-1"},
            'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
    ],
)
def test_limits_that_mean_nothing_are_invalid(query: dict[str, str], message: str) -> None:
    reply = ask_log(Container(), query=query)
    assert (reply.status, reply.message(), reply.json()["reason"]) == (422, message, "Invalid")


def test_a_container_that_the_kubelet_has_not_reported_is_not_available() -> None:
    web = pod("web", namespace="shop")
    web["status"]["containerStatuses"] = None
    with serve(SimulatedCluster(pods=[web])) as server, asking(server) as asker:
        reply = asker.get("/api/v1/namespaces/shop/pods/web/log")
        missing = asker.get("/api/v1/namespaces/shop/pods/gone/log")
    assert reply.message() == 'container "app" in pod "web" is not available'
    assert missing.message() == 'pods "gone" not found'


def test_the_only_main_container_is_meant_where_none_is_named() -> None:
    assert ask_log(INIT, Container(), logs=kept()).body == LINES
    assert ask_log(INIT, Container(), logs=kept(container="setup"), query={"container": "setup"}).body == LINES


def test_a_kill_keeps_its_container_id_when_it_moves_to_the_last_state() -> None:
    def status(container: Container, which: str) -> str:
        shown = pod("web", containers=[container])["status"]["containerStatuses"][0]
        return str(shown[which]["terminated"]["containerID"])

    assert status(oom_killed(at=NOW, restarted=False), "state") == status(oom_killed(at=NOW), "lastState")


def test_a_running_container_bears_the_id_of_its_start() -> None:
    shown = pod("web", uid="u", containers=[Container(state=running(NOW))])["status"]["containerStatuses"][0]
    assert shown["containerID"] == container_id_of("u", "app", NOW)
