"""Who is behind an account, as glab tells; and how a line about a namespace ends."""

import signal
import threading
from pathlib import Path

import pytest

from oomdb.model import Person
from oomdb.owners.people import describe_owner, find_account, look_up_people
from tests.owners.commands import PEOPLE, with_commands, write_command, write_glab
from tests.waiting import wait_until

JANE = Person(account="jdoe", status="ok", name="Jane Doe", email="jane@example.com")
SHY = Person(account="shy", status="no-email", name="Shy Person")
GONE = Person(account="gone", status="failed", reason="GitLab knows no such account")
ALL = {it.account: it for it in (JANE, SHY, GONE)}


@pytest.mark.parametrize(
    ("owners", "end"),
    [
        (["@jdoe"], ' is owned by "Jane Doe <jane@example.com>"'),
        (["@shy"], ' is owned by "Shy Person (no public email)"'),
        (["@gone"], ' is owned by "@gone (lookup failed)"'),
        (["@not-asked"], ' is owned by "@not-asked"'),
        (["@team/sub"], ' is owned by "@team/sub"'),
        (["ops@example.com"], ' is owned by "ops@example.com"'),
        (
            ["@jdoe", "@shy", "@gone"],
            ' is owned by "Jane Doe <jane@example.com>, Shy Person (no public email), @gone (lookup failed)"',
        ),
        ([], " (no owner in CODEOWNERS)"),
    ],
)
def test_a_line_ends_with_who_owns_the_namespace(owners: list[str], end: str) -> None:
    assert describe_owner(owners, ALL) == end


@pytest.mark.parametrize(
    ("owner", "account"),
    [
        ("@jdoe", "jdoe"),
        ("@j.d_o-e1", "j.d_o-e1"),
        ("@group/team", None),
        ("@@maintainer", None),
        ("jane@example.com", None),
        ("@-x", None),
        ("@a&admin=1", None),
        ("@", None),
    ],
)
def test_groups_roles_and_addresses_are_no_accounts(owner: str, account: str | None) -> None:
    assert find_account(owner) == account


def test_people_are_asked_for_once_each(tmp_path: Path) -> None:
    log = write_glab(tmp_path / "bin")
    people = look_up_people(["jdoe", "shy", "gone", "jdoe"], environ=with_commands(tmp_path / "bin"))
    assert people == ALL
    asked = sorted(log.read_text().splitlines())
    assert asked == ["api users?username=gone", "api users?username=jdoe", "api users?username=shy"]


def test_nobody_is_asked_for_nobody(tmp_path: Path) -> None:
    log = write_glab(tmp_path / "bin")
    assert look_up_people([], environ=with_commands(tmp_path / "bin")) == {}
    assert not log.exists()


def test_several_are_asked_for_at_a_time(tmp_path: Path) -> None:
    # each waits until two have begun: one after the other none would end
    script = (
        "#!/bin/sh\ntouch {0}/began.$$\n"
        'while [ $(ls {0} | grep -c began) -lt 2 ]; do sleep 0.02; done\necho \'[{{"name": "N"}}]\'\n'
    )
    write_command(tmp_path / "bin", "glab", script.format(tmp_path / "bin"))
    people = look_up_people(["a", "b"], environ=with_commands(tmp_path / "bin"))
    assert [it.status for it in people.values()] == ["no-email", "no-email"]


def test_glab_is_run_in_the_checkout_so_that_it_asks_the_gitlab_of_its_remote(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    write_command(tmp_path / "bin", "glab", '#!/bin/sh\nprintf \'[{"name": "%s"}]\' "$PWD"\n')
    people = look_up_people(["jdoe"], folder=tmp_path / "checkout", environ=with_commands(tmp_path / "bin"))
    assert people["jdoe"].name == str(tmp_path / "checkout")


def test_the_name_of_an_account_may_be_spelled_otherwise(tmp_path: Path) -> None:
    write_glab(tmp_path / "bin", {"JDoe": PEOPLE["jdoe"]})
    assert look_up_people(["JDoe"], environ=with_commands(tmp_path / "bin"))["JDoe"].name == "Jane Doe"


def test_the_answer_about_another_account_is_not_taken(tmp_path: Path) -> None:
    write_glab(tmp_path / "bin", {"gone": PEOPLE["jdoe"]})
    assert look_up_people(["gone"], environ=with_commands(tmp_path / "bin")) == {"gone": GONE}


def test_line_ends_in_a_name_are_blanks(tmp_path: Path) -> None:
    write_glab(tmp_path / "bin", {"a": {"username": "a", "name": "A\nB\t C", "public_email": " x@y \n"}})
    person = look_up_people(["a"], environ=with_commands(tmp_path / "bin"))["a"]
    assert (person.name, person.email) == ("A B C", "x@y")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo '401 Unauthorized' >&2; exit 1", "glab failed with exit code 1, saying: 401 Unauthorized"),
        (
            "printf '\\033[31mERROR\\033[0m\\n\\nlog in\\n' >&2; exit 2",
            "glab failed with exit code 2, saying: ERROR | log in",
        ),
        ("exit 3", "glab failed with exit code 3"),
        ("kill -9 $$", "glab was ended by signal 9"),
        ("true", "glab did not print a list of users"),
        ("echo rubbish", "glab did not print a list of users"),
        ('printf \'[{"name": "\\377"}]\'', "glab did not print a list of users"),
        ('echo \'{"message": "404"}\'', "glab did not print a list of users"),
        ("echo '[1]'", "glab did not print a list of users"),
        ("echo '[{\"name\": 1}]'", "glab did not print a list of users"),
        ("echo '[]'", "GitLab knows no such account"),
        ("echo '[{}]'", "GitLab knows no such account"),
        ('echo \'[{"username": "jdoe", "name": null}]\'', "GitLab knows no such account"),
        ("yes | head -c 2000000", "glab printed more than 1 MiB and was stopped"),
    ],
)
def test_a_lookup_that_fails_is_a_person_with_the_reason(tmp_path: Path, script: str, reason: str) -> None:
    write_command(tmp_path / "bin", "glab", f"#!/bin/sh\n{script}\n")
    people = look_up_people(["jdoe"], environ=with_commands(tmp_path / "bin"))
    assert people == {"jdoe": Person(account="jdoe", status="failed", reason=reason)}


def test_glab_that_hangs_is_given_up(tmp_path: Path) -> None:
    write_command(tmp_path / "bin", "glab", "#!/bin/sh\nsleep 600\n")
    people = look_up_people(["jdoe"], environ=with_commands(tmp_path / "bin"), timeout_seconds=0.3)
    assert people["jdoe"].status == "failed"
    assert "did not end within" in people["jdoe"].reason


def test_an_interrupt_ends_the_lookups_that_are_under_way(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    write_command(tmp_path / "bin", "glab", f"#!/bin/sh\ntouch {begun}\nsleep 20\ntouch {ended}\n")

    waiter = threading.get_ident()

    def interrupt() -> None:
        wait_until(begun.exists)
        signal.pthread_kill(waiter, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        look_up_people(["a", "b"], environ=with_commands(tmp_path / "bin"), timeout_seconds=60)
    interrupting.join()
    assert not ended.exists()


def test_many_accounts_of_a_glab_that_hangs_cost_the_time_of_patience_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_command(tmp_path / "bin", "glab", f"#!/bin/sh\necho x >> {log}\nsleep 600\n")
    accounts = [f"a{number}" for number in range(60)]
    environ = with_commands(tmp_path / "bin")
    people = look_up_people(accounts, environ=environ, timeout_seconds=60, patience_seconds=0.5)
    assert {it.status for it in people.values()} == {"failed"}
    assert people["a9"].reason == "the accounts before it took 0.5 seconds"
    assert len(log.read_text().splitlines()) <= 8


def test_without_glab_everybody_fails_and_the_way_out_is_named(tmp_path: Path) -> None:
    people = look_up_people(["jdoe", "shy"], environ={"PATH": str(tmp_path)})
    assert [it.status for it in people.values()] == ["failed", "failed"]
    assert people["jdoe"].reason == "glab cannot be found: install it and run `glab auth login`, or say --no-glab"


def test_a_glab_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    write_command(tmp_path / "bin", "glab", "#!/nowhere/sh\n")
    people = look_up_people(["jdoe"], environ=with_commands(tmp_path / "bin"))
    assert people["jdoe"].reason == "glab cannot be started (No such file or directory)"
