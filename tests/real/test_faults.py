"""Faults of a real API server: what the user reads, which exit code a script sees, and what the database holds."""

import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.collect.run import CollectResult, collect
from oomdb.simulator import objects
from oomdb.simulator.cluster import Content
from oomdb.store.runs import begin_run
from tests.collect.simulated import Ear, open_fleet, start
from tests.controlplane.loading import load_content, load_pod
from tests.controlplane.permissions import allow, grant
from tests.controlplane.server import ApiServer, ControlPlane, RequestFailed
from tests.waiting import wait_until

PAGE = 500
CALM = 1200  # pods in three pages
FIRST, LAST = "a-killed-5b8d9c7f6d-bbbbb", "z-killed-5b8d9c7f6d-bbbbb"
HOUR = timedelta(hours=1)
NAMESPACE = "shop-tenant"


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane) -> Iterator[ApiServer]:
    """A server with 1,200 healthy pods, and one that was killed on the first and one on the last page."""
    # pages from etcd, as all servers up to 1.33 give them: newer ones remember a list for a minute or so themselves
    started = control_plane.start_server("faults", flags=("--feature-gates=ListFromCacheSnapshot=false",))
    load_content(started, Content(namespaces=[objects.namespace(NAMESPACE)]))
    calm = [objects.pod(f"m-calm-{number:05}", namespace=NAMESPACE) for number in range(CALM)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda pod: create(started, pod), calm))
    for name in (FIRST, LAST):
        load_pod(started, killed(name))
    yield started
    started.stop()


@pytest.fixture
def small_server(control_plane: ControlPlane, tmp_path: Path) -> Iterator[ApiServer]:
    """A server of its own for one test, with one killed pod."""
    started = control_plane.start_server(f"small-{tmp_path.name.replace('_', '-')}")
    load_content(started, Content(namespaces=[objects.namespace(NAMESPACE)], pods=[killed(FIRST)]))
    yield started
    started.stop()


def killed(name: str, *, at: datetime | None = None) -> dict[str, Any]:
    at = at or datetime.now(UTC) - HOUR
    return objects.pod(name, namespace=NAMESPACE, containers=[objects.oom_killed(at=at)])


def create(server: ApiServer, pod: dict[str, Any]) -> None:
    body = {"metadata": {"name": pod["metadata"]["name"]}, "spec": pod["spec"]}
    server.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", body)


class Meddler(Ear):
    """A listener that does something after a page of pods: after the first one, or after each."""

    def __init__(self, meddle: Callable[[], object], *, always: bool = False) -> None:
        super().__init__()
        self._meddle = meddle
        self._always = always

    def pods_read(self, cluster: str, count: int) -> None:
        super().pods_read(cluster, count)
        if self._always or len(self.counts) == 1:
            self._meddle()


@dataclass(frozen=True)
class Outcome:
    """What a collect came to, and what the database holds of it."""

    result: CollectResult
    occurrences: list[tuple[Any, ...]]
    gaps: list[tuple[Any, ...]]


def collect_meddled(
    server: ApiServer, folder: Path, meddle: Callable[[], object], *, always: bool = False, retries: int = 0
) -> Outcome:
    """Collect once, doing something to the server between two pages of pods."""
    now = datetime.now(UTC)
    with open_fleet(folder, server.write_kubeconfig(folder / "kubeconfig")) as fleet:
        request = replace(fleet.request(artifacts=False), retries=retries, timeout_seconds=10)
        run_id = begin_run(fleet.store, start(now), now=now)
        listener = Meddler(meddle, always=always)
        result = collect(fleet.store, run_id, fleet.targets, request, listener=listener, clock=lambda: now)
        return Outcome(
            result,
            fleet.rows("SELECT pod FROM occurrences ORDER BY 1"),
            fleet.rows("SELECT namespace, source, status, message FROM run_gaps"),
        )


class Shell:
    """Runs `oomdb` as its users do: as a process, with a kubeconfig and an output folder."""

    def __init__(self, server: ApiServer, folder: Path, **entry: Any) -> None:
        self.output = folder / "output"
        self._kubeconfig = server.write_kubeconfig(folder / "kubeconfig", **entry)

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "oomdb", *args, "--output", str(self.output)]

    def collect(self, *more: str) -> "Said":
        args = self.command("collect", "--kubeconfig", str(self._kubeconfig), "--retries", "0", *more)
        done = subprocess.run(args, capture_output=True, text=True, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    def start_collect(self, *more: str) -> subprocess.Popen[str]:
        args = self.command("collect", "--kubeconfig", str(self._kubeconfig), "--retries", "0", *more)
        return subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *args: str) -> str:
        done = subprocess.run(self.command(*args), capture_output=True, text=True, check=True)
        return done.stdout

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.output / "oomdb.sqlite")) as conn:
            return list(conn.execute(sql))


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    shown: str
    told: str

    @property
    def log_line(self) -> str:
        """The last line of stderr, without its seconds."""
        return re.sub(r"seconds=\d+ ", "", self.told.splitlines()[-1])


def pods_asked(server: ApiServer, since: int) -> list[str]:
    """Return the lists of pods that oomdb asked for since so many records of the audit log: `first`, `next`, `all`."""
    uris = [
        event["requestURI"]
        for event in server.audit_events()[since:]
        if event["requestURI"].startswith("/api/v1/pods") and event["userAgent"].startswith("oomdb")
    ]
    return ["next" if "continue=" in uri else "first" if "limit=" in uri else "all" for uri in uris]


# --- lists that expire -----------------------------------------------------------------------------------------------


def test_a_list_that_expires_between_two_pages_is_read_anew_and_nothing_counts_twice(
    server: ApiServer, control_plane: ControlPlane, tmp_path: Path
) -> None:
    before = len(server.audit_events())
    outcome = collect_meddled(server, tmp_path, lambda: expire(server, control_plane))
    (scan,) = outcome.result.scans
    assert (scan.status, scan.pods_seen, outcome.gaps) == ("complete", CALM + 2, [])
    assert outcome.occurrences == [(FIRST,), (LAST,)]
    assert pods_asked(server, before) == ["first", "next", "first", "next", "next"]


def test_a_list_that_expires_after_every_page_is_read_in_one_piece(
    server: ApiServer, control_plane: ControlPlane, tmp_path: Path
) -> None:
    before = len(server.audit_events())
    outcome = collect_meddled(server, tmp_path, lambda: expire(server, control_plane), always=True)
    (scan,) = outcome.result.scans
    assert (scan.status, scan.pods_seen, outcome.occurrences) == ("complete", CALM + 2, [(FIRST,), (LAST,)])
    assert pods_asked(server, before) == ["first", "next", "first", "next", "all"]


def expire(server: ApiServer, control_plane: ControlPlane) -> None:
    """Compact etcd, after something has changed: the revision of the last change can still be read."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    server.request("PATCH", path, {"metadata": {"labels": {"touched": str(time.time_ns())}}}, content_type=MERGE_PATCH)
    control_plane.compact()


MERGE_PATCH = "application/merge-patch+json"


# --- a server that is busy, or goes away -----------------------------------------------------------------------------


def test_a_server_that_sheds_load_is_asked_again_until_it_answers(control_plane: ControlPlane, tmp_path: Path) -> None:
    flags = (f"--max-requests-inflight={PLACES}", "--enable-priority-and-fairness=false")
    busy = control_plane.start_server("busy", flags=flags)
    large = {"annotations": {"large": "x" * 100_000}}
    load_content(
        busy,
        Content(
            namespaces=[objects.namespace(NAMESPACE)],
            pods=[killed(FIRST), *(_with_metadata(killed(f"m-large-{number:03}"), large) for number in range(100))],
        ),
    )
    token = busy.create_account("oomdb", "collector")  # an administrator is never turned away
    grant(busy, "oomdb", "collector", [allow("list", "namespaces", "pods", "events")])
    shell = Shell(busy, tmp_path, token=token)
    with ExitStack() as places:
        places.enter_context(taking_all_places(busy))
        refused = shell.collect("--no-artifacts", "--retries", "1")
        turned_away = count_turned_away(busy)
        with shell.start_collect("--no-artifacts", "--retries", "20") as patient:
            wait_until(lambda: count_turned_away(busy) > turned_away)
            places.close()
            shown, told = patient.communicate()
    busy.stop()
    assert (refused.code, patient.returncode) == (1, 0), told
    assert re.search(r"✗ .*: answered 429: .*too many requests.* \(tried 2 times\)", refused.shown, re.IGNORECASE)
    assert refused.log_line == "run=1 clusters=0/1 findings=0 new_occurrences=0 exit=1"
    assert shell.rows("SELECT status, requests, retries, pods_seen FROM run_clusters WHERE run_id = 1") == [
        ("failed", 2, 1, None)
    ]
    assert shell.rows("SELECT status, retries > 0, pods_seen FROM run_clusters WHERE run_id = 2") == [
        ("complete", 1, 101)
    ], shown


PLACES = 2  # requests that the busy server answers at a time


@contextmanager
def taking_all_places(server: ApiServer) -> Iterator[None]:
    """Ask for large lists and do not read them: the server cannot finish its answers."""
    trust = ssl.create_default_context(cadata=server.authority_pem.decode())
    question = f"GET /api/v1/pods HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.admin_token}\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(PLACES):
            plain = stack.enter_context(socket.socket())
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.connect(("127.0.0.1", server.port))
            connection = stack.enter_context(trust.wrap_socket(plain, server_hostname="127.0.0.1"))
            connection.sendall(question.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
        yield


def count_turned_away(server: ApiServer) -> int:
    """Return how many of oomdb's requests the server has answered by 429."""
    answered = (event for event in server.audit_events() if event["userAgent"].startswith("oomdb"))
    return sum(event["responseStatus"]["code"] == 429 for event in answered)


def _with_metadata(pod: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {**pod, "metadata": {**pod["metadata"], **more}}


def test_a_server_killed_and_started_again_inside_a_list_is_read_to_the_end(server: ApiServer, tmp_path: Path) -> None:
    is_read = threading.Event()

    def start_and_stay() -> None:
        server.start()
        is_read.wait()  # the server would end with the thread that started it

    def restart() -> None:
        server.stop()
        threading.Thread(target=start_and_stay, daemon=True).start()

    try:
        outcome = collect_meddled(server, tmp_path, restart, retries=20)
    finally:
        server.stop()
        is_read.set()
        server.start()
    (scan,) = outcome.result.scans
    assert (scan.status, scan.pods_seen, outcome.gaps) == ("complete", CALM + 2, [])
    assert scan.retries > 0
    assert outcome.occurrences == [(FIRST,), (LAST,)]


def test_a_server_that_stays_away_inside_a_list_leaves_a_gap_and_what_was_read(
    server: ApiServer, tmp_path: Path
) -> None:
    outcome = collect_meddled(server, tmp_path, server.stop)
    server.start()
    (scan,) = outcome.result.scans
    assert (scan.status, scan.pods_seen) == ("partial", PAGE), scan.error
    ((namespace, source, status, message),) = outcome.gaps
    assert (namespace, source, status) == ("", "pods", "unreachable")
    assert message.startswith(server.url)
    assert message.endswith(f"({PAGE} pods were read before)")
    assert outcome.occurrences == [(FIRST,)]


def test_a_server_that_is_away_is_an_exit_code_and_after_the_outage_the_kills_in_between_are_found(
    small_server: ApiServer, tmp_path: Path
) -> None:
    shell = Shell(small_server, tmp_path)
    first = shell.collect("--time-range", "auto", "--strict")
    small_server.stop()
    away = shell.collect("--time-range", "auto")
    small_server.start()
    load_pod(small_server, killed(LAST, at=datetime.now(UTC) - timedelta(seconds=1)))
    after = shell.collect("--time-range", "auto", "--strict")
    assert [said.code for said in (first, away, after)] == [0, 1, 0]
    assert "never read completely before; 7 days were looked back over" in first.shown
    assert "connection refused; is the API server up, and its port right?" in away.shown
    assert away.log_line == "run=2 clusters=0/1 findings=0 new_occurrences=0 exit=1"
    assert after.log_line == "run=3 clusters=1/1 findings=1 new_occurrences=1 exit=0"
    assert "never read completely" not in after.shown
    assert shell.rows("SELECT run_id, status FROM run_clusters ORDER BY 1") == [
        (1, "complete"),
        (2, "unreachable"),
        (3, "complete"),
    ]
    assert shell.rows("SELECT pod, first_run_id FROM occurrences ORDER BY 1") == [(FIRST, 1), (LAST, 3)]
    assert shell.rows("SELECT lookback_seconds < 1800 FROM runs WHERE id = 3") == [(1,)]


# --- clusters that change while they are read ------------------------------------------------------------------------


def test_pods_that_come_change_and_go_while_scans_run_are_neither_doubled_nor_made_up(
    server: ApiServer, tmp_path: Path
) -> None:
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    stop = threading.Event()
    made: list[str] = []

    def churn(worker: int) -> int:
        """Create pods, kill them, and delete them, until it is enough."""
        number = 0
        while not stop.is_set():
            number += 1
            name = f"n-churn-{worker}-{number:05}"
            load_pod(server, killed(name))
            made.append(name)
            if number > 5:
                server.request("DELETE", f"{pods}/n-churn-{worker}-{number - 5:05}?gracePeriodSeconds=0")
        return number

    with ThreadPoolExecutor(4) as pool:
        churning = pool.map(churn, range(4))
        try:
            with open_fleet(tmp_path, server.write_kubeconfig(tmp_path / "kubeconfig")) as fleet:
                scans = [fleet.collect(datetime.now(UTC), artifacts=False).scans[0] for _ in range(5)]
                twice = fleet.rows("SELECT pod FROM occurrences GROUP BY pod_uid, container HAVING count(*) > 1")
                found = {pod for (pod,) in fleet.rows("SELECT pod FROM occurrences")}
                gone = fleet.rows("SELECT count(*) FROM findings WHERE pod_gone IS NOT 0")
        finally:
            stop.set()
        assert sum(churning) > 50
    for name in {path["metadata"]["name"] for path in server.request("GET", pods)["items"]} & set(made):
        server.request("DELETE", f"{pods}/{name}?gracePeriodSeconds=0")
    assert [scan.status for scan in scans] == ["complete"] * 5
    assert twice == []
    assert found >= {FIRST, LAST}
    assert found <= {FIRST, LAST, *made}
    assert gone == [(0,)]  # no event tells of them
    assert all(CALM + 2 <= (scan.pods_seen or 0) <= CALM + 2 + 4 * 7 for scan in scans)


# --- runs that overlap, and runs that are stopped --------------------------------------------------------------------


def test_of_two_cron_runs_that_overlap_the_second_says_so_and_does_nothing(
    small_server: ApiServer, tmp_path: Path
) -> None:
    shell = Shell(small_server, tmp_path)
    shell.collect("-q")
    small_server.pause()
    with shell.start_collect("--timeout", "100") as first:
        try:
            wait_until(lambda: shell.rows("SELECT count(*) FROM runs") == [(2,)])
            second = shell.collect()
            assert shell.rows("SELECT count(*) FROM runs") == [(2,)]
        finally:
            small_server.resume()
        told = first.communicate()[1]
    assert (second.code, first.returncode) == (0, 0), told
    assert re.search(rf"already running since .* \(run 2, process {first.pid} on .*\); nothing was done\.", second.told)
    assert second.log_line == "run=none skipped=running:2 clusters=0/1 findings=0 new_occurrences=0 exit=0"
    assert shell.rows("SELECT status FROM runs") == [("complete",), ("complete",)]


def test_two_runs_beside_each_other_on_one_database_count_each_kill_once(server: ApiServer, tmp_path: Path) -> None:
    shell = Shell(server, tmp_path)
    with shell.start_collect("--allow-overlap") as first, shell.start_collect("--allow-overlap") as second:
        told = [process.communicate()[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], told
    assert shell.rows("SELECT status FROM runs") == [("complete",), ("complete",)]
    assert shell.rows("SELECT pod FROM occurrences ORDER BY 1") == [(FIRST,), (LAST,)]
    assert shell.rows("SELECT sum(new_occurrences) FROM run_counts") == [(2,)]
    assert shell.run("db", "check") == "everything holds\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_collect_that_is_stopped_while_the_server_hangs_ends_at_once(
    small_server: ApiServer, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    shell = Shell(small_server, tmp_path)
    small_server.pause()
    try:
        with shell.start_collect("--timeout", "300") as process:
            wait_until(lambda: (shell.output / "oomdb.sqlite").exists() and _has_begun(shell))
            process.send_signal(number)
            told = process.communicate(timeout=30)[1]
    finally:
        small_server.resume()
    assert process.returncode == code
    assert Said(code, "", told).log_line == f"run=1 clusters=0/1 findings=0 new_occurrences=0 exit={code}"
    assert shell.rows("SELECT status, finished_at IS NULL FROM runs") == [("aborted", 0)]


def _has_begun(shell: Shell) -> bool:
    try:
        return bool(shell.rows("SELECT 1 FROM runs"))
    except sqlite3.OperationalError:
        return False


# --- logins that end, names that are wrong ---------------------------------------------------------------------------


def test_a_token_that_was_removed_between_two_runs_is_told_and_shows_in_the_coverage(
    small_server: ApiServer, tmp_path: Path
) -> None:
    token = small_server.create_account("oomdb", "collector")
    grant(small_server, "oomdb", "collector", [allow("list", "namespaces", "pods", "events"), allow("get", "pods")])
    shell = Shell(small_server, tmp_path, token=token)
    good = shell.collect("--no-artifacts", "--strict")
    small_server.request("DELETE", "/api/v1/namespaces/oomdb/serviceaccounts/collector")
    wait_until(lambda: not _is_let_in(small_server, token))  # the server remembers for a few seconds whom it knew
    bad = shell.collect("--no-artifacts")
    assert (good.code, bad.code) == (0, 1)
    assert re.search(
        r"✗ .*: the credentials of context '.*' are not accepted \(401: .*\); log in with `oc login ", bad.shown
    )
    assert bad.log_line == "run=2 clusters=0/1 findings=0 new_occurrences=0 exit=1"
    assert shell.rows("SELECT run_id, status, error LIKE '%are not accepted (401%' FROM run_clusters ORDER BY 1") == [
        (1, "complete", 0),
        (2, "failed", 1),
    ]
    coverage = shell.run("coverage", "--run", "2", "--nl")
    assert '"status": "failed"' in coverage or '"status":"failed"' in coverage
    assert "are not accepted (401" in coverage
    assert token not in bad.shown + bad.told + coverage


def _is_let_in(server: ApiServer, token: str) -> bool:
    try:
        server.request("GET", "/api/v1/namespaces", token=token)
    except RequestFailed as err:
        return err.status != 401
    return True


def test_a_mistyped_namespace_is_told_with_the_one_that_was_meant(small_server: ApiServer, tmp_path: Path) -> None:
    shell = Shell(small_server, tmp_path)
    said = shell.collect("-n", f"{NAMESPACE},shop-tenat,default", "--strict")
    assert said.code == 3
    assert "there is no namespace 'shop-tenat' in this cluster; did you mean shop-tenant?" in said.shown
    assert shell.rows("SELECT namespace, source, status FROM run_gaps") == [("shop-tenat", "namespaces", "not-found")]
    assert shell.rows("SELECT status, namespaces_scanned, namespaces_failed FROM run_clusters") == [("partial", 2, 1)]
