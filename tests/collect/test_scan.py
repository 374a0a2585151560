"""Scanning: which way the lists are read, what is a gap, what is skipped."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.collect.namespaces import NamespaceRules, parse_name_filters
from oomdb.simulator import objects
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import CutBody, ExpireContinue, Fault, Faults, Hang, Refuse
from oomdb.simulator.permissions import Permissions, Rule
from tests.collect.simulated import NOON, running_fleet

KILLED_AT = NOON - timedelta(hours=2)


def cluster(*namespaces: str, healthy: int = 0, **labels: dict[str, str]) -> SimulatedCluster:
    """A cluster with one OOM-killed pod in each namespace, and healthy ones in the first."""
    pods: list[dict[str, Any]] = [
        objects.pod("shop-7f6d9c5b8-x2x7k", namespace=name, containers=[objects.oom_killed(at=KILLED_AT)])
        for name in namespaces
    ]
    pods += [objects.pod(f"calm-{number}", namespace=namespaces[0]) for number in range(healthy)]
    described = [objects.namespace(name, labels=labels.get(name.replace("-", "_"))) for name in namespaces]
    return SimulatedCluster(described, pods, [])


def paths(fleet: Any) -> list[str]:
    return [request.path for request in fleet.servers["c1"].requests]


def test_a_whole_cluster_is_read_with_one_list_of_each_kind(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
        assert paths(fleet) == ["/version", "/api/v1/namespaces", "/api/v1/events", "/api/v1/pods"]
    assert (scan.status, scan.namespaces_scanned, scan.pods_seen, len(scan.findings)) == ("complete", 2, 2, 2)


def test_names_are_read_one_by_one_without_a_cluster_wide_call(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant", "c-tenant")}) as fleet:
        (scan,) = fleet.collect(artifacts=False, names=("a-tenant", "b-tenant")).scans
        assert sorted(paths(fleet)) == [
            "/api/v1/namespaces/a-tenant/events",
            "/api/v1/namespaces/a-tenant/pods",
            "/api/v1/namespaces/b-tenant/events",
            "/api/v1/namespaces/b-tenant/pods",
            "/version",
        ]
    assert {finding.namespace for finding in scan.findings} == {"a-tenant", "b-tenant"}
    assert (scan.status, scan.namespaces_scanned) == ("complete", 2)


def test_namespaces_are_read_one_by_one_where_the_cluster_list_is_forbidden(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="pods", namespace=None),))
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.gaps, len(scan.findings)) == ("complete", (), 2)


def test_a_forbidden_namespace_is_a_gap_not_a_failure(tmp_path: Path) -> None:
    refused = Permissions(
        refused=(
            Rule(verb="list", resource="pods", namespace=None),
            Rule(verb="list", resource="pods", namespace="b-tenant"),
        )
    )
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.namespaces_scanned, scan.namespaces_failed) == ("partial", 1, 1)
    assert [(gap.namespace, gap.source, gap.status) for gap in scan.gaps] == [("b-tenant", "pods", "forbidden")]
    assert [finding.namespace for finding in scan.findings] == ["a-tenant"]


def test_projects_stand_in_where_namespaces_may_not_be_listed(tmp_path: Path) -> None:
    refused = Permissions(
        refused=(
            Rule(verb="list", resource="namespaces"),
            Rule(verb="list", resource="pods", namespace=None),
            Rule(verb="list", resource="events", namespace=None),
        )
    )
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert len(scan.findings) == 2
    assert scan.status == "partial"
    assert "the 2 projects that may be read were looked at" in scan.gaps[0].message


def test_the_contexts_own_namespace_is_read_where_nothing_may_be_listed(tmp_path: Path) -> None:
    refused = Permissions(
        refused=(
            Rule(verb="list", resource="namespaces"),
            Rule(verb="list", resource="projects"),
            Rule(verb="list", resource="pods", namespace=None),
            Rule(verb="list", resource="events", namespace=None),
        )
    )
    with running_fleet(
        tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, permissions=refused, namespace="b-tenant"
    ) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert [finding.namespace for finding in scan.findings] == ["b-tenant"]
    assert (scan.status, scan.namespaces_scanned, scan.gaps[0].source) == ("partial", 1, "namespaces")


def test_the_list_of_namespaces_is_not_missed_where_pods_and_events_can_be_listed(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="namespaces"), Rule(verb="list", resource="projects")))
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.gaps, scan.namespaces_scanned, scan.namespaces_skipped) == ("complete", (), 2, None)


@pytest.mark.parametrize("projects", [True, False])
def test_how_many_namespaces_were_skipped_is_not_known_without_a_list_of_all(tmp_path: Path, projects: bool) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="namespaces"),))
    simulated = SimulatedCluster([objects.namespace("a-tenant"), objects.namespace("b-tenant")], projects=projects)
    simulated.replace(pods=[objects.pod("a-1", namespace="a-tenant"), objects.pod("b-1", namespace="b-tenant")])
    rules = NamespaceRules(exclude=parse_name_filters("--exclude-ns", ["^b-"]))
    with running_fleet(tmp_path, {"c1": simulated}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False, rules=rules).scans
    assert (scan.status, scan.namespaces_skipped, dict(scan.skipped_by_rule)) == ("complete", None, {"--exclude-ns": 1})


def test_a_cluster_in_which_everything_is_forbidden_is_forbidden_not_empty(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="list"),))
    with running_fleet(tmp_path, {"c1": cluster("a-tenant")}, permissions=refused) as fleet:
        result = fleet.collect()
    assert (result.scans[0].status, result.scans[0].pods_seen, result.clusters_read) == ("forbidden", None, 0)
    assert "is forbidden" in result.scans[0].error


def test_ephemeral_namespaces_are_skipped_and_counted_by_rule(tmp_path: Path) -> None:
    simulated = cluster(
        "a-tenant",
        "test-one",
        "test-two",
        "ci-kept-tenant",
        "eaas-space",
        ci_kept_tenant={"konflux-ci.dev/type": "tenant"},
        eaas_space={"konflux-ci.dev/namespace-type": "eaas"},
    )
    with running_fleet(tmp_path, {"c1": simulated}) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
        assert fleet.ear.left_out["test-one"] == "name test-*"
        everything = fleet.collect(artifacts=False, rules=NamespaceRules(ephemeral=None)).scans[0]
        rows = fleet.rows("SELECT namespaces_skipped, skipped_by_rule FROM run_clusters WHERE run_id = 1")
    assert {finding.namespace for finding in scan.findings} == {"a-tenant", "ci-kept-tenant"}
    assert rows == [(3, '{"label konflux-ci.dev/namespace-type=eaas": 1, "name test-*": 2}')]
    assert len(everything.findings) == 5


def test_excluded_namespaces_are_left_out_of_a_cluster_wide_list(tmp_path: Path) -> None:
    rules = NamespaceRules(exclude=parse_name_filters("--exclude-ns", ["^b-"]))
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}) as fleet:
        (scan,) = fleet.collect(artifacts=False, rules=rules).scans
    assert [finding.namespace for finding in scan.findings] == ["a-tenant"]


def test_a_filter_that_leaves_nothing_to_look_at_is_a_gap_and_one_that_names_an_empty_cluster_is_not(
    tmp_path: Path,
) -> None:
    rules = NamespaceRules(include=parse_name_filters("--include-ns", ["nosuchxyz|^test-"]))
    clusters = {"c1": cluster("a-tenant", "b-tenant", "test-one"), "c2": SimulatedCluster([])}
    with running_fleet(tmp_path, clusters) as fleet:
        full, empty = fleet.collect(artifacts=False, rules=rules).scans
    assert (full.status, full.namespaces_scanned, full.pods_seen) == ("partial", 0, 0)
    assert [(gap.namespace, gap.source, gap.status, gap.message) for gap in full.gaps] == [
        (
            "",
            "namespaces",
            "not-found",
            "nothing was in scope: all 3 namespaces were left out (2 by --include-ns, 1 by name test-*); "
            "check the expressions.",
        )
    ]
    assert (empty.status, empty.gaps) == ("complete", ())


def test_a_list_that_expires_between_pages_is_read_anew_and_counts_nothing_twice(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match=r"/pods\?.*continue=", action=ExpireContinue(), times=1))}
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", healthy=700)}, faults=faults) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.pods_seen, len(scan.findings)) == ("complete", 701, 1)


def test_pods_read_before_a_list_broke_off_count_and_the_rest_is_a_gap(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match=r"/pods\?.*continue=", action=CutBody()))}
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant", healthy=700)}, faults=faults) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.pods_seen) == ("partial", 500)
    assert [(gap.namespace, gap.source) for gap in scan.gaps] == [("", "pods")]
    assert "(500 pods were read before)" in scan.gaps[0].message


def test_events_that_cannot_be_read_leave_the_pods_to_be_read(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="/events", action=Refuse(500)))}
    with running_fleet(tmp_path, {"c1": cluster("a-tenant")}, faults=faults) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.events_seen, len(scan.findings)) == ("partial", None, 1)


@pytest.mark.parametrize("listed", [True, False])
def test_a_pod_that_only_events_speak_of_is_gone_if_the_list_of_pods_was_read(tmp_path: Path, listed: bool) -> None:
    pod = objects.pod("lost-6c9b7f9d5-bbbbb", namespace="a-tenant")
    event = objects.back_off_event(pod, "app", at=NOON - timedelta(minutes=5))
    simulated = SimulatedCluster([objects.namespace("a-tenant")], [], [event])
    refused = Permissions() if listed else Permissions(refused=(Rule(verb="list", resource="pods"),))
    with running_fleet(tmp_path, {"c1": simulated}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    (finding,) = scan.findings
    assert (finding.pod, finding.type, finding.pod_gone) == (
        "lost-6c9b7f9d5-bbbbb",
        "CrashLoopBackOff",
        True if listed else None,
    )
    assert finding.workload.name == "lost"


def test_a_cluster_that_shows_no_projects_and_forbids_the_rest_is_forbidden(tmp_path: Path) -> None:
    refused = Permissions(
        refused=(
            Rule(verb="list", resource="pods"),
            Rule(verb="list", resource="events"),
            Rule(verb="list", resource="namespaces"),
            Rule(verb="get", resource="namespaces"),
        )
    )
    with running_fleet(tmp_path, {"c1": cluster("a-tenant")}, permissions=refused) as fleet:
        result = fleet.collect()
    assert (result.scans[0].status, result.clusters_read) == ("forbidden", 0)


def test_filters_hold_also_where_namespaces_cannot_be_listed(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="namespaces"), Rule(verb="list", resource="projects")))
    rules = NamespaceRules(exclude=parse_name_filters("--exclude-ns", ["^b-"]))
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, permissions=refused) as fleet:
        (scan,) = fleet.collect(artifacts=False, rules=rules).scans
    assert [finding.namespace for finding in scan.findings] == ["a-tenant"]
    assert scan.skipped_by_rule == {"--exclude-ns": 1}


def test_one_slow_namespace_does_not_cost_the_others(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="/namespaces/a-tenant/events", action=Hang()))}
    with running_fleet(tmp_path, {"c1": cluster("a-tenant", "b-tenant")}, faults=faults) as fleet:
        (scan,) = fleet.collect(artifacts=False, names=("a-tenant", "b-tenant")).scans
    assert (scan.status, len(scan.findings)) == ("partial", 2)
    assert [(gap.namespace, gap.source, gap.status) for gap in scan.gaps] == [("a-tenant", "events", "timeout")]


def test_what_is_dated_far_ahead_is_dated_by_the_look(tmp_path: Path) -> None:
    pod = objects.pod("odd-6c9b7f9d5-bbbbb", namespace="a-tenant")
    event = objects.back_off_event(pod, "app", at=NOON + timedelta(days=3000))
    simulated = SimulatedCluster([objects.namespace("a-tenant")], [pod], [event])
    with running_fleet(tmp_path, {"c1": simulated}) as fleet:
        fleet.collect(artifacts=False)
        assert fleet.rows("SELECT occurred_at, last_seen_at, time_quality FROM occurrences") == [
            ("2026-01-15 12:00:00", "2026-01-15 12:00:00", "observed")
        ]
