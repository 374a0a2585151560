"""Opening, creating and refusing databases, and what becomes of errors."""

import hashlib
import json
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from oomdb.errors import StoreError
from oomdb.store.checks import check_database
from oomdb.store.database import Store, back_up, database_path, open_for_reading, open_for_writing
from oomdb.store.schema import REVISION
from oomdb.store.writer import record_scan
from tests.store.builders import NOW, ago, begin, change, finding, kill, record, rows, scan


def fingerprint(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask with SQLite's own library, as another program would."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# --- creating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_a_new_database_is_for_its_owner_alone_whatever_the_umask(path: Path, mask: int) -> None:
    with umask(mask), open_for_writing(str(path)) as store:
        record(store, scan(finding(kill(ago(hours=1)))))
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files.pop("oomdb.sqlite") == 0o600
    assert set(files.values()) <= {0o600}, files


def test_the_mode_of_a_new_database_can_be_set_and_that_of_an_old_one_stays(path: Path) -> None:
    open_for_writing(str(path), file_mode=0o640).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    open_for_writing(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_folder_is_made(tmp_path: Path) -> None:
    with umask(0):
        open_for_writing(str(tmp_path / "a" / "b" / "oomdb.sqlite")).close()
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o750


@pytest.mark.parametrize("content", ["nothing", "an empty database"])
def test_an_empty_file_becomes_a_database_for_writers_and_is_refused_to_readers(path: Path, content: str) -> None:
    path.touch()
    if content == "an empty database":
        query(path, "PRAGMA user_version=0")
    with pytest.raises(StoreError, match=r"the database is empty; run `oomdb collect` or `oomdb db upgrade`"):
        open_for_reading(str(path))
    with open_for_writing(str(path)) as store:
        assert check_database(store) == []


@pytest.mark.parametrize(
    "name", ["a?mode=memory", "a#b", "with blanks", "50%41", "💥é", "'; DROP TABLE runs;--", ".."[:1]]
)
def test_any_character_may_stand_in_the_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / f"{name}.sqlite"
    with open_for_writing(str(path)) as store:
        begin(store)
    assert query(path, "SELECT count(*) FROM runs") == [(1,)]
    with open_for_reading(str(path)) as store:
        assert rows(store, "SELECT count(*) FROM runs") == [(1,)]


def test_a_path_may_be_written_as_a_url() -> None:
    assert database_path("sqlite:////var/lib/oomdb.sqlite") == Path("/var/lib/oomdb.sqlite")
    assert database_path("sqlite:///oomdb.sqlite") == Path("oomdb.sqlite")
    assert database_path("~/oomdb.sqlite") == Path.home() / "oomdb.sqlite"


# --- refusing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("postgresql://me:secret@db/oomdb", "'postgresql://me:***@db/oomdb'"),
        ("postgresql+psycopg://me:sec@ret@db:5432/oomdb", "'postgresql+psycopg://me:***@db:5432/oomdb'"),
        ("postgresql://db/oomdb?password=secret", "'postgresql://db/oomdb?password=***'"),
        ("mysql://db/oomdb", "'mysql://db/oomdb'"),
    ],
)
def test_another_database_is_refused_in_plain_words_without_its_password(target: str, shown: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_for_writing(target)
    assert str(caught.value) == (
        f"{shown}: this version of oomdb stores in SQLite only; give --db a path or sqlite:///PATH."
    )


def test_a_url_that_cannot_be_read_is_not_shown() -> None:
    for target in ("postgresql://me:secret@db:secret/oomdb", "postgresql://me:sec/ret@db/oomdb"):
        with pytest.raises(StoreError) as caught:
            open_for_writing(target)
        assert "ret" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("target", ["", ":memory:", "sqlite://", "sqlite:///:memory:", "a\0b"])
def test_what_names_no_file_is_refused(target: str) -> None:
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match="names no file; give --db a path or sqlite:///PATH"):
            open_it(target)


def test_a_home_of_nobody_is_refused() -> None:
    with pytest.raises(StoreError, match="no such user's home"):
        open_for_writing("~nobody-of-this-name/oomdb.sqlite")


def test_readers_make_no_database(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database; `oomdb collect` makes one, or say --db or --output"):
        open_for_reading(str(path))
    assert not path.exists()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match="File name too long"):
            open_it(str(tmp_path / ("x" * 300)))


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match=r"is a folder; say --db with the path of a file in it"):
            open_it(str(tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot create the database: "):
        open_for_writing(str(tmp_path / "file" / "oomdb.sqlite"))
    with pytest.raises(StoreError, match="there is no database"):
        open_for_reading(str(tmp_path / "file" / "oomdb.sqlite"))


def test_a_log_that_cannot_be_written_beside_it_is_said(path: Path) -> None:
    open_for_writing(str(path)).close()
    (path.parent / f"{path.name}-wal").mkdir()
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match="SQLite needs to write a log beside it, also to read: make the folder"):
            open_it(str(path))


@pytest.mark.parametrize(
    "content", [b"This is a text and not a database. " * 100, b"\x00" * 4096, b"SQLite format 3\x00"]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match="not a SQLite database; say --db with another path"):
            open_it(str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("application_id", [0, 42])
def test_another_programs_database_is_refused_and_left_alone(path: Path, application_id: int) -> None:
    query(path, "CREATE TABLE bookmarks (url TEXT)")
    query(path, f"PRAGMA application_id={application_id}")
    before = fingerprint(path)
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match="is a SQLite database, but not one of oomdb's; say --db with another"):
            open_it(str(path))
    assert fingerprint(path) == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("revision", ["9999", "x", "９９９９"])
def test_a_newer_database_is_refused(path: Path, revision: str) -> None:
    open_for_writing(str(path)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    for open_it in (open_for_reading, open_for_writing):
        with pytest.raises(StoreError, match=rf"newer than this oomdb \({REVISION}\): upgrade oomdb"):
            open_it(str(path))


def test_an_older_database_tells_readers_what_to_run(path: Path) -> None:
    with open_for_writing(str(path)) as store:
        change(store, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreError, match=rf"revision 0000, older than this oomdb \({REVISION}\): run `oomdb db upg"):
        open_for_reading(str(path))


# --- reading and writing --------------------------------------------------------------------------------------------


def test_foreign_keys_are_on_for_readers_and_writers(path: Path, store: Store) -> None:
    with store.reading() as conn:
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    with open_for_reading(str(path)) as reader, reader.reading() as conn:
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        change(store, "INSERT INTO run_counts VALUES (7, 'prod-a', 'OOMKilled', 1, 1, 1)")


def test_the_pragmas_are_those_of_the_design(store: Store) -> None:
    with store.reading() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "page_size", "busy_timeout", "application_id")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 1,
        "secure_delete": 0,
        "page_size": 4096,
        "busy_timeout": 30_000,
        "application_id": 0x6F6F6D64,
    }


def test_a_readers_connection_cannot_write(path: Path, store: Store) -> None:
    with open_for_reading(str(path)) as reader, pytest.raises(StoreError, match="readonly"):
        begin(reader)
    assert rows(store, "SELECT count(*) FROM runs") == [(0,)]


def test_an_exception_rolls_back(store: Store) -> None:
    def fail_half_way() -> None:
        with store.writing() as conn:
            conn.execute(text("INSERT INTO alembic_version VALUES ('x')"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert rows(store, "SELECT version_num FROM alembic_version") == [(REVISION,)]


def test_a_reader_sees_one_state_while_another_writes(path: Path, store: Store) -> None:
    begin(store)
    with open_for_reading(str(path)) as reader, reader.reading() as conn:
        before = conn.execute(text("SELECT count(*) FROM runs")).scalar()
        begin(store)
        assert conn.execute(text("SELECT count(*) FROM runs")).scalar() == before


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "not SQL", "INSERT INTO runs DEFAULT VALUES", "SELECT :a"])
def test_no_error_of_the_library_leaves_the_store(store: Store, sql: str) -> None:
    with pytest.raises(StoreError), store.reading() as conn:
        conn.execute(text(sql))
    with pytest.raises(StoreError), store.writing() as conn:
        conn.execute(text(sql))


def test_a_database_that_another_holds_for_too_long_is_said(path: Path) -> None:
    with (
        open_for_writing(str(path), busy_timeout_seconds=0.01) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process has been writing for too long; try again"):
            begin(store)
        other.execute("ROLLBACK")
        assert begin(store) == 1


def test_a_new_file_that_another_holds_for_too_long_is_said(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another process has been writing for too long"):
            open_for_writing(str(path), busy_timeout_seconds=0.05)
    open_for_writing(str(path)).close()


def test_a_database_that_lay_on_a_network_share_gets_its_log_on_a_local_disk(path: Path) -> None:
    mounts = mounts_of(path.parent, f"server:/share {path.parent} nfs4 rw 0 0")
    open_for_writing(str(path), mounts=mounts).close()
    with open_for_writing(str(path)) as store:
        assert rows(store, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("room", [0, 1024])
def test_where_no_file_can_grow_the_database_is_read_with_the_log_that_a_killed_process_left(
    store: Store, tmp_path: Path, room: int
) -> None:
    record(store, scan(finding(kill(ago(hours=1)))))
    left = tmp_path / "left"
    left.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{store.path}{suffix}", left)
    assert (left / "oomdb.sqlite-wal").stat().st_size > 0
    before = (left / "oomdb.sqlite-wal").read_bytes()
    # coverage would want to write what it measured
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    for command in (["findings", "--json"], ["summary", "--pod", "nothing"], ["sql", "SELECT count(*) FROM findings"]):
        done = subprocess.run(
            [sys.executable, "-m", "oomdb", *command, "--db", left / "oomdb.sqlite"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )
        assert (done.returncode, "error" in done.stderr) == (0, False)
        if "--json" in command:
            assert [row["pod"] for row in json.loads(done.stdout)] == ["checkout-1"]
    assert (left / "oomdb.sqlite-wal").read_bytes() == before


def test_a_full_disk_is_said_and_tears_nothing(store: Store) -> None:
    run_id = begin(store)
    with store.writing() as conn:
        # of this connection alone: as if the disk had no room for another page
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar()
        conn.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = [finding(kill(ago(hours=1), container_id=str(i)), pod=f"p{i}", pod_uid=f"u{i}") for i in range(500)]
    with pytest.raises(StoreError, match=r"the disk is full \(\d+ MiB free\); nothing of this step was stored"):
        record_scan(store, run_id, scan(*many), seen_at=NOW)
    assert rows(store, "SELECT count(*) FROM findings") == [(0,)]
    assert check_database(store) == []
    with store.writing() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count=1000000")
    record_scan(store, run_id, scan(*many), seen_at=NOW)
    assert check_database(store) == []


def test_a_damaged_file_is_said(path: Path) -> None:
    with open_for_writing(str(path)) as store:
        record(store, scan(*(finding(kill(ago(hours=1)), pod=f"p{i}", pod_uid=f"u{i}") for i in range(500))))
    with path.open("r+b") as stream:
        stream.seek(2 * 8192)
        stream.write(b"\xff" * (path.stat().st_size - 3 * 8192))

    def read_everything() -> None:
        with open_for_reading(str(path)) as store:
            for table in ("findings", "occurrences", "pods", "runs", "run_clusters", "daily_counts"):
                rows(store, f"SELECT * FROM {table}")

    with pytest.raises(StoreError, match=r"damaged .*run `oomdb db check`, or restore a backup"):
        read_everything()


# --- closing, copying -----------------------------------------------------------------------------------------------


def test_after_a_close_the_file_alone_holds_everything(path: Path, tmp_path: Path) -> None:
    with open_for_writing(str(path)) as store:
        record(store, scan(finding(kill(ago(hours=1)))))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_close_does_not_wait_for_a_reader_that_stays(path: Path) -> None:
    store = open_for_writing(str(path))
    with open_for_reading(str(path)) as reader, reader.reading() as conn:
        conn.execute(text("SELECT * FROM runs")).all()
        begin(store)
        store.close()
        assert rows(reader, "SELECT count(*) FROM runs") == [(1,)]
    open_for_writing(str(path)).close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_backup_is_a_database_for_its_owner_alone(path: Path, store: Store, tmp_path: Path) -> None:
    record(store, scan(finding(kill(ago(hours=1)))))
    copy = back_up(store, tmp_path / "copy ?#é.sqlite")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with open_for_reading(str(copy)) as reader:
        assert rows(reader, "SELECT count(*) FROM findings") == [(1,)]
    assert sorted(file.suffix for file in tmp_path.iterdir() if file.name.startswith(".")) == []


def test_a_backup_does_not_overwrite(store: Store, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(StoreError, match="exists already; name another file"):
        back_up(store, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"


def test_a_backup_that_cannot_be_written_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write the backup"):
        back_up(store, tmp_path / "nowhere" / "copy")


# --- network file systems -------------------------------------------------------------------------------------------


def mounts_of(folder: Path, *lines: str) -> Path:
    file = folder / "mounts"
    file.write_text("".join(f"{line}\n" for line in ("/dev/vda / ext4 rw 0 0", "broken", *lines)))
    return file


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_on_a_network_file_system_it_warns_and_keeps_a_rollback_journal(tmp_path: Path, kind: str) -> None:
    mounts = mounts_of(tmp_path, f"server:/share {tmp_path} {kind} rw 0 0")
    with open_for_writing(str(tmp_path / "oomdb.sqlite"), mounts=mounts) as store:
        assert len(store.warnings) == 1
        assert f"lies on a network file system ({kind})" in store.warnings[0]
        record(store, scan(finding(kill(ago(hours=1)))))
        assert rows(store, "PRAGMA journal_mode") == [("delete",)]
    assert query(tmp_path / "oomdb.sqlite", "PRAGMA journal_mode") == [("delete",)]


def test_of_two_mounts_on_one_folder_the_later_one_counts(tmp_path: Path) -> None:
    mounts = mounts_of(
        tmp_path,
        f"auto.home {tmp_path} autofs rw 0 0",
        f"server:/home {tmp_path} nfs4 rw 0 0",
        "x /elsewhere nfs rw 0 0",
    )
    with open_for_writing(str(tmp_path / "oomdb.sqlite"), mounts=mounts) as store:
        assert "(nfs4)" in store.warnings[0]


def test_a_mount_point_with_a_blank_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "my share"
    mounts = mounts_of(tmp_path, f"server:/share {str(folder).replace(' ', chr(92) + '040')} nfs4 rw 0 0")
    with open_for_writing(str(folder / "oomdb.sqlite"), mounts=mounts) as store:
        assert "(nfs4)" in store.warnings[0]


def test_a_local_disk_below_or_beside_a_network_share_is_local(tmp_path: Path) -> None:
    mounts = mounts_of(
        tmp_path,
        f"server:/share {tmp_path} nfs4 rw 0 0",
        f"/dev/vdb {tmp_path}/local ext4 rw 0 0",
        f"s:/ {tmp_path}/lo nfs",
    )
    with open_for_writing(str(tmp_path / "local" / "oomdb.sqlite"), mounts=mounts) as store:
        assert store.warnings == ()


def test_where_there_is_no_table_of_mounts_it_is_local(tmp_path: Path) -> None:
    with open_for_writing(str(tmp_path / "oomdb.sqlite"), mounts=tmp_path / "none") as store:
        assert store.warnings == ()
