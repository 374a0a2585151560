"""Who owns namespaces, by CODEOWNERS, and who these people are, by what is stored and by GitLab."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from oomdb.model import Person
from oomdb.owners.codeowners import Codeowners
from oomdb.owners.people import describe_owner, find_account
from oomdb.store.database import Store
from oomdb.store.owners import Place, read_people

KNOWN_FOR = timedelta(days=7)  # people change their names and addresses rarely; a lookup that failed is tried again

Lookup = Callable[[Collection[str]], Mapping[str, Person]]  # accounts → people, also those of whom it failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who owns namespaces, and what is known of these people.

    Attributes:
        of_places: as CODEOWNERS spells them, by cluster and namespace.
        people: by account.
        looked_up: those who were asked for now.
    """

    of_places: Mapping[Place, tuple[str, ...]]
    people: Mapping[str, Person]
    looked_up: tuple[Person, ...] = ()

    def describe(self, cluster: str, namespace: str) -> str:
        """Return the end of a line about one of these namespaces."""
        return describe_owner(self.of_places[cluster, namespace], self.people)


def find_owners(
    store: Store, codeowners: Codeowners, places: Iterable[Place], *, lookup: Lookup | None, now: datetime
) -> Owners:
    """Find the owners of namespaces and who they are; what is stored and not too old is not looked up again.

    Args:
        store: which is only read.
        codeowners: the rules.
        places: cluster and namespace of each.
        lookup: asks GitLab; None: only what is stored is told, whatever its age.
        now: UTC.
    """
    of_places = {place: codeowners.owners_of(*place) for place in sorted(set(places))}
    accounts = {account for owners in of_places.values() for owner in owners if (account := find_account(owner))}
    known = read_people(store, accounts)
    if lookup is None:
        return Owners(of_places=of_places, people=known)
    outdated = accounts - read_people(store, accounts, since=now - KNOWN_FOR).keys()
    asked = lookup(outdated) if outdated else {}
    told = {account: it for account, it in asked.items() if it.status != "failed" or account not in known}
    return Owners(of_places=of_places, people=known | told, looked_up=tuple(asked.values()))
