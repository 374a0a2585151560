"""oomdb: what killed our pods, everywhere, over time.

For notebooks: `oomdb.open_store(url)` returns the history as DataFrames.
"""

from typing import TYPE_CHECKING

from oomdb.version import __version__

if TYPE_CHECKING:
    from oomdb.queries.frames import open_store

__all__ = ["__version__", "open_store"]


def __getattr__(name: str) -> object:
    # SQLAlchemy costs more to import than `oomdb --help` may take, so the notebook API is loaded when asked for
    if name == "open_store":
        from oomdb.queries.frames import open_store

        return open_store
    raise AttributeError(f"module 'oomdb' has no attribute '{name}'")
