"""Simulated clusters for the collector's tests: servers, their kubeconfig, and collects at a chosen moment."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oomdb.artifacts.local import ArtifactFolder
from oomdb.collect.capture import CaptureRequest
from oomdb.collect.run import CollectRequest, CollectResult, Listener, collect
from oomdb.collect.scan import ScanRequest
from oomdb.detectors.registry import load_detectors
from oomdb.kube.clusters import ClusterTarget, plan_clusters
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Faults
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from oomdb.simulator.permissions import Permissions
from oomdb.simulator.server import RunningServer, serve
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import RunStart, begin_run

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Ear(Listener):
    """A listener that remembers what it heard."""

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        self.counts: list[int] = []

    def pods_read(self, cluster: str, count: int) -> None:
        self.counts.append(count)

    def skipped(self, cluster: str, rules: Mapping[str, str]) -> None:
        self.left_out.update(rules)


@dataclass
class Fleet:
    """Running servers by cluster name, a database and an output folder; `collect` is one run."""

    folder: Path
    store: Store
    targets: tuple[ClusterTarget, ...]
    servers: dict[str, RunningServer]
    ear: Ear = field(default_factory=Ear)

    def collect(
        self, at: datetime = NOON, *, artifacts: bool = True, lookback: timedelta = DAY, **scan: Any
    ) -> CollectResult:
        request = self.request(artifacts=artifacts, lookback=lookback, **scan)
        run_id = begin_run(self.store, start(at, lookback), now=at)
        return collect(self.store, run_id, self.targets, request, listener=self.ear, clock=lambda: at)

    def request(self, *, artifacts: bool = True, lookback: timedelta = DAY, **scan: Any) -> CollectRequest:
        capture = CaptureRequest(
            folder=ArtifactFolder(self.folder), log_tail_lines=None, log_limit_bytes=2**20, workers=3
        )
        return CollectRequest(
            scan=replace(ScanRequest(lookback=lookback, detectors=load_detectors()), **scan),
            capture=capture if artifacts else None,
            batch=2,
            timeout_seconds=2,
            retries=0,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.store.reading() as conn:
            return [tuple(row) for row in conn.exec_driver_sql(sql)]


def start(at: datetime, lookback: timedelta = DAY) -> RunStart:
    return RunStart(
        started_at=at,
        origin="collect",
        time_range="1d",
        lookback=lookback,
        scope="all",
        scope_hash="all",
        tool_version="0.1.0",
        arguments="oomdb collect",
    )


@contextmanager
def running_fleet(
    folder: Path,
    clusters: Mapping[str, SimulatedCluster],
    *,
    permissions: Permissions | None = None,
    faults: Mapping[str, Faults] | None = None,
    namespace: str = "",
) -> Iterator[Fleet]:
    authority = Authority()
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(
                serve(cluster, authority=authority, permissions=permissions, faults=(faults or {}).get(name))
            )
            for name, cluster in clusters.items()
        }
        entries = [
            ContextEntry(
                context=name,
                server=server.url,
                authority_pem=server.authority_pem,
                token="token",
                namespace=namespace,
            )
            for name, server in servers.items()
        ]
        path = write_kubeconfig(folder / "kubeconfig", entries)
        yield stack.enter_context(open_fleet(folder, path, servers))


@contextmanager
def open_fleet(folder: Path, kubeconfig: Path, servers: dict[str, RunningServer] | None = None) -> Iterator[Fleet]:
    """Open a database in a folder, for collects from the clusters of a kubeconfig, whoever serves them."""
    config = load_kubeconfig(path=str(kubeconfig), environ={}, home=folder)
    with open_for_writing(str(folder / "oomdb.sqlite")) as store:
        yield Fleet(folder, store, plan_clusters(config, names={}), servers or {})
