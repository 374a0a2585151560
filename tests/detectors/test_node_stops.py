"""Which nodes stopped when."""

from datetime import datetime, timedelta

from oomdb.detectors.node_stops import NodeStops
from oomdb.model import Pod

from .builders import ago, container, ended, pod, runs

STOP = ago(hours=2).replace(minute=30, second=58)


def stopped(at: datetime, *, node: str | None = "node-1", phase: str = "Running") -> Pod:
    return pod(
        container(state=runs(at + timedelta(seconds=75)), last_state=ended(at), restarts=3), node=node, phase=phase
    )


def healthy(node: str = "node-1", phase: str = "Running") -> Pod:
    return pod(container(state=runs(ago(days=2))), node=node, phase=phase)


def count(*pods: Pod) -> NodeStops:
    stops = NodeStops()
    for each in pods:
        stops.count(each)
    return stops


def test_five_pods_that_stop_together_are_the_nodes_stop() -> None:
    assert count(*[stopped(STOP)] * 5).explains("node-1", STOP)


def test_four_pods_are_not() -> None:
    assert not count(*[stopped(STOP)] * 4).explains("node-1", STOP)


def test_five_pods_are_not_where_they_are_less_than_a_third() -> None:
    assert count(*[stopped(STOP)] * 5, *[healthy()] * 10).explains("node-1", STOP)
    assert not count(*[stopped(STOP)] * 5, *[healthy()] * 11).explains("node-1", STOP)


def test_a_stop_may_straddle_the_clocks_minute() -> None:
    stops = count(*[stopped(STOP + timedelta(seconds=each)) for each in range(6)])
    assert all(stops.explains("node-1", STOP + timedelta(seconds=each)) for each in range(6))


def test_stops_a_minute_apart_are_not_together() -> None:
    stops = count(*[stopped(STOP + timedelta(seconds=60))] * 4, stopped(STOP))
    assert not stops.explains("node-1", STOP)
    assert count(*[stopped(STOP + timedelta(seconds=59))] * 4, stopped(STOP)).explains("node-1", STOP)


def test_containers_of_one_pod_are_one_pod() -> None:
    many = pod(*[container(f"c{each}", last_state=ended(STOP)) for each in range(9)])
    assert not count(many).explains("node-1", STOP)


def test_each_node_is_judged_by_itself() -> None:
    stops = count(*[stopped(STOP, node="node-1")] * 5, *[stopped(STOP, node=f"node-{each}") for each in range(2, 9)])
    assert [stops.explains(f"node-{each}", STOP) for each in (1, 2, 99)] == [True, False, False]


def test_pods_without_a_node_explain_nothing() -> None:
    assert not count(*[stopped(STOP, node=None)] * 9, *[stopped(STOP, node="")] * 9).explains("", STOP)


def test_finished_pods_neither_stop_nor_dilute() -> None:
    assert count(*[stopped(STOP)] * 5, *[healthy(phase="Succeeded")] * 90).explains("node-1", STOP)
    assert not count(*[stopped(STOP, phase="Failed")] * 5).explains("node-1", STOP)


def test_terminations_without_a_time_do_not_count() -> None:
    undated = pod(container(last_state=ended(None, reason="ContainerStatusUnknown")))
    assert not count(*[undated] * 9).explains("node-1", STOP)


def test_a_list_that_starts_again_is_counted_afresh() -> None:
    stops = count(*[stopped(STOP)] * 4)
    stops.clear()
    stops.count(stopped(STOP))
    assert not stops.explains("node-1", STOP)
