"""One cluster's API: requests are built, sent (the only place that retries), and their answers handled."""

import random as randomness
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from oomdb.errors import (
    ClusterForbidden,
    ClusterNotFound,
    ClusterUnauthorized,
    KubeconfigError,
    OomdbError,
)
from oomdb.kube.answers import Received
from oomdb.kube.clock import ClockSkew
from oomdb.kube.clusters import ClusterTarget
from oomdb.kube.failures import NAME_CHARACTERS, RequestFailedError, to_plain
from oomdb.kube.formats import EVENTS, NAMESPACES, PODS, PROJECTS, RAW_EVENTS, ListFormat, ListReader
from oomdb.kube.lists import Page, iter_pages, read_all
from oomdb.kube.objects import (
    MANIFEST,
    NAMESPACE,
    POD_EVENT_SELECTOR,
    VERSION,
    Namespace,
    NamespaceObject,
    ObjectList,
    is_path_segment,
    select_fields,
)
from oomdb.kube.reviews import REVIEW_PATH, AccessAnswer, AccessReview, decode_review, encode_review
from oomdb.kube.transport import JSON, Answer
from oomdb.kube.ways import Way, Ways
from oomdb.model import Event, Pod

CONNECTIONS = 5  # as many as workers read namespaces one by one
BACK_OFF_SECONDS = 0.5
BACK_OFF_CAP_SECONDS = 30.0

T = TypeVar("T")


@contextmanager
def open_client(
    target: ClusterTarget,
    *,
    timeout_seconds: float,
    retries: int,
    connections: int = CONNECTIONS,
    lists: ListFormat = "protobuf",
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = randomness.random,
) -> Iterator["ClusterClient"]:
    """Open the API of one cluster; nothing is sent before the first call.

    Args:
        target: the cluster; when the server does not know its first context's user (401), the next one is tried.
        timeout_seconds: the longest silence of the server; an answer as a whole may take twice as long, and a second
            more for each 16 KiB of it. Connecting may take 15 seconds at most.
        retries: how many more tries a request has after 429, 5xx, a lost connection, a time-out or a cut answer.
        connections: how many requests may be under way at a time; further threads wait.
        lists: in which format to ask for lists; what a server does not have in protobuf comes as JSON.
        sleep: waits so many seconds between two tries.
        random: from 0 to 1, the jitter of the back-off.
    """
    client = ClusterClient(
        target,
        timeout_seconds=timeout_seconds,
        retries=retries,
        connections=connections,
        lists=lists,
        sleep=sleep,
        random=random,
    )
    try:
        yield client
    finally:
        client.close()


class ClusterClient:
    """The API of one cluster, as far as a scan needs it; may be used by several threads at a time.

    Every call raises ClusterError (unreachable, timed out, unauthorized, forbidden, not found, a bad answer), and
    KubeconfigError where the kubeconfig's entries cannot be used; never an error of HTTP, TLS or JSON libraries.
    """

    def __init__(
        self,
        target: ClusterTarget,
        *,
        timeout_seconds: float,
        retries: int,
        connections: int,
        lists: ListFormat,
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        """Prepare; `open_client` says what the arguments mean."""
        self._ways = Ways(target, timeout_seconds=timeout_seconds, connections=connections)
        self._retries = retries
        self._lists = lists
        self._sleep = sleep
        self._random = random
        self._lock = threading.Lock()
        self._counts = {"requests": 0, "retries": 0, "bytes_received": 0}
        self._clock_skew = ClockSkew()

    @property
    def requests(self) -> int:
        """How many requests were sent, those sent again included."""
        return self._counts["requests"]

    @property
    def retries(self) -> int:
        """How many requests were sent again."""
        return self._counts["retries"]

    @property
    def bytes_received(self) -> int:
        """The bytes of all bodies as they came, compressed or not."""
        return self._counts["bytes_received"]

    @property
    def clock_skew_seconds(self) -> float | None:
        """The server's clock minus ours, as the answers so far tell; None before one."""
        with self._lock:
            return self._clock_skew.seconds

    @property
    def context_name(self) -> str:
        """The context in use; the first until the server has refused it."""
        return self._ways.context_name

    def close(self) -> None:
        """Close all connections."""
        self._ways.close()

    def server_version(self) -> str:
        """Return the server's version (`v1.34.4`); '' where we may not know."""
        try:
            return self._send(_Request("/version"), lambda answer: VERSION.decode(answer.body)).git_version
        except (ClusterForbidden, ClusterNotFound):
            return ""

    def list_namespaces(self) -> list[Namespace]:
        """Return all namespaces, with their labels."""
        return self._list_namespaces("/api/v1/namespaces", NAMESPACES)

    def find_namespace(self, name: str) -> Namespace | None:
        """Return a namespace by its name, None where the cluster has none of that name."""
        try:
            request = _Request(f"/api/v1/namespaces/{_segment(name)}")
            return self._send(request, lambda answer: NAMESPACE.decode(answer.body)).to_namespace()
        except ClusterNotFound:
            return None

    def list_projects(self) -> list[Namespace]:
        """Return the namespaces that we may read, with their labels (OpenShift; ClusterNotFound elsewhere)."""
        return self._list_namespaces("/apis/project.openshift.io/v1/projects", PROJECTS)

    def iter_pod_pages(self, namespace: str | None) -> Iterator[Page[Pod]]:
        """Iterate over the pods of a namespace, of all with None; see `Page` for lists that begin anew."""
        return iter_pages(partial(self._fetch_page, _build_path("pods", namespace), {}, PODS))

    def iter_event_pages(self, namespace: str | None) -> Iterator[Page[Event]]:
        """Iterate over the events about pods, but for those of routine, in a namespace or in all with None."""
        fields = {"fieldSelector": POD_EVENT_SELECTOR}
        return iter_pages(partial(self._fetch_page, _build_path("events", namespace), fields, EVENTS))

    def review_access(self, access: AccessReview) -> AccessAnswer:
        """Ask whether we may do something; every user that is logged in may ask."""
        request = _Request(REVIEW_PATH, method="POST", body=encode_review(access))
        return self._send(request, lambda answer: decode_review(answer.body))

    def get_pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the whole manifest of a pod."""
        request = _Request(_build_path("pods", namespace, name))
        return self._send(request, lambda answer: MANIFEST.decode(answer.body))

    def list_pod_events(self, namespace: str, name: str, uid: str) -> list[dict[str, Any]]:
        """Return all events about one pod, routine included, as the server has them; '' for an unknown UID."""
        about = {"involvedObject.kind": "Pod", "involvedObject.name": name}
        if uid:
            about["involvedObject.uid"] = uid
        fields = {"fieldSelector": select_fields(about)}
        return read_all(iter_pages(partial(self._fetch_page, _build_path("events", namespace), fields, RAW_EVENTS)))

    def read_log(
        self, namespace: str, pod: str, container: str, *, previous: bool, tail_lines: int | None, limit_bytes: int
    ) -> bytes:
        """Return a container's log, as its bytes are; one of `limit_bytes` is likely cut.

        Raises:
            ClusterAnswerError: there is no such log; the message is the server's.
        """
        query = {"container": container, "limitBytes": str(limit_bytes)}
        if previous:
            query["previous"] = "true"
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        request = _Request(_build_path("pods", namespace, pod, "log"), query, limit_bytes=limit_bytes)
        return self._send(request, _read_text)

    def _list_namespaces(self, path: str, reader: ListReader[NamespaceObject]) -> list[Namespace]:
        found = read_all(iter_pages(partial(self._fetch_page, path, {}, reader)))
        return [namespace.to_namespace() for namespace in found]

    def _fetch_page(
        self, path: str, fields: Mapping[str, str], reader: ListReader[T], page: Mapping[str, str]
    ) -> ObjectList[T]:
        request = _Request(path, {**fields, **page}, accept=reader.accept(self._lists))
        return self._send(request, lambda answer: reader.decode(answer.body, answer.headers))

    def _send(self, request: "_Request", read: Callable[[Answer], T]) -> T:
        """Send a request until it is answered, and return what `read` makes of the answer; nothing else retries."""
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(request, read)
            except RequestFailedError as failure:
                if not failure.may_pass or tries > self._retries:
                    raise _add_tries(failure.error, tries) from failure.__cause__
                wait_seconds = failure.wait_seconds
            if wait_seconds is None:
                wait_seconds = self._random() * min(BACK_OFF_CAP_SECONDS, BACK_OFF_SECONDS * 2 ** (tries - 1))
            self._count(retries=1)
            self._sleep(wait_seconds)

    def _try(self, request: "_Request", read: Callable[[Answer], T]) -> T:
        """Send a request with the context in use, after a refusal with new credentials, then with the next context."""
        renewed: Way | None = None
        refused = False
        while True:
            way = self._ways.current()
            if refused:
                self._count(retries=1)
            refused = True
            try:
                return self._receive(way, request).handle(read)
            except RequestFailedError as failure:
                if not isinstance(failure.error, ClusterUnauthorized):
                    raise
                reason = failure.error if way is renewed else way.renew(failure.error)
            except (ClusterUnauthorized, KubeconfigError) as err:  # there is nothing that we could show to the server
                reason = err
            if reason is None:
                renewed = way
            else:
                self._ways.leave(way, reason)

    def _receive(self, way: Way, request: "_Request") -> Received:
        credential = way.find_credential()
        self._count(requests=1)
        try:
            answer = way.transport.send(
                request.method,
                request.url_path(),
                credential=credential,
                body=request.body,
                accept=request.accept,
                limit_bytes=request.limit_bytes,
            )
        except RequestFailedError as failure:
            self._count(bytes_received=failure.wire_bytes)
            raise
        self._count(bytes_received=answer.wire_bytes)
        with self._lock:
            self._clock_skew.note(
                answer.headers.get("Date", ""), sent_at=answer.sent_at, answered_at=answer.answered_at
            )
        return Received(answer, way.transport.peer, way.context, credential.token)

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, number in counts.items():
                self._counts[name] += number


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked; it may be sent again without harm (a POST asks for a review, which changes nothing)."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: bytes | None = None
    accept: str = JSON
    limit_bytes: int | None = None

    def url_path(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def _build_path(resource: str, namespace: str | None, *names: str) -> str:
    segments = ("namespaces", namespace, resource, *names) if namespace is not None else (resource,)
    return "/api/v1/" + "/".join(_segment(segment) for segment in segments)


def _segment(name: str) -> str:
    if not is_path_segment(name):
        raise ClusterNotFound(f"'{to_plain(name, NAME_CHARACTERS)}' cannot be a name in Kubernetes.")
    return quote(name, safe="")


def _read_text(answer: Answer) -> bytes:
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise msgspec.DecodeError("a page instead of a log")
    return bytes(answer.body)


def _add_tries(error: OomdbError, tries: int) -> OomdbError:
    return type(error)(f"{error} (tried {tries} times)") if tries > 1 else error
