"""`oomdb runs`: the runs."""

from typing import TYPE_CHECKING

from oomdb.cli.options import command, filter_options, list_options, pass_app
from oomdb.cli.output import emit
from oomdb.queries.lists import build_runs_query, resolve_run, stream
from oomdb.store.database import open_for_reading

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output
    from oomdb.queries.filters import FindingFilter


@command(
    "runs",
    short_help="List the runs.",
    examples=(
        ("The last five", "oomdb runs --limit 5"),
        ("The last week, as JSON", "oomdb runs --since 7d --json"),
    ),
)
@filter_options("since", "until", "run")
@list_options
@pass_app
def runs_command(*, app: "App", filters: "FindingFilter", output: "Output") -> None:
    """List the runs, newest first.

    For each: when, its scope, how many clusters it read of how many, how many rows it found (one per cluster,
    namespace, pod and type) and how many kills and loops no earlier run had seen. --since and --until go by the run's
    beginning. Runs that are going on, or were aborted, are listed too. A run is partial where something could not be
    read; where clusters_read is 0, everything: `oomdb coverage --run ID` says why.
    """
    with open_for_reading(app.database) as store:
        if filters.run is not None:
            filters = resolve_run(store, filters, any_status=True)
        emit(stream(store, build_runs_query(filters, output.rows_wanted)), output, app)
