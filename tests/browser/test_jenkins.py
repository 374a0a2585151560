"""The page as Jenkins serves it: no script, no style, no data from elsewhere, and still complete."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.reports import RUNS
from tests.browser.site import JENKINS, serve
from tests.browser.visits import visit


@pytest.fixture
def served(browser: Browser, fleet_report: Path) -> Iterator[Page]:
    """Open the fleet's page from a server that answers as Jenkins does."""
    with (
        serve(fleet_report.parent, JENKINS) as site,
        visit(browser, f"{site.url}/{fleet_report.name}", viewport={"width": 1400, "height": 900}) as visited,
    ):
        assert visited.requests == [f"{site.url}/{fleet_report.name}"]
        yield visited.page


def test_neither_style_nor_script_takes_effect(served: Page) -> None:
    assert served.locator("body").evaluate("it => getComputedStyle(it).marginLeft") == "8px"  # as browsers have it
    assert served.locator("button, input").count() == 0


def test_every_chart_can_be_seen(served: Page) -> None:
    charts = served.get_by_role("img")
    assert charts.count() == 5
    for chart in charts.all():
        box = chart.bounding_box()
        assert box
        assert box["width"] > 700
        assert box["height"] > 300
        paper = chart.locator(".paper").evaluate("it => getComputedStyle(it).fill")
        for line in chart.locator(".line > path:first-child").all():
            assert line.evaluate("it => getComputedStyle(it).stroke") not in ("none", paper)
            assert line.evaluate("it => it.getTotalLength()") > 0
        points = chart.locator(".line > circle, .line > rect")
        assert points.count() > RUNS // 2
        strokes = points.evaluate_all("all => all.map(it => getComputedStyle(it).stroke)")
        assert not {"none", paper} & set(strokes)
        texts = chart.locator("text").evaluate_all("all => all.map(it => getComputedStyle(it).fill)")
        assert not {"none", paper} & set(texts)


def test_every_table_can_be_read_whole(served: Page) -> None:
    tables = served.locator("table")
    assert tables.count() == 3
    for table in tables.all():
        borders = table.locator("th, td").evaluate_all("all => all.map(it => getComputedStyle(it).borderTopStyle)")
        assert "none" not in borders
        hidden = table.evaluate(
            "it => { const box = it.closest('.scroll'); return box.scrollHeight - box.clientHeight }"
        )
        assert hidden <= 0
    assert served.locator("#details tbody tr").count() == 15
    assert "2026-03-04 14:00:00 UTC" in served.locator("#details tbody tr").first.inner_text()


def test_what_was_not_looked_at_is_said(served: Page) -> None:
    text = served.inner_text("body")
    assert "stage-c: not seen since" in text
    assert "× Not looked at:" in text
    assert "unreachable: no answer within 45 s" in text
    assert "counting method changed" in served.locator("svg[role=img]").first.inner_html()


def test_links_are_relative_and_lead_to_the_files(served: Page) -> None:
    (link,) = served.get_by_role("link").all()
    href = link.get_attribute("href") or ""
    assert href == "logs_and_description_files/prod-a/a%20b%231.txt"
    with served.expect_navigation():
        link.click()
    assert served.inner_text("body") == "What oc describe said."
