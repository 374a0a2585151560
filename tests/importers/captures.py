"""Files and folders as `oc get` and a must-gather leave them, made of API objects."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ApiObject = Mapping[str, Any]
LogKey = tuple[str, str, str, bool]  # namespace, pod, container, previous


def list_of(*objects: ApiObject, kind: str = "List") -> dict[str, Any]:
    return {"apiVersion": "v1", "items": list(objects), "kind": kind, "metadata": {"resourceVersion": ""}}


def as_json(value: ApiObject) -> bytes:
    return json.dumps(value, indent=4).encode()


def as_yaml(value: ApiObject) -> bytes:
    return yaml.dump(dict(value), sort_keys=True, allow_unicode=True).encode()


def write_must_gather(
    folder: Path,
    *,
    pods: Iterable[ApiObject] = (),
    events: Iterable[ApiObject] = (),
    namespaces: Iterable[str] = (),
    logs: Mapping[LogKey, bytes] | None = None,
    timestamp: str = "",
    image: str = "quay-io-openshift-origin-must-gather-sha256-0123",
) -> Path:
    """Write `<folder>/<image>/namespaces/…` with lists for each namespace, and return the image's folder."""
    root = folder / image
    by_source = {"pods": list(pods), "events": list(events)}
    places = {each["metadata"]["namespace"] for objects in by_source.values() for each in objects} | {*namespaces}
    for place in places:
        for source, objects in by_source.items():
            of_place = [each for each in objects if each["metadata"]["namespace"] == place]
            write(root / "namespaces" / place / "core" / f"{source}.yaml", b"---\n" + as_yaml(list_of(*of_place)))
    for (namespace, pod, container, previous), text in (logs or {}).items():
        name = "previous.log" if previous else "current.log"
        write(root / "namespaces" / namespace / "pods" / pod / container / container / "logs" / name, text)
    if timestamp:
        write(folder / "timestamp", timestamp.encode())
    return root


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
