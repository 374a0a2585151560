"""A page that is open in the browser, and everything that went wrong or out while it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """An open page; the lists grow while it is open."""

    page: Page
    errors: list[str] = field(default_factory=list)  # of the console, and uncaught ones
    requests: list[str] = field(default_factory=list)  # all that were tried
    failed_requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


def wait_until_quiet(page: Page) -> None:
    """Wait until half a second has brought no request.

    That is what Playwright's "networkidle" waits for too, by a word of the browser's that it does not always send.
    """
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    before = -1
    while before < len(asked):
        before = len(asked)
        page.wait_for_timeout(500)


@contextmanager
def visit(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Open a page in a profile of its own; `options` are those of Playwright's `new_context`."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        visited = Visit(page=page)

        def note_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visited.errors.append(message.text)

        def note_request(request: Request) -> None:
            visited.requests.append(request.url)

        def note_failure(request: Request) -> None:
            visited.failed_requests.append(request.url)

        def note_dialog(dialog: Dialog) -> None:
            visited.dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("console", note_console)
        page.on("pageerror", lambda error: visited.errors.append(str(error)))
        page.on("request", note_request)
        page.on("requestfailed", note_failure)
        page.on("dialog", note_dialog)
        page.goto(url)
        yield visited
