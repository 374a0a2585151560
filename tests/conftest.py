"""Which tests can run here: those of a folder may need a real API server or a browser; what cannot run is said."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import UsageError
from oomdb.reports.pdf_export import find_browser
from tests.controlplane.binaries import ControlPlaneUnavailable, find_binaries

_NEEDS = {"real": "control-plane", "browser": "browser"}  # folder → what all its tests need, and have in one process
_MISSING = pytest.StashKey[dict[str, str]]()  # what some tests need and is not here → why
_NOT_RUN = pytest.StashKey[dict[str, int]]()  # why → how many tests


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kubectl: needs kubectl in PATH")
    missing = {}
    try:
        find_binaries()
    except ControlPlaneUnavailable as err:
        missing["control-plane"] = f"tests against a real API server: {err}"
    try:
        find_browser(os.environ.get("OOMDB_BROWSER"))
    except UsageError as err:
        missing["browser"] = f"tests of the page in a browser: {err}"
    if shutil.which("kubectl") is None:
        missing["kubectl"] = "tests that compare with kubectl: there is no kubectl in PATH."
    if missing and os.environ.get("CI") == "true":
        raise pytest.UsageError(f"CI=true: all tests must run, also the {' '.join(missing.values())}")
    config.stash[_MISSING] = missing
    config.stash[_NOT_RUN] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = []
    for item in items:
        needs = [need for folder, need in _NEEDS.items() if Path(__file__).parent / folder in item.path.parents]
        for need in needs:
            item.add_marker(pytest.mark.xdist_group(need))
        needs += ["kubectl"] if item.get_closest_marker("kubectl") else []
        why = next((config.stash[_MISSING][need] for need in needs if need in config.stash[_MISSING]), None)
        if why:
            left_out.append(item)
            config.stash[_NOT_RUN][why] = config.stash[_NOT_RUN].get(why, 0) + 1
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of pytest-xdist
        session.config.workeroutput["not_run"] = session.config.stash[_NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # every worker has collected all tests: the last one tells the same as the first
    node.config.stash[_NOT_RUN] |= getattr(node, "workeroutput", {}).get("not_run", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for why, count in config.stash[_NOT_RUN].items():
        terminalreporter.write_line(f"NOT RUN: {count} {why}", red=True, bold=True)
