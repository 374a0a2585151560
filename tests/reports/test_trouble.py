"""Export files where disk, file system or folder are in the way: what was there is never lost."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oomdb.errors import OomdbError, StoreError, UsageError
from oomdb.reports.files import write_exports
from oomdb.store.database import Store, open_for_writing
from tests.store.builders import NOW, ago, finding, kill, rows, scan

from .recording import record_run

OTHER = scan(finding(kill(ago(hours=1)), pod="other-1"))


def write_first(store: Store, folder: Path) -> dict[str, bytes]:
    """Write the exports of one run, record another one, and return what the files hold."""
    record_run(store, scan(finding(kill(ago(hours=1)))))
    write_exports(store, "latest", output_dir=folder)
    for path in folder.iterdir():
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    record_run(store, OTHER, at=NOW + timedelta(hours=1))
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_full_disk_leaves_every_old_file_and_nothing_else(store: Store, tmp_path: Path) -> None:
    before = write_first(store, tmp_path / "out")

    def write_until_full(path: Path, data: bytes) -> None:
        if path.suffix == ".table":
            path.write_bytes(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        path.write_bytes(data)

    with pytest.raises(OomdbError, match=r"cannot be written to '.*out': No space left on device; free some space"):
        write_exports(store, "latest", output_dir=tmp_path / "out", write_bytes=write_until_full)
    assert contents(tmp_path / "out") == before
    assert rows(store, "SELECT count(*) FROM import_files WHERE run_id = 2") == [(0,)]


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(store: Store, tmp_path: Path) -> None:
    record_run(store, OTHER)
    (tmp_path / "file").touch()
    with pytest.raises(OomdbError, match=r"'.*file/out': Not a directory; check that folder, or name another one"):
        write_exports(store, "latest", output_dir=tmp_path / "file" / "out")


def test_a_locked_database_leaves_every_old_file(store: Store, tmp_path: Path) -> None:
    before = write_first(store, tmp_path / "out")
    with (
        open_for_writing(str(store.path), busy_timeout_seconds=0.01) as impatient,
        store.writing(),
        pytest.raises(StoreError, match="another process has been writing for too long"),
    ):
        write_exports(impatient, "latest", output_dir=tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_run_that_read_nothing_leaves_the_files(store: Store, tmp_path: Path) -> None:
    before = write_first(store, tmp_path / "out")
    record_run(store, scan(status="unreachable"), at=NOW + timedelta(hours=2))
    with pytest.raises(UsageError, match="could read no cluster"):
        write_exports(store, 3, output_dir=tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_where_links_are_refused_backups_are_made_by_renaming_and_none_is_replaced(
    store: Store, tmp_path: Path
) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    before = write_first(store, tmp_path)
    taken = tmp_path / "oom_results_15-Jan-2026_15-00-00-UTC.csv"
    taken.write_text("somebody's")
    result = write_exports(store, "latest", output_dir=tmp_path, formats=["csv"], zone=UTC, link=refuse)
    kept = tmp_path / "oom_results_15-Jan-2026_15-00-00-UTC-2.csv"
    assert result.backed_up == (kept,)
    assert kept.read_bytes() == before["oom_results.csv"]
    assert taken.read_text() == "somebody's"
    assert "other-1" in (tmp_path / "oom_results.csv").read_text()


def test_without_backup_the_old_files_are_replaced(store: Store, tmp_path: Path) -> None:
    before = write_first(store, tmp_path / "out")
    result = write_exports(store, "latest", output_dir=tmp_path / "out", backup=False)
    assert result.backed_up == ()
    assert set(contents(tmp_path / "out")) == set(before)


def test_a_pipe_in_a_files_place_is_an_error_and_not_waited_for(store: Store, tmp_path: Path) -> None:
    record_run(store, OTHER)
    os.mkfifo(tmp_path / "oom_results.csv")
    with pytest.raises(OomdbError, match=r"oom_results.csv: cannot be written: it is no ordinary file; move it away"):
        write_exports(store, "latest", output_dir=tmp_path)


def test_a_link_in_a_files_place_is_kept_as_a_backup_and_its_target_is_untouched(store: Store, tmp_path: Path) -> None:
    record_run(store, OTHER)
    (tmp_path / "target").write_text("elsewhere")
    (tmp_path / "oom_results.csv").symlink_to("target")
    result = write_exports(store, "latest", output_dir=tmp_path, formats=["csv"])
    assert [path.read_text() for path in result.backed_up] == ["elsewhere"]
    assert not (tmp_path / "oom_results.csv").is_symlink()
    assert (tmp_path / "target").read_text() == "elsewhere"


@pytest.mark.parametrize("moment", [-1e9, 0.0, 2.5e11])
def test_a_file_of_any_age_can_be_backed_up(store: Store, tmp_path: Path, moment: float) -> None:
    record_run(store, OTHER)
    (tmp_path / "oom_results.csv").touch()
    os.utime(tmp_path / "oom_results.csv", (moment, moment))
    (backup,) = write_exports(store, "latest", output_dir=tmp_path, formats=["csv"], zone=UTC).backed_up
    assert backup.exists()


def test_files_that_stay_are_noted_too_with_their_own_time(store: Store, tmp_path: Path) -> None:
    record_run(store, OTHER)
    write_exports(store, "latest", output_dir=tmp_path, formats=["csv"])
    os.utime(tmp_path / "oom_results.csv", (NOW.timestamp(), NOW.timestamp()))
    with open_for_writing(str(tmp_path / "another.sqlite")) as another:
        record_run(another, OTHER)
        assert write_exports(another, "latest", output_dir=tmp_path, formats=["csv"]).written == ()
        noted = rows(another, "SELECT kind, path, modified_at FROM import_files")
    assert noted == [("export", str(tmp_path / "oom_results.csv"), "2026-01-15 15:00:00")]


def test_a_folder_whose_name_is_not_utf8_is_written_and_noted(store: Store, tmp_path: Path) -> None:
    record_run(store, OTHER)
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    assert [path.name for path in write_exports(store, "latest", output_dir=folder, formats=["csv"]).written] == [
        "oom_results.csv"
    ]
    assert rows(store, "SELECT path FROM import_files") == [(f"{tmp_path}/caf\\udce9/oom_results.csv",)]


def test_the_noted_time_is_the_files(store: Store, tmp_path: Path) -> None:
    record_run(store, OTHER)
    write_exports(store, "latest", output_dir=tmp_path, formats=["csv"])
    at = datetime.fromtimestamp(int((tmp_path / "oom_results.csv").stat().st_mtime), UTC)
    assert rows(store, "SELECT modified_at FROM import_files") == [(f"{at:%Y-%m-%d %H:%M:%S}",)]
