"""Which files of the legacy script are known, and whether the run that one tells of is stored already."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, bindparam, select

from oomdb.store.database import Store
from oomdb.store.dialect import format_stored, texts_in
from oomdb.store.prepared import Prepared
from oomdb.store.schema import findings, import_files, run_clusters, runs

Mark = tuple[str, str | None, str | None, str | None]  # of a row: finding_key, first_at, last_at, timestamps, as stored


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that was read; `time_evidence` is what dated its run: artifacts, name or mtime."""

    path: str
    sha256: str
    modified_at: datetime
    rows: int
    bad_rows: int
    time_evidence: str

    @property
    def is_empty(self) -> bool:
        """Tell whether it has a header and nothing else: all of these have one hash."""
        return not self.rows and not self.bad_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file that became a run before, or that oomdb wrote itself."""

    kind: Literal["export", "import"]
    sha256: str
    run_at: datetime
    path: str
    modified_at: datetime
    run_id: int | None
    is_empty: bool

    def is_file(self, path: Path, modified_at: datetime) -> bool:
        """Tell whether a file with this hash is this one: by the hash, or, where that says nothing, by time and path.

        An export keeps its time when it gets another name.
        """
        if not self.is_empty:
            return True
        return self.modified_at == modified_at and (self.kind == "export" or self.path == str(path.absolute()))


@dataclass(frozen=True, slots=True)
class StoredRun:
    """Whether the run that a file tells of is stored, as which; and an imported one of the same moment that is another.

    `run_id` is None where it is not stored, or was deleted since.
    """

    is_stored: bool
    run_id: int | None = None
    other_id: int | None = None


def list_known_files(store: Store) -> dict[str, list[KnownFile]]:
    """Return the files that are known, by SHA-256."""
    known: defaultdict[str, list[KnownFile]] = defaultdict(list)
    with store.reading() as conn:
        for kind, sha256, run_at, path, modified_at, run_id, rows, bad_rows in conn.execute(_KNOWN):
            known[sha256].append(
                KnownFile(
                    kind=kind,
                    sha256=sha256,
                    run_at=run_at,
                    path=path,
                    modified_at=modified_at,
                    run_id=run_id,
                    is_empty=not rows and not bad_rows,
                )
            )
    return known


def list_clusters_of_runs(store: Store, run_ids: Iterable[int]) -> set[str]:
    """Return the clusters of some runs."""
    with store.reading() as conn:
        return set(conn.execute(_CLUSTERS, {"runs": json.dumps(sorted(map(str, run_ids)))}).scalars())


def find_stored_run(
    conn: Connection, file: SourceFile, run_at: datetime, mark_rows: Callable[[], set[Mark]]
) -> StoredRun:
    """Return the run of a file: it has the same contents, or the same rows at the same moment.

    Rows stay the same where the paths of their artifacts were exchanged.

    Args:
        conn: a transaction.
        file: the file.
        run_at: when its run was.
        mark_rows: returns what its rows tell.
    """
    at = format_stored(run_at)
    known = _WITH_HASH.run(conn, {"sha256": file.sha256}).fetchall()
    for known_at, run_id in known:
        if not file.is_empty or known_at == at:
            return StoredRun(is_stored=True, run_id=run_id)
    others = [run_id for (run_id,) in _OF_MOMENT.run(conn, {"at": run_at}).fetchall()]
    if not others or file.is_empty:
        return StoredRun(is_stored=False)
    marks = mark_rows()
    for run_id in others:
        if set(_ROWS_OF.run(conn, {"run": run_id}).fetchall()) == marks:
            return StoredRun(is_stored=True, run_id=run_id)
    return StoredRun(is_stored=False, other_id=others[0])


_KNOWN = select(
    *(import_files.c[name] for name in ("kind", "sha256", "run_at", "path", "modified_at", "run_id")),
    *(import_files.c[name] for name in ("rows", "bad_rows")),
)
_CLUSTERS = select(run_clusters.c.cluster).distinct().where(run_clusters.c.run_id.in_(select(texts_in("runs").c.value)))
_WITH_HASH = Prepared(
    select(import_files.c.run_at, import_files.c.run_id).where(import_files.c.sha256 == bindparam("sha256"))
)
_OF_MOMENT = Prepared(select(runs.c.id).where(runs.c.started_at == bindparam("at"), runs.c.origin == "import"))
_ROWS_OF = Prepared(
    select(*(findings.c[name] for name in ("finding_key", "first_at", "last_at", "timestamps"))).where(
        findings.c.run_id == bindparam("run")
    )
)
