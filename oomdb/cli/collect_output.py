"""What a collect shows when it is done: how much was looked at, and what was found."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from oomdb.cli.output import paint_for
from oomdb.collect.run import READ
from oomdb.model import ClusterScan, Finding
from oomdb.timespan import format_for_people

if TYPE_CHECKING:
    from oomdb.cli.options import App

_HEADERS = ("Cluster", "Status", "Namespaces", "Skipped", "Failed", "Pods", "Events", "Events since", "Findings")
_UNKNOWN = "–"


def render_coverage(scans: Sequence[ClusterScan], app: "App") -> str:
    """Return the coverage table: a line a cluster, and below it what could not be read, and why."""
    paint = paint_for(app, sys.stdout)
    rows = [_coverage_row(scan, app) for scan in scans]
    widths = [max(len(row[column]) for row in [_HEADERS, *rows]) for column in range(len(_HEADERS))]
    lines = ["Coverage\n", _line(_HEADERS, widths)]
    for scan, row in zip(scans, rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = paint.cluster(cells[0])
        cells[1] = paint.clean(cells[1]) if scan.status == "complete" else paint.finding(cells[1])
        lines.append("  " + "  ".join(cells).rstrip() + "\n")
    for scan in scans:
        lines.extend(f"  {paint.cluster(scan.cluster)}: {paint.finding(told)}\n" for told in _missing(scan))
    return "".join(lines) + "\n"


def render_findings(scans: Sequence[ClusterScan], app: "App") -> str:
    """Return the findings by cluster and namespace; namespaces without findings are not named."""
    paint = paint_for(app, sys.stdout)
    lines = ["Findings\n"]
    for scan in scans:
        if scan.status not in READ:
            lines.append(f"  {paint.cluster(scan.cluster)}: {paint.skipped(f'not read ({scan.status})')}\n")
            continue
        if not scan.findings:
            clean = "nothing found" if scan.status == "complete" else "nothing found in what could be read"
            lines.append(f"  {paint.cluster(scan.cluster)}: {paint.clean(clean)}\n")
        else:
            lines.append(f"  {paint.cluster(scan.cluster)}\n")
        by_namespace: defaultdict[str, list[Finding]] = defaultdict(list)
        for finding in scan.findings:
            by_namespace[finding.namespace].append(finding)
        for namespace, findings in sorted(by_namespace.items()):
            lines.append(f"    {paint.namespace(namespace)}\n")
            lines.extend(f"      {paint.finding(it)}\n" for it in _finding_lines(findings, app))
        if scan.suspects:
            lines.append(f"    {paint.skipped(_suspects(scan))}\n")
        if scan.skipped_by_rule:
            skipped = ", ".join(f"{count} by {rule}" for rule, count in sorted(scan.skipped_by_rule.items()))
            lines.append(f"    {paint.skipped(f'namespaces skipped: {skipped}')}\n")
    return "".join(lines) + "\n"


def _coverage_row(scan: ClusterScan, app: "App") -> tuple[str, ...]:
    counts = (
        scan.namespaces_scanned,
        scan.namespaces_skipped,
        scan.namespaces_failed,
        scan.pods_seen,
        scan.events_seen,
    )
    since = format_for_people(scan.oldest_event_at, app.zone) if scan.oldest_event_at else _UNKNOWN
    findings = str(len(scan.findings)) if scan.status in READ else _UNKNOWN
    return (scan.cluster, scan.status, *(_UNKNOWN if it is None else f"{it:,}" for it in counts), since, findings)


def _line(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() + "\n"


def _missing(scan: ClusterScan) -> list[str]:
    if scan.status not in READ:
        return [scan.error]
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for gap in scan.gaps:
        grouped[gap.source, gap.status].append(gap.namespace)
    told = []
    for (source, status), namespaces in grouped.items():
        message = next(gap.message for gap in scan.gaps if (gap.source, gap.status) == (source, status))
        named = sorted(it for it in namespaces if it)
        where = (
            f" in {len(named)} namespaces ({', '.join(named[:3])}{', …' if len(named) > 3 else ''})" if named else ""
        )
        told.append(f"{source} not read{where}: {message}")
    return told


def _finding_lines(findings: Iterable[Finding], app: "App") -> list[str]:
    lines = []
    for finding in sorted(findings, key=lambda it: (it.type != "OOMKilled", it.type, it.pod, it.container)):
        last = max(sighting.at for sighting in finding.sightings)
        container = f" [{finding.container}]" if finding.container else ""
        gone = " (pod deleted)" if finding.pod_gone else ""
        lines.append(f"{finding.type}  {finding.pod}{container}  {format_for_people(last, app.zone)}{gone}")
    return lines


def _suspects(scan: ClusterScan) -> str:
    counts = Counter(suspect.suspect_class for suspect in scan.suspects)
    return "suspected, not counted: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
