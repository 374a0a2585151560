"""Opening, creating and upgrading a database, and the two verbs `reading` and `writing`."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from oomdb.errors import StoreError
from oomdb.store.schema import APPLICATION_ID, REVISION
from oomdb.store.views import create_views, drop_views

PAGE_BYTES = 8192  # rows of 300 to 450 bytes leave less of a page unused than in SQLite's 4096
BUSY_TIMEOUT_SECONDS = 30  # how long a writer waits for another one
# file systems whose locks and shared memory WAL cannot rely on (https://sqlite.org/wal.html, "all processes … must be
# on the same host computer")
_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
}


class Store:
    """An open database.

    `with store.reading() as conn` sees one consistent state; `with store.writing() as conn` is one transaction that
    takes the write lock at once. Errors of SQLAlchemy and SQLite leave as `StoreError`.
    """

    def __init__(self, path: Path, *, engine: Engine, warnings: tuple[str, ...] = ()) -> None:
        self.path = path
        self.warnings = warnings
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
        # a reader elsewhere may hold it: then that reader's close does it
        with contextlib.suppress(SQLAlchemyError), self._engine.connect() as conn:
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
        except SQLAlchemyError as err:
            raise StoreError(f"{self.path}: {err}") from err


def database_path(target: str) -> Path:
    """Return the file of a `--db` value: a path, or `sqlite:///path`.

    Raises:
        StoreError: for another database, which is not supported yet, and for an in-memory one.
    """
    if "://" not in target:
        return Path(target).expanduser()
    try:
        url = make_url(target)
    except ArgumentError as err:
        raise StoreError("The database URL cannot be read; use a path or sqlite:///PATH.") from err
    if url.get_backend_name() != "sqlite":
        raise StoreError(
            f"'{url.render_as_string(hide_password=True)}': this version of oomdb stores in SQLite only; "
            "give --db a path or sqlite:///PATH."
        )
    if not url.database or url.database == ":memory:":
        raise StoreError(f"'{target}' names no file; give --db a path or sqlite:///PATH.")
    return Path(url.database).expanduser()


def open_for_writing(target: str, *, file_mode: int = 0o600) -> Store:
    """Open the database of a command that writes: created where there is none, upgraded where it is older.

    An older database is first copied to `<name>.<revision>.bak`.

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
    warnings = _network_warning(path)
    store = Store(path, engine=_create_engine(path, wal=not warnings), warnings=warnings)
    try:
        _bring_up_to_date(store)
    except BaseException:
        store.close()
        raise
    return store


def open_for_reading(target: str) -> Store:
    """Open the database of a command that only reads: nothing is created or changed.

    Raises:
        StoreError: if there is none, or it is not oomdb's, older (then `oomdb db upgrade` helps) or newer.
    """
    path = database_path(target)
    if not path.exists():
        raise StoreError(f"{path}: there is no database; `oomdb collect` makes one, or say --db or --output.")
    store = Store(path, engine=_create_engine(path, read_only=True))
    try:
        found = read_revision(store)
        if found is None:
            raise StoreError(f"{path}: the database is empty; run `oomdb collect` or `oomdb db upgrade`.")
        if found != REVISION:
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
        return _checked_revision(conn, store.path)


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
            contextlib.closing(sqlite3.connect(_uri(store.path, read_only=True), uri=True)) as source,
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


def _bring_up_to_date(store: Store) -> None:
    found = read_revision(store)
    if found == REVISION:
        return
    if found is not None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        back_up(store, store.path.with_name(f"{store.path.name}.{found}.{stamp}.bak"))
    _upgrade(store)


def _upgrade(store: Store) -> None:
    # half a second to import, needed only here
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", "oomdb:migrations")
    with store._speaking_plainly(), store._engine.connect() as conn:
        # with foreign keys on, batch mode's DROP TABLE deletes the rows that point to the table; and the pragma does
        # nothing inside a transaction
        conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
        conn.rollback()
        conn = conn.execution_options(oomdb_writes=True)
        try:
            with conn.begin():
                if _checked_revision(conn, store.path) == REVISION:
                    return  # another process was quicker
                drop_views(conn)
                config.attributes["connection"] = conn
                command.upgrade(config, "head")
                create_views(conn)
                broken = conn.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                if broken:
                    raise StoreError(f"{store.path}: the upgrade would break references ({len(broken)}); not done.")
                conn.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        except CommandError as err:
            raise StoreError(f"{store.path}: the upgrade failed: {err}") from err
        finally:
            conn.exec_driver_sql("PRAGMA foreign_keys=ON")
            conn.rollback()
    with store.writing() as conn:
        refresh_statistics(conn)


def refresh_statistics(conn: Connection) -> None:
    """Let the planner know how the data lies; needed after imports, prunes and migrations."""
    conn.exec_driver_sql("PRAGMA analysis_limit=1000")
    conn.exec_driver_sql("ANALYZE")


def _checked_revision(conn: Connection, path: Path) -> str | None:
    application = conn.exec_driver_sql("PRAGMA application_id").scalar()
    tables = set(conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    if not tables and application in (0, APPLICATION_ID):
        return None
    if application != APPLICATION_ID or "alembic_version" not in tables:
        raise StoreError(f"{path} is a SQLite database, but not one of oomdb's; say --db with another path.")
    found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is None or not found.isdigit() or int(found) > int(REVISION):
        raise StoreError(
            f"{path}: the database is at revision {found}, newer than this oomdb ({REVISION}): upgrade oomdb."
        )
    return str(found)


def _create_engine(path: Path, *, wal: bool = True, read_only: bool = False) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=lambda: sqlite3.connect(
            _uri(path, read_only=read_only),
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,  # BEGIN is ours, see below
            check_same_thread=False,  # the pool hands a connection to one thread at a time
        ),
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        if not read_only:
            cursor.execute(f"PRAGMA page_size={PAGE_BYTES}")  # heeded by a new file only
            cursor.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute("PRAGMA secure_delete=OFF")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(conn: Connection) -> None:
        # a deferred BEGIN that turns into a writer fails at once where another one holds the lock
        conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get("oomdb_writes") else "BEGIN")

    return engine


def _uri(path: Path, *, read_only: bool = False) -> str:
    return f"file:{quote(str(path.absolute()))}?mode={'ro' if read_only else 'rw'}"


def _network_warning(path: Path) -> tuple[str, ...]:
    kind = _file_system(path)
    if kind not in _NETWORK_FILE_SYSTEMS:
        return ()
    return (
        f"{path} lies on a network file system ({kind}): slower and less safe for several writers at a time; "
        "a local disk is better.",
    )


def _file_system(path: Path) -> str:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""  # not Linux: unknown is treated as local
    real = str(path.resolve())
    best = max(
        (mount for mount in mounts if len(mount) > 2 and _lies_below(real, mount[1])),
        key=lambda mount: len(mount[1]),
        default=["", "", ""],
    )
    return best[2]


def _lies_below(path: str, mount_point: str) -> bool:
    return mount_point == "/" or path == mount_point or path.startswith(mount_point + "/")


def _explain(path: Path, err: BaseException) -> str:
    said = str(err)
    if "file is not a database" in said:
        return f"{path} is not a SQLite database; say --db with another path."
    if "malformed" in said:
        return f"{path}: the database is damaged ({said}); run `oomdb db check`, or restore a backup."
    if "database or disk is full" in said:
        free = shutil.disk_usage(path.parent).free // 2**20
        return f"{path}: the disk is full ({free} MiB free); nothing of this step was stored."
    if "locked" in said:
        return f"{path}: another process has been writing for {BUSY_TIMEOUT_SECONDS} s; try again."
    if "unable to open" in said or "readonly" in said:
        return (
            f"{path}: cannot be opened ({said}). SQLite needs to write a log beside it, also to read: make the folder "
            "writable for you, or copy the folder."
        )
    return f"{path}: {said}"
