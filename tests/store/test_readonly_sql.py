"""SQL of users: what it gives, what it may not do, and what its failures say."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomdb.errors import QueryError, StoreError
from oomdb.store.database import open_for_writing
from oomdb.store.readonly_sql import run_query
from oomdb.table import Cell
from tests.store.builders import ago, change, finding, kill, record, rows, scan

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "


@pytest.fixture
def filled(path: Path) -> str:
    """Return a database with one finding, closed."""
    with open_for_writing(str(path)) as store:
        record(store, scan(finding(kill(ago(hours=1)))))
    return str(path)


def ask(target: str, sql: str, timeout_seconds: float = 30, **params: Cell) -> list[tuple[Cell, ...]]:
    with run_query(target, sql, params, timeout_seconds=timeout_seconds) as result:
        return list(result.rows)


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_query_gives_headers_and_rows(filled: str) -> None:
    with run_query(filled, "SELECT id, status AS state, 1.5, NULL, x'00ff' FROM runs", timeout_seconds=30) as result:
        assert result.headers == ("id", "state", "1.5", "NULL", "x'00ff'")
        assert list(result.rows) == [(1, "complete", 1.5, None, b"\x00\xff")]


def test_headers_are_there_where_no_row_is(filled: str) -> None:
    with run_query(filled, "SELECT id FROM runs WHERE id > 5", timeout_seconds=30) as result:
        assert result.headers == ("id",)
        assert list(result.rows) == []


def test_values_are_bound_by_name_and_not_pasted(filled: str) -> None:
    hostile = "x'; DELETE FROM runs; --"
    assert ask(filled, "SELECT :text, count(*) FROM runs WHERE id = :id", text=hostile, id="1") == [(hostile, 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 1;",
        "  SELECT 1 ; ;; \n",
        "-- why\nSELECT 1 -- because",
        "/* ; */ SELECT 1; -- done",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "VALUES (1)",
        "SELECT value FROM json_each('[1]')",
        "SELECT count(*) FROM latest_findings",
        "SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'id'",
    ],
)
def test_one_statement_that_reads_is_taken_however_it_ends(filled: str, sql: str) -> None:
    assert ask(filled, sql) == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA table_info(runs)",
        "PRAGMA journal_mode",
        "PRAGMA integrity_check",
        "EXPLAIN QUERY PLAN SELECT * FROM runs",
    ],
)
def test_pragmas_and_plans_that_read_are_taken(filled: str, sql: str) -> None:
    assert ask(filled, sql)


def test_rows_are_read_as_they_are_asked_for(filled: str) -> None:
    with run_query(filled, f"{ENDLESS} SELECT x FROM c", timeout_seconds=30) as result:
        assert [next(result.rows) for _ in range(3)] == [(1,), (2,), (3,)]


def test_bytes_that_are_no_text_are_replaced(filled: str) -> None:
    assert ask(filled, "SELECT CAST(x'41ff' AS TEXT)") == [("A\N{REPLACEMENT CHARACTER}",)]


def test_a_writer_at_work_is_not_in_the_way(filled: str) -> None:
    with open_for_writing(filled) as store, store.writing():
        assert ask(filled, "SELECT count(*) FROM runs") == [(1,)]


# --- not writing ----------------------------------------------------------------------------------------------------

WRITES = [
    "INSERT INTO alembic_version VALUES ('x')",
    "UPDATE runs SET status = 'aborted'",
    "DELETE FROM runs",
    "REPLACE INTO alembic_version VALUES ('x')",
    "WITH a AS (SELECT 1) INSERT INTO alembic_version SELECT 'x' FROM a",
    "WITH a AS (SELECT 1) DELETE FROM runs WHERE id IN (SELECT * FROM a)",
    "DELETE FROM runs RETURNING id",
    "UPDATE runs SET status = 'aborted' RETURNING id",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE INDEX i ON runs (status)",
    "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END",
    "CREATE TEMP TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
    "DROP TABLE runs",
    "DROP VIEW coverage",
    "ALTER TABLE runs ADD COLUMN x",
    "ALTER TABLE runs RENAME TO walks",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
    "VACUUM INTO '{folder}/copy.sqlite'",
    "ATTACH '{path}' AS again",
    "ATTACH 'file:{path}?mode=rw' AS again",
    "ATTACH '{folder}/new.sqlite' AS another",
    "ATTACH ':memory:' AS another",
    "DETACH main",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA journal_mode(DELETE)",
    "PRAGMA main.journal_mode = 'OFF'",
    "PRAGMA JOURNAL_MODE=DELETE",
    "PRAGMA query_only=OFF",
    "PRAGMA writable_schema=ON",
    "PRAGMA user_version=7",
    "PRAGMA application_id=7",
    "PRAGMA schema_version=7",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA wal_autocheckpoint=1",
    "PRAGMA optimize",
    "PRAGMA incremental_vacuum",
    "PRAGMA auto_vacuum=FULL",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA temp_store_directory='{folder}'",
    "PRAGMA trusted_schema=ON",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA page_size=512",
    "PRAGMA encoding='UTF-16'",
    "PRAGMA no_such_pragma",
    "SELECT load_extension('evil')",
    "SELECT writefile('{folder}/file', 'x')",
    "SELECT readfile('{path}')",
    "SELECT edit('x')",
    "SELECT FTS3_Tokenizer('simple')",
    "SELECT fts3_tokenizer('simple', x'0000000000000000')",
    "SELECT 1; DELETE FROM runs",
    "SELECT 1; COMMIT; DELETE FROM runs",
    "EXPLAIN SELECT 1; DELETE FROM runs",
    "/* SELECT */ DELETE FROM runs",
    "-- SELECT\nDELETE FROM runs",
    "UPDATE sqlite_master SET sql = ''",
    "INSERT INTO pragma_user_version VALUES (1)",
]


@pytest.fixture
def untouched(filled: str) -> Iterator[str]:
    """Return the database and hold that neither it nor its folder has changed when the test is over."""
    file = Path(filled)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    yield filled
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    # the log and its index are what every reader makes
    made = {it.name for it in file.parent.iterdir()} - {file.name, f"{file.name}-wal", f"{file.name}-shm"}
    assert made == set()
    with open_for_writing(filled) as store:
        assert rows(store, "SELECT count(*), min(status) FROM runs") == [(1, "complete")]


@pytest.mark.parametrize("sql", WRITES)
def test_what_would_write_is_refused(untouched: str, sql: str) -> None:
    with pytest.raises(QueryError):
        ask(untouched, sql.format(path=untouched, folder=Path(untouched).parent))


@pytest.mark.parametrize(
    "sql", ["DELETE FROM runs", "ATTACH 'x' AS x", "BEGIN", "PRAGMA user_version=7", "VACUUM INTO 'x'"]
)
def test_a_refusal_says_what_may_be_asked(filled: str, sql: str) -> None:
    with pytest.raises(QueryError, match="this only reads: one SELECT, WITH, VALUES, EXPLAIN, or a PRAGMA that reads"):
        ask(filled, sql)


def test_a_statement_that_only_explains_a_write_writes_nothing(untouched: str) -> None:
    assert ask(untouched, "EXPLAIN DELETE FROM runs")


# --- failing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM nowhere", "no such table: nowhere; run `oomdb schema` to see the tables and columns."),
        ("SELECT nothing_of_it FROM runs", "no such column: nothing_of_it; run `oomdb schema`"),
        ("SELEC 1", 'The query failed: near "SELEC": syntax error.'),
        ("", "The statement gives no rows"),
        (" ; ", "The statement gives no rows"),
        ("-- nothing", "The statement gives no rows"),
        ("SELECT 1; SELECT 2", "Several statements were given; give one."),
        ("SELECT :missing", "give each :name of the query one"),
        ("SELECT ?", "A parameter of the query has no name: write :name, and give it a value."),
        ("SELECT zeroblob(1000000000)", "a value may have 64 MiB at most"),
        ("SELECT '\udcff'", "The query failed: .*surrogates not allowed"),
        ("SELECT 1\0", "The query failed: .*null character"),
        ("SELECT abs(-9223372036854775808)", "The query failed: integer overflow"),
    ],
)
def test_a_failure_says_what_is_wrong(filled: str, sql: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        ask(filled, sql)


def test_a_value_that_cannot_be_bound_is_said(filled: str) -> None:
    with pytest.raises(QueryError, match="The query failed: "):
        ask(filled, "SELECT :number", number=2**70)


@pytest.mark.parametrize("end", ["SELECT max(x) FROM c", "SELECT x FROM c", "SELECT x FROM c ORDER BY -x"])
def test_an_endless_query_is_stopped(filled: str, end: str) -> None:
    with (
        run_query(filled, ENDLESS + "SELECT 1", timeout_seconds=0.05),
        pytest.raises(QueryError, match=r"took longer than 0.05 s and was stopped; narrow it, or allow it more time"),
        run_query(filled, ENDLESS + end, timeout_seconds=0.05) as result,
    ):
        for _ in result.rows:
            pass


def test_without_a_database_it_says_what_makes_one(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database; `oomdb collect` makes one"):
        ask(str(path), "SELECT 1")
    assert not path.exists()


def test_an_older_database_says_what_to_run(filled: str) -> None:
    with open_for_writing(filled) as store:
        change(store, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreError, match="run `oomdb db upgrade`"):
        ask(filled, "SELECT 1")
