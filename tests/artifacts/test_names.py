"""Any name becomes one plain file name, and two names never the same one."""

import re

import pytest

from oomdb.artifacts.names import safe_name

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    ".hidden",
    "-rf",
    "a\nb",
    "a\0b",
    "a b",
    "kube:admin",
    'kind-dev, "scratch"',
    "<script>",
    "🧨",
    "\ud800",
    "con",
    "NUL.txt",
    "com1",
    "end.",
    "a__b",
    "x" * 300,
    "ü" * 300,
    "." * 300,
]


@pytest.mark.parametrize("name", ["web-0", "kflux-prd-rh02", "a.b_c-D9", "console", "x" * 255])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("limit", [255, 40])
def test_a_hostile_name_becomes_plain(name: str, limit: int) -> None:
    safe = safe_name(name, limit=limit)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", safe)
    assert len(safe) <= limit
    assert "__" not in safe
    assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", safe)


def test_names_that_differ_only_in_replaced_characters_stay_apart() -> None:
    names = ["a:b", "a/b", "a b", "a\nb", "a_b", "a__b", *("x" * 300 + end for end in "ab"), *HOSTILE]
    assert len({safe_name(name) for name in names}) == len(set(names))


def test_the_readable_part_is_kept() -> None:
    assert re.fullmatch(r"kube_admin-[0-9a-f]{10}", safe_name("kube:admin"))
    assert re.fullmatch(r"_-[0-9a-f]{10}", safe_name(".."))
