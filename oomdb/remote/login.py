"""Who we are to a web server: by variables of the environment, or by ~/.netrc."""

import base64
import netrc
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from oomdb.errors import UsageError

HOW_TO_LOG_IN = (
    "set REMOTE_USER and REMOTE_TOKEN, JENKINS_USER and JENKINS_TOKEN, or ~/.netrc (or REMOTE_TOKEN: a cookie)"
)
_PAIRS = (("REMOTE_USER", "REMOTE_TOKEN"), ("JENKINS_USER", "JENKINS_TOKEN"))
_COOKIE = re.compile(r"[\w!#$%&'*+.^`|~-]+=[^=].*", re.ASCII)  # name=value, as in RFC 6265; `abc==` is a bare token


@dataclass(frozen=True, slots=True)
class Login:
    """One header that says who we are; `source` tells where it is from, the value is never shown."""

    header: str
    value: str = field(repr=False)
    source: str


def find_login(environ: Mapping[str, str], host: str) -> Login | None:
    """Return how to log in to a host: by the first that is set of both variables of a pair, a cookie, ~/.netrc.

    `REMOTE_TOKEN` without `REMOTE_USER` is a cookie: `name=value` as it is, any other text as the value of `token`.

    Raises:
        UsageError: if a variable holds what no header can, or ~/.netrc cannot be used; the message shows no value.
    """
    said = {name: _read(environ, name) for pair in _PAIRS for name in pair}
    for user, token in _PAIRS:
        if said[user] and said[token]:
            return _basic(said[user], said[token], source=f"{user} and {token}")
        if token == "REMOTE_TOKEN" and said[token]:  # noqa: S105  # a variable's name
            cookie = said[token] if _COOKIE.fullmatch(said[token]) else f"token={said[token]}"
            return Login("Cookie", cookie, token)
    return _read_netrc(host)


def _read(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "").strip()
    if not text.isascii() or not text.isprintable():
        raise UsageError(f"{name} has letters that cannot be sent (a line end perhaps): set it again.")
    return text


def _basic(user: str, password: str, *, source: str) -> Login:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Login("Authorization", f"Basic {pair}", source)


def _read_netrc(host: str) -> Login | None:
    try:
        found = netrc.netrc().authenticators(host)  # which refuses a file that others may read
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as err:
        # not chained, and not told in its words: they may quote a password
        where = f" (line {err.lineno})" if err.lineno else ""
        raise UsageError(f"~/.netrc cannot be used{where}: mend it, and `chmod 600 ~/.netrc`.") from None
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError("~/.netrc cannot be read: mend it, or move it away.") from err
    if found is None or not found[2]:
        return None
    user, _, password = found
    return _basic(user, password, source="~/.netrc")
