"""What `oomdb collect` takes to read large clusters, as a whole process: CPU and memory; Linux only."""

import sys
import tempfile
from pathlib import Path

from benchmarks.big_cluster import EVENTS, NAMESPACES, PODS, BigClusters, big_clusters
from benchmarks.bounds import Measured, report
from benchmarks.process import Cost, run_module
from oomdb.simulator.kubeconfig import ContextEntry, fleet_context, write_kubeconfig

AT_A_TIME = (1, 2, 4)  # clusters
BASE_MB, PER_CLUSTER_MB = 70, 25


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    measured = []
    with big_clusters(max(AT_A_TIME)) as clusters:
        for count in AT_A_TIME:
            cost, received_mb = _collect(clusters, count)
            what = f"{count} cluster{'s' if count > 1 else ''} at a time"
            measured += [
                Measured(f"{what}: bodies received", received_mb, unit=" MB"),
                Measured(f"{what}: CPU of the process", cost.cpu_seconds, unit=" s"),
                Measured(f"{what}: peak memory", cost.peak_mb, BASE_MB + PER_CLUSTER_MB * count, unit=" MB"),
            ]
    return report(f"scan ({NAMESPACES:,} namespaces, {PODS:,} pods, {EVENTS:,} events each)", measured)


def _collect(clusters: BigClusters, count: int) -> tuple[Cost, float]:
    with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as folder:
        entries = [
            ContextEntry(
                context=fleet_context(f"big-prd-rh{number:02}"),
                server=url,
                authority_pem=clusters.authority_pem,
                token="token",
            )
            for number, url in enumerate(clusters.urls[:count])
        ]
        kubeconfig = write_kubeconfig(Path(folder) / "kubeconfig", entries)
        arguments = ["--output", folder, "--batch", str(count), "--no-artifacts", "--strict"]
        sent = clusters.sent.value
        cost = run_module("oomdb", "collect", "--kubeconfig", str(kubeconfig), *arguments)
    return cost, (clusters.sent.value - sent) / 1e6


if __name__ == "__main__":
    sys.exit(main())
