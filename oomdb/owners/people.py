"""Names and public addresses behind accounts, as `glab` tells them; and the words that name a namespace's owner."""

import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from oomdb.model import Person
from oomdb.owners.checkout import without_repository
from oomdb.processes import CommandFailed, run_to_end

LOOKUP_TIMEOUT_SECONDS = 10.0  # of one account
PATIENCE_SECONDS = 60.0  # for all of them: a report with accounts for names is better than none

NO_OWNER = " (no owner in CODEOWNERS)"
NO_CODEOWNERS = " (no CODEOWNERS repo available)"  # where owners are wanted and there was no CODEOWNERS to ask

_AT_A_TIME = 8
_MAX_OUTPUT_BYTES = 1 << 20
# letters, digits, dots, dashes and underscores, as GitLab allows; @group/team and @@role are no accounts
_ACCOUNT = re.compile(r"@([A-Za-z0-9_.][A-Za-z0-9_.-]*)")


def describe_owner(owners: Sequence[str], people: Mapping[str, Person]) -> str:
    """Return the end of a line about a namespace whose owners CODEOWNERS was asked for, with the blank before it.

    Args:
        owners: as CODEOWNERS spells them.
        people: by account; owners that nobody looked up are told as CODEOWNERS spells them.
    """
    if not owners:
        return NO_OWNER
    return f' is owned by "{", ".join(_describe(owner, people) for owner in owners)}"'


def find_account(owner: str) -> str | None:
    """Return the account that an owner is, None for a group, a role and an address."""
    account = _ACCOUNT.fullmatch(owner)
    return account[1] if account else None


def look_up_people(
    accounts: Collection[str],
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_seconds: float = LOOKUP_TIMEOUT_SECONDS,
    patience_seconds: float = PATIENCE_SECONDS,
) -> dict[str, Person]:
    """Ask GitLab who is behind accounts, by `glab api users?username=…`: once for each, several at a time.

    A lookup that fails is a person too, with status `failed` and the reason.

    Args:
        accounts: without the @.
        folder: the checkout, whose remote tells `glab` which GitLab to ask.
        environ: in place of our own environment.
        timeout_seconds: after this one lookup is given up.
        patience_seconds: after this all that are left are.
    """
    environ = without_repository(os.environ if environ is None else environ)
    environ |= {"NO_COLOR": "1", "NO_PROMPT": "1", "GLAB_CHECK_UPDATE": "0"}
    glab = shutil.which("glab", path=environ.get("PATH", os.defpath))
    wanted = sorted(set(accounts))
    if glab is None:
        missing = "glab cannot be found: install it and run `glab auth login`, or say --no-glab"
        return {account: _failed(account, missing) for account in wanted}
    deadline = time.monotonic() + patience_seconds
    stopped = threading.Event()

    def look_up(account: str) -> Person:
        left = min(timeout_seconds, deadline - time.monotonic())
        if left <= 0:
            return _failed(account, f"the accounts before it took {patience_seconds:g} seconds")
        return _look_up(glab, account, folder, environ, left, stopped)

    pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="glab")
    try:
        return dict(zip(wanted, pool.map(look_up, wanted), strict=True))
    except BaseException:
        stopped.set()  # else what is under way would be waited for
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _User(msgspec.Struct, frozen=True):
    username: str = ""
    name: str | None = None
    public_email: str | None = None


def _look_up(
    glab: str,
    account: str,
    folder: Path | None,
    environ: Mapping[str, str],
    timeout_seconds: float,
    stopped: threading.Event,
) -> Person:
    question = f"users?{urlencode({'username': account})}"
    try:
        answer = run_to_end(
            [glab, "api", question],
            environ=environ,
            timeout_seconds=timeout_seconds,
            max_output_bytes=_MAX_OUTPUT_BYTES,
            cwd=folder,
            stopped=stopped,
        )
        return _read_answer(account, msgspec.json.decode(answer, type=list[_User]))
    except (OSError, ValueError) as err:  # what msgspec raises, and text that is not UTF-8, are ValueErrors
        reason = f"cannot be started ({err.strerror})" if isinstance(err, OSError) else "did not print a list of users"
        return _failed(account, f"glab {reason}")
    except CommandFailed as err:
        return _failed(account, f"glab {err}{f', saying: {err.said}' if err.said else ''}")


def _read_answer(account: str, users: Sequence[_User]) -> Person:
    user = next((it for it in users if it.username.lower() in ("", account.lower())), _User())
    name, email = (" ".join((text or "").split()) for text in (user.name, user.public_email))
    if not name:
        return _failed(account, "GitLab knows no such account")
    return Person(account=account, status="ok" if email else "no-email", name=name, email=email)


def _failed(account: str, reason: str) -> Person:
    return Person(account=account, status="failed", reason=reason)


def _describe(owner: str, people: Mapping[str, Person]) -> str:
    person = people.get(find_account(owner) or "")
    if person is None:
        return owner
    if person.status == "failed":
        return f"{owner} (lookup failed)"
    return f"{person.name} <{person.email}>" if person.status == "ok" else f"{person.name} (no public email)"
