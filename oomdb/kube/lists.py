"""Lists page by page, begun anew when the server has forgotten where we were."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from oomdb.errors import ClusterAnswerError
from oomdb.kube.objects import ObjectList

PAGE_LIMIT = 500  # bounds the memory: about 5 MB of JSON

T = TypeVar("T")

Fetch = Callable[[Mapping[str, str]], ObjectList[T]]


class ListExpiredError(ClusterAnswerError):
    """410: the continue token is older than what the server remembers (about five minutes)."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; where `restarted`, all pages before it are to be discarded.

    Pods hold on to the bytes that they were decoded from (labels and resources are read late): drop a page and its
    items before the next is asked for, and two pages never lie in memory together.
    """

    items: list[T]
    restarted: bool = False


def iter_pages(fetch: Fetch[T]) -> Iterator[Page[T]]:
    """Iterate over the pages of a list, at least one.

    When the list expires between two pages, it is read once more from the start, then without a limit (which cannot
    expire): a list is whole or it is an error, never truncated.

    Args:
        fetch: reads one page, given the query's `limit` and `continue`.

    Raises:
        ClusterError: a page could not be read, or the pages do not end.
    """
    try:
        yield from _iter_pass(fetch, PAGE_LIMIT, restarted=False)
        return
    except ListExpiredError:
        pass  # begun anew outside the handler, so that a later error does not drag this one along
    try:
        yield from _iter_pass(fetch, PAGE_LIMIT, restarted=True)
        return
    except ListExpiredError:
        pass
    yield from _iter_pass(fetch, None, restarted=True)


def read_all(pages: Iterator[Page[T]]) -> list[T]:
    """Return the items of all pages of a list that is known to be small."""
    items: list[T] = []
    for page in pages:
        if page.restarted:
            items.clear()
        items += page.items
    return items


def _iter_pass(fetch: Fetch[T], limit: int | None, *, restarted: bool) -> Iterator[Page[T]]:
    query = {} if limit is None else {"limit": str(limit)}
    token = ""
    while True:
        listed = fetch(query | {"continue": token} if token else query)
        before, token = token, listed.metadata.continue_token or ""
        page = Page(listed.items or [], restarted=restarted)
        del listed
        yield page
        del page
        if not token:
            return
        if token == before:
            raise ClusterAnswerError("The server repeats the same page of a list without end; is a cache in between?")
        restarted = False
