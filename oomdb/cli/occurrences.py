"""`oomdb occurrences`: kills and loops, each once."""

from typing import TYPE_CHECKING

from oomdb.cli.empty_output import explain_empty
from oomdb.cli.options import command, filter_options, list_options, pass_app
from oomdb.cli.output import emit
from oomdb.cli.owner_output import note_unknown_owners
from oomdb.queries.lists import build_occurrences_query, resolve_run, stream
from oomdb.store.database import open_for_reading

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output
    from oomdb.queries.filters import FindingFilter


@command(
    "occurrences",
    short_help="List kills and loops, each once.",
    examples=(
        ("The last week", "oomdb occurrences --since 7d"),
        ("One workload's kills, for a spreadsheet", "oomdb occurrences --workload checkout --type OOMKilled --csv"),
    ),
)
@filter_options()
@list_options
@pass_app
def occurrences_command(*, app: "App", filters: "FindingFilter", output: "Output") -> None:
    """List kills and crash loops, each once however many runs saw it, newest first.

    A window (--since, --until) holds the kills in it and the loops that overlap it. --run: those that the run saw.
    """
    with open_for_reading(app.database) as store:
        if filters.run is not None:
            filters = resolve_run(store, filters)
        if not emit(stream(store, build_occurrences_query(store, filters, output.rows_wanted)), output, app):
            explain_empty(store, filters, app)
        if filters.owners:
            note_unknown_owners(store, app)
