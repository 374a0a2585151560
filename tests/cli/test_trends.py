"""`oomdb trends` as a user runs it: the table, what stderr says of windows and coverage, and the same in a notebook."""

import csv
import io
import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

import oomdb as package
from oomdb.cli.main import oomdb, run
from oomdb.cli.options import Command
from oomdb.store.database import open_for_writing
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, finding, kill, loop, scan

WEEK = timedelta(days=7)
HOSTILE = "=cmd|'/c calc'!A1\n\x1b[31m<script>"

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Two weeks of two clusters, the second of which could not be read for the last two days of the older week."""
    kills = [
        finding(
            *(kill(ago(days=day), container_id=f"{pod}{day}", restart_count=day) for day in days),
            pod=pod,
            pod_uid=pod,
            namespace=pod.split("-")[0],
        )
        for pod, days in (("pay-1", (1, 2, 3, 8)), ("shop-1", (9, 10, 11)))
    ]
    looped = finding(loop(ago(days=1), restarts=90), pod="pay-2", pod_uid="p2", namespace="pay", workload=HOSTILE)
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as store:
        record_run(store, scan(), scan(cluster="b"), at=ago(days=9), lookback=WEEK)
        record_run(store, scan(), scan(cluster="b", status="unreachable"), at=ago(days=7), lookback=WEEK)
        record_run(store, scan(*kills), scan(looped, cluster="b"), lookback=WEEK)

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run([*args, "--db", str(tmp_path / "oomdb.sqlite"), "--tz", "UTC"], now=NOW + timedelta(hours=1))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return invoke


def told(text: str) -> list[str]:
    """Return the lines of stderr without the time that each begins with."""
    return [line.split(" ", 1)[1] for line in text.splitlines()]


def rows(ask: Ask, *args: str) -> list[dict[str, Any]]:
    code, out, _ = ask("trends", *args, "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_the_table_has_both_windows_the_trend_and_the_coverage(ask: Ask) -> None:
    code, out, _ = ask("trends")
    assert code == 0
    assert out == (
        "cluster    namespace      OOMs(7d)    CLB(7d)    OOMs(7d)-1    CLB(7d)-1  trend    coverage\n"
        "---------  -----------  ----------  ---------  ------------  -----------  -------  ---------------------\n"
        "prod-a     pay                   3          0             1            0  ↑        complete, complete\n"
        "b          pay                   0          1             0            0  ?        complete, 5 of 7 days\n"
        "prod-a     shop                  0          0             3            0  ↓        complete, complete\n"
    )


def test_the_exact_windows_and_what_was_not_looked_at_are_said_once(ask: Ask) -> None:
    assert told(ask("trends")[2]) == [
        "newest window: 2026-01-08 15:00:00 UTC to 2026-01-15 15:00:00 UTC, when run 3 began",
        "windows before it: 1, of 7d each, from 2026-01-01 15:00:00 UTC on",
        "not looked at all the time: b: 5 of 7 days in (7d)-1",
    ]
    assert ask("trends", "-q")[2] == ""


def test_clusters_that_miss_the_same_stand_on_one_line(ask: Ask) -> None:
    assert told(ask("trends", "--by", "node", "--window", "1d", "--until", "2025-12-31T12:00:00Z")[2])[2:] == [
        "0 rows",
        "not looked at all the time: b, prod-a: 0.8 of 1 day in (1d), 0 of 1 day in (1d)-1",
    ]


def test_windows_are_of_one_length_across_a_change_of_the_clock_and_told_in_the_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = datetime(2026, 3, 30, 12, tzinfo=UTC)
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as store:
        record_run(store, scan(), at=at, lookback=2 * WEEK)
    assert run(["trends", "--db", str(tmp_path / "oomdb.sqlite"), "--tz", "Europe/Prague"], now=at) == 0
    assert told(capsys.readouterr().err) == [
        "newest window: 2026-03-23 13:00:00 CET to 2026-03-30 14:00:00 CEST, when run 1 began",
        "windows before it: 1, of 7d each, from 2026-03-16 13:00:00 CET on",
        "0 rows",
    ]


def test_every_format_has_the_same_rows(ask: Ask) -> None:
    as_json = rows(ask)
    assert as_json[1] == {
        "cluster": "b",
        "namespace": "pay",
        "OOMs(7d)": 0,
        "CLB(7d)": 1,
        "OOMs(7d)-1": 0,
        "CLB(7d)-1": 0,
        "trend": "?",
        "coverage": ["complete", "5 of 7 days"],
    }
    assert [json.loads(line) for line in ask("trends", "--nl")[1].splitlines()] == as_json
    as_csv = list(csv.DictReader(io.StringIO(ask("trends", "--csv")[1])))
    assert [row | {"coverage": json.loads(row["coverage"])} for row in as_csv] == [
        {key: cell if key == "coverage" else str(cell) for key, cell in row.items()} for row in as_json
    ]


def test_hostile_names_draw_nothing_and_run_nothing(ask: Ask) -> None:
    assert "\x1b" not in ask("trends", "--by", "workload")[1]
    assert [row["workload"] for row in rows(ask, "--by", "workload")] == ["checkout", HOSTILE]
    assert f'"\'{HOSTILE}"' in ask("trends", "--by", "workload", "--csv")[1]


def test_pods_have_their_restarts(ask: Ask) -> None:
    found = rows(ask, "--by", "pod", "--by", "namespace")
    assert [(row["pod"], row["namespace"], row["restarts"]) for row in found] == [
        ("pay-1", "pay", 8),
        ("pay-2", "pay", 90),
        ("shop-1", "shop", 11),
    ]
    assert "restarts" not in rows(ask)[0]


def test_more_windows_are_more_columns_and_one_has_no_trend(ask: Ask) -> None:
    assert list(rows(ask, "--by", "cluster", "--type", "oomkilled", "--window", "36h", "--periods", "3")[0]) == [
        "cluster",
        "OOMs(36h)",
        "OOMs(36h)-1",
        "OOMs(36h)-2",
        "trend",
        "coverage",
    ]
    assert list(rows(ask, "--by", "cluster", "--periods", "1")[0]) == ["cluster", "OOMs(7d)", "CLB(7d)", "coverage"]
    assert "before" not in ask("trends", "--periods", "1")[2]


def test_a_list_that_is_cut_says_so(ask: Ask) -> None:
    _, out, err = ask("trends", "--limit", "1", "--no-headers")
    assert out == "prod-a  pay  3  0  1  0  ↑  complete, complete\n"
    assert "first 1 rows; more exist: raise --limit to see them." in told(err)


def test_what_nobody_looked_at_is_empty_and_not_nought(ask: Ask) -> None:
    found = rows(ask, "--by", "cluster", "--cluster", "b", "--periods", "4")
    assert [(row["CLB(7d)"], row["CLB(7d)-1"], row["CLB(7d)-3"]) for row in found] == [(1, 0, None)]
    assert " –" in ask("trends", "--by", "cluster", "--cluster", "b", "--periods", "4")[1]


def test_before_the_first_run_nothing_is_known_and_that_is_said(ask: Ask) -> None:
    code, out, err = ask("trends", "--until", "2020-01-01")
    assert (code, len(out.splitlines())) == (0, 2)
    assert told(err) == [
        "newest window: 2019-12-25 00:00:00 UTC to 2020-01-01 00:00:00 UTC",
        "windows before it: 1, of 7d each, from 2019-12-18 00:00:00 UTC on",
        "0 rows",
        "no run was to read a cluster in these windows: what happened in them is not known",
    ]


def test_without_a_run_the_message_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_for_writing(str(tmp_path / "oomdb.sqlite")):
        pass
    assert run(["trends", "--db", str(tmp_path / "oomdb.sqlite")]) == 1
    assert capsys.readouterr().err == (
        "oomdb: error: No run has read a cluster yet: run `oomdb collect`; `oomdb runs` lists what there is.\n"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--by", "flavour"], "Trends are not told by 'flavour'; known: application, "),
        (["--by", "cluster,pods"], "'pods'; did you mean 'pod'?"),
        (["--periods", "0"], "0 windows cannot be compared: ask for 1 to 60 periods."),
        (["--window", "week"], "'week' is not a time span"),
        (["--window", "36525d", "--periods", "60"], "begin before the calendar does"),
    ],
)
def test_wrong_usage_says_what_is_wrong(ask: Ask, args: list[str], message: str) -> None:
    code, out, err = ask("trends", *args)
    assert (code, out) == (2, "")
    assert message in err


def test_the_settings_and_the_environment_can_say_what_to_tell(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "oomdb.toml").write_text('[trends]\nby = "cluster,pod"\nwindow = "1d"\nperiods = 1\n')
    assert list(rows(ask)[0]) == ["cluster", "pod", "OOMs(1d)", "CLB(1d)", "restarts", "coverage"]
    monkeypatch.setenv("OOMDB_BY", "node,namespace")
    assert list(rows(ask)[0])[:2] == ["node", "namespace"]


def test_each_example_of_the_help_is_answered(ask: Ask) -> None:
    command = oomdb.get_command(click.Context(oomdb), "trends")
    assert isinstance(command, Command)
    lines = [shlex.split(line)[1:] for _, line in command.examples]
    first_rows = [json.loads(ask(*line, "--json")[1])[0] for line in lines]
    assert [tuple(row[key] for key in ("cluster", "namespace", "pod") if key in row) for row in first_rows] == [
        ("prod-a", "pay"),
        ("prod-a",),
        ("prod-a",),
        ("b", "pay", "pay-2"),
    ]


@pytest.mark.parametrize("by", ["cluster,namespace", "workload", "pod,node"])
def test_a_notebook_has_the_same_windows_and_numbers(ask: Ask, tmp_path: Path, by: str) -> None:
    with package.open_store(tmp_path / "oomdb.sqlite") as history:
        frame = history.trends(by=by, window="3d", periods=7, cluster=["b", "prod-*"])
    dimensions = by.split(",")
    short = {"OOMKilled": "OOMs", "CrashLoopBackOff": "CLB"}
    number = {until: n for n, until in enumerate(frame["window_until"].unique())}
    expected: dict[tuple[str, ...], dict[str, int | None]] = {}
    for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
        n = number[row["window_until"]]
        header = f"{short[row['type']]}(3d){f'-{n}' if n else ''}"
        expected.setdefault(tuple(row[name] for name in dimensions), {})[header] = row["occurrences"]
    args = ("trends", "--by", by, "--window", "3d", "--periods", "7", "--cluster", "b", "--cluster", "prod-*")
    _, out, err = ask(*args, "--json")
    printed = {
        tuple(row[name] for name in dimensions): {name: cell for name, cell in row.items() if "(3d)" in name}
        for row in json.loads(out)
    }
    assert list(printed.items()) == list(expected.items())
    assert {count for counts in printed.values() for count in counts.values()} >= {None, 0, 1, 3}
    newest = f"{frame['window_since'].max():%Y-%m-%d %X} UTC to {frame['window_until'].max():%Y-%m-%d %X} UTC"
    assert told(err)[:2] == [
        f"newest window: {newest}, when run 3 began",
        f"windows before it: 6, of 3d each, from {frame['window_since'].min():%Y-%m-%d %X} UTC on",
    ]
