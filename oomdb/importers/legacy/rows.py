"""From the texts of a legacy row to what it tells: its type, its instants, its sources."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from oomdb.importers.legacy.csv_table import LegacyRow
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.store.import_folding import ImportedRow, Place
from oomdb.workloads import find_workload

FOUND_BY = "FoundBy"  # of 8 columns: Prometheus saw something, an OOM or a crash loop
PROMETHEUS = "Prometheus-detected"  # stood where a time should be, in 9 columns of December 2025
_ROWS_REMEMBERED = 16384
_TYPES = {it.lower(): it for it in (OOM_KILLED, CRASH_LOOP_BACK_OFF, FOUND_BY)}
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")


class ReadRow(NamedTuple):
    """A row as the store takes it; `unread` are the texts among its times that are none."""

    line: int
    row: ImportedRow
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Times:
    """What a cell of timestamps tells: instants in order, whether one more is not known, and what cannot be read."""

    instants: tuple[datetime, ...]
    undated: bool
    unread: tuple[str, ...]
    by_prometheus: bool


def read_rows(rows: Iterable[LegacyRow]) -> list[ReadRow]:
    """Return the rows for the store, one per (cluster, namespace, pod, type): those that tell of one are put together.

    A row that Prometheus alone told of has a type of its own, and counts as neither: nobody looked at the pod.
    """
    found: dict[Place, ReadRow] = {}
    for it in rows:
        row, unread = _read(
            it.cluster, it.namespace, it.pod, it.type, it.timestamps, it.application, it.component, it.sources
        )
        read, place = ReadRow(it.line, row, unread), row.place
        found[place] = _put_together(found[place], read) if place in found else read
    return list(found.values())


# windows overlap: most rows were in the run before, letter by letter but for the names of their artifacts
@lru_cache(maxsize=_ROWS_REMEMBERED)
def _read(
    cluster: str, namespace: str, pod: str, type_: str, timestamps: str, application: str, component: str, sources: str
) -> tuple[ImportedRow, tuple[str, ...]]:
    times = _read_times(timestamps)
    known_type = _TYPES.get(type_.lower(), type_)
    row = ImportedRow(
        cluster=cluster,
        namespace=namespace,
        pod=pod,
        type=f"{known_type} ({PROMETHEUS})" if times.by_prometheus else known_type,
        application=application,
        component=component,
        workload=find_workload(None, {}, pod),
        sources=tuple(sorted({word for text in sources.split(";") if (word := text.strip())})),
        instants=times.instants,
        undated=times.undated,
    )
    return row, times.unread


def _put_together(one: ReadRow, other: ReadRow) -> ReadRow:
    row = one.row._replace(
        application=one.row.application or other.row.application,
        component=one.row.component or other.row.component,
        sources=tuple(sorted({*one.row.sources, *other.row.sources})),
        instants=tuple(sorted({*one.row.instants, *other.row.instants})),
        undated=one.row.undated or other.row.undated,
    )
    return ReadRow(one.line, row, (*one.unread, *other.unread))


def _read_times(cell: str) -> _Times:
    instants: set[datetime] = set()
    unread = []
    undated = by_prometheus = False
    for text in cell.split(";"):
        word = text.strip()
        if not word:
            undated = True
        elif word == PROMETHEUS:
            by_prometheus = True
        elif (at := parse_told_instant(word)) is not None:
            instants.add(at)
        else:
            undated = True
            unread.append(word)
    return _Times(tuple(sorted(instants)), undated or by_prometheus, tuple(unread), by_prometheus)


def parse_told_instant(word: str) -> datetime | None:
    """Return the UTC instant in whole seconds; None for another form, which the legacy script copied as it was.

    `0001-01-01T00:00:00Z` is how Kubernetes' language writes that no time is set.
    """
    if not _INSTANT.fullmatch(word):
        return None
    try:
        at = datetime.fromisoformat(word).astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
    return at if _EARLIEST <= at < _LATEST else None
