"""How much of each window of time the runs looked at, cluster by cluster."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Select, select

from oomdb.queries.lists import any_glob
from oomdb.queries.selection import READ
from oomdb.store.dialect import earlier_by, unindexed
from oomdb.store.schema import run_clusters, runs

# Schedulers begin runs some seconds or minutes late: so long a pause between two looks is none, where the pauses of a
# window do not add up to more than what is negligible of it
LONGEST_DELAY = timedelta(minutes=5)
NEGLIGIBLE = 0.01

CoverageState = Literal["complete", "partly", "unknown", "missing"]

_NARROWED = ("--namespace ", "--include-ns ", "--exclude-ns ")  # in the scope of a run that read some namespaces only

_Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """The instants after `since`, up to and including `until`; UTC, whole seconds: adjoining windows share none."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.until - self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a window was looked at in a cluster: a run of T that looked back over L looked at T − L to T."""

    length: timedelta  # of the window
    complete: timedelta  # by reads of the whole cluster
    covered: timedelta  # by them and by reads of a part of it
    perhaps: timedelta  # by them and by runs of which nobody noted what they read

    @property
    def state(self) -> CoverageState:
        """Tell whether all of the window was looked at: `partly` if it takes reads of a part of the cluster."""
        if self.complete == self.length:
            return "complete"
        if self.covered == self.length:
            return "partly"
        return "unknown" if self.perhaps > self.covered else "missing"

    def is_less_than(self, other: "Coverage") -> bool:
        """Tell whether another window, of the same length, was looked at more, and not negligibly so."""
        margin = self.length * NEGLIGIBLE
        return other.complete - self.complete > margin or other.covered - self.covered > margin


def read_coverage(
    conn: Connection, windows: Sequence[Window], clusters: Sequence[str]
) -> dict[str, tuple[Coverage, ...]]:
    """Return how much of each window was looked at, for each cluster that a run of that time was to read.

    Args:
        conn: a reading connection.
        windows: newest first, adjoining.
        clusters: globs, of which one must fit; none: every cluster.
    """
    looks: defaultdict[str, list[Any]] = defaultdict(list)
    for row in conn.execute(_select_looks(windows[-1].since, windows[0].until, clusters)):
        looks[row.cluster].append(row)
    return {cluster: _measure(windows, rows) for cluster, rows in looks.items()}


def no_coverage(window: Window) -> Coverage:
    """Return the coverage of a window in a cluster that no run of that time knew."""
    nothing = timedelta()
    return Coverage(length=window.length, complete=nothing, covered=nothing, perhaps=nothing)


def _select_looks(since: datetime, until: datetime, clusters: Sequence[str]) -> Select[Any]:
    begun = runs.c.started_at
    return (
        select(run_clusters.c.cluster, run_clusters.c.status, runs.c.scope, begun, runs.c.lookback_seconds)
        # from the runs of that time to their clusters: the name of one looks narrow to SQLite, and it would begin there
        .join_from(runs, run_clusters, unindexed(runs.c.id) == run_clusters.c.run_id)
        .where(begun > since, earlier_by(begun, runs.c.lookback_seconds) < until)
        .where(runs.c.status.in_(READ), run_clusters.c.status != "skipped")
        .where(any_glob(run_clusters.c.cluster, clusters))
    )


def _measure(windows: Sequence[Window], rows: Sequence[Any]) -> tuple[Coverage, ...]:
    spans: defaultdict[str, list[_Span]] = defaultdict(list)
    for row in rows:
        spans[_kind_of(row)].append((row.started_at - timedelta(seconds=row.lookback_seconds), row.started_at))
    complete = _merge(spans["complete"])
    covered = _merge([*complete, *spans["partial"]])
    perhaps = _merge([*covered, *spans["unknown"]])
    return tuple(
        Coverage(
            length=window.length,
            complete=_sum_within(window, complete),
            covered=_sum_within(window, covered),
            perhaps=_sum_within(window, perhaps),
        )
        for window in windows
    )


def _kind_of(row: Any) -> str:
    if row.status == "complete" and any(flag in row.scope for flag in _NARROWED):
        return "partial"
    return str(row.status)


def _merge(spans: Iterable[_Span]) -> list[_Span]:
    """Return the same time as spans that neither overlap nor touch, in order."""
    merged: list[_Span] = []
    for since, until in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return merged


def _sum_within(window: Window, spans: Sequence[_Span]) -> timedelta:
    """Return how much of a window spans cover, short pauses between them included."""
    pauses = list(_iter_pauses(window, spans))
    delays = sum((pause for pause in pauses if pause <= LONGEST_DELAY), timedelta())
    forgiven = delays if delays <= window.length * NEGLIGIBLE else timedelta()
    return window.length - sum(pauses, timedelta()) + forgiven


def _iter_pauses(window: Window, spans: Sequence[_Span]) -> Iterator[timedelta]:
    reached = window.since
    for since, until in spans:
        if since >= window.until:
            break
        if since > reached:
            yield since - reached
        reached = max(reached, until)
    if reached < window.until:
        yield window.until - reached
