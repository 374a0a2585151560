"""A new database for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomdb.store.database import Store, open_for_writing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a new database."""
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as opened:
        yield opened
