"""The least role as manifests: what is in them, and names that Kubernetes would refuse."""

from typing import Any

import pytest
import yaml

from oomdb.collect.access import NEEDS
from oomdb.collect.role import RoleRequest, Subject, render_role
from oomdb.errors import UsageError

ACCOUNT = Subject("ServiceAccount", "oomdb", "ops")


def manifests(request: RoleRequest) -> list[Any]:
    return list(yaml.safe_load_all(render_role(request)))


def test_the_cluster_role_has_a_rule_for_each_need_and_the_reason_above_it() -> None:
    text = render_role(RoleRequest(name="oomdb", subject=ACCOUNT))
    account, role, binding = yaml.safe_load_all(text)
    assert account == {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "oomdb", "namespace": "ops"}}
    assert (role["kind"], role["metadata"]) == ("ClusterRole", {"name": "oomdb"})
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    assert binding["kind"] == "ClusterRoleBinding"
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "oomdb"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "oomdb", "namespace": "ops"}]
    assert [text.count(f"# {need.why}\n- apiGroups") for need in NEEDS] == [1] * len(NEEDS)


def test_the_namespace_of_the_account_stands_first_where_it_is_to_be_made() -> None:
    text = render_role(RoleRequest(name="oomdb", subject=ACCOUNT, makes_namespace=True))
    namespace, account, *_ = yaml.safe_load_all(text)
    assert namespace == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops"}}
    assert account["metadata"]["namespace"] == "ops"
    must_be_there = "# The namespace must be there:  kubectl create namespace ops\n"
    assert must_be_there not in text
    assert must_be_there in render_role(RoleRequest(name="oomdb", subject=ACCOUNT))


def test_the_same_request_gives_the_same_text() -> None:
    assert render_role(RoleRequest(name="a", subject=ACCOUNT)) == render_role(RoleRequest(name="a", subject=ACCOUNT))


def test_a_role_of_namespaces_stands_in_each_and_lists_no_namespaces() -> None:
    text = render_role(RoleRequest(name="oomdb", subject=ACCOUNT, namespaces=("team-a", "team-b")))
    assert "# Collect with:                 oomdb collect -n team-a,team-b\n" in text
    account, *pairs = yaml.safe_load_all(text)
    assert account["kind"] == "ServiceAccount"
    assert [(it["kind"], it["metadata"]["namespace"]) for it in pairs] == [
        ("Role", "team-a"),
        ("RoleBinding", "team-a"),
        ("Role", "team-b"),
        ("RoleBinding", "team-b"),
    ]
    assert all(it["roleRef"]["kind"] == "Role" for it in pairs if "roleRef" in it)
    assert [rule["verbs"] for rule in pairs[0]["rules"] if rule["resources"] == ["namespaces"]] == [["get"]]


def test_without_logs_there_is_no_rule_for_them() -> None:
    _, role, _ = manifests(RoleRequest(name="oomdb", subject=ACCOUNT, with_logs=False))
    assert [rule["resources"] for rule in role["rules"]] == [
        ["namespaces"],
        ["pods"],
        ["events"],
        ["pods"],
        ["namespaces"],
    ]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (Subject("User", "kube:admin"), {"kind": "User", "name": "kube:admin"}),
        (Subject("Group", "true"), {"kind": "Group", "name": "true"}),
        (Subject("Group", 'a: {b} # "c"'), {"kind": "Group", "name": 'a: {b} # "c"'}),
    ],
)
def test_people_and_groups_get_the_role_without_an_account(subject: Subject, expected: dict[str, str]) -> None:
    role, binding = manifests(RoleRequest(name="1e3", subject=subject))
    assert role["metadata"]["name"] == "1e3"  # a text also for YAML
    assert binding["subjects"] == [{**expected, "apiGroup": "rbac.authorization.k8s.io"}]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%b", "a\nb", "\x1b[31m"])
def test_a_role_cannot_have_a_name_that_kubernetes_refuses(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a role"):
        RoleRequest(name=name, subject=ACCOUNT)


@pytest.mark.parametrize("name", ["", "Team", "a_b", "-a", "a-", "a.b", "a\n", "a" * 64, "é"])
def test_a_namespace_has_the_name_of_a_dns_label(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a namespace"):
        RoleRequest(name="oomdb", subject=ACCOUNT, namespaces=("a", name))
    with pytest.raises(UsageError, match="cannot be the name of a namespace"):
        Subject("ServiceAccount", "oomdb", name)


@pytest.mark.parametrize("name", ["", "A", "a..b", ".a", "a-.b", "a/b", "a\n", "a" * 254])
def test_an_account_has_the_name_of_a_dns_subdomain(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a service account"):
        Subject("ServiceAccount", name, "ops")
    assert Subject("ServiceAccount", "a.b-c.1", "ops").name == "a.b-c.1"


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m"])
def test_a_user_or_group_needs_a_name_that_prints(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a group"):
        Subject("Group", name)
