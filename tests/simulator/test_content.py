"""Clusters from folders, objects by keyword, and kubeconfig files."""

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from oomdb.errors import OomdbError
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import load_folder
from oomdb.simulator.kubeconfig import ContextEntry, fleet_context, write_kubeconfig
from oomdb.simulator.objects import (
    Container,
    back_off_event,
    crash_looping,
    event,
    image_pull_back_off,
    image_pull_back_off_event,
    namespace,
    node_oom_event,
    oom_event,
    oom_killed,
    pod,
    recovered,
    terminated,
    waiting,
)
from oomdb.simulator.server import serve

from .asking import EVENTS, NAMESPACES, PODS, asking

NOW = datetime(2026, 1, 15, 15, tzinfo=UTC)
CASES = Path(__file__).parent.parent / "data" / "detection-cases" / "objects" / "kflux-prd-rh02"


def test_a_folder_is_served_as_it_is() -> None:
    cluster = load_folder(CASES)
    (key, text), *_ = sorted(cluster.logs.items())
    place, name, container, previous = key
    with serve(cluster) as server, asking(server) as asker:
        counts = [len(asker.get(path).json()["items"]) for path in (NAMESPACES, PODS, EVENTS)]
        log = asker.get(
            f"/api/v1/namespaces/{place}/pods/{name}/log", {"container": container, "previous": str(previous).lower()}
        )
    assert counts == [30, 32, 55]
    assert counts == [len(cluster.namespaces), len(cluster.pods), len(cluster.events)]
    assert log.body == text


def test_a_folder_that_lacks_a_list_or_misnames_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OomdbError, match=r"namespaces\.json cannot be read as a list of API objects"):
        load_folder(tmp_path)
    for name in ("namespaces", "pods", "events"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"items": []}))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "odd.log").write_text("x")
    with pytest.raises(OomdbError, match=r"odd\.log is not named <namespace>__<pod>__<container>__current\.log"):
        load_folder(tmp_path)


def test_a_replacement_changes_what_it_names_and_keeps_the_rest() -> None:
    cluster = load_folder(CASES)
    logs = cluster.logs
    cluster.replace(pods=[pod("only")])
    assert [each["metadata"]["name"] for each in cluster.pods] == ["only"]
    assert (len(cluster.namespaces), cluster.logs) == (30, logs)


@pytest.mark.parametrize(
    ("containers", "policy", "phase"),
    [
        ([Container()], "Always", "Running"),
        ([Container(state=waiting("ContainerCreating"))], "Always", "Pending"),
        ([image_pull_back_off()], "Always", "Pending"),
        ([crash_looping(last_at=NOW)], "Always", "Running"),
        ([oom_killed(at=NOW, restarted=False)], "Always", "Running"),
        ([oom_killed(at=NOW, restarted=False)], "Never", "Failed"),
        ([Container(state=terminated("Completed", at=NOW, exit_code=0))], "Never", "Succeeded"),
        ([oom_killed(at=NOW, restarted=False), Container(name="side")], "Never", "Running"),
    ],
)
def test_a_pod_has_the_phase_that_its_containers_make(containers: list[Container], policy: str, phase: str) -> None:
    assert pod(containers=containers, restart_policy=policy)["status"]["phase"] == phase


def test_containers_of_all_kinds_have_their_places() -> None:
    shown = pod(
        containers=[
            oom_killed("setup", at=NOW, kind="init"),
            recovered(stopped_at=NOW, pause=timedelta(minutes=5), restart_count=6),
            oom_killed("debug", at=NOW, kind="ephemeral", restarted=False, memory_limit=""),
        ],
        owner=("ReplicaSet", "shop-7f6d9c5b8"),
        labels={"app": "shop"},
    )
    status = shown["status"]
    assert status["initContainerStatuses"][0]["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    (main,) = status["containerStatuses"]
    assert main["state"]["running"]["startedAt"] == "2026-01-15T15:05:00Z"
    assert (main["lastState"]["terminated"]["finishedAt"], main["restartCount"]) == ("2026-01-15T15:00:00Z", 6)
    assert "limits" not in shown["spec"]["ephemeralContainers"][0]["resources"]
    assert shown["metadata"]["ownerReferences"][0]["controller"] is True


def test_a_pod_made_again_under_its_name_is_another_pod() -> None:
    first, again, same = (pod("store-0", created_at=NOW + timedelta(days=days)) for days in (0, 1, 0))
    assert first["metadata"]["uid"] == same["metadata"]["uid"]
    assert first["metadata"]["uid"] != again["metadata"]["uid"]


def test_events_speak_as_those_who_send_them() -> None:
    web = pod("web", namespace="shop", uid="u-1", containers=[image_pull_back_off(), Container(name="in", kind="init")])
    loop = back_off_event(web, "in", at=NOW, first_at=NOW - timedelta(hours=1), count=30)
    pull = image_pull_back_off_event(web, "app", at=NOW)
    kill = oom_event(web, "app", at=NOW, next_container_id="cri-o://2", new_style=True)
    node = node_oom_event("node-1", at=NOW)
    assert loop["message"] == "Back-off restarting failed container in in pod web_shop(u-1)"
    assert loop["involvedObject"]["fieldPath"] == "spec.initContainers{in}"
    assert (loop["type"], loop["count"], loop["firstTimestamp"]) == ("Warning", 30, "2026-01-15T14:00:00Z")
    assert (pull["reason"], pull["type"]) == ("BackOff", "Normal")
    assert pull["message"] == 'Back-off pulling image "quay.io/konflux-ci/app:no-such-tag"'
    assert kill["message"] == "The previous instance of the container 'app' (cri-o://2) was OOMKilled"
    assert (kill["eventTime"], kill["lastTimestamp"]) == ("2026-01-15T15:00:00.000000Z", None)
    assert (node["metadata"]["namespace"], node["involvedObject"]["kind"]) == ("default", "Node")
    assert "type" not in event("Odd", "no type", about=namespace("shop"), at=NOW, type="")
    with pytest.raises(ValueError, match="the pod web has no container 'nope'"):
        back_off_event(web, "nope", at=NOW)


def test_a_kubeconfig_holds_everything_inline_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("old")
    path.chmod(0o644)
    client = Authority().client_certificate("ann")
    name = fleet_context("kflux-prd-rh02")
    entries = [
        ContextEntry(context=name, server="https://127.0.0.1:1", authority_pem="PEM", token="t"),
        ContextEntry(
            context="b", server="https://127.0.0.1:2", client=client, namespace="shop", tls_server_name="localhost"
        ),
    ]
    document = yaml.safe_load(write_kubeconfig(path, entries, current="b").read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert name == "default/api-kflux-prd-rh02-0fk9-p1-openshiftapps-com:6443/someone"
    assert document["current-context"] == "b"
    assert base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]) == b"PEM"
    assert document["clusters"][1]["cluster"] == {"server": "https://127.0.0.1:2", "tls-server-name": "localhost"}
    assert document["users"][0]["user"] == {"token": "t"}
    assert base64.b64decode(document["users"][1]["user"]["client-key-data"]).decode() == client.key_pem
    assert document["contexts"][1]["context"]["namespace"] == "shop"


def test_the_current_context_is_the_first_unless_left_out(tmp_path: Path) -> None:
    entry = ContextEntry(context="a", server="https://127.0.0.1:1")
    first = yaml.safe_load(write_kubeconfig(tmp_path / "one", [entry]).read_text())
    none = yaml.safe_load(write_kubeconfig(tmp_path / "two", [entry], current="").read_text())
    assert first["current-context"] == "a"
    assert "current-context" not in none
