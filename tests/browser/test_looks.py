"""How the page looks: dark and light, on a narrow screen, under a style sheet of the team, on paper."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from oomdb.reports.wishes import ReportWishes, Theme, ThemeName
from oomdb.store.database import Store
from tests.browser.reports import write_report
from tests.browser.site import serve
from tests.browser.visits import visit, wait_until_quiet

GROUND = "() => getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(245, 245, 245)", "rgb(21, 21, 21)"
A4_LANDSCAPE_PIXELS = {"width": 1047, "height": 718}  # 297 x 210 mm less margins of 10 mm, at 96 a inch


@pytest.fixture
def printed(page: Page) -> Page:
    """Show the page as it is laid out for paper."""
    page.set_viewport_size(A4_LANDSCAPE_PIXELS)  # type: ignore[arg-type]
    page.emulate_media(media="print")
    return page


@pytest.mark.parametrize(("preferred", "ground"), [("light", LIGHT), ("dark", DARK)])
def test_a_page_looks_as_its_readers_system_does(page: Page, preferred: str, ground: str) -> None:
    page.emulate_media(color_scheme=preferred)  # type: ignore[arg-type]
    assert page.evaluate(GROUND) == ground


@pytest.mark.parametrize(("theme", "preferred", "ground"), [("light", "dark", LIGHT), ("dark", "light", DARK)])
def test_a_theme_that_is_named_holds_whatever_the_reader_prefers(
    browser: Browser, fleet: Store, tmp_path: Path, theme: ThemeName, preferred: str, ground: str
) -> None:
    report = write_report(fleet, tmp_path, wishes=ReportWishes(theme=Theme(name=theme)))
    with visit(browser, report.as_uri(), color_scheme=preferred) as visited:
        assert visited.page.evaluate(GROUND) == ground


def test_a_teams_style_sheet_is_added_and_loads_nothing(browser: Browser, fleet: Store, tmp_path: Path) -> None:
    with serve(tmp_path) as elsewhere:
        css = f"@import url({elsewhere.url}/a.css); body {{ background: rgb(1, 2, 3) url({elsewhere.url}/b.png); }}"
        report = write_report(fleet, tmp_path, wishes=ReportWishes(theme=Theme(css=css)))
        with visit(browser, report.as_uri()) as visited:
            wait_until_quiet(visited.page)
            assert visited.page.evaluate(GROUND) == "rgb(1, 2, 3)"
        assert elsewhere.asked_for == []


@pytest.mark.parametrize("width", [320, 420, 1400])
def test_the_page_does_not_scroll_sideways_only_tables_and_charts_do(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    assert page.locator("svg[role=img], table").evaluate_all("all => all.every(it => it.closest('.scroll'))")


def test_the_head_of_a_long_table_stays_in_sight(page: Page) -> None:
    scroller = page.locator("section[aria-labelledby=trend] .tall")
    scroller.evaluate("it => it.scrollTop = it.scrollHeight")
    top = page.locator("section[aria-labelledby=trend] thead th").first.evaluate("it => it.getBoundingClientRect().top")
    edge = scroller.evaluate("it => it.getBoundingClientRect().top + it.clientTop")
    assert abs(top - edge) <= 1


def test_on_paper_heads_of_tables_repeat_and_neither_charts_nor_rows_are_cut(printed: Page) -> None:
    for element, rule, value in (
        ("thead", "display", "table-header-group"),
        ("thead th", "position", "static"),
        ("tbody tr", "breakInside", "avoid"),
        ("figure", "breakInside", "avoid"),
        ("section > h2", "breakAfter", "avoid"),
        (".scroll", "overflowX", "visible"),
        (".scroll", "maxHeight", "none"),
    ):
        computed = printed.locator(element).evaluate_all(
            "(all, rule) => all.map(it => getComputedStyle(it)[rule])", rule
        )
        assert set(computed) == {value}, (element, rule)
    heights = printed.locator("figure").evaluate_all("all => all.map(it => it.getBoundingClientRect().height)")
    assert max(heights) < A4_LANDSCAPE_PIXELS["height"]


def test_on_paper_nothing_is_wider_than_it_and_no_control_is_printed(printed: Page) -> None:
    assert printed.evaluate("() => document.documentElement.scrollWidth") == A4_LANDSCAPE_PIXELS["width"]
    edges = printed.locator("svg, table").evaluate_all("all => all.map(it => it.getBoundingClientRect().right)")
    assert max(edges) <= A4_LANDSCAPE_PIXELS["width"]
    expect(printed.get_by_label("Filter rows")).to_be_hidden()


def test_on_paper_a_dark_page_is_dark_on_light(browser: Browser, fleet: Store, tmp_path: Path) -> None:
    report = write_report(fleet, tmp_path, wishes=ReportWishes(theme=Theme(name="dark")))
    with visit(browser, report.as_uri(), color_scheme="dark") as visited:
        visited.page.emulate_media(media="print")
        assert visited.page.evaluate(GROUND) == "rgb(255, 255, 255)"
        assert visited.page.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
