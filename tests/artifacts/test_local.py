"""Artifact files are written whole, under safe names, never over one another and never outside."""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from oomdb.artifacts.local import ABANDONED_AFTER_SECONDS, ArtifactFolder
from oomdb.errors import ArtifactError

AT = datetime(2026, 1, 15, 15, 4, 5, 999, tzinfo=UTC)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_file_is_written_under_its_documented_name(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path / "output")
    written = folder.write("prod-1", "shop", "web-0", AT, "description", [b"text\xff"])
    assert written.path == "logs_and_description_files/prod-1/shop__web-0__20260115T150405Z__desc.txt"
    assert (written.size_bytes, written.sha256) == (5, hashlib.sha256(b"text\xff").hexdigest())
    assert (tmp_path / "output" / written.path).read_bytes() == b"text\xff"
    log = folder.write("prod-1", "shop", "web-0", AT, "log", [b""])
    assert log.path == "logs_and_description_files/prod-1/shop__web-0__20260115T150405Z__log.txt"
    assert files(tmp_path / "output") == sorted([written.path, log.path])


def test_the_time_in_a_name_is_utc(tmp_path: Path) -> None:
    at = AT.astimezone(timezone(timedelta(hours=-5)))
    assert "__20260115T150405Z__" in ArtifactFolder(tmp_path).write("c", "n", "p", at, "log", [b""]).path


@pytest.mark.usefixtures("any_umask")
def test_modes_are_exact_whatever_the_umask(tmp_path: Path) -> None:
    written = ArtifactFolder(tmp_path / "output").write("prod-1", "shop", "web-0", AT, "log", [b"x"])
    path = tmp_path / "output" / written.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    for folder in (path.parent, path.parent.parent, tmp_path / "output"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_modes_can_be_chosen_and_existing_folders_keep_theirs(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    folder = ArtifactFolder(tmp_path, file_mode=0o600, folder_mode=0o700)
    path = tmp_path / folder.write("prod-1", "shop", "web-0", AT, "log", [b"x"]).path
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, tmp_path)] == [0o600, 0o700, 0o711]


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_is_never_overwritten(tmp_path: Path, hard_links: bool) -> None:
    def refuse(aside: Path, final: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    folder = ArtifactFolder(tmp_path) if hard_links else ArtifactFolder(tmp_path, link=refuse)
    paths = [folder.write("c", "shop", "web-0", AT, "description", [bytes([n])]).path for n in range(3)]
    assert [path.split("__")[-1] for path in paths] == ["desc.txt", "desc-2.txt", "desc-3.txt"]
    assert [folder.read(path) for path in paths] == [b"\0", b"\1", b"\2"]
    assert files(tmp_path) == sorted(paths)


def test_many_threads_may_write_files_of_one_name(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)

    def write(number: int) -> tuple[str, bytes]:
        content = b"%d" % number * 5000
        return folder.write("c", "shop", "web-0", AT, "log", [content]).path, content

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(40)))
    assert len({path for path, _ in written}) == 40
    assert all(folder.read(path) == content for path, content in written)


HOSTILE = ["../../etc/passwd", "..", ".", "", "a\nb", "a\0b", "🧨<script>", "x" * 300, "/etc", "con", "\ud800"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_and_apart(tmp_path: Path, name: str) -> None:
    output = tmp_path / "output"
    folder = ArtifactFolder(output)
    first = folder.write(name, name, name, AT, "description", [b"first"]).path
    second = folder.write(name + "!", name + "!", name + "!", AT, "description", [b"second"]).path
    assert (folder.read(first), folder.read(second)) == (b"first", b"second")
    assert files(tmp_path) == sorted(f"output/{path}" for path in (first, second))
    for path in (first, second):
        top, cluster, file = path.split("/")
        assert top == "logs_and_description_files"
        assert max(len(cluster), len(file)) <= 255
        assert file.endswith("__20260115T150405Z__desc.txt")
        assert len(file.split("__")) == 4


def test_long_names_that_differ_at_their_end_do_not_share_a_file(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path)
    paths = {folder.write("c", "n" * 63, "x" * 300 + end, AT, "log", [b""]).path for end in "ab"}
    assert len(paths) == 2
    assert not any(path.endswith("-2.txt") for path in paths)


def test_a_full_disk_leaves_nothing_torn(tmp_path: Path) -> None:
    def fill(descriptor: int, content: memoryview) -> int:
        if len(content) < 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(descriptor, content[:4096])

    folder = ArtifactFolder(tmp_path, write_bytes=fill)
    with pytest.raises(ArtifactError) as caught:
        folder.write("prod-1", "shop", "web-0", AT, "log", [b"x" * 102_400])
    assert str(caught.value) == (
        f"Artifact files cannot be written to '{tmp_path}/logs_and_description_files/prod-1': "
        "No space left on device; free some space."
    )
    assert files(tmp_path) == []


def test_the_last_space_of_a_disk_is_left_to_the_database(tmp_path: Path) -> None:
    free = iter([32 * 2**20, 32 * 2**20 - 1])
    folder = ArtifactFolder(tmp_path, count_free_bytes=lambda _folder: next(free))
    kept = folder.write("prod-1", "shop", "web-0", AT, "description", [b"x"])
    with pytest.raises(ArtifactError) as caught:
        folder.write("prod-1", "shop", "web-0", AT, "log", [b"x"])
    assert str(caught.value) == (
        f"Artifact files cannot be written to '{tmp_path}/logs_and_description_files/prod-1': "
        "less than 32 MiB are free, kept for the database; free some space."
    )
    assert files(tmp_path) == [kept.path]


def test_pieces_are_written_one_after_another_and_hashed_as_one(tmp_path: Path) -> None:
    written = ArtifactFolder(tmp_path).write("c", "n", "p", AT, "log", iter([b"one", b"", b"two"]))
    assert (tmp_path / written.path).read_bytes() == b"onetwo"
    assert (written.size_bytes, written.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())


def test_a_failed_rename_leaves_nothing(tmp_path: Path) -> None:
    def refuse(aside: Path, final: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(ArtifactError, match="Input/output error"):
        ArtifactFolder(tmp_path, link=refuse).write("c", "n", "p", AT, "log", [b"x"])
    assert files(tmp_path) == []


def test_a_failed_rename_without_hard_links_leaves_nothing(tmp_path: Path) -> None:
    def lose(aside: Path, final: Path) -> None:
        aside.unlink()
        raise OSError(errno.ENOTSUP, "no hard links")

    with pytest.raises(ArtifactError, match="No such file"):
        ArtifactFolder(tmp_path, link=lose).write("c", "n", "p", AT, "log", [b"x"])
    assert files(tmp_path) == []


def test_what_a_killed_writer_left_half_written_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    folder = tmp_path / "logs_and_description_files" / "prod-1"
    folder.mkdir(parents=True)
    ages = {".0123456789abcdef.tmp": 1.01, ".fedcba9876543210.tmp": 0.99, ".mine.tmp": 9, "old__desc.txt": 9}
    for name, age in ages.items():
        (folder / name).write_text("half a log")
        os.utime(folder / name, times=(0, time.time() - age * ABANDONED_AFTER_SECONDS))
    written = ArtifactFolder(tmp_path).write("prod-1", "shop", "web-0", AT, "log", [b"x"])
    assert files(folder) == sorted([*list(ages)[1:], Path(written.path).name])


def test_writes_that_the_system_cuts_short_are_continued(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path, write_bytes=lambda descriptor, content: os.write(descriptor, content[:7]))
    content = bytes(range(100))
    assert folder.read(folder.write("c", "n", "p", AT, "log", [content]).path) == content


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs_and_description_files").write_text("in the way")
    with pytest.raises(ArtifactError, match="Not a directory"):
        ArtifactFolder(tmp_path).write("c", "n", "p", AT, "log", [b"x"])


@pytest.mark.parametrize("link", ["logs_and_description_files", "logs_and_description_files/prod-1"])
def test_a_symlink_out_of_the_folder_is_refused(tmp_path: Path, link: str) -> None:
    outside, output = tmp_path / "outside", tmp_path / "output"
    outside.mkdir()
    (output / link).parent.mkdir(parents=True)
    (output / link).symlink_to(outside)
    with pytest.raises(ArtifactError, match="leads out of the output folder"):
        ArtifactFolder(output).write("prod-1", "shop", "web-0", AT, "log", [b"x"])
    assert list(outside.iterdir()) == []


def test_the_output_folder_itself_may_be_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "output").symlink_to(tmp_path / "disk")
    folder = ArtifactFolder(tmp_path / "output")
    assert folder.read(folder.write("c", "n", "p", AT, "log", [b"x"]).path) == b"x"


def test_an_instant_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        ArtifactFolder(tmp_path).write("c", "n", "p", AT.replace(tzinfo=None), "log", [b"x"])


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd", "a\0b"])
def test_paths_out_of_the_folder_are_not_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = ArtifactFolder(tmp_path / "output")
    with pytest.raises(ArtifactError, match="leads out of the output folder"):
        folder.read(path)
    with pytest.raises(ArtifactError, match="leads out of the output folder"):
        folder.absolute(path)


def test_a_symlink_to_a_file_outside_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "innocent").symlink_to(tmp_path / "secret")
    with pytest.raises(ArtifactError, match="leads out of the output folder"):
        ArtifactFolder(tmp_path / "output").read("innocent")


def test_what_is_no_ordinary_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("", "pipe", "loop", "missing"):
        with pytest.raises(ArtifactError, match="no ordinary file"):
            ArtifactFolder(tmp_path).read(name)
    with pytest.raises(ArtifactError, match="File name too long"):
        ArtifactFolder(tmp_path).read("x" * 300)


def test_absolute_paths_name_files_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = ArtifactFolder(Path("output"))
    assert folder.absolute("logs/a b.txt") == f"{tmp_path}/output/logs/a b.txt"
    assert folder.absolute("") == ""
