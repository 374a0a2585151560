"""Whether a run could write where it wants to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomdb.collect.folders import ROOM_FOR_A_RUN_BYTES, ROOM_FOR_ARTIFACTS_BYTES, check_folders
from oomdb.model import Check

PLENTY = 10 * 2**30


def look(
    output: Path,
    database: Path | None = None,
    *,
    free_bytes: int = PLENTY,
    may_write: Callable[[Path], bool] = lambda _: True,
) -> list[Check]:
    return check_folders(output, database, may_write=may_write, measure_free_bytes=lambda _: free_bytes)


def test_a_folder_that_can_be_written_is_one_check_also_for_the_database_in_it(tmp_path: Path) -> None:
    (check,) = look(tmp_path, tmp_path / "oomdb.sqlite")
    assert (check.subject, check.status) == ("disk", "ok")
    assert check.message == f"{tmp_path} can be written, 10.0 GiB left"


def test_a_database_elsewhere_is_a_check_of_its_own(tmp_path: Path) -> None:
    output, elsewhere = tmp_path / "output", tmp_path / "elsewhere"
    output.mkdir()
    elsewhere.mkdir()
    assert [check.message.partition(" ")[0] for check in look(output, elsewhere / "oomdb.sqlite")] == [
        str(output),
        str(elsewhere),
    ]


def test_a_folder_that_is_not_there_is_judged_by_the_one_in_which_it_would_be_made(tmp_path: Path) -> None:
    (check,) = look(tmp_path / "new" / "output", tmp_path / "new" / "oomdb.sqlite")
    assert check.message.startswith(f"{tmp_path} can be written")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_fails_with_what_to_do(tmp_path: Path) -> None:
    (check,) = look(tmp_path, may_write=lambda _: False)
    assert (check.status, check.message) == ("failed", f"{tmp_path} cannot be written by this user")
    assert check.advice


def test_a_file_where_a_folder_should_be_fails(tmp_path: Path) -> None:
    file = tmp_path / "output"
    file.write_text("")
    (check,) = check_folders(file / "below", None)
    assert (check.status, check.message) == ("failed", f"{file} is no folder, so nothing can be written below it")


def test_a_link_that_leads_nowhere_fails(tmp_path: Path) -> None:
    (tmp_path / "output").symlink_to(tmp_path / "gone")
    (check,) = check_folders(tmp_path / "output", None)
    assert check.status == "failed"


def test_a_database_that_is_read_only_fails(tmp_path: Path) -> None:
    database = tmp_path / "oomdb.sqlite"
    database.write_text("x")
    checks = look(tmp_path, database, may_write=lambda path: path != database)
    assert [check.status for check in checks] == ["ok", "failed"]
    assert checks[1].message == f"{database} is read-only for this user: no run can be recorded"


@pytest.mark.parametrize(
    ("free_bytes", "status"),
    [
        (ROOM_FOR_ARTIFACTS_BYTES, "ok"),
        (ROOM_FOR_ARTIFACTS_BYTES - 1, "warning"),
        (ROOM_FOR_A_RUN_BYTES, "warning"),
        (ROOM_FOR_A_RUN_BYTES - 1, "failed"),
        (0, "failed"),
    ],
)
def test_little_room_is_warned_of_and_none_fails(tmp_path: Path, free_bytes: int, status: str) -> None:
    (check,) = look(tmp_path, free_bytes=free_bytes)
    assert check.status == status


def test_a_copy_of_the_database_must_fit_beside_it(tmp_path: Path) -> None:
    database = tmp_path / "oomdb.sqlite"
    database.write_bytes(b"x" * 4096)
    (enough,) = look(tmp_path, database, free_bytes=ROOM_FOR_ARTIFACTS_BYTES + 4096)
    (too_little,) = look(tmp_path, database, free_bytes=ROOM_FOR_ARTIFACTS_BYTES + 4095)
    assert (enough.status, too_little.status) == ("ok", "warning")


def test_a_disk_that_cannot_be_asked_fails(tmp_path: Path) -> None:
    def fail(_: Path) -> int:
        raise OSError(5, "Input/output error")

    (check,) = check_folders(tmp_path, None, measure_free_bytes=fail)
    assert (check.status, check.message) == ("failed", f"{tmp_path} cannot be looked at: Input/output error")


def test_without_stand_ins_the_real_disk_is_measured(tmp_path: Path) -> None:
    (check,) = check_folders(tmp_path, tmp_path / "oomdb.sqlite")
    assert str(tmp_path) in check.message
