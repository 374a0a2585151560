"""The role that `oomdb rbac` prints, given to an account: a collect needs nothing more and asks for nothing else."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomdb.cli.main import run
from oomdb.simulator import objects
from oomdb.simulator.cluster import Content
from tests.controlplane.loading import load_content
from tests.controlplane.server import ApiServer, ControlPlane, RequestFailed
from tests.waiting import wait_until

SHOP, BANK, QUIET = "shop-tenant", "bank-tenant", "quiet-tenant"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Role": RBAC + "/namespaces/{namespace}/roles",
    "RoleBinding": RBAC + "/namespaces/{namespace}/rolebindings",
    "ClusterRole": RBAC + "/clusterroles",
    "ClusterRoleBinding": RBAC + "/clusterrolebindings",
}
AUDIT_SECONDS = 30.0  # the log is written after the answer
NUMBERS = count(1)

Doctor = list[dict[str, str]]


class Account:
    """A service account of its own for each test, what it is granted, and commands run with its token."""

    def __init__(self, server: ApiServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.name = f"collector-{next(NUMBERS)}"
        self.output = folder / "output"
        self._server = server
        self._capsys = capsys
        self._token = server.create_account("oomdb", self.name)
        self._kubeconfig = folder / "kubeconfig"
        self.use_namespace("")

    def use_namespace(self, namespace: str) -> None:
        self._server.write_kubeconfig(self._kubeconfig, token=self._token, namespace=namespace)

    def print_role(self, *options: str) -> list[Any]:
        """Return the manifests that `oomdb rbac` prints for the account."""
        args = ["rbac", "--service-account", f"oomdb/{self.name}", "--name", self.name, *options]
        assert run(args) == 0
        return list(yaml.safe_load_all(self._capsys.readouterr().out))

    def apply(self, manifests: Sequence[Any]) -> None:
        for manifest in manifests:
            path = PATHS[manifest["kind"]].format(**manifest["metadata"])
            try:
                self._server.request("POST", path, manifest)
            except RequestFailed as err:
                if (err.status, manifest["kind"]) != (409, "ServiceAccount"):  # it is there since it has a token
                    raise

    def collect(self, *options: str) -> int:
        code = run(["collect", *self._places(), "--retries", "0", *options])
        self._capsys.readouterr()
        return code

    def doctor(self, *options: str, now: datetime | None = None) -> tuple[int, Doctor]:
        code = run(["doctor", *self._places(), "--json", *options], now=now)
        checks: Doctor = json.loads(self._capsys.readouterr().out)
        return code, checks

    def ask_access(self, *options: str) -> dict[str, list[str]]:
        """Return what the doctor says of permissions, by status."""
        said: dict[str, list[str]] = {"ok": [], "warning": [], "failed": []}
        for check in self.doctor(*options)[1]:
            if check["check"] == "access":
                # other tests make namespaces too
                said[check["status"]].append(re.sub(r"any of its \d+", "any of its N", check["message"]))
        return said

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.output / "oomdb.sqlite")) as conn:
            return list(conn.execute(sql))

    def gaps(self) -> set[tuple[str, str, str]]:
        return set(self.rows("SELECT namespace, source, status FROM run_gaps"))

    def artifacts(self) -> set[tuple[str, str]]:
        return set(self.rows("SELECT kind, status FROM artifacts"))

    def killed_in(self) -> set[str]:
        return {namespace for (namespace,) in self.rows("SELECT namespace FROM findings WHERE type = 'OOMKilled'")}

    def requests(self) -> list[dict[str, Any]]:
        """Return the audit log's records of the account's requests: as many as its collect says that it sent."""
        ((sent,),) = self.rows("SELECT sum(requests) FROM run_clusters")
        deadline = time.monotonic() + AUDIT_SECONDS
        while True:
            user = f"system:serviceaccount:oomdb:{self.name}"
            # of a log the beginning of the answer is recorded too
            done = (record for record in self._server.audit_events() if record["stage"] == "ResponseComplete")
            found = [record for record in done if record["user"]["username"] == user]
            if len(found) >= sent or time.monotonic() > deadline:
                assert len(found) == sent
                return found
            time.sleep(0.05)

    def _places(self) -> list[str]:
        return ["--kubeconfig", str(self._kubeconfig), "--output", str(self.output)]


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """A cluster with two namespaces, in each a pod that was killed an hour ago and an event of it, and logs."""
    server = control_plane.start_server("permissions")
    killed_at = datetime.now(UTC) - timedelta(hours=1)
    pods = [
        objects.pod(
            name, namespace=namespace, containers=[objects.oom_killed(at=killed_at, container_id=f"cri-o://{name}")]
        )
        for namespace, name in ((SHOP, "checkout-1"), (BANK, "till-1"))
    ]
    logs = {
        (pod["metadata"]["namespace"], pod["metadata"]["name"], "app", previous): b"allocating\n"
        for pod in pods
        for previous in (False, True)
    }
    load_content(server, Content([objects.namespace(name) for name in (SHOP, BANK, QUIET)], pods, [], logs))
    yield server
    server.stop()


@pytest.fixture
def account(server: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Account:
    return Account(server, tmp_path, capsys)


def test_with_the_printed_role_everything_is_read_and_nothing_else_is_asked_for(account: Account) -> None:
    role = account.print_role()
    account.apply(role)
    assert account.collect() == 0
    assert account.rows("SELECT status FROM run_clusters") == [("complete",)]
    assert account.killed_in() == {SHOP, BANK}
    assert account.artifacts() == {("description", "ok"), ("log", "ok")}
    assert account.collect("-n", QUIET, "--strict") == 0
    requests = account.requests()
    assert {record["responseStatus"]["code"] for record in requests} == {200}
    assert {decision_on(record) for record in requests} == {"allow"}
    assert asked_for(requests) == listed_in(role)
    assert {record["requestURI"] for record in requests if "objectRef" not in record} == {"/version"}


@pytest.mark.parametrize("options", [[], ["--namespaced"]])
def test_what_is_printed_by_default_can_be_applied_to_a_cluster_that_has_nothing(
    control_plane: ControlPlane, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    server = control_plane.start_server(f"fresh{len(options)}")
    try:
        assert run(["rbac", *options]) == 0
        for manifest in yaml.safe_load_all(capsys.readouterr().out):  # in their order, as kubectl does
            server.request("POST", PATHS[manifest["kind"]].format(**manifest["metadata"]), manifest)
    finally:
        server.stop()


def test_with_the_printed_role_the_doctor_finds_all_of_it_allowed(account: Account) -> None:
    account.apply(account.print_role())
    assert account.ask_access() == {
        "ok": [
            "may list namespaces, list pods, list events, get pods, get pods/log, get namespaces in the whole cluster"
        ],
        "warning": [],
        "failed": [],
    }


def test_without_the_right_to_logs_only_logs_are_refused_and_the_doctor_says_so(account: Account) -> None:
    role = account.print_role("--no-logs")
    account.apply(role)
    assert account.collect() == 0
    assert account.killed_in() == {SHOP, BANK}
    assert account.artifacts() == {("description", "ok"), ("log", "error")}
    assert account.collect("-n", QUIET, "--strict") == 0
    requests = account.requests()
    refused = [record for record in requests if decision_on(record) != "allow"]
    assert asked_for(refused) == {("get", "pods/log")}
    assert asked_for(requests) - asked_for(refused) == listed_in(role)
    assert account.ask_access() == {
        "ok": ["may list namespaces, list pods, list events, get pods, get namespaces in the whole cluster"],
        "warning": [
            "may not get pods/log, neither in the whole cluster nor in any of its N namespaces: descriptions are saved "
            "without logs"
        ],
        "failed": [],
    }


def test_a_role_of_one_namespace_is_enough_for_a_collect_that_names_it(account: Account) -> None:
    role = account.print_role("--namespaced", "-n", f"{SHOP},{QUIET}")
    assert {manifest["kind"] for manifest in role} == {"ServiceAccount", "Role", "RoleBinding"}
    account.apply(role)
    assert account.collect("-n", f"{SHOP},{QUIET}") == 0
    assert account.rows("SELECT status FROM run_clusters") == [("complete",)]
    assert account.killed_in() == {SHOP}
    assert account.artifacts() == {("description", "ok"), ("log", "ok")}
    requests = account.requests()
    assert {decision_on(record) for record in requests} == {"allow"}
    assert asked_for(requests) == listed_in(role)
    assert {record["objectRef"]["namespace"] for record in requests if "objectRef" in record} == {SHOP, QUIET}
    all_of_it = "may list pods, list events, get pods, get pods/log, get namespaces"
    assert account.ask_access("-n", SHOP) == {"ok": [f"{all_of_it} in '{SHOP}'"], "warning": [], "failed": []}
    other = account.ask_access("-n", f"{SHOP},{BANK}")
    assert [line.partition(":")[0] for line in other["failed"]] == [
        f"may not list pods in '{BANK}'",
        f"may not list events in '{BANK}'",
    ]


@pytest.mark.parametrize(
    ("left_out", "expected_gaps", "killed", "artifacts", "status", "told"),
    [
        (
            ("list", "namespaces"),
            set(),
            {SHOP, BANK},
            {("description", "ok"), ("log", "ok")},
            "warning",
            "may not list namespaces: ",
        ),
        (
            ("list", "pods"),
            {("pods", "forbidden")},
            set(),
            set(),
            "failed",
            "may not list pods, neither in the whole cluster nor in any of its ",
        ),
        (
            ("list", "events"),
            {("events", "forbidden")},
            {SHOP, BANK},
            {("description", "ok"), ("log", "ok")},
            "failed",
            "may not list events, neither in the whole cluster nor in any of its ",
        ),
        (
            ("get", "pods"),
            set(),
            {SHOP, BANK},
            {("description", "error"), ("log", "error")},
            "warning",
            "may not get pods, neither in the whole cluster nor in any of its ",
        ),
    ],
)
def test_without_one_rule_the_rest_is_read_and_what_is_missing_was_told(
    account: Account,
    left_out: tuple[str, str],
    expected_gaps: set[tuple[str, str]],
    killed: set[str],
    artifacts: set[tuple[str, str]],
    status: str,
    told: str,
) -> None:
    role = account.print_role()
    for manifest in role:
        if "rules" in manifest:
            manifest["rules"] = [rule for rule in manifest["rules"] if rules_of(rule) != {left_out}]
    assert listed_in(role) == {rule for rule in ALL_RULES if rule != left_out}
    account.apply(role)
    _, checks = account.doctor()
    said = [(check["status"], check["message"]) for check in checks if check["check"] == "access"]
    assert [it for it in said if it[0] != "ok"] == [(status, said[-1][1])]
    assert said[-1][1].startswith(told)
    assert account.collect() == 0
    assert {(source, status) for _, source, status in account.gaps()} == expected_gaps
    assert {SHOP, BANK} <= {namespace for namespace, _, _ in account.gaps()} or not expected_gaps
    assert account.killed_in() == killed
    assert account.artifacts() == artifacts


def test_where_some_namespaces_are_allowed_they_are_read_and_the_others_are_gaps(account: Account) -> None:
    account.apply(account.print_role("--namespaced", "-n", SHOP))
    account.apply(only_rules(account.print_role("--name", f"{account.name}-names"), ("list", "namespaces")))
    account.use_namespace(SHOP)
    assert account.collect() == 0
    assert account.rows("SELECT status FROM run_clusters") == [("partial",)]
    assert account.killed_in() == {SHOP}
    assert {(BANK, "pods", "forbidden"), (BANK, "events", "forbidden")} <= account.gaps()
    assert not {gap for gap in account.gaps() if gap[0] in (SHOP, "")}
    said = account.ask_access()
    assert said["ok"] == ["may list namespaces in the whole cluster"]
    assert [line.partition(":")[0] for line in said["warning"]] == [
        f"may not {what} in the whole cluster, but in '{SHOP}'"
        for what in ("list pods", "list events", "get pods", "get pods/log", "get namespaces")
    ]


def test_without_any_list_of_the_cluster_the_contexts_own_namespace_is_read(account: Account) -> None:
    account.apply(account.print_role("--namespaced", "-n", SHOP))
    account.use_namespace(SHOP)
    assert account.collect() == 0
    assert account.rows("SELECT status FROM run_clusters") == [("partial",)]
    assert account.killed_in() == {SHOP}
    assert account.gaps() == {("", "namespaces", "forbidden")}


def test_an_account_without_any_right_reads_nothing_and_the_doctor_fails(account: Account) -> None:
    assert account.collect() == 1
    assert account.rows("SELECT status FROM run_clusters") == [("forbidden",)]
    code, checks = account.doctor()
    assert code == 1
    assert sum(check["check"] == "access" and check["status"] == "failed" for check in checks) == 2


def test_a_cluster_whose_token_ended_last_night_is_named_by_its_age(server: ApiServer, account: Account) -> None:
    account.apply(account.print_role())
    assert account.collect() == 0
    server.request("DELETE", f"/api/v1/namespaces/oomdb/serviceaccounts/{account.name}")
    wait_until(lambda: account.collect() == 1)  # a token lives on for seconds in the server's cache
    code, checks = account.doctor("--max-age", "6h", now=datetime.now(UTC) + timedelta(hours=19))
    failed = {check["check"]: check["message"] for check in checks if check["status"] == "failed"}
    assert code == 1
    assert set(failed) == {"connection", "last read"}
    assert "are not accepted (401: Unauthorized)" in failed["connection"]
    assert "(19 h ago); tried " in failed["last read"]
    assert "are not accepted (401: Unauthorized)" in failed["last read"]


ALL_RULES = {
    ("list", "namespaces"),
    ("list", "pods"),
    ("list", "events"),
    ("get", "pods"),
    ("get", "pods/log"),
    ("get", "namespaces"),
}


def decision_on(record: dict[str, Any]) -> str:
    decision: str = record["annotations"]["authorization.k8s.io/decision"]
    return decision


def asked_for(records: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the verbs and resources of requests, as a role's rules name them."""
    return {
        (record["verb"], "/".join(filter(None, (about["resource"], about.get("subresource")))))
        for record in records
        if (about := record.get("objectRef"))
    }


def listed_in(manifests: Sequence[Any]) -> set[tuple[str, str]]:
    return {rule for manifest in manifests for entry in manifest.get("rules", ()) for rule in rules_of(entry)}


def rules_of(entry: Any) -> set[tuple[str, str]]:
    assert entry["apiGroups"] == [""]
    return {(verb, resource) for verb in entry["verbs"] for resource in entry["resources"]}


def only_rules(manifests: Sequence[Any], *wanted: tuple[str, str]) -> list[Any]:
    """Return the manifests, the role's rules reduced to those."""
    return [
        {**manifest, "rules": [entry for entry in manifest["rules"] if rules_of(entry) <= set(wanted)]}
        if "rules" in manifest
        else manifest
        for manifest in manifests
    ]
