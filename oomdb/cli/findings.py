"""`oomdb findings`: what runs found."""

from dataclasses import replace
from typing import TYPE_CHECKING

from oomdb.cli.empty_output import explain_empty
from oomdb.cli.export_output import show_missing
from oomdb.cli.options import command, filter_options, list_options, pass_app
from oomdb.cli.output import emit
from oomdb.cli.owner_output import note_unknown_owners
from oomdb.queries.exports import select_run
from oomdb.queries.lists import build_findings_query, run_meant, stream
from oomdb.store.database import open_for_reading

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output
    from oomdb.queries.filters import FindingFilter


@command(
    "findings",
    short_help="List what runs found.",
    examples=(
        ("The latest run", "oomdb findings"),
        (
            "In some namespaces, by the runs of a week",
            "oomdb findings --type OOMKilled -n 'team-*' --since 7d",
        ),
    ),
)
@filter_options()
@list_options
@pass_app
def findings_command(*, app: "App", filters: "FindingFilter", output: "Output") -> None:
    """List findings: in this run, this container of this pod showed this type.

    Without --run, --since and --until: those of the latest run. --since and --until go by the beginning of the runs;
    the same kill is a finding of every run that saw it: `oomdb occurrences` lists it once. What the one run could not
    read is said on stderr.
    """
    with open_for_reading(app.database) as store:
        selection = None
        wanted = run_meant(filters)
        if wanted is not None:
            with store.reading() as conn:
                selection = select_run(conn, wanted)
            filters = replace(filters, run=selection.run.id)
        if not emit(stream(store, build_findings_query(filters, output.rows_wanted)), output, app):
            explain_empty(store, filters, app)
        if filters.owners:
            note_unknown_owners(store, app)
        if selection is not None:
            show_missing(selection, app)
