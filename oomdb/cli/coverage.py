"""`oomdb coverage`: what was looked at, and what was not."""

from dataclasses import replace
from typing import TYPE_CHECKING

from oomdb.cli.empty_output import explain_empty
from oomdb.cli.export_output import show_newer
from oomdb.cli.options import command, filter_options, list_options, option, pass_app
from oomdb.cli.output import emit, note
from oomdb.errors import UsageError
from oomdb.queries.exports import select_run
from oomdb.queries.lists import (
    build_coverage_query,
    build_gaps_query,
    list_missed_clusters,
    resolve_run,
    run_meant,
    stream,
)
from oomdb.queries.namespaces import list_clusters_unknown_by_namespace, list_namespace_looks
from oomdb.queries.selection import Run, find_last_attempt, find_latest_run
from oomdb.store.database import Store, open_for_reading
from oomdb.timespan import format_for_people

if TYPE_CHECKING:
    from oomdb.cli.options import App, Output
    from oomdb.queries.filters import FindingFilter


@command(
    "coverage",
    short_help="List what runs looked at, and what not.",
    examples=(
        ("The latest run", "oomdb coverage"),
        ("What could not be read in it, and why", "oomdb coverage --gaps"),
        ("One cluster over two weeks", "oomdb coverage --cluster prod-east --since 14d"),
        ("When each namespace was read last, and which are left out", "oomdb coverage --namespaces -n 'team-*'"),
    ),
)
@filter_options("cluster", "namespace", "since", "until", "run")
@option("--gaps", is_flag=True, help="A row for each cluster, namespace and list that could not be read.")
@option("--namespaces", "by_namespace", is_flag=True, help="A row for each namespace: its latest looks.")
@list_options
@pass_app
def coverage_command(*, app: "App", filters: "FindingFilter", output: "Output", gaps: bool, by_namespace: bool) -> None:
    """List what each run looked at, a row per cluster; an empty count means that nobody could count.

    Without --run, --since and --until: the latest run; where no run has read a cluster yet, the newest that tried. Of
    one run, the clusters that it did not read and the thirty days before it had are named on stderr. --namespace
    narrows --gaps, but for what is true of a whole cluster, and --namespaces.

    --namespaces tells of each namespace what the latest run that looked at its cluster came to: read (its pods and
    events, to the end), skipped (by a rule), failed, or unseen (the run knew of no such namespace); and when it was
    read last. What no run knew of for thirty days is forgotten.
    """
    with open_for_reading(app.database) as store:
        if by_namespace:
            _show_namespaces(store, app, filters, output, gaps=gaps)
            return
        wanted = run_meant(filters)
        unread = _find_unread(store) if wanted == "latest" else None
        filters = replace(filters, run=unread.id) if unread else resolve_run(store, filters)
        build = build_gaps_query if gaps else build_coverage_query
        if not emit(stream(store, build(filters, output.rows_wanted)), output, app):
            explain_empty(store, filters, app)
        if isinstance(filters.run, int):
            for cluster, read_at in list_missed_clusters(store, filters.run, filters.clusters):
                note(f"{cluster}: not read by run {filters.run}; last read {format_for_people(read_at, app.zone)}", app)
        if unread is not None:
            note(f"no run has read a cluster yet; run {unread.id} is the newest that tried", app)
        elif wanted == "latest":
            with store.reading() as conn:
                show_newer(select_run(conn, wanted), app)


def _find_unread(store: Store) -> Run | None:
    """Return the newest run that tried to read clusters, where none has read any."""
    with store.reading() as conn:
        return None if find_latest_run(conn) else find_last_attempt(conn)


def _show_namespaces(store: Store, app: "App", filters: "FindingFilter", output: "Output", *, gaps: bool) -> None:
    if gaps:
        raise UsageError("--gaps and --namespaces are two lists; ask for one of them.")
    if isinstance(filters.run, int) or filters.since is not None or filters.until is not None:
        raise UsageError(
            "--namespaces tells of the latest looks at each namespace: leave out --run, --since and --until; "
            "--gaps has what single runs could not read."
        )
    if not emit(list_namespace_looks(store, filters), output, app):
        explain_empty(store, filters, app)
    for cluster in list_clusters_unknown_by_namespace(store, filters.clusters):
        note(
            f"{cluster}: what was looked at is not known by namespace: its runs were imported, or recorded before "
            "oomdb kept it; the next `oomdb collect` begins it",
            app,
        )
