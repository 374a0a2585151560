"""Processes that record at the same time, or are killed while they do: run as a script, so that forks are cheap.

`python -m tests.store.recorder MODE DATABASE …`: the modes are the functions below. Each child is a fork of a process
that has imported everything and opened nothing.
"""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

import alembic.command  # imported once, before the forks
import alembic.runtime.migration  # noqa: F401

from oomdb.model import ClusterScan
from oomdb.store.database import Migrations, open_for_writing
from tests.store.builders import ago, finding, kill, loop, record, scan

CLUSTERS = ("prod-a", "prod-b", "prod-c")
FINDINGS = 30  # of each cluster in each run
RUNS_EACH = 8


def fork(work: Callable[[], object]) -> int:
    """Start a child that does the work and exits, and return its process number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait_for(pids: list[int]) -> int:
    """Return how many of the children failed."""
    return sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in pids)


def record_runs(path: str, *, tag: str, runs: int) -> None:
    """Record runs in which every cluster shows its known number of findings: two thirds shared by all processes."""
    with open_for_writing(path) as store:
        for number in range(runs):
            record(store, *(build_scan(cluster, f"{tag}-{number}") for cluster in CLUSTERS))


def build_scan(cluster: str, tag: str) -> ClusterScan:
    """Return a scan of kills and loops that everybody sees, and of kills that nobody else sees."""
    third = FINDINGS // 3
    names = [f"{cluster}-{index}" for index in range(third)]
    shared = [finding(kill(ago(hours=1), container_id=name), pod=name, pod_uid=name) for name in names]
    loops = [finding(loop(ago(minutes=4)), pod=name, pod_uid=name) for name in names]
    own = [
        finding(kill(ago(hours=2), container_id=f"{name}-{tag}"), pod=f"{name}-{tag}", pod_uid=f"{name}-{tag}")
        for name in names
    ]
    return scan(*shared, *loops, *own, cluster=cluster)


def create_one(path: str) -> None:
    """Make a database, where there is none."""
    open_for_writing(path).close()


def create(path: str, processes: str) -> int:
    """Let several processes make one new database."""
    return wait_for([fork(partial(create_one, path)) for _ in range(int(processes))])


def upgrade(path: str, processes: str, folder: str, newest: str) -> int:
    """Let several processes upgrade one older database."""
    migrations = Migrations(folder, newest)
    return wait_for(
        [fork(lambda: open_for_writing(path, migrations=migrations).close()) for _ in range(int(processes))]
    )


def together(path: str, processes: str) -> int:
    """Let several processes record into one database."""
    tags = [f"process-{number}" for number in range(int(processes))]
    return wait_for([fork(partial(record_runs, path, tag=tag, runs=RUNS_EACH)) for tag in tags])


def killed(path: str, times: str) -> int:
    """Kill recording processes at random moments: some while they open the database, most while they write."""
    moments = random.Random(times)  # the same moments each time
    for number in range(int(times)):
        pid = fork(partial(record_runs, path, tag=f"killed-{number}", runs=1000))
        time.sleep(moments.uniform(0.005, 0.120))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 0


def killed_at_birth(path: str, times: str) -> int:
    """Kill processes that make a new database at random moments, each its own."""
    moments = random.Random(times)
    for number in range(int(times)):
        pid = fork(partial(create_one, f"{path}.{number}"))
        time.sleep(moments.uniform(0.001, 0.080))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 0


MODES: dict[str, Callable[..., int]] = {it.__name__: it for it in (create, upgrade, together, killed, killed_at_birth)}

if __name__ == "__main__":
    sys.exit(MODES[sys.argv[1]](*sys.argv[2:]))
