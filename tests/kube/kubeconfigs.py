"""Kubeconfig files for the tests of kubeconfig, auth and clusters: small, complete, and odd where the test says so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from oomdb.kube.contexts import Context, Kubeconfig
from oomdb.kube.kubeconfig import load_kubeconfig

SERVER = "https://api.example.com:6443"


def cluster(name: str = "east", **fields: Any) -> dict[str, Any]:
    """Return an entry of `clusters`; field names with `_` for `-`."""
    return {"name": name, "cluster": {"server": SERVER} | _dashed(fields)}


def user(name: str = "someone", fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an entry of `users`, with a token unless told otherwise."""
    return {"name": name, "user": {"token": "s3cret"} if fields is None else dict(fields)}


def context(name: str = "dev", *, cluster: str = "east", user: str = "someone", **fields: Any) -> dict[str, Any]:
    """Return an entry of `contexts`."""
    return {"name": name, "context": {"cluster": cluster, "user": user} | _dashed(fields)}


def plugin(command: str = "log-me-in", **fields: Any) -> dict[str, Any]:
    """Return the fields of a user with an exec plug-in."""
    entry = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": None,
        "env": None,
        "provideClusterInfo": False,
        "interactiveMode": "IfAvailable",
    }
    return {"exec": entry | fields}


def write(
    path: Path,
    *,
    clusters: list[Any] | None = None,
    users: list[Any] | None = None,
    contexts: list[Any] | None = None,
    current: str | None = "dev",
    **fields: Any,
) -> Path:
    """Write a kubeconfig; what is not given is one good entry."""
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [cluster()] if clusters is None else clusters,
        "users": [user()] if users is None else users,
        "contexts": [context()] if contexts is None else contexts,
        **_dashed(fields),
    }
    if current is not None:
        document["current-context"] = current
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def load(path: Path) -> Kubeconfig:
    """Load one file."""
    return load_kubeconfig(path=str(path), environ={}, home=path.parent)


def load_one(folder: Path, **parts: Any) -> Context:
    """Write a kubeconfig and return its only context."""
    (only,) = load(write(folder / "config", **parts)).contexts
    return only


def _dashed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in fields.items()}
