"""Reports as the product writes them, from stores that are recorded for what the tests look at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from oomdb.model import ArtifactKind, ClusterScan, Finding, WorkloadRef
from oomdb.reports.files import write_exports
from oomdb.reports.wishes import DEFAULT_WISHES, ReportWishes
from oomdb.store.database import Store, open_for_writing
from tests.reports.recording import record_run
from tests.store.builders import artifact, finding, kill, loop, scan

AT = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)  # when the newest run began
RUNS = 36  # eight hours apart: twelve days
DARK_SINCE = 33  # the run from which on stage-c cannot be reached; so it was in a gap before
_GAP = range(12, 16)
_IMPORTED = range(9)  # counted by another method
_UPGRADED_AT = 20
_ARTIFACTS = "logs_and_description_files/prod-a"
_CAPTURED: Mapping[ArtifactKind, str] = {"description": "a b#1.txt", "log": "gone.txt"}


def write_report(store: Store, folder: Path, *, wishes: ReportWishes = DEFAULT_WISHES) -> Path:
    """Write the page of the latest run into a folder and return its path."""
    write_exports(
        store, "latest", output_dir=folder, formats=("html",), wishes=wishes, zone=UTC, backup=False, generated_at=AT
    )
    return folder / "oom_results.html"


def record_fleet(store: Store) -> None:
    """Record many runs over three clusters: with gaps, changed counting, and artifacts of one pod."""
    for number in range(RUNS):
        record_run(
            store,
            *_fleet_at(number),
            at=AT - timedelta(hours=8) * (RUNS - 1 - number),
            origin="import" if number in _IMPORTED else "collect",
            tool_version="0.2.0" if number >= _UPGRADED_AT else "0.1.0",
        )


def write_fleet_report(store: Store, folder: Path) -> Path:
    """Write the fleet's page beside the one of its two artifacts that is still there."""
    (folder / _ARTIFACTS).mkdir(parents=True)
    (folder / _ARTIFACTS / _CAPTURED["description"]).write_text("What oc describe said.")
    return write_report(store, folder)


def write_large_report(folder: Path, *, clusters: int = 20, rows_per_cluster: int = 100) -> Path:
    """Write the page of many clusters and rows, after two runs."""
    with open_for_writing(str(folder / "oomdb.sqlite")) as store:
        for days in (1, 0):
            at = AT - timedelta(days=days)
            record_run(
                store,
                *(
                    scan(
                        *(_killed(f"worker-{row}", at) for row in range(rows_per_cluster)), cluster=f"cluster-{number}"
                    )
                    for number in range(clusters)
                ),
                at=at,
            )
        return write_report(store, folder)


def write_hostile_report(folder: Path, texts: Sequence[str]) -> Path:
    """Write a page that has each of the texts as the name of everything: cluster, pod, type, labels, error, file."""
    for text in texts:
        (folder / text).parent.mkdir(parents=True, exist_ok=True)
        (folder / text).write_text("What oc describe said.")
    with open_for_writing(str(folder / "oomdb.sqlite")) as store:
        for hours in (8, 0):
            at = AT - timedelta(hours=hours)
            record_run(store, *(_hostile(number, text, at) for number, text in enumerate(texts)), at=at)
        wishes = ReportWishes(team_title=" ".join(texts))
        return write_report(store, folder, wishes=wishes)


def _fleet_at(number: int) -> tuple[ClusterScan, ...]:
    at = AT - timedelta(hours=8) * (RUNS - 1 - number)
    kills = [_killed(f"worker-{pod}", at - timedelta(minutes=pod)) for pod in range(2 + number % 9)]
    loops = [_looping(f"api-{pod}", at - timedelta(minutes=7 * pod)) for pod in range(1 + number % 4)]
    captured = tuple(
        artifact(kind=kind, pod="worker-0", pod_uid="uid-worker-0", captured_at=at, path=f"{_ARTIFACTS}/{name}")
        for kind, name in _CAPTURED.items()
    )
    dark = number in _GAP or number >= DARK_SINCE
    return (
        scan(*kills, *loops, cluster="prod-a", namespaces_read=("shop", "pay"), artifacts=captured),
        scan(
            _killed("db-0", at, namespace="pay"), cluster="prod-b", status="partial" if number % 5 == 4 else "complete"
        ),
        scan(cluster="stage-c", status="unreachable", error="no answer within 45 s")
        if dark
        else scan(*(_killed(f"job-{pod}", at) for pod in range(number % 3)), cluster="stage-c"),
    )


def _killed(pod: str, at: datetime, *, namespace: str = "shop") -> Finding:
    return finding(kill(at, container_id=f"cri-o://{pod}{at}"), namespace=namespace, pod=pod, pod_uid=f"uid-{pod}")


def _looping(pod: str, at: datetime) -> Finding:
    return finding(loop(at), namespace="shop", pod=pod, pod_uid=f"uid-{pod}")


def _hostile(number: int, text: str, at: datetime) -> ClusterScan:
    killed = replace(
        finding(kill(at), namespace=text, pod=text, pod_uid=f"uid-{number}", container=text),
        application=text,
        component=text,
        workload=WorkloadRef(kind="Deployment", name=text),
    )
    odd = finding(namespace=text, pod=f"odd {text}", pod_uid=f"odd-{number}", type_=text)
    described = artifact(namespace=text, pod=text, pod_uid=f"uid-{number}", captured_at=at, path=text)
    return scan(killed, odd, cluster=text, status="partial", error=text, artifacts=(described,))
