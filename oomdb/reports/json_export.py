"""The JSON export: cluster, namespace, pod, as the legacy script nested them, and `_metadata` with the coverage."""

import json
import re
from typing import Any

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED
from oomdb.reports.content import ReportContent
from oomdb.timespan import format_instant

# The history of the format:
# 1  `_metadata` has format, run, started_at, scope and clusters beside the legacy time_range; other types than the
#    legacy two stand in a pod's `other_timestamps` by type.
FORMAT = 1

METADATA = "_metadata"
_READ = ("complete", "partial")
_LISTS = {OOM_KILLED: "oom_timestamps", CRASH_LOOP_BACK_OFF: "crash_timestamps"}


def render_json(content: ReportContent) -> bytes:
    """Return the rows as JSON: indent 2, ASCII, no final newline; `_metadata` is the last key.

    A cluster that was read and shows nothing is `{}`; one that was not is absent, and `_metadata.clusters` says why.
    A cluster called `_metadata` is written as `_metadata_`, one called `_metadata_` with one `_` more, and so on.
    """
    document: dict[str, Any] = {_key(it.cluster): {} for it in content.clusters if it.status in _READ}
    for row in content.rows:
        pods = document.setdefault(_key(row.cluster), {}).setdefault(row.namespace, {})
        pod = pods.setdefault(row.pod, _empty_pod(row.pod))
        timestamps = list(row.timestamps)
        if row.type in _LISTS:
            pod[_LISTS[row.type]] = timestamps
        else:
            pod.setdefault("other_timestamps", {})[row.type] = timestamps
        pod["sources"] = list(row.sources)
        # both types of a pod have the same labels and files; the first that has them gives them
        for name in ("application", "component", "description_file", "pod_log_file"):
            pod[name] = pod[name] or getattr(row, name)
    document[METADATA] = _metadata(content)
    return json.dumps(document, indent=2).encode()


def _empty_pod(name: str) -> dict[str, Any]:
    return {
        "pod": name,
        "oom_timestamps": [],
        "crash_timestamps": [],
        "sources": [],
        "application": "",
        "component": "",
        "description_file": "",
        "pod_log_file": "",
    }


def _metadata(content: ReportContent) -> dict[str, Any]:
    return {
        "time_range": content.run.time_range,
        "format": FORMAT,
        "run": content.run.id,
        "started_at": format_instant(content.run.started_at),
        "scope": content.run.scope,
        "clusters": {
            it.cluster: {"status": it.status, **({"error": it.error} if it.error else {})} for it in content.clusters
        },
    }


def _key(cluster: str) -> str:
    return f"{cluster}_" if re.fullmatch(f"{METADATA}_*", cluster) else cluster
