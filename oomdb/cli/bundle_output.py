"""What a bundle says first: whose pods the text means, and the block "Report for pod: …"."""

from dataclasses import replace
from typing import TYPE_CHECKING

from oomdb.cli.empty_output import explain_empty
from oomdb.cli.output import note, write
from oomdb.cli.owner_output import learn_owners
from oomdb.queries.bundles import PodMatch, list_evidence, match_pods
from oomdb.reports.summary import render_pod_summary
from oomdb.reports.tarballs import Tarball, plan_tarballs
from oomdb.store.database import Store

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes
    from oomdb.queries.filters import FindingFilter

_WORKLOADS_SHOWN = 20


def report_pods(app: "App", store: Store, wanted: "FindingFilter", owners: "OwnerWishes") -> list[Tarball]:
    """Print the lines of the pods that `wanted.pod` means, and return the tarballs to make of what was saved of them.

    The store may be a temporary one: what is learned of owners goes into it, and not into the app's database.
    """
    with store.reading() as conn:
        match = match_pods(conn, wanted)
        evidence = list_evidence(conn, match)
    instances = [it.instance for it in evidence]
    if not match.places:
        note(f"no known pod that fits has '{wanted.pod}' in its name: there is nothing to bundle", app)
        explain_empty(store, wanted, app)
    _show_workloads(app, match)
    places = {(it.cluster, it.namespace) for it in instances}
    whose = learn_owners(store, places, owners, replace(app, database=str(store.path)))
    write(render_pod_summary(wanted.pod, instances, zone=app.zone, whose=whose))
    return plan_tarballs(wanted.pod, evidence, zone=app.zone)


def _show_workloads(app: "App", match: PodMatch) -> None:
    if len(match.workloads) < 2:
        return
    note(
        f"'{match.text}' means pods of {len(match.workloads)} workloads, all of which are bundled; to take one, type "
        "more of the pod's name, or use --workload, --namespace or --cluster:",
        app,
    )
    for it in match.workloads[:_WORKLOADS_SHOWN]:
        name = f"{it.kind} {it.name}".strip() or "no workload"
        note(f"  {name} (namespace {it.namespace}, cluster {it.cluster}): {it.pods} pod(s)", app)
    if len(match.workloads) > _WORKLOADS_SHOWN:
        note(f"  … and {len(match.workloads) - _WORKLOADS_SHOWN} more workloads", app)
