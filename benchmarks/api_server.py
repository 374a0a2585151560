"""What reading a real API server costs, us and it: `oomdb collect`, the legacy way, `kubectl get -A`; Linux only.

The clusters are loaded once, which takes some minutes; etcd's folder is kept in `.benchmarks/`.
"""

import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.bounds import Measured, report
from benchmarks.content import build_namespaces, build_pods, fatten, iter_evidence, iter_routine
from benchmarks.process import Cost, run_command, run_module
from oomdb.simulator.cluster import Content
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from tests.controlplane.binaries import obtain_binaries
from tests.controlplane.loading import load_content
from tests.controlplane.server import ApiServer, ControlPlane, running_control_plane

SIZES = (200, 2_000)  # namespaces
PODS_EACH, EVIDENCE_EACH, ROUTINE_EACH = 10, 3, 12  # a namespace
TIMES_LESS_CPU = {200: 40, 2_000: 150}  # of a collect, against the legacy way
SCAN_TIMES_LESS_CPU = {200: 100, 2_000: 180}
SERVER_CPU_OF_JSON = 0.65
ROUNDS = 5
CLUSTERS, BATCH = 20, 4
BASE_MB, PER_CLUSTER_MB = 70, 25

_LOADED = Path(".benchmarks") / "api-server"
_LEGACY_WORKERS = 5  # threads that the legacy script reads namespaces with
_EVENTS_STAY = ("--event-ttl=87600h",)
_LOOK_BACK = ("--time-range", "12M")  # the clusters were loaded some time ago


@dataclass(frozen=True, slots=True)
class _Way:
    """What one way of reading a cluster costs: this side's processes, and the API server's."""

    cost: Cost
    server_cpu_seconds: float


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    failed = 0
    with _loaded_clusters() as servers, tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as folder:
        for namespaces, server in servers.items():
            failed |= _compare_ways(server, namespaces, Path(folder))
            failed |= _compare_formats(server, namespaces, Path(folder))
        failed |= _many_clusters(servers[max(SIZES)], Path(folder))
    return failed


def _compare_ways(server: ApiServer, namespaces: int, folder: Path) -> int:
    kubeconfig = str(server.write_kubeconfig(folder / f"{namespaces}.kubeconfig"))
    _collect(kubeconfig, folder)  # makes the database
    collects = [_measure(server, lambda: _collect(kubeconfig, folder)) for _ in range(ROUNDS)]
    collect = _middle(collects)
    scan_cpu_seconds = statistics.median(_scan(kubeconfig, "protobuf")["cpu_seconds"] for _ in range(ROUNDS))
    legacy = _measure(server, lambda: _read_as_legacy(kubeconfig, namespaces))
    whole = _measure(server, lambda: _get_all(kubeconfig))
    ways = (("oomdb collect", collect), ("the legacy way", legacy), ("kubectl get -A", whole))
    measured = [
        line
        for name, way in ways
        for line in (
            Measured(f"{name}: CPU", way.cost.cpu_seconds, unit=" s"),
            Measured(f"{name}: wall", way.cost.wall_seconds, unit=" s"),
            Measured(f"{name}: peak memory of a process", way.cost.peak_mb, unit=" MB"),
            Measured(f"{name}: CPU of the API server", way.server_cpu_seconds, unit=" s"),
        )
    ]
    legacy_cpu_seconds = legacy.cost.cpu_seconds
    measured += [
        Measured(
            "collect / legacy way, CPU",
            collect.cost.cpu_seconds / legacy_cpu_seconds * 100,
            100 / TIMES_LESS_CPU[namespaces],
            " %",
        ),
        Measured(
            "scan alone / legacy way, CPU",
            scan_cpu_seconds / legacy_cpu_seconds * 100,
            100 / SCAN_TIMES_LESS_CPU[namespaces],
            " %",
        ),
    ]
    return report(_title(namespaces), measured)


def _compare_formats(server: ApiServer, namespaces: int, folder: Path) -> int:
    """Compare protobuf lists with JSON lists, in turn, since the machine is not ours alone.

    The means count: the server's garbage collector works for several scans at a time.
    """
    kubeconfig = str(server.write_kubeconfig(folder / f"{namespaces}.kubeconfig"))
    server_seconds: dict[str, list[float]] = {"json": [], "protobuf": []}
    client_seconds: dict[str, list[float]] = {"json": [], "protobuf": []}
    scans = {}
    for _ in range(ROUNDS):
        for lists in server_seconds:
            before = server.cpu_seconds()
            scans[lists] = _scan(kubeconfig, lists)
            server_seconds[lists].append(server.cpu_seconds() - before)
            client_seconds[lists].append(scans[lists]["cpu_seconds"])
    seen = [{key: scan[key] for key in ("pods", "events", "findings")} for scan in scans.values()]
    if seen[0] != seen[1]:
        raise SystemExit(f"the two formats do not show the same: {seen}")
    mean = {lists: statistics.mean(values) for lists, values in server_seconds.items()}
    measured = [Measured(f"{key} seen", scans["json"][key]) for key in ("pods", "events", "findings")]
    for lists, scan in scans.items():
        measured += [
            Measured(f"{lists}: bytes", scan["bytes"] / 1e6, unit=" MB"),
            Measured(f"{lists}: CPU of the scan", statistics.mean(client_seconds[lists]), unit=" s"),
            Measured(f"{lists}: CPU of the API server", mean[lists], unit=" s"),
        ]
    # a small cluster's share of requests that are no lists is too large to tell
    bound = SERVER_CPU_OF_JSON if namespaces == max(SIZES) else None
    measured.append(Measured("protobuf / json, CPU of the API server", mean["protobuf"] / mean["json"], bound))
    return report(f"lists of {namespaces:,} namespaces", measured)


def _many_clusters(server: ApiServer, folder: Path) -> int:
    """Collect from twenty clusters, which are one server under twenty spellings of its address."""
    entries = [
        ContextEntry(
            context=f"c{number}",
            server=f"https://127.0.0.{'0' * number}1:{server.port}",
            authority_pem=server.authority.pem,
            token=server.admin_token,
            tls_server_name="localhost",
        )
        for number in range(CLUSTERS)
    ]
    kubeconfig = write_kubeconfig(folder / "many.kubeconfig", entries)
    output = folder / "many"
    arguments = ["collect", "--kubeconfig", str(kubeconfig), "--output", str(output), "--no-artifacts", "--strict"]
    cost = run_module("oomdb", *arguments, *_LOOK_BACK, "--batch", str(BATCH))
    query = "SELECT min(duration_ms) AS shortest, max(duration_ms) AS longest FROM run_clusters"
    took = json.loads(run_module("oomdb", "sql", query, "--output", str(output), "--json").output)[0]
    measured = [
        Measured("wall", cost.wall_seconds, unit=" s"),
        Measured("CPU", cost.cpu_seconds, unit=" s"),
        Measured("peak memory", cost.peak_mb, BASE_MB + PER_CLUSTER_MB * BATCH, " MB"),
        Measured("longest / shortest scan", took["longest"] / took["shortest"]),
    ]
    return report(f"{CLUSTERS} clusters of {max(SIZES):,} namespaces, --batch {BATCH}", measured)


# --- ways to read a cluster -----------------------------------------------------------------------------------------


def _collect(kubeconfig: str, folder: Path) -> Cost:
    options = ["--output", str(folder / Path(kubeconfig).stem), "--no-artifacts", "--strict", *_LOOK_BACK]
    return run_module("oomdb", "collect", "--kubeconfig", kubeconfig, *options)


def _scan(kubeconfig: str, lists: str) -> dict[str, float]:
    scan: dict[str, float] = json.loads(run_module("benchmarks.one_scan", kubeconfig, lists).output)
    return scan


def _read_as_legacy(kubeconfig: str, namespaces: int) -> Cost:
    return run_command(
        [sys.executable, "-m", "benchmarks.legacy_way", kubeconfig, str(namespaces), str(_LEGACY_WORKERS)]
    )


def _get_all(kubeconfig: str) -> Cost:
    both = [
        run_command(["kubectl", "--kubeconfig", kubeconfig, "get", resource, "-A", "-o", "json"], keep_output=False)
        for resource in ("pods", "events")
    ]
    return Cost(
        sum(cost.cpu_seconds for cost in both),
        sum(cost.wall_seconds for cost in both),
        max(cost.peak_mb for cost in both),
        "",
    )


def _measure(server: ApiServer, read: Callable[[], Cost]) -> _Way:
    before = server.cpu_seconds()
    cost = read()
    return _Way(cost, server.cpu_seconds() - before)


def _middle(ways: Sequence[_Way]) -> _Way:
    """Return the way whose own CPU is the median, with the median of the server's."""
    by_cost = sorted(ways, key=lambda way: way.cost.cpu_seconds)
    return _Way(by_cost[len(by_cost) // 2].cost, statistics.median(way.server_cpu_seconds for way in ways))


def _title(namespaces: int) -> str:
    events = (EVIDENCE_EACH + ROUTINE_EACH) * namespaces
    return f"{namespaces:,} namespaces, {PODS_EACH * namespaces:,} pods, {events:,} events"


# --- clusters -------------------------------------------------------------------------------------------------------


@contextmanager
def _loaded_clusters() -> Iterator[dict[int, ApiServer]]:
    """Run the clusters, loaded the first time, by their number of namespaces."""
    is_loaded = _LOADED / "loaded"
    if not is_loaded.exists():
        shutil.rmtree(_LOADED, ignore_errors=True)  # half of it, perhaps
        _LOADED.mkdir(parents=True)
    with running_control_plane(obtain_binaries(tell=print), _LOADED.absolute()) as control_plane:
        servers = {namespaces: _start(control_plane, namespaces) for namespaces in SIZES}
        if not is_loaded.exists():
            for namespaces, server in servers.items():
                print(f"Loading {_title(namespaces)} …", flush=True)
                load_content(server, _build_content(namespaces))
                server.stop()  # or it would go on tidying up what loading has left, for minutes
                server.start()
            is_loaded.touch()
        yield servers


def _start(control_plane: ControlPlane, namespaces: int) -> ApiServer:
    return control_plane.start_server(f"n{namespaces}", flags=_EVENTS_STAY)


def _build_content(namespaces: int) -> Content:
    now = datetime.now(UTC)
    objects = build_namespaces(namespaces)
    pods = build_pods(PODS_EACH * namespaces, objects, now)
    evidence = iter_evidence(EVIDENCE_EACH * namespaces, pods, now)
    events = [*evidence, *iter_routine(ROUTINE_EACH * namespaces, pods, now)]
    for number, each in enumerate(pods):
        fatten(each, number, settings=8, volumes=5)  # what the server notes of who set which field makes it 10 kB
    return Content(objects, pods, events)


if __name__ == "__main__":
    sys.exit(main())
