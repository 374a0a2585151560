"""The scope of a run: the selection as it was written, never what it resolved to."""

from collections.abc import Sequence
from dataclasses import dataclass

from oomdb.store.runs import hash_scope

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What narrows a run; runs of different scope are not compared with each other."""

    current: bool = False
    contexts: Sequence[str] = ()
    names: Sequence[str] = ()
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    include_ephemeral: bool = False

    @property
    def text(self) -> str:
        """The flags in a fixed order, `all` where there are none."""
        flags = [("--contexts", self.contexts), ("--namespace", self.names)]
        flags += [("--include-ns", self.include), ("--exclude-ns", self.exclude)]
        parts = ["--current"] if self.current else []
        parts += [f"{flag} {','.join(sorted(values))}" for flag, values in flags if values]
        parts += ["--include-ephemeral"] if self.include_ephemeral else []
        return " ".join(parts) or ALL

    @property
    def covered_by(self) -> frozenset[str]:
        """The hashes of the scopes whose scan of a cluster looked at all that this scope looks at there."""
        # `-n` and --include-ephemeral look into namespaces that a scan of everything leaves out
        wider = not (self.names or self.include_ephemeral)
        return frozenset({self.hash, ALL} if wider else {self.hash})

    @property
    def hash(self) -> str:
        """A short hash of the text; `all` stays readable."""
        return hash_scope(self.text)
