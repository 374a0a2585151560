"""What a collect shows when it is done: how much was looked at, and what was found."""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oomdb.cli.output import paint_for
from oomdb.collect.run import READ
from oomdb.model import ClusterScan, Finding, Gap
from oomdb.timespan import format_for_people

if TYPE_CHECKING:
    from oomdb.cli.options import App

_HEADERS = ("Cluster", "Status", "Namespaces", "Skipped", "Failed", "Pods", "Events", "Events since", "Findings")
_UNKNOWN = "–"


@dataclass(slots=True)
class Tally:
    """What a collect has recorded so far, for the line by which logs tell how it ended."""

    clusters: int
    run_id: int | None = None  # None until it has begun
    skipped_for: int | None = None  # the run that was going on, where this one did not begin for it
    clusters_read: int = 0
    findings: int = 0
    new_occurrences: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, scan: ClusterScan, new_occurrences: int) -> None:
        """Count a cluster's part."""
        self.clusters_read += scan.status in READ
        self.findings += len(scan.findings)
        self.new_occurrences += new_occurrences

    def line(self, code: int) -> str:
        """Return the line: `run=42 clusters=18/20 findings=31 new_occurrences=7 seconds=12 exit=0`.

        It begins with `run=none skipped=running:41` where run 41 was going on, and with `run=none` where another thing
        kept it from beginning.
        """
        skipped = "" if self.skipped_for is None else f"skipped=running:{self.skipped_for} "
        return (
            f"run={'none' if self.run_id is None else self.run_id} {skipped}"
            f"clusters={self.clusters_read}/{self.clusters} "
            f"findings={self.findings} new_occurrences={self.new_occurrences} "
            f"seconds={time.monotonic() - self.began:.0f} exit={code}"
        )


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


def list_advice(scans: Sequence[ClusterScan], *, quiet: bool) -> Iterator[str]:
    """Iterate over what is said on stderr when all is done, also with `-q`: wrong names, and where to get rights.

    Args:
        scans: what was read.
        quiet: no coverage table was shown, which has the wrong names; gaps that rights leave are nothing to hear daily.
    """
    missing = [(scan.cluster, gap) for scan in scans if scan.status in READ for gap in scan.gaps]
    for cluster, gap in missing if quiet else ():
        if gap.status == "not-found":
            yield f"{cluster}: {gap.message}"
    refused = any(gap.status == "forbidden" for _, gap in missing) and not quiet
    if refused or any(scan.status == "forbidden" for scan in scans):
        yield "something was forbidden: `oomdb doctor` names the rights that lack, `oomdb rbac` prints a role with them"


def render_findings(scans: Sequence[ClusterScan], app: "App", *, run_id: int) -> str:
    """Return the findings of a run by cluster and namespace; namespaces without findings are not named."""
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
    if any(scan.suspects for scan in scans):
        names = "cluster, namespace, pod, container, class, at, exit_code"
        query = f'oomdb sql "SELECT {names} FROM suspects WHERE run_id = {run_id}"'  # noqa: S608  # shown, not run
        lines.append(f"  {paint.skipped(f'which are suspected: {query}')}\n")
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
    grouped: defaultdict[tuple[str, str], list[Gap]] = defaultdict(list)
    for gap in scan.gaps:
        grouped[gap.source, gap.status].append(gap)
    return [told for gaps in grouped.values() for told in _tell_gaps(gaps)]


def _tell_gaps(gaps: Sequence[Gap]) -> list[str]:
    """Return what to say of gaps of one source and status: mostly the first message, which fits all."""
    first = gaps[0]
    if first.source == "time-range" or first.status == "not-found":
        return [gap.message for gap in gaps]  # each of its own
    named = sorted(gap.namespace for gap in gaps if gap.namespace)
    where = f" in {len(named)} namespaces ({', '.join(named[:3])}{', …' if len(named) > 3 else ''})" if named else ""
    return [f"{first.source} not {'saved' if first.source == 'artifacts' else 'read'}{where}: {first.message}"]


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
