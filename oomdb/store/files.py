"""Files that are known by their contents: the exports that oomdb wrote itself."""

from collections.abc import Sequence
from datetime import datetime

from oomdb.store.database import Store
from oomdb.store.dialect import upsert
from oomdb.store.schema import import_files


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
