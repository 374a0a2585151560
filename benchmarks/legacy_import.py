"""Importing what years of the legacy script left: rows per second of CPU, doing it again, being killed meanwhile."""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.bounds import Measured, report
from oomdb.importers.legacy.files import list_legacy_files
from oomdb.importers.legacy.run import ImportRequest, import_surveyed
from oomdb.importers.legacy.survey import survey
from oomdb.store.checks import check_database
from oomdb.store.database import Store, open_for_writing
from oomdb.store.imports import finish_imports
from oomdb.store.known_files import list_clusters_of_runs, list_known_files

FLEET = Path(__file__).parent.parent / "tests" / "data" / "legacy"
FILES = 5000
ROWS_PER_SECOND_BOUND, AGAIN_BOUND = 15_000, 0.02
KILLS, FILES_OF_THE_KILLED = 12, 1667  # a tenth of a million rows
LAST_RUN = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)
INTERVAL, LOOKBACK = timedelta(hours=4), timedelta(days=1)
KILLS_PER_DAY = 60  # as in the two-year history: as many rows a run, since each looks back one day
HEADER: tuple[str, ...] = ("cluster", "namespace", "pod", "type", "application", "component", "timestamps", "sources")
HEADER += ("description_file", "pod_log_file", "time_range")
CLUSTERS = [f"kflux-prd-rh{number:02}" for number in range(6)]
TABLES = ("runs", "run_clusters", "run_counts", "findings", "occurrences", "daily_counts", "pods", "import_files")


def main() -> int:
    """Measure, print, and return 1 if a bound does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--import", dest="import_into", nargs=2, metavar=("DATABASE", "FOLDER"))
    asked = parser.parse_args()
    if asked.import_into:  # the child that is killed
        database, folder = asked.import_into
        with open_for_writing(database, bulk=True) as store:
            import_folder(store, Path(folder))
        return 0
    with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as place:
        folder = Path(place, "runs")
        truth = write_folder(folder, FILES)
        measured = _measure(Path(place, "oomdb.sqlite"), folder, truth) | _measure_fleet(Path(place))
        return measured | _kill(Path(place))


@dataclass(frozen=True, slots=True)
class Written:
    """What a folder holds: its rows, and the kills and loops that they tell of."""

    rows: int
    occurrences: int


def write_folder(folder: Path, files: int) -> Written:
    """Write so many runs as the newest versions of the legacy script do, each a CSV and a JSON, of which all but the
    last one are backups.
    """
    folder.mkdir()
    rows = 0
    seen: set[int] = set()
    for at, shown in _iter_runs(files):
        stem = "oom_results" if at == LAST_RUN else f"oom_results_{at:%d-%b-%Y_%H-%M-%S}-UTC"
        with (folder / f"{stem}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(it.row(at) for it in shown)
        (folder / f"{stem}.json").write_text(_render_json(at, shown))
        for suffix in ("csv", "json"):
            os.utime(folder / f"{stem}.{suffix}", (at.timestamp(), at.timestamp()))
        rows += len(shown)
        seen.update(it.number for it in shown)
    return Written(rows, len(seen))


def import_folder(store: Store, folder: Path) -> int:
    """Import a folder as the command does, and return the number of rows."""
    found = survey(
        list_legacy_files([folder]),
        list_known_files(store),
        now=LAST_RUN,
        search_in=ImportRequest(output_dir=store.path.parent).search_in,
        find_clusters=lambda run_ids: list_clusters_of_runs(store, run_ids),
    )
    done = list(import_surveyed(store, found))
    if done:
        finish_imports(store)
    return sum(it.rows for it in done)


@dataclass(frozen=True, slots=True)
class _Trouble:
    number: int
    at: datetime
    cluster: str
    is_loop: bool

    def row(self, at: datetime) -> tuple[str, ...]:
        namespace, pod = f"team-{self.number % 37}-tenant", f"app-{self.number % 211}-7d9c5bf6d-{self.number:05}"
        stem = (
            f"/srv/reports/output/logs_and_description_files/{self.cluster}/{namespace}__{pod}__{at:%Y%m%dT%H%M%SZ}__"
        )
        return (
            self.cluster,
            namespace,
            pod,
            "CrashLoopBackOff" if self.is_loop else "OOMKilled",
            f"app-{self.number % 211}",
            "",
            f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "oc_get_pods",
            f"{stem}desc.txt",
            f"{stem}log.txt",
            "1d",
        )


def _iter_runs(files: int) -> Iterator[tuple[datetime, Sequence[_Trouble]]]:
    chance = random.Random(files)
    begins = LAST_RUN - INTERVAL * (files - 1)
    days = (LAST_RUN - begins + LOOKBACK) / timedelta(days=1)
    moments = sorted(chance.uniform(0, days) for _ in range(round(days * KILLS_PER_DAY)))
    troubles = [
        _Trouble(
            number,
            (begins - LOOKBACK + timedelta(days=moment)).replace(microsecond=0),
            chance.choice(CLUSTERS),
            chance.random() < 0.2,
        )
        for number, moment in enumerate(moments)
    ]
    first = 0
    for number in range(files):
        at = begins + INTERVAL * number
        while first < len(troubles) and troubles[first].at < at - LOOKBACK:
            first += 1
        last = first
        while last < len(troubles) and troubles[last].at <= at:
            last += 1
        yield at, troubles[first:last]


def _render_json(at: datetime, shown: Sequence[_Trouble]) -> str:
    clusters: dict[str, dict[str, object]] = {name: {} for name in CLUSTERS}
    for it in shown:
        _, namespace, pod, *_, description, log, _ = it.row(at)
        entry = {"pod": pod, "oom_timestamps": [f"{it.at:%Y-%m-%dT%H:%M:%SZ}"], "description_file": description}
        clusters[it.cluster].setdefault(namespace, {})[pod] = entry | {"pod_log_file": log}  # type: ignore[index]
    return json.dumps({**clusters, "_metadata": {"time_range": "1d"}}, indent=2)


def _measure(database: Path, folder: Path, truth: Written) -> int:
    with open_for_writing(str(database), bulk=True) as store:
        began = time.process_time()
        rows = import_folder(store, folder)
        first_seconds = time.process_time() - began
        began = time.process_time()
        import_folder(store, folder)
        again_seconds = time.process_time() - began
        problems = check_database(store)
    with closing(sqlite3.connect(database)) as conn:
        [counted] = conn.execute("SELECT count(*) FROM occurrences").fetchone()
    return report(
        f"importing {FILES:,} files",
        [
            Measured("rows", rows),
            Measured("kills and loops that happened", truth.occurrences),
            Measured("rows for each of them: the overstatement", truth.rows / truth.occurrences),
            Measured("occurrences too many or too few", abs(counted - truth.occurrences), 0),
            Measured("microseconds of CPU per row", first_seconds / rows * 1e6, 1e6 / ROWS_PER_SECOND_BOUND),
            Measured("rows per second of CPU", round(rows / first_seconds)),
            Measured("importing again / importing", again_seconds / first_seconds, AGAIN_BOUND),
            Measured("bytes per row", database.stat().st_size / rows),
            Measured("problems found by `oomdb db check`", len(problems), 0),
        ],
    )


def _measure_fleet(place: Path) -> int:
    """Import the runs of a fleet whose truth is known, and tell how far its rows overstate its kills."""
    folder = place / "fleet"
    shutil.copytree(FLEET / "fleet-b", folder)
    for name, modified_at in json.loads((FLEET / "mtimes.json").read_text()).items():
        os.utime(folder / name, (modified_at, modified_at))
    with open_for_writing(str(place / "fleet.sqlite")) as store:
        import_folder(store, folder)
    with closing(sqlite3.connect(place / "fleet.sqlite")) as conn:
        [rows] = conn.execute("SELECT sum(rows) FROM run_counts WHERE type = 'OOMKilled'").fetchone()
        kills = conn.execute("SELECT cluster, namespace, pod FROM occurrences WHERE type = 'OOMKilled'").fetchall()
    told = Counter(kills)
    happened = Counter[tuple[str, ...]]()
    for *place_of_pod, type_, times in json.loads((FLEET / "truth.json").read_text()):
        if type_ == "OOMKilled":
            happened[tuple(place_of_pod)] += len(times)
    twice = sum(max(0, told[pod] - count) for pod, count in happened.items())
    return report(
        "a fleet of 28 versions of the legacy script",
        [
            Measured("rows of OOMKilled, as it counted", rows),
            Measured("kills that oomdb makes of them", len(kills)),
            Measured("the overstatement", rows / len(kills)),
            Measured("of pods whose truth is known, kills counted twice", twice, 0),
        ],
    )


def _kill(place: Path) -> int:
    """Kill an import at random moments, repeat it, and compare with one that nobody killed."""
    killed, whole, folder, moments = place / "killed", place / "whole", place / "some-runs", random.Random(KILLS)
    written = write_folder(folder, FILES_OF_THE_KILLED)
    command = [sys.executable, "-m", "benchmarks.legacy_import", "--import", str(killed), str(folder)]
    stopped = 0
    for _ in range(KILLS):
        with subprocess.Popen(command) as child:
            try:
                child.wait(timeout=moments.uniform(0.3, 3))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                stopped += 1
    subprocess.run(command, check=True)
    with open_for_writing(str(whole), bulk=True) as store:
        import_folder(store, folder)
    differing = [name for name in TABLES if _read(killed, name) != _read(whole, name)]
    return report(
        "an import that was killed and repeated",
        [Measured("rows", written.rows), Measured("kills", stopped), Measured("tables that differ", len(differing), 0)],
    )


def _read(database: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as conn:
        return conn.execute(f"SELECT * FROM {table}").fetchall()


if __name__ == "__main__":
    sys.exit(main())
