"""What became of the rows of an import: most come again, letter by letter, in the next runs."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from oomdb.store.folding import Occurrence
from oomdb.store.import_folding import ImportedRow
from oomdb.store.rows import PodPlace, round_up_run

_ROWS_REMEMBERED = 50_000  # some fifty megabytes


class ToldBefore(NamedTuple):
    """A row that an earlier run of this import told letter by letter, and what became of it.

    `finding` are the values of its finding, as the driver takes them, whatever the run.
    """

    row: ImportedRow
    known: Sequence[Occurrence]
    finding: tuple[Any, ...]


class RowsBefore:
    """What became of the rows of an import, for as long as nobody else writes: most rows come again.

    The windows of legacy runs overlap, so that a kill is told of letter by letter in run after run.
    """

    def __init__(self) -> None:
        self._state: tuple[int, int] | None = None
        self._told: dict[ImportedRow, ToldBefore] = {}
        self._pods: dict[PodPlace, int] = {}  # until which run they are noted

    def check(self, conn: Connection) -> None:
        """Forget everything where another connection has written meanwhile (sqlite.org/pragma.html, data_version)."""
        driver = conn.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        [version] = driver.execute("PRAGMA data_version").fetchone()
        state = (id(driver), version)
        if state != self._state or len(self._told) > _ROWS_REMEMBERED:
            self._state = state
            self._told.clear()
            self._pods.clear()

    def split(self, rows: Iterable[ImportedRow]) -> tuple[list[ToldBefore], list[ImportedRow]]:
        """Return the rows that were told before, and the others."""
        told, others = [], []
        for row in rows:
            before = self._told.get(row)
            if before is None:
                others.append(row)
            else:
                told.append(before)
        return told, others

    def list_pods_to_note(self, run_id: int, told: Iterable[ToldBefore]) -> set[PodPlace]:
        """Return the pods of rows that were told before, which are noted until an earlier run."""
        return {place for it in told if self._pods[place := _place_pod(it.row)] < run_id}

    def keep(self, run_id: int, told: Iterable[ToldBefore], told_now: Sequence[ToldBefore]) -> None:
        """Remember what became of the rows of a run, once it is stored."""
        until = round_up_run(run_id)
        self._pods.update((place, until) for place in self.list_pods_to_note(run_id, told))
        self._pods.update((_place_pod(it.row), until) for it in told_now)
        self._told.update((it.row, it) for it in told_now)


def _place_pod(row: ImportedRow) -> PodPlace:
    return row.pod, row.namespace, row.cluster
