"""Which tests can run here: those against a real API server need its programs, and where they cannot run it is said."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.binaries import ControlPlaneUnavailable, find_binaries

REAL_TESTS = Path(__file__).parent / "real"
_WHY_NOT = pytest.StashKey[str]()
_NOT_RUN = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_NOT_RUN] = 0
    config.stash[_WHY_NOT] = ""
    try:
        find_binaries()
    except ControlPlaneUnavailable as err:
        if os.environ.get("CI") == "true":
            raise pytest.UsageError(f"CI=true: the tests against a real API server must run, but {err}") from err
        config.stash[_WHY_NOT] = str(err)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    real = [item for item in items if REAL_TESTS in item.path.parents]
    for item in real:
        item.add_marker(pytest.mark.xdist_group("control-plane"))  # one process, one control plane
    if config.stash[_WHY_NOT] and real:
        items[:] = [item for item in items if item not in real]
        config.hook.pytest_deselected(items=real)
        config.stash[_NOT_RUN] = len(real)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of pytest-xdist
        session.config.workeroutput["not_run"] = session.config.stash[_NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # every worker has collected all tests
    count = getattr(node, "workeroutput", {}).get("not_run", 0)
    node.config.stash[_NOT_RUN] = max(node.config.stash[_NOT_RUN], count)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[_NOT_RUN]:
        terminalreporter.write_line(
            f"NOT RUN: {config.stash[_NOT_RUN]} tests against a real API server: {config.stash[_WHY_NOT]}",
            red=True,
            bold=True,
        )
