"""Which run is reported, and what its rows say of pods with several findings, names and captures."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from oomdb.errors import UsageError
from oomdb.queries.exports import ClusterCoverage
from oomdb.reports.content import ReportRow, build_content
from oomdb.reports.csv_export import render_csv
from oomdb.reports.json_export import render_json
from oomdb.reports.table_export import render_table
from oomdb.store.database import Store
from oomdb.store.runs import begin_run
from tests.store.builders import HOSTILE, NOW, ago, artifact, change, finding, kill, loop, scan, start

from .recording import record_run

LATER = NOW + timedelta(hours=1)


def rows(store: Store, run: int = 1) -> tuple[ReportRow, ...]:
    return build_content(store, run, output_dir=Path("/srv/out")).rows


# --- which run ------------------------------------------------------------------------------------------------------


def test_a_run_that_read_no_cluster_cannot_be_reported(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=1)))))
    record_run(store, scan(status="unreachable", error="connection refused"), at=LATER)
    with pytest.raises(UsageError, match=r"Run 2 could read no cluster.*`oomdb coverage --run 2` says why"):
        rows(store, 2)


def test_a_run_that_still_runs_cannot_be_reported(store: Store) -> None:
    begin_run(store, start(), now=NOW)
    with pytest.raises(UsageError, match=r"Run 1 is running; `oomdb runs` lists"):
        rows(store)


def test_newer_runs_that_are_not_shown_are_told_and_an_unread_one_is_not_recommended(store: Store) -> None:
    record_run(store, scan())
    record_run(store, scan(), at=LATER, scope="--current")
    record_run(store, scan(status="forbidden"), at=LATER + timedelta(hours=1), scope="--contexts b")
    record_run(store, scan(status="unreachable"), at=LATER + timedelta(hours=1))
    begin_run(store, start(at=LATER + timedelta(hours=3)), now=LATER)
    content = build_content(store, "latest", output_dir=Path())
    assert content.run.id == 1
    assert content.newer_of_other_scope is not None
    assert content.newer_unread is not None
    assert (content.newer_of_other_scope.id, content.newer_unread.id) == (2, 4)


def test_of_a_run_asked_for_by_number_nothing_newer_is_told(store: Store) -> None:
    record_run(store, scan())
    record_run(store, scan(), at=LATER, scope="--current")
    content = build_content(store, 1, output_dir=Path())
    assert (content.newer_of_other_scope, content.newer_unread) == (None, None)


def test_coverage_names_every_cluster_of_the_run(store: Store) -> None:
    record_run(store, scan(), scan(cluster="prod-b", status="unreachable", error="timed out"))
    assert build_content(store, 1, output_dir=Path()).clusters == (
        ClusterCoverage(cluster="prod-a", status="complete", error=""),
        ClusterCoverage(cluster="prod-b", status="unreachable", error="timed out"),
    )


# --- rows -----------------------------------------------------------------------------------------------------------


def test_both_types_of_a_pod_have_the_same_sources_labels_and_files(store: Store) -> None:
    oom = replace(finding(kill(ago(hours=2)), container="app"), application="", component="")
    event = replace(loop(ago(hours=1)), source="events")
    files = (artifact(path="x/desc.txt"), artifact(kind="log", path="x/log.txt"))
    record_run(store, scan(oom, finding(event, container="proxy"), artifacts=files))
    first, second = rows(store)
    assert (first.type, second.type) == ("OOMKilled", "CrashLoopBackOff")
    for row in (first, second):
        assert row.sources == ("events", "oc_get_pods")
        assert (row.application, row.component) == ("store", "payments")
        assert (row.description_file, row.pod_log_file) == ("/srv/out/x/desc.txt", "/srv/out/x/log.txt")


def test_of_two_pods_with_one_name_the_newest_tells_labels_and_files(store: Store) -> None:
    old = replace(finding(kill(ago(hours=9)), pod_uid="uid-old"), application="old")
    new = replace(finding(kill(ago(hours=1), container_id="cri-o://n"), pod_uid="uid-new"), application="new")
    files = (artifact(pod_uid="uid-old", path="x/old.txt"), artifact(pod_uid="uid-new", path="x/new.txt"))
    record_run(store, scan(old, new, artifacts=files))
    (row,) = rows(store)
    assert (row.application, row.description_file) == ("new", "/srv/out/x/new.txt")
    assert row.timestamps == ("2026-01-15T06:00:00Z", "2026-01-15T14:00:00Z")


def test_all_instants_of_a_finding_are_listed(store: Store) -> None:
    kills = [kill(ago(hours=hours), container_id=f"cri-o://{hours}") for hours in (3, 2, 1)]
    record_run(store, scan(finding(*kills)))
    assert [len(row.timestamps) for row in rows(store)] == [3]


def test_a_finding_without_an_instant_is_an_empty_timestamp_so_that_its_type_is_not_lost(store: Store) -> None:
    record_run(store, scan(finding(kill(ago(hours=1))), finding(kill(ago(hours=2)), container="b")))
    change(store, "UPDATE findings SET first_at = NULL, last_at = NULL WHERE container = 'b'")
    record_run(store, scan(finding(type_="CrashLoopBackOff")), at=LATER)
    assert rows(store)[0].timestamps == ("", "2026-01-15T14:00:00Z")
    content = build_content(store, 2, output_dir=Path())
    assert content.rows[0].timestamps == ("",)
    pod = json.loads(render_json(content))["prod-a"]["shop"]["checkout-1"]
    assert (pod["oom_timestamps"], pod["crash_timestamps"], pod["sources"]) == ([], [""], [])


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "x\0y"])
def test_a_path_that_leads_out_of_the_output_folder_is_no_artifact(store: Store, path: str) -> None:
    record_run(store, scan(finding(kill(ago(hours=1))), artifacts=(artifact(path=path),)))
    assert rows(store)[0].description_file == ""


def test_an_artifact_that_could_not_be_saved_is_no_file(store: Store) -> None:
    files = (artifact(path="x/desc.txt"), artifact(kind="log", status="error", path="x/log.txt"))
    record_run(store, scan(finding(kill(ago(hours=1))), artifacts=files))
    (row,) = rows(store)
    assert (row.description_file, row.pod_log_file) == ("/srv/out/x/desc.txt", "")


def test_a_relative_output_folder_becomes_absolute(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record_run(store, scan(finding(kill(ago(hours=1))), artifacts=(artifact(path="x/desc.txt"),)))
    (row,) = build_content(store, 1, output_dir=Path("out")).rows
    assert row.description_file == str(tmp_path / "out" / "x" / "desc.txt")


def test_names_that_would_break_anything_pass_through_every_format(store: Store) -> None:
    name = HOSTILE.replace("\x00", "")
    record_run(store, scan(finding(kill(ago(hours=1)), namespace=name, pod=name), cluster=name))
    content = build_content(store, 1, output_dir=Path())
    pod = json.loads(render_json(content))[name][name][name]
    assert pod["pod"] == name
    assert name.replace('"', '""') in render_csv(content).decode()
    assert len(render_table(content).decode().split("\n")) == 5


def test_two_clusters_called_like_the_metadata_stay_two(store: Store) -> None:
    record_run(store, scan(cluster="_metadata"), scan(cluster="_metadata_"), scan(cluster="metadata"))
    document = json.loads(render_json(build_content(store, 1, output_dir=Path())))
    assert set(document) == {"metadata", "_metadata", "_metadata_", "_metadata__"}
    assert set(document["_metadata"]["clusters"]) == {"metadata", "_metadata", "_metadata_"}
