"""Which sightings are the same kill or the same loop: within one scan, and with what is stored already.

Pure: reads findings and stored occurrences, returns what to insert and what to update.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from oomdb.model import Finding, Sighting, TimeQuality
from oomdb.timespan import to_whole_seconds

# An add-on's OOM event follows the kill by the back-off of the restart, at most five minutes, and some seconds
EVENT_AFTER_KILL = timedelta(minutes=6)
# A live loop restarts at least every 15 minutes: back-off of at most 5 (k/k pkg/kubelet MaxContainerBackOff), reset by
# 10 minutes of health; 20 leaves room for the look
LONGEST_PAUSE_OF_A_LOOP = timedelta(minutes=20)
# what a legacy run told of a kill was cut or rounded to a second on its way
SAME_INSTANT = timedelta(seconds=1)

KILL, LOOP = "kill:", "loop:"

ContainerKey = tuple[str, str]  # (pod UID or what stands for it, container)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One kill or one loop: as stored, or as it shall be stored."""

    identity: str
    type: str
    occurred_at: datetime
    last_seen_at: datetime
    time_quality: TimeQuality
    container_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    restart_count: int | None = None
    first_run_id: int | None = None  # None: not stored yet

    @property
    def is_loop(self) -> bool:
        """Tell a loop, which lasts, from a kill."""
        return self.identity.startswith(LOOP)


@dataclass(frozen=True, slots=True)
class Adopted:
    """An occurrence that was stored of a pod without UID and container, as an import tells it, and is known better now.

    `occurrence` takes the place of the one with `former_identity`.
    """

    former_identity: str
    occurrence: Occurrence


@dataclass(frozen=True, slots=True)
class FoldedFinding:
    """A finding with the occurrences behind it: those that are new, and those that an earlier look had stored."""

    finding: Finding
    new: tuple[Occurrence, ...]
    known: tuple[Occurrence, ...]  # as they shall be stored from now on; maybe new with another finding of the scan
    instants: tuple[datetime, ...]  # of the evidence, each once, in order
    adopted: tuple[Adopted, ...] = ()

    @property
    def occurrences(self) -> int:
        """How many kills and loops are behind the finding."""
        return len(self.new) + len(self.known) + len(self.adopted)


def pod_key(cluster: str, finding: Finding) -> str:
    """Return what makes a pod that one: its UID within its namespace, or its names where the UID is not known.

    An event's UID is whatever its sender wrote; the namespace is where he may write.
    """
    return f"{finding.namespace}/{finding.pod_uid or f'{cluster}/{finding.pod}'}"


def unknown_container(cluster: str, namespace: str, pod: str) -> ContainerKey:
    """Return the key of what is told of a pod by its names alone: no UID, no container."""
    return f"{namespace}/{cluster}/{pod}", ""


def identity_prefix(kind: str, key: ContainerKey) -> str:
    """Return how the identities of one container's kills (or loops) begin, so that the unique index finds them."""
    return kind + _hash(*key)


def kill_identity(key: ContainerKey, sighting: Sighting) -> str:
    """Return the identity of a kill as one sighting tells it: by its container ID, without one by its instant."""
    distinct = sighting.container_id or (sighting.first_event_at or sighting.at).isoformat(timespec="seconds")
    return identity_prefix(KILL, key) + _hash(sighting.type, sighting.evidence, distinct)


def told_identity(key: ContainerKey, type_: str, at: datetime, *, is_loop: bool) -> str:
    """Return the identity of a kill or loop of which nothing but the type and an instant is known."""
    return identity_prefix(LOOP if is_loop else KILL, key) + _hash(type_, "told", at.isoformat())


def finding_key(cluster: str, namespace: str, pod: str, pod_uid: str, container: str, type_: str) -> str:
    """Return what makes a finding that one within a run: a hash of where it is and what type it has."""
    return _hash(cluster, namespace, pod, pod_uid, container, type_)


def fold(
    cluster: str, findings: Iterable[Finding], stored: Mapping[ContainerKey, Sequence[Occurrence]], *, seen_at: datetime
) -> list[FoldedFinding]:
    """Fold the sightings of one scan with each other and with the stored occurrences of the same containers.

    Args:
        cluster: its name; it stands in an identity only where a pod has no UID.
        findings: of one scan; one per (pod, container, type).
        stored: by `(pod_key, container)`.
        seen_at: the moment of the scan, until which a loop that waits now has lasted.
    """
    folded = []
    # two findings can speak of one container: the UID in an event is what its sender wrote
    so_far: dict[ContainerKey, dict[str, Occurrence]] = {}
    for finding in findings:
        key = (pod_key(cluster, finding), finding.container)
        of_container = so_far.setdefault(key, {it.identity: it for it in stored.get(key, ())})
        of_type = [occurrence for occurrence in of_container.values() if occurrence.type == finding.type]
        kills = [sighting for sighting in finding.sightings if not sighting.is_loop]
        loops = [sighting for sighting in finding.sightings if sighting.is_loop]
        new: list[Occurrence] = []
        known: dict[str, Occurrence] = {}
        instants: set[datetime] = set()
        _fold_kills(key, kills, [it for it in of_type if not it.is_loop], new, known, instants)
        if loops:
            _fold_loop(key, loops, [it for it in of_type if it.is_loop], new, known, seen_at)
            instants.update(to_whole_seconds(sighting.at) for sighting in loops)
        nameless = unknown_container(cluster, finding.namespace, finding.pod)
        told = so_far.setdefault(nameless, {it.identity: it for it in stored.get(nameless, ())})
        adopted = _adopt(new, {identity: it for identity, it in told.items() if identity not in known})
        for it in adopted:
            del told[it.former_identity]
        of_container.update({it.identity: it for it in (*known.values(), *new, *(it.occurrence for it in adopted))})
        folded.append(
            FoldedFinding(finding, tuple(new), tuple(known.values()), tuple(sorted(instants)), tuple(adopted))
        )
    return folded


def is_same_time(one: Occurrence, other: Occurrence) -> bool:
    """Tell whether two of one pod and type are one by their times: kills in one second, loops without a pause between.

    For those of which no identity tells it: an import knows no container.
    """
    return one.is_loop == other.is_loop and touches(one, other.occurred_at, other.last_seen_at)


def touches(one: Occurrence, began_at: datetime, last_seen_at: datetime) -> bool:
    """Tell whether an occurrence and a kill or loop of its kind are one by their times."""
    longest = LONGEST_PAUSE_OF_A_LOOP if one.is_loop else SAME_INSTANT
    return one.occurred_at - last_seen_at <= longest and began_at - one.last_seen_at <= longest


def _adopt(new: list[Occurrence], told: Mapping[str, Occurrence]) -> list[Adopted]:
    """Take out of what is new what had been told of before, each once, and return what becomes of that."""
    adopted = []
    left = dict(told)
    for occurrence in tuple(new) if left else ():
        same = [it for it in left.values() if it.type == occurrence.type and is_same_time(it, occurrence)]
        if not same:
            continue
        former = min(same, key=lambda it: (abs(it.occurred_at - occurrence.occurred_at), it.identity))
        del left[former.identity]
        new.remove(occurrence)
        adopted.append(Adopted(former.identity, _with_life_of(former, occurrence)))
    return adopted


def _with_life_of(former: Occurrence, occurrence: Occurrence) -> Occurrence:
    """Return what had been told of before: a loop began when it was first seen, a kill when its status says."""
    if not occurrence.is_loop:
        return occurrence
    return replace(
        occurrence,
        occurred_at=former.occurred_at,
        last_seen_at=max(former.last_seen_at, occurrence.last_seen_at),
        time_quality=former.time_quality,
    )


def _fold_kills(
    key: ContainerKey,
    sightings: Sequence[Sighting],
    stored: Sequence[Occurrence],
    new: list[Occurrence],
    known: dict[str, Occurrence],
    instants: set[datetime],
) -> None:
    kills = {kill.identity: kill for kill in stored}
    by_container_id = {kill.container_id: kill for kill in stored if kill.container_id}
    begun: dict[str, Occurrence] = {}
    # what the status says comes first, so that an event of the same scan finds the kill that it tells of
    by_status = sorted((it for it in sightings if it.evidence != "event"), key=lambda it: it.at)
    for sighting in by_status:
        kill = _build_kill(key, sighting)
        same = kills.get(kill.identity) or by_container_id.get(kill.container_id)
        same = same or _find_event_of_kill(kill, kills.values())
        if same is None:
            same = begun[kill.identity] = kill
        elif same.identity not in begun:
            same = known[same.identity] = _with_facts_of(same, kill)
        kills[same.identity] = same
        if same.container_id:
            by_container_id[same.container_id] = same
        instants.add(same.occurred_at)
    dated = sorted((it for it in kills.values() if it.time_quality != "event"), key=lambda it: it.occurred_at)
    for sighting in sorted((it for it in sightings if it.evidence == "event"), key=lambda it: it.at):
        kill = _build_kill(key, sighting)
        same = kills.get(kill.identity) or _find_kill_of_event(sighting, dated)
        if same is None:
            same = begun[kill.identity] = kills[kill.identity] = kill
        elif same.identity not in begun:
            known[same.identity] = same
        instants.add(same.occurred_at)
    new.extend(begun.values())


def _build_kill(key: ContainerKey, sighting: Sighting) -> Occurrence:
    at = to_whole_seconds(sighting.at)
    return Occurrence(
        identity=kill_identity(key, sighting),
        type=sighting.type,
        occurred_at=at,
        last_seen_at=at,
        time_quality=sighting.time_quality,
        # the ID in an event is of the container started after the kill
        container_id="" if sighting.evidence == "event" else sighting.container_id,
        exit_code=sighting.exit_code,
        reason=sighting.reason or "",
        restart_count=sighting.restart_count,
    )


def _find_event_of_kill(kill: Occurrence, among: Iterable[Occurrence]) -> Occurrence | None:
    """Find a kill that only an event had told of so far, where the status shows it now."""
    after = [
        other
        for other in among
        if other.time_quality == "event"
        and not other.container_id
        and timedelta() <= other.occurred_at - kill.occurred_at <= EVENT_AFTER_KILL
    ]
    return min(after, key=lambda other: other.occurred_at, default=None)


def _find_kill_of_event(sighting: Sighting, dated: Sequence[Occurrence]) -> Occurrence | None:
    """Find the last kill before the event was first sent, among kills in order of time, unless it is too old."""
    sent = to_whole_seconds(sighting.first_event_at or sighting.at)
    before = bisect_right(dated, sent, key=lambda kill: kill.occurred_at)
    return dated[before - 1] if before and sent - dated[before - 1].occurred_at <= EVENT_AFTER_KILL else None


def _with_facts_of(stored: Occurrence, kill: Occurrence) -> Occurrence:
    return replace(
        stored,
        container_id=kill.container_id or stored.container_id,
        exit_code=stored.exit_code if kill.exit_code is None else kill.exit_code,
        reason=kill.reason or stored.reason,
        restart_count=_highest(stored.restart_count, kill.restart_count),
    )


def _fold_loop(
    key: ContainerKey,
    sightings: Sequence[Sighting],
    stored: Sequence[Occurrence],
    new: list[Occurrence],
    known: dict[str, Occurrence],
    seen_at: datetime,
) -> None:
    """Fold the sightings of one container in one scan, which are one loop; the status beats an event."""
    best = min(sightings, key=lambda it: (it.evidence == "event", not it.in_progress, it.at))
    # a look in the past (a moved clock) must not end before it begins
    ends = [max(it.at, seen_at) if it.in_progress else it.at for it in sightings]
    last_seen = to_whole_seconds(max(ends))
    began = to_whole_seconds(min(it.first_event_at or it.at for it in sightings))
    restarts = max((it.restart_count for it in sightings if it.restart_count is not None), default=None)
    latest = max(stored, key=lambda it: it.last_seen_at, default=None)
    at = to_whole_seconds(best.at)
    if latest is not None and _continues(latest, at=at, began=began, last_seen=last_seen, restarts=restarts):
        known[latest.identity] = replace(
            latest,
            last_seen_at=max(latest.last_seen_at, last_seen),
            restart_count=_highest(latest.restart_count, restarts),
            exit_code=latest.exit_code if best.exit_code is None else best.exit_code,
            reason=best.reason or latest.reason,
        )
        return
    new.append(
        Occurrence(
            identity=identity_prefix(LOOP, key) + _hash(best.type, at.isoformat()),
            type=best.type,
            occurred_at=at,
            last_seen_at=max(at, last_seen),
            time_quality=best.time_quality,
            container_id=best.container_id,
            exit_code=best.exit_code,
            reason=best.reason or "",
            restart_count=restarts,
        )
    )


def _continues(loop: Occurrence, *, at: datetime, began: datetime, last_seen: datetime, restarts: int | None) -> bool:
    if at <= loop.last_seen_at:
        return True  # nothing has stopped since the loop was last seen: old evidence, still to be read
    if restarts is None or loop.restart_count is None:
        return began - loop.last_seen_at <= LONGEST_PAUSE_OF_A_LOOP
    pauses = (last_seen - loop.last_seen_at) // LONGEST_PAUSE_OF_A_LOOP
    return restarts - loop.restart_count >= pauses


def _highest(one: int | None, other: int | None) -> int | None:
    return max((it for it in (one, other) if it is not None), default=None)


@lru_cache(maxsize=4096)  # each container's is asked for several times in a row
def _hash(*parts: str) -> str:
    # the length before each part: no two lists of parts give one text, whatever stands in them
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
