"""What would keep clusters from being read, told before a scan: contexts, connections, clocks, permissions."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from oomdb.collect.access import NEEDS, Need
from oomdb.collect.clocks import find_skew, tell_skew
from oomdb.collect.run import as_error
from oomdb.collect.threads import run_in_threads
from oomdb.errors import ClusterForbidden, ClusterNotFound
from oomdb.kube.auth import context_warnings
from oomdb.kube.client import ClusterClient, open_client
from oomdb.kube.clusters import ClusterTarget
from oomdb.model import Check, CheckStatus

_PLACES_ASKED = 10  # where the whole cluster is forbidden: each is asked for six times
_GRANT = "grant the role that `oomdb rbac` prints, or ask the cluster's administrator for it."
_GRANT_THERE = "grant the role that `oomdb rbac --namespaced -n …` prints, or leave these namespaces out of -n."


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorRequest:
    """How to look at clusters: `batch` at a time, as a collect would read them; `names` are the namespaces of `-n`."""

    names: Sequence[str]
    batch: int
    timeout_seconds: float
    retries: int


def check_clusters(targets: Sequence[ClusterTarget], request: DoctorRequest) -> list[Check]:
    """Ask every cluster whether it would let itself be read; nothing is written. In the order of the targets."""

    def look(target: ClusterTarget) -> list[Check]:
        return [*_check_contexts(target), *_check_cluster(target, request)]

    found = {target.name: checks for target, checks in run_in_threads(look, targets, workers=request.batch)}
    return [check for target in targets for check in found[target.name]]


def _check_contexts(target: ClusterTarget) -> Iterator[Check]:
    for context in target.contexts:
        # of a cluster with one context the connection says the same, and that it fails
        if context.problem is not None and len(target.contexts) > 1:
            yield _warn(target.name, "context", context.problem, "another context of the same server is tried.")
        for warning in context_warnings(context):
            yield _warn(target.name, "context", warning)


def _check_cluster(target: ClusterTarget, request: DoctorRequest) -> Iterator[Check]:
    with open_client(target, timeout_seconds=request.timeout_seconds, retries=request.retries) as client:
        try:
            version = client.server_version() or "a version that it does not tell"
            told = f"answers as {version} by context '{client.context_name}'"
            yield Check(subject=target.name, name="connection", status="ok", message=told)
            yield from _check_clock(target.name, client.clock_skew_seconds)
            yield from _check_access(target, client, request.names)
        except Exception as err:  # one cluster's odd answer must not cost the others their checks
            yield Check(subject=target.name, name="connection", status="failed", message=str(as_error(err)))


def _check_clock(cluster: str, skew_seconds: float | None) -> Iterator[Check]:
    if skew := find_skew(skew_seconds):
        yield _warn(
            cluster,
            "clock",
            f"its clock is {tell_skew(skew)}",
            "set the wrong one of the two (NTP): tokens and certificates expire by it, and kills are dated by it.",
        )


def _check_access(target: ClusterTarget, client: ClusterClient, names: Sequence[str]) -> Iterator[Check]:
    needs = [need for need in NEEDS if need.in_namespaces or not names]
    try:
        refused = {need: _list_refused(client, need, names or ("",)) for need in needs}
        allowed = [need.text for need, places in refused.items() if not places]
        if allowed:
            where = f"in {_list(names)}" if names else "in the whole cluster"
            told = f"may {', '.join(allowed)} {where}"
            yield Check(subject=target.name, name="access", status="ok", message=told)
        elsewhere: _Elsewhere | None = None
        for need, places in refused.items():
            if places and names:
                told = f"may not {need.text} in {_list(places)}: there {need.without}"
                yield _refuse(target.name, need, told, _GRANT_THERE)
            elif places:
                elsewhere = elsewhere or _find_elsewhere(client, target.contexts[0].namespace)
                yield _judge_elsewhere(target.name, client, need, elsewhere)
    except (ClusterForbidden, ClusterNotFound) as err:
        yield _warn(target.name, "access", f"permissions cannot be asked for ({err}); only a collect will tell")


def _list_refused(client: ClusterClient, need: Need, places: Sequence[str]) -> list[str]:
    return [place for place in places if not client.review_access(need.review(place)).allowed]


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """Where a collect looks when the whole cluster is forbidden: some of these places are asked for."""

    kind: str  # namespaces, projects, or the context's own namespace
    places: Sequence[str]

    @property
    def asked(self) -> Sequence[str]:
        return self.places[:_PLACES_ASKED]

    @property
    def names(self) -> str:
        more = f" and {len(self.places) - len(self.asked)} more" if len(self.places) > len(self.asked) else ""
        return f"{_list(self.asked)}{more}"

    @property
    def count(self) -> str:
        if len(self.places) == 1:
            return self.names
        some = f"{len(self.asked)}" if len(self.places) > len(self.asked) else "any"
        return f"{some} of its {len(self.places)} {self.kind}"


def _find_elsewhere(client: ClusterClient, own_namespace: str) -> _Elsewhere:
    for kind, list_places in (("namespaces", client.list_namespaces), ("projects", client.list_projects)):
        with suppress(ClusterForbidden, ClusterNotFound):
            names = [place.name for place in list_places()]
            if names:
                return _Elsewhere(kind, sorted(names, key=lambda name: (name != own_namespace, name)))
    return _Elsewhere("own", (own_namespace,))


def _judge_elsewhere(cluster: str, client: ClusterClient, need: Need, elsewhere: _Elsewhere) -> Check:
    """Judge what is forbidden in the whole cluster: a collect would try place by place."""
    if not need.in_namespaces:
        told = f"may not {need.text}: {need.without}"
        if elsewhere.kind == "projects":
            told = f"may not {need.text}: the projects that may be read are looked at instead, {elsewhere.names}"
        return _refuse(cluster, need, told, _GRANT)
    refused = _list_refused(client, need, elsewhere.asked)
    allowed = [place for place in elsewhere.asked if place not in refused]
    if allowed:
        told = f"may not {need.text} in the whole cluster, but in {_list(allowed)}"
        told += f": elsewhere, where it is forbidden, {need.without}"
        return _warn(cluster, "access", told, f"{_GRANT} Or name the namespaces that may be read by -n.")
    told = f"may not {need.text}, neither in the whole cluster nor in {elsewhere.count}: {need.without}"
    if len(elsewhere.asked) < len(elsewhere.places):
        return _warn(cluster, "access", told, f"{_GRANT} Whether it is allowed in another one, a collect will tell.")
    return _refuse(cluster, need, told, f"{_GRANT} Where other namespaces may be read, name them by -n.")


def _refuse(cluster: str, need: Need, message: str, advice: str) -> Check:
    status: CheckStatus = "failed" if need.essential else "warning"
    return Check(subject=cluster, name="access", status=status, message=message, advice=advice)


def _warn(subject: str, name: str, message: str, advice: str = "") -> Check:
    return Check(subject=subject, name=name, status="warning", message=message, advice=advice)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
