"""`oomdb report`: rebuild the exports from the database."""

import webbrowser
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from oomdb.cli.export_output import show_export_result, show_selection
from oomdb.cli.options import command, filter_options, is_typed, option, pass_app
from oomdb.cli.output import write
from oomdb.cli.owner_options import owner_options
from oomdb.cli.report_from_dir import choose_formats, open_imported_folder, show_summary
from oomdb.cli.report_options import report_options
from oomdb.cli.types import PATH
from oomdb.errors import OomdbError, UsageError
from oomdb.reports.content import build_content
from oomdb.reports.files import DEFAULT_FORMATS, FORMATS, write_exports
from oomdb.store.database import Store, database_path, open_for_reading, open_for_writing

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes
    from oomdb.queries.filters import FindingFilter
    from oomdb.reports.wishes import ReportWishes

_ALL = "all"


@command(
    "report",
    short_help="Write the report of a run: html, csv, json, table.",
    examples=(
        ("The latest run, all formats, into the output folder", "oomdb report"),
        ("Charts over half a year, and the page opened", "oomdb report --plot-range 6M --open"),
        ("Run 42 as CSV on stdout", "oomdb report --run 42 --format csv --stdout"),
        ("A folder of the legacy script, without a database", "oomdb report --from-dir /srv/oom-reports/output"),
        ("The page in the team's own colours, and as PDF", "oomdb report --format all --format pdf --theme team.css"),
    ),
)
@filter_options("run")
@option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice([*FORMATS, _ALL]),
    default=(_ALL,),
    help="What to write; may be given several times; pdf is not among all.",
)
@option(
    "--from-dir",
    metavar="DIR",
    type=PATH,
    default=None,
    help="Report what the CSVs of DIR tell, and write the page there; no database is used.",
)
@report_options
@owner_options
@option("--stdout", "to_stdout", is_flag=True, help="Print the one --format instead of writing files.")
@option("--no-backup", is_flag=True, help="Write over the old files instead of renaming them first.")
@option("--open", "wants_open", is_flag=True, help="Open the page in the browser afterwards.")
@pass_app
def report_command(
    *,
    app: "App",
    filters: "FindingFilter",
    formats: Sequence[str],
    from_dir: Path | None,
    wishes: "ReportWishes",
    owners: "OwnerWishes",
    to_stdout: bool,
    no_backup: bool,
    wants_open: bool,
) -> int:
    """Rebuild oom_results.html, .csv, .json and .table from the database.

    A row is the findings of one cluster, namespace, pod and type, as the legacy script counted. Without --run it is the
    newest run over all contexts that read at least one cluster; the charts show the runs up to it. Old files are
    renamed by the time of their last change; a file that would not change is left alone.

    The page is one file that loads nothing: it opens from a mail, a share, or Jenkins, without script too. Links to
    descriptions and logs are relative, so that the folder can be copied as a whole. An installed Chromium, Chrome or
    Edge prints it as PDF.

    With --from-dir the summary of the latest run's workloads over all runs of DIR is printed too; its lines end with
    owners where -c or --codeowners-repo says where to find them.
    """
    if owners.folder is not None and from_dir is None and is_typed("codeowners_dir"):
        raise UsageError("-c is for the summary of --from-dir; `oomdb summary -c DIR` shows that of the database.")
    if from_dir is not None and (to_stdout or filters.run not in (None, "latest")):
        raise UsageError("--from-dir reports the latest run of DIR into DIR: leave --run and --stdout out.")
    wanted = "latest" if filters.run is None else filters.run
    named = (DEFAULT_FORMATS if name == _ALL else (name,) for name in formats)
    chosen = tuple(dict.fromkeys(chain.from_iterable(named)))
    if from_dir is not None:
        chosen = choose_formats(formats if is_typed("formats") else (), others=chosen)
    if to_stdout:
        if "pdf" in chosen:
            raise UsageError("--stdout prints texts, and a PDF is none: leave --stdout out.")
        if len(chosen) != 1:
            raise UsageError("--stdout takes exactly one --format, for example: --format csv --stdout.")
        if wants_open:
            raise UsageError("--open shows the file that --stdout does not write; use one of them.")
        with open_for_reading(app.database) as store:
            content = build_content(
                store, wanted, output_dir=app.output_folder, wishes=wishes, zone=app.zone, generated_at=app.now
            )
        show_selection(content, app, found=f"{len(content.rows)} rows")
        write(FORMATS[chosen[0]](content).decode())
        return 0
    if wants_open and "html" not in chosen:
        raise UsageError("--open shows the page: add --format html, or leave --format out.")
    if from_dir is None:
        with _open_existing(app) as store:
            _write(app, store, wanted, app.output_folder, chosen, wishes, no_backup, wants_open)
        return 0
    with open_imported_folder(from_dir, app) as imported:
        show_summary(imported.store, owners, app)
        _write(app, imported.store, "latest", from_dir, chosen, wishes, no_backup, wants_open)
    return 0 if imported.is_whole else 1


def _write(
    app: "App",
    store: Store,
    wanted: Literal["latest"] | int,
    folder: Path,
    formats: Sequence[str],
    wishes: "ReportWishes",
    no_backup: bool,
    wants_open: bool,
) -> None:
    result = write_exports(
        store,
        wanted,
        output_dir=folder,
        formats=formats,
        wishes=wishes,
        backup=not no_backup,
        zone=app.zone,
        generated_at=app.now,
        file_mode=app.settings.artifact_file_mode,
    )
    show_selection(result.content, app, found=f"{len(result.content.rows)} rows")
    show_export_result(result, app)
    if wants_open:
        _open_page(folder / "oom_results.html")


def _open_page(page: Path) -> None:
    if not webbrowser.open(page.absolute().as_uri()):
        raise OomdbError(f"No program was found that opens {page}; open it in a browser yourself.")


def _open_existing(app: "App") -> Store:
    """Open the database, in which the files are noted; unlike a collect, a report makes none."""
    if not database_path(app.database).exists():
        return open_for_reading(app.database)  # which says that there is none
    return open_for_writing(app.database, file_mode=app.settings.database_file_mode)
