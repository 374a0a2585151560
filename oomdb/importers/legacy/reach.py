"""What the JSON beside a CSV adds: which clusters were reached, also those with nothing to tell."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from oomdb.errors import ImportFileError
from oomdb.importers.legacy.reading import read_file

_METADATA = "_metadata"


class _Metadata(msgspec.Struct, frozen=True):
    time_range: str = ""


_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class LegacyReach:
    """The clusters that a run reached, and its time range, '' where the file does not tell it."""

    clusters: frozenset[str]
    time_range: str


def read_reach(path: Path) -> LegacyReach:
    """Read an `oom_results*.json`.

    Raises:
        ImportFileError: if it cannot be read, or is not what the legacy script wrote.
    """
    data = read_file(path).data
    try:
        parts = _DECODER.decode(data)
        metadata = msgspec.json.decode(parts.pop(_METADATA, msgspec.Raw(b"{}")), type=_Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise ImportFileError(f"{path.name} is not the JSON of a run ({err})") from err
    return LegacyReach(frozenset(name.strip() for name in parts if name.strip()), metadata.time_range)
