"""What is asked of CODEOWNERS and of GitLab, and what is remembered."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from oomdb.collect.owners import KNOWN_FOR, Owners, find_owners
from oomdb.model import Person
from oomdb.owners.codeowners import Codeowners, load_codeowners
from oomdb.store.checks import check_database
from oomdb.store.database import Store, open_for_writing
from oomdb.store.owners import record_owners
from tests.owners.checkouts import write_codeowners
from tests.store.builders import NOW, rows

SHOP, OTHER = ("prod-a", "shop"), ("prod-a", "other")
JANE = Person(account="jdoe", status="ok", name="Jane Doe", email="jane@example.com")
JANE_LATER = Person(account="jdoe", status="no-email", name="Jane Roe")
FAILED = Person(account="jdoe", status="failed", reason="no network")


class GitLab:
    """Answers with the same person, and notes for whom it was asked."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.asked: list[set[str]] = []

    def __call__(self, accounts: Collection[str]) -> Mapping[str, Person]:
        self.asked.append(set(accounts))
        return {self.person.account: self.person}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a new database."""
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as opened:
        yield opened


@pytest.fixture
def codeowners(tmp_path: Path) -> Codeowners:
    """Read rules by which @jdoe owns shop, and nobody the rest."""
    return load_codeowners(write_codeowners(tmp_path, "/tenants-config/cluster/*/tenants/shop/ @jdoe @team/sub\n"))


def learn(store: Store, codeowners: Codeowners, lookup: GitLab | None, *, days_later: float = 0) -> Owners:
    """Ask for the owners of shop and another namespace, and remember them, some days after NOW."""
    now = NOW + timedelta(days=days_later)
    owners = find_owners(store, codeowners, [SHOP, OTHER, SHOP], lookup=lookup, now=now)
    record_owners(store, owners.of_places, owners.looked_up, now=now)
    return owners


def test_owners_are_stored_as_codeowners_spells_them_and_people_as_gitlab_knows_them(
    store: Store, codeowners: Codeowners
) -> None:
    owners = learn(store, codeowners, GitLab(JANE))
    assert owners.describe(*SHOP) == ' is owned by "Jane Doe <jane@example.com>, @team/sub"'
    assert owners.describe(*OTHER) == " (no owner in CODEOWNERS)"
    assert rows(store, "SELECT cluster, namespace, owners, updated_at FROM namespace_owners") == [
        ("prod-a", "other", "", "2026-01-15 15:00:00"),
        ("prod-a", "shop", "@jdoe @team/sub", "2026-01-15 15:00:00"),
    ]
    assert rows(store, "SELECT * FROM people") == [
        ("jdoe", "Jane Doe", "jane@example.com", "ok", "2026-01-15 15:00:00")
    ]
    assert check_database(store) == []


def test_the_newest_word_of_codeowners_counts(store: Store, codeowners: Codeowners, tmp_path: Path) -> None:
    learn(store, codeowners, None)
    learn(store, load_codeowners(write_codeowners(tmp_path, "shop/ @new\n")), None, days_later=1)
    assert rows(store, "SELECT owners, updated_at FROM namespace_owners WHERE namespace = 'shop'") == [
        ("@new", "2026-01-16 15:00:00")
    ]


def test_a_person_is_asked_for_once_in_some_days(store: Store, codeowners: Codeowners) -> None:
    gitlab = GitLab(JANE)
    for days_later in (0, 1, KNOWN_FOR.days):
        learn(store, codeowners, gitlab, days_later=days_later)
    assert gitlab.asked == [{"jdoe"}]
    later = learn(store, codeowners, GitLab(JANE_LATER), days_later=KNOWN_FOR.days + 1)
    assert later.describe(*SHOP) == ' is owned by "Jane Roe (no public email), @team/sub"'


def test_a_lookup_that_failed_is_tried_again_the_next_time(store: Store, codeowners: Codeowners) -> None:
    failed = learn(store, codeowners, GitLab(FAILED))
    assert failed.describe(*SHOP) == ' is owned by "@jdoe (lookup failed), @team/sub"'
    assert rows(store, "SELECT account, status FROM people") == [("jdoe", "failed")]
    assert "Jane Doe" in learn(store, codeowners, GitLab(JANE)).describe(*SHOP)
    assert rows(store, "SELECT account, status FROM people") == [("jdoe", "ok")]


def test_a_person_who_was_known_is_not_forgotten_where_a_later_lookup_fails(
    store: Store, codeowners: Codeowners
) -> None:
    learn(store, codeowners, GitLab(JANE))
    later = learn(store, codeowners, GitLab(FAILED), days_later=30)
    assert later.describe(*SHOP) == ' is owned by "Jane Doe <jane@example.com>, @team/sub"'
    assert later.looked_up == (FAILED,)
    assert rows(store, "SELECT name, status, looked_up_at FROM people") == [("Jane Doe", "ok", "2026-01-15 15:00:00")]


def test_without_lookup_what_is_stored_is_told_whatever_its_age(store: Store, codeowners: Codeowners) -> None:
    assert learn(store, codeowners, None).describe(*SHOP) == ' is owned by "@jdoe, @team/sub"'
    learn(store, codeowners, GitLab(JANE))
    assert "Jane Doe" in learn(store, codeowners, None, days_later=300).describe(*SHOP)


def test_hostile_names_are_stored_as_they_are(store: Store, codeowners: Codeowners) -> None:
    place = ("'; DROP TABLE people;--", "a\nb💥")
    owners = find_owners(store, codeowners, [place], lookup=None, now=NOW)
    record_owners(store, owners.of_places, (), now=NOW)
    assert rows(store, "SELECT cluster, namespace, owners FROM namespace_owners") == [(*place, "")]


def test_nothing_to_remember_is_no_row(store: Store) -> None:
    record_owners(store, {}, (), now=NOW)
    assert rows(store, "SELECT count(*) FROM namespace_owners") == [(0,)]
    assert rows(store, "SELECT count(*) FROM people") == [(0,)]
