"""The 30 hand-made detection cases, from the API to the stored occurrences."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.simulator.cluster import load_folder
from oomdb.simulator.permissions import Permissions, Rule
from tests.collect.simulated import Fleet, running_fleet

CASES = Path(__file__).parent.parent / "data" / "detection-cases"
DOCUMENT = json.loads((CASES / "cases.json").read_text())
AT = datetime.fromisoformat(DOCUMENT["at"])
EXPECTED = {case["namespace"]: case["occurrences"] for case in DOCUMENT["cases"]}
FORBIDDEN = Permissions(
    refused=(
        Rule(verb="list", resource="pods", namespace=None),
        Rule(verb="list", resource="pods", namespace="case-pods-forbidden-tenant"),
    )
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    cluster = load_folder(CASES / "objects" / "kflux-prd-rh02")
    with running_fleet(tmp_path_factory.mktemp("cases"), {"kflux-prd-rh02": cluster}, permissions=FORBIDDEN) as fleet:
        fleet.collect(AT)
        fleet.collect(AT + timedelta(minutes=3))
        yield fleet


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: case["case"])
def test_each_case_has_the_occurrences_of_its_truth(fleet: Fleet, case: dict[str, Any]) -> None:
    rows = fleet.rows(f"SELECT type FROM occurrences WHERE namespace = '{case['namespace']}'")
    assert Counter(type_ for (type_,) in rows) == case["occurrences"]


def test_both_runs_show_the_findings_of_the_truth_and_nothing_else(fleet: Fleet) -> None:
    found: defaultdict[int, dict[str, set[str]]] = defaultdict(dict)
    for run_id, namespace, type_ in fleet.rows("SELECT run_id, namespace, type FROM findings"):
        found[run_id].setdefault(namespace, set()).add(type_)
    expected = {namespace: set(types) for namespace, types in EXPECTED.items() if types}
    assert found == {1: expected, 2: expected}


def test_what_only_may_be_a_kill_is_a_suspect(fleet: Fleet) -> None:
    suspects = set(fleet.rows("SELECT namespace, class FROM suspects"))
    assert suspects == {
        ("case-exit-137-error-tenant", "exit-137"),
        ("case-oom-event-then-deleted-other-pods-deleted-tenant", "evicted-memory"),
    }


def test_the_forbidden_namespace_is_a_gap_and_its_pod_neither_gone_nor_there(fleet: Fleet) -> None:
    assert set(fleet.rows("SELECT namespace, source, status FROM run_gaps")) == {
        ("case-pods-forbidden-tenant", "pods", "forbidden")
    }
    gone = dict(fleet.rows("SELECT namespace, pod_gone FROM findings WHERE pod_gone IS NOT 0 AND run_id = 1"))
    assert gone == {
        "case-oom-event-then-deleted-tenant": 1,
        "case-oom-event-then-deleted-other-pods-deleted-tenant": 1,
        "case-pods-forbidden-tenant": None,
    }
