"""Export files: what is written, kept, left alone, and noted; and the summary's blocks."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from oomdb.errors import NothingReadError, OomdbError, UsageError
from oomdb.model import (
    CRASH_LOOP_BACK_OFF,
    OOM_KILLED,
    Artifact,
    ArtifactKind,
    ClusterScan,
    Finding,
    ScanStatus,
    Sighting,
)
from oomdb.queries.instances import list_instances_of_pods, list_instances_of_run
from oomdb.queries.selection import find_run
from oomdb.reports.backups import backup_name
from oomdb.reports.content import build_content
from oomdb.reports.files import DEFAULT_FORMATS, write_exports
from oomdb.reports.summary import render_pod_summary, render_run_summary
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import RunStart, begin_run, finish_run
from oomdb.store.writer import record_scan

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
KINDS: tuple[ArtifactKind, ...] = ("description", "log")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as opened:
        yield opened


def finding(
    pod: str = "shop-1",
    type_: str = OOM_KILLED,
    *,
    container: str = "app",
    at: datetime = NOON,
    namespace: str = "shop",
) -> Finding:
    sighting = Sighting(
        type=type_,
        container=container,
        at=at,
        time_quality="exact",
        source="oc_get_pods",
        evidence="terminated" if type_ == OOM_KILLED else "waiting",
        is_loop=type_ == CRASH_LOOP_BACK_OFF,
        container_id=f"cri-o://{pod}{container}{at}",
    )
    return Finding(
        namespace=namespace,
        pod=pod,
        pod_uid=f"uid-{pod}",
        container=container,
        type=type_,
        sightings=(sighting,),
        application="shop",
    )


def record(
    store: Store,
    *findings: Finding,
    at: datetime = NOON,
    scope: str = "all",
    status: ScanStatus = "complete",
    with_artifacts: bool = False,
) -> int:
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
    artifacts = tuple(
        Artifact(
            namespace=it.namespace,
            pod=it.pod,
            pod_uid=it.pod_uid,
            kind=kind,
            status="ok",
            path=f"logs_and_description_files/c1/{it.pod}-{kind}.txt",
            captured_at=at,
        )
        for it in {it.pod: it for it in findings}.values()
        for kind in KINDS
    )
    scan = ClusterScan(
        cluster="c1",
        context="c1",
        server="https://c1",
        status=status,
        findings=findings,
        artifacts=artifacts if with_artifacts else (),
    )
    record_scan(store, run_id, scan, seen_at=at)
    finish_run(store, run_id, now=at)
    return run_id


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith(("oom_results", ".oom"))}


def test_findings_of_one_pod_and_type_are_one_row(store: Store, tmp_path: Path) -> None:
    later = NOON + timedelta(seconds=21)
    record(store, finding(container="a"), finding(container="b", at=later), with_artifacts=True)
    (row,) = build_content(store, "latest", output_dir=tmp_path / "out").rows
    assert row.timestamps == ("2026-01-15T12:00:00Z", "2026-01-15T12:00:21Z")
    assert row.description_file == str(tmp_path / "out/logs_and_description_files/c1/shop-1-description.txt")
    assert row.pod_log_file == str(tmp_path / "out/logs_and_description_files/c1/shop-1-log.txt")


def test_rows_are_sorted_by_type_then_place(store: Store, tmp_path: Path) -> None:
    record(
        store, finding("b", CRASH_LOOP_BACK_OFF), finding("b"), finding("a", CRASH_LOOP_BACK_OFF), finding("z", "Odd")
    )
    rows = build_content(store, "latest", output_dir=tmp_path).rows
    assert [(row.type, row.pod) for row in rows] == [
        ("OOMKilled", "b"),
        ("CrashLoopBackOff", "a"),
        ("CrashLoopBackOff", "b"),
        ("Odd", "z"),
    ]


def test_a_later_run_shows_the_files_that_an_earlier_one_captured(store: Store, tmp_path: Path) -> None:
    record(store, finding(), with_artifacts=True)
    record(store, finding(), at=NOON + timedelta(hours=3))
    (row,) = build_content(store, 2, output_dir=tmp_path).rows
    assert row.description_file.endswith("shop-1-description.txt")


def test_latest_is_the_newest_run_over_all_contexts_that_read_something(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    record(store, finding(), at=NOON + timedelta(hours=1), scope="--current")
    record(store, at=NOON + timedelta(hours=2), status="unreachable")
    content = build_content(store, "latest", output_dir=tmp_path)
    assert content.run.id == 1
    assert content.newer_of_other_scope is not None
    assert content.newer_of_other_scope.id == 2


def test_where_no_run_is_over_all_contexts_the_newest_that_read_something_is_the_latest(
    store: Store, tmp_path: Path
) -> None:
    record(store, finding(), scope="--current")
    record(store, finding(), at=NOON + timedelta(hours=1), scope="--contexts a")
    assert build_content(store, "latest", output_dir=tmp_path).run.id == 2


def test_a_run_that_is_not_there_is_an_error_that_says_where_runs_are_listed(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NothingReadError, match="No run has read a cluster yet"):
        build_content(store, "latest", output_dir=tmp_path)
    with pytest.raises(UsageError, match=r"There is no run 7; `oomdb runs` lists them"):
        build_content(store, 7, output_dir=tmp_path)


def test_existing_files_are_renamed_by_their_time_and_unchanged_ones_left_alone(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    first = write_exports(store, "latest", output_dir=tmp_path, zone=NEW_YORK)
    assert {path.name for path in first.written} == {f"oom_results.{name}" for name in DEFAULT_FORMATS}
    for path in first.written:
        os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    again = write_exports(store, "latest", output_dir=tmp_path, zone=NEW_YORK)
    assert (again.written, again.backed_up) == ((), ())
    assert (tmp_path / "oom_results.csv").stat().st_mtime == NOON.timestamp()

    record(store, finding("shop-2"), at=NOON + timedelta(hours=3))
    third = write_exports(store, "latest", output_dir=tmp_path, zone=NEW_YORK)
    assert {path.name for path in third.backed_up} == {
        "oom_results_15-Jan-2026_07-00-00-EST.csv",
        "oom_results_15-Jan-2026_07-00-00-EST.html",
        "oom_results_15-Jan-2026_07-00-00-EST.json",
        "oom_results_15-Jan-2026_07-00-00-EST.table",
    }
    assert "shop-1" in (tmp_path / "oom_results_15-Jan-2026_07-00-00-EST.csv").read_text()


def test_a_backup_never_replaces_another_one(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        record(store, finding(f"shop-{number}"), at=NOON + timedelta(hours=number))
        write_exports(store, "latest", output_dir=tmp_path, formats=["csv"], zone=UTC)
        os.utime(tmp_path / "oom_results.csv", (NOON.timestamp(), NOON.timestamp()))
    assert names(tmp_path) == {
        "oom_results.csv",
        "oom_results_15-Jan-2026_12-00-00-UTC.csv",
        "oom_results_15-Jan-2026_12-00-00-UTC-2.csv",
    }


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (datetime(2026, 1, 13, 17, 10, 22, tzinfo=UTC), "oom_results_13-Jan-2026_12-10-22-EST.csv"),
        (datetime(2026, 7, 3, 16, 10, 22, tzinfo=UTC), "oom_results_03-Jul-2026_12-10-22-EDT.csv"),
    ],
)
def test_a_backups_name_has_the_zone_of_its_own_day(at: datetime, name: str) -> None:
    assert backup_name(Path("oom_results.csv"), at, NEW_YORK) == name


def test_exports_are_noted_so_that_no_import_takes_them_for_runs(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    write_exports(store, "latest", output_dir=tmp_path)
    with store.reading() as conn:
        noted = conn.exec_driver_sql("SELECT kind, path, rows, run_id FROM import_files ORDER BY path").fetchall()
    assert [tuple(row) for row in noted] == [
        ("export", str(tmp_path / f"oom_results.{name}"), 1, 1) for name in ("csv", "html", "json", "table")
    ]


def test_files_are_for_owner_and_group_whatever_the_umask(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    before = os.umask(0o077)
    try:
        result = write_exports(store, "latest", output_dir=tmp_path)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in result.written} == {0o640}


def test_a_file_that_cannot_be_written_leaves_the_old_ones_whole(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    (tmp_path / "oom_results.json").mkdir()
    (tmp_path / "oom_results.json" / "kept").touch()
    with pytest.raises(OomdbError, match=r"oom_results.json: cannot be written"):
        write_exports(store, "latest", output_dir=tmp_path, backup=False)
    assert (tmp_path / "oom_results.json" / "kept").exists()
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_the_summary_of_a_run_has_a_block_for_each_pod(store: Store) -> None:
    record(store, finding(at=NOON - timedelta(hours=30)), finding("api-1", CRASH_LOOP_BACK_OFF))
    with store.reading() as conn:
        text = render_run_summary(list_instances_of_run(conn, find_run(conn, "latest")), zone=UTC)
    assert (
        text
        == """
==============================================
Report for pod: api-1
==============================================
OOMKilled: 0 instances (no occurrences in this run)
CrashLoopBackOff: 1 instance(s) on 15-Jan-2026, Namespace: shop (cluster: c1)
==============================================

==============================================
Report for pod: shop-1
==============================================
OOMKilled: 1 instance(s) on 14-Jan-2026, Namespace: shop (cluster: c1)
CrashLoopBackOff: 0 instances (no occurrences in this run)
==============================================
"""
    )


def test_the_summary_of_pods_counts_each_kill_once_and_by_the_day_of_the_kill(store: Store) -> None:
    kills = [finding(at=NOON - timedelta(hours=hours)) for hours in (1, 2, 30)]
    for number, kill in enumerate(reversed(kills)):
        record(store, kill, at=NOON + timedelta(hours=number))
        record(store, kill, at=NOON + timedelta(hours=number, minutes=30))
    with store.reading() as conn:
        instances = list_instances_of_pods(conn, "hop")
    assert "OOMKilled: 2 instance(s) on 15-Jan-2026" in render_pod_summary("hop", instances, zone=UTC)
    # 02:00 and 03:00 in the morning of another place are the day before
    text = render_pod_summary("hop", instances, zone=ZoneInfo("Pacific/Honolulu"))
    assert text.splitlines()[4:7] == [
        "OOMKilled: 1 instance(s) on 13-Jan-2026, Namespace: shop (cluster: c1)",
        "OOMKilled: 2 instance(s) on 15-Jan-2026, Namespace: shop (cluster: c1)",
        "CrashLoopBackOff: 0 instances (no occurrences in the history)",
    ]


def test_a_page_that_says_the_same_stays_and_the_next_one_links_to_it(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    write_exports(store, "latest", output_dir=tmp_path, formats=["html"], zone=UTC, generated_at=NOON)
    os.utime(tmp_path / "oom_results.html", (NOON.timestamp(), NOON.timestamp()))
    later = NOON + timedelta(hours=1)
    again = write_exports(store, "latest", output_dir=tmp_path, formats=["html"], zone=UTC, generated_at=later)
    assert (again.written, again.backed_up) == ((), ())

    record(store, finding("shop-2"), at=NOON + timedelta(hours=3))
    third = write_exports(store, "latest", output_dir=tmp_path, formats=["html"], zone=UTC, generated_at=later)
    assert [path.name for path in third.backed_up] == ["oom_results_15-Jan-2026_12-00-00-UTC.html"]
    page = (tmp_path / "oom_results.html").read_text()
    assert '<a href="oom_results_15-Jan-2026_12-00-00-UTC.html">Open report' in page
    fourth = write_exports(store, "latest", output_dir=tmp_path, formats=["html"], zone=UTC, generated_at=later)
    assert fourth.written == ()


def test_a_page_of_somebody_else_is_kept_as_a_past_report(store: Store, tmp_path: Path) -> None:
    record(store, finding())
    (tmp_path / "oom_results.html").write_text("<html>the legacy script's")
    result = write_exports(store, "latest", output_dir=tmp_path, formats=["html"], zone=UTC)
    (backup,) = result.backed_up
    assert backup.read_text() == "<html>the legacy script's"
    assert f'<a href="{backup.name}">' in (tmp_path / "oom_results.html").read_text()


def test_files_that_are_gone_are_told_on_the_page(store: Store, tmp_path: Path) -> None:
    record(store, finding(), with_artifacts=True)
    content = build_content(store, "latest", output_dir=tmp_path)
    assert len(content.missing_files) == 2
    for path in content.missing_files:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    assert build_content(store, "latest", output_dir=tmp_path).missing_files == frozenset()
