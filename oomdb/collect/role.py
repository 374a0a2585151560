"""The least role that oomdb needs, as manifests for `kubectl apply -f -`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from oomdb.collect.access import NEEDS, Need
from oomdb.errors import UsageError
from oomdb.kube.objects import is_path_segment

SubjectKind = Literal["ServiceAccount", "User", "Group"]

_RBAC = "rbac.authorization.k8s.io"
# k8s.io/apimachinery pkg/util/validation/validation.go: IsDNS1123Label, IsDNS1123Subdomain
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_CHARACTERS = 63
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_SUBDOMAIN_CHARACTERS = 253


@dataclass(frozen=True, slots=True)
class Subject:
    """Who gets the role; only a service account has a namespace.

    Raises:
        UsageError: Kubernetes would refuse the name.
    """

    kind: SubjectKind
    name: str
    namespace: str = ""

    def __post_init__(self) -> None:
        if self.kind == "ServiceAccount":
            require_namespace_name(self.namespace)
            if len(self.name) > _SUBDOMAIN_CHARACTERS or not _SUBDOMAIN.fullmatch(self.name):
                raise UsageError(
                    f"{self.name!r} cannot be the name of a service account: small letters, digits, '-' and '.', with "
                    f"a letter or digit at both ends of each part, at most {_SUBDOMAIN_CHARACTERS} characters."
                )
        elif not self.name or not self.name.isprintable():
            raise UsageError(
                f"{self.name!r} cannot be the name of a {self.kind.lower()}: say it as the cluster knows it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRequest:
    """What to write: a role of the whole cluster, or with `namespaces` one in each of them.

    `makes_namespace`: the account's own namespace stands first, for a cluster that does not have it yet.

    Raises:
        UsageError: Kubernetes would refuse one of the names.
    """

    name: str
    subject: Subject
    namespaces: Sequence[str] = ()
    with_logs: bool = True
    makes_namespace: bool = False

    def __post_init__(self) -> None:
        if not is_path_segment(self.name) or not self.name.isprintable():
            raise UsageError(f"{self.name!r} cannot be the name of a role: it holds '/' or '%', is empty, '.' or '..'.")
        for namespace in self.namespaces:
            require_namespace_name(namespace)


def require_namespace_name(name: str) -> None:
    """Return if a namespace can have this name.

    Raises:
        UsageError: it cannot.
    """
    if len(name) > _LABEL_CHARACTERS or not re.fullmatch(_LABEL, name):
        raise UsageError(
            f"{name!r} cannot be the name of a namespace: small letters, digits and '-', a letter or digit at both "
            f"ends, at most {_LABEL_CHARACTERS} characters."
        )


def render_role(request: RoleRequest) -> str:
    """Return the manifests as YAML, with a comment on each rule; the same request always gives the same text."""
    return "---\n".join(_iter_documents(request))


def _iter_documents(request: RoleRequest) -> Iterator[str]:
    subject, head = request.subject, _render_head(request)
    if request.makes_namespace:
        yield head + _render({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": subject.namespace}})
        head = ""
    if subject.kind == "ServiceAccount":
        metadata = {"name": subject.name, "namespace": subject.namespace}
        yield head + _render({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        head = ""
    for namespace in request.namespaces or ("",):
        yield head + _render_rules(request, namespace)
        yield _render(_build_binding(request, namespace))
        head = ""


def _render_head(request: RoleRequest) -> str:
    lines = ["The least that oomdb needs: it reads, and writes nothing (made by `oomdb rbac`)."]
    if request.subject.kind == "ServiceAccount":
        account, namespace = request.subject.name, request.subject.namespace
        if not request.makes_namespace:
            lines.append(f"The namespace must be there:  kubectl create namespace {namespace}")
        token = f"kubectl create token {account} --namespace {namespace} --duration 24h"
        lines.append(f"A token for a kubeconfig:     {token}")
    if request.namespaces:
        lines.append(f"Collect with:                 oomdb collect -n {','.join(request.namespaces)}")
    return _comment(*lines)


def _render_rules(request: RoleRequest, namespace: str) -> str:
    role = _render(
        {"apiVersion": f"{_RBAC}/v1", "kind": f"{_scope(namespace)}Role", "metadata": _metadata(request, namespace)}
    )
    return role + "rules:\n" + "".join(_render_rule(need) for need in NEEDS if _is_wanted(need, request))


def _is_wanted(need: Need, request: RoleRequest) -> bool:
    return (need.in_namespaces or not request.namespaces) and (request.with_logs or need.subresource != "log")


def _render_rule(need: Need) -> str:
    rule = {"apiGroups": [""], "resources": [need.full_resource], "verbs": [need.verb]}
    return _comment(need.why) + _render([rule], short_lists=True)


def _build_binding(request: RoleRequest, namespace: str) -> Mapping[str, Any]:
    subject = request.subject
    # k8s.io/api rbac/v1/types.go, Subject: users and groups have an API group, service accounts a namespace
    place = {"namespace": subject.namespace} if subject.kind == "ServiceAccount" else {"apiGroup": _RBAC}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{_scope(namespace)}RoleBinding",
        "metadata": _metadata(request, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": f"{_scope(namespace)}Role", "name": request.name},
        "subjects": [{"kind": subject.kind, "name": subject.name, **place}],
    }


def _scope(namespace: str) -> str:
    return "" if namespace else "Cluster"


def _metadata(request: RoleRequest, namespace: str) -> dict[str, str]:
    return {"name": request.name, **({"namespace": namespace} if namespace else {})}


def _comment(*lines: str) -> str:
    return "".join(f"# {line}\n" for line in lines)


def _render(value: Any, *, short_lists: bool = False) -> str:
    # quotes what only looks like a name (`true`, `1e3`), and leaves the rest plain
    style = None if short_lists else False
    text: str = yaml.safe_dump(value, default_flow_style=style, sort_keys=False, width=float("inf"), allow_unicode=True)
    return text
