"""Many processes on one database, and processes that die while they write."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from oomdb.store.checks import check_database
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import close_abandoned_runs
from oomdb.store.schema import REVISION
from tests.store.builders import NOW, ago, change, finding, kill, record, rows, scan
from tests.store.recorder import CLUSTERS, FINDINGS, RUNS_EACH
from tests.store.test_migrations import ALTERS_IN_BATCH, migrations_with


def run(mode: str, path: Path, *arguments: str) -> None:
    """Run a mode of the recorder; the processes it starts must all do well, but those it kills."""
    command = [sys.executable, "-m", "tests.store.recorder", mode, str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def assert_nothing_is_torn(store: Store) -> None:
    """Hold that every part of a run that is there is there in full."""
    assert check_database(store) == []
    torn = rows(
        store,
        "SELECT run_id, cluster, count(finding_key) FROM run_clusters LEFT JOIN findings USING (run_id, cluster) "
        f"GROUP BY 1, 2 HAVING count(finding_key) <> {FINDINGS}",
    )
    assert torn == []
    # what all see is stored once, what one sees is stored with the part of the run that saw it
    parts, third = rows(store, "SELECT count(*) FROM run_clusters")[0][0], FINDINGS // 3
    seen = rows(store, "SELECT count(DISTINCT cluster) FROM run_clusters")[0][0]
    assert rows(store, "SELECT count(*) FROM occurrences") == [(parts * third + seen * 2 * third,)]


def test_five_processes_make_one_database(path: Path) -> None:
    run("create", path, "5")
    with open_for_writing(str(path)) as store:
        assert check_database(store) == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_five_processes_upgrade_one_database_and_one_of_them_backs_it_up(path: Path, tmp_path: Path) -> None:
    with open_for_writing(str(path)) as store:
        record(store, scan(finding(kill(ago(hours=1)))))
    migrations = migrations_with(tmp_path, ALTERS_IN_BATCH)
    run("upgrade", path, "5", migrations.folder, migrations.newest)
    with open_for_writing(str(path), migrations=migrations) as store:
        assert check_database(store) == []
        assert rows(store, "SELECT count(*) FROM findings") == [(1,)]
    assert len(list(tmp_path.glob(f"*.{REVISION}.*.bak"))) == 1


def test_four_processes_record_into_one_database_and_nothing_is_lost(path: Path) -> None:
    run("together", path, "4")
    with open_for_writing(str(path)) as store:
        assert_nothing_is_torn(store)
        assert rows(store, "SELECT status, count(*) FROM runs GROUP BY 1") == [("complete", 4 * RUNS_EACH)]
        parts = 4 * RUNS_EACH * len(CLUSTERS)
        assert rows(store, "SELECT count(*) FROM run_clusters") == [(parts,)]
        assert rows(store, "SELECT sum(new_occurrences) FROM run_counts") == rows(
            store, "SELECT count(*) FROM occurrences"
        )


def test_a_hundred_kills_at_random_moments_tear_nothing(path: Path) -> None:
    run("killed", path, "100")
    with open_for_writing(str(path)) as store:
        assert_nothing_is_torn(store)
        (open_runs,) = rows(store, "SELECT count(*) FROM runs WHERE status = 'running'")[0]
        assert open_runs > 0  # else the kills hit nothing
        closed = close_abandoned_runs(store, now=NOW + timedelta(minutes=3), is_alive=lambda pid: False)
        assert len(closed) == open_runs
        assert rows(store, "SELECT count(*) FROM runs WHERE status = 'running'") == [(0,)]
        states = rows(
            store,
            "SELECT DISTINCT runs.status, count(cluster) FROM runs LEFT JOIN run_clusters ON run_id = id GROUP BY id",
        )
        possible = {("aborted", 0), ("partial", 1), ("partial", 2), ("partial", 3), ("complete", len(CLUSTERS))}
        assert set(states) <= possible
        assert check_database(store) == []


def test_processes_killed_while_they_make_a_database_leave_one_that_the_next_can_use(path: Path) -> None:
    run("killed_at_birth", path, "30")
    left = sorted(path.parent.glob(f"{path.name}.*[0-9]"))
    assert left
    for file in left:
        with open_for_writing(str(file)) as store:
            assert check_database(store) == []
            record(store, scan(finding(kill(ago(hours=1)))))


def test_a_living_run_of_another_process_survives_the_closing_of_dead_ones(store: Store) -> None:
    record(store, scan())
    change(store, "UPDATE runs SET status = 'running', finished_at = NULL")
    assert close_abandoned_runs(store, now=NOW + timedelta(minutes=3), is_alive=lambda pid: True) == []
    assert rows(store, "SELECT status FROM runs") == [("running",)]
