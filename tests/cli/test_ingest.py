"""`oomdb ingest`: files, folders and stdin become runs."""

import io
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.simulator.objects import back_off_event, crash_looping, oom_killed, pod
from tests.importers.captures import as_json, as_yaml, list_of, write, write_must_gather

NOW = datetime(2026, 2, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
KILLED = pod(containers=[oom_killed(at=NOON - timedelta(hours=2))])
LOOPING = pod("cart-7f6d9c5b8-x2x7k", containers=[crash_looping(last_at=NOON - timedelta(minutes=1))])
EVENT = back_off_event(LOOPING, "app", at=NOON)
QUIET = pod("quiet-7f6d9c5b8-x2x7k", namespace="quiet-tenant")
BOTH = as_json(list_of(KILLED, LOOPING, QUIET, EVENT))

Ingest = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ingest(capsys: pytest.CaptureFixture[str]) -> Ingest:
    def invoke(*args: str) -> tuple[int, str, str]:
        code = run(("ingest", *args, "--tz", "UTC"), now=NOW)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


def test_a_file_shows_coverage_findings_and_summary(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    code, out, err = ingest("saved.json", "--cluster", "prod-b")
    assert code == 0
    assert "prod-b   complete  2           –        0       3     1       2026-01-15 12:00:00 UTC  2" in out
    assert "OOMKilled  shop-7f6d9c5b8-x2x7k [app]  2026-01-15 10:00:00 UTC" in out
    assert "Report for pod: cart-7f6d9c5b8-x2x7k" in out
    assert "prod-b: as it was at 2026-01-15 12:00:00 UTC, by the newest time in its objects" in err
    assert "run 1: 2 findings, 2 new occurrences; `oomdb report --run 1` shows it" in err


def test_the_same_again_changes_nothing_and_says_so(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    ingest("saved.json", "--cluster", "prod-b")
    (tmp_path / "saved.json").rename(tmp_path / "renamed.json")
    code, out, err = ingest("renamed.json", "--cluster", "prod-b")
    assert (code, out) == (0, "")
    assert "run 1 holds this already; nothing was changed" in err


def test_the_same_for_another_cluster_is_warned_of(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    assert "are known as" not in ingest("saved.json", "--cluster", "prod-b")[2]
    code, _, err = ingest("saved.json", "--cluster", "prod-c")
    assert code == 0
    assert "warning: 2 of these pods are known as those of cluster prod-b: nothing new is counted for them" in err
    assert "run 2: 2 findings, 0 new occurrences" in err


@pytest.mark.parametrize("flags", [(), ("-q",)])
def test_a_file_that_is_cut_is_an_error_and_what_was_read_of_it_a_run(
    ingest: Ingest, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    write(tmp_path / "cut.yaml", as_yaml(list_of(KILLED, LOOPING))[:-100] + b'"')
    code, _, err = ingest("cut.yaml", "--cluster", "prod-b", *flags)
    assert code == 1
    assert re.search(r"not read whole: cut\.yaml: line \d+: ", err)
    assert "run 1 holds this already" in ingest("cut.yaml", "--cluster", "prod-b")[2]


def test_a_file_of_a_must_gather_that_cannot_be_read_is_an_error_too(ingest: Ingest, tmp_path: Path) -> None:
    root = write_must_gather(tmp_path / "gathered", pods=[KILLED, QUIET])
    events = root / "namespaces" / "quiet-tenant" / "core" / "events.yaml"
    events.write_bytes(b"items: [}")
    code, _, err = ingest("gathered", "--cluster", "prod-b", "-q")
    assert code == 1
    assert "quiet-tenant/core/events.yaml: line 1: " in err


def test_what_comes_through_a_pipe_is_read_from_stdin(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(as_yaml(list_of(KILLED)))))
    code, out, _ = ingest("-", "--cluster", "prod-b", "--at", "2026-01-15T12:00:00Z")
    assert code == 0
    assert "prod-b: events not read: standard input holds no list of events" in out


def test_a_must_gather_is_read_with_its_logs(ingest: Ingest, tmp_path: Path) -> None:
    logs = {("shop-tenant", KILLED["metadata"]["name"], "app", True): b"out of memory\n"}
    write_must_gather(
        tmp_path / "gathered", pods=[KILLED], logs=logs, timestamp="2026-01-15 12:00:01.5 +0000 UTC m=+1\n"
    )
    code, out, err = ingest("gathered", "--cluster", "prod-b")
    assert code == 0
    assert "by its timestamp file" in err
    assert "prod-b: namespaces not read: only the namespaces in the folder were looked at" in out
    (log,) = Path("output/logs_and_description_files/prod-b").glob("*__log.txt")
    assert "out of memory\n" in log.read_text()


def test_without_artifacts_no_file_is_written(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    assert ingest("saved.json", "--cluster", "prod-b", "--no-artifacts")[0] == 0
    assert sorted(os.listdir("output")) == ["oomdb.sqlite", "tarballs"]
    assert os.listdir("output/tarballs") == []


def test_a_folder_of_tarballs_that_cannot_be_made_is_said_and_costs_nothing(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    write(tmp_path / "output" / "tarballs", b"no folder")
    code, _, err = ingest("saved.json", "--cluster", "prod-b")
    assert code == 0
    assert "warning: The folder '" in err


def test_a_symlink_that_is_named_is_followed(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    (tmp_path / "link.json").symlink_to("saved.json")
    assert ingest("link.json", "--cluster", "prod-b")[0] == 0


def test_the_time_range_is_counted_back_from_the_capture(ingest: Ingest, tmp_path: Path) -> None:
    write(tmp_path / "saved.json", BOTH)
    code, out, _ = ingest("saved.json", "--cluster", "prod-b", "--time-range", "1h")
    assert code == 0
    assert "OOMKilled  shop" not in out
    assert "CrashLoopBackOff  cart" in out


def test_another_run_of_everything_stays_the_latest(
    ingest: Ingest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "saved.json", BOTH)
    ingest("saved.json", "--cluster", "prod-b")
    assert run(("runs", "--json"), now=NOW) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["origin"], row["scope"], row["started_at"]) == ("ingest", "--cluster prod-b", "2026-01-15T12:00:00Z")


@pytest.mark.parametrize("at", ["2026-01-15T11:58:59Z", "2026-01-15"])
def test_a_time_before_the_newest_in_it_is_refused_and_the_newest_named(
    ingest: Ingest, tmp_path: Path, at: str
) -> None:
    write(tmp_path / "saved.json", BOTH)
    code, out, err = ingest("saved.json", "--cluster", "prod-b", "--at", at)
    assert (code, out) == (2, "")
    assert "its objects tell of 2026-01-15T12:00:00Z" in err
    assert "a time without a zone is UTC" in err
    assert not Path("output").exists()


@pytest.mark.parametrize("at", ["2026-01-15T11:59:00Z", "2026-01-15T12:00:00", "2026-01-16"])
def test_a_time_after_all_in_it_but_for_the_difference_of_clocks_is_believed(
    ingest: Ingest, tmp_path: Path, at: str
) -> None:
    write(tmp_path / "saved.json", BOTH)
    assert ingest("saved.json", "--cluster", "prod-b", "--at", at)[0] == 0


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("saved.json",), 2, "Missing option '--cluster'"),
        (("saved.json", "--cluster", "../x"), 2, "--cluster: '../x' cannot name a cluster"),
        (("saved.json", "--cluster", ""), 2, "--cluster: '' cannot name a cluster"),
        (("saved.json", "--cluster", "c", "--at", "2027-01-01"), 2, "--at 2027-01-01 00:00:00 UTC is yet to come"),
        (("saved.json", "--cluster", "c", "--time-range", "auto"), 2, "--time-range: 'auto' is not a time span"),
        (("no.json", "--cluster", "c"), 1, "'no.json' cannot be read: No such file or directory."),
        (("pipe", "--cluster", "c"), 1, "'pipe' is no ordinary file; what comes through a pipe is read with `-`."),
        (("cut.json", "--cluster", "c"), 1, "cut.json: line 1: Input data was truncated; save it again"),
        (("empty", "--cluster", "c"), 1, "'empty' is no must-gather"),
    ],
)
def test_what_cannot_be_ingested_is_one_line_and_no_database(
    ingest: Ingest, tmp_path: Path, args: tuple[str, ...], code: int, message: str
) -> None:
    write(tmp_path / "saved.json", BOTH)
    write(tmp_path / "cut.json", b'{"kind":"List","items":[')
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found, out, err = ingest(*args)
    assert (found, out) == (code, "")
    assert message in err
    assert not Path("output").exists()
