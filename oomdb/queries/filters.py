"""What the lists can be narrowed to, as one value that every query understands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which rows are wanted: those that fit every field; an empty field fits all.

    Several values of one field are alternatives.
    """

    clusters: tuple[str, ...] = ()  # globs
    namespaces: tuple[str, ...] = ()  # globs
    pod: str = ""  # a part of the pod's name
    types: tuple[str, ...] = ()  # upper and lower case are the same
    applications: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()  # as CODEOWNERS spells them; the @ may be left out, upper and lower case are the same
    since: datetime | None = None  # UTC, included
    until: datetime | None = None  # UTC, included
    run: Literal["latest"] | int | None = None
