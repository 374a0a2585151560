"""The rules of a konflux-release-data checkout's CODEOWNERS files, and the owners that they name for a namespace."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from codeowners import CodeOwners

from oomdb.errors import OwnersError
from oomdb.table import escape_controls

FILES = ("CODEOWNERS", "staging/CODEOWNERS")

_MAX_BYTES = 16 << 20  # the largest that GitLab would read is a small part of it
# where the folder of a namespace may lie, and how else a rule may name it
_WHOLE = "tenants-config/cluster/{cluster}/tenants/{namespace}/"
_SHORTER = ("tenants-config/cluster/{cluster}/{namespace}/", "cluster/{cluster}/tenants/{namespace}/")
_SPELLINGS = tuple(tuple(f"{root}{path}" for path in (_WHOLE, *_SHORTER)) for root in ("", "staging/"))
_NOBODYS = {"cluster": "-", "namespace": "-"}  # a rule that holds for these names holds for any
# https://docs.gitlab.com/user/project/codeowners/reference: [name], ^[name], [name][2], each maybe with default owners
_SECTION = re.compile(r"\^?\[(?P<name>[^\]]+)\](?:\[\d+\])?(?:\s+(?P<owners>.*))?")
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
            sections, refused = _parse(text)
            files.append(_File(sections))
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

        In a section of a file, the last rule that matches counts; the owners of all its sections are told. What is
        about this namespace or cluster, in either file, comes before what holds for any, such as `*`.
        """
        matches = [it for file in self._files for it in file.iter_matches(cluster, namespace)]
        best = next((it for it in matches if it.is_specific), matches[0] if matches else None)
        return best.owners if best else ()


@dataclass(frozen=True, slots=True)
class _Match:
    owners: tuple[str, ...]
    is_specific: bool


@dataclass(frozen=True, slots=True)
class _File:
    sections: Sequence["_Section"]

    def iter_matches(self, cluster: str, namespace: str) -> Iterator[_Match]:
        """Iterate over the matches at the top and in staging."""
        place = {"cluster": cluster, "namespace": namespace}
        for spellings in _SPELLINGS:
            found = [it for section in self.sections if (it := section.find_match(spellings, place)) is not None]
            if found:
                owners = dict.fromkeys(owner for it in found for owner in it.owners)
                yield _Match(tuple(owners), any(it.is_specific for it in found))


class _Section:
    """The rules under all headers of one name, or those before any header."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._rules = CodeOwners("\n".join(lines))
        self._nobodys = {it: self._find_line(it, _NOBODYS) for spellings in _SPELLINGS for it in spellings}

    def find_match(self, spellings: Sequence[str], place: Mapping[str, str]) -> _Match | None:
        """Return the match of the last rule that matches one of the spellings, None for none."""
        found = ((spelling, *self._rules.matching_line(spelling.format_map(place))[:2]) for spelling in spellings)
        matching = [(line, spelling, owners) for spelling, owners, line in found if line is not None]
        if not matching:
            return None
        # of two spellings that one rule matches, the longer one: it comes first
        line, spelling, owners = max(matching, key=itemgetter(0))
        is_specific = line != self._nobodys[spelling] and not self._is_overruled(line, place)
        return _Match(tuple(name for _, name in owners), is_specific)

    def _is_overruled(self, line: int, place: Mapping[str, str]) -> bool:
        """Tell whether a rule matches at the top too, where a later one counts: then it is not about staging."""
        at_top = [number for _, number, *_ in self._rules.matching_lines(_WHOLE.format_map(place))]  # the last first
        return line in at_top[1:]

    def _find_line(self, spelling: str, place: Mapping[str, str]) -> int | None:
        return self._rules.matching_line(spelling.format_map(place))[1]


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


def _parse(text: str) -> tuple[list[_Section], list[str]]:
    """Return the sections, and the lines that are no rules."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    refused = []
    for section, line in _iter_rules(text):
        if _is_rule(line):
            lines[section].append(line)
        else:
            refused.append(line)
    return [_Section(rules) for rules in lines.values()], refused


def _iter_rules(text: str) -> Iterator[tuple[str, str]]:
    """Yield the rules of GitLab's dialect as GitHub spells them, which the library knows, each with its section.

    A section's default owners go to its rules without any; `!pattern` takes the section's owners away; a pattern
    without a leading slash matches at any depth. Names of sections are told in small letters, as case means nothing.
    """
    name = inherited = ""
    for line in map(str.strip, text.splitlines()):
        section = _SECTION.fullmatch(line)
        if section:
            name, inherited = section["name"].strip().casefold(), section["owners"] or ""
            continue
        rule = _RULE.fullmatch(line)
        if rule is None or line.startswith("#"):
            continue
        is_exclusion = line.startswith("!")
        pattern = rule["pattern"].removeprefix("!")
        owners = "" if is_exclusion else rule["owners"] or inherited
        yield name, f"{pattern if pattern.startswith('/') else f'**/{pattern}'} {owners}"


def _is_rule(line: str) -> bool:
    try:
        CodeOwners(line)
    except (ValueError, re.error):
        return False
    return True


def _show(path: Path) -> str:
    return escape_controls(str(path))
