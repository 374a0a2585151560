"""Commands that other tools bring: each heads a group of its own, which ends in time, and with this process."""

import atexit
import contextlib
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_COMPLAINTS_TAIL_BYTES = 8 * 1024
_QUOTED_LINES = 5
_TERMINAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINGER_SECONDS = 0.2  # a command that has ended may leave a child behind that holds its pipes


class CommandFailed(Exception):
    """A command was started and failed: the message says how; `said` are its last lines on stderr, as one."""

    def __init__(self, how: str, complaints: bytes) -> None:
        super().__init__(how)
        self.said = quote_lines(complaints.decode("utf-8", "replace"))


def run_to_end(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    timeout_seconds: float,
    max_output_bytes: int,
    cwd: Path | None = None,
    stopped: threading.Event | None = None,
) -> bytes:
    """Run a command without stdin and without a terminal, and return what it printed.

    Args:
        stopped: set by another thread, it ends the command: signals reach the main thread alone.

    Raises:
        OSError, ValueError: it cannot be started.
        CommandFailed: its exit code is not 0, it did not end in time, or it printed too much; its group was killed.
    """
    stopped = stopped or threading.Event()
    deadline = time.monotonic() + timeout_seconds
    with _running_group(command, environ, cwd) as process:
        output, complaints = _read_output(process, deadline, max_output_bytes, stopped)
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as err:
            raise CommandFailed(f"did not end within {timeout_seconds:g} seconds and was stopped", complaints) from err
    if len(output) > max_output_bytes:
        raise CommandFailed(f"printed more than {max_output_bytes >> 20} MiB and was stopped", complaints)
    if process.returncode:
        raise CommandFailed(_describe_exit(process.returncode), complaints)
    return output


def quote_lines(text: str) -> str:
    """Return the last lines as one, without colours and control characters."""
    lines = _TERMINAL_SEQUENCE.sub("", text).expandtabs(1).splitlines()
    plain = ["".join(char if char.isprintable() else "\ufffd" for char in line).strip() for line in lines]
    return " | ".join([line for line in plain if line][-_QUOTED_LINES:])


@contextlib.contextmanager
def _running_group(
    command: Sequence[str], environ: Mapping[str, str], cwd: Path | None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command, its output in pipes; leaving waits for its end.

    An exception kills the group, and so does the end of this process, which waits for no daemon thread.
    """
    with _starting:
        process = subprocess.Popen(  # noqa: S603 - what is run is the caller's choice
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            cwd=cwd,
            start_new_session=True,  # without a terminal it cannot ask, and all its processes can be killed
        )
        _running.add(process)
    try:
        with process:
            try:
                yield process
            except BaseException:
                _kill_group(process)
                raise
    finally:
        _running.discard(process)


def _read_output(
    process: "subprocess.Popen[bytes]", deadline: float, max_bytes: int, stopped: threading.Event
) -> tuple[bytes, bytes]:
    """Return the command's stdout and the end of its stderr, as far as they came before the deadline.

    A stdout too long is cut, and its writer killed.
    """
    output, complaints = bytearray(), bytearray()
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, output)
        selector.register(process.stderr, selectors.EVENT_READ, complaints)
        while selector.get_map() and len(output) <= max_bytes:
            if stopped.is_set():
                raise CommandFailed("was stopped", bytes(complaints))
            has_ended = process.poll() is not None
            ready = selector.select(min(max(0.0, deadline - time.monotonic()), _LINGER_SECONDS))
            if (has_ended and not ready) or time.monotonic() >= deadline:
                break
            for key, _ in ready:
                piece = os.read(key.fd, 65536)
                if not piece:
                    selector.unregister(key.fileobj)
                key.data.extend(piece)
            del complaints[:-_COMPLAINTS_TAIL_BYTES]
    if len(output) > max_bytes:
        _kill_group(process)
    return bytes(output), bytes(complaints)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all of its group that are still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _describe_exit(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"


_running: "set[subprocess.Popen[bytes]]" = set()
_starting = threading.Lock()


@atexit.register
def _end_all() -> None:
    _starting.acquire()  # for good: what a thread would start now, nobody would end
    for process in list(_running):
        _kill_group(process)
