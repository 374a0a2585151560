"""However a collect ends, the run is left in order, and the last line of stderr is the one for logs."""

import re
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.simulator import objects
from oomdb.simulator.faults import Delay, Fault, Hang
from tests.waiting import is_gone, wait_until

from .fleet import Fleet

INTERRUPTED = (signal.SIGINT, 130, "oomdb: interrupted")
TERMINATED = (signal.SIGTERM, 143, "oomdb: terminated")
ENDINGS = pytest.mark.parametrize(("number", "code", "told"), [INTERRUPTED, TERMINATED], ids=["Ctrl-C", "SIGTERM"])
LOG_LINE = r"run=(\S+)(?: skipped=\S+)? clusters=(\S+) findings=(\d+) new_occurrences=(\d+) seconds=\d+ exit=(\d+)"


def last_lines(stderr: str) -> tuple[str, tuple[str, ...]]:
    """Return the last line but one, and the values of the line for logs, which must be the last."""
    *_, before, last = ["", *stderr.splitlines()]
    match = re.fullmatch(LOG_LINE, last)
    assert match, stderr
    return before, match.groups()


@ENDINGS
@pytest.mark.parametrize("asked_for", ["/version", "/pods"], ids=["connecting", "listing"])
def test_a_collect_that_is_stopped_ends_at_once_and_closes_its_run(
    fleet: Fleet, number: signal.Signals, code: int, told: str, asked_for: str
) -> None:
    for server in fleet.servers.values():
        server.faults.add(Fault(match=rf"{asked_for}\b", action=Hang()))
    with fleet.start("--timeout", "300") as process:
        fleet.wait_for_run()
        fleet.wait_for_request(asked_for)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)  # the requests that hang would take minutes
    assert process.returncode == code
    assert last_lines(stderr) == (told, ("1", "0/3", "0", "0", str(code)))
    assert fleet.rows("SELECT status, finished_at IS NULL FROM runs") == [("aborted", 0)]


@ENDINGS
def test_a_collect_that_is_stopped_while_it_captures_keeps_what_it_found_and_says_what_it_did_not_save(
    fleet: Fleet, number: signal.Signals, code: int, told: str
) -> None:
    for server in fleet.servers.values():
        server.faults.add(Fault(match=r"/log\b", action=Hang()))
    with fleet.start("--timeout", "300", "--batch", "3") as process:
        fleet.wait_for_request("/log", of_each=True)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert last_lines(stderr) == (told, ("1", "3/3", "3", "3", str(code)))
    assert fleet.rows("SELECT status, finished_at IS NULL FROM runs") == [("partial", 0)]
    assert set(fleet.rows("SELECT status, requests >= 4, duration_ms > 0 FROM run_clusters")) == {("partial", 1, 1)}
    message = "the run was stopped meanwhile (0 of 1 pods were captured)"
    assert set(fleet.rows("SELECT source, status, message FROM run_gaps")) == {("artifacts", "stopped", message)}
    for server in fleet.servers.values():
        server.faults.clear()
    assert run(fleet.args()) == 0
    assert fleet.rows("SELECT count(*) FROM artifacts WHERE run_id = 2 AND status = 'ok'") == [(6,)]


@ENDINGS
def test_a_collect_that_is_stopped_while_it_waits_to_write_ends_when_it_may(
    fleet: Fleet, number: signal.Signals, code: int, told: str
) -> None:
    for server in fleet.servers.values():
        server.faults.add(Fault(match="/pods", action=Delay(1)))
    with fleet.start("--no-artifacts") as process:
        fleet.wait_for_request("/events")
        with closing(sqlite3.connect(fleet.output / "oomdb.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            fleet.wait_for_request("/pods", of_each=True)
            process.send_signal(number)
            other.execute("ROLLBACK")
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert last_lines(stderr)[0] == told
    assert fleet.rows("SELECT finished_at IS NULL FROM runs") == [(0,)]


@ENDINGS
@pytest.mark.parametrize("command", ["collect", "doctor", "why"])
def test_a_command_that_is_stopped_leaves_no_plug_in_behind(
    fleet: Fleet, number: signal.Signals, code: int, told: str, command: str
) -> None:
    assert run(fleet.args("-q")) == 0
    noted = fleet.folder / "pid"
    plugin = fleet.folder / "hanging-plugin"
    plugin.write_text(f'#!/bin/sh\nsleep 600 &\necho "$$ $!" > "{noted}.new"; mv "{noted}.new" "{noted}"\nwait\n')
    plugin.chmod(0o755)
    kubeconfig = fleet.use_plugin(plugin)
    args = {"collect": [], "doctor": [], "why": ["shop-tenant", "--live"]}[command]
    line = [sys.executable, "-m", "oomdb", command, *args, "--kubeconfig", kubeconfig, "--output", str(fleet.output)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_until(noted.exists)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, told in stderr) == (code, True)
    for pid in map(int, noted.read_text().split()):
        wait_until(partial(is_gone, pid))


@pytest.mark.parametrize("asked_for", ["/version", "/pods"], ids=["connecting", "listing"])
def test_a_stopped_collect_keeps_and_counts_the_clusters_that_were_read(fleet: Fleet, asked_for: str) -> None:
    fleet.servers["kflux-prd-rh02"].faults.add(Fault(match=asked_for, action=Hang()))
    with fleet.start("--timeout", "300") as process:
        fleet.wait_for_run(clusters=2)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert last_lines(stderr) == ("oomdb: interrupted", ("1", "2/3", "2", "2", "130"))
    assert fleet.rows("SELECT status FROM runs") == [("partial",)]
    assert fleet.rows("SELECT cluster, status, error FROM run_clusters ORDER BY 1") == [
        ("kflux-prd-rh02", "failed", "the run was cut short before this cluster was recorded"),
        ("kflux-prd-rh03", "complete", ""),
        ("stone-prod-p01", "complete", ""),
    ]


def test_a_second_collect_says_that_one_is_running_and_then_its_line(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.servers["kflux-prd-rh02"].faults.add(Fault(match="/pods", action=Hang()))
    with fleet.start("-q", "--timeout", "300") as first:
        try:
            fleet.wait_for_run()
            assert run(fleet.args()) == 0
            told = capsys.readouterr().err
            assert run(fleet.args("-q")) == 0
            quietly = capsys.readouterr().err
        finally:
            first.kill()
    before, values = last_lines(told)
    assert "already running since" in before
    assert values == ("none", "0/3", "0", "0", "0")
    assert re.fullmatch(r"run=none skipped=running:1 clusters=0/3 .* exit=0\n", quietly)


def test_a_database_that_cannot_be_opened_is_told_before_the_line(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    (fleet.output / "oomdb.sqlite").mkdir(parents=True)
    assert run(fleet.args()) == 1
    before, values = last_lines(capsys.readouterr().err)
    assert before.startswith("oomdb: error: ")
    assert "is a folder; say --db with the path of a file in it" in before
    assert values == ("none", "0/3", "0", "0", "1")


def test_a_missing_kubeconfig_is_told_before_the_line(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("--kubeconfig", str(fleet.folder / "none"))) == 1
    before, values = last_lines(capsys.readouterr().err)
    assert before.startswith("oomdb: error: ")
    assert values == ("none", "0/0", "0", "0", "1")


def test_a_full_disk_of_the_database_is_told_in_words_and_leaves_nothing_torn(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args("--current", "-q")) == 0
    with closing(sqlite3.connect(fleet.output / "oomdb.sqlite")) as conn:
        conn.execute(
            "CREATE TRIGGER full BEFORE INSERT ON findings WHEN new.cluster = 'stone-prod-p01' "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    capsys.readouterr()
    assert run(fleet.args()) == 1
    before, values = last_lines(capsys.readouterr().err)
    assert re.search(
        r"oomdb\.sqlite: the disk is full \(\d+ MiB free\); nothing of this step was stored: free some space\.$", before
    )
    assert (values[0], values[-1]) == ("2", "1")
    assert fleet.rows("SELECT count(*) FROM findings WHERE cluster = 'stone-prod-p01'") == [(0,)]
    assert fleet.rows("SELECT status FROM run_clusters WHERE cluster = 'stone-prod-p01' AND run_id = 2") == [
        ("failed",)
    ]
    assert fleet.rows("SELECT status IN ('partial', 'aborted') FROM runs WHERE id = 2") == [(1,)]


def test_files_that_cannot_grow_stop_the_artifacts_and_keep_the_findings(fleet: Fleet) -> None:
    server = fleet.servers["kflux-prd-rh02"]
    (pod,) = server.cluster.pods
    log = b"a line of a log that is long enough\n" * 100_000
    names = (pod["metadata"]["namespace"], pod["metadata"]["name"], "app")
    server.cluster.replace(logs={(*names, previous): log for previous in (False, True)})
    limit_bytes = 3 * 2**20  # the database needs less, the log more
    done = subprocess.run(
        [sys.executable, "-m", "oomdb", *fleet.args("--strict")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes)),
    )
    assert last_lines(done.stderr)[1] == ("1", "3/3", "3", "3", "3")
    assert "kflux-prd-rh02: artifacts not saved: Artifact files cannot be written to " in done.stdout
    assert "File too large; check that folder. (0 of 1 pods were captured)" in done.stdout
    assert fleet.rows("SELECT cluster, status FROM run_clusters ORDER BY 1") == [
        ("kflux-prd-rh02", "partial"),
        ("kflux-prd-rh03", "complete"),
        ("stone-prod-p01", "complete"),
    ]
    assert fleet.rows("SELECT cluster, source, status FROM run_gaps") == [("kflux-prd-rh02", "artifacts", "artifact")]
    assert fleet.rows("SELECT count(*) FROM findings") == [(3,)]
    assert not list(Path(fleet.output, "logs_and_description_files").rglob("*.tmp"))


def test_a_server_whose_clock_is_ahead_is_warned_of(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.servers["kflux-prd-rh03"].clock_offset_seconds = 2 * 3600
    assert run(fleet.args("--no-artifacts")) == 0
    warnings = [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines() if "warning" in line]
    (warning,) = warnings
    assert re.fullmatch(
        r"warning: kflux-prd-rh03: the server's clock is (2:00:0[01]|1:59:59) \(h:mm:ss\) ahead of this machine's; "
        r"the times of its kills are by its own\. Let both clocks be set by NTP\.",
        warning,
    )


def test_a_namespace_that_does_not_exist_is_no_empty_one(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    server = fleet.servers["kflux-prd-rh02"]
    server.cluster.replace(namespaces=[objects.namespace("shop-tenant"), objects.namespace("empty-tenant")])
    assert run(fleet.args("--current", "-n", "shop-tenant,empty-tenant,shop-tenat", "--strict")) == 3
    shown = capsys.readouterr().out
    told = "there is no namespace 'shop-tenat' in this cluster; did you mean shop-tenant"
    assert f"  kflux-prd-rh02: {told}" in shown
    assert fleet.rows("SELECT namespace, source, status FROM run_gaps") == [("shop-tenat", "namespaces", "not-found")]
