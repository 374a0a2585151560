"""Sorting and filtering: with the mouse and by keyboard, values sorted as what they are."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

TREND = "section[aria-labelledby=trend] table"
SUMMARY = "section[aria-labelledby=summary] table"


def cells(page: Page, table: str, column: int) -> list[str]:
    """Return the texts of a column, from top to bottom, of the rows that are shown."""
    return page.locator(f"{table} tbody tr:visible > :nth-child({column})").all_inner_texts()


def head(page: Page, table: str, name: str) -> Locator:
    """Return the head of a column, which says how it is sorted."""
    return page.locator(f"{table} thead th", has_text=re.compile(rf"^{re.escape(name)}$"))


def sort(page: Page, table: str, name: str) -> None:
    head(page, table, name).get_by_role("button").click()


def test_a_click_sorts_up_and_the_next_one_down(page: Page) -> None:
    sort(page, "#details", "Pod")
    expect(page.locator("#details thead th[aria-sort]")).to_have_count(1)
    sort(page, "#details", "Cluster")
    expect(head(page, "#details", "Cluster")).to_have_attribute("aria-sort", "ascending")
    up = cells(page, "#details", 1)
    assert up == sorted(up)
    assert len(set(up)) > 1
    sort(page, "#details", "Cluster")
    expect(head(page, "#details", "Cluster")).to_have_attribute("aria-sort", "descending")
    assert cells(page, "#details", 1) == sorted(up, reverse=True)
    expect(page.locator("#details thead th[aria-sort]")).to_have_count(1)


def test_numbers_are_sorted_as_numbers_also_those_that_are_the_least_there_was(page: Page) -> None:
    sort(page, TREND, "OOMKilled")
    texts = cells(page, TREND, 2)
    numbers = [int(text.removeprefix("≥ ")) for text in texts]
    assert numbers == sorted(numbers)
    assert texts != sorted(texts)  # else it would prove nothing


def test_dates_are_sorted_as_dates(page: Page) -> None:
    newest_first = cells(page, TREND, 1)
    sort(page, TREND, "Date (run)")
    oldest_first = cells(page, TREND, 1)
    assert oldest_first == newest_first[::-1]
    assert oldest_first not in (sorted(oldest_first), newest_first)


def test_timestamps_are_sorted_by_the_newest_of_a_row(page: Page) -> None:
    sort(page, "#details", "Timestamps")
    shown = page.locator("#details tbody tr").evaluate_all(
        "rows => rows.map(row => row.querySelector('time').dateTime)"
    )
    assert shown == sorted(shown)
    assert len(set(shown)) > 1


@pytest.mark.parametrize("clicks", [1, 2], ids=["up", "down"])
def test_what_is_not_known_is_last_whichever_way_is_sorted(page: Page, clicks: int) -> None:
    for _ in range(clicks):
        sort(page, SUMMARY, "Total")
    assert [text == "not known" for text in cells(page, SUMMARY, 4)[:-1]] == [False, False]
    assert cells(page, SUMMARY, 4)[-1] == "not known"


def test_the_sum_stays_below_the_rows_that_are_sorted(page: Page) -> None:
    sort(page, SUMMARY, "Cluster")
    assert page.locator(f"{SUMMARY} tr").last.inner_text().startswith("All")


def test_sorting_works_by_keyboard_and_the_focus_can_be_seen(page: Page) -> None:
    page.get_by_label("Filter rows").focus()
    page.keyboard.press("Tab")  # the table's scroller
    page.keyboard.press("Tab")
    button = head(page, "#details", "Cluster").get_by_role("button")
    expect(button).to_be_focused()
    assert button.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
    page.keyboard.press("Space")
    expect(head(page, "#details", "Cluster")).to_have_attribute("aria-sort", "ascending")
    page.keyboard.press("Enter")
    expect(head(page, "#details", "Cluster")).to_have_attribute("aria-sort", "descending")
    expect(button).to_be_focused()


def test_tables_and_charts_scroll_by_keyboard(page: Page) -> None:
    page.set_viewport_size({"width": 420, "height": 800})
    scroller = page.get_by_role("region", name="PODs, Namespaces & Clusters").locator(".scroll")
    scroller.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("it => it.scrollLeft > 0", arg=scroller.element_handle())


def test_the_filter_leaves_the_rows_with_all_words_and_says_how_many(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("15 of 15 rows")
    page.get_by_label("Filter rows").fill("API prod-a")
    expect(page.get_by_role("status")).to_have_text("4 of 15 rows")
    assert cells(page, "#details", 3) == ["api-0", "api-1", "api-2", "api-3"]
    page.get_by_label("Filter rows").fill("no such pod")
    expect(page.get_by_role("status")).to_have_text("0 of 15 rows")
    assert cells(page, "#details", 3) == []


def test_the_filter_works_by_keyboard_and_escape_ends_it(page: Page) -> None:
    page.get_by_label("Filter rows").focus()
    page.keyboard.type("db-")
    assert cells(page, "#details", 3) == ["db-0"]
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_have_text("15 of 15 rows")


def test_what_is_filtered_away_stays_away_when_the_rest_is_sorted(page: Page) -> None:
    page.get_by_label("Filter rows").fill("api")
    sort(page, "#details", "Pod")
    sort(page, "#details", "Pod")
    assert cells(page, "#details", 3) == ["api-3", "api-2", "api-1", "api-0"]
