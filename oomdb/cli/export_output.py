"""What is said about the run that is shown, what it could not read, and what became of the exports' files."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from oomdb.cli.output import escape_controls, note, write
from oomdb.timespan import format_for_people

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.queries.exports import ClusterCoverage, Selection
    from oomdb.reports.files import ExportResult


def show_selection(selection: "Selection", app: "App", *, found: str) -> None:
    """Say on stderr which run is reported and what was found, what it could not read, and which runs are newer."""
    run = selection.run
    incomplete = " (incomplete)" if run.status == "partial" else ""
    note(f"run {run.id} of {format_for_people(run.started_at, app.zone)}{incomplete}: {found}", app)
    show_missing(selection, app)


def show_missing(selection: "Selection", app: "App") -> None:
    """Say on stderr which clusters the run did not read as a whole, and which runs are newer."""
    for it in selection.clusters:
        if it.status != "complete" or it.gaps:
            note(f"{it.cluster}: {': '.join(_describe(it))}", app)
    if any(it.gaps for it in selection.clusters):
        note(f"what could not be read: oomdb coverage --gaps --run {selection.run.id}", app)
    show_newer(selection, app)


def _describe(cluster: "ClusterCoverage") -> Iterator[str]:
    yield cluster.status
    if cluster.gaps:
        yield f"{cluster.gaps} gap{'s' if cluster.gaps > 1 else ''}"
    if cluster.error:
        yield cluster.error


def show_newer(selection: "Selection", app: "App") -> None:
    """Say on stderr which runs are newer than the latest that was taken."""
    unread = selection.newer_unread
    if unread is not None:
        when = format_for_people(unread.started_at, app.zone)
        note(f"run {unread.id} of {when} is newer, but could read no cluster", app)
    newer = selection.newer_of_other_scope
    if newer is not None:
        when = format_for_people(newer.started_at, app.zone)
        note(f"run {newer.id} of {when} is newer, but of another scope ({newer.scope}): --run {newer.id} shows it", app)


def show_export_result(result: "ExportResult", app: "App") -> None:
    """Print the files to stdout, and on stderr the names of backups and what was left alone."""
    if result.backed_up:
        note(f"Backed up {len(result.backed_up)} existing file(s):", app)
        for path in result.backed_up:
            note(f"  → {path.name}", app)
    for path in result.unchanged:
        note(f"{path} is up to date", app)
    for path in (*result.written, *result.unchanged):
        write(f"{escape_controls(str(path))}\n")
