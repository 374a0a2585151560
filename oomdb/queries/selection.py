"""Which run is meant: by number, or the latest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, exists, select

from oomdb.errors import UsageError
from oomdb.store.schema import run_clusters, runs

READ = ("complete", "partial")  # states of a cluster, or of a run, in which something was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that can be reported."""

    id: int
    started_at: datetime
    status: str
    origin: str
    scope: str
    time_range: str


def find_latest_run(conn: Connection) -> Run | None:
    """Return the newest run of scope 'all' that read at least one cluster, else the newest that did, else None."""
    read_something = exists().where(run_clusters.c.run_id == runs.c.id, run_clusters.c.status.in_(READ))
    newest = select(runs).where(runs.c.status.in_(READ), read_something).order_by(*_newest_first()).limit(1)
    # two statements: ordered by "scope is all" first, one statement would read every run
    row = conn.execute(newest.where(runs.c.scope == "all")).first() or conn.execute(newest).first()
    return _run_of(row) if row else None


def find_run(conn: Connection, wanted: Literal["latest"] | int) -> Run:
    """Return the run that is wanted.

    Raises:
        UsageError: if there is no such run, or it cannot be reported (running, aborted).
    """
    if wanted == "latest":
        latest = find_latest_run(conn)
        if latest is None:
            raise UsageError("No run has read a cluster yet: run `oomdb collect`; `oomdb runs` lists what there is.")
        return latest
    row = conn.execute(select(runs).where(runs.c.id == wanted)).first()
    if row is None:
        raise UsageError(f"There is no run {wanted}; `oomdb runs` lists them.")
    if row.status not in READ:
        raise UsageError(f"Run {wanted} is {row.status}; `oomdb runs` lists those that are complete or partial.")
    return _run_of(row)


def find_newer_of_other_scope(conn: Connection, run: Run) -> Run | None:
    """Return the newest readable run that is newer than `run` and of another scope, None where there is none."""
    row = conn.execute(
        select(runs)
        .where(runs.c.status.in_(READ), runs.c.scope != run.scope, runs.c.started_at > run.started_at)
        .order_by(*_newest_first())
        .limit(1)
    ).first()
    return _run_of(row) if row else None


def _newest_first() -> tuple[Any, Any]:
    return runs.c.started_at.desc(), runs.c.id.desc()


def _run_of(row: Any) -> Run:
    return Run(
        id=row.id,
        started_at=row.started_at,
        status=row.status,
        origin=row.origin,
        scope=row.scope,
        time_range=row.time_range,
    )
