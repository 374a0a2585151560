"""A synthetic history: years of runs, written through the store's own door, for the benchmarks of the database."""

import argparse
import hashlib
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED, Artifact, ClusterScan, Finding, Sighting, WorkloadRef
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import RunStart, begin_run, finish_run
from oomdb.store.writer import record_scan

LAST_RUN = datetime(2026, 1, 15, 18, 0, tzinfo=UTC)
LOOKBACK = timedelta(days=1)
RUNS_PER_DAY = 8
DAYS = 730

_ROOT = Path(__file__).resolve().parents[1]
_CACHE = _ROOT / ".benchmarks"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_LOOP = timedelta(hours=72)
_RESTART_EVERY = timedelta(minutes=6)  # the longest back-off, and a minute of trying


@dataclass(frozen=True)
class Fleet:
    """How many clusters there are, and how much happens in all of them together."""

    clusters: int = 6
    kills_per_day: int = 60


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run, before it is recorded."""

    at: datetime
    scans: tuple[ClusterScan, ...]


def iter_history(days: int, fleet: Fleet = Fleet()) -> Iterator[RecordedRun]:
    """Iterate over `days` of runs that end at LAST_RUN.

    Each run looks back one day, as the users' cron jobs do, so that one kill is in eight runs. A tenth of the trouble
    is crash loops of hours to three days. What happens on a day depends on how far before the end it lies, so that a
    short history is the end of a long one.
    """
    troubles = list(_iter_troubles(days, fleet))
    names = _cluster_names(fleet)
    interval = timedelta(days=1) / RUNS_PER_DAY
    first = 0
    for number in range(days * RUNS_PER_DAY):
        at = LAST_RUN - timedelta(days=days) + interval * (number + 1)
        while first < len(troubles) and troubles[first].at < at - LOOKBACK - _LONGEST_LOOP:
            first += 1
        visible: dict[str, list[_Trouble]] = {name: [] for name in names}
        for trouble in troubles[first:]:
            if trouble.at > at:
                break
            if trouble.ends_at >= at - LOOKBACK:
                visible[trouble.cluster].append(trouble)
        yield RecordedRun(at, tuple(_scan(name, visible[name], at, interval) for name in names))


def record_run(store: Store, run: RecordedRun) -> int:
    """Record one run and return the number of its findings."""
    run_id = begin_run(store, _start(run.at), now=run.at)
    recorded = [record_scan(store, run_id, scan, seen_at=run.at) for scan in run.scans]
    finish_run(store, run_id, now=run.at)
    return sum(it.findings for it in recorded)


def write_history(store: Store, *, days: int, fleet: Fleet = Fleet()) -> int:
    """Record `days` of runs and return the number of findings."""
    return sum(record_run(store, run) for run in iter_history(days, fleet))


def stored_history(days: int = DAYS) -> Path:
    """Return a database of that many days, which is kept until the code that writes it changes; not to be written."""
    decides = hashlib.sha256(str(days).encode())
    for path in sorted(
        [Path(__file__), *(_ROOT / "oomdb/store").glob("*.py"), *(_ROOT / "oomdb/migrations").rglob("*.py")]
    ):
        decides.update(path.read_bytes())
    wanted = _CACHE / f"{days}-days-{decides.hexdigest()[:12]}.sqlite"
    if not wanted.exists():
        print(f"Writing {days} days of history into {wanted} (once) …", file=sys.stderr, flush=True)
        for older in _CACHE.glob(f"{days}-days-*"):
            older.unlink()
        beside = wanted.with_suffix(".part")
        with open_for_writing(str(beside)) as store:
            write_history(store, days=days)
        beside.rename(wanted)
    return wanted


@dataclass(frozen=True, slots=True)
class _Trouble:
    """One kill, or one loop from its first to its last moment; `finding` as its first sighting shows it."""

    cluster: str
    finding: Finding
    at: datetime
    ends_at: datetime

    def seen(self, at: datetime) -> Finding:
        """Return the finding as a look at that moment shows it: a loop goes on in between."""
        [sighting] = self.finding.sightings
        if not sighting.is_loop:
            return self.finding
        restarts = (min(at, self.ends_at) - self.at) // _RESTART_EVERY
        now = replace(
            sighting,
            at=self.at + restarts * _RESTART_EVERY,
            evidence="waiting" if at <= self.ends_at else "backoff_gap",
            in_progress=at <= self.ends_at,
            restart_count=5 + restarts,
        )
        return replace(self.finding, sightings=(now,))


def _cluster_names(fleet: Fleet) -> list[str]:
    return [f"kflux-prd-rh{number:02}" for number in range(fleet.clusters)]


def _iter_troubles(days: int, fleet: Fleet) -> Iterator[_Trouble]:
    names, dice = _cluster_names(fleet), random.Random(1)
    workloads = [
        (
            f"{dice.choice(['build', 'integration', 'release', 'image', 'snapshot'])}-service-{number}",
            f"team-{number % 150}-tenant",
            names[number % fleet.clusters],
        )
        for number in range(60 * fleet.clusters)
    ]
    for days_before in range(days, 0, -1):
        dice = random.Random(days_before)
        seconds = sorted(dice.randrange(24 * 60 * 60) for _ in range(fleet.kills_per_day))
        for number, second in enumerate(seconds):
            at = LAST_RUN - timedelta(days=days_before) + timedelta(seconds=second)
            # a few workloads die often, most seldom
            workload, namespace, cluster = workloads[int(len(workloads) * dice.random() ** 3)]
            is_loop = number % 10 == 0
            ends_at = at + _LONGEST_LOOP * dice.random() if is_loop else at
            finding = _finding(dice, f"{days_before}/{number}", workload, namespace, at, is_loop)
            yield _Trouble(cluster, finding, at, ends_at)


def _finding(dice: random.Random, name: str, workload: str, namespace: str, at: datetime, is_loop: bool) -> Finding:
    digest = hashlib.sha256(name.encode()).hexdigest()
    template = "".join(dice.choices(_ALPHABET, k=9))
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
        restart_count=None if is_loop else 1,
    )
    node = int(digest[:4], 16)
    return Finding(
        namespace=namespace,
        pod=f"{workload}-{template}-{''.join(dice.choices(_ALPHABET, k=5))}",
        pod_uid=f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}",
        container="manager",
        type=sighting.type,
        sightings=(sighting,),
        workload=WorkloadRef(kind="Deployment", name=workload),
        application=workload,
        component="manager",
        node=f"ip-10-29-{node % 60}-{node % 200}.ec2.internal",
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


def _scan(cluster: str, visible: list[_Trouble], at: datetime, interval: timedelta) -> ClusterScan:
    fresh = [trouble for trouble in visible if trouble.at > at - interval]
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
        findings=tuple(trouble.seen(at) for trouble in visible),
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
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--clusters", type=int, default=Fleet.clusters)
    parser.add_argument("--kills-per-day", type=int, default=Fleet.kills_per_day)
    options = parser.parse_args()
    with open_for_writing(str(options.path)) as store:
        fleet = Fleet(options.clusters, options.kills_per_day)
        findings = write_history(store, days=options.days, fleet=fleet)
    print(f"{options.path}: {findings} findings, {options.path.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
