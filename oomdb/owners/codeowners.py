"""The rules of a konflux-release-data checkout's CODEOWNERS files, and the owners that they name for a namespace."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeowners import CodeOwners

from oomdb.errors import OwnersError
from oomdb.table import escape_controls

FILES = ("CODEOWNERS", "staging/CODEOWNERS")

_MAX_BYTES = 16 << 20  # the largest that GitLab would read is a small part of it
# how a rule may name the folder of a namespace; the first is where it lies
_SPELLINGS = tuple(
    f"{root}{path}"
    for root in ("", "staging/")
    for path in (
        "tenants-config/cluster/{cluster}/tenants/{namespace}/",
        "tenants-config/cluster/{cluster}/{namespace}/",
        "cluster/{cluster}/tenants/{namespace}/",
    )
)
_NOBODYS = {"cluster": "-", "namespace": "-"}  # a rule that holds for these names holds for any
# https://docs.gitlab.com/user/project/codeowners/reference: [name], ^[name], [name][2], each maybe with default owners
_SECTION = re.compile(r"\^?\[[^\]]+\](?:\[\d+\])?(?:\s+(?P<owners>.*))?")
_RULE = re.compile(r"(?P<pattern>(?:\\.|[^\s\\])+)\s*(?P<owners>.*)")


def load_codeowners(folder: Path) -> "Codeowners":
    """Read `CODEOWNERS` and `staging/CODEOWNERS` of a checkout; one of both is enough.

    Raises:
        OwnersError: it is no folder, has neither file, or one that cannot be read.
    """
    if not folder.is_dir():
        raise OwnersError(f"{_show(folder)} is not a folder; give --codeowners-dir a checkout with a CODEOWNERS file.")
    files = []
    ignored: list[str] = []
    for name in FILES:
        text = _read(folder, name)
        if text is not None:
            rules, refused = _parse(text)
            files.append(_File(rules, _match_nobodys(rules)))
            ignored += (f"{name}: no rule can be made of '{escape_controls(line)}'; left out" for line in refused)
    if not files:
        raise OwnersError(f"{_show(folder)} has neither {' nor '.join(FILES)}; give --codeowners-dir another checkout.")
    return Codeowners(folder, files, tuple(ignored))


class Codeowners:
    """The rules of a checkout; `ignored` says which lines are none."""

    def __init__(self, folder: Path, files: Sequence["_File"], ignored: tuple[str, ...]) -> None:
        self.folder = folder
        self.ignored = ignored
        self._files = tuple(files)

    def owners_of(self, cluster: str, namespace: str) -> tuple[str, ...]:
        """Return the owners as CODEOWNERS spells them, each once; none where no rule names one.

        In a file, the last rule that matches counts. One about this namespace or cluster, in either file, comes before
        one that holds for any, such as `*`.
        """
        matches = list(self._iter_matches(cluster, namespace))
        best = next((it for it in matches if it.is_specific), matches[0] if matches else None)
        return best.owners if best else ()

    def _iter_matches(self, cluster: str, namespace: str) -> Iterator["_Match"]:
        for file in self._files:
            for spelling in _SPELLINGS:
                owners, line, *_ = file.rules.matching_line(spelling.format(cluster=cluster, namespace=namespace))
                if line is not None:
                    yield _Match(tuple(dict.fromkeys(name for _, name in owners)), line != file.nobodys[spelling])


@dataclass(frozen=True, slots=True)
class _File:
    rules: CodeOwners
    nobodys: dict[str, int | None]  # spelling → the rule that holds for any namespace


@dataclass(frozen=True, slots=True)
class _Match:
    owners: tuple[str, ...]
    is_specific: bool


def _read(folder: Path, name: str) -> str | None:
    path = folder / name
    try:
        if not path.is_file():  # a pipe would never end
            return None
        if not path.resolve().is_relative_to(folder.resolve()):
            raise OwnersError(f"{_show(path)} is a link that leads out of the checkout; it is not read.")
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except OSError as err:
        raise OwnersError(f"{_show(path)} cannot be read: {err.strerror}.") from err
    if len(content) > _MAX_BYTES:
        raise OwnersError(f"{_show(path)} is larger than {_MAX_BYTES >> 20} MiB; this is no CODEOWNERS file.")
    return content.decode("utf-8-sig", "replace")


def _parse(text: str) -> tuple[CodeOwners, list[str]]:
    """Return the rules, and the lines that are none."""
    lines = list(_iter_rules(text))
    refused = [line for line in lines if not _is_rule(line)]
    return CodeOwners("\n".join(line for line in lines if line not in set(refused))), refused


def _iter_rules(text: str) -> Iterator[str]:
    """Yield the rules of GitLab's dialect as GitHub spells them, which the library knows.

    A section's default owners go to its rules without any; `!pattern` takes the owners away; a pattern without a
    leading slash matches at any depth. Sections are not told apart: the last rule counts, whichever it is in.
    """
    inherited = ""
    for line in map(str.strip, text.splitlines()):
        section = _SECTION.fullmatch(line)
        if section:
            inherited = section["owners"] or ""
            continue
        rule = _RULE.fullmatch(line)
        if rule is None or line.startswith("#"):
            continue
        is_exclusion = line.startswith("!")
        pattern = rule["pattern"].removeprefix("!")
        owners = "" if is_exclusion else rule["owners"] or inherited
        yield f"{pattern if pattern.startswith('/') else f'**/{pattern}'} {owners}"


def _is_rule(line: str) -> bool:
    try:
        CodeOwners(line)
    except (ValueError, re.error):
        return False
    return True


def _match_nobodys(rules: CodeOwners) -> dict[str, int | None]:
    return {spelling: rules.matching_line(spelling.format(**_NOBODYS))[1] for spelling in _SPELLINGS}


def _show(path: Path) -> str:
    return escape_controls(str(path))
