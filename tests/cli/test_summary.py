"""`oomdb summary` as a user runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.store.database import open_for_writing
from tests.owners.commands import with_commands, write_command
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, finding, kill, scan
from tests.waiting import is_gone, wait_until

Summary = Callable[..., tuple[int, str, str]]


@pytest.fixture
def summary(capsys: pytest.CaptureFixture[str]) -> Summary:
    """Run `oomdb summary` and return its exit code, stdout and stderr."""

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run(["summary", *args], now=NOW)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.fixture
def history() -> None:
    """Record two runs that see one kill each, then one that sees nothing."""
    with open_for_writing("output/oomdb.sqlite") as store:
        record_run(store, scan(finding(kill(ago(hours=40)))), at=ago(hours=39))
        record_run(store, scan(finding(kill(ago(hours=12), container_id="cri-o://2"))))
        record_run(store, scan(cluster="prod-b"), at=NOW + timedelta(hours=1))


BLOCK = """
==============================================
Report for pod: {title}
==============================================
{lines}
CrashLoopBackOff: 0 instances (no occurrences in {where})
==============================================
"""


@pytest.mark.usefixtures("history")
def test_a_run_has_a_block_for_each_of_its_pods_and_says_which_run_it_is(summary: Summary) -> None:
    code, out, err = summary("--run", "2", "--tz", "UTC")
    line = "OOMKilled: 1 instance(s) on 15-Jan-2026, Namespace: shop (cluster: prod-a)"
    assert (code, out) == (0, BLOCK.format(title="checkout-1", lines=line, where="this run"))
    assert "run 2 of 2026-01-15 15:00:00 UTC: 1 pods\n" in err


@pytest.mark.usefixtures("history")
def test_days_are_those_of_the_zone(summary: Summary) -> None:
    assert "1 instance(s) on 14-Jan-2026" in summary("--run", "2", "--tz", "America/New_York")[1]


@pytest.mark.usefixtures("history")
def test_a_part_of_a_pods_name_finds_all_days_of_the_history(summary: Summary) -> None:
    code, out, _ = summary("--pod", "heckou", "--tz", "UTC")
    lines = (
        "OOMKilled: 1 instance(s) on 13-Jan-2026, Namespace: shop (cluster: prod-a)\n"
        "OOMKilled: 1 instance(s) on 15-Jan-2026, Namespace: shop (cluster: prod-a)"
    )
    assert (code, out) == (0, BLOCK.format(title="heckou", lines=lines, where="the history"))


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("pod", ["nowhere", "%", "check_ut", "a\nb"])
def test_a_pod_that_never_was_found_has_a_block_of_zeros(summary: Summary, pod: str) -> None:
    code, out, _ = summary("--pod", pod)
    lines = "OOMKilled: 0 instances (no occurrences in the history)"
    title = pod.replace("\n", "\\n")
    assert (code, out) == (0, BLOCK.format(title=title, lines=lines, where="the history"))


@pytest.mark.usefixtures("history")
def test_a_run_without_findings_prints_nothing_and_says_so(summary: Summary) -> None:
    code, out, err = summary()
    assert (code, out) == (0, "")
    assert "nothing found in what could be read" in err


@pytest.mark.usefixtures("history")
def test_run_and_pod_exclude_one_another(summary: Summary) -> None:
    code, out, err = summary("--run", "2", "--pod", "x")
    assert (code, out) == (2, "")
    assert "give --run or --pod, not both" in err


def test_without_a_database_none_is_made(summary: Summary) -> None:
    code, out, err = summary()
    assert (code, out) == (1, "")
    assert "there is no database" in err


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_summary_that_is_stopped_while_it_clones_leaves_neither_the_clone_nor_git(
    number: signal.Signals, tmp_path: Path
) -> None:
    noted = tmp_path / "pid"
    script = f'#!/bin/sh\nsleep 600 &\necho "$$ $!" > "{noted}.new"; mv "{noted}.new" "{noted}"\nwait\n'
    write_command(tmp_path / "bin", "git", script)
    (tmp_path / "scratch").mkdir()
    environ = with_commands(tmp_path / "bin") | {"TMPDIR": str(tmp_path / "scratch")}
    line = [sys.executable, "-m", "oomdb", "summary", "--codeowners-repo", "https://git.example/x.git"]
    with subprocess.Popen(line, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(noted.exists)
        process.send_signal(number)
        process.wait(timeout=30)
    assert process.returncode == 128 + number
    for pid in map(int, noted.read_text().split()):
        wait_until(partial(is_gone, pid))
    assert os.listdir(tmp_path / "scratch") == []
