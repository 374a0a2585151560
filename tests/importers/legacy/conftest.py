"""A new database for every test, beside the folders that a test writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oomdb.store.database import Store
from tests.importers.legacy.importing import new_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Store]:
    """Open an empty database in `output`."""
    with new_store(tmp_path / "output" / "oomdb.sqlite") as store:
        yield store
