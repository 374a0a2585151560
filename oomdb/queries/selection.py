"""Which run is meant: by number, or the latest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from oomdb.errors import NothingReadError, UsageError
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
    newest = select(runs).where(runs.c.status.in_(READ), _READ_SOMETHING).order_by(*_newest_first()).limit(1)
    # two statements: ordered by "scope is all" first, one statement would read every run
    row = conn.execute(newest.where(runs.c.scope == "all")).first() or conn.execute(newest).first()
    return _run_of(row) if row else None


def find_last_attempt(conn: Connection) -> Run | None:
    """Return the newest run that came to its end, whether it read a cluster or not, None for none."""
    row = conn.execute(select(runs).where(runs.c.status.in_(READ)).order_by(*_newest_first()).limit(1)).first()
    return _run_of(row) if row else None


def find_run(conn: Connection, wanted: Literal["latest"] | int, *, any_status: bool = False) -> Run:
    """Return the run that is wanted.

    Raises:
        NothingReadError: if no run has read a cluster, and the latest is wanted.
        UsageError: if there is no such run, or it cannot be reported (running, aborted) and `any_status` is not set.
    """
    if wanted == "latest":
        latest = find_latest_run(conn)
        if latest is None:
            raise _explain_unread(conn)
        return latest
    row = conn.execute(select(runs).where(runs.c.id == wanted)).first()
    if row is None:
        raise UsageError(f"There is no run {wanted}; `oomdb runs` lists them.")
    if row.status not in READ and not any_status:
        raise UsageError(f"Run {wanted} is {row.status}; `oomdb runs` lists those that are complete or partial.")
    return _run_of(row)


def find_reportable_run(conn: Connection, wanted: Literal["latest"] | int) -> Run:
    """Return the run that is wanted, where it read at least one cluster: of another one there is nothing to tell.

    Raises:
        NothingReadError: if no run has read a cluster, and the latest is wanted.
        UsageError: if there is no such run, it cannot be reported, or it could read no cluster.
    """
    run = find_run(conn, wanted)
    if conn.execute(select(runs.c.id).where(runs.c.id == run.id, _READ_SOMETHING)).first() is None:
        raise UsageError(
            f"Run {run.id} could read no cluster: there is nothing to report. `oomdb coverage --run {run.id}` "
            "says why, `oomdb runs` lists the others."
        )
    return run


def find_previous_run(conn: Connection, run: Run) -> Run | None:
    """Return the newest run of the same scope that is older than `run` and read a cluster, None for none."""
    begun = runs.c.started_at
    earlier = and_(begun <= run.started_at, or_(begun < run.started_at, runs.c.id < run.id))
    same = select(runs).where(runs.c.scope == run.scope, runs.c.status.in_(READ), earlier, _READ_SOMETHING)
    row = conn.execute(same.order_by(*_newest_first()).limit(1)).first()
    return _run_of(row) if row else None


def find_newer_of_other_scope(conn: Connection, run: Run) -> Run | None:
    """Return the newest run of another scope that read a cluster and is newer than `run`, None for none."""
    return _find_newest_after(conn, run, _READ_SOMETHING, runs.c.scope != run.scope)


def find_newer_unread(conn: Connection, run: Run) -> Run | None:
    """Return the newest run that could read no cluster and is newer than `run`, None for none."""
    return _find_newest_after(conn, run, ~_READ_SOMETHING)


def _explain_unread(conn: Connection) -> NothingReadError:
    tried = conn.execute(select(func.count()).where(runs.c.status.in_(READ))).scalar_one()
    told = (
        f"{tried} tried and could read none: `oomdb coverage` says why."
        if tried
        else "run `oomdb collect`; `oomdb runs` lists what there is."
    )
    return NothingReadError(f"No run has read a cluster yet: {told}")


_READ_SOMETHING = exists().where(run_clusters.c.run_id == runs.c.id, run_clusters.c.status.in_(READ))


def _find_newest_after(conn: Connection, run: Run, *conditions: ColumnElement[bool]) -> Run | None:
    begun = runs.c.started_at
    # the first term is what the index on started_at answers
    later = and_(begun >= run.started_at, or_(begun > run.started_at, runs.c.id > run.id))
    newest = select(runs).where(runs.c.status.in_(READ), later, *conditions).order_by(*_newest_first()).limit(1)
    row = conn.execute(newest).first()
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
