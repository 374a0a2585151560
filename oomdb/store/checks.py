"""What must hold in a database and between it and the artifact files; and what a database is, in a few lines."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Table,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)

from oomdb.errors import StoreError
from oomdb.store.database import Store
from oomdb.store.dialect import stored_day
from oomdb.store.folding import finding_key
from oomdb.store.schema import (
    artifacts,
    daily_counts,
    findings,
    namespaces,
    occurrences,
    pods,
    run_clusters,
    run_counts,
    runs,
)
from oomdb.store.views import list_stale_views
from oomdb.table import Cell

_EXAMPLES = 5  # of one problem; the first ones tell what kind it is
_RESTORE = "Restore a backup (`oomdb db backup` makes them), and report it: oomdb does not write such rows."


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that does not hold: what, how many times, some of them, and what to do."""

    what: str
    count: int
    examples: tuple[str, ...]
    advice: str


def check_database(store: Store) -> list[Problem]:
    """Check the file and everything that must hold between its tables; an empty list is a clean database.

    A file that is damaged is reported alone: what else were found in it would mean nothing.
    """
    try:
        with store.reading() as conn:
            damage = _check_pages(conn, "integrity_check")
            return damage or [problem for check in _CHECKS for problem in check(conn, store)]
    except StoreError as err:
        return [_damaged([str(err)])]


def check_file(store: Store) -> list[Problem]:
    """Check that the file is whole, and nothing else: reads all of it once, without comparing indexes with tables."""
    try:
        with store.reading() as conn:
            return _check_pages(conn, "quick_check")
    except StoreError as err:
        return [_damaged([str(err)])]


def check_artifacts(store: Store, output: Path, *, with_contents: bool = False) -> list[Problem]:
    """Check that every artifact file that the database names is there with its size.

    Args:
        output: the output folder, to which the paths in the database are relative.
        with_contents: also compare each file's SHA-256; reads all of them.

    Raises:
        StoreError: if the database cannot be read.
    """
    found: dict[str, _Tally] = {what: _Tally() for what in _ARTIFACT_ADVICE}
    root = output.resolve()
    query = select(artifacts.c.path, artifacts.c.size_bytes, artifacts.c.sha256).where(artifacts.c.path != "")
    with store.reading() as conn:
        for row in conn.execute(query):
            what = _judge_file(root, row.path, row.size_bytes, row.sha256 if with_contents else "")
            if what:
                found[what].add(repr(row.path))
    return [problem for what, tally in found.items() for problem in _problems(what, tally, _ARTIFACT_ADVICE[what])]


def database_info(store: Store) -> list[tuple[str, Cell]]:
    """Return what the database is, as pairs of a label and a value.

    Raises:
        StoreError: if the database cannot be read.
    """
    with store.reading() as conn:

        def ask(query: Select[Any]) -> Cell:
            value: Cell = conn.execute(query).scalar()
            return value

        def count(table: Any) -> Cell:
            return ask(select(func.count()).select_from(table))

        def pragma(name: str) -> Any:
            return conn.exec_driver_sql(f"PRAGMA {name}").scalar()

        return [
            ("path", str(store.path.absolute())),
            ("size in bytes", pragma("page_count") * pragma("page_size")),
            ("free pages", pragma("freelist_count")),
            ("page size in bytes", pragma("page_size")),
            ("revision", conn.execute(text("SELECT version_num FROM alembic_version")).scalar()),
            ("journal mode", pragma("journal_mode")),
            ("runs", count(runs)),
            ("first run", ask(select(func.min(runs.c.started_at)))),
            ("last run", ask(select(func.max(runs.c.started_at)))),
            ("clusters", ask(select(func.count(run_clusters.c.cluster.distinct())))),
            ("findings", count(findings)),
            ("occurrences", count(occurrences)),
            ("artifacts", count(artifacts)),
        ]


class _Tally:
    """Counts what was found and keeps the first examples."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(example)


def _problems(what: str, tally: _Tally, advice: str = _RESTORE) -> list[Problem]:
    if not tally.count:
        return []
    return [Problem(what=what, count=tally.count, examples=tuple(tally.examples), advice=advice)]


def _check_pages(conn: Connection, pragma: str) -> list[Problem]:
    said = [str(line) for line in conn.exec_driver_sql(f"PRAGMA {pragma}").scalars()]
    return [] if said == ["ok"] else [_damaged(said)]


def _damaged(said: Sequence[str]) -> Problem:
    return Problem(
        what="The file is damaged",
        count=len(said),
        examples=tuple(said[:_EXAMPLES]),
        advice="Restore a backup, or save what can be read with sqlite3's `.recover`; look after the disk.",
    )


def _check_revision(conn: Connection, store: Store) -> list[Problem]:
    tally = _Tally()
    found = [str(it) for it in conn.execute(text("SELECT version_num FROM alembic_version")).scalars()]
    if found != [store.migrations.newest]:
        tally.add(", ".join(found) or "none")
    return _problems(f"The revision is not {store.migrations.newest}", tally, "Run `oomdb db upgrade`.")


def _check_views(conn: Connection, _store: Store) -> list[Problem]:
    tally = _Tally()
    for name in list_stale_views(conn):
        tally.add(name)
    return _problems("Views are missing, or another version's", tally, "Run `oomdb db upgrade`, which makes them anew.")


def _check_references(conn: Connection, _store: Store) -> list[Problem]:
    tally = _Tally()
    for table, _rowid, parent, _key in conn.exec_driver_sql("PRAGMA foreign_key_check"):
        tally.add(f"{table} names a row of {parent} that is not there")
    return _problems("Rows name others that are not there", tally)


def _check_finding_keys(conn: Connection, _store: Store) -> list[Problem]:
    tally = _Tally()
    of_key = [findings.c[name] for name in ("cluster", "namespace", "pod", "pod_uid", "container", "type")]
    for row in conn.execute(select(findings.c.run_id, findings.c.finding_key, *of_key)):
        if row.finding_key != finding_key(*row[2:]):
            tally.add(_show(row))
    return _problems("Findings whose finding_key is not that of their columns", tally)


def _check_rows(conn: Connection, _store: Store) -> Iterator[Problem]:
    for what, query in _VIOLATIONS.items():
        tally = _Tally()
        for row in conn.execute(query):
            tally.add(_show(row))
        yield from _problems(what, tally)


def _show(row: Any) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row._mapping.items())


_CHECKS: tuple[Callable[[Connection, Store], Iterable[Problem]], ...] = (
    _check_revision,
    _check_views,
    _check_references,
    _check_rows,
    _check_finding_keys,
)


def _miscounted_days() -> Select[Any]:
    """Build the query of days whose count is not that of the occurrences, whichever of the two is there."""
    key = ("workload", "day", "type", "cluster", "namespace")
    there = select(
        *(stored_day(occurrences.c.occurred_at).label(name) if name == "day" else occurrences.c[name] for name in key),
        literal(1).label("there"),
        literal(0).label("counted"),
    )
    counted = select(
        *(daily_counts.c[name] for name in key), literal(0).label("there"), daily_counts.c.occurrences.label("counted")
    )
    both = union_all(there, counted).subquery()
    return _unequal(both, key, ("there", "counted"))


def _miscounted_runs() -> Select[Any]:
    """Build the query of run_counts that are not what the findings come to, whichever of the two is there."""
    key = ("run_id", "cluster", "type")
    row = (*key, "namespace", "pod")
    rows = select(*(findings.c[name] for name in row), func.count().label("findings"))
    one_a_row = rows.group_by(*(findings.c[name] for name in row)).subquery()
    nothing = literal(0)
    there = select(
        *(one_a_row.c[name] for name in key),
        literal(1).label("rows_there"),
        nothing.label("rows_counted"),
        one_a_row.c.findings.label("findings_there"),
        nothing.label("findings_counted"),
    )
    counted = select(
        *(run_counts.c[name] for name in key),
        nothing.label("rows_there"),
        run_counts.c.rows.label("rows_counted"),
        nothing.label("findings_there"),
        run_counts.c.findings.label("findings_counted"),
    )
    both = union_all(there, counted).subquery()
    return _unequal(both, key, ("rows_there", "rows_counted"), ("findings_there", "findings_counted"))


def _unequal(both: Subquery, key: Sequence[str], *pairs: tuple[str, str]) -> Select[Any]:
    columns = [both.c[name] for name in key]
    sums = {name: func.sum(both.c[name]) for pair in pairs for name in pair}
    return (
        select(*columns, *(total.label(name) for name, total in sums.items()))
        .group_by(*columns)
        .having(or_(*(sums[one] != sums[other] for one, other in pairs)))
    )


def _where_no(
    of: Table, names: Sequence[str], *, on: Sequence[ColumnElement[bool]], besides: Any = None
) -> Select[Any]:
    """Build the query of findings for which no row of a table fits."""
    query = select(*(findings.c[name] for name in names)).where(~exists().where(*on).select_from(of))
    return query if besides is None else query.where(besides)


def _namespaces_of_no_scan() -> Select[Any]:
    """Build the query of namespaces of which a run is said to know that has no row of their cluster."""
    table = namespaces.c

    def is_scanned(run_id: ColumnElement[int]) -> ColumnElement[bool]:
        of_scan = exists().where(run_clusters.c.run_id == run_id, run_clusters.c.cluster == table.cluster)
        return or_(run_id.is_(None), of_scan)

    columns = (table.cluster, table.namespace, table.last_run_id, table.read_run_id)
    return select(*columns).where(or_(~is_scanned(table.last_run_id), ~is_scanned(table.read_run_id)))


def _misdated_namespaces() -> Select[Any]:
    """Build the query of namespaces whose times are not those of the runs that are said to know of them."""
    table = namespaces.c

    def is_of_another_time(run_id: ColumnElement[int], at: ColumnElement[Any]) -> ColumnElement[bool]:
        return exists().where(runs.c.id == run_id, runs.c.started_at != at)

    columns = (table.cluster, table.namespace, table.last_run_id, table.last_seen_at, table.read_run_id, table.read_at)
    misdated = (
        is_of_another_time(table.last_run_id, table.last_seen_at),
        is_of_another_time(table.read_run_id, table.read_at),
    )
    return select(*columns).where(or_(*misdated))


_VIOLATIONS: dict[str, Select[Any]] = {
    "daily_counts do not agree with the occurrences": _miscounted_days(),
    "run_counts do not agree with the findings": _miscounted_runs(),
    "Findings of a cluster that the run has no row of in run_clusters": _where_no(
        run_clusters,
        ("run_id", "cluster", "namespace", "pod"),
        on=[run_clusters.c.run_id == findings.c.run_id, run_clusters.c.cluster == findings.c.cluster],
    ),
    "Findings of a pod that a search would not look for in their run": _where_no(
        pods,
        ("run_id", "cluster", "namespace", "pod"),
        on=[
            *(pods.c[name] == findings.c[name] for name in ("pod", "namespace", "cluster")),
            findings.c.run_id.between(pods.c.first_run_id, pods.c.runs_until),
        ],
    ),
    "Findings whose artifacts_from names a run without artifacts of the pod": _where_no(
        artifacts,
        ("run_id", "cluster", "namespace", "pod", "pod_uid", "artifacts_from"),
        on=[
            artifacts.c.run_id == findings.c.artifacts_from,
            *(artifacts.c[name] == findings.c[name] for name in ("cluster", "namespace", "pod", "pod_uid")),
        ],
        besides=findings.c.artifacts_from.is_not(None),
    ),
    "Namespaces known to a run that has no row of their cluster in run_clusters": _namespaces_of_no_scan(),
    "Namespaces that are not dated by the runs that know of them": _misdated_namespaces(),
    "Namespaces that a run read though a rule left them out": select(
        namespaces.c.cluster, namespaces.c.namespace, namespaces.c.last_run_id, namespaces.c.rule
    ).where(namespaces.c.rule.is_not(None), namespaces.c.read_run_id == namespaces.c.last_run_id),
    "Runs that are running though they have finished": select(runs.c.id, runs.c.finished_at).where(
        runs.c.status == "running", runs.c.finished_at.is_not(None)
    ),
    "Occurrences that were last seen before they began": select(
        occurrences.c.identity, occurrences.c.occurred_at, occurrences.c.last_seen_at
    ).where(occurrences.c.last_seen_at < occurrences.c.occurred_at),
}

_GONE, _RESIZED, _CHANGED, _OUTSIDE = (
    "Artifact files that are missing",
    "Artifact files of another size",
    "Artifact files with other contents",
    "Artifact paths that lead out of the output folder",
)
_ARTIFACT_ADVICE = {
    _GONE: "Copy them back from a backup; or say the right --output, the folder that the database lay in.",
    _RESIZED: "Somebody changed them after they were captured: copy them back from a backup.",
    _CHANGED: "Somebody changed them after they were captured: copy them back from a backup.",
    _OUTSIDE: "oomdb writes no such paths: ask who else writes to the database.",
}


def _judge_file(root: Path, path: str, size_bytes: int, sha256: str) -> str:
    """Return what is wrong with one file, '' for nothing; '' for the SHA-256 is not compared."""
    try:
        file = (root / path).resolve()
        if not file.is_relative_to(root):
            return _OUTSIDE
        if not file.is_file():
            return _GONE
        if file.stat().st_size != size_bytes:
            return _RESIZED
        if sha256:
            with file.open("rb") as stream:
                return _CHANGED if file_digest(stream, "sha256").hexdigest() != sha256 else ""
    except (OSError, ValueError):  # a name too long, a loop of links, no permission; ValueError: a NUL in it
        return _GONE
    return ""
