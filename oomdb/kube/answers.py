"""What an answer means: the object that was asked for, or why it is none, in words that a user can act on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec
from urllib3.util import parse_url

from oomdb.errors import ClusterAnswerError, ClusterForbidden, ClusterNotFound, ClusterUnauthorized
from oomdb.kube.contexts import Context
from oomdb.kube.failures import (
    MESSAGE_CHARACTERS,
    NAME_CHARACTERS,
    Peer,
    RequestFailedError,
    find_first_line,
    to_plain,
)
from oomdb.kube.formats import find_status
from oomdb.kube.lists import ListExpiredError
from oomdb.kube.objects import Status
from oomdb.kube.transport import ERROR_BODY_BYTES, GOOD_STATUSES, Answer, cut_answer

RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
RETRY_AFTER_CAP_SECONDS = 60.0  # a scan waits no longer on one server's word

# what the API server says as text/plain of a path that it does not serve (Go's http.NotFound)
_NO_SUCH_PATH = b"404 page not found"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received:
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


def _plain(text: str) -> str:
    return to_plain(text, NAME_CHARACTERS)
