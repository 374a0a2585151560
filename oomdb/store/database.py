"""Opening, creating and upgrading a database, and the two verbs `reading` and `writing`."""

import contextlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from oomdb.errors import StoreError
from oomdb.settings import mask_password
from oomdb.store.schema import APPLICATION_ID, REVISION
from oomdb.store.views import create_views, drop_views, list_stale_views

BUSY_TIMEOUT_SECONDS = 30  # how long a writer waits for another one
WAIT_WITHOUT_SIGNALS_MS = 200  # while SQLite itself waits for a lock, Python hears no Ctrl-C
PAUSE_BETWEEN_TRIES_SECONDS = 0.02  # of a change of the journal mode, which takes a few milliseconds
# a page that many transactions change is then written back to the database once for a hundred of them
BULK_CACHE_KIB, BULK_LOG_PAGES = 16 * 1024, 16384
PATIENCE_OF_CLOSE_MS = 1000  # how long a close waits for readers: most are done by then
# file systems whose locks and shared memory WAL cannot rely on (https://sqlite.org/wal.html, "all processes … must be
# on the same host computer")
_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "fuse.ceph",
    "fuse.glusterfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
}
_NO_ROOM_TO_SHARE = (sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE)  # the file beside it cannot grow
_MOUNTS = Path("/proc/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")  # how blanks and backslashes stand in it (fstab(5))


@dataclass(frozen=True, slots=True)
class Migrations:
    """A folder of migrations, as alembic names it, and the newest revision in it."""

    folder: str
    newest: str


OWN_MIGRATIONS = Migrations("oomdb:migrations", REVISION)


class Store:
    """An open database.

    `with store.reading() as conn` sees one consistent state; `with store.writing() as conn` is one transaction that
    takes the write lock at once. Errors of SQLAlchemy and SQLite leave as `StoreError`.
    """

    def __init__(
        self, path: Path, *, engine: Engine, migrations: Migrations = OWN_MIGRATIONS, warnings: tuple[str, ...] = ()
    ) -> None:
        self.path = path
        self.migrations = migrations
        self.warnings = warnings
        self.revision_found: str | None = None  # when it was opened, before any upgrade; None: there was none
        self._engine = engine

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads.

        Raises:
            StoreError: if the database cannot be read.
        """
        with self._speaking_plainly(), self._engine.connect() as conn, conn.begin():
            yield conn

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that writes; it is committed at the end, and rolled back on any exception.

        Raises:
            StoreError: if the database cannot be written: locked for too long, disk full, read-only.
        """
        with self._speaking_plainly(), self._engine.connect() as conn:
            conn = conn.execution_options(oomdb_writes=True)
            with conn.begin():
                yield conn

    def close(self) -> None:
        """Empty the write-ahead log into the database, so that the folder can be copied, and let go of the file."""
        # a reader elsewhere may hold it for long: then the next writer's close does it
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error), self._engine.connect() as conn:
            conn.exec_driver_sql(f"PRAGMA busy_timeout={PATIENCE_OF_CLOSE_MS}")
            conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @contextlib.contextmanager
    def _speaking_plainly(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as err:
            raise StoreError(_explain(self.path, err.orig or err)) from err
        except sqlite3.Error as err:  # of what is told to the driver itself
            raise StoreError(_explain(self.path, err)) from err
        except SQLAlchemyError as err:
            raise StoreError(f"{self.path}: {err}") from err
        except (OverflowError, UnicodeEncodeError) as err:  # the driver's, for integers of 65 bits and lone surrogates
            raise StoreError(f"{self.path}: a value cannot be stored: {err}; nothing of this step was stored.") from err


def database_path(target: str) -> Path:
    """Return the file of a `--db` value: a path, or `sqlite:///path`.

    Raises:
        StoreError: for another database, which is not supported yet, for an in-memory one, and for no path at all.
    """
    path = target if "://" not in target else _path_of_url(target)
    if not path or path == ":memory:" or "\0" in path:
        raise StoreError(f"{mask_password(target)!r} names no file; give --db a path or sqlite:///PATH.")
    try:
        return Path(path).expanduser()
    except RuntimeError as err:
        raise StoreError(f"{path}: no such user's home; give --db the whole path.") from err


def open_for_writing(
    target: str,
    *,
    file_mode: int = 0o600,
    bulk: bool = False,
    busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
    migrations: Migrations = OWN_MIGRATIONS,
    mounts: Path = _MOUNTS,
) -> Store:
    """Open the database of a command that writes: created where there is none, upgraded where it is older.

    An older database is first copied to `<name>.<revision>.<time>.bak`.

    Args:
        target: a path, or `sqlite:///path`.
        file_mode: of a database that is created, whatever the umask.
        bulk: thousands of transactions follow each other: SQLite takes more memory, and 64 MiB of disk for its log.
        busy_timeout_seconds: how long each transaction waits for another writer.
        migrations: those that lead to the newest revision.
        mounts: the system's table of mounted file systems, in the format of /proc/mounts.

    Raises:
        StoreError: if it is not oomdb's, is newer than this oomdb, or cannot be opened or written.
    """
    path = database_path(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not path.exists():
            # made by ourselves, so that neither it nor the log beside it is ever readable by others
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, file_mode))
            path.chmod(file_mode)
    except OSError as err:
        raise StoreError(f"{path}: cannot create the database: {err.strerror}.") from err
    warnings = network_warnings(path, mounts)
    engine = _create_engine(path, wal=not warnings, bulk=bulk, busy_timeout_seconds=busy_timeout_seconds)
    store = Store(path, engine=engine, migrations=migrations, warnings=warnings)
    try:
        _bring_up_to_date(store)
    except BaseException:
        store.close()
        raise
    return store


def open_for_reading(target: str, *, any_revision: bool = False) -> Store:
    """Open the database of a command that only reads: nothing is created or changed.

    Args:
        target: a path, or `sqlite:///path`.
        any_revision: open an older one too; `revision_found` tells which it is.

    Raises:
        StoreError: if there is none, or it is not oomdb's, older (then `oomdb db upgrade` helps) or newer.
    """
    path = database_path(target)
    try:
        there = path.exists()
    except OSError as err:
        raise StoreError(f"{path}: the database cannot be opened: {err.strerror}.") from err
    if not there:
        raise StoreError(f"{path}: there is no database; `oomdb collect` makes one, or say --db or --output.")
    store = Store(path, engine=_create_engine(path, read_only=True))
    try:
        store.revision_found = found = read_revision(store)
        if found is None:
            raise StoreError(f"{path}: the database is empty; run `oomdb collect` or `oomdb db upgrade`.")
        if found != REVISION and not any_revision:
            raise StoreError(
                f"{path}: the database is at revision {found}, older than this oomdb ({REVISION}): "
                "run `oomdb db upgrade`."
            )
    except BaseException:
        store.close()
        raise
    return store


def read_revision(store: Store) -> str | None:
    """Return the revision of the schema, None for an empty file.

    Raises:
        StoreError: if the file is not oomdb's database, or is newer than this oomdb.
    """
    with store.reading() as conn:
        return _checked_revision(conn, store)


def back_up(store: Store, destination: Path) -> Path:
    """Copy the database, consistent even while others write, to a file that must not exist yet.

    Raises:
        StoreError: if the destination exists or cannot be written.
    """
    if destination.exists():
        raise StoreError(f"{destination} exists already; name another file.")
    beside = destination.with_name(f".{destination.name}.part")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, store.path.stat().st_mode & 0o777))
        with (
            contextlib.closing(connect_to_read(store.path)) as source,
            contextlib.closing(sqlite3.connect(beside)) as target,
        ):
            source.backup(target)
        beside.rename(destination)
    except (OSError, sqlite3.Error) as err:
        beside.unlink(missing_ok=True)
        raise StoreError(f"{destination}: cannot write the backup: {err}.") from err
    return destination


def connect_for_alembic(target: str) -> Connection:
    """Open a plain connection for alembic's own command line."""
    return _create_engine(database_path(target)).connect()


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a connection of SQLite's own that cannot write, also where the disk is full.

    SQLite shares a database with other processes by a file beside it, for which a full disk has no room. Then the
    database is opened alone, the log beside it included: other processes wait until the connection is closed.

    Raises:
        sqlite3.Error: if the file cannot be opened or is no database.
    """
    connection = _connect(path, "mode=ro")
    try:
        connection.execute("PRAGMA schema_version")  # the first look at the file is what needs the room
    except sqlite3.Error as err:
        connection.close()
        if getattr(err, "sqlite_errorcode", None) not in _NO_ROOM_TO_SHARE:
            raise
        connection = _connect(path, "mode=rw&vfs=unix-excl")  # by its name (sqlite.org/vfs.html); a lock needs rw
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def refresh_statistics(conn: Connection) -> None:
    """Let the planner know how the data lies; needed after imports, prunes and migrations."""
    conn.exec_driver_sql("PRAGMA analysis_limit=1000")
    conn.exec_driver_sql("ANALYZE")


def _path_of_url(target: str) -> str:
    try:
        url = make_url(target)
    except (ArgumentError, ValueError):
        # not chained: what could not be read may be a part of a password
        raise StoreError("The database URL cannot be read; use a path or sqlite:///PATH.") from None
    if url.get_backend_name() != "sqlite":
        raise StoreError(
            f"'{mask_password(target)}': this version of oomdb stores in SQLite only; "
            "give --db a path or sqlite:///PATH."
        )
    return url.database or ""


def _bring_up_to_date(store: Store) -> None:
    with store.reading() as conn:
        store.revision_found = _checked_revision(conn, store)
        if store.revision_found == store.migrations.newest and not list_stale_views(conn):
            return
    with store._speaking_plainly(), store._engine.connect() as conn:
        # with foreign keys on, batch mode's DROP TABLE deletes the rows that point to the table
        _switch_foreign_keys(conn, on=False)
        conn = conn.execution_options(oomdb_writes=True)
        try:
            with conn.begin():
                _upgrade(conn, store)
        finally:
            _switch_foreign_keys(conn, on=True)


def _switch_foreign_keys(conn: Connection, *, on: bool) -> None:
    # to the driver itself: the pragma does nothing inside a transaction, and SQLAlchemy begins one by any statement
    _driver_of(conn).execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")


def _driver_of(conn: Connection) -> sqlite3.Connection:
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _upgrade(conn: Connection, store: Store) -> None:
    """Bring the schema and the views up to date, inside a transaction that has the write lock."""
    found = _checked_revision(conn, store)
    backup = None
    if found == store.migrations.newest:
        if list_stale_views(conn):  # else another process was quicker
            drop_views(conn)
            create_views(conn)
        return
    if found is not None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        backup = back_up(store, store.path.with_name(f"{store.path.name}.{found}.{stamp}.bak"))
    try:
        drop_views(conn)
        _run_migrations(conn, store)
        create_views(conn)
        broken = conn.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StoreError(f"{store.path}: the upgrade would break references ({len(broken)}); not done.")
        conn.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        refresh_statistics(conn)
    except BaseException:
        if backup is not None:
            backup.unlink(missing_ok=True)  # the database stays as it is, and each try would leave one more
        raise


def _run_migrations(conn: Connection, store: Store) -> None:
    # half a second to import, needed only here
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", store.migrations.folder.replace("%", "%%"))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, "head")
    except CommandError as err:
        raise StoreError(f"{store.path}: the upgrade failed: {err}") from err


def _checked_revision(conn: Connection, store: Store) -> str | None:
    path, newest = store.path, store.migrations.newest
    application = conn.exec_driver_sql("PRAGMA application_id").scalar()
    tables = set(conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    if not tables and application in (0, APPLICATION_ID):
        return None
    if application != APPLICATION_ID or "alembic_version" not in tables:
        raise StoreError(f"{path} is a SQLite database, but not one of oomdb's; say --db with another path.")
    found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is None or not found.isdecimal() or int(found) > int(newest):
        raise StoreError(
            f"{path}: the database is at revision {found}, newer than this oomdb ({newest}): upgrade oomdb."
        )
    return str(found)


def _create_engine(
    path: Path,
    *,
    wal: bool = True,
    read_only: bool = False,
    bulk: bool = False,
    busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=lambda: (
            connect_to_read(path) if read_only else _connect(path, "mode=rw", busy_timeout_seconds=busy_timeout_seconds)
        ),
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        if not read_only:
            # the journal mode is written into the file, and a foreign one shall be refused as it was
            if _is_empty_or_ours(connection):
                _set_journal_mode(connection, "WAL" if wal else "DELETE", patience_seconds=busy_timeout_seconds)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA secure_delete=OFF")
        if bulk:
            connection.execute(f"PRAGMA cache_size=-{BULK_CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint={BULK_LOG_PAGES}")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        # a deferred BEGIN that turns into a writer fails at once where another one holds the lock
        if conn.get_execution_options().get("oomdb_writes"):
            _begin_to_write(_driver_of(conn), patience_seconds=busy_timeout_seconds)
        else:
            _driver_of(conn).execute("BEGIN")

    return engine


def _connect(path: Path, options: str, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> sqlite3.Connection:
    """Open an existing file, whatever characters are in its path."""
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{options}",
        uri=True,
        timeout=busy_timeout_seconds,
        isolation_level=None,  # every BEGIN is ours
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )


def _begin_to_write(connection: sqlite3.Connection, *, patience_seconds: float) -> None:
    """Begin a transaction that has the write lock, waiting for other writers in short slices."""
    deadline = time.monotonic() + patience_seconds
    connection.execute(f"PRAGMA busy_timeout={min(WAIT_WITHOUT_SIGNALS_MS, round(patience_seconds * 1000))}")
    try:
        while not _take_write_lock(connection, last_try=time.monotonic() > deadline):
            pass
    finally:
        connection.execute(f"PRAGMA busy_timeout={round(patience_seconds * 1000)}")


def _take_write_lock(connection: sqlite3.Connection, *, last_try: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as err:
        if err.sqlite_errorcode != sqlite3.SQLITE_BUSY or last_try:
            raise
        return False
    return True


def _is_empty_or_ours(connection: sqlite3.Connection) -> bool:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(pages == 0 or application == APPLICATION_ID)


def _set_journal_mode(connection: sqlite3.Connection, mode: str, *, patience_seconds: float) -> None:
    # SQLite does not wait for its turn here: of two that make one new database, the later would fail at once
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode={mode}")
        except sqlite3.OperationalError as err:
            if err.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_BETWEEN_TRIES_SECONDS)
        else:
            return


def network_warnings(path: Path, mounts: Path = _MOUNTS) -> tuple[str, ...]:
    """Return what there is to say of the file system that a database lies on; nothing of a local one.

    Args:
        path: of the database, which need not exist.
        mounts: the system's table of mounted file systems, in the format of /proc/mounts.
    """
    kind = _file_system(path, mounts)
    if kind not in _NETWORK_FILE_SYSTEMS:
        return ()
    return (
        f"{path} lies on a network file system ({kind}): slower and less safe for several writers at a time; "
        "a local disk is better.",
    )


def _file_system(path: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""  # not Linux: unknown is treated as local
    real = str(path.resolve())
    found, longest = "", 0
    for line in lines:
        fields = line.split(" ")
        if len(fields) > 2:
            mount_point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
            # of two on one folder the later one counts: the automounter's own stands before what it mounted
            if _lies_below(real, mount_point) and len(mount_point) >= longest:
                found, longest = fields[2], len(mount_point)
    return found


def _lies_below(path: str, mount_point: str) -> bool:
    return mount_point == "/" or path == mount_point or path.startswith(mount_point + "/")


def _count_free_mib(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free // 2**20
    except OSError:
        return None


def _explain(path: Path, err: BaseException) -> str:
    said = str(err)
    if "file is not a database" in said:
        return f"{path} is not a SQLite database; say --db with another path."
    if "malformed" in said:
        return f"{path}: the database is damaged ({said}); run `oomdb db check`, or restore a backup."
    free_mib = _count_free_mib(path)
    # where no byte is left, SQLite cannot make the files beside the database either, and calls that an I/O error
    if "database or disk is full" in said or ("disk I/O error" in said and free_mib == 0):
        return f"{path}: the disk is full ({free_mib} MiB free); nothing of this step was stored: free some space."
    if "locked" in said:
        return f"{path}: another process has been writing for too long; try again when it is done."
    if path.is_dir():
        return f"{path} is a folder; say --db with the path of a file in it, such as {path / 'oomdb.sqlite'}."
    if "unable to open" in said or "readonly" in said:
        return (
            f"{path}: cannot be opened ({said}). SQLite needs to write a log beside it, also to read: make the folder "
            "writable for you, or copy the folder."
        )
    if "disk I/O error" in said:
        return f"{path}: the disk does not do what it should ({said}); nothing of this step was stored: check the disk."
    return f"{path}: {said}"
