"""Owners as a user meets them: in the summary, after a collect, as a filter, a column and a row of trends."""

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.store.database import open_for_writing
from tests.owners.checkouts import make_repository, write_codeowners
from tests.owners.commands import write_command, write_glab
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, finding, kill, scan

from .fleet import Fleet

Oomdb = Callable[..., tuple[int, str, str]]

LINE = "OOMKilled: 1 instance(s) on 15-Jan-2026, Namespace: {namespace} (cluster: prod-a)"
BLOCK = """
==============================================
Report for pod: {pod}
==============================================
{line}
CrashLoopBackOff: 0 instances (no occurrences in {where})
==============================================
"""
RULES = """
/tenants-config/cluster/prod-a/tenants/cart/ @shy
/tenants-config/cluster/prod-a/tenants/gone/ @gone
/tenants-config/cluster/prod-a/tenants/shop/ @jdoe
/tenants-config/cluster/prod-a/tenants/team/ @group/team @jdoe
"""
ENDS = {
    "cart": ' is owned by "Shy Person (no public email)"',
    "gone": ' is owned by "@gone (lookup failed)"',
    "none": " (no owner in CODEOWNERS)",
    "shop": ' is owned by "Jane Doe <jane@example.com>"',
    "team": ' is owned by "@group/team, Jane Doe <jane@example.com>"',
}


@pytest.fixture
def oomdb(capsys: pytest.CaptureFixture[str]) -> Oomdb:
    """Run a command line in UTC and return its exit code, stdout and stderr."""

    def invoke(*args: str) -> tuple[int, str, str]:
        code = run([*args, "--tz", "UTC"], now=NOW)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


@pytest.fixture
def glab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `glab` into PATH and return the file in which it notes what it was asked."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return write_glab(tmp_path / "bin")


@pytest.fixture
def history() -> None:
    """Record a run with one kill in each of some namespaces, in a pod that has the namespace's name."""
    findings = [
        finding(kill(ago(hours=1), container_id=name), namespace=name, pod=f"{name}-1", pod_uid=name) for name in ENDS
    ]
    with open_for_writing("output/oomdb.sqlite") as store:
        record_run(store, scan(*findings))


@pytest.fixture
def checkout(tmp_path: Path) -> str:
    """Write a checkout and return its path."""
    return str(write_codeowners(tmp_path / "checkout", RULES))


def blocks(ends: dict[str, str]) -> str:
    """Return the summary of the history, with the ends of its lines."""
    return "".join(
        BLOCK.format(pod=f"{name}-1", line=LINE.format(namespace=name) + end, where="this run")
        for name, end in sorted(ends.items())
    )


def stored(sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect("output/oomdb.sqlite")) as conn:
        return list(conn.execute(sql))


@pytest.mark.usefixtures("history", "glab")
def test_each_line_of_the_summary_ends_with_the_owner(oomdb: Oomdb, checkout: str) -> None:
    code, out, err = oomdb("summary", "-c", checkout)
    assert (code, out) == (0, blocks(ENDS))
    assert "warning: the lookup of 1 of 3 owners failed, of @gone: GitLab knows no such account\n" in err


@pytest.mark.usefixtures("history", "glab")
def test_without_a_checkout_the_lines_are_as_they_always_were(oomdb: Oomdb, glab: Path) -> None:
    assert oomdb("summary")[1] == blocks(dict.fromkeys(ENDS, ""))
    assert not glab.exists()


@pytest.mark.usefixtures("history", "glab")
def test_the_block_of_a_part_of_a_name_has_owners_too(oomdb: Oomdb, checkout: str) -> None:
    line = LINE.format(namespace="shop") + ENDS["shop"]
    assert oomdb("summary", "--pod", "shop", "-c", checkout)[1] == BLOCK.format(
        pod="shop", line=line, where="the history"
    )


@pytest.mark.usefixtures("history", "glab")
@pytest.mark.parametrize(
    "options", [["-c", "nowhere"], ["--codeowners-repo", "./nowhere"], ["--codeowners-repo", "ext::x"]]
)
def test_a_checkout_that_cannot_be_had_is_said_in_every_line_and_why_also_quietly(
    oomdb: Oomdb, options: list[str]
) -> None:
    code, out, err = oomdb("summary", "-q", *options)
    assert (code, out) == (0, blocks(dict.fromkeys(ENDS, " (no CODEOWNERS repo available)")))
    assert "no owners: " in err


@pytest.mark.usefixtures("history", "glab")
@pytest.mark.parametrize("place", ["option", "variable", "defaults", "table"])
def test_the_repository_may_be_set_like_every_option(
    oomdb: Oomdb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    url = str(make_repository(tmp_path / "repo", RULES))
    options = ["--codeowners-repo", url] if place == "option" else []
    if place == "variable":
        monkeypatch.setenv("OOMDB_CODEOWNERS_REPO", url)
    elif place != "option":
        table = "defaults" if place == "defaults" else "summary"
        Path("oomdb.toml").write_text(f'[{table}]\ncodeowners-repo = "{url}"\n')
    assert oomdb("summary", *options)[1] == blocks(ENDS)


@pytest.mark.usefixtures("history")
def test_no_glab_asks_nobody_and_tells_what_is_stored(oomdb: Oomdb, checkout: str, glab: Path) -> None:
    out = oomdb("summary", "-c", checkout, "--no-glab")[1]
    unasked = {"cart": "@shy", "gone": "@gone", "shop": "@jdoe", "team": "@group/team, @jdoe"}
    assert out == blocks({name: f' is owned by "{owner}"' for name, owner in unasked.items()} | {"none": ENDS["none"]})
    assert not glab.exists()
    oomdb("summary", "-c", checkout)
    told = oomdb("summary", "-c", checkout, "--no-glab")[1]
    assert told == blocks({**ENDS, "gone": ' is owned by "@gone"'})


@pytest.mark.usefixtures("history")
def test_a_second_summary_asks_for_those_alone_of_whom_nothing_is_known(
    oomdb: Oomdb, checkout: str, glab: Path
) -> None:
    oomdb("summary", "-c", checkout)
    assert len(glab.read_text().splitlines()) == 3
    assert oomdb("summary", "-c", checkout)[1] == blocks(ENDS)
    assert glab.read_text().splitlines()[3:] == ["api users?username=gone"]


@pytest.mark.usefixtures("history")
def test_without_glab_accounts_are_told_and_the_way_out(
    oomdb: Oomdb, checkout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    code, out, err = oomdb("summary", "-c", checkout)
    assert (code, out.count("(lookup failed)")) == (0, 4)
    assert "glab cannot be found: install it and run `glab auth login`, or say --no-glab" in err


@pytest.mark.usefixtures("history", "glab")
def test_a_name_cannot_forge_a_line_or_draw_on_the_terminal(oomdb: Oomdb, checkout: str, tmp_path: Path) -> None:
    answer = json.dumps([{"name": "Eve\n\x1b[2J\u202e", "public_email": "e@x"}])
    write_command(tmp_path / "bin", "glab", f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    out = oomdb("summary", "--pod", "shop", "-c", checkout)[1]
    assert ' is owned by "Eve \\x1b[2J\\u202e <e@x>"\n' in out


@pytest.mark.usefixtures("history", "glab")
def test_the_owners_are_told_also_where_the_database_cannot_be_written(oomdb: Oomdb, checkout: str) -> None:
    with closing(sqlite3.connect("output/oomdb.sqlite")) as conn:
        conn.execute("CREATE TRIGGER full BEFORE INSERT ON people BEGIN SELECT RAISE(FAIL, 'no room'); END")
    code, out, err = oomdb("summary", "-c", checkout)
    assert (code, out) == (0, blocks(ENDS))
    assert "the owners were not stored: " in err
    assert stored("SELECT count(*) FROM namespace_owners") == [(0,)]


@pytest.mark.usefixtures("history", "glab")
def test_lines_of_codeowners_that_are_no_rules_are_named(oomdb: Oomdb, checkout: str) -> None:
    (Path(checkout) / "CODEOWNERS").write_text(f"/a[b @x\n{RULES}")
    code, out, err = oomdb("summary", "-c", checkout)
    assert (code, out) == (0, blocks(ENDS))
    assert "warning: CODEOWNERS: no rule can be made of '/a[b @x'; left out\n" in err


@pytest.mark.usefixtures("history", "glab")
def test_owners_of_namespaces_that_are_not_shown_follow_codeowners_too(oomdb: Oomdb, checkout: str) -> None:
    oomdb("summary", "-c", checkout)
    (Path(checkout) / "CODEOWNERS").write_text(RULES.replace("@shy", "@jdoe"))
    oomdb("summary", "-c", checkout, "--pod", "shop")
    assert stored("SELECT owners FROM namespace_owners WHERE namespace = 'cart'") == [("@jdoe",)]


# --- collect --------------------------------------------------------------------------------------------------------


def fleet_checkout(tmp_path: Path) -> str:
    rules = "/tenants-config/cluster/stone-prod-p01/tenants/shop-tenant/ @jdoe\n"
    return str(write_codeowners(tmp_path / "checkout", rules))


@pytest.mark.usefixtures("glab")
def test_a_collect_stores_the_owners_and_its_summary_shows_them(fleet: Fleet, oomdb: Oomdb, tmp_path: Path) -> None:
    code, out, _ = oomdb(*fleet.args("-c", fleet_checkout(tmp_path)))
    assert code == 0
    line = r"OOMKilled: 1 instance\(s\) on \S+, Namespace: shop-tenant \(cluster: (\S+)\) (.*)"
    assert re.findall(line, out) == [
        ("kflux-prd-rh02", "(no owner in CODEOWNERS)"),
        ("kflux-prd-rh03", "(no owner in CODEOWNERS)"),
        ("stone-prod-p01", 'is owned by "Jane Doe <jane@example.com>"'),
    ]
    assert fleet.rows("SELECT cluster, namespace, owners FROM namespace_owners") == [
        ("kflux-prd-rh02", "shop-tenant", ""),
        ("kflux-prd-rh03", "shop-tenant", ""),
        ("stone-prod-p01", "shop-tenant", "@jdoe"),
    ]
    listed = oomdb("findings", "--output", str(fleet.output), "--owner", "jdoe", "--json")[1]
    assert [(row["cluster"], row["owner"]) for row in json.loads(listed)] == [("stone-prod-p01", "@jdoe")]


@pytest.mark.usefixtures("glab")
def test_a_quiet_collect_stores_the_owners_too(fleet: Fleet, oomdb: Oomdb, tmp_path: Path) -> None:
    code, out, err = oomdb(*fleet.args("-q", "-c", fleet_checkout(tmp_path)))
    assert (code, out) == (0, "")
    assert re.fullmatch(r"run=1 clusters=3/3 .* exit=0\n", err)
    assert fleet.rows("SELECT count(*), (SELECT count(*) FROM people) FROM namespace_owners") == [(3, 1)]


@pytest.mark.usefixtures("glab")
def test_a_collect_whose_checkout_is_not_there_is_a_collect(fleet: Fleet, oomdb: Oomdb) -> None:
    code, out, err = oomdb(*fleet.args("-c", "nowhere"))
    assert (code, out.count("(no CODEOWNERS repo available)\n")) == (0, 3)
    assert "no owners: nowhere is not a folder" in err
    assert fleet.rows("SELECT count(*) FROM namespace_owners") == [(0,)]


@pytest.mark.usefixtures("glab")
def test_a_collect_without_owners_asks_nobody(fleet: Fleet, oomdb: Oomdb, glab: Path) -> None:
    assert "owner" not in oomdb(*fleet.args())[1]
    assert not glab.exists()


@pytest.mark.usefixtures("glab")
@pytest.mark.parametrize("login", ["me:hunter2", "hunter2"])
def test_the_login_of_the_repository_is_neither_shown_nor_stored(fleet: Fleet, oomdb: Oomdb, login: str) -> None:
    code, out, err = oomdb(*fleet.args("-v", "--codeowners-repo", f"https://{login}@127.0.0.1:9/x.git"))
    assert code == 0
    assert "hunter2" not in out + err
    assert "https://***@127.0.0.1:9/x.git" in err
    assert b"hunter2" not in (fleet.output / "oomdb.sqlite").read_bytes()


# --- lists ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("history", "glab")
@pytest.mark.parametrize("command", ["findings", "occurrences"])
def test_lists_are_narrowed_to_an_owner(oomdb: Oomdb, checkout: str, command: str) -> None:
    oomdb("summary", "-c", checkout)
    code, out, err = oomdb(command, "--owner", "jdoe", "--owner", "@shy", "--since", "2d", "--json")
    assert code == 0
    assert {row["namespace"] for row in json.loads(out)} == {"shop", "team", "cart"}
    assert "nobody asked for owners" not in err


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("command", [["findings"], ["occurrences"], ["trends"], ["trends", "--by", "owner"]])
def test_owners_that_nobody_asked_for_are_not_told_as_nothing_found(oomdb: Oomdb, command: list[str]) -> None:
    filters = [] if "owner" in command else ["--owner", "jdoe"]
    code, _, err = oomdb(*command, *filters)
    assert code == 0
    assert "of 5 of 5 namespaces nobody asked for owners: `oomdb collect -c DIR` and" in err


@pytest.mark.usefixtures("history", "glab")
def test_trends_have_a_row_for_each_owner(oomdb: Oomdb, checkout: str) -> None:
    oomdb("summary", "-c", checkout)
    code, out, _ = oomdb("trends", "--by", "owner", "--type", "OOMKilled", "--json")
    assert code == 0
    counts = {row["owner"]: row["OOMs(7d)"] for row in json.loads(out)}
    assert counts == {"": 1, "@gone": 1, "@group/team @jdoe": 1, "@jdoe": 1, "@shy": 1}
