"""The two-year database: bytes per finding, whether all in it holds, and what writing a run costs through Core."""

import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import InvalidRequestError

from benchmarks.bounds import Measured, report
from benchmarks.history import Fleet, RecordedRun, iter_history, record_run, stored_history
from oomdb.store.checks import check_database
from oomdb.store.database import Store, open_for_reading, open_for_writing

BYTES_BOUND, RATIO_BOUND = 520, 2.5
ROUNDS = 5
# days of runs as in the two-year history, and days of runs that are twenty times as large
HISTORIES = ((14, Fleet()), (2, Fleet(kills_per_day=800)))
_TABLES_SHOWN = 9

_DIALECT = sqlite_dialect()

Statement = tuple[str, Any, bool]  # SQL, its parameters, whether they are of many rows


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    failed = _report_size(stored_history())
    print()
    with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as folder:
        measured = [one for days, fleet in HISTORIES for one in _compare(Path(folder), list(iter_history(days, fleet)))]
    return report("writing runs: CPU per run", measured) or failed


def _report_size(path: Path) -> int:
    with open_for_reading(str(path)) as store:
        problems = check_database(store)
    for problem in problems:
        print(f"{problem.what} ({problem.count}): {', '.join(problem.examples)}", file=sys.stderr)
    with closing(sqlite3.connect(path)) as conn:
        [findings], [occurrences] = (
            conn.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("findings", "occurrences")
        )
        tables = []
        with suppress(sqlite3.OperationalError):  # SQLite can be built without dbstat
            tables = conn.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY 1 ORDER BY 2 DESC").fetchall()
    return report(
        "two years, eight runs a day",
        [
            Measured("findings", findings),
            Measured("findings per occurrence", findings / occurrences),
            Measured("bytes per finding", path.stat().st_size / findings, BYTES_BOUND),
            *(Measured(f"· {name}", size / findings) for name, size in tables[:_TABLES_SHOWN]),
            Measured("problems found by `oomdb db check`", len(problems), 0),
        ],
    )


def _compare(folder: Path, history: Sequence[RecordedRun]) -> Iterator[Measured]:
    """Compare writing through Core with writing the same through sqlite3, SQL and transactions being the same.

    What there is besides SQL (folding, building rows) is the same work either way: it is measured by recording into a
    stand-in, which answers at once what the database had answered. With the statements replayed by sqlite3 it makes
    up the other way.
    """
    rows = sum(len(scan.findings) for run in history for scan in run.scans) // len(history)
    tape = _Tape()
    _on_new_database(folder, lambda store: tape.record(store, history))
    core, besides, replayed = [], [], []
    for _ in range(ROUNDS):
        core.append(_on_new_database(folder, lambda store: _record(store, history)))
        besides.append(_cpu_seconds(lambda: _record(tape.play_back(), history)))
        replayed.append(_on_new_database(folder, lambda store: _replay(store.path, tape.statements)))
    ratios = [one / (two + three) for one, two, three in zip(core, besides, replayed, strict=True)]
    for what, seconds in (("through Core", core), ("besides SQL", besides), ("its SQL through sqlite3", replayed)):
        yield Measured(f"{rows} findings: {what}", median(seconds) / len(history) * 1000, unit=" ms")
    yield Measured(f"{rows} findings: Core / sqlite3, all in all", median(ratios), RATIO_BOUND)


def _record(store: Store, history: Sequence[RecordedRun]) -> None:
    for run in history:
        record_run(store, run)


def _replay(path: Path, statements: Sequence[Statement]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous=NORMAL")
        conn.execute("PRAGMA foreign_keys=ON")
        for sql, parameters, many in statements:
            if many:
                conn.executemany(sql, parameters)
            else:
                conn.execute(sql, parameters).fetchall()


def _on_new_database(folder: Path, work: Callable[[Store], None]) -> float:
    """Do some work on an empty database and return its CPU seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as own, open_for_writing(f"{own}/oomdb.sqlite") as store:
        return _cpu_seconds(lambda: work(store))


def _cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@dataclass(frozen=True)
class _Answer:
    """What a statement brought, as far as the writers ask for it."""

    rows: Sequence[Any]
    inserted_primary_key: Any

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def one_or_none(self) -> Any:
        return self.rows[0] if self.rows else None

    def scalars(self) -> list[Any]:
        return [row[0] for row in self.rows]


@dataclass
class _Tape:
    """The SQL of a history, as the driver got it, and what came back."""

    statements: list[Statement] = field(default_factory=list)
    answers: list[_Answer] = field(default_factory=list)

    def record(self, store: Store, history: Sequence[RecordedRun]) -> None:
        """Record a history and note what is said between store and database."""

        @event.listens_for(store._engine, "before_cursor_execute")
        def note(_conn: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
            self.statements.append((sql, parameters, many))

        @event.listens_for(store._engine, "begin")
        def note_begin(_conn: Any) -> None:
            self.statements.append(("BEGIN IMMEDIATE", (), False))

        @event.listens_for(store._engine, "commit")
        def note_commit(_conn: Any) -> None:
            self.statements.append(("COMMIT", (), False))

        def answer(method: str, conn: Any, *arguments: Any) -> _Answer:
            result = getattr(conn, method)(*arguments)
            key = None
            with suppress(InvalidRequestError):  # it was no insert of one row
                key = result.inserted_primary_key
            self.answers.append(_Answer(result.all() if result.returns_rows else (), key))
            return self.answers[-1]

        _record(cast(Store, _StandIn(answer, store)), history)
        event.remove(store._engine, "before_cursor_execute", note)
        event.remove(store._engine, "begin", note_begin)
        event.remove(store._engine, "commit", note_commit)

    def play_back(self) -> Store:
        """Return what answers as the store's database did, at once."""
        answers = iter(self.answers)
        return cast(Store, _StandIn(lambda *_: next(answers)))


@dataclass(frozen=True)
class _StandIn:
    """A store, as far as the writers know it, and its connection: every statement is answered by `answer`."""

    answer: Callable[..., _Answer]
    store: Store | None = None
    conn: Any = None

    @contextmanager
    def writing(self) -> Iterator["_StandIn"]:
        if self.store is None:
            yield self
            return
        with self.store.writing() as conn:
            yield _StandIn(self.answer, conn=conn)

    def execute(self, *arguments: Any) -> _Answer:
        return self.answer("execute", self.conn, *arguments)

    def exec_driver_sql(self, *arguments: Any) -> _Answer:
        return self.answer("exec_driver_sql", self.conn, *arguments)

    @property
    def dialect(self) -> Dialect:
        return _DIALECT


if __name__ == "__main__":
    sys.exit(main())
