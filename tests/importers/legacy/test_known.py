"""A run that is stored already is known again: by its file, by its rows, by what oomdb itself exported of it."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomdb.artifacts.local import ArtifactFolder
from oomdb.importers.legacy.run import ImportRequest
from oomdb.store.checks import check_artifacts, check_database
from oomdb.store.database import Store
from tests.importers.legacy.importing import Row, import_paths, rows_of, write_run

FOLDER = "logs_and_description_files"
NAME = "shop__checkout-1__20260115T145900Z__desc.txt"


def test_a_run_without_rows_is_known_again_in_another_folder_whatever_fractions_its_time_has(
    database: Store, tmp_path: Path
) -> None:
    write_run(tmp_path / "runs", written_at=datetime(2026, 1, 15, 15, 0, 0, 750_000, tzinfo=UTC), reached=["prod-a"])
    write_run(tmp_path / "runs", Row(), name="oom_results_16-Jan-2026_12-00-00-UTC")
    import_paths(database, tmp_path / "runs" / "oom_results.csv")
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")  # with its times
    done = import_paths(database, tmp_path / "copy")
    assert [(it.is_stored_already, it.run_id) for it in done.files] == [(True, None), (False, 2)]
    assert rows_of(database, "SELECT count(*) FROM runs") == [(2,)]


def test_two_copies_of_a_run_without_rows_are_one_run(database: Store, tmp_path: Path) -> None:
    path = write_run(tmp_path, written_at=datetime(2026, 1, 15, 15, 0, 0, 750_000, tzinfo=UTC))
    shutil.copy2(path, tmp_path / "oom_results_before_holiday.csv")
    assert [it.run_id for it in import_paths(database, tmp_path).files] == [1, None]


def test_a_file_whose_artifacts_got_other_paths_tells_of_the_same_run(database: Store, tmp_path: Path) -> None:
    for folder in ("/private/tmp/prod-a", "/srv/moved/prod-a"):
        rows = [Row(description_file=f"{folder}/{NAME}"), Row(pod="b", timestamps=";2026-01-15T14:00:00Z")]
        done = import_paths(database, write_run(tmp_path, *rows))
    assert [it.notes for it in done.files] == [("its run is stored already, as run 1",)]
    assert rows_of(database, "SELECT count(*) FROM runs") == [(1,)]


def test_a_file_that_was_half_written_when_it_was_imported_is_stored_beside_it_and_said(
    database: Store, tmp_path: Path
) -> None:
    import_paths(database, write_run(tmp_path, Row()))
    done = import_paths(database, write_run(tmp_path, Row(), Row(pod="checkout-2")))
    assert [it.notes for it in done.files] == [("run 1 of the same moment tells something else: both are stored",)]
    assert rows_of(database, "SELECT count(*) FROM occurrences") == [(2,)]


def test_artifacts_that_came_later_are_added_to_the_run_that_was_imported(database: Store, tmp_path: Path) -> None:
    output = database.path.parent
    write_run(tmp_path / "runs", Row(description_file=f"/tmp/prod-a/{NAME}"), Row(pod="checkout-2"))
    import_paths(database, tmp_path / "runs")
    described = tmp_path / "brought" / "prod-a" / NAME
    described.parent.mkdir(parents=True)
    described.write_text("Name: checkout-1\n")
    request = ImportRequest(
        output_dir=output, legacy_roots=(), artifact_dirs=[tmp_path / "brought"], copy_to=ArtifactFolder(output)
    )
    for added in ("; 1 artifacts were added to it", ""):
        done = import_paths(database, tmp_path / "runs", request=request, again=True)
        assert [it.notes for it in done.files] == [(f"its run is stored already, as run 1{added}",)]
    assert rows_of(database, "SELECT path, status FROM artifacts") == [(f"{FOLDER}/prod-a/{NAME}", "ok")]
    assert rows_of(database, "SELECT pod, artifacts_from FROM findings ORDER BY 1") == [
        ("checkout-1", 1),
        ("checkout-2", None),
    ]
    assert check_database(database) + check_artifacts(database, output, with_contents=True) == []


def test_a_json_that_does_not_name_the_clusters_of_its_csv_is_of_another_run(database: Store, tmp_path: Path) -> None:
    done = import_paths(database, write_run(tmp_path, Row(cluster="a"), reached=["b", "c"]))
    [note] = done.files[0].notes
    assert note == "oom_results.json was not used: it does not name the cluster 'a' of the CSV: it is of another run"
    assert rows_of(database, "SELECT cluster, status FROM run_clusters") == [("a", "complete")]


WRITTEN_AT = ("2026-01-15 15:00:00", "mtime")


@pytest.mark.parametrize(
    ("started_at", "dated"),
    [
        ("2026-01-10T09:00:00Z", ("2026-01-10 09:00:00", "json")),
        ("2026-01-10T14:00:00.75+05:00", ("2026-01-10 09:00:00", "json")),
        ("2026-01-10T09:00:00", WRITTEN_AT),  # of no zone
        ("2062-01-10T09:00:00Z", WRITTEN_AT),
        ("0001-01-01T00:00:00+14:00", WRITTEN_AT),
        ("yesterday", WRITTEN_AT),
    ],
)
def test_an_export_that_another_database_wrote_says_itself_when_its_run_was(
    database: Store, tmp_path: Path, started_at: str, dated: tuple[str, str]
) -> None:
    path = write_run(tmp_path, Row())
    metadata = {"time_range": "1d", "format": 1, "run": 7, "started_at": started_at}
    path.with_suffix(".json").write_text(json.dumps({"prod-a": {}, "_metadata": metadata}))
    import_paths(database, tmp_path)
    assert rows_of(database, "SELECT run_at, time_evidence FROM import_files") == [dated]
