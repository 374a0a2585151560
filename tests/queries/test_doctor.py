"""How the database is, and when each cluster was last read."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from oomdb.model import Check
from oomdb.queries.doctor import DatabaseRequest, check_database
from oomdb.store.database import Store
from oomdb.store.schema import REVISION
from oomdb.store.writer import record_plan
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, begin, change, finding, kill, record, scan

OLD = Path(__file__).parent.parent / "data" / "databases" / "0001.sqlite"
EXPIRED = "the credentials of context 'prod-a' are not accepted (401: Unauthorized)"


def look(
    target: Path | str,
    *,
    clusters: Sequence[str] | None = None,
    names: Sequence[str] = (),
    max_age: timedelta | None = None,
    alive: bool = False,
) -> list[Check]:
    request = DatabaseRequest(target=str(target), clusters=clusters, names=names, max_age=max_age, now=NOW, zone=UTC)
    return check_database(request, is_alive=lambda _: alive)


def last_reads(checks: Sequence[Check]) -> list[tuple[str, str, str]]:
    return [(check.subject, check.status, check.message) for check in checks if check.name == "last read"]


def test_a_database_that_is_well_says_its_revision_and_when_each_cluster_was_read(store: Store) -> None:
    partial = replace(scan(cluster="prod-b", status="partial"), pods_seen=7)
    record(store, scan(finding(kill(ago(hours=3)))), partial, at=ago(hours=2))
    file, *reads = look(store.path)
    assert (file.subject, file.status) == ("database", "ok")
    assert file.message == f"{store.path} is whole, at revision {REVISION}"
    assert last_reads(reads) == [
        ("prod-a", "ok", "last read 2026-01-15 13:00:00 UTC (2 h ago)"),
        ("prod-b", "ok", "last read 2026-01-15 13:00:00 UTC (2 h ago)"),
    ]


def test_looking_changes_nothing(store: Store) -> None:
    record(store, scan())
    store.close()
    before = store.path.read_bytes()
    look(store.path)
    assert store.path.read_bytes() == before


def test_a_token_that_expired_last_night_shows_by_cluster_age_and_reason(store: Store) -> None:
    record(store, scan(), scan(cluster="prod-b"), at=ago(hours=19))
    record(store, scan(status="failed", error="older"), scan(cluster="prod-b"), at=ago(hours=3))
    record(store, scan(status="failed", error=EXPIRED), scan(cluster="prod-b"), at=ago(hours=1))
    message = f"last read 2026-01-14 20:00:00 UTC (19 h ago); tried 2026-01-15 14:00:00 UTC: {EXPIRED}"
    read_by_then = ("prod-b", "ok", "last read 2026-01-15 14:00:00 UTC (60 min ago)")
    assert last_reads(look(store.path, max_age=timedelta(hours=6))) == [("prod-a", "failed", message), read_by_then]
    assert last_reads(look(store.path)) == [("prod-a", "warning", message), read_by_then]
    assert last_reads(look(store.path, max_age=timedelta(days=1)))[0][1] == "warning"


def test_a_failure_before_the_last_read_is_forgotten_also_within_one_second(store: Store) -> None:
    record(store, scan(status="unreachable", error="no route"), at=ago(hours=1))
    record(store, scan(), at=ago(hours=1))
    assert last_reads(look(store.path)) == [("prod-a", "ok", "last read 2026-01-15 14:00:00 UTC (60 min ago)")]
    record(store, scan(status="unreachable", error="no route"), at=ago(hours=1))
    assert last_reads(look(store.path))[0][1] == "warning"


def test_clusters_of_the_kubeconfig_that_were_never_read_are_named_and_others_are_not(store: Store) -> None:
    record(store, scan(), scan(cluster="retired"), at=ago(days=3))
    reads = last_reads(look(store.path, clusters=["prod-a", "new"], max_age=timedelta(days=7)))
    assert reads == [
        ("prod-a", "ok", "last read 2026-01-12 15:00:00 UTC (3 d ago)"),
        ("new", "failed", "not read in the last 30 days"),
    ]
    assert last_reads(look(store.path, clusters=["new"])) == [("new", "warning", "not read in the last 30 days")]


@pytest.mark.parametrize(
    ("names", "status", "hours"),
    [((), "failed", 19), (("shop",), "ok", 1), (("shop", "api"), "ok", 1), (("shop", "web"), "failed", 19)],
)
def test_a_look_at_some_namespaces_is_a_read_of_those_alone(
    store: Store, names: Sequence[str], status: str, hours: int
) -> None:
    record(store, scan(), at=ago(hours=19))
    record_run(store, scan(), at=ago(hours=1), scope="--contexts prod --namespace api,shop")
    ((_, judged, message),) = last_reads(look(store.path, names=names, max_age=timedelta(hours=6)))
    assert (judged, f"last read {ago(hours=hours):%Y-%m-%d %H:%M}:00 UTC" in message) == (status, True)


def test_a_cluster_of_which_only_some_namespaces_were_read_says_so(store: Store) -> None:
    record_run(store, scan(), at=ago(hours=1), scope="--namespace shop")
    message = "not read in the last 30 days, but for some namespaces (-n)"
    assert last_reads(look(store.path)) == [("prod-a", "warning", message)]
    assert last_reads(look(store.path, clusters=[])) == []


def test_a_cluster_whose_turn_has_not_come_yet_was_not_tried(store: Store) -> None:
    record(store, scan(), at=ago(hours=2))
    record(store, scan(status="unknown", error="not read yet"), at=ago(minutes=5))
    assert last_reads(look(store.path)) == [("prod-a", "ok", "last read 2026-01-15 13:00:00 UTC (2 h ago)")]


def test_a_scan_in_which_no_pod_could_be_listed_is_no_read(store: Store) -> None:
    partial = scan(status="partial", error="pods is forbidden")
    record(store, replace(partial, pods_seen=0), at=ago(hours=19))
    record(store, partial, at=ago(hours=1))
    message = "last read 2026-01-14 20:00:00 UTC (19 h ago); tried 2026-01-15 14:00:00 UTC: pods is forbidden"
    assert last_reads(look(store.path, max_age=timedelta(hours=6))) == [("prod-a", "failed", message)]


def test_a_cluster_that_nobody_tried_for_thirty_days_is_taken_as_gone(store: Store) -> None:
    record(store, scan(cluster="gone"), at=ago(days=31))
    record(store, scan(cluster="kept", status="unreachable", error="refused"), at=ago(days=29))
    assert last_reads(look(store.path)) == [
        ("kept", "warning", "not read in the last 30 days; tried 2025-12-17 15:00:00 UTC: refused")
    ]


def test_a_cluster_that_a_running_collect_has_read_counts_as_read(store: Store) -> None:
    run_id = record(store, scan(), at=ago(minutes=5))
    change(store, f"UPDATE runs SET status = 'running', finished_at = NULL WHERE id = {run_id}")
    assert last_reads(look(store.path, alive=True)) == [
        ("prod-a", "ok", "last read 2026-01-15 14:55:00 UTC (5 min ago)")
    ]


def test_a_cluster_that_a_running_collect_has_not_come_to_did_not_fail(store: Store) -> None:
    record(store, scan(), at=ago(hours=2))
    record_plan(store, begin(store), [scan(status="unknown", error="not read yet")])
    assert last_reads(look(store.path)) == [("prod-a", "ok", "last read 2026-01-15 13:00:00 UTC (2 h ago)")]


def test_runs_that_were_cut_short_are_warned_of_and_living_ones_are_not(store: Store) -> None:
    begin(store, at=ago(minutes=10))
    begin(store, at=ago(hours=1))
    (check,) = [check for check in look(store.path, alive=True) if check.name == "runs"]
    assert (check.status, check.message) == ("warning", "runs that were cut short and still count as running: 2")
    (both,) = [check for check in look(store.path, alive=False) if check.name == "runs"]
    assert both.message.endswith(": 1, 2")


def test_no_database_is_a_warning_unless_clusters_should_have_been_read(tmp_path: Path) -> None:
    (check,) = look(tmp_path / "oomdb.sqlite")
    assert (check.status, check.message) == (
        "warning",
        f"{tmp_path / 'oomdb.sqlite'} is not there: no cluster was ever read into it",
    )
    assert look(tmp_path / "oomdb.sqlite", max_age=timedelta(hours=6))[0].status == "failed"
    assert list(tmp_path.iterdir()) == []


def test_an_older_database_is_a_warning_that_says_how_it_is_upgraded(tmp_path: Path) -> None:
    shutil.copy(OLD, tmp_path / "oomdb.sqlite")
    file, revision = look(tmp_path / "oomdb.sqlite")
    assert (file.status, revision.status) == ("ok", "warning")
    assert revision.message.startswith("is at revision 0001, older than this oomdb (")
    assert "oomdb db upgrade" in revision.advice
    assert (tmp_path / "oomdb.sqlite").read_bytes() == OLD.read_bytes()


def test_a_newer_database_and_a_foreign_file_fail(store: Store, tmp_path: Path) -> None:
    change(store, "UPDATE alembic_version SET version_num = '9999'")
    (newer,) = look(store.path)
    assert (newer.status, "newer than this oomdb" in newer.message) == ("failed", True)
    foreign = tmp_path / "notes.txt"
    foreign.write_text("a text, long enough to be no header of a database\n" * 40)
    (check,) = look(foreign)
    assert (check.status, "is not a SQLite database" in check.message) == ("failed", True)


def test_a_damaged_database_fails_and_no_cluster_is_judged_by_it(store: Store) -> None:
    record(store, *(scan(finding(kill(ago(hours=1))), cluster=f"c{number}") for number in range(40)))
    store.close()
    with closing(sqlite3.connect(store.path)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'findings'").fetchone()
        (page_bytes,) = conn.execute("PRAGMA page_size").fetchone()
    with store.path.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(b"\xff" * page_bytes)
    (check,) = look(store.path, max_age=timedelta(hours=6))
    assert (check.status, check.name) == ("failed", "file")
    assert "is damaged: " in check.message
    assert "Restore a backup" in check.advice


@pytest.mark.parametrize("target", ["postgresql://me:hunter2@db/oomdb", ":memory:", "a\0b"])
def test_a_target_that_cannot_be_used_fails_without_its_password(target: str) -> None:
    (check,) = look(target)
    assert check.status == "failed"
    assert "hunter2" not in check.message
