"""Real trouble on request: rules that make the simulated server fail the way servers, proxies and networks do."""

import re
import threading
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a status code and headers; without a body, a `Status` object with the code's usual words."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class CutBody:
    """Send half of the answer and close the connection; its length is promised by Content-Length, or in a chunk."""

    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Answer rightly, so many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Do not answer until the server stops."""


@dataclass(frozen=True, slots=True)
class Trickle:
    """Send the head of the right answer at once, then a byte of the body every so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the TCP connection without an answer."""


@dataclass(frozen=True, slots=True)
class ExpireContinue:
    """Take the continue token as too old (410); requests without one, and inconsistent tokens, are answered rightly."""


Action = Refuse | CutBody | Delay | Hang | Trickle | Reset | ExpireContinue

NOT_JSON: Final = Refuse(200, body=b"upstream said: no healthy upstream\n")


def too_many_requests(retry_after_seconds: int = 1) -> Refuse:
    """Return the action of a server that sheds load: 429 with Retry-After."""
    return Refuse(429, headers=(("Retry-After", str(retry_after_seconds)),))


def html_page(status: int = 200, *, location: str = "") -> Refuse:
    """Return the action of a proxy in between: a page for people, with 200, 502, or 302 to elsewhere."""
    page = (
        "<!DOCTYPE html>\n<html><head><title>Corporate gateway</title></head>"
        "<body><h1>Please sign in</h1></body></html>\n"
    )
    headers = (("Location", location),) if location else ()
    return Refuse(status, headers=headers, body=page.encode(), content_type="text/html; charset=utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What to do to requests whose target (`/path?query` as sent) a regular expression finds.

    The first `after` of them pass, the next `times` (None: all) meet the action.
    """

    match: str
    action: Action
    times: int | None = None
    after: int = 0


class Faults:
    """The faults of one server, to be changed while it runs; of those that fit a request, the first one acts."""

    def __init__(self, *faults: Fault) -> None:
        self._lock = threading.Lock()
        self._rules = [_CountedFault(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Add a fault after those that are there."""
        with self._lock:
            self._rules.append(_CountedFault(fault))

    def clear(self) -> None:
        """Let every request pass from now on."""
        with self._lock:
            self._rules.clear()

    def next_action(self, target: str) -> Action | None:
        """Count a request and return what is to be done to it, None for nothing."""
        with self._lock:
            for rule in self._rules:
                if rule.pattern.search(target) and rule.meets():
                    return rule.fault.action
        return None


class _CountedFault:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.pattern = re.compile(fault.match)
        self._seen_count = 0

    def meets(self) -> bool:
        self._seen_count += 1
        acted_count = self._seen_count - self.fault.after
        return acted_count > 0 and (self.fault.times is None or acted_count <= self.fault.times)
