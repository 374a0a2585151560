"""The 30 detection cases and the demo's clusters in a real API server: the findings are those from the simulator."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.simulator.cluster import Content, SimulatedCluster, load_folder
from oomdb.simulator.fleet import tell_fleet
from oomdb.simulator.permissions import Permissions, Rule
from tests.collect.simulated import Fleet, open_fleet, running_fleet
from tests.controlplane.loading import load_content
from tests.controlplane.permissions import allow, grant
from tests.controlplane.server import ControlPlane

CASES = Path(__file__).parent.parent / "data" / "detection-cases"
DOCUMENT = json.loads((CASES / "cases.json").read_text())
AT = datetime.fromisoformat(DOCUMENT["at"])
FORBIDDEN = "case-pods-forbidden-tenant"
PODS_FORBIDDEN = Permissions(
    refused=(
        Rule(verb="list", resource="pods", namespace=None),
        Rule(verb="list", resource="pods", namespace=FORBIDDEN),
    )
)


@pytest.fixture(scope="module")
def fleet(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The cases as an account sees them that may list pods in every namespace but one, each by its own role."""
    cluster = load_folder(CASES / "objects" / "kflux-prd-rh02")
    server = control_plane.start_server("kflux-prd-rh02")
    load_content(server, Content(cluster.namespaces, cluster.pods, cluster.events, cluster.logs))
    token = server.create_account("oomdb", "collector")
    listed = server.request("GET", "/api/v1/namespaces")["items"]  # the server's own among them
    namespaces = [namespace["metadata"]["name"] for namespace in listed]
    grant(server, "oomdb", "collector", [allow("list", "namespaces", "events"), allow("get", "pods", "pods/log")])
    for namespace in namespaces:
        if namespace != FORBIDDEN:
            grant(server, "oomdb", "collector", [allow("list", "pods")], namespace=namespace)
    folder = tmp_path_factory.mktemp("cases")
    with open_fleet(folder, server.write_kubeconfig(folder / "kubeconfig", token=token)) as fleet:
        fleet.collect(AT)
        fleet.collect(AT + timedelta(minutes=3))
        yield fleet
    server.stop()


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["case"])
def test_each_case_has_the_occurrences_of_its_truth(fleet: Fleet, case: dict[str, Any]) -> None:
    rows = fleet.rows(f"SELECT type FROM occurrences WHERE namespace = '{case['namespace']}'")
    assert Counter(type_ for (type_,) in rows) == case["occurrences"]


def test_findings_suspects_and_artifacts_are_those_of_the_simulated_cluster(fleet: Fleet, tmp_path: Path) -> None:
    cluster = load_folder(CASES / "objects" / "kflux-prd-rh02")
    with running_fleet(tmp_path, {"kflux-prd-rh02": cluster}, permissions=PODS_FORBIDDEN) as simulated:
        simulated.collect(AT)
        simulated.collect(AT + timedelta(minutes=3))
        assert found_by(fleet) == found_by(simulated)
        suspects = "SELECT namespace, pod, container, class, at FROM suspects ORDER BY 1, 2, 3, 4, 5"
        assert fleet.rows(suspects) == simulated.rows(suspects)
        saved = "SELECT namespace, pod, kind, status, message FROM artifacts ORDER BY 1, 2, 3, 4"
        assert fleet.rows(saved) == simulated.rows(saved)


def test_the_forbidden_namespace_is_a_gap_and_its_pod_neither_gone_nor_there(fleet: Fleet) -> None:
    assert set(fleet.rows("SELECT namespace, source, status FROM run_gaps")) == {(FORBIDDEN, "pods", "forbidden")}
    assert fleet.rows(f"SELECT DISTINCT pod_gone FROM findings WHERE namespace = '{FORBIDDEN}'") == [(None,)]


def test_the_clusters_of_the_demo_show_the_same_as_their_simulation(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    at = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
    stories = tell_fleet(until=at)
    real, simulated = tmp_path / "real", tmp_path / "simulated"
    real.mkdir()
    simulated.mkdir()
    for story in stories:
        server = control_plane.start_server(f"demo-{story.cluster}")
        load_content(server, story.content_at(at))
        server.write_kubeconfig(real / story.cluster, context=story.cluster)
        with open_fleet(real, real / story.cluster) as fleet:
            assert fleet.collect(at).status == "complete"
        server.stop()
    contents = {story.cluster: SimulatedCluster(*story.content_at(at)) for story in stories}
    with running_fleet(simulated, contents) as fleet:
        fleet.collect(at)
        expected = found_by(fleet)
    with open_fleet(real, real / stories[0].cluster) as fleet:
        assert found_by(fleet) == expected
    assert expected


def found_by(fleet: Fleet) -> set[tuple[Any, ...]]:
    """Return all findings without what differs between servers: UIDs and the numbers of runs."""
    columns = (
        "cluster, namespace, pod, container, type, occurrences, first_at, last_at, timestamps, sources, evidence, "
        "workload_kind, workload, application, component, pod_gone"
    )
    return set(fleet.rows(f"SELECT {columns} FROM findings"))
