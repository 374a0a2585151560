"""Descriptions and logs: found where they may be, copied when asked, and nothing opened elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from oomdb.artifacts.local import ArtifactFolder
from oomdb.importers.legacy.run import ImportRequest
from oomdb.store.checks import check_artifacts, check_database
from oomdb.store.database import Store
from tests.importers.legacy.importing import Row, import_paths, rows_of, write_run

NAME = "shop__checkout-1__20260115T145900Z__desc.txt"
FOLDER = "logs_and_description_files"
TEXT = "Name: checkout-1\n"


def save(path: Path, text: str = TEXT) -> Path:
    """Write an artifact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def find(
    store: Store,
    runs: Path,
    described_at: Path | str,
    *,
    beside: Sequence[Path] = (),
    legacy_root: Path | None = None,
    copy: bool = False,
) -> list[Any]:
    """Import a run whose row names a description, and return what the database says of it."""
    output = store.path.parent
    request = ImportRequest(
        output_dir=output,
        artifact_dirs=beside,
        legacy_roots=[legacy_root] if legacy_root else [],
        copy_to=ArtifactFolder(output) if copy else None,
    )
    import_paths(store, write_run(runs, Row(description_file=str(described_at))), request=request)
    assert check_database(store) + check_artifacts(store, output, with_contents=True) == []
    return rows_of(store, "SELECT status, path, message FROM artifacts")


def test_one_in_the_output_folder_is_found_and_not_copied(database: Store) -> None:
    output = database.path.parent
    path = save(output / FOLDER / "prod-a" / NAME)
    assert find(database, output, path, copy=True) == [("ok", f"{FOLDER}/prod-a/{NAME}", "")]
    assert rows_of(database, "SELECT artifacts_from FROM findings") == [(1,)]


def test_one_of_a_moved_folder_is_found_by_the_end_of_its_path_and_copied(database: Store, tmp_path: Path) -> None:
    save(tmp_path / "moved" / FOLDER / "prod-a" / NAME)
    told = f"/srv/gone/output/{FOLDER}/prod-a/{NAME}"
    assert find(database, tmp_path / "moved", told, copy=True) == [("ok", f"{FOLDER}/prod-a/{NAME}", "")]
    assert (database.path.parent / FOLDER / "prod-a" / NAME).read_text() == TEXT


def test_one_that_is_not_copied_says_where_it_lies(database: Store, tmp_path: Path) -> None:
    path = save(tmp_path / "moved" / FOLDER / "prod-a" / NAME)
    [(status, saved, message)] = find(database, tmp_path / "moved", path)
    assert (status, saved) == ("error", "")
    assert message == f"not in the output folder, and not copied (--copy-artifacts): {path}"


def test_one_of_the_first_versions_is_found_where_they_wrote_it(database: Store, tmp_path: Path) -> None:
    path = save(tmp_path / "tmp" / "prod-a" / NAME)
    [(status, _, _)] = find(database, tmp_path / "runs", path, legacy_root=tmp_path / "tmp", copy=True)
    assert status == "ok"


def test_one_of_a_backup_is_found_in_the_folder_that_is_named(database: Store, tmp_path: Path) -> None:
    save(tmp_path / "backup" / "prod-a" / NAME)
    [(status, _, _)] = find(
        database, tmp_path / "runs", f"/private/tmp/prod-a/{NAME}", beside=[tmp_path / "backup"], copy=True
    )
    assert status == "ok"


def test_one_that_was_copied_before_the_import_was_cut_short_is_not_copied_again(
    database: Store, tmp_path: Path
) -> None:
    path = save(tmp_path / "moved" / FOLDER / "prod-a" / NAME)
    save(database.path.parent / FOLDER / "prod-a" / NAME)
    find(database, tmp_path / "moved", path, copy=True)
    assert [it.name for it in (database.path.parent / FOLDER / "prod-a").iterdir()] == [NAME]


def test_one_that_is_gone_is_counted_and_not_stored(database: Store, tmp_path: Path) -> None:
    told = f"/srv/gone/{FOLDER}/prod-a/{NAME}"
    request = ImportRequest(output_dir=tmp_path, legacy_roots=())
    [done] = import_paths(database, write_run(tmp_path / "runs", Row(description_file=told)), request=request).files
    assert (done.artifacts, done.missing_artifacts) == (0, 1)
    assert rows_of(database, "SELECT * FROM artifacts") == []


@pytest.mark.parametrize(
    "told",
    [
        "/etc/passwd",
        f"/etc/{NAME}",
        f"../../etc/{NAME}",
        f"/srv/{FOLDER}/../{NAME}",
        f"/srv/{FOLDER}/prod-a/../../../etc/passwd",
        "=HYPERLINK(1)",
        f"{FOLDER}/x\ny/{NAME}/passwd",
    ],
)
def test_a_path_elsewhere_is_kept_as_text_and_nothing_is_opened(database: Store, tmp_path: Path, told: str) -> None:
    [(status, saved, message)] = find(database, tmp_path / "runs", told, copy=True)
    assert (status, saved) == ("error", "")
    assert message.startswith("not opened: ")
    assert message.endswith(told)
    assert not (database.path.parent / FOLDER).exists()


@pytest.mark.parametrize("link", ["file", "folder", "root"])
def test_a_symlink_is_not_followed(database: Store, tmp_path: Path, link: str) -> None:
    secret = save(tmp_path / "secret" / "prod-a" / NAME, "a key")
    runs = tmp_path / "runs"
    place = {"file": runs / FOLDER / "prod-a" / NAME, "folder": runs / FOLDER / "prod-a", "root": runs / FOLDER}[link]
    place.parent.mkdir(parents=True)
    place.symlink_to({"file": secret, "folder": secret.parent, "root": secret.parents[1]}[link])
    [(status, saved, message)] = find(database, runs, f"/srv/{FOLDER}/prod-a/{NAME}", copy=True)
    assert (status, saved, message[:12]) == ("error", "", "not opened: ")
    assert not (database.path.parent / FOLDER).exists()


def test_a_cluster_whose_name_leads_out_of_a_folder_has_no_artifacts_there(database: Store, tmp_path: Path) -> None:
    save(tmp_path / NAME, "a key")
    request = ImportRequest(output_dir=tmp_path / "out", artifact_dirs=[tmp_path / "backup"], legacy_roots=())
    row = Row(cluster="..", description_file=f"/tmp/x/{NAME}")
    import_paths(database, write_run(tmp_path / "runs", row), request=request)
    assert [status for (status,) in rows_of(database, "SELECT status FROM artifacts")] == ["error"]
