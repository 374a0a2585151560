"""`oomdb summary`: the blocks "Report for pod: …"."""

from typing import TYPE_CHECKING

from oomdb.cli.empty_output import explain_empty
from oomdb.cli.ending import stopping_on_sigterm
from oomdb.cli.export_output import show_selection
from oomdb.cli.options import command, filter_options, pass_app
from oomdb.cli.output import write
from oomdb.cli.owner_options import owner_options
from oomdb.cli.owner_output import learn_owners
from oomdb.errors import UsageError
from oomdb.queries.exports import select_run
from oomdb.queries.instances import list_instances_of_pods, list_instances_of_run
from oomdb.reports.summary import render_pod_summary, render_run_summary
from oomdb.store.database import open_for_reading

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes
    from oomdb.queries.filters import FindingFilter


@command(
    "summary",
    short_help="Show kills and crash loops per pod and day.",
    examples=(
        ("Every pod of the latest run", "oomdb summary"),
        ("All days of the pods whose name contains a text", "oomdb summary --pod kube-rbac-proxy"),
        ("With the owners of the namespaces", "oomdb summary -c ~/konflux-release-data"),
    ),
)
@filter_options("run", "pod")
@owner_options
@pass_app
def summary_command(*, app: "App", filters: "FindingFilter", owners: "OwnerWishes") -> None:
    """Show how often each pod was killed or looped, one line a type, day, cluster and namespace.

    Without --pod: a block for each pod of the run, with what that run saw. With --pod: one block for all pods whose
    name contains the text, over the whole history. Each kill and each loop is counted once, on the day (in --tz) of
    the kill, or of the loop's first sighting.

    With -c or --codeowners-repo each line ends with the owners of the namespace; names and addresses are asked of
    GitLab (`glab api`) and kept in the database for a week.
    """
    if filters.pod and filters.run is not None:
        raise UsageError("--pod looks at the whole history: give --run or --pod, not both.")
    with stopping_on_sigterm(), open_for_reading(app.database) as store:  # a clone goes in order
        # the transaction ends before owners are asked for: that takes a while, and what is learned is written
        if filters.pod:
            with store.reading() as conn:
                instances = list_instances_of_pods(conn, filters.pod)
            if not instances:
                explain_empty(store, filters, app)
        else:
            with store.reading() as conn:
                selection = select_run(conn, "latest" if filters.run is None else filters.run)
                instances = list_instances_of_run(conn, selection.run)
            pods = len({it.pod for it in instances})
            show_selection(selection, app, found=f"{pods} pods" if pods else "nothing found in what could be read")
        whose = learn_owners(store, {(it.cluster, it.namespace) for it in instances}, owners, app)
    if filters.pod:
        write(render_pod_summary(filters.pod, instances, zone=app.zone, whose=whose))
    else:
        write(render_run_summary(instances, zone=app.zone, whose=whose))
