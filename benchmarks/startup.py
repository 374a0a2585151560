"""Start-up: CPU of whole processes against the imports that they cannot do without."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.bounds import Measured, report
from oomdb.store.database import open_for_writing

RUNS = 15
BOUND = 1.5
# our modules must be compiled once, as the libraries' are
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> int:
    """Measure and print; returns 1 where a bound does not hold."""
    oomdb = str(Path(sys.executable).with_name("oomdb"))
    with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as folder:
        database = str(Path(folder) / "oomdb.sqlite")
        open_for_writing(database).close()
        measures = [
            _compare("oomdb --help / import click", [oomdb, "--help"], "import click"),
            _compare(
                "oomdb runs / import click, sqlalchemy", [oomdb, "runs", "--db", database], "import click, sqlalchemy"
            ),
        ]
    return report(f"CPU of start-up (medians of {RUNS} in turn)", measures)


def _compare(what: str, command: list[str], imports: str) -> Measured:
    ours, theirs = [], []
    reference = [sys.executable, "-c", imports]
    for number in range(RUNS + 1):
        pair = (_cpu_seconds(command), _cpu_seconds(reference))
        if number:  # the first run of each compiles
            ours.append(pair[0])
            theirs.append(pair[1])
    return Measured(what, value=statistics.median(ours) / statistics.median(theirs), bound=BOUND)


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(bool(main()))
