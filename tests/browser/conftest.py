"""One browser for all tests of this folder, and the pages that many of them look at."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from oomdb.reports.pdf_export import find_browser
from oomdb.store.database import Store, open_for_writing
from tests.browser.reports import record_fleet, write_fleet_report
from tests.browser.visits import visit

# what a browser of its own accord asks of the network, and what a container lacks
_FLAGS = ("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start the installed browser; `tests/conftest.py` has seen to it that there is one."""
    program = find_browser(os.environ.get("OOMDB_BROWSER"))
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=["--disable-gpu", *_FLAGS]) as started,
    ):
        yield started


@pytest.fixture(scope="package")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Record many runs over three clusters."""
    with open_for_writing(str(tmp_path_factory.mktemp("store") / "oomdb.sqlite")) as store:
        record_fleet(store)
        yield store


@pytest.fixture(scope="package")
def fleet_report(fleet: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the fleet's page."""
    return write_fleet_report(fleet, tmp_path_factory.mktemp("fleet"))


@pytest.fixture
def page(browser: Browser, fleet_report: Path) -> Iterator[Page]:
    """Open the fleet's page from its file."""
    with visit(browser, fleet_report.as_uri()) as visited:
        yield visited.page
