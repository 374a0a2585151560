"""Faults, and stopping in the middle of them."""

import contextlib
import http.client
import socket
import threading
from typing import Any

import pytest

from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import (
    NOT_JSON,
    CutBody,
    Delay,
    Fault,
    Faults,
    Hang,
    Refuse,
    Reset,
    Trickle,
    html_page,
    too_many_requests,
)
from oomdb.simulator.objects import pod
from oomdb.simulator.server import RunningServer, serve

from .asking import EVENTS, PODS, asking


def troubled(action: Any, **counts: int) -> RunningServer:
    cluster = SimulatedCluster(pods=[pod(f"web-{number}") for number in range(40)])
    return serve(cluster, faults=Faults(Fault(match=r"/pods", action=action, **counts)))


def test_a_fault_meets_the_requests_that_it_is_for_and_no_others() -> None:
    with troubled(Refuse(503), after=1, times=2) as server, asking(server) as asker:
        statuses = [asker.get(PODS).status for _ in range(5)]
        other = asker.get(EVENTS).status
    assert statuses == [200, 503, 503, 200, 200]
    assert other == 200
    assert [request.status for request in server.requests] == [*statuses, other]


def test_faults_can_be_changed_while_the_server_runs_and_the_first_that_fits_acts() -> None:
    with troubled(Refuse(500), times=1) as server, asking(server) as asker:
        server.faults.add(Fault(match="limit=7", action=Refuse(503)))
        first = asker.get(PODS, {"limit": "7"}).status
        second = asker.get(PODS, {"limit": "7"}).status
        server.faults.clear()
        third = asker.get(PODS, {"limit": "7"}).status
    assert [first, second, third] == [500, 503, 200]


def test_load_is_shed_with_429_and_retry_after() -> None:
    with troubled(too_many_requests(7)) as server, asking(server) as asker:
        reply = asker.get(PODS)
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert reply.message() == "Too many requests, please try again later."


def test_a_proxy_answers_with_a_page_for_people() -> None:
    with troubled(html_page(302, location="https://login.example.com/")) as server, asking(server) as asker:
        moved = asker.get(PODS)
        server.faults.clear()
        server.faults.add(Fault(match=PODS, action=html_page()))
        page = asker.get(PODS)
    assert (moved.status, moved.headers["location"]) == (302, "https://login.example.com/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body.startswith(b"<!DOCTYPE html>")


def test_an_answer_may_be_no_json_or_have_an_odd_status() -> None:
    with troubled(NOT_JSON, times=1) as server, asking(server) as asker:
        server.faults.add(Fault(match=PODS, action=Refuse(599)))
        text = asker.get(PODS)
        odd = asker.get(PODS)
    assert text.body == b"upstream said: no healthy upstream\n"
    assert (odd.status, odd.message()) == (599, "unknown")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_cut_in_the_middle(chunked: bool) -> None:
    with (
        troubled(CutBody(chunked)) as server,
        asking(server) as asker,
        pytest.raises(http.client.IncompleteRead) as cut,
    ):
        asker.get(PODS)
    assert cut.value.partial.startswith(b"" if chunked else b'{"kind":"PodList"')


def test_a_connection_is_reset() -> None:
    with troubled(Reset()) as server, asking(server) as asker, pytest.raises(ConnectionResetError):
        asker.get(PODS)
    assert [(request.path, request.status) for request in server.requests] == [(PODS, 0)]


def test_a_delayed_answer_is_the_right_one() -> None:
    with troubled(Delay(0.01)) as server, asking(server) as asker:
        assert len(asker.get(PODS).names()) == 40


def test_a_trickled_answer_is_the_right_one() -> None:
    with troubled(Trickle(0)) as server, asking(server) as asker:
        assert len(asker.get(PODS, {"limit": "1"}).names()) == 1


def test_a_client_that_waits_for_a_hanging_server_gives_up() -> None:
    with (
        troubled(Hang()) as server,
        asking(server, timeout_seconds=0.05) as asker,
        pytest.raises(TimeoutError),
    ):
        asker.get(PODS)
    assert [(request.path, request.status) for request in server.requests] == [(PODS, 0)]


@pytest.mark.parametrize("action", [Hang(), Trickle(3600), Delay(3600)])
def test_stopping_does_not_wait_for_requests_that_hang(action: Any) -> None:
    failures: list[BaseException] = []

    def wait_for_answer() -> None:
        with asking(server) as asker:
            try:
                asker.get(PODS)
            except (http.client.HTTPException, OSError) as err:
                failures.append(err)

    seen = threading.Event()

    class SeenFaults(Faults):
        def next_action(self, target: str) -> Any:
            seen.set()
            return super().next_action(target)

    with serve(SimulatedCluster(), faults=SeenFaults(Fault(match=PODS, action=action))) as server:
        client = threading.Thread(target=wait_for_answer)
        client.start()
        assert seen.wait(30)
    client.join(30)
    assert not client.is_alive()
    assert len(failures) == 1


def test_stopping_ends_idle_and_half_open_connections_and_frees_the_port() -> None:
    with serve(SimulatedCluster()) as server:
        silent = socket.create_connection(("127.0.0.1", server.port))  # a client that never greets
        with asking(server) as asker:
            asker.get("/version")
            server.stop()
            server.stop()
            with pytest.raises((http.client.HTTPException, OSError)):
                asker.get("/version")
        silent.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


def test_a_client_that_talks_plain_text_to_tls_disturbs_nobody() -> None:
    with serve(SimulatedCluster()) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.recv(100)
        with asking(server) as asker:
            assert asker.get("/version").status == 200


def test_many_clients_at_once_are_served_side_by_side() -> None:
    cluster = SimulatedCluster(pods=[pod(f"web-{number}") for number in range(40)])
    counts: list[int] = []
    with serve(cluster) as server:

        def read() -> None:
            with asking(server) as asker:
                counts.append(sum(len(asker.get(PODS).names()) for _ in range(5)))

        clients = [threading.Thread(target=read) for _ in range(8)]
        for client in clients:
            client.start()
        for revision in range(20):
            cluster.replace(pods=[pod(f"web-{revision}-{number}") for number in range(40)])
        for client in clients:
            client.join()
    assert counts == [200] * 8
    assert (len(server.requests), server.connection_count) == (40, 8)
