"""`oomdb why`: why might I not see an OOM for this namespace?"""

import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from oomdb.cli.clusters import select_targets
from oomdb.cli.ending import stopping_on_sigterm
from oomdb.cli.options import command, option, pass_app
from oomdb.cli.output import note, paint_for, write
from oomdb.cli.types import INSTANT_OR_SPAN
from oomdb.cli.why_output import build_object, render_case
from oomdb.cli.why_verdict import Case, find_doubts
from oomdb.collect.look import LiveLook, LookRequest, look_at_namespace
from oomdb.collect.namespaces import (
    EXCLUDE_RULE,
    INCLUDE_RULE,
    NamespaceRules,
    parse_ephemeral_rules,
    parse_name_filters,
)
from oomdb.collect.scan import ScanRequest
from oomdb.detectors.registry import load_detectors
from oomdb.errors import UsageError
from oomdb.kube.clusters import ClusterTarget
from oomdb.queries.why import find_facts, list_clusters_with, require_known
from oomdb.store.database import open_for_reading
from oomdb.timespan import format_for_people, format_instant

if TYPE_CHECKING:
    from oomdb.cli.options import App

_DEFAULT_SPAN = timedelta(days=14)
EXIT_NOT_REACHED = 1


@command(
    "why",
    short_help="Say why an OOM of a namespace might not be seen.",
    examples=(
        ("In every cluster that has it, by what the database knows", "oomdb why payments-tenant"),
        ("In one cluster, which is asked too", "oomdb why prod-east/payments-tenant --live"),
        ("Over the last two months, for a script", "oomdb why payments-tenant --since 2M --json"),
    ),
)
@click.argument("place", metavar="[CLUSTER/]NAMESPACE")
@option("--live", is_flag=True, help="Also ask the cluster: labels, permissions, what shows now.")
@option("--kubeconfig", type=click.Path(path_type=str), help="Path; else KUBECONFIG, else ~/.kube/config.")
@option("--since", metavar="WHEN", type=INSTANT_OR_SPAN, default=None, help="From when on.  [default: 14d]")
@option("--timeout", type=click.FloatRange(0, min_open=True), default=45, help="Seconds without an answer.")
@option("--retries", type=click.IntRange(0, 20), default=3, help="Further tries of a request.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_app
def why_command(
    *,
    app: "App",
    place: str,
    live: bool,
    kubeconfig: str | None,
    since: datetime | None,
    timeout: float,
    retries: int,
    as_json: bool,
) -> int:
    """Tell how a namespace was looked at, and what could have been missed in it, and why.

    For each cluster that has it: its latest look, the rules, the runs and the times between them, what was found, and
    at the end a list of what may have gone unseen, each with what to do. --live asks the cluster too; nothing is
    stored. Exit code: 0; 1 if --live reached no cluster; 2 if no run knows the namespace.
    """
    cluster, namespace = _parse_place(place)
    since = since or app.now - _DEFAULT_SPAN
    rules = _read_rules(app)
    looks: dict[str, LiveLook] = {}
    with stopping_on_sigterm(), open_for_reading(app.database) as store:
        known = [name for name in list_clusters_with(store, namespace) if cluster in ("", name)]
        if live:
            targets = _find_targets(app, cluster, known, kubeconfig)
            scan = ScanRequest(lookback=app.now - since, detectors=load_detectors(), rules=rules)
            request = LookRequest(scan=scan, timeout_seconds=timeout, retries=retries)
            for target in targets:
                looks[target.name] = look_at_namespace(store, target, namespace, request, at=app.now)
        # where we may not ask whether it is there, what may be read of it is shown
        there = {name for name, look in looks.items() if look.exists or (look.exists is None and not look.error)}
        for name in looks.keys() - there - set(known):
            note(f"{name}: {looks[name].error or f'there is no namespace {namespace!r}'}", app)
        reached = any(look.exists is not None or not look.error for look in looks.values())
        if looks and not reached and not known:
            return EXIT_NOT_REACHED  # why not was said above
        if not there and not known:
            require_known(store, cluster, namespace)
        cases = [
            Case(
                facts=find_facts(store, name, namespace, since=since),
                rule=rules.judge(namespace, {}, named=False),
                live=looks.get(name),
                now=app.now,
            )
            for name in sorted({*known, *there})
        ]
    _show(app, namespace, cases, as_json=as_json)
    return EXIT_NOT_REACHED if looks and not reached else 0


def _parse_place(place: str) -> tuple[str, str]:
    cluster, slash, namespace = place.rpartition("/")
    if not namespace or (slash and not cluster) or "/" in cluster:
        raise UsageError(f"{place!r} names no namespace; write NAMESPACE, or CLUSTER/NAMESPACE.")
    if any(char in place for char in "*?["):
        raise UsageError(
            f"{place!r}: one namespace is asked for, so globs are not taken; `oomdb coverage --namespaces "
            "--namespace GLOB` lists several."
        )
    return cluster, namespace


def _read_rules(app: "App") -> NamespaceRules:
    """Return the rules of a collect without options: those of the settings."""
    said = app.settings.commands.get("collect", {})

    def filters(name: str, key: str) -> tuple[re.Pattern[str], ...]:
        value = said.get(key, ())
        return parse_name_filters(name, (value,) if isinstance(value, str) else value)

    return NamespaceRules(
        ephemeral=None if said.get("include_ephemeral") else parse_ephemeral_rules(app.settings.ephemeral),
        include=filters(INCLUDE_RULE, "include_ns"),
        exclude=filters(EXCLUDE_RULE, "exclude_ns"),
    )


def _find_targets(app: "App", cluster: str, known: Sequence[str], kubeconfig: str | None) -> list[ClusterTarget]:
    """Return the clusters to ask: the one that is named, else those that are known to have it, else all."""
    if cluster:
        return list(select_targets(app, current=False, contexts=(cluster,), kubeconfig=kubeconfig))
    targets = select_targets(app, current=False, contexts=(), kubeconfig=kubeconfig)
    for name in set(known) - {target.name for target in targets}:
        note(f"{name}: not asked, since no context of the kubeconfig leads to it", app)
    return [target for target in targets if not known or target.name in known]


def _show(app: "App", namespace: str, cases: Sequence[Case], *, as_json: bool) -> None:
    if as_json:
        objects = [build_object(case, find_doubts(case, format_instant)) for case in cases]
        write(json.dumps({"namespace": namespace, "clusters": objects}, ensure_ascii=False, indent=2) + "\n")
        return

    def show(at: datetime) -> str:
        return format_for_people(at, app.zone)

    paint = paint_for(app, sys.stdout)
    write("\n\n".join(render_case(case, find_doubts(case, show), show, paint) for case in cases))
