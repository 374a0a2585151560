"""`oomdb report`: rebuild the exports from the database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from oomdb.cli.export_output import show_export_result, show_selection
from oomdb.cli.options import command, filter_options, option, pass_app
from oomdb.cli.output import write
from oomdb.errors import UsageError
from oomdb.reports.content import build_content
from oomdb.reports.files import FORMATS, write_exports
from oomdb.store.database import Store, database_path, open_for_reading, open_for_writing

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.queries.filters import FindingFilter

_ALL = "all"


@command(
    "report",
    short_help="Write the exports of a run: csv, json, table.",
    examples=(
        ("The latest run, all formats, into the output folder", "oomdb report"),
        ("Run 42 as CSV on stdout", "oomdb report --run 42 --format csv --stdout"),
    ),
)
@filter_options("run")
@option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice([*FORMATS, _ALL]),
    default=(_ALL,),
    help="What to write; may be given several times.",
)
@option("--stdout", "to_stdout", is_flag=True, help="Print the one --format instead of writing files.")
@option("--no-backup", is_flag=True, help="Write over the old files instead of renaming them first.")
@pass_app
def report_command(
    *, app: "App", filters: "FindingFilter", formats: Sequence[str], to_stdout: bool, no_backup: bool
) -> None:
    """Rebuild oom_results.csv, .json and .table from the database.

    A row is the findings of one cluster, namespace, pod and type, as the legacy script counted. Without --run it is the
    newest run over all contexts that read at least one cluster. Old files are renamed by the time of their last change;
    a file that would not change is left alone.
    """
    wanted = "latest" if filters.run is None else filters.run
    chosen = tuple(FORMATS) if _ALL in formats else tuple(dict.fromkeys(formats))
    if to_stdout:
        if len(chosen) != 1:
            raise UsageError("--stdout takes exactly one --format, for example: --format csv --stdout.")
        with open_for_reading(app.database) as store:
            content = build_content(store, wanted, output_dir=app.output_folder)
        show_selection(content, app, found=f"{len(content.rows)} rows")
        write(FORMATS[chosen[0]](content).decode())
        return
    with _open_existing(app) as store:
        result = write_exports(
            store,
            wanted,
            output_dir=app.output_folder,
            formats=chosen,
            backup=not no_backup,
            zone=app.zone,
            file_mode=app.settings.artifact_file_mode,
        )
    show_selection(result.content, app, found=f"{len(result.content.rows)} rows")
    show_export_result(result, app)


def _open_existing(app: "App") -> Store:
    """Open the database, in which the files are noted; unlike a collect, a report makes none."""
    if not database_path(app.database).exists():
        return open_for_reading(app.database)  # which says that there is none
    return open_for_writing(app.database, file_mode=app.settings.database_file_mode)
