"""The blocks "Report for pod: …": how often each type struck, on which day, where."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, tzinfo

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.instances import Instance
from oomdb.reports.backups import format_day
from oomdb.reports.content import order_types
from oomdb.table import escape_controls

_RULE = "=" * 46
IN_THIS_RUN = "in this run"
IN_THE_HISTORY = "in the history"


Whose = Callable[[str, str], str]  # cluster and namespace → the end of a line about it


def render_run_summary(instances: Iterable[Instance], *, zone: tzinfo | None, whose: Whose | None = None) -> str:
    """Return a block for each pod of a run, by name; days are those of `zone` (None: the system's).

    Lines end with the owner where `whose` tells it. Names are escaped: one with a line end in it cannot forge a line.
    """
    by_pod: defaultdict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        by_pod[instance.pod].append(instance)
    return "".join(_render_block(pod, by_pod[pod], IN_THIS_RUN, zone, whose) for pod in sorted(by_pod))


def render_pod_summary(
    text: str, instances: Iterable[Instance], *, zone: tzinfo | None, whose: Whose | None = None
) -> str:
    """Return the one block of the pods whose name contains a text, over the whole history."""
    return _render_block(text, instances, IN_THE_HISTORY, zone, whose)


def _render_block(
    title: str, instances: Iterable[Instance], where: str, zone: tzinfo | None, whose: Whose | None
) -> str:
    counts: defaultdict[str, Counter[tuple[date, str, str]]] = defaultdict(Counter)
    for it in instances:
        counts[it.type][it.at.astimezone(zone).date(), it.cluster, it.namespace] += 1
    types = order_types(list({OOM_KILLED, CRASH_LOOP_BACK_OFF, *counts}))
    lines = [line for type_ in types for line in _iter_lines(type_, counts[type_], where, whose)]
    return "\n".join(["", _RULE, f"Report for pod: {escape_controls(title)}", _RULE, *lines, _RULE, ""])


def _iter_lines(type_: str, counts: Counter[tuple[date, str, str]], where: str, whose: Whose | None) -> Iterator[str]:
    if not counts:
        yield f"{type_}: 0 instances (no occurrences {where})"
    for (day, cluster, namespace), count in sorted(counts.items()):
        owner = whose(cluster, namespace) if whose else ""
        yield escape_controls(
            f"{type_}: {count} instance(s) on {format_day(day)}, Namespace: {namespace} (cluster: {cluster}){owner}"
        )
