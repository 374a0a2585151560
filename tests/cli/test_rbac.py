"""`oomdb rbac` as an administrator runs it."""

from typing import Any

import pytest
import yaml

from oomdb.cli.main import run


def print_role(capsys: pytest.CaptureFixture[str], *options: str) -> list[Any]:
    assert run(["rbac", *options]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


def kinds_and_places(manifests: list[Any]) -> list[tuple[str, str, str]]:
    return [(it["kind"], it["metadata"]["name"], it["metadata"].get("namespace", "")) for it in manifests]


def test_the_default_is_a_cluster_role_for_an_account_named_oomdb(capsys: pytest.CaptureFixture[str]) -> None:
    assert kinds_and_places(print_role(capsys)) == [
        ("Namespace", "oomdb", ""),
        ("ServiceAccount", "oomdb", "oomdb"),
        ("ClusterRole", "oomdb", ""),
        ("ClusterRoleBinding", "oomdb", ""),
    ]


def test_a_namespaced_role_stands_where_its_account_is_unless_namespaces_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert kinds_and_places(print_role(capsys, "--namespaced", "--service-account", "ops/collector"))[1:] == [
        ("Role", "oomdb", "ops"),
        ("RoleBinding", "oomdb", "ops"),
    ]
    named = print_role(
        capsys, "--namespaced", "-n", "team-a, team-b", "-n", "team-a", "--group", "sre", "--name", "read"
    )
    assert kinds_and_places(named) == [
        ("Role", "read", "team-a"),
        ("RoleBinding", "read", "team-a"),
        ("Role", "read", "team-b"),
        ("RoleBinding", "read", "team-b"),
    ]


def test_logs_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    (rules,) = [it["rules"] for it in print_role(capsys, "--no-logs") if "rules" in it]
    assert ["pods/log"] not in [rule["resources"] for rule in rules]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-n", "team-a"), "-n needs --namespaced: a ClusterRole is for all namespaces."),
        (("--namespaced", "--user", "ann"), "--namespaced needs -n: a user has no namespace of its own."),
        (("--namespaced", "-n", " , "), "--namespace names nothing; leave it out to take everything."),
        (("--user", "ann", "--group", "sre"), "--service-account, --user and --group exclude each other"),
        (("--service-account", "oomdb"), "'oomdb' is not NAMESPACE/NAME."),
        (("--service-account", "a/b/c"), "'b/c' cannot be the name of a service account"),
        (("--service-account", ""), "'' is not NAMESPACE/NAME."),
        (("--namespaced", "-n", "Team"), "'Team' cannot be the name of a namespace"),
        (("--name", "a/b"), "'a/b' cannot be the name of a role"),
    ],
)
def test_what_kubernetes_would_refuse_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert run(["rbac", *options]) == 2
    shown, told = capsys.readouterr()
    assert shown == ""
    assert message in told
