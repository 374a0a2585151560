"""A user's own SQL, on a connection that cannot write."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oomdb.errors import QueryError
from oomdb.store.database import connect_to_read, database_path, open_for_reading
from oomdb.table import Cell

LONGEST_VALUE_BYTES = 64 * 2**20  # of one text or one row; the largest message stored is far below
_STEPS_BETWEEN_LOOKS = 1000  # instructions of SQLite's machine between two looks at the clock: some microseconds
_READING_PRAGMAS = {
    "application_id",
    "collation_list",
    "compile_options",
    "database_list",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
}
_SETTING_PRAGMAS = {"application_id", "encoding", "journal_mode", "page_size", "schema_version", "user_version"}
# these speak of what they do, not of rows; everything that writes rows fails by query_only besides
_REFUSED_ACTIONS = {
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
    sqlite3.SQLITE_SAVEPOINT,
    sqlite3.SQLITE_TRANSACTION,
}
# they take addresses in memory and names of libraries
_REFUSED_FUNCTIONS = {"fts3_tokenizer", "load_extension"}
_ONLY_READS = "this only reads: one SELECT, WITH, VALUES, EXPLAIN, or a PRAGMA that reads"


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The rows of a query under their headers; `rows` can be read once, while the query is open."""

    headers: tuple[str, ...]
    rows: Iterator[tuple[Cell, ...]]


@contextlib.contextmanager
def run_query(
    target: str, sql: str, params: Mapping[str, Cell] | None = None, *, timeout_seconds: float
) -> Iterator[QueryResult]:
    """Run one statement that reads, with values for its `:name` parameters, on a connection of its own.

    Rows are read as they are asked for. `timeout_seconds` is the database's own time: how long the reader takes over
    the rows does not count. Bytes that are no UTF-8 are replaced.

    Raises:
        StoreError: if the database cannot be opened.
        QueryError: if the SQL is wrong, would write, holds several statements or takes too long; rows that come before
            the failure have been given.
    """
    path = database_path(target)
    open_for_reading(target).close()  # says what is wrong with the file in plain words
    with contextlib.closing(connect_to_read(path)) as connection:
        watch = _StopWatch(timeout_seconds)
        _disarm(connection, watch)
        with _speaking_plainly(watch), watch:
            # some blanks and semicolons at the end are no second statement
            cursor = connection.execute(sql.rstrip(" \t\r\n;"), dict(params or {}))
        with contextlib.closing(cursor):
            if cursor.description is None:
                raise QueryError(f"The statement gives no rows; {_ONLY_READS}.")
            yield QueryResult(tuple(column[0] for column in cursor.description), _iter_rows(cursor, watch))


class _StopWatch:
    """Counts the time that passes inside `with`, and tells when there is none left."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._began = 0.0

    def is_over(self) -> bool:
        return time.monotonic() - self._began > self._left

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._left -= time.monotonic() - self._began


def _disarm(connection: sqlite3.Connection, watch: _StopWatch) -> None:
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    connection.execute("PRAGMA query_only=ON")
    # else ATTACH opens the same file again, without mode=ro; VACUUM INTO needs it too
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)
    connection.set_progress_handler(watch.is_over, _STEPS_BETWEEN_LOOKS)
    connection.set_authorizer(_authorize)


def _authorize(action: int, name: str | None, argument: str | None, _database: str | None, _by: str | None) -> int:
    if action in _REFUSED_ACTIONS or (action == sqlite3.SQLITE_FUNCTION and argument in _REFUSED_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA:
        pragma = (name or "").lower()
        if pragma not in _READING_PRAGMAS or (argument is not None and pragma in _SETTING_PRAGMAS):
            return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _iter_rows(cursor: sqlite3.Cursor, watch: _StopWatch) -> Iterator[tuple[Cell, ...]]:
    while True:
        with _speaking_plainly(watch), watch:
            row = cursor.fetchone()
        if row is None:
            return
        yield row


@contextlib.contextmanager
def _speaking_plainly(watch: _StopWatch) -> Iterator[None]:
    try:
        yield
    # Warning: several statements; the others: a NUL or a lone surrogate in the text, an integer of 65 bits
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as err:
        raise QueryError(_explain(str(err).removesuffix("."), watch)) from err


def _explain(said: str, watch: _StopWatch) -> str:
    if said == "interrupted":
        return f"The query took longer than {watch.seconds:g} s and was stopped; narrow it, or allow it more time."
    if "one statement at a time" in said:
        return "Several statements were given; give one."
    if any(words in said for words in ("not authorized", "readonly", "too many attached", "authorization denied")):
        return f"Refused ({said}): {_ONLY_READS}."
    if "no such table" in said or "no such column" in said:
        return f"{said}; run `oomdb schema` to see the tables and columns."
    if "supply a value for binding" in said:
        return f"{said}; give each :name of the query one."
    if "has no name" in said or "Incorrect number of bindings" in said:
        return "A parameter of the query has no name: write :name, and give it a value."
    if "too big" in said:
        return f"{said}: a value may have {LONGEST_VALUE_BYTES >> 20} MiB at most."
    return f"The query failed: {said}."
