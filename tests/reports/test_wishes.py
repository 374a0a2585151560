"""Themes by name and by file."""

from pathlib import Path

import pytest

from oomdb.errors import UsageError
from oomdb.reports.wishes import LARGEST_STYLESHEET_BYTES, Theme, load_theme


def test_a_theme_is_called_by_its_name() -> None:
    assert load_theme("dark") == Theme(name="dark")


def test_a_teams_own_css_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "team.css"
    path.write_bytes(b"\xef\xbb\xbfh1 { color: teal }")
    assert load_theme(str(path)) == Theme(name="auto", css="h1 { color: teal }")


@pytest.mark.parametrize("text", ["pink", "", "auto.html"])
def test_another_word_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no theme; use light, dark, auto, or a file that ends in \.css"):
        load_theme(text)


def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_theme(str(tmp_path / "none.css"))
    path = tmp_path / "team.css"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read: 'utf-8' codec"):
        load_theme(str(path))
    path.write_bytes(b" " * (LARGEST_STYLESHEET_BYTES + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        load_theme(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        load_theme(str(path))
