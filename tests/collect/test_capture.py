"""Capturing artifacts: what is saved when logs are cut, cannot be read, or the disk and the server give up."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from oomdb.artifacts.local import ArtifactFolder
from oomdb.collect.capture import Captured, CaptureRequest, capture_artifacts
from oomdb.kube.client import open_client
from oomdb.model import OOM_KILLED, Finding, Sighting
from oomdb.simulator import objects
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Hang, Refuse, Reset
from tests.collect.simulated import NOON, Fleet, running_fleet

POD = objects.pod(containers=[objects.oom_killed(at=NOON - timedelta(hours=1))])
LOG = b"".join(b"line %06d\n" % number for number in range(2000))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    logs = {("shop-tenant", "shop-7f6d9c5b8-x2x7k", "app", previous): LOG for previous in (False, True)}
    cluster = SimulatedCluster([objects.namespace("shop-tenant")], [POD], [], logs)
    with running_fleet(tmp_path, {"c1": cluster}) as running:
        yield running


def finding(uid: str = POD["metadata"]["uid"]) -> Finding:
    sighting = Sighting(
        type=OOM_KILLED, container="app", at=NOON, time_quality="exact", source="oc_get_pods", evidence="terminated"
    )
    return Finding(
        namespace="shop-tenant",
        pod="shop-7f6d9c5b8-x2x7k",
        pod_uid=uid,
        container="app",
        type=OOM_KILLED,
        sightings=(sighting,),
    )


def capture(
    fleet: Fleet, folder: ArtifactFolder | None = None, *, tail_lines: int | None = None, limit_bytes: int = 2**20
) -> Captured:
    request = CaptureRequest(
        folder=folder or ArtifactFolder(fleet.folder),
        log_tail_lines=tail_lines,
        log_limit_bytes=limit_bytes,
        workers=2,
    )
    with open_client(fleet.targets[0], timeout_seconds=1, retries=0) as client:
        return capture_artifacts(client, "c1", [finding()], request, clock=lambda: NOON)


def log_of(fleet: Fleet, captured: Captured) -> str:
    (path,) = [it.path for it in captured.artifacts if it.kind == "log"]
    return (fleet.folder / path).read_text()


def test_description_and_log_are_saved_under_their_documented_names(fleet: Fleet) -> None:
    captured = capture(fleet)
    stem = "logs_and_description_files/c1/shop-tenant__shop-7f6d9c5b8-x2x7k__20260115T120000Z"
    assert [(it.kind, it.status, it.path) for it in captured.artifacts] == [
        ("description", "ok", f"{stem}__desc.txt"),
        ("log", "ok", f"{stem}__log.txt"),
    ]
    assert log_of(fleet, captured).count("line 001999\n") == 2


def test_of_a_long_log_the_end_is_kept_and_the_cut_is_said(fleet: Fleet) -> None:
    text = log_of(fleet, capture(fleet, limit_bytes=3000))
    assert "(the beginning is left out; the last " in text
    assert "line 001999\n" in text
    assert "line 000000\n" not in text


def test_only_the_last_lines_are_taken_where_that_is_asked_for(fleet: Fleet) -> None:
    text = log_of(fleet, capture(fleet, tail_lines=3))
    assert text.count("line ") == 6


def test_a_log_that_cannot_be_read_is_told_in_the_file_and_beside_it(fleet: Fleet) -> None:
    fleet.servers["c1"].faults.add(Fault(match="/log", action=Refuse(500)))
    captured = capture(fleet)
    (log,) = [it for it in captured.artifacts if it.kind == "log"]
    assert log.status == "error"
    assert log.message
    assert "(could not be read: " in log_of(fleet, captured)


def test_events_that_cannot_be_read_are_missing_from_the_description_and_that_is_said(fleet: Fleet) -> None:
    fleet.servers["c1"].faults.add(Fault(match="/events", action=Refuse(403)))
    captured = capture(fleet)
    (description,) = [it for it in captured.artifacts if it.kind == "description"]
    assert description.message.startswith("without events: ")
    assert "they could not be read" in (fleet.folder / description.path).read_text()


def test_a_pod_that_may_not_be_read_has_artifacts_in_error_and_is_tried_again(fleet: Fleet) -> None:
    fleet.servers["c1"].faults.add(Fault(match=r"/pods/shop-\S+$", action=Refuse(403)))
    first = fleet.collect()
    fleet.servers["c1"].faults.clear()
    fleet.collect(NOON + timedelta(minutes=5))
    rows = fleet.rows("SELECT run_id, status FROM artifacts WHERE kind = 'description' ORDER BY 1")
    assert first.status == "complete"
    assert rows == [(1, "error"), (2, "ok")]
    assert fleet.rows("SELECT artifacts_from FROM findings ORDER BY run_id") == [(None,), (2,)]


def test_another_pod_of_the_same_name_is_not_taken_for_the_one_that_died(fleet: Fleet) -> None:
    request = CaptureRequest(folder=ArtifactFolder(fleet.folder), log_tail_lines=None, log_limit_bytes=2**20, workers=1)
    with open_client(fleet.targets[0], timeout_seconds=1, retries=0) as client:
        captured = capture_artifacts(client, "c1", [finding("an-older-uid")], request, clock=lambda: NOON)
    assert [(it.status, it.path) for it in captured.artifacts] == [("gone", ""), ("gone", "")]
    assert captured.artifacts[0].message == "the pod was deleted; another one bears its name now"


def test_a_full_disk_keeps_the_findings_and_is_a_gap(fleet: Fleet) -> None:
    def refuse(_descriptor: int, _data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    captured = capture(fleet, ArtifactFolder(fleet.folder, write_bytes=refuse))
    assert captured.artifacts == ()
    (gap,) = captured.gaps
    assert (gap.source, gap.status) == ("artifacts", "artifact")
    assert "No space left on device" in gap.message
    assert "(0 of 1 pods were captured)" in gap.message


def test_one_log_that_hangs_costs_that_log_alone(fleet: Fleet) -> None:
    fleet.servers["c1"].faults.add(Fault(match="/log", action=Hang()))
    result = fleet.collect()
    assert (result.status, len(result.scans[0].findings)) == ("complete", 1)
    assert fleet.rows("SELECT kind, status FROM artifacts ORDER BY 1") == [("description", "ok"), ("log", "error")]


def test_a_server_that_is_gone_is_a_gap_in_the_run(fleet: Fleet) -> None:
    fleet.servers["c1"].faults.add(Fault(match="/log", action=Reset()))
    result = fleet.collect()
    assert (result.status, result.scans[0].status, len(result.scans[0].findings)) == ("partial", "partial", 1)
    assert fleet.rows("SELECT source, status FROM run_gaps") == [("artifacts", "unreachable")]


def test_a_pod_that_is_gone_by_now_shows_what_was_saved_before(fleet: Fleet) -> None:
    fleet.collect()
    event = objects.back_off_event(POD, "app", at=NOON + timedelta(minutes=50))
    fleet.servers["c1"].cluster.replace(pods=[], events=[event])
    fleet.collect(NOON + timedelta(hours=1))
    assert fleet.rows("SELECT run_id, status FROM artifacts WHERE kind = 'log' ORDER BY 1") == [(1, "ok"), (2, "gone")]
    assert fleet.rows("SELECT run_id, pod_gone, artifacts_from FROM findings ORDER BY 1") == [(1, 0, 1), (2, 1, 1)]


def test_what_there_would_be_if_the_run_were_stopped_is_told_before_and_after_each_pod(fleet: Fleet) -> None:
    told: list[Captured] = []
    request = CaptureRequest(folder=ArtifactFolder(fleet.folder), log_tail_lines=None, log_limit_bytes=2**20, workers=1)
    pods = [finding(), finding("another-uid")]
    with open_client(fleet.targets[0], timeout_seconds=1, retries=0) as client:
        captured = capture_artifacts(client, "c1", pods, request, clock=lambda: NOON, on_saved=told.append)
    assert [len(it.artifacts) for it in told] == [0, 2, 4]
    assert [gap.message for it in told for gap in it.gaps] == [
        f"the run was stopped meanwhile ({done} of 2 pods were captured)" for done in (0, 1)
    ]
    assert captured == told[-1]
