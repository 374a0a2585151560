"""How the database is, and when each cluster was last read: what `oomdb doctor` asks of the store."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from sqlalchemy import ColumnElement, and_, func, or_, select

from oomdb.errors import StoreError
from oomdb.model import Check, CheckStatus
from oomdb.queries.lists import KNOWN_FOR
from oomdb.queries.namespaces import parse_named
from oomdb.store.checks import check_file
from oomdb.store.database import Store, database_path, network_warnings, open_for_reading
from oomdb.store.runs import list_abandoned_runs, process_is_alive
from oomdb.store.schema import REVISION, run_clusters, runs
from oomdb.timespan import format_for_people


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRequest:
    """Which database to look at, and what to expect of it.

    `clusters` are those that should have been read; None for all that are known of. `names`: of them only these
    namespaces; empty for all. A cluster that was last read longer ago than `max_age` fails; with None no age does.
    Instants are told in `zone`.
    """

    target: str
    clusters: Sequence[str] | None
    names: Sequence[str] = ()
    max_age: timedelta | None
    now: datetime
    zone: tzinfo | None


def check_database(request: DatabaseRequest, *, is_alive: Callable[[int], bool] = process_is_alive) -> list[Check]:
    """Look at the database without changing it: the file, its revision, runs cut short, each cluster's last read."""
    try:
        path = database_path(request.target)
        if not os.path.lexists(path):
            return [_tell_missing(request)]
        with open_for_reading(request.target, any_revision=True) as store:
            checks = list(_check_file(store))
            if store.revision_found == REVISION and checks[0].status != "failed":
                checks += _check_runs(store, request.now, is_alive)
                checks += _check_last_reads(store, request)
            return checks
    except StoreError as err:
        return [_build("failed", "file", str(err))]


def _tell_missing(request: DatabaseRequest) -> Check:
    # before the first collect that is as it should be, unless somebody expects clusters to have been read
    status: CheckStatus = "warning" if request.max_age is None else "failed"
    told = f"{database_path(request.target)} is not there: no cluster was ever read into it"
    return _build(status, "file", told, "`oomdb collect` makes it; or say --db or --output.")


def _check_file(store: Store) -> Iterator[Check]:
    damage = check_file(store)
    if damage:
        yield _build("failed", "file", f"{store.path} is damaged: {damage[0].examples[0]}", damage[0].advice)
    else:
        yield _build("ok", "file", f"{store.path} is whole, at revision {store.revision_found}")
    if store.revision_found != REVISION:
        told = f"is at revision {store.revision_found}, older than this oomdb ({REVISION}): nothing can be read from it"
        yield _build("warning", "revision", told, "run `oomdb db upgrade`; the next collect would do it too.")
    for warning in network_warnings(store.path):
        yield _build("warning", "file system", warning)


def _check_runs(store: Store, now: datetime, is_alive: Callable[[int], bool]) -> Iterator[Check]:
    abandoned = list_abandoned_runs(store, now=now, is_alive=is_alive)
    if abandoned:
        told = f"runs that were cut short and still count as running: {', '.join(map(str, abandoned))}"
        yield _build("warning", "runs", told, "the next collect closes them; look why their processes ended.")


# --- when each cluster was last read ----------------------------------------------------------------------------------


_NO_ATTEMPT = ("skipped", "unknown")  # states of a cluster that was not to be read, or is not read yet


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One run's part of a cluster; attempts are ordered by (at, run_id)."""

    cluster: str
    scope: str
    at: datetime
    run_id: int
    status: str
    error: str


def _check_last_reads(store: Store, request: DatabaseRequest) -> list[Check]:
    scan = run_clusters.c
    # a scan that is partial may have seen no pod at all, where they are forbidden
    is_read = or_(scan.status == "complete", and_(scan.status == "partial", scan.pods_seen.is_not(None)))
    reads = _list_newest(store, request, is_read)
    failures = _list_newest(store, request, and_(~is_read, scan.status.not_in(_NO_ATTEMPT)))
    known = {attempt.cluster for attempt in (*reads, *failures)}
    clusters = request.clusters if request.clusters is not None else sorted(known)
    return [_judge(cluster, reads, failures, request) for cluster in clusters]


def _list_newest(store: Store, request: DatabaseRequest, is_meant: ColumnElement[bool]) -> list[_Attempt]:
    """Return by cluster and scope the newest attempt of the last thirty days that is meant, oldest first."""
    newest_first = (runs.c.started_at.desc(), runs.c.id.desc())
    place = func.row_number().over(partition_by=(run_clusters.c.cluster, runs.c.scope), order_by=newest_first)
    told = (run_clusters.c.cluster, run_clusters.c.status, run_clusters.c.error)
    attempts = (
        select(*told, runs.c.started_at, runs.c.id, runs.c.scope, place.label("place"))
        .join_from(runs, run_clusters)
        .where(runs.c.started_at.between(request.now - KNOWN_FOR, request.now), is_meant)
        .subquery()
    )
    rows = select(attempts).where(attempts.c.place == 1).order_by(attempts.c.started_at, attempts.c.id)
    with store.reading() as conn:
        return [
            _Attempt(row.cluster, row.scope, row.started_at, row.id, row.status, row.error)
            for row in conn.execute(rows)
        ]


def _find_newest(attempts: Sequence[_Attempt], cluster: str, names: Sequence[str]) -> _Attempt | None:
    """Return the newest attempt at a cluster that looked at these namespaces, at all of them where none is named."""
    wanted = (it for it in reversed(attempts) if it.cluster == cluster and _looks_at(it.scope, names))
    return next(wanted, None)


def _looks_at(scope: str, names: Sequence[str]) -> bool:
    named = parse_named(scope)
    return not named or (bool(names) and named.issuperset(names))


def _judge(cluster: str, reads: Sequence[_Attempt], failures: Sequence[_Attempt], request: DatabaseRequest) -> Check:
    read, failure = (_find_newest(attempts, cluster, request.names) for attempts in (reads, failures))
    if read and failure and (failure.at, failure.run_id) < (read.at, read.run_id):
        failure = None  # it was read since
    told = f"not read in the last {KNOWN_FOR.days} days"
    if any(attempt.cluster == cluster for attempt in reads):
        told += ", but for other namespaces (-n)" if request.names else ", but for some namespaces (-n)"
    if read:
        told = f"last read {format_for_people(read.at, request.zone)} ({_show_age(request.now - read.at)} ago)"
    if failure:
        told += f"; tried {format_for_people(failure.at, request.zone)}: {failure.error or failure.status}"
    too_old = request.max_age is not None and (read is None or request.now - read.at > request.max_age)
    status: CheckStatus = "failed" if too_old else "warning" if failure or not read else "ok"
    advice = (
        "" if failure or status == "ok" else "look whether its collect still runs: `oomdb runs` lists the last ones."
    )
    return Check(subject=cluster, name="last read", status=status, message=told, advice=advice)


def _build(status: CheckStatus, name: str, message: str, advice: str = "") -> Check:
    return Check(subject="database", name=name, status=status, message=message, advice=advice)


def _show_age(age: timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    if minutes < 2 * 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2 * 24 * 60 else f"{minutes // (24 * 60)} d"
