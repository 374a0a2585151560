"""Python's collector of cycles, which finds none in rows and looks through all that an import remembers of them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_BETWEEN_LOOKS = 200_000  # some twenty megabytes; usually 700


@contextmanager
def looking_for_cycles_rarely() -> Iterator[None]:
    """Let the collector rest, which takes a twelfth of an import's time, and set it as it was afterwards."""
    usual = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
