"""What could have been missed in a namespace, and what to do about each: judged by what is known of it."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from oomdb.collect.clocks import find_skew, tell_skew
from oomdb.collect.look import LiveLook
from oomdb.collect.lookback import AUTO
from oomdb.collect.namespaces import EXCLUDE_RULE, INCLUDE_RULE
from oomdb.queries.why import FORBIDDEN, NamespaceFacts

Show = Callable[[datetime], str]

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One way in which an OOM may have gone unseen, and what to run or do about it."""

    what: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a verdict is made of; `rule` leaves the namespace out by its name and the settings as they are now."""

    facts: NamespaceFacts
    rule: str | None
    live: LiveLook | None
    now: datetime

    def collect(self, *options: str) -> str:
        """Return the command line that collects from the case's cluster."""
        return _write_command("collect", "--contexts", self.facts.cluster, *options)

    @property
    def ask_live(self) -> str:
        """The command line that asks the cluster itself."""
        return _write_command("why", f"{self.facts.cluster}/{self.facts.namespace}", "--live")


def find_doubts(case: Case, show: Show) -> list[Doubt]:
    """Return what could have been missed, what weighs most first; the limits of what Kubernetes tells come last.

    Args:
        case: what is known.
        show: how an instant is written.
    """
    found = [_judge_live, _judge_found, _judge_latest, _judge_rule_now, _judge_age, _judge_unreached]
    found += [_judge_pause, _judge_filters, _judge_clock, _judge_suspects, _tell_limits]
    return [doubt for judge in found for doubt in judge(case, show)]


def format_span(span: timedelta) -> str:
    """Return a length of time for people, in its two largest units: `8 h`, `2 d 4 h`, `35 min`."""
    if span < _HOUR:
        return f"{max(0, span // _MINUTE)} min"
    large, small, units = (_DAY, _HOUR, ("d", "h")) if span >= 2 * _DAY else (_HOUR, _MINUTE, ("h", "min"))
    rest = span % large // small
    return f"{span // large} {units[0]}" + (f" {rest} {units[1]}" if rest else "")


def _write_command(name: str, *options: str) -> str:
    return shlex.join(["oomdb", name, *options])


def _judge_live(case: Case, _show: Show) -> Iterator[Doubt]:
    live = case.live
    if live is None:
        return
    if live.exists is False:
        yield Doubt("The namespace is not there any more: nothing new can be seen in it.", "check its name and cluster")
        return
    new = sum(not found.is_stored for found in live.found)
    if new:
        yield Doubt(
            f"{new} {'kill or loop shows' if new == 1 else 'kills or loops show'} in it now that no run has stored.",
            case.collect("-n", case.facts.namespace),
        )
    refused = [permission.need for permission in live.permissions if permission.allowed is False]
    for need in refused:
        role = _write_command("rbac", "--namespaced", "-n", case.facts.namespace)
        yield Doubt(f"We may not {need.text} in it: {need.without}.", role)
    if live.error and not refused:
        yield Doubt(f"It cannot be read just now: {live.error}", "oomdb doctor")


def _judge_found(case: Case, show: Show) -> Iterator[Doubt]:
    facts = case.facts
    if not facts.occurrences:
        return
    counts = ", ".join(f"{count} {type_}" for type_, count in sorted(facts.counts.items()))
    yield Doubt(
        f"Nothing of what is stored: {counts} since {show(facts.since)}. A report shows one run alone, and what was in "
        "that run's time range.",
        _write_command("occurrences", "--cluster", facts.cluster, "-n", facts.namespace, "--since", _age(case, facts)),
    )


def _age(case: Case, facts: NamespaceFacts) -> str:
    return f"{max(1, -((facts.since - case.now) // _DAY))}d"


def _judge_latest(case: Case, show: Show) -> Iterator[Doubt]:
    facts, look = case.facts, case.facts.look
    if look is None:
        yield Doubt(
            "No run has noted what it did with this namespace: those that looked at its cluster were imported, or "
            "recorded before oomdb kept it, or knew of no such namespace.",
            case.collect("-n", facts.namespace),
        )
        return
    newest = next((scan for scan in facts.scans if scan.run_id == look.run_id), None)
    which = f"Run {newest.run_id} of {show(newest.began_at)}" if newest else "The newest run"
    last = f"it was read last on {show(look.read_at)}" if look.read_at else "no run has ever read it"
    if look.state == "skipped":
        yield Doubt(
            f"{which} left it out by the rule '{look.reason}', so nothing in it was looked at; {last}.",
            _read_in_spite_of(case, look.reason),
        )
    elif look.state == "failed":
        forbidden = newest is not None and newest.reason_status == FORBIDDEN
        role = _write_command("rbac", "--namespaced", "-n", facts.namespace)
        yield Doubt(f"{which} could not read it: {look.reason}; {last}.", role if forbidden else "oomdb doctor")
    elif look.state == "unseen":
        yield Doubt(
            f"It was known last on {show(look.last_seen_at)}; {look.reason}: it was deleted, or renamed; {last}.",
            case.ask_live,
        )


def _read_in_spite_of(case: Case, rule: str) -> str:
    # rules about labels, and filters, hold for what -n names too
    more = ("--include-ephemeral",) if rule.startswith("label ") else ()
    line = case.collect("-n", case.facts.namespace, *more)
    return f"{line}, without {rule} (also in the settings)" if rule in (INCLUDE_RULE, EXCLUDE_RULE) else line


def _judge_rule_now(case: Case, _show: Show) -> Iterator[Doubt]:
    look = case.facts.look
    rule = case.live.rule if case.live is not None and case.live.labels_known else case.rule
    if rule is not None and (look is None or look.state != "skipped"):
        yield Doubt(
            f"By the settings as they are now, a collect of all namespaces leaves it out: '{rule}'.",
            _read_in_spite_of(case, rule),
        )


def _judge_age(case: Case, show: Show) -> Iterator[Doubt]:
    reads = case.facts.reads
    if not reads:
        return
    age = case.now - reads[0].began_at
    if age > reads[0].lookback and reads[0].time_range != AUTO:
        yield Doubt(
            f"It was read last on {show(reads[0].began_at)}, {format_span(age)} ago: a run that looks back "
            f"{reads[0].time_range} does not reach that far.",
            case.collect("--time-range", "auto"),
        )
    elif age >= _HOUR:
        yield Doubt(f"What happened since {show(reads[0].began_at)}, when it was read last.", case.ask_live)


def _judge_unreached(case: Case, show: Show) -> Iterator[Doubt]:
    hole = case.facts.unreached
    if hole is not None:
        yield Doubt(
            f"No run looked back over {show(hole.since)} to {show(hole.until)} ({format_span(hole.length)}): kills of "
            "that time are stored only where no later one replaced them.",
            "oomdb collect --time-range auto, from cron: it reaches back to the scan before",
        )


def _judge_pause(case: Case, show: Show) -> Iterator[Doubt]:
    facts, pause = case.facts, case.facts.longest_pause
    if pause is None:
        return
    oldest = next((scan for scan in facts.reads if scan.oldest_event_at is not None), None)
    reach = None if oldest is None or oldest.oldest_event_at is None else oldest.began_at - oldest.oldest_event_at
    if reach is not None and reach >= pause.length:
        return
    reached = (
        "how far back events reach is not known (one hour by default, three on OpenShift)"
        if reach is None
        else f"events reached back {format_span(reach)} when they were read last"
    )
    yield Doubt(
        f"Up to {format_span(pause.length)} lie between two reads ({show(pause.since)} to {show(pause.until)}). Of a "
        "pod that was created, killed and deleted in between, only events tell; "
        f"{reached}. Crash loops that ended before that leave a trace only where their pod is still there.",
        "run `oomdb collect` more often than events expire",
    )


def _judge_filters(case: Case, _show: Show) -> Iterator[Doubt]:
    facts = case.facts
    filtered = [scan for scan in facts.scans if scan.scope != "all" and not scan.was_read and not scan.reason]
    if filtered:
        scopes = sorted({scan.scope for scan in filtered})
        yield Doubt(
            f"{len(filtered)} of {len(facts.scans)} runs had another scope ({'; '.join(scopes[:3])}) and did not, or "
            "may not, have looked at it.",
            "oomdb collect without these filters",
        )


def _judge_clock(case: Case, _show: Show) -> Iterator[Doubt]:
    known = (scan.clock_skew_seconds for scan in case.facts.scans if scan.clock_skew_seconds is not None)
    if skew := find_skew(next(known, None)):
        yield Doubt(
            f"The cluster's clock is {tell_skew(skew)}: what it dates may look older or newer than it is.",
            "set the wrong one of the two clocks (NTP)",
        )


def _judge_suspects(case: Case, _show: Show) -> Iterator[Doubt]:
    facts = case.facts
    if facts.suspects:
        query = "SELECT * FROM suspects WHERE cluster = :cluster AND namespace = :namespace"
        yield Doubt(
            f"{len(facts.suspects)} containers or pods may have ended for want of memory, but not as OOMKilled "
            "(exit code 137 with another reason, or evicted): suspected, not counted.",
            _write_command("sql", query, "-p", "cluster", facts.cluster, "-p", "namespace", facts.namespace),
        )


def _tell_limits(case: Case, _show: Show) -> Iterator[Doubt]:
    facts = case.facts
    yield Doubt(
        "Always: a container keeps its last termination only, so of several kills between two looks one shows; and a "
        "child process that is killed while its container goes on shows nowhere.",
        _write_command("occurrences", "--cluster", facts.cluster, "-n", facts.namespace)
        + " has restart_count: where it jumps, there were more",
    )
