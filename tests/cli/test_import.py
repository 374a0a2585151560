"""`oomdb import` as a user runs it."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.store.database import open_for_writing
from tests.importers.legacy.importing import Row, write_run
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, finding, kill, scan

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def oomdb(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line and return its exit code, stdout and stderr."""

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run([*args, "--tz", "UTC"], now=NOW + timedelta(days=1))
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.fixture
def runs() -> Path:
    """Write two runs of the legacy script, the later one with a bad row."""
    folder = Path("runs")
    write_run(folder, Row(), name="oom_results_14-Jan-2026_12-00-00-UTC", written_at=ago(days=1))
    write_run(folder, Row(), Row(pod="checkout-2"), Row(cluster=""), written_at=NOW)
    return folder


def test_files_become_runs_and_a_summary_says_what_became_of_them(oomdb: Command, runs: Path) -> None:
    code, out, err = oomdb("import", str(runs))
    assert code == 0
    headers, _, imported = out.splitlines()
    assert headers.split() == [
        "Files",
        "Runs",
        "Rows",
        "Bad",
        "rows",
        "New",
        "occurrences",
        "Artifacts",
        "Artifacts",
        "missing",
        "Why",
    ]
    assert imported.split()[:6] == ["2", "imported", "2", "3", "1", "2"]
    assert "runs/oom_results.csv: line 4: no cluster, namespace, pod or type" in err
    origins = json.loads(oomdb("sql", "SELECT origin, scope, tool_version FROM runs", "--json")[1])
    assert origins == [{"origin": "import", "scope": "all", "tool_version": "legacy-11"}] * 2


def test_a_second_import_skips_what_is_known_and_says_why(oomdb: Command, runs: Path) -> None:
    oomdb("import", str(runs))
    code, out, err = oomdb("import", str(runs))
    assert (code, err) == (0, "")
    assert out.splitlines()[2].split()[:4] == ["0", "imported", "0", "0"]
    assert out.splitlines()[3].split() == ["2", "skipped", *"––––––", "imported", "before"]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(oomdb: Command, runs: Path) -> None:
    code, out, _ = oomdb("import", str(runs), "--dry-run")
    assert code == 0
    assert "runs/oom_results.csv" in out
    assert "2026-01-15 15:00:00 UTC  its modification" in out
    assert "would be imported" in out
    assert not Path("output").exists()


def test_a_file_that_cannot_be_read_is_told_and_the_exit_code_says_so(oomdb: Command, runs: Path) -> None:
    (runs / "oom_results_a_b.csv").write_text("no table")
    code, out, err = oomdb("import", str(runs))
    assert code == 1
    assert "runs/oom_results_a_b.csv: line 1: the header has no column 'cluster'" in err
    assert out.splitlines()[-1].split()[:2] == ["1", "failed"]


def test_our_own_exports_are_never_taken_for_runs(oomdb: Command) -> None:
    with open_for_writing("output/oomdb.sqlite") as store:
        record_run(store, scan(finding(kill(ago(hours=1)))))
        record_run(store, scan(), at=NOW + timedelta(hours=1))  # its export has a header only
    oomdb("report", "--run", "1")
    oomdb("report", "--run", "2")
    assert len(list(Path("output").glob("oom_results*.csv"))) == 2
    code, out, _ = oomdb("import", "output")
    assert code == 0
    assert out.splitlines()[3].split()[:2] == ["2", "skipped"]
    assert out.splitlines()[3].endswith("oomdb wrote them itself")


def test_an_export_without_rows_is_no_run_either_where_its_copy_lost_its_time(oomdb: Command, tmp_path: Path) -> None:
    write_run(Path("runs"), reached=["prod-a"], written_at=NOW)
    oomdb("import", "runs")
    oomdb("report")
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("oom_results.csv", "oom_results.json"):
        shutil.copyfile(Path("output") / name, copied / name)
    code, out, _ = oomdb("import", str(copied))
    assert (code, out.rstrip().endswith("oomdb wrote them itself")) == (0, True)
    assert len(json.loads(oomdb("runs", "--json")[1])) == 1


def test_a_path_that_is_not_there_keeps_no_other_from_being_imported(oomdb: Command, runs: Path) -> None:
    code, out, err = oomdb("import", "not-there", str(runs))
    assert code == 1
    assert "not-there: there is no such file or folder" in err
    assert out.splitlines()[2].split()[:2] == ["2", "imported"]
    assert oomdb("import", "not-there")[0] == 2


def test_a_folder_that_lost_its_times_is_warned_of(oomdb: Command, runs: Path) -> None:
    Path("copied").mkdir()
    for path in runs.iterdir():
        shutil.copyfile(path, Path("copied") / path.name)
    _, _, err = oomdb("import", "copied", "--dry-run")
    assert "warning: copied: 2 of its 2 files share one minute of modification" in err
    assert "1 can be dated by nothing else: oom_results.csv." in err


def test_quiet_says_errors_only(oomdb: Command, runs: Path) -> None:
    (runs / "oom_results_a_b.csv").write_text("no table")
    code, out, err = oomdb("import", str(runs), "-q")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1


def test_artifacts_are_copied_when_it_is_asked_for(oomdb: Command) -> None:
    name = "shop__checkout-1__20260115T145900Z__desc.txt"
    backup = Path("backup/prod-a") / name
    backup.parent.mkdir(parents=True)
    backup.write_text("Name: checkout-1\n")
    write_run(Path("runs"), Row(description_file=f"/private/tmp/prod-a/{name}"))
    code, _, _ = oomdb("import", "runs", "--artifacts", "backup", "--copy-artifacts")
    assert code == 0
    assert Path("output/logs_and_description_files/prod-a", name).read_text() == "Name: checkout-1\n"


def test_a_path_that_is_not_there_is_a_usage_error(oomdb: Command) -> None:
    code, _, err = oomdb("import", "nowhere")
    assert code == 2
    assert "nowhere: there is no such file or folder." in err
