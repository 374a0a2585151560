"""Acting as somebody else: the kubeconfig's `as` and its companions as headers of each request."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

_UNESCAPED = "!#$&'*+-.^_`|~"  # of a header's name beside letters and digits; % itself is escaped


@dataclass(frozen=True, slots=True, kw_only=True)
class Impersonation:
    """Whom to act as."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def iter_headers(self) -> Iterator[tuple[str, str]]:
        """Iterate over the headers, some of which repeat, as client-go sends them (transport/round_trippers.go)."""
        yield "Impersonate-User", _encode(self.user)
        if self.uid:
            yield "Impersonate-Uid", _encode(self.uid)
        for group in self.groups:
            yield "Impersonate-Group", _encode(group)
        for key, values in self.extra:
            for value in values:
                yield f"Impersonate-Extra-{quote(key, safe=_UNESCAPED)}", _encode(value)


def _encode(value: str) -> str:
    # http.client writes text as Latin-1; the server reads UTF-8, as Go's clients send it
    return value.encode().decode("latin-1")
