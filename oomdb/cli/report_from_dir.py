"""`oomdb report --from-dir DIR`: the report of a legacy output folder, without a database."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oomdb.cli.import_output import ImportProgress
from oomdb.cli.options import DATABASE_NAME
from oomdb.cli.output import write
from oomdb.cli.owner_output import learn_owners
from oomdb.errors import UsageError
from oomdb.importers.legacy.files import list_legacy_files
from oomdb.importers.legacy.run import ImportRequest, import_surveyed
from oomdb.importers.legacy.survey import survey
from oomdb.queries.instances import Instance, list_instances_of_pods, list_instances_of_run
from oomdb.queries.selection import find_run
from oomdb.reports.summary import render_pod_summary
from oomdb.store.database import Store, open_for_writing
from oomdb.workloads import find_workload

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes


@dataclass(frozen=True, slots=True)
class ImportedFolder:
    """A temporary database with the runs of a folder; `is_whole` tells whether every file could be read."""

    store: Store
    is_whole: bool


def choose_formats(typed: Sequence[str], *, others: Sequence[str]) -> tuple[str, ...]:
    """Return what to write into the folder: the page, and what else was asked for but for CSV, which is the source.

    Args:
        typed: the formats on the command line; what a settings file says is of reports from the database.
        others: what they come to, `all` resolved.

    Raises:
        UsageError: where CSV is asked for by its name.
    """
    if "csv" in typed:
        raise UsageError(
            "--from-dir reads the CSVs of DIR and never writes them: name other formats, "
            "or import the folder (`oomdb import DIR`) and report from the database."
        )
    return tuple(name for name in others if name != "csv") if typed else ("html",)


@contextmanager
def open_imported_folder(folder: Path, app: "App") -> Iterator[ImportedFolder]:
    """Import a folder of the legacy script into a database that is gone afterwards.

    Raises:
        UsageError: if there is nothing to import in it.
    """
    files = list_legacy_files([folder])
    with (
        tempfile.TemporaryDirectory(prefix="oomdb-") as scratch,
        open_for_writing(str(Path(scratch) / DATABASE_NAME), bulk=True) as store,
    ):
        with ImportProgress(app) as progress:
            progress.begin("looking", len(files))
            # nothing is known of a new database: what oomdb itself exported to the folder is a run like any other
            found = survey(
                files,
                {},
                now=app.now,
                search_in=ImportRequest(output_dir=folder).search_in,
                find_clusters=lambda _: set(),
                looked_at=progress.advance,
            )
            for warning in found.warnings:
                progress.say(f"warning: {warning}")
            failed = [it for it in found.others if it.state == "failed"]
            for other in failed:
                progress.say(f"{other.file.path}: {other.reason}", is_error=True)
            progress.begin("reading", len(found.new))
            done = []
            for imported in import_surveyed(store, found):
                done.append(imported)
                progress.imported(imported)
        if not any(it.run_id is not None for it in done):
            raise UsageError(f"'{folder}': none of its files could be read as a run; nothing is reported.")
        yield ImportedFolder(store, is_whole=not failed and not any(it.failed for it in done))


def show_summary(store: Store, owners: "OwnerWishes", app: "App") -> None:
    """Print a block for each workload with a pod in the folder's latest run: what all its runs tell of it."""
    with store.reading() as conn:
        latest = {_name_workload(it) for it in list_instances_of_run(conn, find_run(conn, "latest"))}
        of_workloads: defaultdict[str, list[Instance]] = defaultdict(list)
        for instance in list_instances_of_pods(conn, ""):
            of_workloads[_name_workload(instance)].append(instance)
    shown = {name: of_workloads[name] for name in sorted(latest)}
    whose = learn_owners(store, {(it.cluster, it.namespace) for of in shown.values() for it in of}, owners, app)
    write("".join(render_pod_summary(name, it, zone=app.zone, whose=whose) for name, it in shown.items()))


def _name_workload(instance: Instance) -> str:
    # a CSV has nothing but the pod's name to tell it by
    return find_workload(None, {}, instance.pod).name
