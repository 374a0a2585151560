"""Kubeconfig files for simulated clusters, as `oc login` would leave them."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from oomdb.simulator.certificates import KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEntry:
    """One context with a cluster and a user of its own; what is empty is left out of the file."""

    context: str
    server: str
    authority_pem: str = ""
    token: str = ""
    client: KeyPair | None = None
    namespace: str = ""
    tls_server_name: str = ""


def fleet_context(cluster: str, *, user: str = "someone", namespace: str = "default") -> str:
    """Return a context name as `oc login` makes it: `default/api-<cluster>-0fk9-p1-openshiftapps-com:6443/someone`."""
    return f"{namespace}/api-{cluster}-0fk9-p1-openshiftapps-com:6443/{user}"


def write_kubeconfig(path: Path, entries: Sequence[ContextEntry], *, current: str | None = None) -> Path:
    """Write a kubeconfig (0600) with certificates inline and return its path.

    `current` is the current context, the first entry's unless given; '' leaves it out.
    """
    chosen = (entries[0].context if entries else "") if current is None else current
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [{"name": f"cluster-{entry.context}", "cluster": _cluster(entry)} for entry in entries],
        "users": [{"name": f"user-{entry.context}", "user": _user(entry)} for entry in entries],
        "contexts": [{"name": entry.context, "context": _context(entry)} for entry in entries],
    }
    if chosen:
        document["current-context"] = chosen
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)  # a file that was there keeps its mode otherwise
        yaml.safe_dump(document, file, allow_unicode=True, sort_keys=False)
    return path


def _cluster(entry: ContextEntry) -> dict[str, str]:
    cluster = {"server": entry.server}
    if entry.authority_pem:
        cluster["certificate-authority-data"] = _inline(entry.authority_pem)
    if entry.tls_server_name:
        cluster["tls-server-name"] = entry.tls_server_name
    return cluster


def _user(entry: ContextEntry) -> dict[str, str]:
    user: dict[str, str] = {}
    if entry.token:
        user["token"] = entry.token
    if entry.client:
        user["client-certificate-data"] = _inline(entry.client.certificate_pem)
        user["client-key-data"] = _inline(entry.client.key_pem)
    return user


def _context(entry: ContextEntry) -> dict[str, str]:
    context = {"cluster": f"cluster-{entry.context}", "user": f"user-{entry.context}"}
    if entry.namespace:
        context["namespace"] = entry.namespace
    return context


def _inline(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
