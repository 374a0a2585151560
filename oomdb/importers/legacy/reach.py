"""What the JSON beside a CSV adds: which clusters were reached, also those with nothing to tell."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from oomdb.errors import ImportFileError
from oomdb.importers.legacy.reading import read_file
from oomdb.importers.legacy.rows import parse_told_instant

_METADATA = "_metadata"


class _Metadata(msgspec.Struct, frozen=True):
    time_range: str = ""
    run: int | None = None  # of a database, in what oomdb exports
    started_at: str = ""


_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class LegacyReach:
    """The clusters that a run reached, and its time range, '' where the file does not tell it.

    `exported_run_at` is when the run was, in what oomdb itself exported of its database; None in all that others wrote.
    """

    clusters: frozenset[str]
    time_range: str
    sha256: str
    exported_run_at: datetime | None = None


def read_reach(path: Path) -> LegacyReach:
    """Read an `oom_results*.json`.

    Raises:
        ImportFileError: if it cannot be read, or is not what the legacy script wrote.
    """
    read = read_file(path)
    try:
        parts = _DECODER.decode(read.data)
        metadata = msgspec.json.decode(parts.pop(_METADATA, msgspec.Raw(b"{}")), type=_Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise ImportFileError(f"{path.name} is not the JSON of a run ({err})") from err
    exported_run_at = parse_told_instant(metadata.started_at) if metadata.run is not None else None
    clusters = frozenset(name.strip() for name in parts if name.strip())
    return LegacyReach(clusters, metadata.time_range.strip(), read.sha256, exported_run_at)
