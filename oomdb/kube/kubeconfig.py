"""Reading kubeconfig files as kubectl does: which there are, what they hold, and who wins where they differ."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from oomdb.errors import KubeconfigError
from oomdb.kube.contexts import Kubeconfig, make_plain, show
from oomdb.kube.entries import build_context
from oomdb.kube.fields import RawEntry, find_meant, kind_of
from oomdb.kube.service_account import SERVICE_ACCOUNT_FOLDER, find_service_account

_MAX_FILE_BYTES = 32 * 1024 * 1024  # some thousand contexts with their certificates inline are 10 MB
_MAX_DEPTH = 64  # the C reader recurses: far deeper nesting ends the process


def load_kubeconfig(
    *,
    path: str | None,
    environ: Mapping[str, str],
    home: Path,
    service_account_folder: Path = SERVICE_ACCOUNT_FOLDER,
) -> Kubeconfig:
    """Read the kubeconfig: the file at `path`, else those in KUBECONFIG, else ~/.kube/config, else the pod's account.

    Several files are merged as client-go does (tools/clientcmd/loader.go): the first file to set a name or the current
    context wins, missing files are skipped, relative paths are taken from the folder of the file that names them.

    Args:
        path: of one file, which must exist.
        environ: the environment (KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, and the proxies of
            HTTPS_PROXY, HTTP_PROXY, NO_PROXY or the same in small letters).
        home: the user's home folder.
        service_account_folder: where a pod finds its token.

    Raises:
        KubeconfigError: there is none, or a file is broken as a whole. An entry that cannot be used is told by the
            contexts that use it.
    """
    files = _list_files(path, environ, home)
    documents = [document for file in files if (document := _load_document(file, must_exist=bool(path))) is not None]
    merged = _Merged(documents)
    if merged.contexts:
        contexts = tuple(
            build_context(name, raw, clusters=merged.clusters, users=merged.users, environ=environ)
            for name, raw in merged.contexts.items()
        )
        return Kubeconfig(contexts=contexts, current_context=merged.current_context or None)
    in_cluster = None if path else find_service_account(environ, service_account_folder)
    if in_cluster:
        return Kubeconfig(contexts=(in_cluster,), current_context=in_cluster.name)
    raise KubeconfigError(_explain_emptiness(files, documents, from_environment=bool(environ.get("KUBECONFIG"))))


# --- files ----------------------------------------------------------------------------------------------------------


def _list_files(path: str | None, environ: Mapping[str, str], home: Path) -> list[Path]:
    if path:
        return [Path(path)]
    named = environ.get("KUBECONFIG")
    if named:
        return [Path(name) for name in dict.fromkeys(named.split(os.pathsep)) if name]
    return [home / ".kube" / "config"]


@dataclass(frozen=True, slots=True)
class _Document:
    """One file: where relative paths start from, and what it holds."""

    file: Path
    values: Mapping[str, Any]


def _load_document(file: Path, *, must_exist: bool) -> _Document | None:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as err:
        if must_exist:
            raise _file_error(file, "no such file; correct the path of the kubeconfig") from err
        return None
    except (OSError, ValueError) as err:  # ValueError: a null byte in the path
        raise _file_error(file, f"cannot be read ({_reason(err)}); correct its mode or its path") from err
    if len(content) > _MAX_FILE_BYTES:
        raise _file_error(file, f"is larger than {_MAX_FILE_BYTES >> 20} MiB, so it is no kubeconfig")
    values = _parse_yaml(file, content)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise _file_error(file, f"is no kubeconfig: it holds {kind_of(values)} where a map is expected")
    _check_document(file, values)
    return _Document(file, values)


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader without merge keys: nested ones grow without bound, and no kubeconfig has them."""

    def flatten_mapping(self, node: Any) -> None:
        """Leave `<<` as it is; it has no constructor and is refused."""


def _parse_yaml(file: Path, content: bytes) -> Any:
    try:
        if _depth(yaml.parse(content, Loader=_Loader)) > _MAX_DEPTH:
            raise _file_error(file, f"is no kubeconfig: it is nested more than {_MAX_DEPTH} levels deep")
        return yaml.load(content, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _file_error(file, f"is not valid YAML ({place}{make_plain(err.problem or '')})") from err
    except (yaml.YAMLError, ValueError) as err:  # ValueError: a date such as 2026-99-99
        text = make_plain(str(err).partition("\n")[0])
        raise _file_error(file, f"is not valid YAML ({text})") from err


def _depth(events: Iterable[yaml.Event]) -> int:
    depth = deepest = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > _MAX_DEPTH:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


_DOCUMENT_FIELDS = (
    "apiVersion",
    "kind",
    "preferences",
    "clusters",
    "users",
    "contexts",
    "current-context",
    "extensions",
)


def _check_document(file: Path, values: Mapping[Any, Any]) -> None:
    for key, expected in (("kind", "Config"), ("apiVersion", "v1")):
        if values.get(key) not in (None, "", expected):
            raise _file_error(file, f"is no kubeconfig: {key} is {show(values[key])}, not '{expected}'")
    if not isinstance(values.get("current-context"), str | None):
        raise _file_error(file, "current-context must be text; put it in quotes")
    for key in values:
        # other tools keep their own things in here; only what is meant for us and misspelt is refused
        meant = None if key in _DOCUMENT_FIELDS else find_meant(key, _DOCUMENT_FIELDS)
        if meant:
            raise _file_error(file, f"field {show(key)} is not known; did you mean '{meant}'?")


def _file_error(file: Path, text: str) -> KubeconfigError:
    return KubeconfigError(f"{make_plain(str(file))}: {text}{'' if text.endswith('?') else '.'}")


def _explain_emptiness(files: Sequence[Path], documents: Sequence[_Document], *, from_environment: bool) -> str:
    advice = "log in with `oc login`, or name another file with --kubeconfig"
    if documents:
        names = ", ".join(make_plain(str(document.file)) for document in documents)
        return f"{names}: there are no contexts in it; {advice}."
    names = ", ".join(make_plain(str(file)) for file in files)
    if from_environment:
        return f"KUBECONFIG names no file that exists ({names}); correct it, or {advice}."
    return f"There is no kubeconfig ({names} does not exist, KUBECONFIG is not set); {advice}."


def _reason(err: Exception) -> str:
    return err.strerror if isinstance(err, OSError) and err.strerror else str(err)


# --- merging --------------------------------------------------------------------------------------------------------


class _Merged:
    """The entries of all files by name: the first file to set a name wins."""

    def __init__(self, documents: Sequence[_Document]) -> None:
        self.clusters = _merge(documents, "clusters")
        self.users = _merge(documents, "users")
        self.contexts = _merge(documents, "contexts")
        currents = (document.values.get("current-context") for document in documents)
        self.current_context = next((name for name in currents if name), "")


def _merge(documents: Iterable[_Document], key: str) -> dict[str, RawEntry]:
    merged: dict[str, RawEntry] = {}
    for document in documents:
        for name, raw in _list_entries(document, key).items():
            merged.setdefault(name, raw)
    return merged


def _list_entries(document: _Document, key: str) -> dict[str, RawEntry]:
    values = document.values.get(key)
    if values is None:
        return {}
    if not isinstance(values, list):
        raise _file_error(document.file, f"{key} must be a list; it is {kind_of(values)}")
    entries: dict[str, RawEntry] = {}
    for place, value in enumerate(values, start=1):
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            raise _file_error(document.file, f"entry {place} of {key} must be a map with a name that is text")
        first = entries.get(name)
        entries[name] = RawEntry(document.file, first.entry if first else value, is_double=first is not None)
    return entries
