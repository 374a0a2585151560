"""Asking whose namespaces are, remembering it, and saying what could not be learned."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from oomdb.cli.output import escape_controls, note
from oomdb.collect.owners import Owners, find_owners
from oomdb.errors import OwnersError, StoreError
from oomdb.owners.checkout import open_codeowners
from oomdb.owners.people import NO_CODEOWNERS, look_up_people
from oomdb.queries.owners import count_places, list_places
from oomdb.reports.summary import Whose
from oomdb.store.database import Store, open_for_writing
from oomdb.store.owners import Place, record_owners

if TYPE_CHECKING:
    from oomdb.cli.options import App
    from oomdb.cli.owner_options import OwnerWishes

_ADVICE = "`oomdb collect -c DIR` and `oomdb summary -c DIR` ask CODEOWNERS"


def learn_owners(store: Store, places: Iterable[Place], wishes: "OwnerWishes", app: "App") -> Whose | None:
    """Find the owners of namespaces, store what was learned, and return how to tell it; None where nobody wants it.

    Those of namespaces with older findings are stored too, as rules change. Nothing here fails: what could not be
    learned is said on stderr and in the lines.
    """
    if not wishes.are_given:
        return None
    try:
        with open_codeowners(wishes.folder, wishes.repo_url) as codeowners:
            for line in codeowners.ignored:
                note(f"warning: {line}", app)
            lookup = partial(look_up_people, folder=codeowners.folder) if wishes.use_glab else None
            owners = find_owners(store, codeowners, places, lookup=lookup, now=app.now)
            asked = {place: codeowners.owners_of(*place) for place in list_places(store)}
    except OwnersError as err:
        note(f"no owners: {err}", app, is_error=True)
        return lambda _cluster, _namespace: NO_CODEOWNERS
    _note_failures(owners, app)
    try:
        with open_for_writing(app.database) as writer:
            record_owners(writer, {**asked, **owners.of_places}, owners.looked_up, now=app.now)
    except StoreError as err:
        note(f"the owners were not stored: {err}", app, is_error=True)
    return owners.describe


def note_unknown_owners(store: Store, app: "App") -> None:
    """Say of how many namespaces no owner can be told, since nobody asked: they fit no filter by owner."""
    places = count_places(store)
    if places.never_asked:
        note(f"of {places.never_asked} of {places.known} namespaces nobody asked for owners: {_ADVICE}", app)


def _note_failures(owners: Owners, app: "App") -> None:
    failed = [it for it in owners.looked_up if it.status == "failed"]
    if failed:
        text = f"the lookup of {len(failed)} of {len(owners.looked_up)} owners failed, of @{failed[0].account}:"
        note(f"warning: {text} {escape_controls(failed[0].reason)}", app)
