"""One cluster's API: requests are built, sent (the only place that retries), and their answers handled."""

import random as randomness
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from oomdb.kube.clusters import ClusterTarget
from oomdb.kube.failures import MESSAGE_CHARACTERS, RequestFailedError, find_first_line, to_plain
from oomdb.kube.kubeconfig import Context
from oomdb.kube.lists import ListExpiredError, Page, iter_pages, read_all
from oomdb.kube.objects import (
    EVENT_LIST,
    MANIFEST,
    NAMESPACE_LIST,
    POD_EVENT_SELECTOR,
    POD_LIST,
    PROJECT_LIST,
    RAW_EVENT_LIST,
    VERSION,
    ListDecoder,
    Namespace,
    NamespaceObject,
    ObjectList,
    find_status,
    is_path_segment,
    select_fields,
)
from oomdb.kube.transport import ERROR_BODY_BYTES, Answer, Transport, cut_answer
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
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = randomness.random,
) -> Iterator["ClusterClient"]:
    """Open the API of one cluster; nothing is sent before the first call.

    Proxies named by the environment (HTTPS_PROXY) are not used.

    Args:
        target: the cluster; when the server answers its first context with 401, the next one is tried.
        timeout_seconds: the longest silence of the server; an answer as a whole may take twice as long, and a second
            more for each 16 KiB of it. Connecting may take 15 seconds at most.
        retries: how many more tries a request has after 429, 5xx, a lost connection, a time-out or a cut answer.
        connections: how many requests may be under way at a time; further threads wait.
        sleep: waits so many seconds between two tries.
        random: from 0 to 1, the jitter of the back-off.
    """
    client = ClusterClient(
        target, timeout_seconds=timeout_seconds, retries=retries, connections=connections, sleep=sleep, random=random
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
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        """Prepare; `open_client` says what the arguments mean."""
        self._ways = _Ways(target, timeout_seconds=timeout_seconds, connections=connections)
        self._retries = retries
        self._sleep = sleep
        self._random = random
        self._lock = threading.Lock()
        self._counts = {"requests": 0, "retries": 0, "bytes_received": 0}

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
    def context_name(self) -> str:
        """The context in use; the first until the server has refused it."""
        return self._ways.context_name

    def close(self) -> None:
        """Close all connections."""
        self._ways.close()

    def server_version(self) -> str:
        """Return the server's version (`v1.34.4`); '' where we may not know."""
        try:
            return self._send("/version", {}, lambda answer: VERSION.decode(answer.body)).git_version
        except (ClusterForbidden, ClusterNotFound):
            return ""

    def list_namespaces(self) -> list[Namespace]:
        """Return all namespaces, with their labels."""
        return self._list_namespaces("/api/v1/namespaces", NAMESPACE_LIST)

    def list_projects(self) -> list[Namespace]:
        """Return the namespaces that we may read, with their labels (OpenShift; ClusterNotFound elsewhere)."""
        return self._list_namespaces("/apis/project.openshift.io/v1/projects", PROJECT_LIST)

    def iter_pod_pages(self, namespace: str | None) -> Iterator[Page[Pod]]:
        """Iterate over the pods of a namespace, of all with None; see `Page` for lists that begin anew."""
        return iter_pages(partial(self._fetch_page, _build_path("pods", namespace), {}, POD_LIST))

    def iter_event_pages(self, namespace: str | None) -> Iterator[Page[Event]]:
        """Iterate over the events about pods, but for those of routine, in a namespace or in all with None."""
        fields = {"fieldSelector": POD_EVENT_SELECTOR}
        return iter_pages(partial(self._fetch_page, _build_path("events", namespace), fields, EVENT_LIST))

    def get_pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Return the whole manifest of a pod."""
        return self._send(_build_path("pods", namespace, name), {}, lambda answer: MANIFEST.decode(answer.body))

    def list_pod_events(self, namespace: str, name: str, uid: str) -> list[dict[str, Any]]:
        """Return all events about one pod, routine included, as the server has them; '' for an unknown UID."""
        about = {"involvedObject.kind": "Pod", "involvedObject.name": name}
        if uid:
            about["involvedObject.uid"] = uid
        fields = {"fieldSelector": select_fields(about)}
        return read_all(iter_pages(partial(self._fetch_page, _build_path("events", namespace), fields, RAW_EVENT_LIST)))

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
        return self._send(_build_path("pods", namespace, pod, "log"), query, _read_text, limit_bytes=limit_bytes)

    def _list_namespaces(self, path: str, decoder: ListDecoder[NamespaceObject]) -> list[Namespace]:
        found = read_all(iter_pages(partial(self._fetch_page, path, {}, decoder)))
        return [namespace.to_namespace() for namespace in found]

    def _fetch_page(
        self, path: str, fields: Mapping[str, str], decoder: ListDecoder[T], page: Mapping[str, str]
    ) -> ObjectList[T]:
        return self._send(path, {**fields, **page}, lambda answer: decoder.decode(answer.body))

    def _send(
        self, path: str, query: Mapping[str, str], read: Callable[[Answer], T], *, limit_bytes: int | None = None
    ) -> T:
        """Send one GET until it is answered, and return what `read` makes of the answer; nothing else retries."""
        tries = 0
        url_path = f"{path}?{urlencode(query)}" if query else path
        while True:
            tries += 1
            try:
                return self._try(url_path, read, limit_bytes)
            except RequestFailedError as failure:
                if not failure.may_pass or tries > self._retries:
                    raise _add_tries(failure.error, tries) from failure.__cause__
                wait_seconds = failure.wait_seconds
            if wait_seconds is None:
                wait_seconds = self._random() * min(BACK_OFF_CAP_SECONDS, BACK_OFF_SECONDS * 2 ** (tries - 1))
            self._count(retries=1)
            self._sleep(wait_seconds)

    def _try(self, url_path: str, read: Callable[[Answer], T], limit_bytes: int | None) -> T:
        """Send a request with the context in use, after 401 with new credentials, then with the next context."""
        refreshed: _Way | None = None
        refused = False
        while True:
            way = self._ways.current()
            if refused:
                self._count(retries=1)
            refused = True
            try:
                received = self._receive(way, url_path, limit_bytes)
                refusal = received.find_refusal()
                if refusal is None:
                    return received.handle(read)
                if way is not refreshed and way.credentials.refresh():
                    refreshed = way
                else:
                    self._ways.leave(way, refusal)
            except (ClusterUnauthorized, KubeconfigError) as err:
                self._ways.leave(way, err)

    def _receive(self, way: "_Way", url_path: str, limit_bytes: int | None) -> "_Received":
        authorization = way.authorize()
        self._count(requests=1)
        answer = way.transport.get(url_path, authorization=authorization, limit_bytes=limit_bytes)
        self._count(bytes_received=answer.wire_bytes)
        secret = (authorization or "").rpartition(" ")[2]
        return _Received(answer, way.transport.peer.server, way.context.name, secret)

    def _count(self, **counts: int) -> None:
        with self._lock:
            for name, number in counts.items():
                self._counts[name] += number


@dataclass(frozen=True, slots=True)
class _Way:
    """One context that leads to the server."""

    context: Context
    transport: Transport
    credentials: Credentials

    def authorize(self) -> str | None:
        """Return the Authorization header.

        Raises:
            ClusterUnauthorized: there are no credentials, or they cannot be sent.
        """
        authorization = self.credentials.authorization()
        if authorization is not None and not (authorization.isascii() and authorization.isprintable()):
            raise ClusterUnauthorized(
                f"The token of context '{_plain(self.context.name)}' holds characters that no token has; "
                "correct it, or log in again."
            )
        return authorization


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
    server: str
    context_name: str
    secret: str

    def find_refusal(self) -> ClusterUnauthorized | None:
        """Return why the server does not know us, None where it does; a request without credentials is anonymous."""
        status = self.answer.status
        who = f"{self.server}: the credentials of context '{_plain(self.context_name)}'"
        advice = f"log in with `oc login {self.server}`, or renew them in the kubeconfig."
        if status == 401:
            return ClusterUnauthorized(f"{who} are not accepted (401: {self._message()}); {advice}")
        if status == 403 and 'User "system:anonymous"' in self._message():
            return ClusterUnauthorized(f"{who} are missing or unknown to it (it calls us anonymous); {advice}")
        return None

    def handle(self, read: Callable[[Answer], T]) -> T:
        """Return what `read` makes of a good answer.

        Raises:
            RequestFailedError: the answer is an error, or not what was asked for.
        """
        if self.answer.status != 200:
            raise self._explain_status()
        try:
            return read(self.answer)
        except msgspec.ValidationError as err:
            raise self._not_the_api(to_plain(str(err), MESSAGE_CHARACTERS)) from err
        except msgspec.DecodeError as err:
            if "truncated" in str(err):
                raise cut_answer(self.server, self.answer.wire_bytes) from err
            raise self._not_the_api("is a proxy or a login page in between?") from err

    def _explain_status(self) -> RequestFailedError:
        status = self.answer.status
        if 300 <= status < 400:
            return self._not_the_api(f"it sends us to {self._find_elsewhere()}: is a login page in between?")
        if status in RETRY_STATUSES:
            error = ClusterAnswerError(f"{self.server}: answered {status}: {self._message()}")
            return RequestFailedError(error, may_pass=True, wait_seconds=_parse_retry_after(self.answer.headers))
        if status == 404:
            return RequestFailedError(ClusterNotFound(self._message()), may_pass=False)
        if find_status(self._body()) is None:
            return self._not_the_api("is a proxy or a login page in between?")
        kind = {403: ClusterForbidden, 410: ListExpiredError}.get(status, ClusterAnswerError)
        return RequestFailedError(kind(self._message()), may_pass=False)

    def _not_the_api(self, why: str) -> RequestFailedError:
        return RequestFailedError(
            ClusterAnswerError(
                f"{self.server}: answered {self.answer.status}, but not as the Kubernetes API does ({why}). "
                f"First line: '{find_first_line(self._body())}'"
            ),
            may_pass=False,
        )

    def _message(self) -> str:
        """Return the server's own words, else the first line of what came."""
        status = find_status(self._body())
        return to_plain(status.message, MESSAGE_CHARACTERS) if status else find_first_line(self._body()) or "no text"

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


def _build_path(resource: str, namespace: str | None, *names: str) -> str:
    for name in (namespace, *names):
        if name is not None and not is_path_segment(name):
            raise ClusterNotFound(f"'{_plain(name)}' cannot be a name in Kubernetes.")
    segments = ("namespaces", namespace, resource, *names) if namespace is not None else (resource,)
    return "/api/v1/" + "/".join(quote(segment, safe="") for segment in segments)


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
