"""What `oomdb collect` takes to read large clusters, as a whole process: CPU and memory; Linux only."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.big_cluster import EVENTS, NAMESPACES, PODS, BigClusters, big_clusters
from benchmarks.bounds import Measured, report
from oomdb.simulator.kubeconfig import ContextEntry, fleet_context, write_kubeconfig

AT_A_TIME = (1, 2, 4)  # clusters
BASE_MB, PER_CLUSTER_MB = 70, 25

# the process says itself at its end how large it has been: what `wait4` tells counts the process that started it too
_COLLECT = """
import atexit, pathlib, sys
said = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: said.write_text(pathlib.Path("/proc/self/status").read_text()))
from oomdb.cli.main import main
main()
"""


@dataclass(frozen=True, slots=True)
class _Cost:
    cpu_seconds: float
    peak_mb: float
    received_mb: float


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    measured = []
    with big_clusters(max(AT_A_TIME)) as clusters:
        for count in AT_A_TIME:
            cost = _collect(clusters, count)
            what = f"{count} cluster{'s' if count > 1 else ''} at a time"
            measured += [
                Measured(f"{what}: bodies received", cost.received_mb, unit=" MB"),
                Measured(f"{what}: CPU of the process", cost.cpu_seconds, unit=" s"),
                Measured(f"{what}: peak memory", cost.peak_mb, BASE_MB + PER_CLUSTER_MB * count, unit=" MB"),
            ]
    return report(f"scan ({NAMESPACES:,} namespaces, {PODS:,} pods, {EVENTS:,} events each)", measured)


def _collect(clusters: BigClusters, count: int) -> _Cost:
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
        cpu_seconds, status = _run(["collect", "--kubeconfig", str(kubeconfig), *arguments], Path(folder))
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return _Cost(cpu_seconds, peak_kib * 1024 / 1e6, (clusters.sent.value - sent) / 1e6)


def _run(arguments: Sequence[str], folder: Path) -> tuple[float, str]:
    """Run oomdb, and return its CPU seconds and what /proc said of it when it was done."""
    said = folder / "status"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OOMDB_", "PYTHON"))}
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", _COLLECT, str(said), *arguments],
            cwd=folder,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((folder / "stderr").read_text())
    return used.ru_utime + used.ru_stime, said.read_text()


if __name__ == "__main__":
    sys.exit(main())
