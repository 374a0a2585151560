"""Loading a cluster that is told of into a real API server: namespaces, pods with their status, events, logs."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from oomdb.simulator.cluster import Content
from tests.controlplane.server import ApiServer, RequestFailed

ApiObject = Mapping[str, Any]

_WORKERS = 8
_OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "generateName")
_MERGE_PATCH = "application/merge-patch+json"

T = TypeVar("T")


def load_content(server: ApiServer, content: Content) -> None:
    """Load namespaces, pods and events as the simulator has them, and give the kubelet the logs.

    The server gives every pod a UID of its own; events that name one by its old UID are told the new one.
    """
    _each(lambda namespace: _load_namespace(server, namespace), content.namespaces)
    pods = list(content.pods)
    create_nodes(server, {pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")})
    new_uids = dict(_each(lambda pod: load_pod(server, pod), pods))
    _each(lambda event: _load_event(server, event, new_uids), content.events)
    server.control_plane.kubelet.add_logs(content.logs)


def load_pod(server: ApiServer, pod: ApiObject) -> tuple[str, str]:
    """Create a pod and set its status; returns the UID that it had and the one that it has."""
    metadata = pod["metadata"]
    spec = dict(pod["spec"])
    ephemeral = spec.pop("ephemeralContainers", None)
    created = _post(server, _pods(metadata["namespace"]), {**pod, "spec": spec})
    path = f"{_pods(metadata['namespace'])}/{metadata['name']}"
    if ephemeral:  # the API takes them by their own door only
        patch = {"spec": {"ephemeralContainers": ephemeral}}
        server.request("PATCH", f"{path}/ephemeralcontainers", patch, content_type=_MERGE_PATCH)
    if "status" in pod:
        server.request("PATCH", f"{path}/status", {"status": pod["status"]}, content_type=_MERGE_PATCH)
    return metadata.get("uid", ""), created["metadata"]["uid"]


def create_namespaces(server: ApiServer, *names: str, labels: Mapping[str, str] | None = None) -> None:
    """Create namespaces."""
    for name in names:
        _post(server, "/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})


def create_nodes(server: ApiServer, names: Iterable[str]) -> None:
    """Create the nodes that are not there yet; their kubelet is the control plane's stand-in."""
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server.control_plane.kubelet.port}},
    }

    def create(name: str) -> None:
        try:
            server.request("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        except RequestFailed as err:
            if err.status != 409:
                raise
        server.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, content_type=_MERGE_PATCH)

    _each(create, sorted(names))


def _load_namespace(server: ApiServer, namespace: ApiObject) -> None:
    try:
        _post(server, "/api/v1/namespaces", {**namespace, "spec": {}, "status": {}})
    except RequestFailed as err:
        if err.status != 409:  # `default` and a few others are there from the start
            raise


def _load_event(server: ApiServer, event: ApiObject, new_uids: Mapping[str, str]) -> None:
    about = event["involvedObject"]
    uid = new_uids.get(about.get("uid", ""), about.get("uid", ""))
    path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
    _post(server, path, {**event, "involvedObject": {**about, "uid": uid}})


def _post(server: ApiServer, path: str, manifest: ApiObject) -> Any:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_SERVER}
    return server.request("POST", path, {**manifest, "metadata": metadata})


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def _each(load: Callable[[Any], T], objects: Iterable[Any]) -> list[T]:
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(load, objects))
