"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(is_so: Callable[[], bool], *, seconds: float = 120, pause_seconds: float = 0.02) -> None:
    """Wait until something is so, and fail where it does not come to that in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(pause_seconds)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; its parent need not have looked yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
