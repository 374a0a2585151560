"""Looking at one namespace as it is now, over the API of a simulated cluster."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.collect.look import LiveLook, LookRequest, look_at_namespace
from oomdb.simulator import objects
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Faults, Hang, html_page
from oomdb.simulator.permissions import Permissions, Rule
from tests.collect.simulated import NOON, Fleet, running_fleet

KILLED_AT = NOON - timedelta(hours=2)


def cluster(*, labels: dict[str, str] | None = None, name: str = "shop") -> SimulatedCluster:
    """A cluster in whose namespace one container was killed, and one ended with 137 but not by the OOM killer."""
    odd = objects.Container(
        state=objects.running(NOON),
        last_state=objects.terminated("Error", exit_code=137, at=KILLED_AT),
        restart_count=1,
    )
    pods = [
        objects.pod("shop-1", namespace=name, containers=[objects.oom_killed(at=KILLED_AT)]),
        objects.pod("odd-1", namespace=name, containers=[odd]),
        objects.pod("other-1", namespace="other", containers=[objects.oom_killed(at=KILLED_AT)]),
    ]
    return SimulatedCluster([objects.namespace(name, labels=labels), objects.namespace("other")], pods)


def look(fleet: Fleet, name: str = "shop") -> LiveLook:
    request = fleet.request()
    asked = LookRequest(scan=request.scan, timeout_seconds=2, retries=0)
    return look_at_namespace(fleet.store, fleet.targets[0], name, asked, at=NOON)


def test_a_kill_that_no_run_has_stored_is_told_apart_from_one_that_is(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster()}) as fleet:
        before = look(fleet)
        assert fleet.rows("SELECT count(*) FROM runs") == [(0,)]  # nothing is stored by looking
        fleet.collect(artifacts=False)
        after = look(fleet)
    assert (before.exists, before.status, before.error, before.pods_seen) == (True, "complete", "", 2)
    assert [(it.finding.pod, it.at, it.is_stored) for it in before.found] == [("shop-1", KILLED_AT, False)]
    assert [(it.finding.pod, it.at, it.is_stored) for it in after.found] == [("shop-1", KILLED_AT, True)]
    assert [it.pod for it in before.suspects] == ["odd-1"]


def test_permissions_are_asked_for_in_the_namespace(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(resource="pods/log"), Rule(verb="list", resource="events", namespace="shop")))
    with running_fleet(tmp_path, {"c1": cluster()}, permissions=refused) as fleet:
        found = look(fleet)
        asked = [request.path for request in fleet.servers["c1"].requests]
    assert {it.need.text: it.allowed for it in found.permissions} == {
        "list pods": True,
        "list events": False,
        "get pods": True,
        "get pods/log": False,
        "get namespaces": True,
    }
    assert [(gap.namespace, gap.source, gap.status) for gap in found.gaps] == [("shop", "events", "forbidden")]
    assert not {"/api/v1/pods", "/api/v1/events", "/api/v1/namespaces"} & set(asked)  # never the whole cluster


def test_where_reviews_are_refused_nobody_knows_what_is_allowed(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="selfsubjectaccessreviews", action=html_page(404)))}
    with running_fleet(tmp_path, {"c1": cluster()}, faults=faults) as fleet:
        found = look(fleet)
    assert {it.allowed for it in found.permissions} == {None}
    assert len(found.found) == 1


@pytest.mark.parametrize(
    ("name", "labels", "rule"),
    [
        ("shop", {"konflux-ci.dev/namespace-type": "eaas"}, "label konflux-ci.dev/namespace-type=eaas"),
        ("test-shop", None, "name test-*"),
        ("test-shop", {"konflux-ci.dev/type": "tenant"}, None),
    ],
)
def test_the_rule_is_told_by_the_labels_but_not_followed(
    tmp_path: Path, name: str, labels: dict[str, str] | None, rule: str | None
) -> None:
    with running_fleet(tmp_path, {"c1": cluster(labels=labels, name=name)}) as fleet:
        found = look(fleet, name)
    assert (found.labels_known, found.rule, len(found.found)) == (True, rule, 1)


def test_a_namespace_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster()}) as fleet:
        found = look(fleet, "shpo")
    assert (found.exists, found.error, found.permissions) == (False, "", ())


def test_without_the_right_to_ask_for_it_by_name_its_pods_are_read_all_the_same(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(resource="namespaces"),))
    with running_fleet(tmp_path, {"c1": cluster()}, permissions=refused) as fleet:
        found = look(fleet)
    assert (found.exists, found.labels_known, len(found.found)) == (None, False, 1)


@pytest.mark.parametrize("action", [Hang(), html_page(502)])
def test_a_cluster_that_does_not_answer_is_an_error_in_the_result(tmp_path: Path, action: Any) -> None:
    with running_fleet(tmp_path, {"c1": cluster()}, faults={"c1": Faults(Fault(match=".", action=action))}) as fleet:
        found = look(fleet)
    assert found.error
    assert (found.exists, found.found, found.pods_seen) == (None, (), None)


@pytest.mark.parametrize("name", ["../kube-system", "a b", "%2e%2e", "x" * 300, "💥", "a?b=c"])
def test_a_hostile_name_asks_for_nothing_else(tmp_path: Path, name: str) -> None:
    with running_fleet(tmp_path, {"c1": cluster()}) as fleet:
        found = look(fleet, name)
        asked = {request.path for request in fleet.servers["c1"].requests}
    assert not found.exists
    assert not any("kube-system" in path and "%2F" not in path for path in asked)
