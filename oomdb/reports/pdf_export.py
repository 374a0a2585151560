"""The report as PDF: its page, printed by an installed browser of the Chromium family that can reach no network."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from oomdb.errors import OomdbError, UsageError
from oomdb.table import escape_controls

PRINT_TIMEOUT_SECONDS = 180.0  # a page of 2,000 rows and twenty charts takes a few seconds on an idle machine

_COMMANDS = (
    "chromium",
    "chromium-browser",
    "chromium-headless-shell",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_FLAGS = (
    "--headless",
    "--no-pdf-header-footer",  # the page has a header of its own
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers give 64 MB of it
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # what the flags above forget finds no server
)
_DATE = re.compile(rb"(?<=Date \(D:)\d{14}(?=\+00'00'\))")  # of /CreationDate and /ModDate, as Skia writes them
_MOST_QUOTED = 200
_GONE_WITHIN_SECONDS = 1.0  # after SIGKILL; where nobody reaps orphans, their process group never goes


def render_pdf(
    page: bytes,
    *,
    made_at: datetime,
    browser: str | None = None,
    temporary: Path | None = None,
    timeout_seconds: float = PRINT_TIMEOUT_SECONDS,
) -> bytes:
    """Return an HTML page as PDF, on the paper that its own `@page` names; its relative links stay relative.

    The browser gets a new profile, and nothing of it is left afterwards, neither a file nor a process.

    Args:
        page: the page; it loads nothing.
        made_at: the time that the PDF names, so that the same page gives the same PDF whenever it is printed.
        browser: a command or path; None: whichever is installed.
        temporary: the folder for what is written on the way; None: the system's.
        timeout_seconds: after this the browser is killed.

    Raises:
        UsageError: there is no browser, or not the one that is named.
        OomdbError: the browser failed, took too long, or printed no whole PDF.
    """
    command = find_browser(browser)
    place = (temporary or Path(tempfile.gettempdir())).absolute()  # a page's address is
    try:
        with tempfile.TemporaryDirectory(prefix="oomdb-pdf-", dir=place, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            (folder / "report.html").write_bytes(page)
            _run_browser(command, folder, timeout_seconds)
            pdf = _make_relative(_read_pdf(command, folder), folder)
    except OSError as err:
        raise OomdbError(
            f"The PDF cannot be printed: {err.strerror or err}; check {command} and {place}, or set TMPDIR."
        ) from err
    return _DATE.sub(made_at.astimezone(UTC).strftime("%Y%m%d%H%M%S").encode(), pdf)


def find_browser(named: str | None = None, *, commands: Sequence[str] = _COMMANDS) -> str:
    """Return the path of a browser that prints PDF.

    Args:
        named: a command or path; None: the first of `commands` that is installed.
        commands: commands and paths.

    Raises:
        UsageError: there is none.
    """
    found = next(filter(None, map(shutil.which, [named] if named else commands)), None)
    if found:
        return found
    if named:
        raise UsageError(f"The browser '{escape_controls(named)}' cannot be found, or is not executable.")
    raise UsageError(
        "A PDF is printed by Chromium, Chrome or Edge, and none is installed: install one (on Debian: apt-get install "
        "chromium), or name it with --browser or OOMDB_BROWSER."
    )


def _run_browser(command: str, folder: Path, timeout_seconds: float) -> None:
    """Print the page in the folder, and keep there what the browser complains of."""
    args = [
        command,
        *_FLAGS,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),  # which Chromium refuses to build for root
        f"--user-data-dir={folder / 'profile'}",
        f"--print-to-pdf={folder / 'report.pdf'}",
        (folder / "report.html").as_uri(),
    ]
    own_places = {name: str(folder) for name in ("TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    with (folder / "complaints").open("wb") as complaints:
        process = subprocess.Popen(  # noqa: S603 - a browser of ours or the user's
            args,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            env=os.environ | own_places,
            start_new_session=True,  # its processes are a group, which can be killed
        )
    try:
        process.wait(timeout_seconds)
    except subprocess.TimeoutExpired as err:
        raise _failed(command, f"did not end within {timeout_seconds:g} seconds and was stopped", folder) from err
    finally:
        _kill_group(process)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill all that is left of the browser, and wait until it is gone: it could still write into its folder."""
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.poll()
            time.sleep(0.01)
    process.wait()


def _read_pdf(command: str, folder: Path) -> bytes:
    """Return what the browser printed; its exit code says nothing of that."""
    path = folder / "report.pdf"
    pdf = path.read_bytes() if path.is_file() else b""
    if not pdf:
        raise _failed(command, "printed nothing", folder)
    if not pdf.startswith(b"%PDF-") or b"%%EOF" not in pdf[-1024:]:
        raise _failed(command, "printed no whole PDF", folder)
    return pdf


def _make_relative(pdf: bytes, folder: Path) -> bytes:
    """Return the PDF with links into our folder as links from wherever it lies (ISO 32000-2, 12.6.4.8).

    Blanks take the place of what is cut: the table at the end of a PDF tells at which byte each object begins.
    """
    link = re.compile(rb"\(" + re.escape(f"{folder.as_uri()}/".encode()) + rb"((?:[^()\\]|\\.)*)\)")
    return link.sub(lambda found: (b"(" + found[1] + b")").ljust(len(found[0])), pdf)


def _failed(command: str, what: str, folder: Path) -> OomdbError:
    lines = (folder / "complaints").read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.strip() and "dbus" not in line]  # the lack of a D-Bus harms nobody
    quoted = next((line for line in said if ":FATAL:" in line), said[-1] if said else "")
    reason = f", saying: {escape_controls(quoted)[:_MOST_QUOTED]}" if quoted else ""
    return OomdbError(f"{command} {what}{reason}; {_advise(quoted, folder.parent)}")


def _advise(said: str, place: Path) -> str:
    if "No space left on device" in said:
        return f"free some space in {place}, or set TMPDIR."
    if "sandbox" in said:
        return "let it have its sandbox, or name a script with --browser that starts it with --no-sandbox."
    return f"try again, or name another one with --browser (one from a snap cannot read {place}: set TMPDIR)."
