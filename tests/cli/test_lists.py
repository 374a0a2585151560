"""The lists, SQL, schema and database commands as a user runs them, on a small history."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import oomdb
from oomdb.cli.main import run
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED, ClusterScan, Finding, Gap, Sighting, WorkloadRef
from oomdb.store.database import open_for_writing
from oomdb.store.runs import RunStart, begin_run, finish_run
from oomdb.store.schema import REVISION
from oomdb.store.writer import record_scan
from tests.reports.recording import record_run

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = "=cmd|'/c calc'!A1\n\x1b[31m<script>"

Ask = Callable[..., tuple[int, str, str]]


def finding(pod: str, type_: str = OOM_KILLED, *, at: datetime = NOON, namespace: str = "shop-tenant") -> Finding:
    sighting = Sighting(
        type=type_,
        container="app",
        at=at,
        time_quality="exact",
        source="oc_get_pods",
        evidence="waiting" if type_ == CRASH_LOOP_BACK_OFF else "terminated",
        is_loop=type_ == CRASH_LOOP_BACK_OFF,
        in_progress=type_ == CRASH_LOOP_BACK_OFF,
        container_id=f"cri-o://{pod}{at}",
        exit_code=137,
        restart_count=3,
    )
    return Finding(
        namespace=namespace,
        pod=pod,
        pod_uid=f"uid-{pod}",
        container="app",
        type=type_,
        sightings=(sighting,),
        workload=WorkloadRef(kind="Deployment", name=pod.split("-")[0]),
        application=HOSTILE if pod.startswith("odd") else "shop",
        memory_limit_bytes=2**27,
    )


def scan(cluster: str, *findings: Finding, **more: Any) -> ClusterScan:
    given = {"status": "complete", "pods_seen": 10, **more}
    return ClusterScan(cluster=cluster, context=cluster, server=f"https://{cluster}", findings=findings, **given)


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Three runs: the second cannot read cluster b, the third is over one context only."""
    database = tmp_path / "oomdb.sqlite"
    runs = (
        (
            NOON,
            "all",
            [scan("a", finding("shop-1"), finding("loop-1", CRASH_LOOP_BACK_OFF)), scan("b", finding("odd-1"))],
        ),
        (
            NOON + HOUR,
            "all",
            [
                scan(
                    "a",
                    finding("shop-1"),
                    finding("shop-2", at=NOON + HOUR / 2, namespace="api-tenant"),
                    status="partial",
                    gaps=(Gap(namespace="x", source="pods", status="forbidden", message="no"),),
                ),
                scan("b", status="unreachable", pods_seen=None, error="refused"),
            ],
        ),
        (NOON + 2 * HOUR, "--current", [scan("a", finding("shop-3", at=NOON + HOUR))]),
    )
    with open_for_writing(str(database)) as store:
        for at, scope, scans in runs:
            start = RunStart(
                started_at=at,
                origin="collect",
                time_range="1d",
                lookback=timedelta(days=1),
                scope=scope,
                scope_hash=scope,
                tool_version="0.1.0",
                arguments="oomdb collect",
            )
            run_id = begin_run(store, start, now=at)
            for part in scans:
                record_scan(store, run_id, part, seen_at=at)
            finish_run(store, run_id, now=at)

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run([*args, "--db", str(database), "--tz", "UTC"], now=NOON + 3 * HOUR)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return invoke


def rows(ask: Ask, *args: str) -> list[dict[str, Any]]:
    code, out, _ = ask(*args, "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def pods(found: list[dict[str, Any]]) -> list[str]:
    return [row["pod"] for row in found]


def test_runs_are_listed_newest_first_with_what_they_read_and_found(ask: Ask) -> None:
    found = rows(ask, "runs")
    keys = ("run", "started_at", "status", "scope", "clusters_read", "clusters", "rows", "new_occurrences")
    assert [tuple(row[key] for key in keys) for row in found] == [
        (3, "2026-01-15T14:00:00Z", "complete", "--current", 1, 1, 1, 1),
        (2, "2026-01-15T13:00:00Z", "partial", "all", 1, 2, 2, 1),
        (1, "2026-01-15T12:00:00Z", "complete", "all", 2, 2, 3, 3),
    ]
    assert [row["run"] for row in rows(ask, "runs", "--since", "2h", "--until", "2h")] == [2]


def test_a_run_is_listed_alone_also_while_it_goes_on(ask: Ask, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "oomdb.sqlite")) as conn, conn:
        conn.execute("UPDATE runs SET status = 'running', finished_at = NULL WHERE id = 3")
    assert [(row["run"], row["status"], row["finished_at"]) for row in rows(ask, "runs", "--run", "3")] == [
        (3, "running", None)
    ]
    assert [row["run"] for row in rows(ask, "runs", "--run", "latest")] == [2]
    assert ask("runs", "--run", "99")[0] == 2


def test_findings_are_those_of_the_latest_run_over_all_contexts(ask: Ask) -> None:
    found = rows(ask, "findings")
    assert [(row["run"], row["namespace"], row["pod"], row["pod_gone"]) for row in found] == [
        (2, "api-tenant", "shop-2", "no"),
        (2, "shop-tenant", "shop-1", "no"),
    ]


def test_findings_of_a_run_say_what_it_could_not_read_and_which_run_is_newer(ask: Ask) -> None:
    told = ask("findings")[2]
    assert "Z a: partial: 1 gap\n" in told
    assert "Z what could not be read: oomdb coverage --gaps --run 2\n" in told
    assert "Z b: unreachable: refused\n" in told
    assert "run 3 of 2026-01-15 14:00:00 UTC is newer, but of another scope (--current): --run 3 shows it\n" in told
    assert ask("findings", "--run", "3")[2] == ""
    assert ask("findings", "--since", "1d")[2] == ""
    assert ask("findings", "-q")[2] == ""


def test_an_empty_table_says_so_and_other_formats_are_just_empty(ask: Ask) -> None:
    _, out, told = ask("occurrences", "--since", "1m")
    assert out.startswith("occurred_at ")
    assert told.endswith("Z 0 rows\n")
    assert ask("occurrences", "--since", "1m", "-q")[2] == ""
    assert ask("occurrences", "--since", "1m", "--json") == (0, "[]\n", "")
    assert ask("occurrences", "--since", "1m", "--nl") == (0, "", "")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--run", "3"], ["shop-3"]),
        (["--run", "1"], ["shop-1", "odd-1", "loop-1"]),
        (["--since", "1d"], ["shop-3", "shop-2", "shop-1", "shop-1", "odd-1", "loop-1"]),
        (["--run", "1", "--cluster", "b"], ["odd-1"]),
        (["--since", "1d", "--namespace", "api-*"], ["shop-2"]),
        (["--since", "1d", "--pod", "hop-3"], ["shop-3"]),
        (["--since", "1d", "--pod", "nothing"], []),
        (["--since", "1d", "--type", "crashloopbackoff"], ["loop-1"]),
        (["--since", "1d", "--workload", "loop", "--workload", "odd"], ["odd-1", "loop-1"]),
        (["--since", "1d", "--application", HOSTILE], ["odd-1"]),
        (["--since", "1d", "--limit", "2"], ["shop-3", "shop-2"]),
    ],
)
def test_findings_are_narrowed_by_the_filters(ask: Ask, args: list[str], expected: list[str]) -> None:
    assert pods(rows(ask, "findings", *args)) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["shop-3", "shop-2", "loop-1", "odd-1", "shop-1"]),
        (["--since", "2h"], ["shop-3"]),
        (["--until", "3h"], ["loop-1", "odd-1", "shop-1"]),
        (["--run", "2"], ["shop-2", "shop-1"]),
        (["--run", "latest", "--pod", "2"], ["shop-2"]),
        (["--type", "OOMKilled", "--cluster", "b"], ["odd-1"]),
    ],
)
def test_occurrences_are_listed_once_newest_first(ask: Ask, args: list[str], expected: list[str]) -> None:
    found = pods(rows(ask, "occurrences", *args))
    assert sorted(found) == sorted(expected)
    assert found[: len(found) - 3] == expected[: len(expected) - 3]


def test_coverage_tells_what_could_not_be_looked_at(ask: Ask) -> None:
    found = rows(ask, "coverage")
    assert [
        (row["run"], row["cluster"], row["status"], row["pods_seen"], row["gaps"], row["error"]) for row in found
    ] == [
        (2, "a", "partial", 10, 1, ""),
        (2, "b", "unreachable", None, 0, "refused"),
    ]
    assert [(row["namespace"], row["source"], row["message"]) for row in rows(ask, "coverage", "--gaps")] == [
        ("x", "pods", "no"),
        ("", "cluster", "refused"),
    ]


def test_a_cluster_that_a_run_did_not_read_is_named_with_its_last_time(ask: Ask) -> None:
    _, _, told = ask("coverage")
    assert "b: not read by run 2; last read 2026-01-15 12:00:00 UTC" in told
    _, _, told = ask("coverage", "--run", "3")
    assert "b: not read by run 3; last read 2026-01-15 12:00:00 UTC" in told
    assert "not read" not in ask("coverage", "--cluster", "a*")[2]


def test_coverage_names_the_newer_run_that_is_not_the_latest(ask: Ask) -> None:
    assert "run 3 of 2026-01-15 14:00:00 UTC is newer, but of another scope" in ask("coverage")[2]
    assert "newer" not in ask("coverage", "--run", "2")[2]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--cluster", "c"], "no cluster like 'c' is known; none of the 2 known ones is like it."),
        (["-n", "shop"], "no namespace like 'shop' is known; did you mean shop-tenant?"),
        (["-n", "web,api-tennt*"], "no namespace like 'api-tennt*' is known; did you mean api-tenant?"),
        (["--type", "oom"], "no type like 'oom' is known; did you mean OOMKilled?"),
        (["--pod", "sohp"], "no pod like 'sohp' is known; did you mean shop?"),
        (["--pod", "nothing"], "no pod like 'nothing' is known; none of the 5 known ones is like it."),
        (["--workload", "lop"], "no workload like 'lop' is known; did you mean loop?"),
        (["--application", "store"], "no application like 'store' is known; none of the 2 known ones is like it."),
        (["--component", "x"], "no component like 'x' is known; there is none."),
    ],
)
@pytest.mark.parametrize("command", ["findings", "occurrences", "trends"])
def test_a_filter_that_fits_nothing_known_does_not_read_as_no_kills(
    ask: Ask, command: str, args: list[str], told: str
) -> None:
    nowhere = [] if command == "trends" else ["--since", "1m"]
    assert told in ask(command, *args, *nowhere)[2]
    assert "is known" not in ask(command, *args, *nowhere, "-q")[2]


def test_a_filter_that_fits_something_known_is_not_doubted_where_the_list_is_empty(ask: Ask) -> None:
    known = ("-n", "api-*", "--cluster", "[ab]", "--type", "crashloopbackoff", "--pod", "hop-", "--workload", "shop")
    code, out, told = ask("findings", "--since", "1m", *known, "--application", HOSTILE, "--csv")
    assert (code, len(out.splitlines()), told) == (0, 1, "")


def test_a_summary_of_a_pod_that_nobody_knows_says_so(ask: Ask) -> None:
    assert "no pod like 'shpo' is known; did you mean shop?" in ask("summary", "--pod", "shpo")[2]
    assert ask("summary", "--pod", "shop-1")[2] == ""


def test_coverage_of_a_cluster_or_namespace_that_nobody_knows_says_so(ask: Ask) -> None:
    for args in (["--cluster", "B"], ["--gaps", "--cluster", "B"]):
        assert "no cluster like 'B' is known; did you mean b?" in ask("coverage", *args)[2]
    told = ask("coverage", "--namespaces", "-n", "web")[2]
    assert "no namespace like 'web' is known" in told


def test_namespaces_and_types_may_be_parted_by_commas(ask: Ask) -> None:
    both = rows(ask, "findings", "--since", "1d", "-n", "api-tenant, shop-*", "--type", "OOMKilled,CrashLoopBackOff")
    assert both == rows(ask, "findings", "--since", "1d")
    assert pods(rows(ask, "findings", "--since", "1d", "-n", "api-tenant,nothing")) == ["shop-2"]
    assert ask("findings", "-n", ",")[0] == 2


@pytest.fixture
def ask_the_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Two runs, neither of which could read the one cluster."""
    database = tmp_path / "unread.sqlite"
    with open_for_writing(str(database)) as store:
        for hour, error in ((0, "timed out"), (1, "refused")):
            record_run(store, scan("a", status="unreachable", pods_seen=None, error=error), at=NOON + hour * HOUR)

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run([*args, "--db", str(database), "--output", str(tmp_path), "--tz", "UTC"], now=NOON + 3 * HOUR)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return invoke


@pytest.mark.parametrize("command", ["findings", "report", "summary", "trends"])
def test_where_no_run_has_read_a_cluster_that_is_no_wrong_usage_and_coverage_says_why(
    ask_the_unread: Ask, command: str
) -> None:
    told = "No run has read a cluster yet: 2 tried and could read none: `oomdb coverage` says why."
    assert ask_the_unread(command) == (1, "", f"oomdb: error: {told}\n")


def test_where_no_run_has_read_a_cluster_coverage_is_that_of_the_newest_that_tried(ask_the_unread: Ask) -> None:
    (row,) = rows(ask_the_unread, "coverage")
    assert (row["run"], row["cluster"], row["status"], row["error"]) == (2, "a", "unreachable", "refused")
    assert [(it["source"], it["message"]) for it in rows(ask_the_unread, "coverage", "--gaps")] == [
        ("cluster", "refused")
    ]
    told = ask_the_unread("coverage")[2]
    assert told.endswith("no run has read a cluster yet; run 2 is the newest that tried\n")


def test_the_rows_are_the_same_in_every_format(ask: Ask) -> None:
    as_json = rows(ask, "findings", "--run", "1")
    as_lines = [json.loads(line) for line in ask("findings", "--run", "1", "--nl")[1].splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(ask("findings", "--run", "1", "--csv")[1], newline="")))
    as_tsv = list(csv.DictReader(io.StringIO(ask("findings", "--run", "1", "--tsv")[1], newline=""), delimiter="\t"))
    assert as_lines == as_json
    assert pods(as_csv) == pods(as_tsv) == pods(as_json)
    assert as_csv[1]["application"] == f"'{HOSTILE}"
    table = ask("findings", "--run", "1")[1]
    assert "\x1b" not in table
    assert len(table.splitlines()) == 5


def test_a_run_that_is_not_there_is_a_usage_error(ask: Ask) -> None:
    code, _, told = ask("findings", "--run", "99")
    assert (code, told) == (2, "oomdb: error: There is no run 99; `oomdb runs` lists them.\n")


def test_sql_prints_what_is_stored(ask: Ask) -> None:
    query = "SELECT pod, occurred_at FROM occurrences WHERE cluster = :c ORDER BY 2 DESC"
    assert ask("sql", query, "-p", "c", "b", "--csv")[1] == "pod,occurred_at\nodd-1,2026-01-15 12:00:00\n"


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM runs",
        "SELECT 1; DELETE FROM runs",
        "ATTACH 'x' AS y",
        "VACUUM INTO 'x'",
        "DROP VIEW latest_run",
        "",
    ],
)
def test_sql_cannot_write(ask: Ask, query: str) -> None:
    code, out, told = ask("sql", query)
    assert code != 0
    assert out == ""
    assert told.startswith("oomdb: error: ")
    assert len(rows(ask, "runs")) == 3


def test_sql_is_read_from_standard_input(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT count(*) AS n FROM latest_findings"))
    assert rows(ask, "sql", "-") == [{"n": 2}]


def test_sql_without_standard_input_asks_for_a_query(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    code, _, told = ask("sql", "-")
    assert (code, told) == (
        2,
        'oomdb: error: The query is empty; for example: oomdb sql "SELECT * FROM latest_run".\n',
    )


def test_sql_prints_columns_of_one_name_bytes_and_nothing(ask: Ask) -> None:
    query = "SELECT 1 AS n, 2 AS n, x'00ff' AS bytes, NULL AS missing, '=1+1' AS text"
    assert rows(ask, "sql", query) == [{"n": 1, "n_2": 2, "bytes": "x'00ff'", "missing": None, "text": "=1+1"}]
    assert ask("sql", query, "--csv")[1] == "n,n,bytes,missing,text\n1,2,x'00ff',,'=1+1\n"


def test_sql_that_takes_too_long_is_stopped(ask: Ask) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    code, out, told = ask("sql", endless, "--timeout", "0.05")
    assert (code, out) == (1, "")
    assert "The query took longer than 0.05 s and was stopped" in told


def test_the_views_can_be_asked(ask: Ask) -> None:
    assert rows(ask, "sql", "SELECT id FROM latest_run") == [{"id": 2}]
    assert rows(ask, "sql", "SELECT count(*) AS n FROM findings_full") == [{"n": 6}]
    assert rows(ask, "sql", "SELECT sum(occurrences) AS n FROM episodes") == [{"n": 5}]
    assert rows(ask, "sql", "SELECT status FROM coverage WHERE cluster = 'b' ORDER BY run_id") == [
        {"status": "complete"},
        {"status": "unreachable"},
    ]


def test_schema_tells_what_each_column_holds(ask: Ask) -> None:
    found = rows(ask, "schema", "occurrences")
    assert ("table", "", "Each kill, and each crash loop, once, however many runs saw it.") in {
        (row["kind"], row["column"], row["comment"]) for row in found
    }
    assert all(row["comment"] for row in rows(ask, "schema"))
    code, _, told = ask("schema", "occurences")
    assert code == 2
    assert "occurrences" in told


def test_the_database_is_checked_and_copied(ask: Ask, tmp_path: Path) -> None:
    assert ask("db", "check", "--artifacts", "--output", str(tmp_path))[:2] == (0, "everything holds\n")
    code, out, _ = ask("db", "backup", str(tmp_path / "copy.sqlite"))
    assert (code, out) == (0, f"{tmp_path / 'copy.sqlite'}\n")
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as conn:
        assert conn.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    assert ask("db", "backup", str(tmp_path / "copy.sqlite"))[0] == 1
    assert ask("db", "upgrade")[:2] == (0, f"{tmp_path / 'oomdb.sqlite'} is up to date, at revision {REVISION}\n")
    info = {row["what"]: row["value"] for row in rows(ask, "db", "info")}
    assert (info["runs"], info["occurrences"], info["clusters"]) == (3, 5, 2)


def test_a_copy_lies_beside_the_database_under_the_time_unless_told_otherwise(ask: Ask, tmp_path: Path) -> None:
    copy = tmp_path / "oomdb-20260115T150000Z.sqlite"
    assert ask("db", "backup")[:2] == (0, f"{copy}\n")
    assert copy.stat().st_mode & 0o777 == 0o600


def test_upgrade_creates_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "oomdb.sqlite"
    assert run(["db", "upgrade", "--db", str(path)]) == 0
    assert capsys.readouterr().out == f"{path} was created, at revision {REVISION}\n"


def test_a_database_that_breaks_its_rules_fails_the_check(ask: Ask, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "oomdb.sqlite")) as conn, conn:
        conn.execute("UPDATE daily_counts SET occurrences = occurrences + 1")
    code, out, _ = ask("db", "check")
    assert code == 1
    assert "daily_counts" in out


def test_without_a_database_the_lists_say_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "--db", str(tmp_path / "none.sqlite")]) == 1
    assert capsys.readouterr().err == (
        f"oomdb: error: {tmp_path / 'none.sqlite'}: there is no database; `oomdb collect` makes one, "
        "or say --db or --output.\n"
    )
    assert not (tmp_path / "none.sqlite").exists()


def test_another_kind_of_database_is_refused_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "--db", "postgresql://me:secret@db/oom"]) == 1
    told = capsys.readouterr().err
    assert "this version of oomdb stores in SQLite only" in told
    assert "secret" not in told


def test_a_notebook_gets_the_same_as_frames(ask: Ask, tmp_path: Path) -> None:
    with oomdb.open_store(tmp_path / "oomdb.sqlite") as history:
        kills = history.occurrences(type="OOMKilled")
        latest = history.findings()
        frames = history.runs(), history.coverage(cluster="b")
        assert list(history.findings(run=3, namespace=["shop-*"])["pod"]) == ["shop-3"]
        assert history.occurrences(pod="nothing").empty
    assert sorted(kills["pod"]) == ["odd-1", "shop-1", "shop-2", "shop-3"]
    assert str(kills["occurred_at"].dtype).startswith("datetime64[")
    assert str(kills["occurred_at"].dtype).endswith("UTC]")
    assert str(kills["memory_limit_bytes"].dtype) == "Int64"
    assert list(latest["pod"]) == ["shop-2", "shop-1"]
    assert list(frames[0]["run"]) == [3, 2, 1]
    assert frames[1]["pods_seen"].isna().tolist() == [True, False]
    assert pods(rows(ask, "findings")) == list(latest["pod"])
