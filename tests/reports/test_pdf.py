"""PDF: which browser prints it, and what is said and left behind where one fails; the browsers are small scripts."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from oomdb.errors import OomdbError, UsageError
from oomdb.reports.pdf_export import find_browser, render_pdf

AT = datetime(2026, 3, 4, 14, 0, 5, tzinfo=UTC)
PAGE = b"<!DOCTYPE html><title>Report</title><p>All is well."
# what it is told to print to, and what it prints there: its arguments, in the frame of a PDF
PRINT = r"""
for argument; do
  case "$argument" in
    --print-to-pdf=*) pdf=${argument#*=};;
    file://*) page=${argument#file://};;
  esac
done
print() { printf '%%PDF-1.4\n%s\n%%%%EOF\n' "$1" > "$pdf"; }
"""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Make a folder for temporary files, in which a test sees what is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def browser(tmp_path: Path, script: str, *, name: str = "browser") -> str:
    """Return the path of a browser that does what the script says."""
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{PRINT}\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_page_is_what_the_browser_prints_of_it(tmp_path: Path, temporary: Path) -> None:
    pdf = render_pdf(PAGE, made_at=AT, temporary=temporary, browser=browser(tmp_path, 'print "$(cat "$page")"'))
    assert pdf == b"%PDF-1.4\n" + PAGE + b"\n%%EOF\n"
    assert list(temporary.iterdir()) == []


def test_a_browser_gets_a_profile_of_its_own_no_network_and_no_terminal(tmp_path: Path, temporary: Path) -> None:
    script = 'print "$(printf "%s\\n" "$@"; echo "config $XDG_CONFIG_HOME"; cat; echo end)"'
    lines = render_pdf(PAGE, made_at=AT, temporary=temporary, browser=browser(tmp_path, script)).decode().splitlines()
    profile = next(line for line in lines if line.startswith("--user-data-dir="))
    assert profile.startswith(f"--user-data-dir={temporary}/oomdb-pdf-")
    assert next(line for line in lines if line.startswith("config ")).startswith(f"config {temporary}/")
    assert {"--headless", "--no-pdf-header-footer", "--host-resolver-rules=MAP * ~NOTFOUND"} <= set(lines)
    assert ("--no-sandbox" in lines) == (os.geteuid() == 0)


def test_the_time_in_a_pdf_is_that_of_the_report_so_that_it_does_not_change_by_itself(tmp_path: Path) -> None:
    dates = "/CreationDate (D:20261123064219+00'00')\n/ModDate (D:20261123064219+00'00')"
    prints = browser(tmp_path, f'print "{dates}"')
    pdf = render_pdf(PAGE, made_at=AT.astimezone(timezone(timedelta(hours=5))), browser=prints)
    assert b"/CreationDate (D:20260304140005+00'00')\n/ModDate (D:20260304140005+00'00')" in pdf


def test_relative_links_stay_relative_and_nothing_in_the_pdf_moves(tmp_path: Path, temporary: Path) -> None:
    script = rf"""
        links="(file://$(dirname "$page")/a%20b/c\(1\).txt) (file:///srv/d.txt)"
        print "$links"; cp "$pdf" {tmp_path}/printed
    """
    pdf = render_pdf(PAGE, made_at=AT, temporary=temporary, browser=browser(tmp_path, script))
    assert pdf.split() == [b"%PDF-1.4", rb"(a%20b/c\(1\).txt)", b"(file:///srv/d.txt)", b"%%EOF"]
    printed = (tmp_path / "printed").read_bytes()
    assert pdf.index(b"(file:///srv") == printed.index(b"(file:///srv")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", r"browser printed nothing; try again, or name another one with --browser \(one from a snap cannot"),
        ("echo 'cannot open display' >&2; exit 1", r"printed nothing, saying: cannot open display; try again"),
        ("kill -SEGV $$", r"printed nothing; try again"),
        ("echo rubbish > $pdf", r"printed no whole PDF; try again"),
        ("echo %PDF-1.4 > $pdf", r"printed no whole PDF; try again"),
        (
            'echo "[7:ERROR:headless.cc] Failed to write file: No space left on device (28)" >&2; : > $pdf',
            r"printed nothing, saying: \[7:ERROR:headless.cc\] Failed to write file: No space left on device \(28\); "
            r"free some space in .*temporary, or set TMPDIR\.$",
        ),
        (
            "echo '[7:FATAL:zygote.cc] No usable sandbox!' >&2; echo '#0 0x7f' >&2; exit 1",
            r"saying: \[7:FATAL:zygote.cc\] No usable sandbox!; let it have its sandbox, or name a script with --brow",
        ),
        (
            "echo 'all is lost' >&2; echo '[7:ERROR:dbus/bus.cc] Failed to connect to the bus' >&2",
            r"saying: all is lost; ",
        ),
        (r"printf 'bad \033[31m\377 thing' >&2", r"saying: bad \\x1b\[31m� thing; "),
        ("head -c 5000 /dev/zero | tr '\\0' x >&2", r"saying: x{200}; "),
    ],
    ids=[
        "nothing",
        "complains",
        "crashes",
        "rubbish",
        "torn",
        "disk-full",
        "no-sandbox",
        "no-bus",
        "terminal-codes",
        "long",
    ],
)
def test_a_browser_that_prints_no_pdf_is_an_error_that_says_why_and_what_to_do(
    tmp_path: Path, temporary: Path, script: str, message: str
) -> None:
    with pytest.raises(OomdbError, match=message) as caught:
        render_pdf(PAGE, made_at=AT, temporary=temporary, browser=browser(tmp_path, script))
    assert len(str(caught.value).splitlines()) == 1
    assert list(temporary.iterdir()) == []


def test_a_browser_that_hangs_is_killed_with_its_children(tmp_path: Path, temporary: Path) -> None:
    children = tmp_path / "children"
    hangs = browser(tmp_path, f"sleep 600 & echo $! >> {children}; echo $$ >> {children}; wait")
    with pytest.raises(OomdbError, match=r"browser did not end within 0.5 seconds and was stopped; try again"):
        render_pdf(PAGE, made_at=AT, temporary=temporary, browser=hangs, timeout_seconds=0.5)
    assert not [pid for pid in children.read_text().split() if is_running(int(pid))]
    assert list(temporary.iterdir()) == []


def test_what_a_browser_leaves_running_is_killed(tmp_path: Path, temporary: Path) -> None:
    children = tmp_path / "children"
    leaves = browser(tmp_path, f"sleep 600 & echo $! > {children}; print done")
    assert b"done" in render_pdf(PAGE, made_at=AT, temporary=temporary, browser=leaves)
    assert not is_running(int(children.read_text()))
    assert list(temporary.iterdir()) == []


def test_an_interrupt_kills_the_browser_and_leaves_no_file(tmp_path: Path, temporary: Path) -> None:
    children = tmp_path / "children"
    hangs = browser(tmp_path, f"sleep 600 & echo $! > {children}.part; mv {children}.part {children}; wait")
    code = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path\n"
        "from oomdb.reports.pdf_export import render_pdf\n"
        "render_pdf(b'', made_at=datetime.now(UTC), browser=sys.argv[1], temporary=Path(sys.argv[2]))"
    )
    with subprocess.Popen([sys.executable, "-c", code, hangs, str(temporary)], stderr=subprocess.PIPE) as process:
        while not children.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate()
    assert b"KeyboardInterrupt" in complaints
    assert not is_running(int(children.read_text()))
    assert list(temporary.iterdir()) == []


def test_a_browser_that_cannot_be_started_is_an_error_that_names_it(tmp_path: Path, temporary: Path) -> None:
    (not_a_browser := tmp_path / "browser").write_bytes(b"\x7fELF rubbish")
    not_a_browser.chmod(0o755)
    with pytest.raises(OomdbError, match=r"The PDF cannot be printed: .*; check .*browser and .*, or set TMPDIR\."):
        render_pdf(PAGE, made_at=AT, temporary=temporary, browser=str(not_a_browser))


def test_a_place_for_temporary_files_that_is_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(OomdbError, match=r"cannot be printed: No such file or directory; check .*nowhere, or set TMPD"):
        render_pdf(PAGE, made_at=AT, browser=browser(tmp_path, "print done"), temporary=tmp_path / "nowhere")


def test_a_browser_is_looked_for_under_the_names_that_it_has_on_linux_and_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    edge = browser(tmp_path, "", name="microsoft-edge")
    application = browser(tmp_path, "", name="Google Chrome")
    assert find_browser(commands=("chromium", "microsoft-edge", application)) == edge
    assert find_browser(commands=("chromium", application, "microsoft-edge")) == application
    assert find_browser("microsoft-edge") == edge
    assert find_browser(application) == application


def test_where_there_is_no_browser_it_is_said_what_to_install_or_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"none is installed: install one .* or name it with --browser or OOMDB_BROW"):
        find_browser(commands=("chromium", "google-chrome"))
    with pytest.raises(UsageError, match=r"The browser '/nowhere\\nto be found' cannot be found, or is not executable"):
        find_browser("/nowhere\nto be found")


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")
