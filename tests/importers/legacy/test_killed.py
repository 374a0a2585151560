"""An import that is killed at any moment and repeated ends as one that nobody killed."""

import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.importers.legacy.importing import Row, import_paths, new_store, rows_of, write_run

RUNS, KILLS = 60, 6
TABLES = ("runs", "run_clusters", "run_counts", "findings", "occurrences", "daily_counts", "pods", "import_files")


def write_runs(folder: Path) -> None:
    """Write runs of which each tells of its own kills, and of those of the run before."""
    for number in range(RUNS):
        at = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=number)
        rows = [
            Row(pod=f"pod-{told}-{pod}", timestamps=f"{at - timedelta(hours=number - told):%Y-%m-%dT%H:%M:%SZ}")
            for told in (number - 1, number)
            for pod in range(10)
        ]
        write_run(folder, *rows, name=f"oom_results_{at:%d-%b-%Y_%H-%M-%S}-UTC", written_at=at)


def import_and_be_killed(database: Path, folder: Path, after_seconds: float) -> None:
    """Import in a process that is killed after a time."""
    pid = os.fork()
    if not pid:
        with new_store(database) as store:
            import_paths(store, folder)
        os._exit(0)
    time.sleep(after_seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_an_import_that_is_killed_and_repeated_ends_in_the_same_database(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs")
    moments = random.Random(KILLS)
    for _ in range(KILLS):
        import_and_be_killed(tmp_path / "killed.sqlite", tmp_path / "runs", moments.uniform(0.01, 0.2))
    ended = {}
    for name in ("killed", "whole"):
        with new_store(tmp_path / f"{name}.sqlite") as store:
            import_paths(store, tmp_path / "runs")
            ended[name] = {table: rows_of(store, f"SELECT * FROM {table}") for table in TABLES}
    assert ended["killed"] == ended["whole"]
    assert len(ended["whole"]["runs"]) == RUNS
