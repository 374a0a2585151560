"""Accessibility, as axe-core judges it: nothing that is serious or critical."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.visits import visit


def find_serious(page: Page) -> list[str]:
    """Return what axe-core holds against the page, with the elements that it names."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{it['id']}: {it['help']}: {[node['target'] for node in it['nodes']]}"
        for it in violations
        if it["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("preferred", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, fleet_report: Path, preferred: str, width: int) -> None:
    size = {"width": width, "height": 900}
    with visit(browser, fleet_report.as_uri(), color_scheme=preferred, viewport=size) as visited:
        assert find_serious(visited.page) == []


def test_axe_would_find_what_is_serious(page: Page) -> None:
    page.locator("svg[role=img]").first.evaluate("it => it.removeAttribute('aria-label')")
    page.locator(".team").evaluate("it => { it.style.color = '#eee' }")
    found = " ".join(find_serious(page))
    assert "svg-img-alt" in found
    assert "color-contrast" in found


def test_every_table_has_a_caption_and_heads_with_their_scope(page: Page) -> None:
    for table in page.get_by_role("table").all():
        assert table.locator("caption").inner_text()
        assert set(table.locator("th").evaluate_all("all => all.map(it => it.scope)")) <= {"col", "row"}


def test_charts_tell_their_points_apart_without_colour(page: Page) -> None:
    chart = page.locator("section[aria-labelledby=clusters] svg[role=img]").first
    shapes = [line.locator("circle, rect").first.evaluate("it => it.tagName") for line in chart.locator("g.line").all()]
    assert shapes == ["circle", "rect"]
    assert chart.locator("g.line circle title").first.text_content() == (
        "run 1, 20-Feb-2026 22:00, prod-a: 2 OOMKilled rows, complete"
    )
