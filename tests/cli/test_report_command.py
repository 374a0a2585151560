"""`oomdb report` as a user runs it."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.store.database import open_for_writing
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, finding, kill, scan

Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Run `oomdb report` and return its exit code, stdout and stderr."""

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run(["report", "--tz", "UTC", *args], now=NOW)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.fixture
def history() -> None:
    """Record a run over all contexts, then one of the current context, then one that read nothing."""
    with open_for_writing("output/oomdb.sqlite") as store:
        down = scan(cluster="prod-b", status="unreachable", error="connection refused")
        record_run(store, scan(finding(kill(ago(hours=1)))), down)
        record_run(store, scan(finding(kill(ago(hours=1)), pod="laptop-1")), at=NOW + timedelta(1), scope="--current")
        record_run(store, scan(status="unreachable"), at=NOW + timedelta(days=2))


@pytest.mark.usefixtures("history")
def test_all_files_are_written_and_named_on_stdout(report: Report) -> None:
    code, out, err = report()
    assert code == 0
    assert out.splitlines() == [f"output/oom_results.{name}" for name in ("html", "csv", "json", "table")]
    assert "run 1 of 2026-01-15 15:00:00 UTC (incomplete): 1 rows\n" in err
    assert "prod-b: unreachable: connection refused\n" in err
    assert "run 3 of 2026-01-17 15:00:00 UTC is newer, but could read no cluster\n" in err
    assert "is newer, but of another scope (--current): --run 2 shows it\n" in err


@pytest.mark.usefixtures("history")
def test_backups_are_announced_and_what_would_not_change_is_left(report: Report) -> None:
    report()
    _, _, err = report()
    assert "Backed up" not in err
    assert "output/oom_results.csv is up to date\n" in err
    _, _, err = report("--run", "2")
    assert "Backed up 4 existing file(s):\n" in err
    backups = sorted(path.name for path in Path("output").glob("oom_results_*"))
    assert len(backups) == 4
    assert all(f"  → {name}\n" in err for name in backups)


@pytest.mark.usefixtures("history")
def test_no_backup_replaces_the_old_files(report: Report) -> None:
    report()
    assert "Backed up" not in report("--run", "2", "--no-backup")[2]
    assert not list(Path("output").glob("oom_results_*"))


@pytest.mark.usefixtures("history")
def test_only_the_formats_that_are_named_are_written(report: Report) -> None:
    _, out, _ = report("--format", "json", "--format", "csv", "--format", "json")
    assert out.splitlines() == ["output/oom_results.json", "output/oom_results.csv"]
    assert not Path("output/oom_results.table").exists()


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("name", ["html", "csv", "json", "table"])
def test_stdout_is_what_the_file_would_be_and_nothing_is_written(report: Report, name: str) -> None:
    code, out, _ = report("--format", name, "--stdout")
    assert code == 0
    assert not list(Path("output").glob("oom_results*"))
    report()
    assert out == Path(f"output/oom_results.{name}").read_bytes().decode()


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("formats", [(), ("--format", "all"), ("--format", "csv", "--format", "json")])
def test_stdout_wants_exactly_one_format(report: Report, formats: tuple[str, ...]) -> None:
    code, out, err = report("--stdout", *formats)
    assert (code, out) == (2, "")
    assert "--stdout takes exactly one --format" in err


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("3", "Run 3 could read no cluster: there is nothing to report."),
        ("99", "There is no run 99; `oomdb runs` lists them."),
        ("0", "There is no run 0; `oomdb runs` lists them."),
        ("x", "'x' is neither a run's number nor 'latest'"),
    ],
)
def test_a_run_that_cannot_be_reported_is_wrong_usage_and_touches_nothing(
    report: Report, wanted: str, message: str
) -> None:
    code, out, err = report("--run", wanted)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(Path("output").glob("oom_results*"))


def test_without_a_database_none_is_made(report: Report) -> None:
    code, out, err = report()
    assert (code, out) == (1, "")
    assert "output/oomdb.sqlite: there is no database; `oomdb collect` makes one" in err
    assert not Path("output").exists()


@pytest.mark.usefixtures("history")
def test_the_files_lie_in_the_output_folder_and_paths_inside_are_absolute(report: Report, tmp_path: Path) -> None:
    report("--db", "output/oomdb.sqlite", "--output", "elsewhere", "--format", "json")
    document = json.loads((tmp_path / "elsewhere" / "oom_results.json").read_text())
    assert document["_metadata"]["clusters"]["prod-b"]["status"] == "unreachable"
    assert document["prod-a"]["shop"]["checkout-1"]["oom_timestamps"] == ["2026-01-15T14:00:00Z"]


@pytest.mark.usefixtures("history")
def test_the_page_is_as_it_is_wished(report: Report, tmp_path: Path) -> None:
    (tmp_path / "team.css").write_text("h1 { color: teal }")
    options = ("--plot-range", "7d", "--theme", str(tmp_path / "team.css"), "--team-title", "Team Blue", "--top", "1")
    code, out, _ = report("--format", "html", "--stdout", *options)
    assert code == 0
    assert "Plot range: 7d" in out
    assert "h1 { color: teal }" in out
    assert '<p class="team">Team Blue</p>' in out


@pytest.mark.usefixtures("history")
def test_the_settings_file_and_the_environment_head_the_page(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "oomdb.toml").write_text('[defaults]\nteam-title = "Team Blue"\n')
    monkeypatch.setenv("OOMDB_THEME", "dark")
    _, out, _ = report("--config", str(tmp_path / "oomdb.toml"), "--format", "html", "--stdout")
    assert '<p class="team">Team Blue</p>' in out
    assert '<html lang="en" data-theme="dark">' in out


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--theme", "pink"), "'pink' is no theme; use light, dark, auto, or a file that ends in .css."),
        (("--plot-range", "2 months"), "'2 months' is not a time span"),
        (("--top", "0"), "0 is not in the range x>=1"),
        (("--open", "--format", "csv"), "--open shows the page: add --format html, or leave --format out."),
        (("--open", "--stdout", "--format", "html"), "--open shows the file that --stdout does not write"),
    ],
)
def test_a_wrong_wish_is_wrong_usage_and_touches_nothing(
    report: Report, options: tuple[str, ...], message: str
) -> None:
    code, out, err = report(*options)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(Path("output").glob("oom_results*"))
