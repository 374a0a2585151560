"""Which occurrences a window of time holds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, select, union_all

from oomdb.store.dialect import unindexed
from oomdb.store.schema import occurrences


def select_in_window(
    columns: Sequence[Column[Any]],
    since: datetime | None,
    until: datetime | None,
    *conditions: ColumnElement[bool],
) -> Select[Any]:
    """Build the selection of the occurrences in a window, newest first: kills by their time, loops that overlap it.

    Two selections put together, each by its own index: what began in the window by the primary key, the loops that
    began before by the index of those that last. One condition with OR would read the whole history. None is an open
    end.
    """
    at, last_seen_at = occurrences.c.occurred_at, occurrences.c.last_seen_at
    named = [*columns, *(column for column in (at, occurrences.c.identity) if column not in set(columns))]
    everything = select(*named).where(*conditions)
    begun = everything if until is None else everything.where(at <= until)
    if since is None:
        return begun.with_only_columns(*columns).order_by(at.desc(), occurrences.c.identity)
    begun = begun.where(at >= since)
    going_on = everything.where(last_seen_at > at, last_seen_at >= since, unindexed(at) < since)
    both = union_all(begun, going_on).subquery()
    wanted = select(*(both.c[column.name] for column in columns))
    # sorted afterwards: in the order of the primary key the second one would read all that is older
    return wanted.order_by(unindexed(both.c.occurred_at).desc(), both.c.identity)
