"""Which rows of legacy runs tell of kills and loops that are stored already: by place, type and time.

Pure, as `folding`, whose occurrences these are. An imported row names no container and no UID: it is folded with what
is stored of its pod; `fold` gives a collected sighting the occurrence that an import had stored before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from oomdb.model import CRASH_LOOP_BACK_OFF, TimeQuality, WorkloadRef
from oomdb.store.folding import Occurrence, told_identity, touches, unknown_container

EVENTS = "events"
SHORTEST_BACK_OFF = timedelta(
    seconds=10
)  # k/k pkg/kubelet: before a container's second restart; the first comes at once

Place = tuple[str, str, str, str]  # cluster, namespace, pod, type


class ImportedRow(NamedTuple):
    """One row of a legacy run; `undated` where it tells of something whose time is not known."""

    cluster: str
    namespace: str
    pod: str
    type: str
    application: str
    component: str
    workload: WorkloadRef
    sources: tuple[str, ...]
    instants: tuple[datetime, ...]  # in order, whole seconds
    undated: bool

    @property
    def place(self) -> Place:
        """Where its kills and loops are looked for."""
        return self.cluster, self.namespace, self.pod, self.type

    @property
    def is_loop(self) -> bool:
        """Tell whether its instants are those of one loop; else each is a kill."""
        return self.type == CRASH_LOOP_BACK_OFF


@dataclass(frozen=True, slots=True)
class FoldedRow:
    """A row with the occurrences behind it: new ones, those that last longer by it, and those that stay as they are."""

    row: ImportedRow
    new: tuple[Occurrence, ...]
    longer: tuple[Occurrence, ...]  # as they shall be stored from now on
    known: tuple[Occurrence, ...]

    @property
    def occurrences(self) -> int:
        """How many kills and loops are behind the row."""
        return len(self.new) + len(self.longer) + len(self.known)


def fold_rows(rows: Iterable[ImportedRow], stored: Mapping[Place, Sequence[Occurrence]]) -> list[FoldedRow]:
    """Fold the rows of one run, one per place and type, with what is stored; a row without an instant has nothing."""
    return [_fold_row(row, stored.get(row.place, ())) for row in rows]


def _fold_row(row: ImportedRow, stored: Sequence[Occurrence]) -> FoldedRow:
    new: list[Occurrence] = []
    longer: dict[str, Occurrence] = {}
    known: dict[str, Occurrence] = {}
    for at, last_seen_at in _iter_told(row):
        same = [it for it in stored if it.is_loop == row.is_loop and touches(it, at, last_seen_at)]
        if not same:
            new.append(_build(row, at, last_seen_at))
            continue
        best = min(same, key=lambda it: (abs(it.occurred_at - at), it.identity)) if len(same) > 1 else same[0]
        if best.is_loop and last_seen_at > best.last_seen_at:
            longer[best.identity] = replace(best, last_seen_at=last_seen_at)
        else:
            known[best.identity] = best
    return FoldedRow(row, tuple(new), tuple(longer.values()), tuple(known.values()))


def _iter_told(row: ImportedRow) -> Iterator[tuple[datetime, datetime]]:
    """Iterate over what a row tells of, from when to when: one loop, of which its instants are moments, or kills."""
    if row.is_loop and row.instants:
        yield row.instants[0], row.instants[-1]
    elif not row.is_loop:
        yield from ((at, at) for at in _drop_events_of_kills(row))


def _drop_events_of_kills(row: ImportedRow) -> Iterator[datetime]:
    """Leave out instants so soon after a kill that nothing was restarted in between: events tell of that kill."""
    last: datetime | None = None
    for at in row.instants:
        if last is None or EVENTS not in row.sources or at - last >= SHORTEST_BACK_OFF:
            last = at
            yield at


def _build(row: ImportedRow, at: datetime, last_seen_at: datetime) -> Occurrence:
    # the sources are those of the pod: with both, nobody knows which of them the instant is from
    quality: TimeQuality = "exact" if row.sources == ("oc_get_pods",) else "event"
    key = unknown_container(row.cluster, row.namespace, row.pod)
    return Occurrence(
        identity=told_identity(key, row.type, at, is_loop=row.is_loop),
        type=row.type,
        occurred_at=at,
        last_seen_at=last_seen_at,
        time_quality=quality,
    )
