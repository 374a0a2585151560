"""What changed, in plain words: what is new since the run before, what is gone, what grew, what could not be seen."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oomdb.queries.changes import Changes, Mover, RowKey
from oomdb.reports.content import ReportContent, order_types
from oomdb.timespan import format_for_people

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class News:
    """One line: what it is about, and what there is to say."""

    subject: str
    text: str


def tell_news(content: ReportContent) -> tuple[News, ...]:
    """Return three to five lines: rows against the run before, occurrences of two weeks, clusters out of sight."""
    return tuple(_iter_news(content))


def _iter_news(content: ReportContent) -> Iterator[News]:
    changes = content.changes
    if changes.previous is None:
        yield News("New", "this is the first run of its scope: there is none to compare it with.")
    else:
        since = f"since run {changes.previous.id} ({format_for_people(changes.previous.started_at, content.zone)})"
        yield News("New", f"{_tell_rows(changes.appeared, since)}.")
        yield News("Gone", f"{_tell_rows(changes.gone, since)}. Gone from sight need not be mended.")
    yield News("Worst movers of the week", _tell_movers(changes))
    yield News("Gone dark", _tell_dark(content))
    if changes.not_comparable or changes.partly_comparable:
        yield News("Not compared", _tell_not_compared(changes))


def _tell_rows(rows: Sequence[RowKey], since: str) -> str:
    """Return how many rows there are, of which types, and some of them."""
    if not rows:
        return f"nothing {since}"
    counts = Counter(row.type for row in rows)
    types = ", ".join(f"{counts[type_]} {type_}" for type_ in order_types(list(counts)))
    named = _name_some([f"{row.namespace}/{row.pod} on {row.cluster}" for row in rows])
    return f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} ({types}) {since}: {named}"


def _tell_movers(changes: Changes) -> str:
    unknown = (
        f" Not compared, since one week was looked at less than the other: {_name_some(changes.movers_unknown)}."
        if changes.movers_unknown
        else ""
    )
    if not changes.movers:
        where = "no namespace that was looked at" if changes.movers_unknown else "no namespace"
        return f"{where} has more kills and loops than in the seven days before.{unknown}"
    told = "; ".join(_tell_mover(mover) for mover in changes.movers)
    more = f"; and {changes.movers_left} more" if changes.movers_left else ""
    return f"{told}{more} (kills and loops of seven days, each once, against the seven days before).{unknown}"


def _tell_mover(mover: Mover) -> str:
    return f"{mover.namespace} on {mover.cluster}: {mover.now} after {mover.before}"


def _tell_dark(content: ReportContent) -> str:
    if not content.changes.dark:
        return "no cluster; all that the last thirty days knew were read."
    told = [
        f"{it.cluster} (not seen since {format_for_people(it.last_read_at, content.zone)}; {it.status})"
        for it in content.changes.dark
    ]
    return f"{_name_some(told)}."


def _tell_not_compared(changes: Changes) -> str:
    parts = []
    if changes.not_comparable:
        parts.append(
            f"{_name_some(changes.not_comparable)}: not read by this run or the one before: none of their rows count "
            "as new or gone"
        )
    if changes.partly_comparable:
        parts.append(f"{_name_some(changes.partly_comparable)}: compared only where both runs could read")
    return f"{'; '.join(parts)}."


def _name_some(names: Sequence[str]) -> str:
    """Return the first names, and how many there are besides."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
