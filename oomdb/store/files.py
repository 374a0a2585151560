"""Files that are known by their contents: the exports that oomdb wrote itself, and captures that became runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from oomdb.store.database import Store
from oomdb.store.dialect import upsert
from oomdb.store.schema import import_files, runs

_DONE = ("complete", "partial")  # states of a run whose part was recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestedFile:
    """A file or folder of manifests as it is remembered: by a fingerprint, and the time of its run."""

    fingerprint: str  # of the contents, and of what was to be made of them
    run_at: datetime
    path: str
    modified_at: datetime
    objects: int  # pods and events in it


def find_ingested_run(store: Store, file: IngestedFile) -> int | None:
    """Return the run that a file became, None where it is not known, or its run was cut short or deleted."""
    known = (
        select(runs.c.id)
        .join_from(import_files, runs)
        .where(import_files.c.sha256 == file.fingerprint, import_files.c.run_at == file.run_at)
        .where(import_files.c.kind == "import", runs.c.status.in_(_DONE))
    )
    with store.reading() as conn:
        return conn.execute(known).scalar()


def note_ingested(store: Store, run_id: int, file: IngestedFile) -> None:
    """Remember a file and the run that it becomes."""
    statement = upsert(import_files)
    told = statement.excluded
    noted = {name: told[name] for name in ("path", "modified_at", "run_id", "rows")}
    row = {
        "sha256": file.fingerprint,
        "run_at": file.run_at,
        "kind": "import",
        "path": file.path,
        "modified_at": file.modified_at,
        "run_id": run_id,
        "rows": file.objects,
        "bad_rows": 0,
    }
    with store.writing() as conn:
        conn.execute(statement.on_conflict_do_update(index_elements=["sha256", "run_at"], set_=noted), row)


def note_exports(
    store: Store, run_id: int, files: Sequence[tuple[str, str, datetime, int]], *, run_at: datetime
) -> None:
    """Remember files that oomdb wrote, as (path, sha256, modified_at, rows), so that no import takes them for runs."""
    if not files:
        return  # an empty list given to insert() writes a row of defaults
    with store.writing() as conn:
        statement = upsert(import_files)
        rows = {
            sha256: {
                "sha256": sha256,
                "run_at": run_at,
                "kind": "export",
                "path": path,
                "modified_at": modified_at,
                "run_id": run_id,
                "rows": row_count,
                "bad_rows": 0,
            }
            for path, sha256, modified_at, row_count in files
        }
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["sha256", "run_at"],
                set_={"path": statement.excluded.path, "modified_at": statement.excluded.modified_at},
            ),
            [rows[key] for key in sorted(rows)],
        )
