"""Forty-one runs of 28 versions of the legacy script, imported, against what its own functions say of them.

`tests/data/legacy`: the CSVs as they were written; of each JSON the clusters alone; the legacy functions' series
("golden": [label, OOM rows, crash rows] per run); when the files were written; what truly happened to the pods in them.
"""

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.queries.selection import find_run
from oomdb.queries.series import RunPoint, read_series
from oomdb.store.checks import check_database
from oomdb.store.database import Store
from oomdb.timespan import parse_span
from tests.importers.legacy.importing import import_paths, new_store, rows_of

DATA = Path(__file__).parents[2] / "data" / "legacy"
GOLDEN: Mapping[str, Any] = json.loads((DATA / "golden-series.json").read_text())
NOTHING_FOUND = "oom_results_30-Jan-2026_09-03-27-EDT.csv"
PROMETHEUS = (
    " (Prometheus-detected)"  # counted by their types in the golden series, as types of their own here (quirk 35)
)

Counts = tuple[int, int]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder, with the times at which its files were written."""
    folder = tmp_path_factory.mktemp("legacy") / "fleet-b"
    shutil.copytree(DATA / "fleet-b", folder)
    for name, mtime in json.loads((DATA / "mtimes.json").read_text()).items():
        os.utime(folder / name, (mtime, mtime))
    return folder


@pytest.fixture(scope="module")
def store(fleet: Path) -> Iterator[Store]:
    """Return a database with all of it."""
    with new_store(fleet.parent / "oomdb.sqlite") as opened:
        done = import_paths(opened, fleet)
        assert [it.failed for it in done.files if it.failed] == []
        assert len(done.files) == 41
        yield opened


@pytest.mark.parametrize("plot_range", ["7d", "1M", "2M", "12M"])
def test_the_totals_of_each_run_are_those_of_the_legacy_script(store: Store, plot_range: str) -> None:
    golden = [(oom, crash) for _, oom, crash in GOLDEN[plot_range]["all"]]
    assert [_count(point) for point in _read_points(store, plot_range)] == golden


@pytest.mark.parametrize("plot_range", ["7d", "1M", "2M", "12M"])
def test_the_series_of_each_cluster_are_those_of_the_legacy_script(store: Store, plot_range: str) -> None:
    ours: defaultdict[str, list[Counts]] = defaultdict(list)
    for point in _read_points(store, plot_range):
        for cluster in {cluster for cluster, _ in point.rows}:  # the golden series lack a run without rows of a cluster
            ours[cluster].append(_count(point, cluster))
    golden = {
        cluster: [(oom, crash) for _, oom, crash in points]
        for cluster, points in GOLDEN[plot_range]["by_cluster"].items()
    }
    assert ours == golden


def test_a_run_that_reached_every_cluster_and_found_nothing_is_a_zero(store: Store) -> None:
    [point] = [it for it in _read_points(store, "12M") if not it.rows]
    assert point.started_at == datetime(2026, 1, 29, 14, 4, 1, tzinfo=UTC)
    assert Counter(point.statuses.values()) == {"complete": 6}


@pytest.mark.parametrize(
    ("day", "cluster"),
    [("2025-12-15", "kflux-rhel-p01"), ("2026-01-20", "kube:admin"), ("2026-02-11", "stone-prod-p01")],
)
def test_a_cluster_that_was_unreachable_is_unknown_by_its_absence_from_the_json(
    store: Store, day: str, cluster: str
) -> None:
    [point] = [it for it in _read_points(store, "12M") if f"{it.started_at:%Y-%m-%d}" == day]
    assert {name for name, status in point.statuses.items() if status == "unknown"} == {cluster}


def test_every_run_is_dated_within_seconds_of_when_its_files_were_written(store: Store, fleet: Path) -> None:
    dated = rows_of(store, "SELECT path, run_at, time_evidence FROM import_files")
    apart = {
        Path(path).name: abs(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() - Path(path).stat().st_mtime)
        for path, at, _ in dated
    }
    assert {name for name, seconds in apart.items() if seconds > 10} == set()
    assert [Path(path).name for path, _, evidence in dated if evidence != "artifacts"] == [NOTHING_FOUND]


def test_without_their_times_the_files_are_dated_all_the_same(fleet: Path, tmp_path: Path) -> None:
    # as git, unzip and rsync without -t leave them: the one without artifacts is dated by the name before it, since
    # backups then had the time of the next run (quirk 1)
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in fleet.iterdir():
        shutil.copyfile(path, copied / path.name)
    with new_store(tmp_path / "oomdb.sqlite") as other:
        done = import_paths(other, copied)
        [row] = rows_of(other, f"SELECT run_at, time_evidence FROM import_files WHERE path LIKE '%{NOTHING_FOUND}'")
    assert "share one minute of modification" in done.warnings[0]
    assert row == ("2026-01-29 14:04:01", "name")


def test_kills_and_loops_are_counted_once_however_many_runs_tell_of_them(store: Store) -> None:
    happened = Counter[tuple[str, ...]]()
    for *place, type_, times in json.loads((DATA / "truth.json").read_text()):
        happened[*place, type_] += len(times) if type_ == OOM_KILLED else 1
    rows = dict(rows_of(store, "SELECT type, sum(rows) FROM run_counts GROUP BY type"))
    counted = rows_of(store, "SELECT cluster, namespace, pod, type, count(*) FROM occurrences GROUP BY 1, 2, 3, 4")
    kills = {tuple(place): count for *place, count in counted if place[-1] == OOM_KILLED}
    assert rows[OOM_KILLED] == 473
    assert sum(kills.values()) == 134
    assert rows[OOM_KILLED] / sum(kills.values()) > 3
    # of a kill that truly happened there is never more than one
    assert {place: count for place, count in kills.items() if place in happened and count > happened[place]} == {}


def test_the_database_holds_together(store: Store) -> None:
    assert check_database(store) == []


def test_a_second_import_changes_nothing(store: Store, fleet: Path) -> None:
    before = _dump(store)
    done = import_paths(store, fleet)
    assert [it.state for it in done.others] == ["known"] * 41
    assert _dump(store) == before


def _dump(store: Store) -> Mapping[str, list[Any]]:
    tables = ("runs", "run_clusters", "run_counts", "findings", "occurrences", "daily_counts", "pods", "artifacts")
    return {name: rows_of(store, f"SELECT * FROM {name}") for name in (*tables, "import_files")}


def _read_points(store: Store, plot_range: str) -> list[RunPoint]:
    span = parse_span(plot_range) if plot_range != "12M" else timedelta(days=365)
    with store.reading() as conn:
        return list(read_series(conn, find_run(conn, "latest"), span).points)


def _count(point: RunPoint, cluster: str | None = None) -> Counts:
    def of_type(type_: str) -> int:
        return sum(
            rows
            for (of, told), rows in point.rows.items()
            if told.removesuffix(PROMETHEUS) == type_ and cluster in (None, of)
        )

    return of_type(OOM_KILLED), of_type(CRASH_LOOP_BACK_OFF)
