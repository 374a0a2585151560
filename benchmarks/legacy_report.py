"""Making a report as the script did that oomdb replaces: from the CSV of every run, all of them read three times.

Its passes over `oom_results_*_*.csv` and `oom_results.csv`, each row a dictionary of the csv module as there:

- `chart`: every row's type, for the chart of all clusters;
- `clusters`: every row's cluster and type, for a chart of each cluster;
- `summary`: every row whole, for what is printed by pod; for each group of pods of the current run the group's name of
  every row's pod is worked out anew.

Left out, so that the comparison does not flatter us: the dates of the charts, the page itself with its drawings, JSON
and table, the owners (a repository is cloned, and a command called for each name), and the bundles (a shell script is
called for each group of pods, and reads every CSV again). A group's name is found by fewer rules than there.
"""

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import ascii_letters

_CURRENT = "oom_results.csv"
_DAY = slice(12, 23)  # of oom_results_28-Jan-2026_14-55-05-EST.csv
_HOST = re.compile(r"-ip-[^.]+\..*internal")
_RANDOM = range(5, 11)  # lengths of the parts of a pod's name that are taken for random, where a digit is in them
_HASH = 12  # from how many characters on what follows a word is taken for a hash


def main(folder: str, *passes: str) -> None:
    """Do the passes that are named, and print what they come to."""
    for name in passes:
        PASSES[name](Path(folder))


def chart(folder: Path) -> None:
    """Count the rows of each run by type."""
    for path in _list_runs(folder):
        counts = Counter(_read_type(row) for row in _iter_rows(path))
        print(path.name, counts["oomkilled"], counts["crashloopbackoff"])


def chart_clusters(folder: Path) -> None:
    """Count the rows of each run by cluster and type."""
    series: defaultdict[str, list[str]] = defaultdict(list)
    for path in _list_runs(folder):
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in _iter_rows(path):
            counts[row["cluster"].strip()][_read_type(row)] += 1
        for cluster, of_cluster in counts.items():
            series[cluster].append(f"{path.name} {of_cluster['oomkilled']} {of_cluster['crashloopbackoff']}")
    for cluster, points in series.items():
        print(cluster, *points, sep="\n")


def summarize(folder: Path) -> None:
    """Count the rows of all runs by day and place, for each group of pods that the current run has."""
    *past, current = _list_runs(folder)
    today = datetime.fromtimestamp(current.stat().st_mtime, UTC).strftime("%d-%b-%Y")
    now = list(_iter_whole_rows(current, today))
    rows = [*now, *(row for path in past for row in _iter_whole_rows(path, path.name[_DAY]))]
    for group in sorted({_name_group(row["pod"]) for row in now}):
        of_group = [row for row in rows if _name_group(row["pod"]) == group]
        counts = Counter((row["type"], row["day"], row["cluster"], row["namespace"]) for row in of_group)
        print(f"Report for pod: {group}")
        for (type_, day, cluster, namespace), count in sorted(counts.items()):
            print(f"{type_}: {count} instance(s) on {day}, Namespace: {namespace} (cluster: {cluster})")


PASSES: Mapping[str, Callable[[Path], None]] = {
    "chart": chart,
    "clusters": chart_clusters,
    "summary": summarize,
}


def _list_runs(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("oom_results_*_*.csv")), folder / _CURRENT]


def _iter_rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        yield from csv.DictReader(file)


def _read_type(row: Mapping[str, str]) -> str:
    return row["type"].strip().lower()


def _iter_whole_rows(path: Path, day: str) -> Iterator[dict[str, str]]:
    for row in _iter_rows(path):
        yield {"day": day} | {name: value.strip() for name, value in row.items()}


def _name_group(pod: str) -> str:
    """Return a pod's name with `*` for what looks random in it, and without that at its end."""
    parts: list[str] = []
    for part in _HOST.sub("-ip-*.internal", pod).split("-"):
        told = _tell_part(part)
        if told != "*" or parts[-1:] != ["*"]:
            parts.append(told)
    while len(parts) > 2 and parts[-1] == "*":
        parts.pop()
    return "-".join(parts)


def _tell_part(part: str) -> str:
    """Return a part of a name, `*` for a random one, and of a word with a hash behind it the word."""
    if not part.isalnum():
        return part
    if len(part) in _RANDOM:
        return "*" if any(char.isdigit() for char in part) else part
    if len(part) <= max(_RANDOM):
        return part
    word = len(part) - len(part.lstrip(ascii_letters))
    if len(part) - word >= _HASH:
        return part[:word] or "*"
    return part


if __name__ == "__main__":
    main(*sys.argv[1:])
