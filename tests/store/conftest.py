"""A new database for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomdb.store.database import Store, open_for_writing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the database of this test lies, or shall lie."""
    return tmp_path / "oomdb.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """Open a new database."""
    with open_for_writing(str(path)) as opened:
        yield opened
