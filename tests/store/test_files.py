"""Files that are known."""

from oomdb.store.database import Store
from oomdb.store.files import note_exports
from tests.store.builders import HOSTILE, NOW, ago, change, record, rows, scan


def test_an_export_is_noted_once_and_keeps_its_newest_place(store: Store) -> None:
    run_id = record(store, scan())
    note_exports(store, run_id, [("old.csv", "aa", ago(hours=1), 3), ("new.csv", "aa", ago(hours=1), 3)], run_at=NOW)
    note_exports(store, run_id, [(HOSTILE, "aa", NOW, 3), ("other.csv", "bb", NOW, 0)], run_at=NOW)
    assert rows(store, "SELECT sha256, kind, path, modified_at, run_id, rows FROM import_files ORDER BY 1") == [
        ("aa", "export", HOSTILE, "2026-01-15 15:00:00", run_id, 3),
        ("bb", "export", "other.csv", "2026-01-15 15:00:00", run_id, 0),
    ]


def test_no_files_are_no_row_of_defaults(store: Store) -> None:
    note_exports(store, record(store, scan()), [], run_at=NOW)
    assert rows(store, "SELECT count(*) FROM import_files") == [(0,)]


def test_a_file_is_known_longer_than_its_run(store: Store) -> None:
    note_exports(store, record(store, scan()), [("a.csv", "aa", NOW, 1)], run_at=NOW)
    change(store, "DELETE FROM runs")
    assert rows(store, "SELECT path, run_id FROM import_files") == [("a.csv", None)]
