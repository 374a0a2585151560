"""What kubectl says of a pod, and what our description says: the same lines, but for the ages of events."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oomdb.artifacts.describe import MANIFEST_HEADING, describe_pod
from oomdb.kube.client import open_client
from oomdb.kube.clusters import plan_clusters
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.simulator.cluster import Content, load_folder
from tests.controlplane.loading import load_content
from tests.controlplane.server import ApiServer, ControlPlane

CASES = Path(__file__).parent.parent / "data" / "detection-cases" / "objects" / "kflux-prd-rh02"
AGE = re.compile(r"(?<![\w.])(?:\d+[smhdy]){1,2}(?!\w)")

pytestmark = pytest.mark.kubectl


@dataclass(frozen=True)
class Cluster:
    """A server with the detection cases, and how kubectl finds it."""

    server: ApiServer
    kubeconfig: Path
    pods: list[Any]


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cases = load_folder(CASES)
    server = control_plane.start_server("described")
    load_content(server, Content(cases.namespaces, cases.pods, cases.events))
    path = server.write_kubeconfig(tmp_path_factory.mktemp("described") / "kubeconfig")
    yield Cluster(server, path, cases.pods)
    server.stop()


def test_every_pod_of_the_cases_is_described_as_kubectl_does(cluster: Cluster) -> None:
    for pod in cluster.pods:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        assert without_ages(ours(cluster, namespace, name)) == without_ages(of_kubectl(cluster, namespace, name))


def test_the_lines_that_tell_of_a_kill_are_among_them(cluster: Cluster) -> None:
    killed = next(pod for pod in cluster.pods if "OOMKilled" in str(pod["status"].get("containerStatuses")))
    lines = ours(cluster, killed["metadata"]["namespace"], killed["metadata"]["name"]).splitlines()
    for heading in ("Containers:", "Conditions:"):
        assert heading in lines
    for key in ("Last State:", "Reason:", "Exit Code:", "Started:", "Finished:", "Restart Count:", "Limits:"):
        assert any(line.strip().startswith(key) for line in lines), key


def ours(cluster: Cluster, namespace: str, name: str) -> str:
    target = plan_clusters(load_kubeconfig(path=str(cluster.kubeconfig), environ={}, home=Path("/")), names={})[0]
    with open_client(target, timeout_seconds=10, retries=0) as client:
        pod = client.get_pod(namespace, name)
        events = client.list_pod_events(namespace, name, pod["metadata"]["uid"])
    return describe_pod(pod, events, now=datetime.now(UTC)).partition(f"\n{MANIFEST_HEADING}\n")[0]


def of_kubectl(cluster: Cluster, namespace: str, name: str) -> str:
    command = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "describe", "pod", "-n", namespace, name]
    environ = {"PATH": os.environ["PATH"], "TZ": "UTC", "HOME": str(cluster.kubeconfig.parent)}
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout


def without_ages(text: str) -> list[str]:
    """Return the lines, blanks folded where a column's width depends on an age; ages are seconds apart."""
    head, events, tail = text.partition("Events:")
    return [*head.splitlines(), *(" ".join(AGE.sub("AGE", line).split()) for line in (events + tail).splitlines())]
