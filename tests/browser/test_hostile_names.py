"""Names that try to become markup, script or links: they are shown as they are, and nothing of them runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.reports import write_hostile_report
from tests.browser.site import serve
from tests.browser.visits import Visit, visit, wait_until_quiet

RUN = "window.ran = 1; alert(1); fetch('http://127.0.0.1:9/')"
TEXTS = (
    f"<script>{RUN}</script>",
    f'"><img src=x onerror="{RUN}">',
    f"'><svg onload='{RUN}'>",
    f"</title></text></svg><script>{RUN}</script>",
    f"</style></script><script>{RUN}</script>",
    f"--><script>{RUN}</script><!--",
    f"javascript:{RUN}",
    "//127.0.0.1:9/elsewhere",
    "{{ 7 * 7 }} {% raw %} ${1} &lt;b&gt; &amp;amp;",
    "quote\"s 'n' `ticks` 100% #hash ?query",
    "💥 عربي \u202egnp.exe\u202c",
    "no-blank-" * 20,
)
SHOWN = tuple(text.replace("\u202e", "\\u202e").replace("\u202c", "\\u202c") for text in TEXTS)


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile_report(tmp_path_factory.mktemp("hostile"), TEXTS)


@pytest.fixture
def hostile(browser: Browser, hostile_report: Path) -> Iterator[Visit]:
    """Open the page from a server, from which scripts and requests could do more than from a file."""
    with serve(hostile_report.parent) as site, visit(browser, f"{site.url}/{hostile_report.name}") as visited:
        yield visited


def test_nothing_runs_and_nothing_is_asked_for(hostile: Visit) -> None:
    page = hostile.page
    for head in page.locator("thead button").all():
        head.click()
    page.get_by_label("Filter rows").fill("script")
    page.mouse.move(300, 300)
    wait_until_quiet(page)
    assert page.evaluate("() => window.ran") is None
    assert hostile.dialogs == []
    assert hostile.requests == [page.url]
    assert hostile.errors == []
    assert page.locator("body img, body svg[onload], main script").count() == 0


def test_every_name_is_shown_as_it_is(hostile: Visit) -> None:
    rows = hostile.page.locator("#details tbody tr", has_not_text="odd ")
    expect(rows).to_have_count(len(TEXTS))
    for column in (1, 2, 3, 5, 6):
        shown = rows.locator(f":scope > :nth-child({column})").evaluate_all("all => all.map(it => it.textContent)")
        assert sorted(shown) == sorted(SHOWN)
    types = hostile.page.locator("#details .badge").evaluate_all("all => all.map(it => it.textContent)")
    assert set(SHOWN) < set(types)


def test_errors_titles_and_headings_show_names_too(hostile: Visit) -> None:
    page = hostile.page
    summary = page.locator("section[aria-labelledby=summary] tbody").text_content() or ""
    headings = " ".join(page.locator("h3").all_text_contents())
    labels = page.locator("svg[role=img]").evaluate_all("all => all.map(it => it.getAttribute('aria-label')).join(' ')")
    titles = " ".join(page.locator("svg title").all_text_contents())
    for text in SHOWN:
        assert f"partial: {text}" in summary
        assert f"(cluster: {text})" in headings
        assert f"(cluster: {text})" in labels
        assert text in titles
        assert text in page.title() or " ".join(text.split()) in page.title()
        assert text in (page.locator(".team").text_content() or "")


def test_every_link_leads_to_a_file_of_the_folder(hostile: Visit) -> None:
    page = hostile.page
    links = page.locator("#details a").evaluate_all("all => all.map(it => it.href)")
    assert len(links) >= len(TEXTS) - 1
    assert all(link.startswith(page.url.rpartition("/")[0] + "/") for link in links)
    assert {page.request.get(link).text() for link in links} == {"What oc describe said."}


def test_long_names_do_not_make_the_page_scroll_sideways(hostile: Visit) -> None:
    hostile.page.set_viewport_size({"width": 420, "height": 900})
    assert hostile.page.evaluate("() => document.documentElement.scrollWidth") == 420
