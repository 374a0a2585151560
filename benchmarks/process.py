"""What a whole process costs: CPU, wall time and the most memory that it ever had; Linux only."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# the process says itself at its end how large it has been: what `wait4` tells counts the process that started it too
_SAY_PEAK = """
import atexit, pathlib, runpy, sys
said = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: said.write_text(pathlib.Path("/proc/self/status").read_text()))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process cost, and what it printed."""

    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    output: str


def run_module(module: str, *arguments: str) -> Cost:
    """Run a Python module as a program and return what it cost.

    Raises:
        SystemExit: it failed; with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="oomdb-benchmark-") as folder:
        said = Path(folder, "status")
        cost = run_command([sys.executable, "-c", _SAY_PEAK, str(said), module, *arguments])
        peak_kib = next(int(line.split()[1]) for line in said.read_text().splitlines() if line.startswith("VmHWM:"))
    return Cost(cost.cpu_seconds, cost.wall_seconds, peak_kib * 1024 / 1e6, cost.output)


def run_command(command: Sequence[str], *, keep_output: bool = True) -> Cost:
    """Run a command and return what it cost, without our settings in its environment.

    Raises:
        SystemExit: it failed; with what it said.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OOMDB_")}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        began = time.monotonic()
        process = subprocess.Popen(
            command, env=environ, stdout=output if keep_output else subprocess.DEVNULL, stderr=complaints
        )
        _, status, used = os.wait4(process.pid, 0)
        wall_seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            complaints.seek(0)
            raise SystemExit(complaints.read().decode(errors="replace"))
        output.seek(0)
        text = output.read().decode(errors="replace")
    return Cost(used.ru_utime + used.ru_stime, wall_seconds, used.ru_maxrss * 1024 / 1e6, text)
