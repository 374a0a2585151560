"""Which values of a filter fit nothing that the database knows: a slip of the finger must not read as "no kills"."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Column, Connection, select, union

from oomdb.errors import find_similar
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.filters import FindingFilter
from oomdb.queries.owners import spell_owner
from oomdb.store.schema import findings, namespace_owners, namespaces, occurrences, pods, run_clusters, run_counts

_NEAREST = 3  # names in a message about an unknown one


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownValue:
    """A value of a filter that fits none of the `known` names, and those of them that are like it."""

    kind: str  # cluster, namespace, type, pod, …
    value: str
    near: tuple[str, ...]
    known: int


def list_unknown(conn: Connection, filters: FindingFilter) -> list[UnknownValue]:
    """Return the values of a filter that fit nothing in the whole history; for lists that came out empty.

    It reads names from whole tables: milliseconds for those of clusters and namespaces, longer for labels.
    """
    return list(_iter_unknown(conn, filters))


def _iter_unknown(conn: Connection, filters: FindingFilter) -> Iterator[UnknownValue]:
    for kind, patterns, columns in (
        ("cluster", filters.clusters, (run_clusters.c.cluster,)),
        ("namespace", filters.namespaces, (namespaces.c.namespace, pods.c.namespace)),
        ("application", filters.applications, (findings.c.application, occurrences.c.application)),
        ("component", filters.components, (findings.c.component, occurrences.c.component)),
        ("workload", filters.workloads, (pods.c.workload,)),
    ):
        if patterns:
            known = _read_names(conn, *columns)
            is_glob = kind in ("cluster", "namespace")
            for pattern in patterns:
                if not (any(fnmatchcase(name, pattern) for name in known) if is_glob else pattern in known):
                    yield _unknown(kind, pattern, known, known)
    if filters.types:
        types = {OOM_KILLED, CRASH_LOOP_BACK_OFF, *_read_names(conn, run_counts.c.type)}
        for wanted in filters.types:
            if wanted.lower() not in {name.lower() for name in types}:
                yield _unknown("type", wanted, types, types)
    if filters.owners:
        owners = {word for text in _read_names(conn, namespace_owners.c.owners) for word in text.split()}
        for wanted in filters.owners:
            if spell_owner(wanted) not in {name.lower() for name in owners}:
                yield _unknown("owner", wanted, owners, owners)
    if filters.pod:
        names = _read_names(conn, pods.c.pod)
        if not any(filters.pod in name for name in names):
            # what is typed of a pod's name is mostly its workload's
            yield _unknown("pod", filters.pod, names, _read_names(conn, pods.c.workload))


def _read_names(conn: Connection, *columns: Column[str]) -> set[str]:
    names: Any = union(*(select(column) for column in columns)) if len(columns) > 1 else select(*columns).distinct()
    return set(conn.execute(names).scalars()) - {""}


def _unknown(kind: str, value: str, known: set[str], likely: set[str]) -> UnknownValue:
    return UnknownValue(kind=kind, value=value, near=tuple(_find_near(value, likely)), known=len(known))


def _find_near(value: str, names: set[str]) -> Sequence[str]:
    """Return the names that hold the value, else those that are spelled like it."""
    plain = value.strip("*?")
    holding = sorted(name for name in names if plain and plain.lower() in name.lower())
    return holding[:_NEAREST] or find_similar(plain, names, limit=_NEAREST)
