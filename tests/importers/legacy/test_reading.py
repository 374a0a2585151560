"""CSVs as they were written, kept, saved anew and attacked: what is read, and what is said of the rest."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomdb.errors import ImportFileError, UsageError
from oomdb.importers.legacy.csv_table import parse_table
from oomdb.importers.legacy.files import list_legacy_files
from oomdb.importers.legacy.reading import read_file
from oomdb.store.database import Store
from tests.importers.legacy.importing import EIGHT, ELEVEN, NINE, Row, import_paths, rows_of, write_run
from tests.store.builders import HOSTILE

LINE = "prod-a,shop,checkout-1,OOMKilled,2026-01-15T14:00:00Z,oc_get_pods,,"
HEADER = ",".join(EIGHT)


def test_the_three_layouts_are_read_by_their_headers(database: Store, tmp_path: Path) -> None:
    for number, columns in enumerate((EIGHT, NINE, ELEVEN)):
        name = f"oom_results_1{number}-Jan-2026_12-00-00-UTC"
        write_run(tmp_path, Row(application="store", component="api"), name=name, columns=columns)
    import_paths(database, tmp_path)
    rows = rows_of(database, "SELECT tool_version, time_range, application FROM runs JOIN findings ON run_id = id")
    assert sorted(rows) == [("legacy-11", "1d", "store"), ("legacy-8", "", ""), ("legacy-9", "1d", "")]


@pytest.mark.parametrize(
    "data",
    [
        f"{HEADER}\r\n{LINE}\r\n".encode(),
        f"{HEADER}\n{LINE}".encode(),
        f"\ufeff{HEADER}\n{LINE}\n".encode(),
        f"{HEADER}\n{LINE}\n".encode("utf-16"),
        b"Pod,CLUSTER,Namespace,type,timestamps\n checkout-1,prod-a,shop ,oomkilled,2026-01-15T14:00:00Z\n",
    ],
    ids=["crlf", "no-end", "bom", "utf-16", "another-order"],
)
def test_a_row_is_read_however_the_file_was_saved(data: bytes) -> None:
    table = parse_table(data)
    [row] = table.rows
    assert (row.line, row.cluster, row.namespace, row.pod, row.timestamps) == (
        2,
        "prod-a",
        "shop",
        "checkout-1",
        "2026-01-15T14:00:00Z",
    )
    assert (table.bad_rows, table.notes) == ((), ())


def test_quotes_and_line_ends_in_cells_are_read_and_lines_are_counted_as_they_stand() -> None:
    cell = '"kind-dev, ""scratch""'
    table = parse_table(f'{HEADER}\n{cell}\n",shop,a,OOMKilled,,,,\nprod-a,shop\n'.encode())
    assert table.rows[0].cluster == 'kind-dev, "scratch"'
    assert [(bad.line, bad.reason[:16]) for bad in table.bad_rows] == [(4, "2 cells under a ")]


def test_bytes_that_are_no_text_are_shown_and_said() -> None:
    table = parse_table(HEADER.encode() + b"\n" + LINE.encode().replace(b"shop", b"caf\xe9"))
    assert table.rows[0].namespace == r"caf\xe9"
    assert table.notes == (r"line 2: not UTF-8; bytes that are none stand as \xNN in the database",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"name,age\nx,1\n", "line 1: the header has no column 'cluster'"),
        (f"{HEADER},pod\n".encode(), "line 1: the header has the column 'pod' twice"),
        (f'{HEADER}\n"prod-a,shop'.encode(), "line 2: unexpected end of data"),
        (f"{HEADER}\n{LINE}{'x' * 200_000}\n".encode(), "line 2: field larger than field limit"),
        (b"\xff\xfe\x00", "not utf-16"),
    ],
)
def test_what_is_no_table_of_the_legacy_script_is_told_with_line_and_reason(data: bytes, said: str) -> None:
    with pytest.raises(ImportFileError, match=said):
        parse_table(data)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (LINE.replace("checkout-1", "a\0b"), "a NUL byte"),
        (LINE.replace("checkout-1", " "), "no cluster, namespace, pod or type"),
        (LINE + ",more", "9 cells under a header of 8"),
    ],
)
def test_a_bad_row_is_told_and_the_others_are_kept(database: Store, tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "oom_results.csv"
    path.write_text(f"{HEADER}\n{line}\n{LINE}\n")
    [done] = import_paths(database, path).files
    assert (done.failed, done.rows, done.bad_rows) == ("", 1, 1)
    assert done.notes[0].startswith(f"line 2: {said}")
    assert rows_of(database, "SELECT rows, bad_rows FROM import_files") == [(1, 1)]


def test_a_time_that_is_none_is_told_and_its_row_is_kept(database: Store, tmp_path: Path) -> None:
    [done] = import_paths(database, write_run(tmp_path, Row(timestamps="yesterday;2026-01-15T14:00:00Z"))).files
    assert done.notes == ("line 2: no time: 'yesterday'; the row was kept without it",)
    assert rows_of(database, "SELECT first_at FROM findings") == [("2026-01-15 14:00:00",)]


def test_hostile_texts_are_kept_as_texts(database: Store, tmp_path: Path) -> None:
    hostile = HOSTILE.replace("\0", "").strip()
    row = Row(cluster=hostile, namespace="=1+1", pod=f"{hostile}-pod", type="=cmd|' /C calc'!A0", time_range=hostile)
    import_paths(database, write_run(tmp_path, row))
    assert rows_of(database, "SELECT cluster, namespace, pod, type FROM findings") == [
        (hostile, "=1+1", f"{hostile}-pod", row.type)
    ]


def test_a_broken_file_does_not_keep_the_others_from_being_imported(database: Store, tmp_path: Path) -> None:
    write_run(tmp_path, Row())
    (tmp_path / "oom_results_a_b.csv").write_text("no table")
    done = import_paths(database, tmp_path)
    assert [it.run_id for it in done.files] == [1]
    assert [(it.file.path.name, it.state) for it in done.others] == [("oom_results_a_b.csv", "failed")]


def test_a_file_of_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "oom_results.csv"
    with path.open("wb") as file:
        file.truncate(2**30)  # a hole: it takes no room
    with pytest.raises(ImportFileError, match="cut it into parts"):
        read_file(path)


def test_a_pipe_is_not_waited_for(database: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "oom_results.csv")
    done = import_paths(database, tmp_path)
    assert [it.reason for it in done.others] == ["is no ordinary file."]


def test_a_file_that_grows_between_two_looks_is_told_and_not_imported(database: Store, tmp_path: Path) -> None:
    path = write_run(tmp_path, Row())

    def grow() -> None:
        with path.open("a") as file:
            file.write(f"{LINE},,,\n")

    done = import_paths(database, tmp_path, before_import=grow)
    assert [it.failed[:28] for it in done.files] == ["changed while it was importe"]
    assert rows_of(database, "SELECT * FROM runs") == []
    assert [it.failed for it in import_paths(database, tmp_path).files] == [""]


def test_a_symlink_out_of_the_folder_is_not_opened(database: Store, tmp_path: Path) -> None:
    elsewhere = write_run(tmp_path / "elsewhere", Row())
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "oom_results.csv").symlink_to(elsewhere)
    done = import_paths(database, folder)
    assert [it.reason for it in done.others] == [
        "a symlink that leads out of its folder: name the file that it leads to."
    ]


def test_the_same_file_and_a_copy_by_another_name_change_nothing(database: Store, tmp_path: Path) -> None:
    path = write_run(tmp_path, Row())
    (tmp_path / "oom_results_my_copy.csv").write_bytes(path.read_bytes())
    first = import_paths(database, tmp_path)
    path.rename(tmp_path / "oom_results_15-Jan-2026_15-00-00-UTC.csv")
    second = import_paths(database, tmp_path)
    assert (len(first.files), [it.state for it in first.others]) == (1, ["copy"])
    assert (len(second.files), [it.state for it in second.others]) == (0, ["known", "known"])


def test_runs_that_found_nothing_are_known_by_path_and_time(database: Store, tmp_path: Path) -> None:
    for day in (14, 15):
        at = datetime(2026, 1, day, 12, tzinfo=UTC)
        write_run(tmp_path, name=f"oom_results_{day}-Jan-2026_12-00-00-UTC", written_at=at, reached=["prod-a"])
    assert len(import_paths(database, tmp_path).files) == 2
    assert import_paths(database, tmp_path).files == ()
    assert rows_of(database, "SELECT status FROM run_clusters") == [("complete",), ("complete",)]


def test_a_cluster_that_nothing_tells_of_is_unknown_and_never_zero(database: Store, tmp_path: Path) -> None:
    write_run(tmp_path, Row(cluster="a"), Row(cluster="b"), name="oom_results_14-Jan-2026_12-00-00-UTC")
    write_run(tmp_path, Row(cluster="a", timestamps=""))
    import_paths(database, tmp_path)
    assert rows_of(
        database, "SELECT cluster, run_clusters.status, runs.status FROM run_clusters JOIN runs ON id = run_id"
    ) == [
        ("a", "complete", "complete"),
        ("b", "complete", "complete"),
        ("a", "complete", "partial"),
        ("b", "unknown", "partial"),
    ]


def test_a_json_that_was_renamed_a_second_later_is_of_the_same_run(tmp_path: Path) -> None:
    write_run(tmp_path, name="oom_results_14-Jan-2026_12-00-00-EST")
    beside = tmp_path / "oom_results_14-Jan-2026_12-00-01-EST.json"
    beside.write_text(json.dumps({"prod-a": {}}))
    assert [file.json_path for file in list_legacy_files([tmp_path])] == [beside]


def test_a_broken_json_is_told_and_the_csv_is_imported(database: Store, tmp_path: Path) -> None:
    path = write_run(tmp_path, Row())
    path.with_suffix(".json").write_text("{")
    [done] = import_paths(database, tmp_path).files
    assert done.run_id == 1
    assert done.notes[0].startswith("oom_results.json was not used: ")


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_path_without_runs_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        list_legacy_files([tmp_path / name])
