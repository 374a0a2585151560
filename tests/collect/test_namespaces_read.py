"""Which namespaces a scan says it has read: those of which both lists came to their end, however they were read."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from oomdb.collect.namespaces import NamespaceRules, parse_name_filters
from oomdb.simulator import objects
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import CutBody, Fault, Faults
from oomdb.simulator.permissions import Permissions, Rule
from tests.collect.simulated import NOON, running_fleet

EACH_ALONE = Rule(verb="list", resource="pods", namespace=None)


def cluster(*namespaces: str, unlisted: str = "") -> SimulatedCluster:
    """A cluster with these namespaces, and a killed pod in the first one and in one that no list of them has."""
    killed = [objects.oom_killed(at=NOON - timedelta(hours=2))]
    pods = [objects.pod(f"{name}-1", namespace=name, containers=killed) for name in (namespaces[0], unlisted) if name]
    return SimulatedCluster([objects.namespace(name) for name in namespaces], pods, [])


def read(folder: Path, simulated: SimulatedCluster, *, refused: tuple[Rule, ...] = (), **more: Any) -> Any:
    with running_fleet(folder, {"c1": simulated}, permissions=Permissions(refused=refused)) as fleet:
        return fleet.collect(artifacts=False, **more).scans[0].namespaces_read


def test_the_lists_of_the_whole_cluster_read_all_namespaces_also_those_without_a_pod(tmp_path: Path) -> None:
    assert read(tmp_path, cluster("a-tenant", "b-tenant")) == ("a-tenant", "b-tenant")


def test_one_that_no_list_had_named_was_read_too(tmp_path: Path) -> None:
    assert read(tmp_path, cluster("a-tenant", unlisted="new-tenant")) == ("a-tenant", "new-tenant")


def test_those_that_a_rule_left_out_were_not(tmp_path: Path) -> None:
    rules = NamespaceRules(exclude=parse_name_filters("--exclude-ns", ["^b-"]))
    assert read(tmp_path, cluster("a-tenant", "b-tenant", "test-x"), rules=rules) == ("a-tenant",)


def test_of_those_read_one_by_one_only_the_ones_with_both_lists(tmp_path: Path) -> None:
    refused = (EACH_ALONE, Rule(verb="list", resource="pods", namespace="b-tenant"))
    assert read(tmp_path, cluster("a-tenant", "b-tenant", "c-tenant"), refused=refused) == ("a-tenant", "c-tenant")


def test_none_where_a_list_of_the_cluster_broke_off(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="/api/v1/pods", action=CutBody()))}
    with running_fleet(tmp_path, {"c1": cluster("a-tenant")}, faults=faults) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.namespaces_read) == ("partial", ())


def test_without_a_list_of_namespaces_those_that_showed_something(tmp_path: Path) -> None:
    refused = (Rule(resource="namespaces"), Rule(resource="projects"))
    assert read(tmp_path, cluster("a-tenant", "calm-tenant"), refused=refused) == ("a-tenant",)


def test_a_name_that_is_not_there_was_not_read(tmp_path: Path) -> None:
    assert read(tmp_path, cluster("a-tenant"), names=("a-tenant", "a-tennant")) == ("a-tenant",)


def test_what_a_run_read_and_left_out_is_stored_with_the_clocks_difference(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "test-x")}) as fleet:
        fleet.collect(artifacts=False)
        stored = fleet.rows("SELECT namespace, read_run_id, rule FROM namespaces ORDER BY 1")
        ((skew,),) = fleet.rows("SELECT clock_skew_seconds FROM run_clusters")
    assert stored == [("a-tenant", 1, None), ("test-x", None, "name test-*")]
    assert abs(skew) < 60
