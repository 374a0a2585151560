"""Who owns the namespaces of findings and occurrences, as far as CODEOWNERS was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, literal, or_, select, tuple_

from oomdb.store.database import Store
from oomdb.store.dialect import contains
from oomdb.store.schema import namespace_owners, pods

_OWNERS = namespace_owners.c


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceCount:
    """How many namespaces ever had a finding, and of how many of them nobody asked for owners."""

    known: int
    never_asked: int


def list_places(store: Store) -> list[tuple[str, str]]:
    """Return the cluster and namespace of all that ever had a finding."""
    place = (pods.c.cluster, pods.c.namespace)
    with store.reading() as conn:
        return [(row.cluster, row.namespace) for row in conn.execute(select(*place).distinct().order_by(*place))]


def count_places(store: Store) -> PlaceCount:
    """Count the namespaces of all clusters."""
    places = select(pods.c.cluster, pods.c.namespace).distinct().subquery()
    counts = select(func.count(), func.count().filter(owner_of(places.c).is_(None))).select_from(places)
    with store.reading() as conn:
        known, never_asked = conn.execute(counts).one()
    return PlaceCount(known=known, never_asked=never_asked)


def owner_of(table: Any) -> ColumnElement[str | None]:
    """Build the owners of a row's namespace, separated by blanks: '' where none is named, NULL where nobody asked."""
    of_place = select(_OWNERS.owners).where(_OWNERS.cluster == table.cluster, _OWNERS.namespace == table.namespace)
    return of_place.scalar_subquery()


def is_owned_by(owners: Sequence[str], table: Any) -> ColumnElement[bool]:
    """Build 'one of these is among the owners of the row's namespace'; the @ of an account may be left out."""
    words = literal(" ") + func.lower(_OWNERS.owners) + " "
    is_named = or_(*(contains(words, f" {spell_owner(owner)} ") for owner in owners))
    owned = select(_OWNERS.cluster, _OWNERS.namespace).where(is_named)
    return tuple_(table.cluster, table.namespace).in_(owned)


def spell_owner(text: str) -> str:
    """Return an owner as owners are compared: in lower case, and with the @ of an account."""
    return text.lower() if "@" in text else f"@{text.lower()}"
