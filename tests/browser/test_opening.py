"""Opening the page: from a file and a server, with and without script, with nothing loaded and nothing wrong."""

from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.reports import write_large_report
from tests.browser.site import serve
from tests.browser.visits import visit, wait_until_quiet


def test_a_page_opens_from_a_file_and_loads_nothing_besides(browser: Browser, fleet_report: Path) -> None:
    with visit(browser, fleet_report.as_uri()) as visited:
        wait_until_quiet(visited.page)
        assert visited.requests == [fleet_report.as_uri()]
        assert (visited.errors, visited.failed_requests) == ([], [])


def test_a_page_opens_from_a_server_and_asks_it_for_nothing_besides(browser: Browser, fleet_report: Path) -> None:
    with serve(fleet_report.parent) as site, visit(browser, f"{site.url}/{fleet_report.name}") as visited:
        wait_until_quiet(visited.page)
        assert visited.requests == [f"{site.url}/{fleet_report.name}"]
        assert set(site.asked_for) - {"/favicon.ico"} == {f"/{fleet_report.name}"}  # icons are the browser's own wish
        assert (visited.errors, visited.failed_requests) == ([], [])


def test_links_lead_to_the_files_and_a_missing_file_is_said_and_not_linked(page: Page, fleet_report: Path) -> None:
    row = page.locator("#details tbody tr", has_text="worker-0")
    with page.expect_navigation():
        row.get_by_role("link", name="View description of worker-0").click()
    assert page.inner_text("body") == "What oc describe said."
    page.go_back()
    expect(row).to_contain_text("missing: the file is gone")
    assert row.get_by_role("link").count() == 1


def test_without_script_everything_is_there_and_no_control_that_would_do_nothing(
    browser: Browser, fleet_report: Path
) -> None:
    with visit(browser, fleet_report.as_uri()) as visited:
        rows = visited.page.locator("tbody tr").count()
        charts = visited.page.get_by_role("img").count()
    with visit(browser, fleet_report.as_uri(), java_script_enabled=False) as visited:
        page = visited.page
        assert page.locator("button, input, select").count() == 0
        assert page.locator("tbody tr").count() == rows
        assert page.get_by_role("img").count() == charts
        assert all(row.is_visible() for row in page.locator("tbody tr").all())
        assert all(chart.is_visible() for chart in page.get_by_role("img").all())


def test_charts_begin_at_their_newest_run(browser: Browser, fleet_report: Path) -> None:
    with visit(browser, fleet_report.as_uri(), viewport={"width": 420, "height": 800}) as visited:
        scrollers = visited.page.locator("figure .scroll")
        left = scrollers.evaluate_all("all => all.map(it => it.scrollWidth - it.clientWidth - it.scrollLeft)")
        assert left
        assert max(left) < 2
        assert min(scrollers.evaluate_all("all => all.map(it => it.scrollLeft)")) > 0


def test_the_page_of_twenty_clusters_and_two_thousand_rows_opens(browser: Browser, tmp_path: Path) -> None:
    report = write_large_report(tmp_path)
    with visit(browser, report.as_uri()) as visited:
        expect(visited.page.get_by_role("status")).to_have_text("2000 of 2000 rows")
        assert visited.page.locator("section[aria-labelledby=clusters] svg[role=img]").count() == 20
        assert visited.errors == []
