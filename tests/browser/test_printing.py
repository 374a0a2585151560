"""The PDF as a real browser prints it."""

import os
import re
from pathlib import Path

import pytest

from oomdb.reports.pdf_export import render_pdf
from tests.browser.reports import AT

BROWSER = os.environ.get("OOMDB_BROWSER")


@pytest.fixture(scope="module")
def pdf(fleet_report: Path) -> bytes:
    return render_pdf(fleet_report.read_bytes(), made_at=AT, browser=BROWSER)


def test_the_paper_is_a4_landscape_on_every_page(pdf: bytes) -> None:
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(boxes) > 3
    assert {(round(float(width)), round(float(height))) for width, height in boxes} == {(842, 595)}


def test_the_pdf_names_the_report_and_its_time(pdf: bytes) -> None:
    assert b"/CreationDate (D:20260304140000+00'00')" in pdf
    assert b"/Title" in pdf


def test_links_in_the_pdf_are_relative_so_that_the_folder_can_be_copied(pdf: bytes) -> None:
    assert re.findall(rb"/URI \(([^)]*)\)", pdf) == [b"logs_and_description_files/prod-a/a%20b%231.txt"]


def test_the_same_page_gives_the_same_pdf(pdf: bytes, fleet_report: Path) -> None:
    assert render_pdf(fleet_report.read_bytes(), made_at=AT, browser=BROWSER) == pdf
