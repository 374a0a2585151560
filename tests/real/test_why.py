"""`oomdb why --live` asks a real API server: what may be read in a namespace, and what shows in it, stored or not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.cli.main import run
from oomdb.simulator import objects
from oomdb.simulator.cluster import Content
from tests.controlplane.loading import load_content
from tests.controlplane.permissions import allow, grant
from tests.controlplane.server import ApiServer

OPEN, CLOSED, PASSING = "why-open", "why-closed", "test-why"


def test_what_an_account_may_not_see_is_told_beside_what_it_sees(
    api_server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = [objects.oom_killed(at=datetime.now(UTC) - timedelta(hours=1))]
    names = (OPEN, CLOSED, PASSING)
    pods = [objects.pod(f"{name}-1", namespace=name, containers=killed) for name in names]
    load_content(api_server, Content([objects.namespace(name) for name in names], pods))
    token = api_server.create_account("why-accounts", "reader")
    grant(api_server, "why-accounts", "reader", [allow("get", "namespaces"), allow("list", "namespaces", "events")])
    for name in (OPEN, PASSING):
        grant(api_server, "why-accounts", "reader", [allow("list", "pods")], namespace=name)
    kubeconfig = tmp_path / "kubeconfig"
    api_server.write_kubeconfig(kubeconfig, token=token)
    places = ["--kubeconfig", str(kubeconfig), "--output", str(tmp_path / "output"), "--retries", "0"]
    assert run(["collect", *places, "--no-artifacts", "-q", "--include-ns", "why-,test-"]) == 0

    def why(name: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run(["why", name, "--live", "--json", *places]) == 0
        (said,) = json.loads(capsys.readouterr().out)["clusters"]
        assert isinstance(said, dict)
        return said

    seen, refused, left_out = why(OPEN), why(CLOSED), why(PASSING)
    assert [(it["state"], it["live"]["rule"]) for it in (seen, refused, left_out)] == [
        ("read", None),
        ("failed", None),
        ("skipped", "name test-*"),
    ]
    assert [[it["is_stored"] for it in said["live"]["found"]] for said in (seen, refused, left_out)] == [
        [True],
        [],
        [False],
    ]
    assert seen["live"]["permissions"] == {
        "list pods": True,
        "list events": True,
        "get pods": False,
        "get pods/log": False,
        "get namespaces": True,
    }
    assert refused["live"]["permissions"]["list pods"] is False
    assert "forbidden" in refused["reason"]
    assert abs(seen["live"]["clock_skew_seconds"]) < 5
