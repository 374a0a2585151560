"""What is said of a list that came out empty: which of its filters fit nothing that is known."""

from typing import TYPE_CHECKING

from oomdb.cli.output import note
from oomdb.queries.known import UnknownValue, list_unknown

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.queries.filters import FindingFilter
    from oomdb.store.database import Store


def explain_empty(store: "Store", filters: "FindingFilter", app: "App") -> None:
    """Say on stderr which values of the filters no run knows, and what they may have meant."""
    with store.reading() as conn:
        for unknown in list_unknown(conn, filters):
            note(f"no {unknown.kind} like '{unknown.value}' is known; {_suggest(unknown)}", app)


def _suggest(unknown: UnknownValue) -> str:
    if unknown.near:
        return f"did you mean {' or '.join(unknown.near)}?"
    if not unknown.known:
        return "there is none."
    return f"none of the {unknown.known:,} known ones is like it."
