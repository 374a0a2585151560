"""Runs: begin, give signs of life, finish; and close what a killed process left open."""

import hashlib
import os
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from oomdb.store.database import Store
from oomdb.store.schema import run_clusters, runs

SILENCE_OF_THE_DEAD = timedelta(minutes=2)  # a process of ours that is gone, and a heartbeat older than this
SILENCE_OF_STRANGERS = timedelta(minutes=15)  # another host's process cannot be looked up
_READ = ("complete", "partial")  # states of a cluster of which something was read
_CUT_SHORT = "the run was cut short before this cluster was recorded"

# built once: building a statement costs more than running it
_BEGIN = insert(runs)
_STATES = select(run_clusters.c.status).where(run_clusters.c.run_id == bindparam("run"))
_FINISH = update(runs).where(runs.c.id == bindparam("run"))
_FAIL_THE_REST = update(run_clusters).where(
    run_clusters.c.run_id == bindparam("run"), run_clusters.c.status == "unknown"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What is known of a run when it begins; `arguments` and `scope` bear no passwords."""

    started_at: datetime
    origin: str
    time_range: str
    lookback: timedelta
    scope: str
    scope_hash: str
    tool_version: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRun:
    """A run of another process that is alive."""

    id: int
    started_at: datetime
    host: str
    pid: int | None


def hash_scope(scope: str) -> str:
    """Return a short hash of a scope's text; `all` stays readable."""
    return scope if scope == "all" else hashlib.blake2b(scope.encode("utf-8", "replace"), digest_size=8).hexdigest()


def begin_run(store: Store, start: RunStart, *, now: datetime) -> int:
    """Record a run as `running` and return its number."""
    with store.writing() as conn:
        return _insert_run(conn, start, now)


def begin_run_alone(
    store: Store, start: RunStart, *, now: datetime, is_alive: Callable[[int], bool]
) -> int | RunningRun:
    """Begin a run, unless a living process runs one of the same scope: then return that one.

    Look and begin are one transaction, so that of two that start together one begins.
    """
    with store.writing() as conn:
        for run in _running(conn):
            if run.scope_hash == start.scope_hash and not _is_abandoned(run, now=now, is_alive=is_alive):
                return RunningRun(id=run.id, started_at=run.started_at, host=run.host, pid=run.pid)
        return _insert_run(conn, start, now)


def beat(store: Store, run_id: int, *, now: datetime) -> None:
    """Give a sign of life, so that nobody takes the run for abandoned."""
    with store.writing() as conn:
        conn.execute(update(runs).where(runs.c.id == run_id, runs.c.status == "running").values(heartbeat_at=now))


def finish_run(store: Store, run_id: int, *, now: datetime) -> str:
    """Close a run and return its status.

    `complete` where every cluster was read in full; `partial` where something is missing, even everything; `aborted`
    where no cluster's part was recorded at all.
    """
    with store.writing() as conn:
        states = set(conn.execute(_STATES, {"run": run_id}).scalars())
        status = "aborted" if not states else "complete" if states <= {"complete", "skipped"} else "partial"
        conn.execute(_FINISH, {"run": run_id, "status": status, "finished_at": now, "heartbeat_at": now})
    return status


def interrupt_run(store: Store, run_id: int, *, now: datetime) -> str:
    """Close a run that its user stopped: `partial` if one cluster was read, else `aborted`; return which."""
    with store.writing() as conn:
        return _cut_short(conn, run_id, finished_at=now)


def close_abandoned_runs(store: Store, *, now: datetime, is_alive: Callable[[int], bool]) -> list[int]:
    """Close the runs whose process was killed, and return their numbers; a living peer is left alone.

    Abandoned: on this host with a dead process and no heartbeat for two minutes (containers share host names and
    process numbers), or no heartbeat for fifteen minutes wherever it ran.
    """
    closed = []
    with store.writing() as conn:
        for run in _running(conn):
            if _is_abandoned(run, now=now, is_alive=is_alive):
                _cut_short(conn, run.id, finished_at=run.heartbeat_at)
                closed.append(run.id)
    return closed


def list_abandoned_runs(store: Store, *, now: datetime, is_alive: Callable[[int], bool]) -> list[int]:
    """Return the numbers of the runs that `close_abandoned_runs` would close; nothing is written."""
    with store.reading() as conn:
        return [run.id for run in _running(conn) if _is_abandoned(run, now=now, is_alive=is_alive)]


def list_origins(store: Store) -> set[str]:
    """Return where the store's runs come from: collect, import, ingest, demo."""
    with store.reading() as conn:
        return set(conn.execute(select(runs.c.origin).distinct()).scalars())


def process_is_alive(pid: int) -> bool:
    """Tell whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def _insert_run(conn: Connection, start: RunStart, now: datetime) -> int:
    row = conn.execute(
        _BEGIN,
        {
            "uid": uuid.uuid4().hex,
            "started_at": start.started_at,
            "status": "running",
            "origin": start.origin,
            "time_range": start.time_range,
            "lookback_seconds": int(start.lookback.total_seconds()),
            "scope": start.scope,
            "scope_hash": start.scope_hash,
            "tool_version": start.tool_version,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "heartbeat_at": now,
            "arguments": start.arguments,
        },
    )
    return int(row.inserted_primary_key[0])  # type: ignore[index]  # an insert of one row always has its key


def _running(conn: Connection) -> Sequence[Any]:
    return conn.execute(select(runs).where(runs.c.status == "running").order_by(runs.c.id)).all()


def _is_abandoned(run: Any, *, now: datetime, is_alive: Callable[[int], bool]) -> bool:
    silence = now - (run.heartbeat_at or run.started_at)
    if silence > SILENCE_OF_STRANGERS:
        return True
    ours = run.host == socket.gethostname() and run.pid is not None
    return ours and silence > SILENCE_OF_THE_DEAD and not is_alive(run.pid)


def _cut_short(conn: Connection, run_id: int, *, finished_at: datetime | None) -> str:
    """Close a run that did not come to its end; the clusters that it was still to read failed."""
    read = conn.execute(
        select(func.count()).where(run_clusters.c.run_id == run_id, run_clusters.c.status.in_(_READ))
    ).scalar_one()
    status = "partial" if read else "aborted"
    conn.execute(_FAIL_THE_REST, {"run": run_id, "status": "failed", "error": _CUT_SHORT})
    conn.execute(_FINISH, {"run": run_id, "status": status, "finished_at": finished_at, "heartbeat_at": finished_at})
    return status
