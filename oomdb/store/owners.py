"""Owners of namespaces, and the people behind their accounts, as they were last asked for."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from oomdb.model import Person
from oomdb.store.database import Store
from oomdb.store.dialect import upsert
from oomdb.store.schema import namespace_owners, people

Place = tuple[str, str]  # cluster, namespace

_PERSON = (people.c.account, people.c.status, people.c.name, people.c.email)


def record_owners(
    store: Store, owners: Mapping[Place, Sequence[str]], known: Iterable[Person], *, now: datetime
) -> None:
    """Remember who owns namespaces, as CODEOWNERS said now, and what was learned of people now.

    A person of whom something was known is not forgotten where the lookup failed.
    """
    with store.writing() as conn:
        _put_owners(conn, owners, now)
        _put_people(conn, known, now)


def read_people(store: Store, accounts: Collection[str], *, since: datetime | None = None) -> dict[str, Person]:
    """Return the people of whom something is known, by account; with `since`, those who were looked up since then."""
    wanted = select(*_PERSON).where(people.c.status != "failed")
    if since is not None:
        wanted = wanted.where(people.c.looked_up_at >= since)
    with store.reading() as conn:
        known = {row.account: Person(**row._mapping) for row in conn.execute(wanted)}
    return {account: known[account] for account in accounts if account in known}


def _put_owners(conn: Connection, owners: Mapping[Place, Sequence[str]], now: datetime) -> None:
    rows = [
        {"cluster": cluster, "namespace": namespace, "owners": " ".join(names), "updated_at": now}
        for (cluster, namespace), names in sorted(owners.items())
    ]
    statement = upsert(namespace_owners)
    told = {name: statement.excluded[name] for name in ("owners", "updated_at")}
    if rows:
        conn.execute(statement.on_conflict_do_update(index_elements=["cluster", "namespace"], set_=told), rows)


def _put_people(conn: Connection, known: Iterable[Person], now: datetime) -> None:
    rows = [
        {"account": it.account, "name": it.name, "email": it.email, "status": it.status, "looked_up_at": now}
        for it in sorted(known, key=lambda it: it.account)
    ]
    statement = upsert(people)
    told = {name: statement.excluded[name] for name in ("name", "email", "status", "looked_up_at")}
    update = statement.on_conflict_do_update(
        index_elements=["account"],
        set_=told,
        where=(statement.excluded.status != "failed") | (people.c.status == "failed"),
    )
    if rows:
        conn.execute(update, rows)
