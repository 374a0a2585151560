"""Which occurrences a window of time holds."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, true

from oomdb.store.schema import occurrences


def in_window(since: datetime | None, until: datetime | None) -> ColumnElement[bool]:
    """Build the condition that an occurrence lies in a window: kills by their time, loops where they overlap it.

    Kills are found by the primary key, loops by the index of those that last; None is an open end.
    """
    at, last_seen_at = occurrences.c.occurred_at, occurrences.c.last_seen_at
    before = at <= until if until is not None else true()
    if since is None:
        return before
    return and_(before, or_(at >= since, and_(last_seen_at > at, last_seen_at >= since, at < since)))
