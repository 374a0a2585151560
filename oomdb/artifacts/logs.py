"""Which logs of a pod are wanted, and the one file that they become."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oomdb.artifacts.anyjson import as_list, as_mapping, as_text
from oomdb.artifacts.layout import one_line

PREVIOUS_HEADING = "=== Previous container logs (oc logs <pod> --previous) ==="
CURRENT_HEADING = "=== Current container logs (oc logs <pod>) ==="


@dataclass(frozen=True, slots=True)
class LogPart:
    """The log of one container, or why there is none.

    `previous` tells the log of its previous start from that of its current one. `content` is as the server sent it,
    in whatever encoding; `error` is '' where it could be read; `cut` says which side is missing where more was there
    than was taken.
    """

    container: str
    previous: bool
    content: bytes
    error: str = ""
    cut: Literal["nothing", "beginning", "end"] = "nothing"


def plan_log_requests(pod: Mapping[str, Any], failed_containers: Iterable[str]) -> list[tuple[str, bool]]:
    """Return the logs to ask for as (container, previous): those of failed containers first, then of the others.

    Each container is named once, its previous log, which exists only where it restarted, before its current one.
    Other containers that never started have no log and are left out, and so are failed ones that the pod does not
    have (a name that only an event gave, or none). Any JSON may stand in `pod`.
    """
    started = _find_starts(pod)
    failed = [name for name in dict.fromkeys(failed_containers) if name in started]
    others = [name for name, (has_started, _) in started.items() if has_started and name not in failed]
    requests: list[tuple[str, bool]] = []
    for name in [*failed, *others]:
        _, restarted = started[name]
        requests.extend([(name, True), (name, False)] if restarted else [(name, False)])
    return requests


def render_log(parts: Iterable[LogPart]) -> Iterator[bytes]:
    """Iterate over the content of a log file, made of logs in the order in which `plan_log_requests` asks for them.

    Each log is taken when those before it are let go of, so that one at a time lies in memory. The first container's
    stand under the two documented headings, both always there and first in the file; each further container's under
    headings that name it. Logs are taken over byte for byte; what is missing, could not be read or was cut is said in
    a line in parentheses.
    """
    separator = b""
    for heading, part in _iter_sections(parts):
        yield separator
        yield from _render_part(heading, part)
        separator = b"\n"
        del part


def _find_starts(pod: Mapping[str, Any]) -> dict[str, tuple[bool, bool]]:
    """Return for each container of the pod whether it ever started, and whether it restarted."""
    spec, status = as_mapping(pod.get("spec")), as_mapping(pod.get("status"))
    starts: dict[str, tuple[bool, bool]] = {}
    for listed, key in _LISTS:
        for container in map(as_mapping, as_list(spec.get(listed))):
            starts.setdefault(as_text(container.get("name")), (False, False))
        for each in map(as_mapping, as_list(status.get(key))):
            restarts = each.get("restartCount")
            restarted = isinstance(restarts, int) and restarts > 0
            starts[as_text(each.get("name"))] = (restarted or _has_run(each), restarted)
    starts.pop("", None)
    return starts


_LISTS = (
    ("containers", "containerStatuses"),
    ("initContainers", "initContainerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
)


def _has_run(status: Mapping[str, Any]) -> bool:
    state, last = as_mapping(status.get("state")), as_mapping(status.get("lastState"))
    return any(
        isinstance(each, Mapping) for each in (state.get("running"), state.get("terminated"), last.get("terminated"))
    )


def _iter_sections(parts: Iterable[LogPart]) -> Iterator[tuple[str, LogPart]]:
    """Yield each log with its heading, and where one of the first container's two logs is missing an empty one."""
    first: str | None = None
    missing = [True, False]  # which logs of the first container are still to come
    for part in parts:
        first = part.container if first is None else first
        if part.container == first:
            absent, missing = missing[: missing.index(part.previous)], missing[missing.index(part.previous) + 1 :]
        else:
            absent, missing = missing, []
        yield from ((_heading_of_first(first, previous), LogPart(first, previous, b"")) for previous in absent)
        yield (_heading_of_first if part.container == first else _heading_of_other)(part.container, part.previous), part
        del part
    name = first or ""
    yield from ((_heading_of_first(name, previous), LogPart(name, previous, b"")) for previous in missing)


def _heading_of_first(container: str, previous: bool) -> str:
    named = f"\n(container: {one_line(container)})" if container else ""
    return f"{PREVIOUS_HEADING if previous else CURRENT_HEADING}{named}"


def _heading_of_other(container: str, previous: bool) -> str:
    name = one_line(container)
    if previous:
        return f"=== Previous logs of container {name} (oc logs <pod> -c {name} --previous) ==="
    return f"=== Current logs of container {name} (oc logs <pod> -c {name}) ==="


def _render_part(heading: str, part: LogPart) -> Iterator[bytes]:
    size = f"{len(part.content):,} bytes"
    how = "--log-limit-bytes and --log-tail-lines set how much is taken"
    yield f"{heading}\n".encode()
    if part.cut == "beginning":
        yield f"(the beginning is left out; the last {size} follow: {how})\n".encode()
    yield part.content
    if part.content and not part.content.endswith(b"\n"):
        yield b"\n"
    if part.error:
        yield f"(could not be read: {one_line(part.error.strip())})\n".encode()
    elif not part.content:
        yield b"(no previous logs)\n" if part.previous else b"(no current logs)\n"
    if part.cut == "end":
        yield f"(cut here after {size}: {how})\n".encode()
