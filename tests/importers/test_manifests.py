"""Saved pods and events: read from files and folders, judged as over the API, counted as far as they were saved."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.artifacts.local import ArtifactFolder
from oomdb.detectors.registry import load_detectors
from oomdb.errors import ImportFileError
from oomdb.importers.foreign_files import read_file
from oomdb.importers.manifests.capture import Capture, read_capture_file
from oomdb.importers.manifests.ingest import IngestRequest, IngestResult, date_capture, ingest
from oomdb.importers.manifests.must_gather import read_must_gather
from oomdb.importers.manifests.scan import scan_capture
from oomdb.model import ClusterScan, Finding
from oomdb.simulator import objects
from oomdb.simulator.cluster import load_folder
from oomdb.simulator.objects import Container, back_off_event, crash_looping, oom_event, oom_killed, pod
from oomdb.store.database import Store, open_for_writing
from tests.collect.simulated import running_fleet
from tests.collect.test_cases import AT, CASES, DOCUMENT, FORBIDDEN
from tests.importers.captures import as_json, as_yaml, list_of, write, write_must_gather

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)
UNREADABLE = "case-pods-forbidden-tenant"
KILLED = pod("shop-7f6d9c5b8-x2x7k", containers=[oom_killed(at=NOON - timedelta(hours=2))])
LOOPING = pod("cart-7f6d9c5b8-x2x7k", containers=[crash_looping(last_at=NOON - timedelta(minutes=1))])
EVENT = back_off_event(LOOPING, "app", at=NOON)


def read(data: bytes) -> Capture:
    return read_capture_file(data, path="saved.json", modified_at=NOON)


def scan(capture: Capture, *, at: datetime = NOON, lookback: timedelta = DAY) -> ClusterScan:
    return scan_capture(capture, cluster="c1", at=at, lookback=lookback, detectors=load_detectors())


def found(scanned: ClusterScan) -> list[tuple[str, str]]:
    return sorted((finding.pod, finding.type) for finding in scanned.findings)


def gaps(scanned: ClusterScan) -> list[tuple[str, str, str]]:
    return [(gap.namespace, gap.source, gap.status) for gap in scanned.gaps]


# --- the same as over the API ---------------------------------------------------------------------------------------


def load_items(name: str) -> list[dict[str, Any]]:
    document = json.loads((CASES / "objects" / "kflux-prd-rh02" / f"{name}.json").read_text())
    items: list[dict[str, Any]] = document["items"]
    return items


@pytest.fixture(scope="module")
def over_the_api(tmp_path_factory: pytest.TempPathFactory) -> ClusterScan:
    cluster = load_folder(CASES / "objects" / "kflux-prd-rh02")
    with running_fleet(tmp_path_factory.mktemp("api"), {"c1": cluster}, permissions=FORBIDDEN) as fleet:
        return fleet.collect(AT, artifacts=False).scans[0]


def ordered(findings: Sequence[Finding], *, without: str = "") -> list[Finding]:
    kept = [replace(it, sightings=tuple(sorted(it.sightings, key=repr))) for it in findings if it.namespace != without]
    return sorted(kept, key=repr)


def test_a_must_gather_shows_the_thirty_cases_as_the_api_does(over_the_api: ClusterScan, tmp_path: Path) -> None:
    pods = [each for each in load_items("pods") if each["metadata"]["namespace"] != UNREADABLE]
    stamps = "2026-01-15 14:59:50 +0000 UTC m=+0.1\n2026-01-15 15:00:00 +0000 UTC m=+10.1\n"
    root = write_must_gather(tmp_path, pods=pods, events=load_items("events"), timestamp=stamps)
    (root / "namespaces" / UNREADABLE / "core" / "pods.yaml").unlink()
    saved = scan(read_must_gather(tmp_path, now=NOW), at=AT)
    assert len(saved.findings) == 20
    assert ordered(saved.findings) == ordered(over_the_api.findings)
    assert set(saved.suspects) == set(over_the_api.suspects)
    assert gaps(saved) == [("", "namespaces", "not-captured"), (UNREADABLE, "pods", "not-captured")]


@pytest.mark.parametrize("encode", [as_json, as_yaml], ids=["json", "yaml"])
def test_one_list_of_all_shows_the_cases_as_the_api_does(over_the_api: ClusterScan, encode: Any) -> None:
    saved = scan(read(encode(list_of(*load_items("pods"), *load_items("events")))), at=AT)
    assert ordered(saved.findings, without=UNREADABLE) == ordered(over_the_api.findings, without=UNREADABLE)
    assert set(saved.suspects) == set(over_the_api.suspects)
    assert (saved.status, saved.gaps) == ("complete", ())


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: str(case["case"]))
def test_each_case_ingested_has_the_types_of_its_truth(case: dict[str, Any]) -> None:
    everything = read(as_json(list_of(*load_items("pods"), *load_items("events"))))
    types = {it.type for it in scan(everything, at=AT).findings if it.namespace == case["namespace"]}
    assert types == set(case["occurrences"])


# --- what a file may look like --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        as_json(list_of(KILLED, LOOPING, kind="PodList")),
        as_json(list_of({k: v for k, v in KILLED.items() if k != "kind"}, LOOPING, kind="PodList")),
        as_yaml(list_of(KILLED, LOOPING)),
        as_yaml(list_of({k: v for k, v in KILLED.items() if k != "kind"}, LOOPING, kind="PodList")),
        b"---\n" + as_yaml(KILLED) + b"---\n" + as_yaml(LOOPING),
        b"\xef\xbb\xbf" + as_json(list_of(KILLED, LOOPING)),
        as_json(list_of(KILLED, LOOPING)).decode().encode("utf-16"),
        as_yaml(list_of(KILLED, LOOPING)).decode().encode("utf-16"),
    ],
    ids=["list of kind", "kindless items", "yaml", "kindless yaml", "documents", "utf-8 mark", "powershell", "ps yaml"],
)
def test_pods_are_read_however_they_were_written(data: bytes) -> None:
    assert found(scan(read(data))) == [
        ("cart-7f6d9c5b8-x2x7k", "CrashLoopBackOff"),
        ("shop-7f6d9c5b8-x2x7k", "OOMKilled"),
    ]


def test_a_pod_in_two_documents_counts_once() -> None:
    scanned = scan(read(as_yaml(list_of(KILLED)) + b"---\n" + as_yaml(KILLED)))
    assert (scanned.pods_seen, len(scanned.findings)) == (1, 1)


def test_events_by_their_new_api_are_read_too() -> None:
    names = {"involvedObject": "regarding", "message": "note", "lastTimestamp": "deprecatedLastTimestamp"}
    event = {names.get(key, key): value for key, value in EVENT.items()} | {"apiVersion": "events.k8s.io/v1"}
    assert found(scan(read(as_json(list_of(event))))) == [("cart-7f6d9c5b8-x2x7k", "CrashLoopBackOff")]


def test_an_event_with_an_impossible_time_is_read_without_it() -> None:
    event = {**EVENT, "firstTimestamp": "0000-01-01T00:00:00Z"}
    assert found(scan(read(as_json(list_of(event))))) == [("cart-7f6d9c5b8-x2x7k", "CrashLoopBackOff")]


def test_texts_of_yaml_stay_texts_and_its_numbers_numbers() -> None:
    text = b"""
kind: Pod
metadata:
  name: "123"
  namespace: no
  uid: 0x1F
  labels: {app: "true", version: '1e3'}
status:
  startTime: 2026-01-15T10:00:00Z
  containerStatuses:
  - name: app
    restartCount: 3
    lastState: {terminated: {exitCode: 137, reason: OOMKilled, finishedAt: "2026-01-15T11:00:00Z"}}
"""
    (finding,) = scan(read(text)).findings
    assert (finding.namespace, finding.pod, finding.pod_uid, finding.application) == ("no", "123", "0x1F", "true")
    assert finding.sightings[0].restart_count == 3


# --- coverage -------------------------------------------------------------------------------------------------------


ELSEWHERE = pod("quiet-7f6d9c5b8-x2x7k", namespace="quiet-tenant")
NO_PODS, NO_EVENTS = ("", "pods", "not-captured"), ("", "events", "not-captured")
NOT_ALL = ("", "namespaces", "not-captured")


@pytest.mark.parametrize(
    ("data", "expected", "pods_seen", "events_seen", "namespaces_read"),
    [
        (as_json(list_of(KILLED, ELSEWHERE, EVENT)), [], 2, 1, ("quiet-tenant", "shop-tenant")),
        (as_json(list_of(KILLED, EVENT)), [NOT_ALL], 1, 1, ("shop-tenant",)),
        (as_json(list_of(KILLED, ELSEWHERE)), [NO_EVENTS], 2, None, ()),
        (as_json(list_of(EVENT)), [NOT_ALL, NO_PODS], None, 1, ()),
        (as_json(list_of(kind="PodList")), [NO_EVENTS, NOT_ALL], 0, None, ()),
        (as_json(KILLED), [NO_EVENTS, NOT_ALL, NO_PODS], 1, None, ()),
    ],
    ids=["both", "of one namespace", "pods alone", "events alone", "no pods, said so", "a single pod"],
)
def test_what_was_not_in_the_file_was_not_looked_at(
    data: bytes,
    expected: list[tuple[str, str, str]],
    pods_seen: int | None,
    events_seen: int | None,
    namespaces_read: tuple[str, ...],
) -> None:
    scanned = scan(read(data))
    assert (scanned.status, gaps(scanned)) == ("partial" if expected else "complete", expected)
    assert (scanned.pods_seen, scanned.events_seen) == (pods_seen, events_seen)
    assert scanned.namespaces_read == namespaces_read


def test_a_pod_of_events_alone_was_deleted_only_if_it_was_there_before_the_pods_were_listed() -> None:
    lost, young = (pod(f"{name}-6c9b7f9d5-bbbbb") for name in ("lost", "young"))
    lister = pod("late-7f6d9c5b8-x2x7k", containers=[oom_killed(at=NOON - timedelta(minutes=10))])
    events = [
        back_off_event(lost, "app", at=NOON - timedelta(hours=1)),
        back_off_event(young, "app", at=NOON - timedelta(minutes=1)),
    ]
    scanned = scan(read(as_json(list_of(lister, *events))))
    gone = {it.pod: it.pod_gone for it in scanned.findings}
    assert gone == {"late-7f6d9c5b8-x2x7k": False, "lost-6c9b7f9d5-bbbbb": True, "young-6c9b7f9d5-bbbbb": None}
    assert [it.pod_gone for it in scan(read(as_json(list_of(*events)))).findings] == [None, None]


def test_a_folder_is_its_namespaces_and_no_more(tmp_path: Path) -> None:
    root = write_must_gather(tmp_path, pods=[KILLED], namespaces=["empty-tenant"])
    (root / "namespaces" / "shop-tenant" / "core" / "events.yaml").unlink()
    scanned = scan(read_must_gather(tmp_path, now=NOW))
    assert (scanned.status, scanned.namespaces_scanned, scanned.namespaces_failed) == ("partial", 2, 1)
    assert scanned.namespaces_read == ("empty-tenant",)
    assert gaps(scanned) == [("", "namespaces", "not-captured"), ("shop-tenant", "events", "not-captured")]
    assert scanned.gaps[1].message.endswith("namespaces/shop-tenant/core/events.yaml is not there")


def test_single_manifests_of_a_folder_are_read_where_it_has_no_list_of_them(tmp_path: Path) -> None:
    root = write_must_gather(tmp_path, events=[EVENT])
    place = root / "namespaces" / "shop-tenant"
    (place / "core" / "pods.yaml").unlink()
    for each in (KILLED, LOOPING):
        name = each["metadata"]["name"]
        write(place / "pods" / name / f"{name}.yaml", b"---\n" + as_yaml(each))
    scanned = scan(read_must_gather(tmp_path, now=NOW))
    assert {name for name, _ in found(scanned)} == {"cart-7f6d9c5b8-x2x7k", "shop-7f6d9c5b8-x2x7k"}
    assert gaps(scanned)[1:] == [("shop-tenant", "pods", "not-captured")]


def test_a_namespace_that_two_images_saved_is_one(tmp_path: Path) -> None:
    write_must_gather(tmp_path, pods=[KILLED], image="first")
    write_must_gather(tmp_path, pods=[KILLED, LOOPING], image="second")
    scanned = scan(read_must_gather(tmp_path, now=NOW))
    assert (scanned.pods_seen, scanned.namespaces_scanned) == (2, 1)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_must_gather_is_found_some_levels_down(tmp_path: Path, levels: int) -> None:
    root = write_must_gather(tmp_path / "must-gather.local.4711", pods=[KILLED])
    folder = [root, *root.parents][levels]
    assert found(scan(read_must_gather(folder, now=NOW))) == [("shop-7f6d9c5b8-x2x7k", "OOMKilled")]


# --- broken and hostile ---------------------------------------------------------------------------------------------


def test_a_broken_document_is_a_gap_with_file_and_line_and_the_others_go_on(tmp_path: Path) -> None:
    other = pod(namespace="other-tenant", containers=[oom_killed(at=NOON - timedelta(hours=1))])
    root = write_must_gather(tmp_path, pods=[KILLED, other])
    file = root / "namespaces" / "shop-tenant" / "core" / "pods.yaml"
    whole = file.read_bytes()
    line = whole.count(b"\n") + 1
    file.write_bytes(whole + b"broken: [}\n")
    scanned = scan(read_must_gather(root, now=NOW))
    assert {it.namespace for it in scanned.findings} == {"shop-tenant", "other-tenant"}
    (gap,) = (gap for gap in scanned.gaps if gap.namespace)
    assert (gap.namespace, gap.source, gap.status) == ("shop-tenant", "pods", "broken")
    assert gap.message.startswith(f"namespaces/shop-tenant/core/pods.yaml: line {line}: ")
    assert scanned.namespaces_read == ("other-tenant",)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"kind": "Pod"}, "namespace '' and name '' are none of Kubernetes"),
        ({"kind": "Pod", "metadata": {"name": "a\0b", "namespace": "x"}}, "are none of Kubernetes"),
        ({"kind": "Pod", "metadata": {"name": "../../etc/passwd", "namespace": "x"}}, "are none of Kubernetes"),
        ({"kind": "Pod", "metadata": []}, "Expected `object`, got `array`"),
        ({"kind": "Pod", "metadata": None}, "Expected `object`, got `null`"),
        ({"kind": "Pod", "status": {"containerStatuses": [{"restartCount": 2**40}]}}, "Expected `int` <= 2147483647"),
        ({"kind": "Event", "involvedObject": {"kind": "Pod", "name": "x" * 300}}, "are none of Kubernetes"),
        ({"kind": "Event", "involvedObject": 7}, "Expected `object`, got `int`"),
    ],
)
def test_an_object_that_is_none_is_a_gap_and_the_others_count(bad: dict[str, Any], told: str) -> None:
    scanned = scan(read(as_json(list_of(KILLED, bad, EVENT))))
    assert (scanned.status, len(scanned.findings)) == ("partial", 2)
    (gap,) = (gap for gap in scanned.gaps if gap.status == "broken")
    assert gap.source == {"Pod": "pods", "Event": "events"}[bad["kind"]]
    assert gap.message.startswith(f"saved.json: item 2: {bad['kind']} that cannot be read: ")
    assert told in gap.message


def test_of_many_broken_objects_three_are_told_and_the_others_counted() -> None:
    bad = [{"kind": "Pod", "metadata": {"name": f"{number}!"}} for number in range(1000)]
    scanned = scan(read(as_json(list_of(KILLED, *bad))))
    (gap,) = (gap for gap in scanned.gaps if gap.status == "broken")
    assert gap.message.count("cannot be read") == 3
    assert gap.message.endswith("; and 997 more")


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n".encode()
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (BOMB, "line 2: holds an alias, which no tool of Kubernetes writes"),
        (b"kind: List\nitems:\n- " + b"[" * 500, "line 3: is nested more than 100 levels deep"),
        (b'{"kind":"List","items":[' + b"[" * 100_000, "line 1: is nested too deeply"),
        (b'{"kind":"List",\n"items":[\n{,\n', "line 3: "),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\x00" * 100, "line 1: "),
        (b"kind: Pod\x00\n", "line 1: "),
        (b"\xff\xfe\x00", "byte 2: is no UTF-16"),
        (b"? [a]\n: b\n", "line 1: has a key that is no text"),
        (b"<html>Forbidden: <b>no</b></html>", "holds no pods and no events, but 1 without a kind"),
        (as_json(list_of(objects.namespace("a"), objects.namespace("b"))), "but 2 Namespace;"),
        (as_json(list_of()), "holds no pods and no events; save them with `oc get pods,events -A -o json`."),
    ],
)
def test_a_file_without_pods_and_events_is_refused_with_the_reason(data: bytes, told: str) -> None:
    with pytest.raises(ImportFileError) as refused:
        read(data)
    assert str(refused.value).startswith("saved.json: ")
    assert told in str(refused.value)


def test_a_folder_without_namespaces_is_no_must_gather(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(ImportFileError, match="is no must-gather: there is no folder `namespaces`"):
        read_must_gather(tmp_path, now=NOW)


def test_a_folder_whose_namespaces_hold_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "namespaces" / "shop-tenant" / "apps").mkdir(parents=True)
    with pytest.raises(ImportFileError, match="holds no pods and no events"):
        read_must_gather(tmp_path, now=NOW)


@pytest.mark.parametrize("where", ["core/pods.yaml", "core", ""])
def test_a_symlink_in_the_folder_is_not_followed(tmp_path: Path, where: str) -> None:
    secret = write_must_gather(tmp_path / "elsewhere", pods=[KILLED])
    root = write_must_gather(tmp_path / "gathered", namespaces=["shop-tenant", "other-tenant"])
    path = root / "namespaces" / "shop-tenant" / where
    path.rename(tmp_path / "taken-away")
    path.symlink_to(secret / "namespaces" / "shop-tenant" / where)
    scanned = scan(read_must_gather(tmp_path / "gathered", now=NOW))
    assert scanned.findings == ()
    assert ("shop-tenant", "pods", "symlink") in gaps(scanned)


def test_a_pipe_in_the_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    root = write_must_gather(tmp_path, pods=[KILLED], namespaces=["other-tenant"])
    file = root / "namespaces" / "other-tenant" / "core" / "pods.yaml"
    file.unlink()
    os.mkfifo(file)
    scanned = scan(read_must_gather(tmp_path, now=NOW))
    assert ("other-tenant", "pods", "not-captured") in gaps(scanned)
    with pytest.raises(ImportFileError, match="is no ordinary file; what comes through a pipe is read with `-`"):
        read_file(file)


def test_a_pod_in_the_folder_of_another_namespace_is_refused(tmp_path: Path) -> None:
    root = write_must_gather(tmp_path, pods=[LOOPING])
    write(root / "namespaces" / "quiet-tenant" / "core" / "pods.yaml", as_yaml(list_of(KILLED)))
    scanned = scan(read_must_gather(tmp_path, now=NOW))
    assert found(scanned) == [("cart-7f6d9c5b8-x2x7k", "CrashLoopBackOff")]
    assert ("quiet-tenant", "pods", "broken") in gaps(scanned)


# --- when it was saved ----------------------------------------------------------------------------------------------


def test_the_time_is_what_was_told_else_the_timestamp_else_the_newest_else_the_files(tmp_path: Path) -> None:
    start, end = "2026-01-15 14:58:03.123456789 +0100 CET m=+0.136", "2026-01-15 15:03:04.5 +0100 CET m=+301.5"
    write_must_gather(tmp_path, pods=[KILLED], timestamp=f"{start}\n{end}\n")
    capture = read_must_gather(tmp_path, now=NOW)
    told = date_capture(capture, told=NOON, now=NOW)
    assert (told.at, told.evidence) == (NOON, "--at")
    stamped = date_capture(capture, told=None, now=NOW)
    assert capture.began_at == datetime(2026, 1, 15, 13, 58, 3, tzinfo=UTC)
    assert (stamped.at, stamped.evidence) == (datetime(2026, 1, 15, 14, 3, 4, tzinfo=UTC), "its timestamp file")
    newest = date_capture(read(as_json(list_of(KILLED, EVENT))), told=None, now=NOW)
    assert (newest.at, newest.evidence) == (NOON, "the newest time in its objects")
    dateless = date_capture(read(as_json(list_of(kind="PodList"))), told=None, now=NOW)
    assert (dateless.at, dateless.evidence) == (NOON, "the time of its last change")


def test_a_time_that_is_yet_to_come_is_not_believed(tmp_path: Path) -> None:
    future = back_off_event(LOOPING, "app", at=NOW + timedelta(days=3000), first_at=NOON - timedelta(minutes=3))
    assert date_capture(read(as_json(list_of(future))), told=None, now=NOW).at == NOON - timedelta(minutes=3)
    write_must_gather(tmp_path, pods=[KILLED], timestamp="2099-01-15 15:03:04.5 +0000 UTC m=+301.5\n")
    assert read_must_gather(tmp_path, now=NOW).ended_at is None


# --- the run --------------------------------------------------------------------------------------------------------


class Ingesting:
    """A database and an output folder, into which captures are ingested."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def __call__(
        self,
        capture: Capture,
        *,
        cluster: str = "c1",
        at: datetime = NOON,
        lookback: timedelta = DAY,
        limit: int = 999,
    ) -> IngestResult:
        request = IngestRequest(
            cluster=cluster,
            time_range="1d",
            lookback=lookback,
            detectors=load_detectors(),
            arguments="oomdb ingest",
            artifacts=ArtifactFolder(self.folder),
            log_limit_bytes=limit,
        )
        return ingest(self.store, capture, request, at=at, now=NOW)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.store.reading() as conn:
            return [tuple(row) for row in conn.exec_driver_sql(sql)]


@pytest.fixture
def ingesting(tmp_path: Path) -> Any:
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as store:
        yield Ingesting(store, tmp_path / "output")


def test_an_ingest_is_a_run_of_its_cluster_at_the_time_of_the_capture(ingesting: Ingesting) -> None:
    result = ingesting(read(as_json(list_of(KILLED, EVENT))))
    assert (result.run_id, result.new_occurrences) == (1, 2)
    assert ingesting.rows("SELECT started_at, status, origin, scope, time_range FROM runs") == [
        ("2026-01-15 12:00:00", "partial", "ingest", "--cluster c1", "1d")
    ]
    assert ingesting.rows("SELECT kind, path, run_id, rows FROM import_files") == [("import", "saved.json", 1, 2)]


def test_the_same_capture_again_changes_nothing(ingesting: Ingesting) -> None:
    ingesting(read(as_json(list_of(KILLED, EVENT))))
    before = ingesting.rows("SELECT count(*), (SELECT count(*) FROM findings), total_changes() FROM runs")
    again = ingesting(read(as_json(list_of(KILLED, EVENT))))
    assert (again.run_id, again.scan) == (1, None)
    assert ingesting.rows("SELECT count(*), (SELECT count(*) FROM findings), total_changes() FROM runs") == before


def test_another_time_range_is_another_run_with_what_is_new_in_it(ingesting: Ingesting) -> None:
    older = pod("old-7f6d9c5b8-x2x7k", containers=[oom_killed(at=NOON - timedelta(days=3))])
    capture = read(as_json(list_of(KILLED, older, EVENT)))
    results = [ingesting(capture), ingesting(capture, lookback=timedelta(days=7))]
    assert [(it.run_id, it.new_occurrences) for it in results] == [(1, 2), (2, 1)]


def test_a_kill_that_a_collect_saw_counts_once(ingesting: Ingesting) -> None:
    first = ingesting(read(as_json(list_of(KILLED, EVENT))))
    later = ingesting(read(as_json(list_of(KILLED, LOOPING))), at=NOON + timedelta(minutes=5))
    assert (first.new_occurrences, later.new_occurrences) == (2, 0)


def test_an_ingest_that_was_cut_short_is_done_again(ingesting: Ingesting) -> None:
    capture = read(as_json(list_of(KILLED, EVENT)))
    ingesting(capture)
    with ingesting.store.writing() as conn:
        conn.exec_driver_sql("UPDATE runs SET status = 'aborted'")
    assert ingesting(capture).run_id == 2
    assert ingesting(capture).scan is None


def test_logs_of_a_folder_become_artifacts_of_pods_with_findings_alone(ingesting: Ingesting, tmp_path: Path) -> None:
    quiet = pod("quiet-7f6d9c5b8-x2x7k")
    name = KILLED["metadata"]["name"]
    logs = {
        ("shop-tenant", name, "app", True): b"killed here\n",
        ("shop-tenant", name, "app", False): b"again\n",
        ("shop-tenant", quiet["metadata"]["name"], "app", False): b"all is well\n",
    }
    write_must_gather(tmp_path / "gathered", pods=[KILLED, quiet], logs=logs)
    ingesting(read_must_gather(tmp_path / "gathered", now=NOW))
    rows = ingesting.rows("SELECT pod, kind, status, path FROM artifacts ORDER BY kind")
    assert [row[:3] for row in rows] == [(name, "description", "ok"), (name, "log", "ok")]
    description, log = ((ingesting.folder / row[3]).read_text() for row in rows)
    assert description.startswith(f"Name:             {name}\n")
    assert "killed here\n" in log
    assert log.index("killed here") < log.index("again")
    assert ingesting.rows("SELECT artifacts_from FROM findings") == [(1,)]


def test_a_long_log_keeps_its_end_and_says_so(ingesting: Ingesting, tmp_path: Path) -> None:
    logs = {("shop-tenant", KILLED["metadata"]["name"], "app", False): b"".join(b"line %d\n" % n for n in range(1000))}
    write_must_gather(tmp_path / "gathered", pods=[KILLED], logs=logs)
    ingesting(read_must_gather(tmp_path / "gathered", now=NOW), limit=100)
    ((path,),) = ingesting.rows("SELECT path FROM artifacts WHERE kind = 'log'")
    text = (ingesting.folder / path).read_text()
    assert "(the beginning is left out; the last 99 bytes follow: " in text
    assert text.endswith("line 998\nline 999\n")
    assert "(could not be read: not in the folder)" in text


def test_a_file_has_no_logs_and_says_so(ingesting: Ingesting) -> None:
    ingesting(read(as_json(list_of(KILLED))))
    assert ingesting.rows("SELECT kind, status, message FROM artifacts ORDER BY kind") == [
        ("description", "ok", "without events: they were not saved"),
        ("log", "error", "a file of pods and events holds no logs"),
    ]


def test_no_name_in_a_manifest_leads_out_of_the_folder(ingesting: Ingesting, tmp_path: Path) -> None:
    write(tmp_path / "secret" / "logs" / "current.log", b"secret\n")
    climber = pod(containers=[oom_killed("../../../../../secret", at=NOON - timedelta(hours=1))])
    root = write_must_gather(tmp_path / "gathered", pods=[climber])
    folder = root / "namespaces" / "shop-tenant" / "pods" / "shop-7f6d9c5b8-x2x7k"
    folder.mkdir(parents=True)
    ingesting(read_must_gather(tmp_path / "gathered", now=NOW))
    ((path, status),) = ingesting.rows("SELECT path, status FROM artifacts WHERE kind = 'log'")
    assert status == "error"
    assert "secret\n" not in (ingesting.folder / path).read_text()


def test_a_pod_that_only_events_know_has_a_finding_and_the_reason_why_no_artifact(ingesting: Ingesting) -> None:
    ingesting(read(as_json(list_of(EVENT))))
    assert (
        ingesting.rows("SELECT status, message FROM artifacts")
        == [("error", "the pod itself is not in what was saved")] * 2
    )


def test_an_oom_event_and_an_init_container_count_as_over_the_api() -> None:
    told = oom_event(pod("web-7f6d9c5b8-x2x7k"), "app", at=NOON - timedelta(hours=1))
    starting = pod("db-7f6d9c5b8-x2x7k", containers=[oom_killed("init", kind="init", at=NOON), Container()])
    assert found(scan(read(as_json(list_of(starting, told))))) == [
        ("db-7f6d9c5b8-x2x7k", "OOMKilled"),
        ("web-7f6d9c5b8-x2x7k", "OOMKilled"),
    ]
