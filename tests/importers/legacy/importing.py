"""Importing as the command does, and the folders to import from, written as a test needs them."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from oomdb.importers.legacy.files import list_legacy_files
from oomdb.importers.legacy.run import ImportedFile, ImportRequest, import_surveyed
from oomdb.importers.legacy.survey import OtherFile, survey
from oomdb.store.database import Store, open_for_writing
from oomdb.store.known_files import list_clusters_of_runs, list_known_files

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
EIGHT = ("cluster", "namespace", "pod", "type", "timestamps", "sources", "description_file", "pod_log_file")
NINE = (*EIGHT, "time_range")
ELEVEN = (*NINE[:4], "application", "component", *NINE[4:])


@dataclass(frozen=True)
class Imported:
    """What an import came to."""

    files: Sequence[ImportedFile]
    others: Sequence[OtherFile]
    warnings: Sequence[str]


def new_store(path: Path) -> Store:
    """Make a database."""
    return open_for_writing(str(path))


def import_paths(
    store: Store,
    *paths: Path,
    request: ImportRequest | None = None,
    again: bool = False,
    before_import: Callable[[], None] = lambda: None,
) -> Imported:
    """Import folders or files; without a request no artifact is anywhere."""
    request = request or ImportRequest(output_dir=store.path.parent, legacy_roots=())
    found = survey(
        list_legacy_files(paths),
        list_known_files(store),
        now=NOW,
        search_in=request.search_in,
        find_clusters=lambda run_ids: list_clusters_of_runs(store, run_ids),
        again=again,
    )
    before_import()
    return Imported(tuple(import_surveyed(store, found)), found.others, found.warnings)


def rows_of(store: Store, query: str) -> list[Any]:
    """Return the rows of a query."""
    with store.reading() as conn:
        return [tuple(row) for row in conn.execute(text(query))]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a CSV, as a legacy run wrote it."""

    cluster: str = "prod-a"
    namespace: str = "shop"
    pod: str = "checkout-1"
    type: str = "OOMKilled"
    timestamps: str = "2026-01-15T14:00:00Z"
    sources: str = "oc_get_pods"
    description_file: str = ""
    pod_log_file: str = ""
    time_range: str = "1d"
    application: str = ""
    component: str = ""


def write_run(
    folder: Path,
    *rows: Row,
    name: str = "oom_results",
    columns: Sequence[str] = ELEVEN,
    written_at: datetime = datetime(2026, 1, 15, 15, tzinfo=UTC),
    reached: Sequence[str] | None = None,
) -> Path:
    """Write the CSV of a run, and its JSON where it is told which clusters were reached; return the CSV's path."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(row, column) for column in columns] for row in rows)
    if reached is not None:
        parts = {**{cluster: {} for cluster in reached}, "_metadata": {"time_range": "1d"}}
        path.with_suffix(".json").write_text(json.dumps(parts))
    os.utime(path, (written_at.timestamp(), written_at.timestamp()))
    return path
