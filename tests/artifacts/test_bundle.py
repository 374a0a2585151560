"""Tarballs: the same texts make the same bytes, nothing outside enters, nothing is written over."""

import errno
import gzip
import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oomdb.artifacts.bundle import Bundle, tarball_stem, write_bundle
from oomdb.artifacts.local import ArtifactFolder
from oomdb.errors import ArtifactError

STEM = "OOMKilled-checkout-1-instance-28th-Jan-2026"
DESC = "logs_and_description_files/prod-a/shop__checkout-1__20260128T100000Z__desc.txt"
LOG = "logs_and_description_files/prod-a/shop__checkout-1__20260128T100000Z__log.txt"


def put(output: Path, path: str, content: bytes) -> None:
    file = output / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def bundle(output: Path, *paths: str, stamp: str = "10-30", into: Path | None = None) -> Bundle:
    texts = dict.fromkeys(paths, "")
    return write_bundle(ArtifactFolder(output), ArtifactFolder(into or output), STEM, texts, stamp=stamp)


def contents(tarball: Path) -> dict[str, bytes]:
    with tarfile.open(tarball) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return an output folder with the texts of one pod."""
    put(tmp_path / "output", DESC, b"Name: checkout-1\n")
    put(tmp_path / "output", LOG, b"=== log ===\n" * 100_000)
    return tmp_path / "output"


def test_a_tarball_holds_the_texts_in_one_folder_of_its_name(output: Path) -> None:
    made = bundle(output, LOG, DESC)
    assert made == Bundle(f"tarballs/{STEM}.tgz", is_new=True)
    assert contents(output / made.path) == {
        f"{STEM}/prod-a/shop__checkout-1__20260128T100000Z__desc.txt": b"Name: checkout-1\n",
        f"{STEM}/prod-a/shop__checkout-1__20260128T100000Z__log.txt": b"=== log ===\n" * 100_000,
    }


def test_the_same_texts_make_the_same_bytes_whatever_their_times_modes_and_order(output: Path, tmp_path: Path) -> None:
    first = output / bundle(output, LOG, DESC).path
    for path in (LOG, DESC):
        (output / path).chmod(0o600)
        os.utime(output / path, (1, 1))
    second = tmp_path / "elsewhere" / bundle(output, DESC, LOG, DESC, into=tmp_path / "elsewhere").path
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[3:8] == bytes(5)  # gzip: no name, no time
    with tarfile.open(first) as tar:
        assert {(it.mode, it.uid, it.gid, it.uname, it.gname) for it in tar} == {(0o644, 0, 0, "", "")}
        assert len({it.mtime for it in tar}) == 1


def test_a_tarball_that_holds_the_same_is_left_alone(output: Path) -> None:
    first = bundle(output, DESC)
    assert bundle(output, DESC, stamp="11-45") == Bundle(first.path, is_new=False)
    assert os.listdir(output / "tarballs") == [f"{STEM}.tgz"]


def test_of_two_bundlings_at_a_time_of_the_same_texts_one_makes_the_tarball(output: Path) -> None:
    def be_slower(aside: Path, final: Path) -> None:
        if not final.exists():
            bundle(output, DESC)
        final.hardlink_to(aside)

    target = ArtifactFolder(output, link=be_slower)
    made = write_bundle(ArtifactFolder(output), target, STEM, {DESC: ""}, stamp="10-30")
    assert made == Bundle(f"tarballs/{STEM}.tgz", is_new=False)
    assert os.listdir(output / "tarballs") == [f"{STEM}.tgz"]


def test_of_two_bundlings_at_a_time_of_other_texts_both_make_a_tarball(output: Path) -> None:
    def be_slower(aside: Path, final: Path) -> None:
        if final.name == f"{STEM}.tgz" and not final.exists():
            bundle(output, LOG)
        final.hardlink_to(aside)

    target = ArtifactFolder(output, link=be_slower)
    made = write_bundle(ArtifactFolder(output), target, STEM, {DESC: ""}, stamp="10-30")
    assert made == Bundle(f"tarballs/{STEM}-10-30.tgz", is_new=True)


def test_a_tarball_of_other_content_keeps_its_name_and_the_new_one_gets_the_time(output: Path) -> None:
    names = [
        bundle(output, DESC).path,
        bundle(output, DESC, LOG).path,
        bundle(output, LOG).path,
        bundle(output, LOG, stamp="23-59").path,  # as the one before: nothing new
    ]
    assert names == [
        f"tarballs/{STEM}.tgz",
        f"tarballs/{STEM}-10-30.tgz",
        f"tarballs/{STEM}-10-30-2.tgz",
        f"tarballs/{STEM}-10-30-2.tgz",
    ]
    assert len(contents(output / names[0])) == 1


def test_a_text_that_is_another_than_was_captured_is_bundled_and_named(output: Path) -> None:
    texts = {path: hashlib.sha256((output / path).read_bytes()).hexdigest() for path in (DESC, LOG)}
    put(output, DESC, b"another")
    folder = ArtifactFolder(output)
    made = [write_bundle(folder, folder, STEM, texts, stamp="10-30") for _ in range(2)]
    told = f"'{DESC}' was changed since it was captured; it is bundled as it is now"
    assert [(it.is_new, it.changed, it.problems) for it in made] == [(True, (told,), ()), (False, (told,), ())]
    assert b"another" in contents(output / made[0].path).values()


def test_one_packed_by_another_gzip_is_the_same_tarball(output: Path) -> None:
    path = bundle(output, DESC, LOG).path
    (output / path).write_bytes(gzip.compress(gzip.decompress((output / path).read_bytes()), compresslevel=1))
    assert bundle(output, DESC, LOG) == Bundle(path, is_new=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(bytes(2**24), mtime=0), gzip.compress(b"x", mtime=0)[:-9]],
    ids=["empty", "no gzip", "a bomb", "cut"],
)
def test_what_is_no_such_tarball_is_not_touched(output: Path, content: bytes) -> None:
    put(output, f"tarballs/{STEM}.tgz", content)
    made = bundle(output, DESC)
    assert made.path == f"tarballs/{STEM}-10-30.tgz"
    assert (output / "tarballs" / f"{STEM}.tgz").read_bytes() == content


@pytest.mark.parametrize(
    "path",
    [
        "oomdb.sqlite",
        "/etc/passwd",
        "../outside.txt",
        "tarballs/other.tgz",
        "logs_and_description_files",
        "logs_and_description_files/",
        "logs_and_description_files/../oomdb.sqlite",
        "logs_and_description_files/prod-a/../../oomdb.sqlite",
        "logs_and_description_files//etc/passwd",
        "logs_and_description_files/prod-a",
        "logs_and_description_files/prod-a/link.txt",
        "logs_and_description_files/linked/passwd",
        "logs_and_description_files/prod-a/pipe",
        "logs_and_description_files/prod-a/missing.txt",
        "logs_and_description_files/prod-a/a\0b",
    ],
)
def test_nothing_but_files_of_the_artifacts_folder_enters(output: Path, path: str) -> None:
    put(output, "oomdb.sqlite", b"secret")
    put(output.parent, "outside.txt", b"secret")
    folder = output / "logs_and_description_files"
    (folder / "prod-a" / "link.txt").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    os.mkfifo(folder / "prod-a" / "pipe")
    made = bundle(output, path, DESC)
    assert list(contents(output / made.path)) == [f"{STEM}/prod-a/shop__checkout-1__20260128T100000Z__desc.txt"]
    assert len(made.problems) == 1
    assert bundle(output, path).path == ""


def test_a_tarballs_folder_that_leads_elsewhere_is_refused(output: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (output / "tarballs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="leads out of the output folder"):
        bundle(output, DESC)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_full_disk_leaves_nothing_half_written(output: Path) -> None:
    def write_half(descriptor: int, piece: memoryview) -> int:
        if len(piece) > 1:
            return os.write(descriptor, piece[: len(piece) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = ArtifactFolder(output, write_bytes=write_half)
    with pytest.raises(ArtifactError, match="No space left on device; free some space"):
        write_bundle(folder, folder, STEM, {DESC: "", LOG: ""}, stamp="10-30")
    assert os.listdir(output / "tarballs") == []


def bundle_while(change: Callable[[], None], output: Path) -> Bundle:
    """Bundle a large log, and change it once a part of it was written."""
    put(output, LOG, os.urandom(2**22))
    written = 0

    def write_and_change(descriptor: int, piece: memoryview) -> int:
        nonlocal written
        if written < 2**20 <= written + len(piece):
            change()
        written += len(piece)
        return os.write(descriptor, piece)

    target = ArtifactFolder(output, write_bytes=write_and_change)
    return write_bundle(ArtifactFolder(output), target, STEM, {DESC: "", LOG: ""}, stamp="10-30")


def test_a_text_that_grows_meanwhile_is_taken_as_long_as_it_was(output: Path) -> None:
    made = bundle_while(lambda: os.truncate(output / LOG, 2**23), output)
    assert max(map(len, contents(output / made.path).values())) == 2**22


def test_a_text_that_shrinks_meanwhile_makes_no_tarball(output: Path) -> None:
    with pytest.raises(ArtifactError, match="became shorter"):
        bundle_while(lambda: os.truncate(output / LOG, 0), output)
    assert os.listdir(output / "tarballs") == []


@pytest.mark.parametrize(
    ("type_", "name", "stem"),
    [
        ("OOMKilled", "checkout-1", "OOMKilled-checkout-1-instance-28th-Jan-2026"),
        ("CrashLoopBackOff", "ip-10-0.ec2.internal", "CrashLoopBackOff-ip-10-0.ec2.internal-instance-28th-Jan-2026"),
    ],
)
def test_an_ordinary_name_stands_in_the_tarballs_name_as_it_was_typed(type_: str, name: str, stem: str) -> None:
    assert tarball_stem(type_, name, "28th-Jan-2026") == stem


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a\nb", "x" * 5000, "💥", "=1+1", "..", "%00", "a b"])
def test_any_text_becomes_one_plain_file_name(name: str) -> None:
    stem = tarball_stem(name, name, "28th-Jan-2026")
    assert set(stem) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
    assert len(f"{stem}-10-30-999999.tgz") <= 255
    assert stem != tarball_stem("OOMKilled", name + "x", "28th-Jan-2026")
