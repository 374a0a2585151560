"""`oomdb findings`: what runs found."""

from typing import TYPE_CHECKING

from oomdb.cli.options import command, filter_options, list_options, pass_app
from oomdb.cli.output import emit
from oomdb.queries.lists import build_findings_query, resolve_run, stream
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
    the same kill is a finding of every run that saw it: `oomdb occurrences` lists it once.
    """
    with open_for_reading(app.database) as store:
        query = build_findings_query(resolve_run(store, filters), output.rows_wanted)
        emit(stream(store, query), output, app)
