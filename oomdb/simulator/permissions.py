"""Who may read what: a small stand-in for RBAC, everything allowed unless refused."""

from dataclasses import dataclass
from typing import Final

EVERYTHING: Final = "*"
ANONYMOUS: Final = "system:anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Requests by verb (`list`, `get`), resource (`pods`, `pods/log`, `namespaces`), place and user; `*` fits all.

    `namespace` is None for the cluster scope, a name for requests in that namespace, or `*` for both.
    """

    verb: str = EVERYTHING
    resource: str = EVERYTHING
    namespace: str | None = EVERYTHING
    user: str = EVERYTHING

    def fits(self, user: str, verb: str, resource: str, namespace: str | None) -> bool:
        """Tell whether a request is one of those that the rule speaks of."""
        return (
            self.verb in (EVERYTHING, verb)
            and self.resource in (EVERYTHING, resource)
            and self.namespace in (EVERYTHING, namespace)
            and self.user in (EVERYTHING, user)
        )


@dataclass(frozen=True, slots=True)
class Permissions:
    """What is refused, less the exceptions that are allowed all the same.

    Scopes are judged one by one: a list that is refused at the cluster scope may be allowed in each namespace.
    """

    refused: tuple[Rule, ...] = ()
    allowed: tuple[Rule, ...] = ()

    def allow(self, user: str, verb: str, resource: str, namespace: str | None) -> bool:
        """Tell whether a user may do this; `namespace` is None at the cluster scope."""
        return any(rule.fits(user, verb, resource, namespace) for rule in self.allowed) or not any(
            rule.fits(user, verb, resource, namespace) for rule in self.refused
        )
