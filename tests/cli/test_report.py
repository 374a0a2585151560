"""`oomdb demo`, then `report` and `summary` on what it made, as a user runs them."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.reports.files import DEFAULT_FORMATS
from oomdb.store.checks import check_artifacts, check_database
from oomdb.store.database import open_for_reading, open_for_writing
from oomdb.store.runs import RunStart, begin_run, finish_run

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "output"
    assert run(["demo", "--days", "7", "--output", str(folder), "-q"], now=NOW) == 0
    return folder


@pytest.fixture
def ask(demo: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def invoke(*args: str) -> tuple[int, str, str]:
        code = run([*args, "--output", str(demo), "--tz", "UTC"], now=NOW)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return invoke


def test_the_demo_leaves_a_history_with_an_outage_and_a_report(demo: Path) -> None:
    with open_for_reading(str(demo / "oomdb.sqlite")) as store:
        assert check_database(store) == []
        assert check_artifacts(store, demo, with_contents=True) == []
        with store.reading() as conn:
            runs = conn.exec_driver_sql("SELECT status, origin, count(*) FROM runs GROUP BY 1, 2").fetchall()
            down = conn.exec_driver_sql(
                "SELECT DISTINCT cluster FROM run_clusters WHERE status = 'unreachable'"
            ).fetchall()
    assert {(row.status, row.origin) for row in runs} == {("complete", "demo"), ("partial", "demo")}
    assert sum(row[2] for row in runs) == 21
    assert [tuple(row) for row in down] == [("stone-prod-p01",)]
    assert list((demo / "tarballs").iterdir()) == []
    assert {path.name for path in demo.glob("oom_results*")} == {f"oom_results.{name}" for name in DEFAULT_FORMATS}


def test_the_demo_keeps_away_from_real_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as store:
        start = RunStart(
            started_at=NOW,
            origin="collect",
            time_range="1d",
            lookback=NOW - NOW,
            scope="all",
            scope_hash="all",
            tool_version="0.1.0",
            arguments="",
        )
        finish_run(store, begin_run(store, start, now=NOW), now=NOW)
    assert run(["demo", "--output", str(tmp_path)]) == 1
    assert "holds real runs; give the demo a folder of its own" in capsys.readouterr().err


def test_a_second_demo_is_not_told_on_top_of_the_first(ask: Ask, demo: Path) -> None:
    before = ask("runs", "--json")
    code, _, told = ask("demo", "--days", "7")
    assert code == 1
    assert f"{demo / 'oomdb.sqlite'} holds a demo already: `oomdb findings --db" in told
    assert ask("runs", "--json") == before


def test_the_exports_are_of_the_latest_run_and_name_files_that_are_there(demo: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((demo / "oom_results.csv").read_text(), newline="")))
    document = json.loads((demo / "oom_results.json").read_bytes())
    metadata = document.pop("_metadata")
    assert metadata["run"] == 21
    assert {row["pod"] for row in rows} == {pod for it in document.values() for ns in it.values() for pod in ns}
    named = [row[column] for row in rows for column in ("description_file", "pod_log_file") if row[column]]
    assert named
    assert all(Path(name).is_absolute() and Path(name).stat().st_size > 0 for name in named)


def test_one_format_can_be_printed(ask: Ask, demo: Path) -> None:
    code, out, told = ask("report", "--format", "csv", "--stdout")
    assert code == 0
    assert out.replace("\r\n", "\n") == (demo / "oom_results.csv").read_bytes().decode().replace("\r\n", "\n")
    assert "run 21 of 2026-01-15 12:00:00 UTC" in told
    assert ask("report", "--stdout")[0] == 2
    assert ask("report", "--format", "xml")[0] == 2


def test_another_run_replaces_the_files_and_keeps_the_old_ones(ask: Ask, demo: Path) -> None:
    before = (demo / "oom_results.csv").read_bytes()
    code, out, told = ask("report", "--run", "3", "--format", "csv")
    assert code == 0
    assert out == f"{demo / 'oom_results.csv'}\n"
    assert "Backed up 1 existing file(s):" in told
    (backup,) = demo.glob("oom_results_*.csv")
    assert f"  → {backup.name}" in told
    assert backup.read_bytes() == before
    ask("report", "--format", "csv", "--no-backup")
    assert (demo / "oom_results.csv").read_bytes() == before
    assert list(demo.glob("oom_results_*.csv")) == [backup]
    assert "is up to date" in ask("report", "--format", "csv")[2]


def test_a_run_that_is_not_complete_says_what_it_could_not_read(ask: Ask) -> None:
    runs = json.loads(ask("runs", "--json")[1])
    partial = next(row["run"] for row in runs if row["status"] == "partial")
    _, _, told = ask("report", "--run", str(partial), "--format", "json", "--stdout")
    assert "stone-prod-p01: unreachable: https://127.0.0.1:" in told


def test_the_summary_has_a_block_for_each_pod_of_the_run(ask: Ask) -> None:
    _, out, _ = ask("summary")
    pods = [line.removeprefix("Report for pod: ") for line in out.splitlines() if line.startswith("Report")]
    found = {row["pod"] for row in json.loads(ask("findings", "--json")[1])}
    assert pods == sorted(found)


def test_the_summary_of_a_text_spans_the_history(ask: Ask) -> None:
    code, out, _ = ask("summary", "--pod", "metrics-store")
    assert code == 0
    kills = json.loads(ask("occurrences", "--pod", "metrics-store", "--json")[1])
    lines = [line for line in out.splitlines() if line.startswith("OOMKilled: ")]
    assert sum(int(line.split()[1]) for line in lines) == len(kills)
    assert "CrashLoopBackOff: 0 instances (no occurrences in the history)" in out
    assert ask("summary", "--pod", "x", "--run", "3")[0] == 2
