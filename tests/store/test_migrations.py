"""The migrations are the only way to a table, lead to what the models say, and lose nothing."""

import re
import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import oomdb.migrations
from oomdb.errors import StoreError
from oomdb.queries.filters import FindingFilter
from oomdb.queries.instances import list_instances_of_run
from oomdb.queries.lists import build_coverage_query, stream
from oomdb.queries.selection import find_latest_run
from oomdb.reports.files import DEFAULT_FORMATS, write_exports
from oomdb.store.checks import check_database
from oomdb.store.database import Migrations, Store, open_for_reading, open_for_writing
from oomdb.store.schema import REVISION, TABLES, metadata
from oomdb.store.views import VIEWS
from tests.store.builders import ago, artifact, change, finding, kill, loop, record, rows, scan

OWN_FOLDER = Path(next(iter(oomdb.migrations.__path__)))

ALTERS_IN_BATCH = """
    with op.batch_alter_table("runs") as batch:
        batch.add_column(sa.Column("shards", sa.Integer(), nullable=True))
        batch.alter_column("time_range", nullable=True)
"""


def declared(sql: str) -> list[str]:
    """Return a table's columns and constraints in any order; a column that was added stands on the line of another."""
    lines = (line.strip().rstrip(",") for line in sql.splitlines()[1:])
    return sorted(part for line in lines for part in re.split(r", (?![^()]*\))", line))  # not within brackets


def test_the_models_and_the_migrated_schema_do_not_differ(store: Store) -> None:
    with store.reading() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "target_metadata": metadata})
        assert compare_metadata(context, metadata) == []


def test_checks_keys_and_indexes_are_those_of_the_models_letter_by_letter(store: Store) -> None:
    sql = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        metadata.create_all(conn)
        models = {name: declared(text) for name, text in conn.exec_driver_sql(sql)}
    engine.dispose()
    migrated = {name: declared(text) for name, text in rows(store, sql)}
    for own_of_sqlite_and_alembic in ("sqlite_sequence", "sqlite_stat1", "sqlite_stat4", "alembic_version"):
        models.pop(own_of_sqlite_and_alembic, None)
        migrated.pop(own_of_sqlite_and_alembic, None)
    assert migrated == models


def test_the_revision_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(OWN_FOLDER)).get_heads() == [REVISION]


def test_migrations_are_numbered_one_after_the_other() -> None:
    names = sorted(file.name for file in (OWN_FOLDER / "versions").glob("0*.py"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_every_table_and_every_column_says_what_it_holds() -> None:
    silent = [table.name for table in TABLES if not table.comment]
    silent += [f"{table.name}.{column.name}" for table in TABLES for column in table.columns if not column.comment]
    assert silent == []


def test_every_view_is_there_and_gives_rows(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=1))), finding(loop(ago(minutes=4)), pod="b", pod_uid="u")))
    assert {name: len(rows(store, f"SELECT * FROM {name}")) for name in VIEWS} == {
        "latest_run": 1,
        "latest_findings": 2,
        "findings_full": 2,
        "episodes": 2,
        "coverage": 1,
    }
    assert all(comment for comment, _ in VIEWS.values())


def test_views_of_another_version_are_made_anew_by_the_next_writer(path: Path) -> None:
    with open_for_writing(str(path)) as store:
        change(store, "DROP VIEW coverage")
        change(store, "DROP VIEW episodes")
        change(store, "CREATE VIEW episodes AS SELECT 1 AS one")
        (problem,) = check_database(store)
        assert problem.examples == ("episodes", "coverage")
    with open_for_writing(str(path)) as store:
        assert check_database(store) == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# --- upgrades -------------------------------------------------------------------------------------------------------


def migrations_with(folder: Path, body: str, *, name: str = "migrations") -> Migrations:
    """Make a folder of our migrations and one more, whose `upgrade` has the body."""
    shutil.copytree(OWN_FOLDER, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / name / "versions" / "9000_throw_away.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\n"
        f"revision = '9000'\ndown_revision = {REVISION!r}\nbranch_labels = depends_on = None\n\n"
        f"def upgrade():\n{body}"
    )
    return Migrations(str(folder / name), "9000")


RENAMED = {("pods", "last_run_id"): "runs_until"}
KEPT = Path(__file__).parent.parent / "data" / "databases"  # a small one of each revision, made by the oomdb of its day


@pytest.fixture(params=sorted(KEPT.glob("*.sqlite")), ids=lambda file: file.stem)
def kept(request: pytest.FixtureRequest, path: Path) -> Path:
    """Return a copy of an older database."""
    shutil.copy(request.param, path)
    return path


def test_a_database_of_each_older_revision_is_kept() -> None:
    assert sorted(file.stem for file in KEPT.glob("*.sqlite")) == [f"{n:04d}" for n in range(1, int(REVISION))]
    assert max(file.stat().st_size for file in KEPT.glob("*.sqlite")) < 300_000


def test_an_older_database_is_not_read_but_the_command_is_named_that_helps(kept: Path) -> None:
    before = kept.read_bytes()
    with pytest.raises(StoreError, match=r"older than this oomdb \(\d+\): run `oomdb db upgrade`"):
        open_for_reading(str(kept))
    assert kept.read_bytes() == before


def test_an_older_database_is_upgraded_and_keeps_every_value(kept: Path) -> None:
    before = read_all(kept)
    assert {table for table, found in before.items() if not found} <= {"namespaces"}
    with open_for_writing(str(kept)) as store:
        assert store.revision_found == before["alembic_version"][0]["version_num"]
        assert check_database(store) == []
    after = read_all(kept)
    for table, found in before.items():
        if table != "alembic_version":
            told = [{name: row[RENAMED.get((table, name), name)] for name in found[0]} for row in after[table]]
            assert told == found, table


def test_reports_of_an_upgraded_database_are_those_of_its_time(kept: Path, tmp_path: Path) -> None:
    open_for_writing(str(kept)).close()
    with open_for_reading(str(kept)) as store, store.reading() as conn:
        run = find_latest_run(conn)
        assert run is not None
        assert len(list_instances_of_run(conn, run)) > 0
        listed = list(stream(store, build_coverage_query(FindingFilter(run=run.id), None)).rows)
        assert len(listed) == 3
    with open_for_writing(str(kept)) as store:
        written = write_exports(store, "latest", output_dir=tmp_path / "exports", zone=UTC)
    assert sorted(file.name for file in written.written) == sorted(f"oom_results.{name}" for name in DEFAULT_FORMATS)


def test_an_upgraded_database_takes_runs_and_knows_nothing_of_what_nobody_looked_for(kept: Path) -> None:
    found = read_all(kept)
    with open_for_writing(str(kept)) as store:
        for table in ("namespaces", "namespace_owners", "people"):
            assert rows(store, f"SELECT count(*) FROM {table}") == [(len(found.get(table, ())),)]
        if "clock_skew_seconds" not in found["run_clusters"][0]:
            assert rows(store, "SELECT DISTINCT clock_skew_seconds FROM run_clusters") == [(None,)]
        assert rows(store, "SELECT DISTINCT time_evidence FROM import_files") == [("",)]
        run = record(store, scan(finding(kill(ago(hours=1))), cluster="new", namespaces_read=["shop"]))
        known = "SELECT namespace, read_run_id FROM namespaces WHERE cluster = 'new'"
        assert rows(store, known) == [("shop", run)]
        assert check_database(store) == []


def read_all(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        names = [row["name"] for row in listed]
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}


@pytest.fixture
def filled(path: Path) -> Path:
    """Make a database with a row in every table that hangs on a run."""
    with open_for_writing(str(path)) as store:
        part = finding(kill(ago(hours=1)))
        record(store, scan(part, artifacts=(artifact(), artifact(kind="log", path="log.txt"))))
        record(store, scan(part))
    return path


def count_rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return {table.name: connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] for table in TABLES}


def test_an_older_database_is_backed_up_and_upgraded_and_nothing_is_lost(filled: Path, tmp_path: Path) -> None:
    before = count_rows(filled)
    assert before["artifacts"] == 2
    # batch mode drops the table and makes it anew: with foreign keys on, that deletes every child without an error
    migrations = migrations_with(tmp_path, ALTERS_IN_BATCH)
    with open_for_writing(str(filled), migrations=migrations) as store:
        assert store.revision_found == REVISION
        assert check_database(store) == []
        assert rows(store, "SELECT version_num FROM alembic_version") == [("9000",)]
        assert rows(store, "SELECT shards FROM runs") == [(None,), (None,)]
        with store.reading() as conn:
            assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert count_rows(filled) == before
    (backup,) = filled.parent.glob(f"oomdb.sqlite.{REVISION}.*.bak")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with open_for_reading(str(backup)) as store:
        assert check_database(store) == []
    assert count_rows(backup) == before
    with pytest.raises(StoreError, match=r"revision 9000, newer than this oomdb"):
        open_for_writing(str(filled))


def test_numbers_of_runs_go_on_after_an_upgrade(filled: Path, tmp_path: Path) -> None:
    with open_for_writing(str(filled), migrations=migrations_with(tmp_path, ALTERS_IN_BATCH)) as store:
        assert record(store, scan()) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    op.execute('DELETE FROM daily_counts')\n    op.execute('not SQL')\n", "syntax error"),
        ("    op.execute('DELETE FROM runs')\n", r"the upgrade would break references \(\d+\); not done"),
        ("    op.add_column('runs', sa.Column('pid', sa.Integer()))\n", "duplicate column"),
    ],
)
def test_an_upgrade_that_fails_changes_nothing_and_leaves_no_backup(
    filled: Path, tmp_path: Path, body: str, words: str
) -> None:
    before = count_rows(filled)
    migrations = migrations_with(tmp_path, body)
    with pytest.raises(StoreError, match=words):
        open_for_writing(str(filled), migrations=migrations)
    assert count_rows(filled) == before
    assert list(filled.parent.glob("*.bak")) == []
    with open_for_writing(str(filled)) as store:
        assert check_database(store) == []


def test_a_revision_that_no_migration_knows_is_said(filled: Path) -> None:
    with open_for_writing(str(filled)) as store:
        change(store, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreError, match=r"the upgrade failed: .*0000"):
        open_for_writing(str(filled))
    assert list(filled.parent.glob("*.bak")) == []


def test_a_folder_of_migrations_may_have_any_name(filled: Path, tmp_path: Path) -> None:
    with open_for_writing(str(filled), migrations=migrations_with(tmp_path, ALTERS_IN_BATCH, name="50% é")) as store:
        assert check_database(store) == []
