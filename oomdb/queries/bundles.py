"""Which pods a text means, and which saved texts belong to each of their kills and loops."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, or_, select

from oomdb.queries.filters import FindingFilter
from oomdb.queries.instances import FindingRef, Instance, iter_history
from oomdb.store.dialect import contains, matches_glob, texts_in
from oomdb.store.schema import artifacts, findings, pods

_Place = tuple[str, str, str]  # cluster, namespace, pod


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedWorkload:
    """A controller, some of whose pods match; kind and name are '' where unknown."""

    cluster: str
    namespace: str
    kind: str
    name: str
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PodMatch:
    """The pods that a text means: those of this very name, or, where there are none, all that contain it."""

    text: str
    is_exact: bool
    places: frozenset[_Place]
    workloads: tuple[MatchedWorkload, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedText:
    """A description or a log; `path` is relative to the output folder; '' where `message` says why there is none."""

    cluster: str
    namespace: str
    pod: str
    kind: str
    status: str
    path: str
    sha256: str
    message: str
    captured_at: datetime


_Capture = tuple[SavedText, ...]  # of one pod by one run


@dataclass(frozen=True, slots=True)
class Evidence:
    """A kill or a loop and what was saved of its pod when it was seen; nothing where nobody tried."""

    instance: Instance
    texts: tuple[SavedText, ...]


def match_pods(conn: Connection, filters: FindingFilter) -> PodMatch:
    """Return the pods that the text `filters.pod` means, of those that fit its clusters, namespaces and workloads."""
    text = filters.pod
    exact = _list_pods(conn, pods.c.pod == text, filters)
    found = exact or _list_pods(conn, contains(pods.c.pod, text), filters)
    return PodMatch(
        text=text,
        is_exact=bool(exact),
        places=frozenset((row.cluster, row.namespace, row.pod) for row in found),
        workloads=tuple(_count_workloads(found)),
    )


def list_evidence(conn: Connection, match: PodMatch) -> list[Evidence]:
    """Return all kills and loops of the pods, over the whole history, with what was saved of each."""
    history = iter_history(conn, lambda pod: pod == match.text if match.is_exact else contains(pod, match.text))
    return _find_texts(conn, [(it, refs) for it, refs in history if _place(it) in match.places])


def list_evidence_of_names(conn: Connection, names: Collection[str], *, since: datetime) -> list[Evidence]:
    """Return the kills and loops since an instant (UTC) of pods with these very names, with what was saved of each."""
    return _find_texts(conn, [*iter_history(conn, lambda pod: pod.in_(sorted(names)), since=since)])


def _list_pods(conn: Connection, named: ColumnElement[bool], filters: FindingFilter) -> Sequence[Any]:
    fits = [named, *_fits_any(pods.c.cluster, filters.clusters), *_fits_any(pods.c.namespace, filters.namespaces)]
    if filters.workloads:
        fits.append(pods.c.workload.in_(filters.workloads))
    return conn.execute(select(pods).where(*fits).order_by(pods.c.cluster, pods.c.namespace, pods.c.pod)).all()


def _fits_any(column: ColumnElement[str], patterns: Sequence[str]) -> list[ColumnElement[bool]]:
    return [or_(*(matches_glob(column, pattern) for pattern in patterns))] if patterns else []


def _count_workloads(found: Iterable[Any]) -> Iterator[MatchedWorkload]:
    counts: dict[tuple[str, str, str, str], int] = {}
    for row in found:
        key = (row.cluster, row.namespace, row.workload_kind, row.workload)
        counts[key] = counts.get(key, 0) + 1
    for (cluster, namespace, kind, name), count in sorted(counts.items()):
        yield MatchedWorkload(cluster=cluster, namespace=namespace, kind=kind, name=name, pods=count)


def _place(it: Instance) -> _Place:
    return it.cluster, it.namespace, it.pod


def _find_texts(conn: Connection, told: Sequence[tuple[Instance, tuple[FindingRef, ...]]]) -> list[Evidence]:
    captures = _read_captures(conn, {ref for _, refs in told for ref in refs})
    return [
        Evidence(instance, _choose(instance, [it for ref in refs for it in captures.get(ref, ())]))
        for instance, refs in told
    ]


def _read_captures(conn: Connection, refs: Iterable[FindingRef]) -> dict[FindingRef, list[_Capture]]:
    """Return the captures that findings point to, and those that their own runs tried, the failed ones too.

    One statement a run: given pairs of run and key, SQLite reads the whole table of findings.
    """
    keys: defaultdict[int, list[str]] = defaultdict(list)
    for run_id, key in refs:
        keys[run_id].append(key)
    captures: defaultdict[FindingRef, dict[int, _Capture]] = defaultdict(dict)
    for run_id, of_run in sorted(keys.items()):
        for key, captured_by, *fields in conn.execute(_TEXTS, {"run": run_id, "keys": json.dumps(of_run)}):
            found = captures[run_id, key]
            saved = SavedText(**dict(zip(SavedText.__slots__, fields, strict=True)))
            found[captured_by] = (*found.get(captured_by, ()), saved)
    return {ref: list(found.values()) for ref, found in captures.items()}


def _build_texts() -> Select[Any]:
    """Build the query of the texts behind the findings of one run."""
    table, of_finding = artifacts.c, findings.c
    same_pod = and_(
        table.run_id.in_((of_finding.artifacts_from, of_finding.run_id)),
        *(table[name] == of_finding[name] for name in ("pod_uid", "cluster", "namespace", "pod")),
    )
    return (
        select(of_finding.finding_key, table.run_id, *(table[name] for name in SavedText.__slots__))
        .join_from(findings, artifacts, same_pod)
        .where(of_finding.run_id == bindparam("run"), of_finding.finding_key.in_(select(texts_in("keys").c.value)))
        .order_by(table.run_id, table.kind)
    )


_TEXTS = _build_texts()


def _choose(instance: Instance, captures: Sequence[_Capture]) -> _Capture:
    """Return the first capture after the kill that saved something, else any that did, else why there is none."""
    saved = [texts for texts in captures if any(it.path for it in texts)]
    after = [texts for texts in saved if any(it.captured_at >= instance.at for it in texts)]
    return next(iter((*after, *saved, *captures)), ())
