"""Trends as a DataFrame in long form: a row per group, window and type."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oomdb.queries.trends import Trends
from oomdb.queries.window_coverage import Coverage

if TYPE_CHECKING:
    import pandas as pd


def build_trends_frame(trends: Trends) -> "pd.DataFrame":
    """Return the counts of trends, in the order of their groups; `History.trends` tells of the columns."""
    import pandas as pd  # half a second, for notebooks alone

    types = dict.fromkeys((*trends.by, "type"), "object")
    types |= dict.fromkeys(("window_since", "window_until"), "datetime64[us, UTC]")
    types |= dict.fromkeys(("occurrences", *(["restarts"] if "pod" in trends.by else [])), "Int64")
    types |= dict.fromkeys(("complete_share", "covered_share"), "Float64")
    frame = pd.DataFrame(_iter_rows(trends), columns=list(types), dtype="object")
    return frame.astype(types)


def _iter_rows(trends: Trends) -> Iterator[tuple[Any, ...]]:
    for group in trends.groups:
        for window, counts, coverage in zip(trends.windows, group.counts, group.coverage, strict=True):
            for type_ in trends.types:
                count = counts[type_]
                restarts = (count.restarts,) if "pod" in trends.by else ()
                named = (*group.names, type_, window.since, window.until)
                yield (*named, count.occurrences, *restarts, *_shares(coverage))


def _shares(coverage: Coverage) -> tuple[float | None, float | None]:
    if coverage.state == "unknown":
        return None, None
    return coverage.complete / coverage.length, coverage.covered / coverage.length
