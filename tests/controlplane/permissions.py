"""Roles for a test's accounts, as an administrator would write them."""

from collections.abc import Sequence
from typing import Any

from tests.controlplane.server import ApiServer

Rule = dict[str, list[str]]


def allow(verb: str, *resources: str, group: str = "") -> Rule:
    """Return a rule of a role."""
    return {"apiGroups": [group], "resources": list(resources), "verbs": [verb]}


def grant(
    server: ApiServer, account_namespace: str, account: str, rules: Sequence[Rule], *, namespace: str = ""
) -> None:
    """Give a service account a role of its own: in one namespace, or in the whole cluster."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    role, binding = ("roles", "rolebindings") if namespace else ("clusterroles", "clusterrolebindings")
    base = f"/apis/rbac.authorization.k8s.io/v1{scope}"
    name = server.request("POST", f"{base}/{role}", {"metadata": {"generateName": "test-"}, "rules": list(rules)})[
        "metadata"
    ]["name"]
    body: dict[str, Any] = {
        "metadata": {"name": name},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role" if namespace else "ClusterRole",
            "name": name,
        },
        "subjects": [{"kind": "ServiceAccount", "namespace": account_namespace, "name": account}],
    }
    server.request("POST", f"{base}/{binding}", body)
