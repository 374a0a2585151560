"""What `oomdb why` says of a namespace: in plain words, section by section, and as one object for machines."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from oomdb.cli.output import Paint, escape_controls
from oomdb.cli.why_verdict import Case, Doubt, Show, format_span
from oomdb.collect.look import LiveLook
from oomdb.queries.namespaces import NamespaceLook
from oomdb.queries.why import NamespaceFacts, Pause, Scan
from oomdb.timespan import format_instant

SCANS_SHOWN = 8
FOUND_SHOWN = 5
_UNKNOWN = "–"


def render_case(case: Case, doubts: Sequence[Doubt], show: Show, paint: Paint) -> str:
    """Return all that is known of one namespace of one cluster, and the verdict at the end."""
    facts = case.facts
    sections = [
        ("Cluster", _cluster_lines(facts)),
        ("Latest look", _look_lines(facts.look, show)),
        ("Rules as they are now", _rule_lines(case)),
        ("Permissions", _permission_lines(case, show)),
        (f"Runs since {show(facts.since)}", _run_lines(facts, show)),
        ("Last scans", _scan_lines(facts.scans[:SCANS_SHOWN], show)),
        ("Found in it", _found_lines(facts, show)),
    ]
    if case.live is not None:
        sections.append((f"Now, {show(case.live.at)}", _live_lines(case.live, show)))
    title = f"{paint.namespace(facts.namespace)} in {paint.cluster(facts.cluster)}\n"
    body = "".join(
        f"\n{name}\n" + "".join(f"  {escape_controls(line)}\n" for line in lines) for name, lines in sections
    )
    verdict = "\nWhat could have been missed, and why\n"
    for number, doubt in enumerate(doubts, start=1):
        verdict += f"  {number}. {escape_controls(doubt.what)}\n     → {escape_controls(doubt.do)}\n"
    return title + body + verdict


def build_object(case: Case, doubts: Sequence[Doubt]) -> dict[str, Any]:
    """Return the same for machines: instants in UTC, lengths in seconds, None for what is not known."""
    facts, look = case.facts, case.facts.look
    return {
        "cluster": facts.cluster,
        "context": facts.context,
        "server": facts.server,
        "since": format_instant(facts.since),
        "state": look.state if look else None,
        "reason": look.reason if look else None,
        "read_at": _instant(look.read_at) if look else None,
        "read_run": look.read_run_id if look else None,
        "last_seen_at": _instant(look.last_seen_at) if look else None,
        "last_run": look.last_run_id if look else None,
        "rule_by_name": case.rule,
        "reads": len(facts.reads),
        "longest_pause": _pause(facts.longest_pause),
        "unreached": _pause(facts.unreached),
        "refusals": [
            {
                "source": it.source,
                "everywhere": it.everywhere,
                "runs": it.runs,
                "last_run": it.last_run_id,
                "message": it.message,
            }
            for it in facts.refusals
        ],
        "scans": [_scan_object(scan) for scan in facts.scans],
        "occurrences": [
            {
                "occurred_at": format_instant(it.occurred_at),
                "last_seen_at": format_instant(it.last_seen_at),
                "type": it.type,
                "pod": it.pod,
                "container": it.container,
            }
            for it in facts.occurrences
        ],
        "suspects": [
            {"class": it.suspect_class, "at": _instant(it.at), "pod": it.pod, "container": it.container}
            for it in facts.suspects
        ],
        "live": _live_object(case.live) if case.live is not None else None,
        "missed": [{"what": doubt.what, "do": doubt.do} for doubt in doubts],
    }


# --- in words -------------------------------------------------------------------------------------------------------


def _cluster_lines(facts: NamespaceFacts) -> Iterator[str]:
    yield f"server   {facts.server or 'not known'}"
    yield f"context  {facts.context or 'not known'}"


def _look_lines(look: NamespaceLook | None, show: Show) -> Iterator[str]:
    if look is None:
        yield "not known: no run has noted what it did with this namespace"
        return
    known_to = f"{_name_run(look.last_run_id)} on {show(look.last_seen_at)}"
    yield {
        "read": f"read by {_name_run(look.run_id)} on {show(look.read_at or look.last_seen_at)}: its pods and events, "
        "to the end",
        "skipped": f"left out by {known_to}: {look.reason}",
        "failed": f"not read: {look.reason}",
        "unseen": f"not seen any more: {look.reason}",
    }[look.state]
    if look.state in ("failed", "unseen"):
        yield f"known last to {known_to}"
    if look.state != "read":
        yield f"read last on {show(look.read_at)}" if look.read_at else "never read by any run"


def _name_run(run_id: int | None) -> str:
    return f"run {run_id}" if run_id is not None else "a run that was deleted"


def _rule_lines(case: Case) -> Iterator[str]:
    if case.rule is None:
        yield "no rule leaves it out by its name"
    else:
        spared = " (unless -n names it, or a label makes it permanent)" if case.rule.startswith("name ") else ""
        yield f"left out by its name: {case.rule}{spared}"
    if case.live is None or not case.live.labels_known:
        yield "its labels are not known here: a rule about them may leave it out; --live reads them"
    elif case.live.rule is not None:
        yield f"with its labels: left out by {case.live.rule}"
    else:
        yield "with its labels: looked at"


def _permission_lines(case: Case, show: Show) -> Iterator[str]:
    live = case.live
    allowed = {True: "allowed", False: "FORBIDDEN", None: "the server does not tell"}
    for permission in live.permissions if live is not None else ():
        reason = f" ({permission.reason})" if permission.reason and not permission.allowed else ""
        yield f"{permission.need.text}: {allowed[permission.allowed]}{reason}"
    for refusal in case.facts.refusals:
        where = "in the whole cluster" if refusal.everywhere else "in it"
        runs = f"{refusal.runs} runs" if refusal.runs > 1 else "a run"
        last = f"last run {refusal.last_run_id} on {show(refusal.last_at)}"
        yield f"{refusal.source} were forbidden {where} to {runs}, {last}: {refusal.message}"
    if not case.facts.refusals:
        yield "nothing that concerns it was forbidden to a run" if case.facts.scans else "no run tells of them"
    if live is None or not live.permissions:
        yield "what is allowed now is not known here: --live asks"


def _run_lines(facts: NamespaceFacts, show: Show) -> Iterator[str]:
    if not facts.scans:
        yield "no run looked at the cluster"
        return
    unknown = sum(scan.was_read is None for scan in facts.scans)
    failed = sum(scan.was_read is False for scan in facts.scans)
    counts = [f"{len(facts.reads)} read the namespace", f"{failed} did not"]
    counts += [f"of {unknown} nobody noted it"] if unknown else []
    yield f"{len(facts.scans)} looked at the cluster: {', '.join(counts)}"
    yield f"time range  {_list_distinct(scan.time_range for scan in facts.scans)}"
    yield f"scope       {_list_distinct(scan.scope for scan in facts.scans)}"
    pause = facts.longest_pause
    if pause is not None:
        length = format_span(pause.length)
        yield f"longest time between two reads: {length}, {show(pause.since)} to {show(pause.until)}"
    oldest = next((scan for scan in facts.scans if scan.oldest_event_at is not None), None)
    if oldest is not None and oldest.oldest_event_at is not None:
        yield f"events reached back to {show(oldest.oldest_event_at)} in run {oldest.run_id}: of what is older, deleted"
        yield "  pods cannot be seen, loops only while they last, kills only as a container's last termination"
    else:
        yield "how far back events reached is not known: no run saw one"
    newest = facts.scans[0]
    if newest.clock_skew_seconds is not None:
        yield f"the cluster's clock was {newest.clock_skew_seconds:+.1f} s from ours in run {newest.run_id}"


def _list_distinct(texts: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _scan_lines(scans: Sequence[Scan], show: Show) -> Iterator[str]:
    if not scans:
        yield "none"
        return
    rows: list[tuple[str, ...]] = [("run", "began", "scope", "range", "cluster", "read", "findings", "why not")]
    read = {True: "yes", False: "no", None: _UNKNOWN}
    for scan in scans:
        why_not = scan.reason or ("left out, or not there" if scan.was_read is False else "")
        what = (scan.scope, scan.time_range, scan.status, read[scan.was_read], str(scan.findings), why_not)
        rows.append(tuple(escape_controls(cell) for cell in (str(scan.run_id), show(scan.began_at), *what)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _found_lines(facts: NamespaceFacts, show: Show) -> Iterator[str]:
    if not facts.occurrences:
        yield "no kill and no crash loop is stored"
    for type_, count in sorted(facts.counts.items()):
        yield f"{type_}: {count}"
    for it in facts.occurrences[:FOUND_SHOWN]:
        lasted = f" until {show(it.last_seen_at)}" if it.last_seen_at > it.occurred_at else ""
        yield f"  {show(it.occurred_at)}{lasted}  {it.type}  {it.pod}{_in(it.container)}"
    if len(facts.occurrences) > FOUND_SHOWN:
        yield f"  and {len(facts.occurrences) - FOUND_SHOWN} older"
    if facts.suspects:
        yield f"suspected, not counted: {len(facts.suspects)}"
    for suspect in facts.suspects[:FOUND_SHOWN]:
        at = show(suspect.at) if suspect.at else "at a time not known"
        yield f"  {at}  {suspect.suspect_class}  {suspect.pod}{_in(suspect.container)}"


def _in(container: str) -> str:
    return f" [{container}]" if container else ""


def _live_lines(live: LiveLook, show: Show) -> Iterator[str]:
    there = {True: "the namespace is there", False: "there is no such namespace", None: "we may not ask for it by name"}
    if live.error and not live.gaps:
        yield f"error: {live.error}"
    if live.exists is not None or not live.error:
        yield there[live.exists]
    for gap in live.gaps:
        yield f"{gap.source} not read: {gap.message}"
    if live.pods_seen is not None:
        yield f"pods seen: {live.pods_seen}"
    if live.events_seen is not None:
        reach = f", back to {show(live.oldest_event_at)}" if live.oldest_event_at else ""
        yield f"events seen: {live.events_seen}{reach}"
    for found in sorted(live.found, key=lambda it: it.at, reverse=True):
        finding = found.finding
        stored = "stored" if found.is_stored else "NOT STORED yet"
        yield f"{show(found.at)}  {finding.type}  {finding.pod}{_in(finding.container)}  {stored}"
    for suspect in live.suspects:
        at = show(suspect.at) if suspect.at else "at a time not known"
        yield f"{at}  {suspect.suspect_class}  {suspect.pod}{_in(suspect.container)}  suspected, not counted"
    if live.pods_seen is not None and not live.found:
        yield "no kill and no crash loop shows"


# --- for machines ---------------------------------------------------------------------------------------------------


def _scan_object(scan: Scan) -> dict[str, Any]:
    return {
        "run": scan.run_id,
        "began_at": format_instant(scan.began_at),
        "origin": scan.origin,
        "scope": scan.scope,
        "time_range": scan.time_range,
        "status": scan.status,
        "was_read": scan.was_read,
        "reason": scan.reason,
        "oldest_event_at": _instant(scan.oldest_event_at),
        "clock_skew_seconds": scan.clock_skew_seconds,
        "findings": scan.findings,
    }


def _live_object(live: LiveLook) -> dict[str, Any]:
    return {
        "at": format_instant(live.at),
        "context": live.context,
        "server": live.server,
        "error": live.error,
        "exists": live.exists,
        "rule": live.rule,
        "labels_known": live.labels_known,
        "permissions": {it.need.text: it.allowed for it in live.permissions},
        "status": live.status,
        "gaps": [{"source": gap.source, "status": gap.status, "message": gap.message} for gap in live.gaps],
        "pods_seen": live.pods_seen,
        "events_seen": live.events_seen,
        "oldest_event_at": _instant(live.oldest_event_at),
        "clock_skew_seconds": live.clock_skew_seconds,
        "found": [
            {
                "at": format_instant(it.at),
                "type": it.finding.type,
                "pod": it.finding.pod,
                "container": it.finding.container,
                "is_stored": it.is_stored,
            }
            for it in live.found
        ],
        "suspects": [
            {"class": it.suspect_class, "at": _instant(it.at), "pod": it.pod, "container": it.container}
            for it in live.suspects
        ],
    }


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    seconds = pause.length // timedelta(seconds=1)
    return {"since": format_instant(pause.since), "until": format_instant(pause.until), "seconds": seconds}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_instant(at)
