"""Events with times that no clock shows: anybody may write them, and a scan goes on."""

from pathlib import Path
from typing import Any

import pytest

from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.objects import back_off_event, crash_looping, namespace, pod

from .simulated import NOON, running_fleet


@pytest.mark.parametrize(
    "time",
    ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999999-01-01T00:00:00Z", "soon"],
)
def test_an_event_of_no_clock_costs_neither_the_list_nor_the_others(tmp_path: Path, time: str) -> None:
    looping = pod("web", namespace="team", containers=[crash_looping(last_at=NOON, restart_count=9)])
    good: dict[str, Any] = back_off_event(looping, "app", at=NOON)
    odd = {
        **good,
        "metadata": {**good["metadata"], "name": "odd", "creationTimestamp": time},
        **dict.fromkeys(("firstTimestamp", "lastTimestamp", "eventTime"), time),
    }
    cluster = SimulatedCluster(namespaces=[namespace("team")], pods=[looping], events=[odd, good])
    with running_fleet(tmp_path, {"dev": cluster}) as fleet:
        result = fleet.collect(NOON)
        assert [(scan.status, scan.events_seen, scan.gaps) for scan in result.scans] == [("complete", 2, ())]
        assert fleet.rows("SELECT pod, type FROM findings") == [("web", "CrashLoopBackOff")]
