"""The settings file, read into one value: defaults of options, names of clusters, ephemeral namespaces, file modes."""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oomdb.errors import SettingsError, suggest

FILE_NAME = "oomdb.toml"
DEFAULTS = "defaults"

_MAX_BYTES = 1 << 20  # a settings file has a few hundred lines; more is another file given by mistake
_MODE = re.compile(r"0?[0-7]{3}")
_MODES = {  # table → key → (field of Settings, what the owner must keep)
    "artifacts": {"file_mode": ("artifact_file_mode", 0o600), "folder_mode": ("artifact_folder_mode", 0o700)},
    "database": {"file_mode": ("database_file_mode", 0o600)},
}
# git servers take a token in the user's place too
_WEB_LOGIN = re.compile(r"(https?://)(?:[^:/?#]*:.*|[^/?#\s]*)@", re.DOTALL | re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^:/?#]*:).*@", re.DOTALL)  # to the last @: rather too much than a part of it left
_QUERY_PASSWORD = re.compile(r"([?&;][^=&;]*(?:pass|pwd|secret|token)[^=&;]*=)[^&;#'\")\s]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the settings file says; without a file, what holds by default.

    Keys of options and of `ephemeral` have `_` for `-`. Values of options are as TOML types them: the command line,
    which knows the options, judges them. `ephemeral` holds texts and lists of texts for the rules of namespaces.
    """

    path: Path | None = None  # None: there is no file
    defaults: Mapping[str, Any] = field(default_factory=dict)  # [defaults]: options that commands share
    commands: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # [collect], [db.prune]: options of one
    clusters: Mapping[str, str] = field(default_factory=dict)  # server URL or context → name
    ephemeral: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    artifact_file_mode: int = 0o640
    artifact_folder_mode: int = 0o750
    database_file_mode: int = 0o600


def load_settings(path: Path | None = None, *, commands: Collection[str]) -> Settings:
    """Return what a settings file says.

    Args:
        path: the file; None: `oomdb.toml` of the working directory, where there is one.
        commands: the names of the commands, each of which may have a table.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or has a table, key or value that is not known.
    """
    file = path or Path(FILE_NAME)
    if path is None and not file.is_file():
        return Settings()
    tables = _read(file)
    values: dict[str, Any] = {"path": file, "commands": {}}
    known = {DEFAULTS, "clusters", "ephemeral", *_MODES, *commands}
    for name, table in tables.items():
        if name not in known:
            raise SettingsError(f"{file}: there is no table [{_shown(name)}]; {suggest(name, known)}")
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: '{name}' must be a table: write [{name}] and its keys below.")
        where = f"{file}: [{name}]"
        if name == DEFAULTS:
            values["defaults"] = _with_underscores(where, table)
        elif name == "clusters":
            values["clusters"] = {key: _cluster_name(where, key, value) for key, value in table.items()}
        elif name == "ephemeral":
            values["ephemeral"] = {
                key: _text_or_texts(where, key, value) for key, value in _with_underscores(where, table).items()
            }
        elif name in _MODES:
            values |= _modes(where, name, table)
        else:
            values["commands"][name] = _with_underscores(where, table)
    return Settings(**values)


def mask_password(url: str) -> str:
    """Return a URL with `***` for its password, and for parameters that are named like one; other text as it is.

    Of http and https the user is masked too.
    """
    return _QUERY_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", _WEB_LOGIN.sub(r"\1***@", url)))


def is_cluster_name(text: str) -> bool:
    """Tell whether a text can name a cluster, whose files lie in a folder of it."""
    return text not in ("", ".", "..") and "/" not in text and text.isprintable() and text == text.strip()


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as err:  # ValueError: a NUL in the path
        reason = err.strerror if isinstance(err, OSError) else err
        raise SettingsError(f"{file}: the settings file cannot be read: {reason}.") from err
    if len(content) > _MAX_BYTES:
        raise SettingsError(f"{file}: larger than {_MAX_BYTES >> 20} MiB; this is not a settings file.")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as err:
        raise SettingsError(f"{file}: not UTF-8 at byte {err.start}; save it as UTF-8.") from err
    except tomllib.TOMLDecodeError as err:
        raise SettingsError(f"{file}: not valid TOML: {err}.") from err
    except (RecursionError, ValueError) as err:  # brackets by the thousand, integers with thousands of digits
        raise SettingsError(f"{file}: not valid TOML: too deep, or a number too long.") from err


def _with_underscores(where: str, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table, and the tables in it, with `_` for `-` in keys; tables keep their names, which are commands'."""
    result: dict[str, Any] = {}
    for written, value in table.items():
        is_table = isinstance(value, dict)
        key = written if is_table else written.replace("-", "_")
        if key in result:
            raise SettingsError(f"{where} says '{_shown(written)}' twice, with - and with _; keep one.")
        result[key] = _with_underscores(f"{where[:-1]}.{_shown(written)}]", value) if is_table else value
    return result


def _cluster_name(where: str, key: str, value: Any) -> str:
    if isinstance(value, dict):
        raise SettingsError(f"{where}: put the server or context that begins with '{_shown(key)}' in quotes.")
    if not isinstance(value, str):
        raise _wrong_type(where, key, 'a name in quotes, such as "prod-eu"', value)
    if not is_cluster_name(value):
        raise SettingsError(
            f"{where} {_shown(key)}: {value!r} cannot name a cluster, whose files lie in a folder of it."
        )
    return value


def _text_or_texts(where: str, key: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _wrong_type(where, key, "a text or a list of texts", value)


def _modes(where: str, name: str, table: dict[str, Any]) -> dict[str, int]:
    modes = {}
    for key, value in _with_underscores(where, table).items():
        if key not in _MODES[name]:
            raise SettingsError(f"{where} has no key '{_shown(key)}'; {suggest(key, _MODES[name])}")
        settings_field, owner = _MODES[name][key]
        if not isinstance(value, str) or not _MODE.fullmatch(value):
            raise _wrong_type(where, key, 'an octal mode in quotes, such as "0640"', value)
        mode = int(value, 8)
        if mode & owner != owner:
            raise SettingsError(f"{where} {key}: '{value}' locks oomdb out; the owner needs at least '{owner:04o}'.")
        modes[settings_field] = mode
    return modes


def _wrong_type(where: str, key: str, wanted: str, value: Any) -> SettingsError:
    return SettingsError(f"{where} {_shown(key)}: must be {wanted}, not {_shown(repr(value))}.")


def _shown(text: str) -> str:
    """Return a text of the file as a message can hold it: on one line and not without end."""
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return line if len(line) <= 80 else line[:79] + "…"
