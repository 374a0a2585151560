"""The Kubernetes API over a simulated cluster: one call in, one answer out, with the real server's words.

Sources of the words: k8s.io/apimachinery pkg/api/errors, k8s.io/apiserver pkg/endpoints and pkg/storage,
kubernetes pkg/registry/core/pod/strategy.go (which container a log is of) and pkg/kubelet/kubelet_pods.go
(why there is none).
"""

import base64
import binascii
import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from oomdb.simulator.cluster import ApiObject, SimulatedCluster, Snapshot, StoredObject, encode
from oomdb.simulator.permissions import ANONYMOUS, Permissions
from oomdb.simulator.selectors import SelectorError, parse_field_selector

REVIEW_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"  # the one that is asked by POST

_PROJECT_GROUP = "project.openshift.io"
_GROUPS = {"projects": _PROJECT_GROUP, "selfsubjectaccessreviews": "authorization.k8s.io"}
_KINDS = {"namespaces": "Namespace", "pods": "Pod", "events": "Event", "projects": "Project"}
_INCONSISTENT = -1  # the revision of a token that goes on with whatever is there now
_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105 -- a format's name
_NOT_SIMULATED = ("labelSelector", "watch", "follow", "sinceSeconds", "sinceTime", "stream")
_EXPIRED_MESSAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)
_REASONS = {
    400: ("BadRequest", "Bad Request"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "Forbidden"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", "only the following media types are accepted: application/json"),
    410: ("Expired", _EXPIRED_MESSAGE),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A GET request whose sender is known, a POST where there is a `body`; `path` as sent, `query` decoded."""

    path: str
    query: Mapping[str, str]
    user: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a status code, the body and its type, and headers besides those that every answer has."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def answer_call(
    call: Call, cluster: SimulatedCluster, permissions: Permissions, *, tokens_expired: bool = False
) -> Answer:
    """Return the answer of the API server; `tokens_expired` takes consistent continue tokens as too old."""
    try:
        return _route(call, cluster, permissions, tokens_expired)
    except _FailureError as failure:
        return failure.answer


def status_answer(
    code: int,
    message: str = "",
    *,
    details: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """Return a failure as a `Status` object; without a message, the words that the real server has for the code."""
    reason, usual = _REASONS.get(code, ("", "unknown"))
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": dict(metadata or {}),
        "status": "Failure",
        "message": message or usual,
    }
    if reason:
        status["reason"] = reason
    if details:
        status["details"] = dict(details)
    return Answer(code, encode({**status, "code": code}) + b"\n", headers=headers)


class _FailureError(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _route(call: Call, cluster: SimulatedCluster, permissions: Permissions, tokens_expired: bool) -> Answer:
    asked = _Asked(call, cluster, permissions, tokens_expired)
    match [unquote(segment) for segment in call.path.strip("/").split("/")]:
        case ["version"]:
            return _version_answer(cluster.server_version)
        case ["healthz" | "livez" | "readyz"]:
            return Answer(200, b"ok", "text/plain; charset=utf-8")
        case ["api", "v1", "namespaces" | "pods" | "events" as resource]:
            return asked.list(resource, None)
        case ["api", "v1", "namespaces", name]:
            return asked.one("namespaces", None, name)
        case ["api", "v1", "namespaces", namespace, "pods" | "events" as resource]:
            return asked.list(resource, namespace)
        case ["api", "v1", "namespaces", namespace, "pods" | "events" as resource, name]:
            return asked.one(resource, namespace, name)
        case ["api", "v1", "namespaces", namespace, "pods", name, "log"]:
            return asked.log(namespace, name)
        case ["apis", group, "v1", "projects"] if group == _PROJECT_GROUP and cluster.projects:
            return asked.list_projects()
        case ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] if call.body is not None:
            return asked.review_access(call.body)
    # the real server has no Status object for paths that no API group serves
    return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")


def _version_answer(version: str) -> Answer:
    major, minor, *_ = [*version.lstrip("v").split("."), "", ""]
    return Answer(
        200,
        encode(
            {
                "major": major,
                "minor": minor,
                "gitVersion": version,
                "gitTreeState": "clean",
                "compiler": "gc",
                "platform": "linux/amd64",
            }
        ),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    call: Call
    cluster: SimulatedCluster
    permissions: Permissions
    tokens_expired: bool

    def list(self, resource: str, namespace: str | None) -> Answer:
        self._must_allow("list", resource, namespace)
        self._must_be_simulated()
        place = f"{namespace}/" if namespace else ""
        return self._page(resource, lambda stored: stored.key.startswith(place))

    def list_projects(self) -> Answer:
        self._must_allow("list", "projects", None)
        self._must_be_simulated()
        user = self.call.user
        return self._page("projects", lambda stored: self.permissions.allow(user, "get", "namespaces", str(stored.key)))

    def one(self, resource: str, namespace: str | None, name: str) -> Answer:
        # a namespace is an object of the cluster scope, but who may read it is decided in itself
        self._must_allow("get", resource, namespace or name, name)
        stored = self._find(resource, namespace, name)
        return Answer(200, encode({"kind": _KINDS[resource], "apiVersion": "v1", **stored.value}) + b"\n")

    def log(self, namespace: str, name: str) -> Answer:
        self._must_allow("get", "pods/log", namespace, name)
        self._must_be_simulated()
        options = _LogOptions(
            previous=self.call.query.get("previous", "").lower() in ("true", "1"),
            timestamps=self.call.query.get("timestamps", "").lower() in ("true", "1"),
            tail_lines=self._log_number(name, "tailLines", 0, "must be greater than or equal to 0"),
            limit_bytes=self._log_number(name, "limitBytes", 1, "must be greater than 0"),
        )
        snapshot = self.cluster.snapshot()
        pod = self._find("pods", namespace, name).value
        container = _container_of_log(pod, self.call.query.get("container", ""))
        return Answer(200, _log_text(pod, container, options, snapshot), "text/plain")

    def review_access(self, body: bytes) -> Answer:
        if self.call.user == ANONYMOUS:  # everybody else has the role system:basic-user, which lets one ask
            self._must_allow("create", "selfsubjectaccessreviews", None)
        try:
            review = json.loads(body)
            asked: Mapping[str, str] = review["spec"]["resourceAttributes"]
            resource = "/".join(part for part in (asked["resource"], asked.get("subresource")) if part)
            allowed = self.permissions.allow(self.call.user, asked["verb"], resource, asked.get("namespace") or None)
        except (ValueError, KeyError, TypeError) as err:
            raise _bad_request(f"the request body is no SelfSubjectAccessReview: {type(err).__name__} {err}") from err
        return Answer(201, encode({**review, "metadata": {}, "status": {"allowed": allowed}}) + b"\n")

    def _must_allow(self, verb: str, resource: str, namespace: str | None, name: str = "") -> None:
        if self.permissions.allow(self.call.user, verb, resource, namespace):
            return
        plain, _, _ = resource.partition("/")
        group = _GROUPS.get(resource, "")
        what = f"{plain}.{group}" if group else plain
        subject = f'{what} "{name}"' if name else what
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        message = (
            f'{subject} is forbidden: User "{self.call.user}" cannot {verb} resource "{resource}" '
            f'in API group "{group}" {where}'
        )
        details = {key: value for key, value in (("name", name), ("group", group), ("kind", plain)) if value}
        raise _FailureError(status_answer(403, message, details=details))

    def _must_be_simulated(self) -> None:
        for parameter in _NOT_SIMULATED:
            if self.call.query.get(parameter, "") not in ("", "false", "0"):
                raise _bad_request(f"the simulated cluster does not know the parameter {parameter}: leave it out")

    def _page(self, resource: str, visible: Callable[[StoredObject], bool]) -> Answer:
        limit = self._number("limit")
        snapshot, start = self._position()
        objects = snapshot.objects["namespaces" if resource == "projects" else resource]
        selector = self.call.query.get("fieldSelector", "")
        selected = self._selected(resource, selector)
        first = bisect_left(objects, start, key=attrgetter("key"))
        rest = [stored for stored in objects[first:] if visible(stored) and selected(stored.value)]
        page = rest[:limit] if limit else rest
        metadata: dict[str, str | int] = {"resourceVersion": str(snapshot.revision)}
        if len(page) < len(rest):
            metadata["continue"] = _token(snapshot.revision, page[-1].key + "\0")
            if not selector:  # with a selector the real server does not know
                metadata["remainingItemCount"] = len(rest) - len(page)
        return Answer(200, _list_body(resource, metadata, page))

    def _selected(self, resource: str, selector: str) -> Callable[[ApiObject], bool]:
        try:
            return parse_field_selector(selector, "namespaces" if resource == "projects" else resource)
        except SelectorError as err:
            raise _bad_request(str(err)) from err

    def _position(self) -> tuple[Snapshot, str]:
        """Return what to list, and the first key: by the continue token, else the latest content from its start."""
        token = self.call.query.get("continue", "")
        if not token:
            return self.cluster.snapshot(), ""
        if self.call.query.get("resourceVersion", ""):
            raise _bad_request("specifying resource version is not allowed when using continue")
        revision, start = _read_token(token)
        if revision == _INCONSISTENT:
            return self.cluster.snapshot(), start
        try:
            snapshot = self.cluster.snapshot(revision)
        except KeyError:
            raise _expired(start) from None
        if self.tokens_expired:
            raise _expired(start)
        return snapshot, start

    def _number(self, parameter: str) -> int:
        text = self.call.query.get(parameter, "") or "0"
        if not (text.isascii() and text.isdigit()):
            raise _bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)

    def _log_number(self, pod: str, parameter: str, least: int, rule: str) -> int | None:
        text = self.call.query.get(parameter, "")
        if not text:
            return None
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit()):
            raise _bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        if int(text) < least:
            message = f'PodLogOptions "{pod}" is invalid: {parameter}: Invalid value: {text}: {rule}'
            raise _FailureError(status_answer(422, message, details={"name": pod, "kind": "PodLogOptions"}))
        return int(text)

    def _find(self, resource: str, namespace: str | None, name: str) -> StoredObject:
        stored = self.cluster.snapshot().find(resource, f"{namespace}/{name}" if namespace else name)
        if stored is None:
            details = {"name": name, "kind": resource}
            raise _FailureError(status_answer(404, f'{resource} "{name}" not found', details=details))
        return stored


def _bad_request(message: str) -> _FailureError:
    return _FailureError(status_answer(400, message))


def _expired(start: str) -> _FailureError:
    return _FailureError(status_answer(410, metadata={"continue": _token(_INCONSISTENT, start)}))


def _token(revision: int, start: str) -> str:
    document = {"v": _TOKEN_VERSION, "rv": revision, "start": start}
    return base64.urlsafe_b64encode(encode(document)).rstrip(b"=").decode()


def _read_token(token: str) -> tuple[int, str]:
    try:
        document = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        if document["v"] != _TOKEN_VERSION:
            raise _bad_token(f"server does not recognize this encoded version {document['v']}")
        return int(document["rv"]), str(document["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as err:
        raise _bad_token(str(err)) from err


def _bad_token(why: str) -> _FailureError:
    return _bad_request(f"invalid continue token: continue key is not valid: {why}")


def _list_body(resource: str, metadata: Mapping[str, str | int], page: Sequence[StoredObject]) -> bytes:
    version = f"{_PROJECT_GROUP}/v1" if resource == "projects" else "v1"
    head = encode({"kind": f"{_KINDS[resource]}List", "apiVersion": version, "metadata": metadata})
    return b"".join((head[:-1], b',"items":[', b",".join(stored.list_json() for stored in page), b"]}\n"))


# --- logs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogOptions:
    previous: bool
    timestamps: bool
    tail_lines: int | None
    limit_bytes: int | None


def _container_of_log(pod: ApiObject, container: str) -> str:
    name = pod["metadata"]["name"]
    main = _container_names(pod, "containers")
    init = _container_names(pod, "initContainers")
    if container:
        if container not in (*main, *init, *_container_names(pod, "ephemeralContainers")):
            raise _bad_request(f"container {container} is not valid for pod {name}")
        return container
    if len(main) == 1:
        return main[0]
    message = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    raise _bad_request(message + (f" or one of the init containers: [{' '.join(init)}]" if init else ""))


def _container_names(pod: ApiObject, group: str) -> list[str]:
    return [container["name"] for container in pod.get("spec", {}).get(group) or ()]


def _log_text(pod: ApiObject, container: str, options: _LogOptions, snapshot: Snapshot) -> bytes:
    metadata = pod["metadata"]
    if not pod.get("spec", {}).get("nodeName"):
        return b""  # not scheduled yet: the real server answers with an empty log
    shown = _shown_state(pod, container, options.previous)
    text = snapshot.logs.get((metadata["namespace"], metadata["name"], container, options.previous))
    if text is None:
        if not options.previous:
            return b""
        # the node has thrown the file away; the kubelet says so in the text, with status 200
        return f"unable to retrieve container logs for {shown.get('containerID', '')}".encode()
    return _cut_log(text, options, shown.get("startedAt") or metadata.get("creationTimestamp"))


def _shown_state(pod: ApiObject, container: str, previous: bool) -> Mapping[str, Any]:
    """Return the state of the container instance whose log the kubelet would show, or fail with its words."""
    name = pod["metadata"]["name"]
    status = _find_status(pod, container)
    if status is None:
        raise _bad_request(f'container "{container}" in pod "{name}" is not available')
    state: Mapping[str, Any] = status.get("state") or {}
    last: Mapping[str, Any] = (status.get("lastState") or {}).get("terminated") or {}
    if previous:
        if not last.get("containerID"):
            raise _bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return last
    if state.get("running") is not None:
        running: Mapping[str, Any] = state["running"]
        return running
    if (state.get("terminated") or {}).get("containerID"):
        terminated: Mapping[str, Any] = state["terminated"]
        return terminated
    if last.get("containerID"):
        return last
    reason = (state.get("waiting") or {}).get("reason", "")
    why = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
    if not reason:
        raise _bad_request(f'container "{container}" in pod "{name}" is waiting to start - no logs yet')
    raise _bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why.get(reason, reason)}')


def _find_status(pod: ApiObject, container: str) -> Mapping[str, Any] | None:
    groups = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    statuses = (status for group in groups for status in pod.get("status", {}).get(group) or ())
    return next((status for status in statuses if status["name"] == container), None)


def _cut_log(text: bytes, options: _LogOptions, started_at: str | None) -> bytes:
    if options.timestamps:
        text = _stamp_lines(text, started_at)
    if options.tail_lines is not None:
        text = b"".join(text.splitlines(keepends=True)[-options.tail_lines :]) if options.tail_lines else b""
    return text if options.limit_bytes is None else text[: options.limit_bytes]


def _stamp_lines(text: bytes, started_at: str | None) -> bytes:
    # a log here has no times of its own: its lines are taken as written a second apart from the container's start
    start = datetime.fromisoformat(started_at or "1970-01-01T00:00:00Z")
    stamped = (
        f"{(start + timedelta(seconds=second)).strftime('%Y-%m-%dT%H:%M:%S')}.000000000Z ".encode() + line
        for second, line in enumerate(text.split(b"\n"))
        if line or second == 0
    )
    return b"\n".join(stamped) + (b"\n" if text.endswith(b"\n") else b"")
