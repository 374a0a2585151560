"""Three simulated clusters for `oomdb collect` as a user runs it, and how its processes are watched."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from oomdb.simulator import objects
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.kubeconfig import ContextEntry, fleet_context, write_kubeconfig
from oomdb.simulator.server import RunningServer, serve
from tests.waiting import wait_until

NAMES = ("kflux-prd-rh02", "kflux-prd-rh03", "stone-prod-p01")


class Fleet:
    """Three clusters with one kill each, and the arguments that lead to them."""

    def __init__(self, folder: Path, servers: Mapping[str, RunningServer]) -> None:
        self.folder = folder
        self.servers = servers
        self.output = folder / "output"

    def args(self, *more: str) -> list[str]:
        base = ["collect", "--kubeconfig", str(self.folder / "kubeconfig"), "--output", str(self.output)]
        return [*base, "--retries", "0", "--timeout", "2", *more]

    def start(self, *more: str) -> subprocess.Popen[str]:
        """Start a collect as a process of its own; its stdout goes nowhere, its stderr can be read."""
        command = [sys.executable, "-m", "oomdb", *self.args(*more)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def use_plugin(self, plugin: Path) -> str:
        """Write a kubeconfig whose users ask a plug-in for their credentials, and return its path."""
        path = self.folder / "kubeconfig-of-plugin"
        document = yaml.safe_load((self.folder / "kubeconfig").read_text())
        for user in document["users"]:
            entry = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
            user["user"] = {"exec": {**entry, "command": str(plugin)}}
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.output / "oomdb.sqlite")) as conn:
            return list(conn.execute(sql))

    def wait_for_run(self, *, clusters: int = 0) -> None:
        """Wait until a collect has begun, and has recorded so many clusters."""

        def has_begun() -> bool:
            try:
                begun = self.rows("SELECT 1 FROM runs")
                recorded = self.rows("SELECT count(*) FROM run_clusters WHERE status <> 'unknown'")
                return bool(begun) and recorded[0][0] >= clusters
            except sqlite3.OperationalError:
                return False  # not there yet

        wait_until(has_begun)

    def wait_for_request(self, path_end: str, *, of_each: bool = False) -> None:
        """Wait until a server, or each of them, has been asked for a path that ends so."""
        some_or_all = all if of_each else any
        wait_until(
            lambda: some_or_all(
                any(request.path.endswith(path_end) for request in server.requests) for server in self.servers.values()
            )
        )


@contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    """Serve the clusters, each with one pod that was killed two hours ago and a namespace that lives for a test."""
    killed_at = datetime.now(UTC) - timedelta(hours=2)
    authority = Authority()
    with ExitStack() as stack:
        servers = {}
        for name in NAMES:
            pod = objects.pod(containers=[objects.oom_killed(at=killed_at)], uid=f"uid-in-{name}")  # no two share one
            cluster = SimulatedCluster([objects.namespace("shop-tenant"), objects.namespace("test-x")], [pod])
            servers[name] = stack.enter_context(serve(cluster, authority=authority))
        entries = [
            ContextEntry(context=fleet_context(name), server=it.url, authority_pem=authority.pem, token="token")
            for name, it in servers.items()
        ]
        write_kubeconfig(folder / "kubeconfig", entries)
        yield Fleet(folder, servers)
