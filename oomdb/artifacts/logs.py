"""Which logs of a pod are wanted, and the one file that they become."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def render_log(parts: Sequence[LogPart]) -> bytes:
    """Return the content of a log file.

    The container of the first part stands under the two documented headings, both always there and first in the file;
    each further container under headings that name it. Logs are taken over byte for byte; what is missing, could not
    be read or was cut is said in a line in parentheses.
    """
    by_container: dict[str, dict[bool, LogPart]] = {}
    for part in parts:
        by_container.setdefault(part.container, {})[part.previous] = part
    first, *others = by_container or [""]
    sections = list(_render_first(first, by_container.get(first, {})))
    for container in others:
        sections.extend(_render_other(container, by_container[container]))
    return b"\n".join(sections)


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


def _render_first(container: str, parts: Mapping[bool, LogPart]) -> Iterator[bytes]:
    named = f"\n(container: {one_line(container)})" if container else ""
    for previous, heading in ((True, PREVIOUS_HEADING), (False, CURRENT_HEADING)):
        yield _render_part(f"{heading}{named}", parts.get(previous, LogPart(container, previous, b"")))


def _render_other(container: str, parts: Mapping[bool, LogPart]) -> Iterator[bytes]:
    name = one_line(container)
    for previous, heading in (
        (True, f"=== Previous logs of container {name} (oc logs <pod> -c {name} --previous) ==="),
        (False, f"=== Current logs of container {name} (oc logs <pod> -c {name}) ==="),
    ):
        if previous in parts:
            yield _render_part(heading, parts[previous])


def _render_part(heading: str, part: LogPart) -> bytes:
    notes = []
    if part.error:
        notes.append(f"(could not be read: {one_line(part.error.strip())})")
    elif not part.content:
        notes.append("(no previous logs)" if part.previous else "(no current logs)")
    size = f"{len(part.content):,} bytes"
    how = "--log-limit-bytes and --log-tail-lines set how much is taken"
    if part.cut == "end":
        notes.append(f"(cut here after {size}: {how})")
    begin = f"(the beginning is left out; the last {size} follow: {how})\n" if part.cut == "beginning" else ""
    content = part.content
    if content and not content.endswith(b"\n"):
        content += b"\n"
    return b"".join([f"{heading}\n{begin}".encode(), content, *(f"{note}\n".encode() for note in notes)])
