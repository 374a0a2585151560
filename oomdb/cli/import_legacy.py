"""`oomdb import`: runs of the legacy script become runs of the database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oomdb.cli.ending import stopping_on_sigterm
from oomdb.cli.import_output import ImportProgress, build_plan, build_summary
from oomdb.cli.options import Output, command, option, pass_app
from oomdb.cli.output import emit, note
from oomdb.errors import UsageError
from oomdb.importers.legacy.files import list_legacy_files
from oomdb.importers.legacy.run import ImportedFile, ImportRequest, import_surveyed
from oomdb.importers.legacy.survey import Survey, survey
from oomdb.store.database import Store, database_path, open_for_reading, open_for_writing
from oomdb.store.imports import finish_imports
from oomdb.store.known_files import list_clusters_of_runs, list_known_files

if TYPE_CHECKING:
    from oomdb.cli.options import App


@command(
    "import",
    short_help="Take over runs of the legacy script.",
    examples=(
        ("What would be done", "oomdb import /srv/oom-reports/output --dry-run"),
        ("A folder, with its descriptions and logs", "oomdb import /srv/oom-reports/output --copy-artifacts"),
        (
            "The first versions left their artifacts in /tmp: where they were copied to",
            "oomdb import old-runs --artifacts /tmp --copy-artifacts",
        ),
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@option(
    "--artifacts",
    "artifact_dirs",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Look for artifacts here too, in a folder for each cluster, as in /tmp; may be repeated.",
)
@option("--copy-artifacts", is_flag=True, help="Copy the artifacts that are found into the output folder.")
@pass_app
def import_command(
    *, app: "App", paths: Sequence[Path], dry_run: bool, artifact_dirs: Sequence[Path], copy_artifacts: bool
) -> int:
    """Take over the runs that the legacy script left: folders with oom_results*.csv, or single CSV files.

    Each file becomes a run, dated by the best evidence it has: the stamps in its artifacts' names, else its own name,
    else its time of modification. What was imported before is known by its contents and changes nothing; a file that
    cannot be read is reported and the others go on. The same kill in several files is counted once, also where collect
    has seen it. Exit code: 1 if a file could not be imported.
    """
    problems: list[UsageError] = []
    files = list_legacy_files(paths, on_problem=problems.append)
    if not files:
        raise problems[0]
    for problem in problems:
        note(str(problem), app, is_error=True)
    request = ImportRequest(
        output_dir=app.output_folder,
        artifact_dirs=artifact_dirs,
        copy_to=app.artifacts_in(app.output_folder) if copy_artifacts else None,
    )
    with stopping_on_sigterm(), _opened(app, dry_run=dry_run) as store, ImportProgress(app) as progress:
        progress.begin("looking", len(files))
        found = survey(
            files,
            list_known_files(store) if store else {},
            now=app.now,
            search_in=request.search_in,
            find_clusters=lambda run_ids: list_clusters_of_runs(store, run_ids) if store else set(),
            again=bool(artifact_dirs or copy_artifacts) and not dry_run,
            looked_at=progress.advance,
        )
        for warning in found.warnings:
            progress.say(f"warning: {warning}")
        done = _import(None if dry_run else store, found, progress)
    if dry_run:
        emit(build_plan(done), Output(), app)
    if app.verbosity != "quiet":
        emit(build_summary(found, done, is_plan=dry_run), Output(), app)
    return int(bool(problems) or any(it.failed for it in done) or any(it.state == "failed" for it in found.others))


def _import(store: Store | None, found: Survey, progress: ImportProgress) -> list[ImportedFile]:
    for other in found.others:
        if other.state == "failed" or progress.is_verbose:
            progress.say(f"{other.file.path}: {other.reason}", is_error=other.state == "failed")
    progress.begin("importing" if store else "reading", len(found.new))
    done = []
    for it in import_surveyed(store, found):
        done.append(it)
        progress.imported(it)
    if store and done:
        finish_imports(store)
    return done


@contextmanager
def _opened(app: "App", *, dry_run: bool) -> Iterator[Store | None]:
    """Open the database; a dry run only reads it, and does without where there is none."""
    if dry_run and not database_path(app.database).exists():
        yield None
        return
    opened: Callable[[], Store] = (
        (lambda: open_for_reading(app.database))
        if dry_run
        else (lambda: open_for_writing(app.database, file_mode=app.settings.database_file_mode, bulk=True))
    )
    with opened() as store:
        for warning in store.warnings:
            note(f"warning: {warning}", app)
        yield store
