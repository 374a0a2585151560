"""A synthetic history: years of runs, written through the store's own door, for the benchmarks of the database."""

import argparse
import hashlib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED, Artifact, ClusterScan, Finding, Sighting, WorkloadRef
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import RunStart, begin_run, finish_run
from oomdb.store.writer import record_scan

LAST_RUN = datetime(2026, 1, 15, 18, 0, tzinfo=UTC)
LOOKBACK = timedelta(days=1)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kill, or one loop from its first to its last moment, of the synthetic fleet."""

    cluster: str
    finding: Finding
    at: datetime
    ends_at: datetime


def write_history(store: Store, *, days: int, runs_per_day: int, clusters: int, kills_per_day: int) -> int:
    """Record `days` of runs that end at LAST_RUN and return the number of findings.

    Each run looks back one day, as the users' cron jobs do, so that one kill is in `runs_per_day` runs. A tenth of the
    trouble is crash loops of hours to three days.
    """
    troubles = list(_iter_troubles(days=days, clusters=clusters, kills_per_day=kills_per_day))
    names = [f"kflux-prd-rh{number:02}" for number in range(clusters)]
    interval = timedelta(days=1) / runs_per_day
    total, first = 0, 0
    for number in range(days * runs_per_day):
        at = LAST_RUN - timedelta(days=days) + interval * (number + 1)
        while first < len(troubles) and troubles[first].at < at - LOOKBACK - timedelta(days=3):
            first += 1
        visible: dict[str, list[Trouble]] = {name: [] for name in names}
        for trouble in troubles[first:]:
            if trouble.at > at:
                break
            if trouble.ends_at >= at - LOOKBACK:
                visible[trouble.cluster].append(trouble)
        run_id = begin_run(store, _start(at), now=at)
        for name in names:
            record_scan(store, run_id, _scan(name, visible[name], at), seen_at=at)
            total += len(visible[name])
        finish_run(store, run_id, now=at)
    return total


def _iter_troubles(*, days: int, clusters: int, kills_per_day: int) -> Iterator[Trouble]:
    dice = random.Random(1)
    workloads = [
        (
            f"{dice.choice(['build', 'integration', 'release', 'image', 'snapshot'])}-service-{number}",
            f"team-{number % 150}-tenant",
            f"kflux-prd-rh{number % clusters:02}",
        )
        for number in range(60 * clusters)
    ]
    moments = sorted(dice.random() * days for _ in range(days * kills_per_day))
    for number, moment in enumerate(moments):
        at = (LAST_RUN - timedelta(days=days) + timedelta(days=moment)).replace(microsecond=0)
        # a few workloads die often, most seldom
        workload, namespace, cluster = workloads[int(len(workloads) * dice.random() ** 3)]
        is_loop = number % 10 == 0
        ends_at = at + timedelta(hours=dice.randint(1, 72)) if is_loop else at
        yield Trouble(cluster, _finding(dice, number, workload, namespace, at, is_loop), at, ends_at)


def _finding(dice: random.Random, number: int, workload: str, namespace: str, at: datetime, is_loop: bool) -> Finding:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    template = "".join(dice.choices(_ALPHABET, k=9))
    pod = f"{workload}-{template}-{''.join(dice.choices(_ALPHABET, k=5))}"
    sighting = Sighting(
        type=CRASH_LOOP_BACK_OFF if is_loop else OOM_KILLED,
        container="manager",
        at=at,
        time_quality="exact",
        source="oc_get_pods",
        evidence="waiting" if is_loop else "terminated",
        is_loop=is_loop,
        container_id=f"cri-o://{digest}",
        exit_code=1 if is_loop else 137,
        reason="Error" if is_loop else OOM_KILLED,
    )
    return Finding(
        namespace=namespace,
        pod=pod,
        pod_uid=f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}",
        container="manager",
        type=sighting.type,
        sightings=(sighting,),
        workload=WorkloadRef(kind="Deployment", name=workload),
        application=workload,
        component="manager",
        node=f"ip-10-29-{number % 60}-{number % 200}.ec2.internal",
        image=f"quay.io/konflux-ci/{workload}:{digest[:7]}",
        revision=template,
        memory_limit_bytes=2**27,
        memory_request_bytes=2**26,
    )


def _start(at: datetime) -> RunStart:
    return RunStart(
        started_at=at,
        origin="collect",
        time_range="1d",
        lookback=LOOKBACK,
        scope="all",
        scope_hash="all",
        tool_version="0.1.0",
        arguments="oomdb collect --batch 4",
    )


def _scan(cluster: str, visible: list[Trouble], at: datetime) -> ClusterScan:
    fresh = [trouble for trouble in visible if trouble.at > at - timedelta(hours=3)]
    return ClusterScan(
        cluster=cluster,
        context=f"default/api-{cluster}-0fk9-p1-openshiftapps-com:6443/someone",
        server=f"https://api.{cluster}.0fk9.p1.openshiftapps.com:6443",
        status="complete",
        server_version="v1.31.6",
        namespaces_scanned=200,
        namespaces_skipped=12,
        namespaces_failed=0,
        skipped_by_rule={"name test-*": 12},
        pods_seen=2000,
        events_seen=300,
        oldest_event_at=at - timedelta(hours=3),
        requests=9,
        duration_ms=2500,
        findings=tuple(trouble.finding for trouble in visible),
        artifacts=tuple(artifact for trouble in fresh for artifact in _pair(cluster, trouble.finding, at)),
    )


def _pair(cluster: str, finding: Finding, at: datetime) -> Iterator[Artifact]:
    stem = f"{finding.namespace}__{finding.pod}__{at:%Y%m%dT%H%M%SZ}"
    for kind, suffix in (("description", "desc"), ("log", "log")):
        yield Artifact(
            namespace=finding.namespace,
            pod=finding.pod,
            pod_uid=finding.pod_uid,
            kind=kind,  # type: ignore[arg-type]  # the two words of ArtifactKind
            status="ok",
            path=f"logs_and_description_files/{cluster}/{stem}__{suffix}.txt",
            size_bytes=4000,
            sha256=hashlib.sha256(stem.encode()).hexdigest(),
            captured_at=at,
        )


def main() -> None:
    """Write a history to a file, for whoever wants to try queries on a large one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--runs-per-day", type=int, default=8)
    parser.add_argument("--clusters", type=int, default=6)
    parser.add_argument("--kills-per-day", type=int, default=40)
    options = parser.parse_args()
    with open_for_writing(str(options.path)) as store:
        findings = write_history(
            store,
            days=options.days,
            runs_per_day=options.runs_per_day,
            clusters=options.clusters,
            kills_per_day=options.kills_per_day,
        )
    print(f"{options.path}: {findings} findings, {options.path.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
