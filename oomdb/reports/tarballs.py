"""Which tarballs there are to make of a pod's kills and loops: one for each type and day."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, tzinfo

from oomdb.artifacts.bundle import tarball_stem
from oomdb.queries.bundles import Evidence, SavedText
from oomdb.queries.instances import Instance
from oomdb.reports.backups import format_day
from oomdb.reports.content import order_types


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """A tarball to make: of a type and a day, its name less the suffix, and the texts that belong into it."""

    type: str
    day: date
    stem: str
    texts: tuple[SavedText, ...]


def plan_tarballs(name: str, evidence: Iterable[Evidence], *, zone: tzinfo | None) -> list[Tarball]:
    """Return the tarballs of some pods in the order of the report: by type, then by day.

    Args:
        name: what was asked for, which stands in the files' names.
        evidence: of the pods.
        zone: whose days are meant; None: the system's.
    """
    texts: defaultdict[str, defaultdict[date, dict[SavedText, None]]] = defaultdict(lambda: defaultdict(dict))
    for it in evidence:
        texts[it.instance.type][day_of(it.instance, zone)].update(dict.fromkeys(it.texts))
    return [
        Tarball(type=type_, day=day, stem=tarball_stem(type_, name, format_ordinal_day(day)), texts=tuple(found))
        for type_ in order_types(list(texts))
        for day, found in sorted(texts[type_].items())
    ]


def day_of(instance: Instance, zone: tzinfo | None) -> date:
    """Return the day of a kill, or of a loop's beginning."""
    return instance.at.astimezone(zone).date()


def format_ordinal_day(day: date) -> str:
    """Return a day as the legacy bundle generator wrote it, `28th-Jan-2026`: in English, whatever the locale."""
    ending = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return f"{day.day}{ending}-{format_day(day).partition('-')[2]}"
