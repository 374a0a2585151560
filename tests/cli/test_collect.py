"""`oomdb collect` as a user runs it, against simulated clusters over HTTPS."""

import json
import os
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from oomdb.cli.main import run
from oomdb.reports.files import DEFAULT_FORMATS
from oomdb.simulator import objects
from oomdb.simulator.faults import Fault, Hang, Refuse
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig

from .fleet import Fleet


def test_a_collect_shows_connectivity_coverage_and_findings_in_this_order(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args()) == 0
    shown, told = capsys.readouterr()
    titles = [line for line in shown.splitlines() if line in ("Connectivity", "Coverage", "Findings")]
    assert titles == ["Connectivity", "Coverage", "Findings"]
    assert "  ✓ kflux-prd-rh02  v1.31.6\n" in shown
    assert "      OOMKilled  shop-7f6d9c5b8-x2x7k [app]  " in shown
    assert "namespaces skipped: 1 by name test-*" in shown
    assert re.search(r"^run=1 clusters=3/3 findings=3 new_occurrences=3 seconds=\d+ exit=0$", told, re.MULTILINE)


def test_quiet_is_the_log_line_alone(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("-q")) == 0
    shown, told = capsys.readouterr()
    assert shown == ""
    assert re.fullmatch(r"run=1 clusters=3/3 findings=3 new_occurrences=3 seconds=\d+ exit=0\n", told)


def test_quiet_still_says_which_cluster_could_not_be_read_and_why(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.servers["stone-prod-p01"].stop()
    assert run(fleet.args("-q")) == 0
    shown, told = capsys.readouterr()
    assert shown == ""
    why, last = told.splitlines()
    assert re.search(r"^\S+ stone-prod-p01: unreachable: https://\S+ connection refused; ", why)
    assert last.startswith("run=1 clusters=2/3 ")


def test_verbose_names_the_namespaces_that_are_skipped(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    run(fleet.args("-v"))
    assert "kflux-prd-rh02: namespace test-x skipped: name test-*" in capsys.readouterr().err


def test_one_cluster_down_is_said_and_only_strict_makes_it_an_error(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.servers["stone-prod-p01"].stop()
    assert run(fleet.args()) == 0
    shown, told = capsys.readouterr()
    assert "  ✗ stone-prod-p01  https://127.0.0.1:" in shown
    assert "connection refused" in shown
    assert "  stone-prod-p01: not read (unreachable)" in shown
    assert "clusters=2/3" in told
    assert run(fleet.args("--strict")) == 3
    assert fleet.rows("SELECT status FROM runs") == [("partial",), ("partial",)]


def test_all_clusters_down_is_exit_1_and_leaves_the_exports_alone(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args("--report")) == 0
    before = {path.name: path.read_bytes() for path in fleet.output.glob("oom_results*")}
    assert set(before) == {f"oom_results.{name}" for name in DEFAULT_FORMATS}
    for server in fleet.servers.values():
        server.stop()
    assert run(fleet.args("--report")) == 1
    assert "no cluster could be read: the exports were left as they are" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in fleet.output.glob("oom_results*")} == before
    assert fleet.rows("SELECT status, count(*) FROM run_clusters WHERE run_id = 2 GROUP BY 1") == [("unreachable", 3)]


def test_contexts_are_matched_by_a_part_of_their_name(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("--contexts", "RH02,p01")) == 0
    told = capsys.readouterr().err
    assert "Matched 'RH02' -> 'default/api-kflux-prd-rh02-0fk9-p1-openshiftapps-com:6443/someone'" in told
    assert fleet.rows("SELECT cluster FROM run_clusters ORDER BY 1") == [("kflux-prd-rh02",), ("stone-prod-p01",)]
    assert fleet.rows("SELECT scope FROM runs") == [("--contexts RH02,p01",)]


def test_a_text_that_fits_several_clusters_is_an_error_that_lists_them(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args("--contexts", "kflux")) == 2
    told = capsys.readouterr().err
    assert "kflux-prd-rh02" in told
    assert "kflux-prd-rh03" in told


def test_current_is_the_current_context_alone(fleet: Fleet) -> None:
    assert run(fleet.args("--current", "-q")) == 0
    assert fleet.rows("SELECT cluster FROM run_clusters") == [("kflux-prd-rh02",)]


@pytest.mark.parametrize("flags", [["--contexts", ""], ["-n", " , "]])
def test_a_selection_of_nothing_is_not_everything(fleet: Fleet, flags: list[str]) -> None:
    assert run(fleet.args(*flags)) == 2
    assert not fleet.output.exists()


def test_list_namespaces_scans_nothing(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("--list-namespaces", "--include-ephemeral", "--current")) == 0
    assert capsys.readouterr().out == "kflux-prd-rh02\tshop-tenant\nkflux-prd-rh02\ttest-x\n"
    assert not fleet.output.exists()


@pytest.mark.parametrize("span", ["yesterday", "1w", "0d", "-1d", "1 d"])
def test_a_time_range_that_is_none_is_a_usage_error_that_says_the_format(
    fleet: Fleet, span: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args(f"--time-range={span}")) == 2
    told = capsys.readouterr().err
    assert "use a number and a unit: 30s, 15m (minutes), 6h, 1d, 7d, 1M" in told
    assert "Or say `auto`: since each cluster's last complete scan." in told


def test_an_automatic_time_range_says_what_it_cannot_know_and_fails_no_first_run(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args("--time-range", "auto", "--current", "--strict")) == 0
    shown = capsys.readouterr().out
    assert "  kflux-prd-rh02: never read completely before; 7 days were looked back over, to 20" in shown
    assert run(fleet.args("--time-range", "auto", "--strict")) == 0
    shown = capsys.readouterr().out
    assert "  kflux-prd-rh03: never read completely before; " in shown
    assert run(fleet.args("--time-range", " auto ", "--strict")) == 0
    assert "never read completely before" not in capsys.readouterr().out
    assert fleet.rows("SELECT time_range, scope, lookback_seconds < 1000, status FROM runs ORDER BY id") == [
        ("auto", "--current", 0, "complete"),
        ("auto", "all", 0, "complete"),
        ("auto", "all", 1, "complete"),
    ]
    assert run(["coverage", "--gaps", "--run", "1", "--output", str(fleet.output)]) == 0
    assert "time-range" in capsys.readouterr().out


def test_a_mistyped_namespace_is_told_also_quietly(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("--current", "-q", "-n", "shp-tenant")) == 0
    told = capsys.readouterr().err
    assert "kflux-prd-rh02: there is no namespace 'shp-tenant' in this cluster; did you mean shop-tenant?\n" in told


def test_a_pattern_is_no_name_of_a_namespace(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("--current", "-n", "a-tenant,shop-*")) == 2
    told = capsys.readouterr().err
    assert (
        "--namespace 'shop-*' is a pattern: name each namespace whole, or let `oomdb collect --include-ns RE`" in told
    )
    assert not fleet.output.exists()


def test_a_filter_that_leaves_nothing_to_look_at_is_told_also_quietly_and_is_incomplete(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fleet.args("--current", "-q", "--strict", "--include-ns", "nosuchxyz")) == 3
    told = capsys.readouterr().err
    assert "kflux-prd-rh02: nothing was in scope: all 2 namespaces were left out (2 by --include-ns)" in told
    assert run(fleet.args("--current", "--include-ns", "nosuchxyz")) == 0
    assert "nothing was in scope" in capsys.readouterr().out


def test_what_is_suspected_can_be_asked_for(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    ended = objects.terminated("Error", at=datetime.now(UTC) - timedelta(hours=1), exit_code=137)
    container = objects.Container(restart_count=1, last_state=ended)
    odd = objects.pod("odd-1", namespace="shop-tenant", containers=[container])
    fleet.servers["kflux-prd-rh02"].cluster.replace(pods=[odd])
    assert run(fleet.args("--current", "--no-artifacts")) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "which are suspected: " in line]
    (query,) = re.findall('"(.*)"', line)
    assert run(["sql", query, "--output", str(fleet.output), "--json"]) == 0
    (suspect,) = json.loads(capsys.readouterr().out)
    assert (suspect["pod"], suspect["class"]) == ("odd-1", "exit-137")


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_where_everything_is_forbidden_the_commands_that_help_are_named(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], quiet: list[str]
) -> None:
    fleet.servers["kflux-prd-rh02"].faults.add(Fault(match="/(pods|events|namespaces|projects)", action=Refuse(403)))
    assert run(fleet.args("--current", *quiet)) == 1
    told = capsys.readouterr().err
    assert "`oomdb doctor` names the rights that lack, `oomdb rbac` prints a role with them\n" in told


def test_flags_of_old_jobs_are_taken(fleet: Fleet) -> None:
    assert run(fleet.args("--no-tarballs", "--ns-batch-size", "20", "--ns-workers", "3", "--batch", "4", "-q")) == 0


def test_a_second_collect_of_the_same_scope_does_nothing_while_one_runs(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.servers["kflux-prd-rh02"].faults.add(Fault(match="/pods", action=Hang()))
    with fleet.start("-q", "--timeout", "30") as first:
        try:
            fleet.wait_for_run()
            assert run(fleet.args()) == 0
            told = capsys.readouterr().err
            assert f"(run 1, process {first.pid} on " in told
            assert "already running since" in told
            assert fleet.rows("SELECT count(*) FROM runs") == [(1,)]
            assert run(fleet.args("--current", "--no-artifacts", "-q", "--include-ns", "nothing")) != 2
            assert fleet.rows("SELECT count(*) FROM runs") == [(2,)]
        finally:
            first.kill()


def test_a_killed_collect_is_closed_by_the_next_one(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.servers["kflux-prd-rh02"].faults.add(Fault(match="/pods", action=Hang()))
    with fleet.start("-q", "--timeout", "30") as process:
        fleet.wait_for_run()
        process.kill()
    fleet.servers["kflux-prd-rh02"].faults.clear()
    with closing(sqlite3.connect(fleet.output / "oomdb.sqlite")) as conn, conn:
        conn.execute("UPDATE runs SET heartbeat_at = datetime(heartbeat_at, '-3 minutes')")
    assert run(fleet.args()) == 0
    shown, told = capsys.readouterr()
    assert "run 1 was cut short: its process is gone; closed" in told
    assert fleet.rows("SELECT status IN ('partial', 'aborted') FROM runs ORDER BY id") == [(1,), (0,)], shown


def test_database_folders_and_files_are_not_readable_by_others(fleet: Fleet) -> None:
    before = os.umask(0)
    try:
        run(fleet.args("-q", "--report"))
    finally:
        os.umask(before)
    modes = {
        path.relative_to(fleet.output).parts[0]: path.stat().st_mode & 0o777
        for path in fleet.output.rglob("*")
        if path.is_file()
    }
    assert modes.pop("oomdb.sqlite") == 0o600
    assert set(modes.values()) == {0o640}


def test_a_context_that_takes_over_is_named_with_its_warnings(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    server = fleet.servers["stone-prod-p01"]
    old = ContextEntry(context="old", server=server.url, authority_pem=server.authority_pem, token="expired")
    kubeconfig = write_kubeconfig(fleet.folder / "kubeconfig", [old, replace(old, context="new", token="token")])
    document = yaml.safe_load(kubeconfig.read_text())
    document["clusters"][1]["cluster"] = {"server": server.url, "insecure-skip-tls-verify": True}
    kubeconfig.write_text(yaml.safe_dump(document))
    assert run(fleet.args()) == 0
    told = capsys.readouterr().err
    assert "'old' is used; the same server: new" in told
    assert "'new' was used: the server refused 'old'" in told
    assert "warning: context 'new': insecure-skip-tls-verify is set in" in told


def test_a_new_database_beside_runs_of_the_legacy_script_names_the_import(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.output.mkdir()
    (fleet.output / "oom_results_13-Jan-2026_12-10-22-EST.csv").write_text("cluster\r\n")
    assert run(fleet.args()) == 0
    told = "1 file(s) such as oom_results_13-Jan-2026_12-10-22-EST.csv are there: `oomdb import --output "
    assert f"{told}{fleet.output} {fleet.output}` takes" in capsys.readouterr().err
    assert run(fleet.args()) == 0
    assert "oomdb import" not in capsys.readouterr().err
    # the first versions wrote to the working folder; a database elsewhere is the one to fill
    Path("oom_results.csv").write_text("cluster\r\n")
    assert run(fleet.args("--db", "elsewhere.sqlite")) == 0
    assert f"`oomdb import --output {fleet.output} --db elsewhere.sqlite {fleet.output} .`" in capsys.readouterr().err
