"""Clusters that break, hang, change or lie about the time while they are read: what is kept, and what is said."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomdb.collect.clocks import CLOCKS_AGREE
from oomdb.collect.run import CollectRequest, CollectResult, Connection, collect
from oomdb.collect.threads import run_in_threads
from oomdb.model import ClusterScan
from oomdb.simulator import objects
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Delay, ExpireContinue, Fault, Faults, Hang, Refuse, Reset
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import serve
from oomdb.store.runs import begin_run
from tests.collect.simulated import NOON, Ear, Fleet, open_fleet, running_fleet, start

HOUR = timedelta(hours=1)
PAGE = 500


def killed(name: str = "shop-7f6d9c5b8-x2x7k", *, at: datetime = NOON - HOUR) -> dict[str, Any]:
    return objects.pod(name, namespace="shop-tenant", containers=[objects.oom_killed(at=at)])


def crowd(count: int, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Return healthy pods, which come before `more` in a list."""
    return [objects.pod(f"a-calm-{number:05}", namespace="shop-tenant") for number in range(count)] + list(more)


def cluster(*pods: dict[str, Any], events: tuple[dict[str, Any], ...] = ()) -> SimulatedCluster:
    return SimulatedCluster([objects.namespace("shop-tenant"), objects.namespace("empty-tenant")], pods, events)


class Meddler(Ear):
    """A listener that does something, once, when the first page of cluster c1's pods was read."""

    def __init__(self, *meddle: Callable[[], object]) -> None:
        super().__init__()
        self._meddle = list(meddle)

    def pods_read(self, cluster: str, count: int) -> None:
        while cluster == "c1" and self._meddle:
            self._meddle.pop(0)()


def collect_with(fleet: Fleet, request: CollectRequest, **more: Any) -> CollectResult:
    run_id = begin_run(fleet.store, start(NOON), now=NOON)
    more = {"clock": lambda: NOON, "listener": fleet.ear, **more}
    return collect(fleet.store, run_id, fleet.targets, request, **more)


# --- servers that break ----------------------------------------------------------------------------------------------


def test_a_server_that_dies_inside_a_list_leaves_what_was_read_and_the_other_clusters_whole(tmp_path: Path) -> None:
    clusters = {name: cluster(killed("a-a-killed-5b8d9c7f6d-bbbbb"), *crowd(700)) for name in ("c1", "c2", "c3")}
    with running_fleet(tmp_path, clusters) as fleet:
        fleet.servers["c2"].faults.add(Fault(match="continue=", action=Reset()))
        result = fleet.collect(artifacts=False)
        gaps = fleet.rows("SELECT cluster, source, status, message LIKE '%(500 pods were read before)' FROM run_gaps")
    assert [(scan.status, len(scan.findings)) for scan in result.scans] == [
        ("complete", 1),
        ("partial", 1),
        ("complete", 1),
    ]
    assert gaps == [("c2", "pods", "unreachable", 1)]


def test_a_server_that_comes_back_inside_a_list_is_read_in_full(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="continue=", action=Reset(), times=1))}
    with running_fleet(tmp_path, {"c1": cluster(*crowd(700, killed()))}, faults=faults) as fleet:
        result = collect_with(fleet, replace(fleet.request(artifacts=False), retries=1))
    (scan,) = result.scans
    assert (scan.status, scan.pods_seen, len(scan.findings), scan.retries) == ("complete", 701, 1, 1)


def test_one_that_hangs_and_one_that_is_slow_leave_the_others_as_they_are(tmp_path: Path) -> None:
    faults = {
        "hangs": Faults(Fault(match="/pods", action=Hang())),
        "slow": Faults(Fault(match="/", action=Delay(0.3))),
    }
    clusters = {name: cluster(killed()) for name in ("hangs", "slow", "well")}
    with running_fleet(tmp_path, clusters, faults=faults) as fleet:
        result = fleet.collect(artifacts=False)
        gaps = fleet.rows("SELECT cluster, source, status FROM run_gaps")
    assert {scan.cluster: (scan.status, len(scan.findings)) for scan in result.scans} == {
        "hangs": ("partial", 0),
        "slow": ("complete", 1),
        "well": ("complete", 1),
    }
    assert gaps == [("hangs", "pods", "timeout")]


class Chronicle(Ear):
    """A listener that remembers in which order it heard what."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def waiting(self, cluster: str) -> None:
        self.heard.append(("waiting", cluster))

    def connected(self, connection: Connection) -> None:
        self.heard.append(("connected", connection.cluster))

    def scanned(self, scan: ClusterScan, new_occurrences: int) -> None:
        self.heard.append(("scanned", scan.cluster))


def test_one_that_does_not_answer_is_named_and_the_others_are_read_and_recorded_meanwhile(tmp_path: Path) -> None:
    faults = {"hangs": Faults(Fault(match="/version", action=Hang()))}
    clusters = {name: cluster(killed()) for name in ("hangs", "c1", "c2", "c3")}
    chronicle = Chronicle()
    with running_fleet(tmp_path, clusters, faults=faults) as fleet:
        request = fleet.request(artifacts=False)
        result = collect_with(fleet, request, listener=chronicle, patience_seconds=0.1)
    assert [scan.status for scan in result.scans] == ["unreachable", "complete", "complete", "complete"]
    assert chronicle.heard.count(("waiting", "hangs")) == 1
    *_, given_up, last = chronicle.heard
    assert (given_up, last) == (("connected", "hangs"), ("scanned", "hangs"))
    assert {it for it in chronicle.heard if it[0] == "scanned"} == {("scanned", name) for name in clusters}


PLUGIN = """
import json, os, sys
if os.path.exists(sys.argv[1]):
    sys.exit("the session has expired, log in again")
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": "token"}}))
"""


@contextmanager
def fleet_with_plugin(
    folder: Path, pods: list[dict[str, Any]], tokens: Mapping[str, str], *, logged_out: Path
) -> Iterator[Fleet]:
    """Yield a fleet whose cluster c1 wants an exec plug-in's token; where the file is there the plug-in fails."""
    authority = Authority()
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", PLUGIN, str(logged_out)],
        "interactiveMode": "Never",
    }
    with (
        serve(cluster(*pods), authority=authority, tokens=tokens) as first,
        serve(cluster(killed()), authority=authority) as second,
    ):
        servers = {"c1": first, "c2": second}
        path = write_kubeconfig(
            folder / "kubeconfig",
            [
                ContextEntry(context=name, server=server.url, authority_pem=authority.pem, token="token")
                for name, server in servers.items()
            ],
        )
        document = yaml.safe_load(path.read_text())
        document["users"][0]["user"] = {"exec": plugin}
        path.write_text(yaml.safe_dump(document))
        with open_fleet(folder, path, servers) as fleet:
            yield fleet


def test_an_exec_plugin_that_fails_inside_a_scan_costs_the_rest_of_its_cluster_alone(tmp_path: Path) -> None:
    tokens = {"token": "user", "another": "somebody else"}
    logged_out = tmp_path / "logged-out"
    with fleet_with_plugin(tmp_path, crowd(700, killed()), tokens, logged_out=logged_out) as fleet:
        fleet.ear = Meddler(logged_out.touch, lambda: tokens.pop("token"))
        result = fleet.collect(artifacts=False)
    first, second = result.scans
    assert (first.status, first.pods_seen, second.status) == ("partial", 500, "complete")
    (gap,) = first.gaps
    assert (gap.source, gap.status) == ("pods", "unauthorized")
    assert "the session has expired, log in again" in gap.message


@pytest.mark.parametrize(
    ("fault", "requests", "retries"),
    [
        (Fault(match="/version", action=Refuse(503)), 2, 1),  # the version, twice
        (Fault(match="/api/v1/namespaces", action=Refuse(503)), 3, 1),  # the version, and the list twice
    ],
    ids=["connecting", "listing"],
)
def test_a_cluster_that_could_not_be_read_tells_what_that_cost(
    tmp_path: Path, fault: Fault, requests: int, retries: int
) -> None:
    with running_fleet(tmp_path, {"c1": cluster()}, faults={"c1": Faults(fault)}) as fleet:
        (scan,) = collect_with(fleet, replace(fleet.request(), retries=1)).scans
        rows = fleet.rows("SELECT context, requests, retries FROM run_clusters")
    assert (scan.status, scan.error != "") == ("failed", True)
    assert rows == [("c1", requests, retries)]


# --- clusters that change --------------------------------------------------------------------------------------------


def test_what_is_created_changed_and_deleted_between_two_pages_is_neither_seen_twice_nor_made_up(
    tmp_path: Path,
) -> None:
    before = [killed("a-a-killed-5b8d9c7f6d-bbbbb"), *crowd(700, killed("z-deleted-5b8d9c7f6d-bbbbb"))]
    looping = objects.crash_looping(last_at=NOON - HOUR, restart_count=9)
    after = [
        objects.pod("a-a-killed-5b8d9c7f6d-bbbbb", namespace="shop-tenant", containers=[looping]),
        *crowd(700, killed("z-created-5b8d9c7f6d-bbbbb")),
    ]
    simulated = cluster(*before)
    with running_fleet(tmp_path, {"c1": simulated}) as fleet:
        fleet.ear = Meddler(lambda: simulated.replace(pods=after))
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.pods_seen) == ("complete", 702)
    assert sorted((finding.pod, finding.type, finding.pod_gone) for finding in scan.findings) == [
        ("a-a-killed-5b8d9c7f6d-bbbbb", "OOMKilled", False),
        ("z-deleted-5b8d9c7f6d-bbbbb", "OOMKilled", False),
    ]


def test_a_list_that_begins_anew_over_changed_pods_counts_each_pod_once(tmp_path: Path) -> None:
    simulated = cluster(killed("a-a-killed-5b8d9c7f6d-bbbbb"), *crowd(700))

    def change_and_forget() -> None:
        simulated.replace(
            pods=[killed("a-a-killed-5b8d9c7f6d-bbbbb"), *crowd(600, killed("z-created-5b8d9c7f6d-bbbbb"))]
        )
        simulated.compact()

    with running_fleet(tmp_path, {"c1": simulated}) as fleet:
        fleet.ear = Meddler(change_and_forget)
        (scan,) = fleet.collect(artifacts=False).scans
        occurrences = fleet.rows("SELECT pod FROM occurrences ORDER BY 1")
    assert scan.status == "complete"
    # those of the first page that were deleted meanwhile were there when it was read
    assert (scan.pods_seen, occurrences) == (602, [("a-a-killed-5b8d9c7f6d-bbbbb",), ("z-created-5b8d9c7f6d-bbbbb",)])


def test_no_list_that_broke_off_declares_a_pod_deleted(tmp_path: Path) -> None:
    lost = objects.pod("z-lost-6c9b7f9d5-bbbbb", namespace="shop-tenant")
    event = objects.back_off_event(lost, "app", at=NOON - timedelta(minutes=5))
    faults = {"c1": Faults(Fault(match=r"/pods\?.*continue=", action=Reset()))}
    with running_fleet(tmp_path, {"c1": cluster(*crowd(700), events=(event,))}, faults=faults) as fleet:
        broken = fleet.collect(artifacts=False)
        fleet.servers["c1"].faults.clear()
        whole = fleet.collect(NOON + timedelta(minutes=5), artifacts=False)
        assert fleet.rows("SELECT run_id, pod_gone FROM findings ORDER BY 1") == [(1, None), (2, 1)]
    assert (broken.scans[0].status, whole.scans[0].status) == ("partial", "complete")


def test_a_list_that_expires_again_and_again_is_read_in_one_piece(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match=r"/pods\?.*continue=", action=ExpireContinue()))}
    with running_fleet(tmp_path, {"c1": cluster(*crowd(700, killed()))}, faults=faults) as fleet:
        (scan,) = fleet.collect(artifacts=False).scans
    assert (scan.status, scan.pods_seen, len(scan.findings)) == ("complete", 701, 1)


# --- namespaces that do not exist ------------------------------------------------------------------------------------


def scan_names(fleet: Fleet, *names: str) -> ClusterScan:
    (scan,) = fleet.collect(artifacts=False, names=names).scans
    return scan


def test_a_named_namespace_that_does_not_exist_is_a_gap_that_suggests_a_name(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster(killed())}) as fleet:
        scan = scan_names(fleet, "shop-tenant", "emty-tenant")
    (gap,) = scan.gaps
    assert (scan.status, scan.namespaces_scanned, scan.namespaces_failed) == ("partial", 1, 1)
    assert (gap.namespace, gap.source, gap.status) == ("emty-tenant", "namespaces", "not-found")
    assert gap.message == "there is no namespace 'emty-tenant' in this cluster; did you mean empty-tenant?"


def test_a_named_namespace_that_is_empty_is_complete_and_costs_one_request_more(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster(killed())}) as fleet:
        scan = scan_names(fleet, "shop-tenant", "empty-tenant")
        asked = [request.path for request in fleet.servers["c1"].requests if "/namespaces/" in request.path]
    assert (scan.status, scan.gaps, scan.namespaces_scanned) == ("complete", (), 2)
    assert [path for path in asked if not path.endswith(("/pods", "/events"))] == ["/api/v1/namespaces/empty-tenant"]


def test_where_namespaces_may_not_be_read_nothing_is_claimed(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="get", resource="namespaces"),))
    with running_fleet(tmp_path, {"c1": cluster()}, permissions=refused) as fleet:
        scan = scan_names(fleet, "emty-tenant")
    assert (scan.status, scan.gaps) == ("complete", ())


def test_where_no_names_are_to_be_had_none_is_suggested(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="namespaces"), Rule(verb="list", resource="projects")))
    with running_fleet(tmp_path, {"c1": cluster()}, permissions=refused) as fleet:
        (gap,) = scan_names(fleet, "emty-tenant").gaps
    assert gap.message.endswith("in this cluster; check its name, and whether this is its cluster.")


def test_a_server_that_fails_when_asked_for_a_namespace_is_a_gap(tmp_path: Path) -> None:
    faults = {"c1": Faults(Fault(match="/namespaces/empty-tenant$", action=Refuse(500)))}
    with running_fleet(tmp_path, {"c1": cluster()}, faults=faults) as fleet:
        scan = scan_names(fleet, "empty-tenant")
    assert (scan.status, [(gap.source, gap.status) for gap in scan.gaps]) == ("partial", [("namespaces", "bad-answer")])


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [2 * HOUR, -2 * HOUR, timedelta(seconds=30)], ids=["ahead", "behind", "agrees"])
def test_the_window_is_judged_by_the_servers_clock(tmp_path: Path, ahead: timedelta) -> None:
    by_its_clock = {
        "just-now-5b8d9c7f6d-bbbbb": timedelta(minutes=1),
        "in-range-5b8d9c7f6d-bbbbb": timedelta(hours=23),
        "too-old-5b8d9c7f6d-bbbbb": timedelta(hours=25),
    }
    pods = [killed(name, at=NOON + ahead - ago) for name, ago in by_its_clock.items()]
    with running_fleet(tmp_path, {"c1": cluster(*pods)}) as fleet:
        fleet.servers["c1"].clock_offset_seconds = ahead.total_seconds()
        (scan,) = fleet.collect().scans
        found = fleet.rows("SELECT pod, occurred_at, time_quality FROM occurrences ORDER BY 1")
    assert scan.clock_skew_seconds is not None
    assert abs(scan.clock_skew_seconds - ahead.total_seconds()) < CLOCKS_AGREE.total_seconds() / 2
    assert found == [
        (name, f"{NOON + ahead - by_its_clock[name]:%Y-%m-%d %H:%M:%S}", "exact")
        for name in ("in-range-5b8d9c7f6d-bbbbb", "just-now-5b8d9c7f6d-bbbbb")
    ]


def test_a_kill_in_the_servers_future_is_captured_once(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster(killed(at=NOON + HOUR))}) as fleet:
        fleet.servers["c1"].clock_offset_seconds = 2 * 3600
        fleet.collect(NOON)
        fleet.collect(NOON + timedelta(minutes=5))
        assert fleet.rows("SELECT run_id, kind FROM artifacts ORDER BY 2") == [(1, "description"), (1, "log")]


# --- many clusters ---------------------------------------------------------------------------------------------------


def test_a_fixed_number_of_tasks_is_under_way_all_the_time() -> None:
    together = threading.Barrier(4, timeout=60)  # breaks where fewer than four come
    lock = threading.Lock()
    active, peak = 0, 0

    def work(_task: int) -> None:
        nonlocal active, peak
        with lock:
            active += 1
            peak = max(peak, active)
        together.wait()
        with lock:
            active -= 1

    assert len(list(run_in_threads(work, range(20), workers=4))) == 20
    assert peak == 4


def test_one_long_task_leaves_the_other_places_to_the_rest() -> None:
    rest_is_done = threading.Event()

    def work(task: int) -> int:
        if task == 0:
            assert rest_is_done.wait(60)
        return task

    ended = []
    for task, _ in run_in_threads(work, range(10), workers=2):
        ended.append(task)
        if len(ended) == 9:
            rest_is_done.set()
    assert ended[-1] == 0


class Counter(Ear):
    """A listener that counts the clusters that are listed at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._active = 0
        self.peak = 0

    def scanning(self, cluster: str) -> None:
        with self._lock:
            self._active += 1
            self.peak = max(self.peak, self._active)

    def skipped(self, cluster: str, rules: Mapping[str, str]) -> None:
        with self._lock:
            self._active -= 1


def test_twenty_clusters_are_read_four_at_a_time_and_no_thread_is_left(tmp_path: Path) -> None:
    clusters = {f"c{number:02}": cluster(killed()) for number in range(20)}
    with running_fleet(tmp_path, clusters) as fleet:
        counter = Counter()
        result = collect_with(fleet, replace(fleet.request(), batch=4), listener=counter)
        left = [thread for thread in threading.enumerate() if thread.name.startswith(("ask-", "scan-", "pod-"))]
        for thread in left:
            thread.join(timeout=60)
    assert (result.status, len(result.scans), result.new_occurrences) == ("complete", 20, 20)
    assert 2 <= counter.peak <= 4
    assert [thread.name for thread in left if thread.is_alive()] == []


# --- signs of life ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked_for", ["/version", "/pods", "/log"], ids=["connecting", "listing", "capturing"])
def test_a_run_gives_signs_of_life_while_one_request_hangs(tmp_path: Path, asked_for: str) -> None:
    seconds = iter(range(10_000))
    with running_fleet(tmp_path, {"c1": cluster(killed())}) as fleet:
        fleet.servers["c1"].faults.add(Fault(match=rf"{asked_for}\b", action=Delay(1)))
        collect_with(
            fleet, fleet.request(), clock=lambda: NOON + timedelta(seconds=next(seconds)), heartbeat_seconds=0.02
        )
    assert next(seconds) > 20  # the clock is read for every sign, and else a few times


def test_a_sign_of_life_that_cannot_be_given_does_not_end_the_run(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": cluster(killed())}) as fleet:
        fleet.servers["c1"].faults.add(Fault(match="/pods", action=Delay(0.3)))
        with fleet.store.writing() as conn:
            conn.exec_driver_sql(
                "CREATE TRIGGER busy BEFORE UPDATE OF heartbeat_at ON runs WHEN new.status = 'running' "
                "BEGIN SELECT RAISE(ABORT, 'database is locked'); END"
            )
        result = collect_with(fleet, fleet.request(artifacts=False), heartbeat_seconds=0.02)
    assert (result.status, result.new_occurrences) == ("complete", 1)
