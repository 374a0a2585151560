"""A log file holds every container's log, and says what it does not hold."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from oomdb.artifacts.logs import LogPart, plan_log_requests, render_log

PODS = Path(__file__).parents[1] / "data" / "detection-cases" / "objects" / "kflux-prd-rh02" / "pods.json"


def status(name: str, *, restarts: int = 0, state: str = "running", last: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "restartCount": restarts,
        "state": {state: {}},
        "lastState": {"terminated": {}} if last else {},
    }


def pod(*main: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "spec": {
            "containers": [{"name": each["name"]} for each in main],
            "initContainers": [{"name": each["name"]} for each in init],
        },
        "status": {"containerStatuses": list(main), "initContainerStatuses": list(init)},
    }


def test_the_failed_container_comes_first_with_its_previous_log() -> None:
    wanted = plan_log_requests(pod(status("proxy"), status("app", restarts=3)), ["app"])
    assert wanted == [("app", True), ("app", False), ("proxy", False)]


def test_a_container_that_failed_twice_over_is_asked_once() -> None:
    assert plan_log_requests(pod(status("app")), ["app", "app"]) == [("app", False)]


def test_others_that_restarted_give_their_previous_log_too() -> None:
    init = (status("setup", state="terminated"),)
    wanted = plan_log_requests(pod(status("app"), status("proxy", restarts=1), init=init), ["setup"])
    assert wanted == [("setup", False), ("app", False), ("proxy", True), ("proxy", False)]


def test_others_that_never_started_are_left_out() -> None:
    init = (status("setup", restarts=2, state="waiting", last=True),)
    wanted = plan_log_requests(pod(status("app", state="waiting"), init=init), ["setup"])
    assert wanted == [("setup", True), ("setup", False)]


def test_a_failed_container_is_asked_even_before_it_started() -> None:
    assert plan_log_requests(pod(status("app", state="waiting")), ["app"]) == [("app", False)]


def test_a_name_that_the_pod_does_not_have_is_not_asked() -> None:
    assert plan_log_requests(pod(status("app")), ["", "nobody\n../x"]) == [("app", False)]


def test_any_json_may_stand_in_the_pod() -> None:
    for broken in (None, 5, "x", [1, None], {"name": 3}, [{"name": None}, {"name": ["a"], "restartCount": "9"}]):
        for key in ("containers", "containerStatuses"):
            assert isinstance(plan_log_requests({"spec": {key: broken}, "status": {key: broken}}, ["a"]), list)
        assert plan_log_requests({"spec": broken, "status": broken}, ["a"]) == []


def test_each_pod_of_the_detection_cases_has_a_plan() -> None:
    for each in json.loads(PODS.read_text())["items"]:
        names = [container["name"] for container in each["spec"]["containers"]]
        wanted = plan_log_requests(each, names[-1:])
        assert wanted[0][0] == names[-1]
        assert len(set(wanted)) == len(wanted)


def text_of(parts: Iterable[LogPart]) -> bytes:
    return b"".join(render_log(parts))


def test_one_container_stands_under_the_documented_headings() -> None:
    parts = [LogPart("step-main", True, b"one\ntwo"), LogPart("step-main", False, b"three\n")]
    assert text_of(parts) == (
        b"=== Previous container logs (oc logs <pod> --previous) ===\n"
        b"(container: step-main)\n"
        b"one\n"
        b"two\n"
        b"\n"
        b"=== Current container logs (oc logs <pod>) ===\n"
        b"(container: step-main)\n"
        b"three\n"
    )


def test_missing_and_empty_logs_are_said() -> None:
    assert text_of([LogPart("app", False, b"")]) == (
        b"=== Previous container logs (oc logs <pod> --previous) ===\n"
        b"(container: app)\n"
        b"(no previous logs)\n"
        b"\n"
        b"=== Current container logs (oc logs <pod>) ===\n"
        b"(container: app)\n"
        b"(no current logs)\n"
    )


def test_no_logs_at_all_still_give_both_headings() -> None:
    assert text_of([]) == (
        b"=== Previous container logs (oc logs <pod> --previous) ===\n"
        b"(no previous logs)\n"
        b"\n"
        b"=== Current container logs (oc logs <pod>) ===\n"
        b"(no current logs)\n"
    )


def test_other_containers_follow_under_headings_that_name_them() -> None:
    parts = [
        LogPart("app", False, b"a\n"),
        LogPart("proxy", True, b"p1\n"),
        LogPart("proxy", False, b"", "forbidden: go\naway\x1b"),
    ]
    assert text_of(parts).split(b"(container: app)\na\n")[1] == (
        b"\n"
        b"=== Previous logs of container proxy (oc logs <pod> -c proxy --previous) ===\n"
        b"p1\n"
        b"\n"
        b"=== Current logs of container proxy (oc logs <pod> -c proxy) ===\n"
        b"(could not be read: forbidden: go\\naway^[)\n"
    )


def test_a_log_is_taken_when_the_one_before_it_is_written() -> None:
    taken: list[str] = []

    def parts() -> Iterator[LogPart]:
        for name in ("app", "proxy", "cache"):
            taken.append(name)
            yield LogPart(name, False, name.encode())

    taken_when_written = {piece: len(taken) for piece in render_log(parts()) if piece in (b"app", b"proxy", b"cache")}
    assert taken_when_written == {b"app": 1, b"proxy": 2, b"cache": 3}


def test_a_cut_log_says_so() -> None:
    text = text_of([LogPart("app", False, b"x" * 1024, cut="end")])
    assert text.endswith(
        b"xxx\n(cut here after 1,024 bytes: --log-limit-bytes and --log-tail-lines set how much is taken)\n"
    )


def test_bytes_that_are_no_text_survive() -> None:
    content = bytes(range(256)) + b"\xff\xfe\n"
    assert content in text_of([LogPart("app", False, content)])


def test_a_log_of_which_only_the_end_was_taken_says_so_before_it() -> None:
    text = text_of([LogPart("app", False, b"x" * 1024, cut="beginning")])
    assert b"(the beginning is left out; the last 1,024 bytes follow: --log-limit-bytes" in text
    assert text.endswith(b"xxx\n")
