"""One cluster's API: requests are built, sent (the only place that retries), and their answers handled."""

import random as randomness
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from urllib3.util import parse_url

from oomdb.errors import (
    ClusterAnswerError,
    ClusterForbidden,
    ClusterNotFound,
    ClusterUnauthorized,
    KubeconfigError,
    OomdbError,
)
from oomdb.kube.auth import Credentials, open_credentials
from oomdb.kube.clock import ClockSkew
from oomdb.kube.clusters import ClusterTarget
from oomdb.kube.contexts import Context
from oomdb.kube.credential import Credential
from oomdb.kube.failures import MESSAGE_CHARACTERS, Peer, RequestFailedError, find_first_line, to_plain
from oomdb.kube.formats import EVENTS, NAMESPACES, PODS, PROJECTS, RAW_EVENTS, ListFormat, ListReader, find_status
from oomdb.kube.lists import ListExpiredError, Page, iter_pages, read_all
from oomdb.kube.objects import (
    MANIFEST,
    NAMESPACE,
    POD_EVENT_SELECTOR,
    VERSION,
    Namespace,
    NamespaceObject,
    ObjectList,
    Status,
    is_path_segment,
    select_fields,
)
from oomdb.kube.reviews import REVIEW_PATH, AccessAnswer, AccessReview, decode_review, encode_review
from oomdb.kube.transport import ERROR_BODY_BYTES, GOOD_STATUSES, JSON, Answer, Transport, cut_answer
from oomdb.model import Event, Pod

CONNECTIONS = 5  # as many as workers read namespaces one by one
RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
RETRY_AFTER_CAP_SECONDS = 60.0  # a scan waits no longer on one server's word
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
        self._ways = _Ways(target, timeout_seconds=timeout_seconds, connections=connections)
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
        renewed: _Way | None = None
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

    def _receive(self, way: "_Way", request: "_Request") -> "_Received":
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
        return _Received(answer, way.transport.peer, way.context, credential.token)

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


@dataclass(frozen=True, slots=True)
class _Way:
    """One context that leads to the server."""

    context: Context
    transport: Transport
    credentials: Credentials

    def find_credential(self) -> Credential:
        """Return what to show to the server.

        Raises:
            ClusterUnauthorized: there are no credentials, or they cannot be sent.
            KubeconfigError: the kubeconfig says something that cannot be done.
        """
        credential = self.credentials.current()
        if not (credential.token.isascii() and credential.token.isprintable()):
            raise ClusterUnauthorized(
                f"The token of context '{_plain(self.context.name)}' holds characters that no token has; "
                "correct it, or log in again."
            )
        return credential

    def renew(self, refusal: ClusterUnauthorized) -> OomdbError | None:
        """Get new credentials after a refusal; return why there are none, None where another try makes sense."""
        try:
            return None if self.credentials.refresh() else refusal
        except (ClusterUnauthorized, KubeconfigError) as err:
            return err


class _Ways:
    """The contexts of one server: the one in use, and the next when the server refuses it."""

    def __init__(self, target: ClusterTarget, *, timeout_seconds: float, connections: int) -> None:
        self._contexts = target.contexts
        self._open_transport = partial(Transport, timeout_seconds=timeout_seconds, connections=connections)
        self._lock = threading.Lock()
        self._opened: list[_Way] = []
        self._current: _Way | None = None
        self._refusals: list[OomdbError] = []

    @property
    def context_name(self) -> str:
        return self._contexts[min(len(self._refusals), len(self._contexts) - 1)].name

    def current(self) -> _Way:
        """Return the way to take.

        Raises:
            ClusterUnauthorized: the server refused every context.
            KubeconfigError: no context can be used.
        """
        with self._lock:
            while self._current is None:
                if len(self._refusals) == len(self._contexts):
                    raise self._explain_refusals()
                try:
                    self._current = self._open(self._contexts[len(self._refusals)])
                except (ClusterUnauthorized, KubeconfigError) as err:
                    self._refusals.append(err)
            return self._current

    def leave(self, way: _Way, refusal: OomdbError) -> None:
        """Take the next way from now on, unless another thread saw to it already."""
        with self._lock:
            if self._current is way:
                self._refusals.append(refusal)
                self._current = None

    def close(self) -> None:
        for way in self._opened:
            way.transport.close()

    def _open(self, context: Context) -> _Way:
        way = _Way(context, self._open_transport(context), open_credentials(context))
        self._opened.append(way)
        return way

    def _explain_refusals(self) -> OomdbError:
        # a new one at each call: several threads may raise it
        first = next((err for err in self._refusals if isinstance(err, ClusterUnauthorized)), self._refusals[0])
        others = len(self._refusals) - 1
        text = f"{first} ({others} more context(s) of this server failed too)" if others else str(first)
        return type(first)(text)


@dataclass(frozen=True, slots=True)
class _Received:
    """An answer, and from whom to whom: what is needed to say what is wrong with it."""

    answer: Answer
    peer: Peer
    context: Context
    secret: str

    def handle(self, read: Callable[[Answer], T]) -> T:
        """Return what `read` makes of a good answer.

        Raises:
            RequestFailedError: the answer is an error, or not what was asked for; with ClusterUnauthorized, the server
                does not know us.
        """
        if self.answer.status not in GOOD_STATUSES:
            refusal = self._find_refusal()
            raise self._explain_status() if refusal is None else RequestFailedError(refusal, may_pass=False)
        try:
            return read(self.answer)
        except msgspec.ValidationError as err:
            raise self._not_the_api(to_plain(str(err), MESSAGE_CHARACTERS)) from err
        except msgspec.DecodeError as err:
            if "truncated" in str(err):
                raise cut_answer(self.peer.label, self.answer.wire_bytes) from err
            raise self._not_the_api("is a proxy or a login page in between?") from err

    def _find_refusal(self) -> ClusterUnauthorized | None:
        """Return why the server does not know us, None where it does; a request without credentials is anonymous."""
        status, message = self.answer.status, self._message()
        name = f"context '{_plain(self.context.name)}'"
        advice = f"log in with `oc login {self.peer.server}`, or renew them in the kubeconfig."
        if status == 401:
            return ClusterUnauthorized(
                f"{self.peer.label}: the credentials of {name} are not accepted (401: {message}); {advice}"
            )
        acting = self.context.user.impersonation
        if status == 403 and acting and "cannot impersonate resource" in message:
            return ClusterUnauthorized(
                f"{self.peer.label}: the user of {name} may not act as '{_plain(acting.user)}' (403: {message}); "
                "ask for the right to impersonate, or remove as from the user in the kubeconfig."
            )
        if status == 403 and not acting and 'User "system:anonymous"' in message:
            return ClusterUnauthorized(
                f"{self.peer.label}: the credentials of {name} are missing or unknown to it (it calls us anonymous); "
                f"{advice}"
            )
        return None

    def _explain_status(self) -> RequestFailedError:
        status = self.answer.status
        if 300 <= status < 400:
            return self._not_the_api(f"it sends us to {self._find_elsewhere()}: is a login page in between?")
        if status in RETRY_STATUSES:
            error = ClusterAnswerError(f"{self.peer.label}: answered {status}: {self._message()}")
            return RequestFailedError(error, may_pass=True, wait_seconds=_parse_retry_after(self.answer.headers))
        if status == 404 and self._body().strip() == _NO_SUCH_PATH:
            return RequestFailedError(
                ClusterNotFound(f"{self.peer.label}: the server has no such API (404)."), may_pass=False
            )
        if self._find_status() is None:
            return self._not_the_api("is a proxy or a login page in between?")
        kinds = {403: ClusterForbidden, 404: ClusterNotFound, 410: ListExpiredError}
        return RequestFailedError(kinds.get(status, ClusterAnswerError)(self._message()), may_pass=False)

    def _not_the_api(self, why: str) -> RequestFailedError:
        return RequestFailedError(
            ClusterAnswerError(
                f"{self.peer.label}: answered {self.answer.status}, but not as the Kubernetes API does ({why}). "
                f"First line: '{find_first_line(self._body())}'"
            ),
            may_pass=False,
        )

    def _message(self) -> str:
        """Return the server's own words, else the first line of what came."""
        status = self._find_status()
        if status is None:
            return find_first_line(self._body()) or "no text"
        message = status.message.replace(self.secret, "***") if self.secret else status.message
        return to_plain(message, MESSAGE_CHARACTERS)

    def _find_status(self) -> Status | None:
        return find_status(self.answer.body, self.answer.headers)

    def _body(self) -> bytes:
        # whoever answers may send our own token back to us; it must not reach a log
        body = bytes(self.answer.body[:ERROR_BODY_BYTES])
        return body.replace(self.secret.encode(), b"***") if self.secret else body

    def _find_elsewhere(self) -> str:
        # without its query, which may carry secrets
        location = self.answer.headers.get("Location", "")
        try:
            url = parse_url(location)
        except ValueError:
            return "another address"
        return _plain(f"{url.scheme}://{url.netloc}") if url.scheme and url.netloc else "another path"


# what the API server says as text/plain of a path that it does not serve (Go's http.NotFound)
_NO_SUCH_PATH = b"404 page not found"


def _build_path(resource: str, namespace: str | None, *names: str) -> str:
    segments = ("namespaces", namespace, resource, *names) if namespace is not None else (resource,)
    return "/api/v1/" + "/".join(_segment(segment) for segment in segments)


def _segment(name: str) -> str:
    if not is_path_segment(name):
        raise ClusterNotFound(f"'{_plain(name)}' cannot be a name in Kubernetes.")
    return quote(name, safe="")


def _read_text(answer: Answer) -> bytes:
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise msgspec.DecodeError("a page instead of a log")
    return bytes(answer.body)


def _parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the server wants to be left alone (RFC 9110, 10.2.3), capped; else None."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_CAP_SECONDS)
    try:
        until = parsedate_to_datetime(text)
        # counted by the server's own clock, where it shows one
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return min(max((until - now).total_seconds(), 0.0), RETRY_AFTER_CAP_SECONDS)
    except (TypeError, ValueError):
        return None


def _add_tries(error: OomdbError, tries: int) -> OomdbError:
    return type(error)(f"{error} (tried {tries} times)") if tries > 1 else error


def _plain(text: str) -> str:
    return to_plain(text, 200)
