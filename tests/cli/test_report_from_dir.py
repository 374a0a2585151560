"""`oomdb report --from-dir`: the page of a legacy folder, made of its CSVs alone."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomdb.cli.main import run
from tests.importers.legacy.importing import Row, write_run

CSV = Path(__file__).parents[1] / "data" / "detection-cases" / "oom_results-1d92d70.csv"
NOW = datetime(2026, 2, 1, tzinfo=UTC)
WRITTEN_AT = datetime(2026, 1, 15, 15, tzinfo=UTC).timestamp()

Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a legacy output folder with one run and its page."""
    folder = tmp_path / "legacy"
    folder.mkdir()
    shutil.copy(CSV, folder / "oom_results.csv")
    (folder / "oom_results.html").write_text("<html>the legacy page</html>")
    for path in folder.iterdir():
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))
    return folder


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    def invoke(*args: str) -> tuple[int, str, str]:
        code = run(("report", *args, "--tz", "UTC"), now=NOW)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


def test_the_summary_is_printed_and_the_page_written_and_nothing_else(report: Report, folder: Path) -> None:
    before = (folder / "oom_results.csv").read_bytes()
    code, out, err = report("--from-dir", str(folder))
    assert code == 0, err
    assert "Report for pod: demo\n" in out
    assert "OOMKilled: 1 instance(s) on 15-Jan-2026, Namespace: case-oom-last-state-tenant" in out
    assert out.endswith(f"{folder}/oom_results.html\n")
    assert sorted(path.name for path in folder.iterdir()) == [
        "oom_results.csv",
        "oom_results.html",
        "oom_results_15-Jan-2026_15-00-00-UTC.html",
    ]
    assert b"case-oom-last-state-tenant" in (folder / "oom_results.html").read_bytes()
    assert (folder / "oom_results.csv").read_bytes() == before
    assert (folder / "oom_results.csv").stat().st_mtime == WRITTEN_AT


def test_the_summary_has_all_days_of_the_workloads_of_the_latest_run_and_their_owners(
    report: Report, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    first, other = Row(pod="checkout-7d9c5bf6d-bcdfg", timestamps="2026-01-14T10:00:00Z"), Row(pod="gone-0")
    write_run(folder, first, other, name="oom_results_14-Jan-2026_12-00-00-UTC")
    write_run(folder, Row(pod="checkout-7d9c5bf6d-zz2x4"))
    (tmp_path / "CODEOWNERS").write_text("* @team\n")
    code, out, err = report("--from-dir", str(folder), "-c", str(tmp_path), "--no-glab")
    assert code == 0, err
    assert "Report for pod: gone" not in out
    lines = [line for line in out.splitlines() if line.startswith("OOMKilled")]
    assert [line.partition(", ")[0] for line in lines] == [
        "OOMKilled: 1 instance(s) on 14-Jan-2026",
        "OOMKilled: 1 instance(s) on 15-Jan-2026",
    ]
    assert all(", Namespace: shop (cluster: prod-a) " in line and "@team" in line for line in lines)


def test_no_database_is_made_or_used(report: Report, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no-database").write_text("not SQLite")
    assert report("--from-dir", str(folder), "--db", str(tmp_path / "no-database"))[0] == 0
    assert not (tmp_path / "output").exists()
    assert not list(folder.glob("*.sqlite*"))


def test_done_twice_it_leaves_the_page_alone(report: Report, folder: Path) -> None:
    report("--from-dir", str(folder))
    names = sorted(path.name for path in folder.iterdir())
    code, _, err = report("--from-dir", str(folder))
    assert code == 0
    assert f"{folder}/oom_results.html is up to date" in err
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize(
    ("formats", "written"),
    [(("json",), {"json"}), (("table", "html"), {"table", "html"}), (("all",), {"html", "json", "table"})],
)
def test_other_formats_are_written_when_they_are_asked_for(
    report: Report, folder: Path, formats: tuple[str, ...], written: set[str]
) -> None:
    code, out, _ = report("--from-dir", str(folder), *(part for name in formats for part in ("--format", name)))
    assert code == 0
    assert {line.rpartition(".")[2] for line in out.splitlines() if line.startswith(str(folder))} == written


def test_the_formats_of_the_settings_file_are_those_of_the_database(report: Report, folder: Path) -> None:
    Path("oomdb.toml").write_text('[report]\nformat = ["csv", "table"]\n')
    code, out, _ = report("--from-dir", str(folder))
    assert code == 0
    assert out.endswith("oom_results.html\n")
    assert not (folder / "oom_results.table").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "csv"), "--from-dir reads the CSVs of DIR and never writes them"),
        (("--format", "html", "--stdout"), "--from-dir reports the latest run of DIR into DIR"),
        (("--run", "3"), "--from-dir reports the latest run of DIR into DIR"),
    ],
)
def test_what_cannot_be_had_from_a_folder_is_wrong_usage_and_touches_nothing(
    report: Report, folder: Path, options: tuple[str, ...], message: str
) -> None:
    names = sorted(path.name for path in folder.iterdir())
    code, out, err = report("--from-dir", str(folder), *options)
    assert (code, out) == (2, "")
    assert message in err
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_folder_without_results_is_wrong_usage(report: Report, tmp_path: Path) -> None:
    code, out, err = report("--from-dir", str(tmp_path))
    assert (code, out) == (2, "")
    assert "no oom_results.csv" in err


def test_a_broken_file_is_reported_and_the_others_go_on(report: Report, folder: Path) -> None:
    (folder / "oom_results_14-Jan-2026_15-00-00-UTC.csv").write_bytes(b"no,table\r\n")
    code, out, err = report("--from-dir", str(folder))
    assert code == 1
    assert "oom_results_14-Jan-2026_15-00-00-UTC.csv: " in err
    assert out.endswith("oom_results.html\n")


def test_a_folder_of_broken_files_is_no_report(report: Report, folder: Path) -> None:
    (folder / "oom_results.csv").write_bytes(b"no,table\r\n")
    code, out, err = report("--from-dir", str(folder))
    assert (code, out) == (2, "")
    assert "none of its files could be read as a run; nothing is reported." in err
    assert (folder / "oom_results.html").read_text() == "<html>the legacy page</html>"
