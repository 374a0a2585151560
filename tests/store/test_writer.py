"""Recording scans: what is written, what is replaced, and what stays."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomdb.errors import StoreError
from oomdb.model import Gap, ScanStatus, Suspect
from oomdb.store.checks import check_database
from oomdb.store.database import Store
from oomdb.store.runs import finish_run
from oomdb.store.schema import TABLES
from oomdb.store.stored import list_uncaptured
from oomdb.store.writer import record_scan
from tests.store.builders import (
    HOSTILE,
    NOW,
    ago,
    artifact,
    begin,
    change,
    finding,
    kill,
    kill_event,
    loop,
    loop_event,
    record,
    rows,
    scan,
)


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table."""
    return {table.name: sorted(rows(store, f"SELECT * FROM {table.name}"), key=repr) for table in TABLES}


def test_a_scan_recorded_twice_is_the_same(store: Store) -> None:
    part = scan(
        finding(kill(ago(hours=1))),
        finding(loop(ago(minutes=4)), pod="cart-1", pod_uid="uid-2"),
        suspects=(Suspect(namespace="shop", pod="x", pod_uid="", container="", suspect_class="exit-137", at=None),),
        gaps=(Gap(namespace="closed", source="pods", status="forbidden", message="no"),),
        artifacts=(artifact(), artifact(kind="log", path="log.txt")),
    )
    run_id = begin(store)
    first = record_scan(store, run_id, part, seen_at=NOW)
    before = dump(store)
    assert record_scan(store, run_id, part, seen_at=NOW) == first
    assert dump(store) == before
    assert check_database(store) == []


def test_a_scan_recorded_again_replaces_what_it_had(store: Store) -> None:
    run_id = begin(store)
    gap = Gap(namespace="closed", source="pods", status="forbidden", message="no")
    record_scan(store, run_id, scan(finding(kill(ago(hours=1))), status="partial", gaps=(gap,)), seen_at=NOW)
    record_scan(store, run_id, scan(cluster="prod-b"), seen_at=NOW)
    record_scan(store, run_id, scan(), seen_at=NOW)
    assert rows(store, "SELECT * FROM findings") == []
    assert rows(store, "SELECT * FROM run_gaps") == []
    assert rows(store, "SELECT * FROM run_counts") == []
    assert rows(store, "SELECT cluster, status FROM run_clusters ORDER BY 1") == [
        ("prod-a", "complete"),
        ("prod-b", "complete"),
    ]
    # what happened has happened, whoever does not see it any more
    assert rows(store, "SELECT count(*) FROM occurrences") == [(1,)]
    assert check_database(store) == []


def test_artifacts_of_an_earlier_try_stay_known_since_other_runs_point_to_them(store: Store) -> None:
    slow = begin(store)
    record_scan(store, slow, scan(finding(kill(ago(hours=1))), artifacts=(artifact(),)), seen_at=NOW)
    quick = record(store, scan(finding(kill(ago(hours=1)))))
    record_scan(store, slow, scan(finding(kill(ago(hours=1)))), seen_at=NOW)
    assert rows(store, "SELECT run_id, artifacts_from FROM findings ORDER BY 1") == [(slow, slow), (quick, slow)]
    assert check_database(store) == []


def test_a_second_capture_in_one_run_replaces_the_first(store: Store) -> None:
    run_id = begin(store)
    part = finding(kill(ago(hours=1)))
    record_scan(store, run_id, scan(part, artifacts=(artifact(status="error", path=""),)), seen_at=NOW)
    record_scan(store, run_id, scan(part, artifacts=(artifact(path="desc.txt"),)), seen_at=NOW)
    assert rows(store, "SELECT status, path FROM artifacts") == [("ok", "desc.txt")]


def test_each_kill_and_each_loop_is_counted_once_however_many_runs_see_it(store: Store) -> None:
    for hours in (3, 2, 1, 0):
        at = ago(hours=hours)
        record(
            store,
            scan(finding(kill(ago(hours=4))), finding(loop(at, restarts=50 - 10 * hours), pod="c", pod_uid="uid-2")),
            at=at,
        )
    assert rows(store, "SELECT type, count(*) FROM occurrences GROUP BY 1 ORDER BY 1") == [
        ("CrashLoopBackOff", 1),
        ("OOMKilled", 1),
    ]
    assert rows(store, "SELECT count(*) FROM findings") == [(8,)]
    assert rows(store, "SELECT sum(occurrences) FROM daily_counts") == [(2,)]
    assert rows(store, "SELECT run_id, sum(new_occurrences) FROM run_counts GROUP BY 1") == [
        (1, 2),
        (2, 0),
        (3, 0),
        (4, 0),
    ]


def test_the_first_run_stays_and_the_last_run_moves(store: Store) -> None:
    first = record(store, scan(finding(loop(ago(hours=1), restarts=1))), at=ago(hours=1))
    last = record(store, scan(finding(loop(NOW, restarts=9))))
    assert rows(store, "SELECT first_run_id, last_run_id, last_seen_at FROM occurrences") == [
        (first, last, "2026-01-15 15:00:00")
    ]
    assert rows(store, "SELECT first_run_id, runs_until FROM pods") == [(first, 31)]


def test_a_slow_run_does_not_take_back_what_a_later_one_saw(store: Store) -> None:
    slow = begin(store)
    quick = record(store, scan(finding(kill(ago(hours=1)))))
    record_scan(store, slow, scan(finding(kill(ago(hours=1)))), seen_at=NOW)
    assert rows(store, "SELECT first_run_id, last_run_id FROM occurrences") == [(quick, quick)]


def test_days_are_utc_and_belong_to_the_beginning(store: Store) -> None:
    before_midnight = datetime(2026, 1, 14, 23, 59, 59, tzinfo=UTC)
    record(store, scan(finding(kill(before_midnight)), finding(loop(before_midnight), pod="b", pod_uid="uid-2")))
    assert rows(store, "SELECT DISTINCT day FROM daily_counts") == [("2026-01-14",)]


def test_rows_count_pods_and_findings_count_containers(store: Store) -> None:
    record(
        store,
        scan(
            finding(kill(ago(hours=1), container_id="a")),
            finding(kill(ago(hours=1), container_id="b"), container="sidecar"),
            finding(kill(ago(hours=1), container_id="c"), namespace="other"),
        ),
    )
    assert rows(store, "SELECT rows, findings, new_occurrences FROM run_counts") == [(2, 3, 3)]


def test_timestamps_are_kept_only_where_first_and_last_do_not_say_all(store: Store) -> None:
    two = finding(*(kill(ago(hours=hours), container_id=str(hours)) for hours in (2, 1)))
    three = finding(*(kill(ago(hours=hours), container_id=str(hours)) for hours in (3, 2, 1)), pod="b", pod_uid="u")
    record(store, scan(two, three))
    (of_two,), (of_three,) = rows(store, "SELECT timestamps FROM findings ORDER BY occurrences")
    assert of_two is None
    assert json.loads(of_three) == ["2026-01-15T12:00:00Z", "2026-01-15T13:00:00Z", "2026-01-15T14:00:00Z"]


def test_a_finding_without_an_instant_is_no_occurrence(store: Store) -> None:
    record(store, scan(finding()))
    assert rows(store, "SELECT occurrences, first_at, last_at, timestamps FROM findings") == [(0, None, None, None)]
    assert rows(store, "SELECT count(*) FROM occurrences") == [(0,)]
    assert check_database(store) == []


def test_an_empty_scan_writes_its_coverage_and_no_row_of_defaults(store: Store) -> None:
    record(store, scan())
    filled = {name for name, content in dump(store).items() if content}
    assert filled == {"runs", "run_clusters"}


@pytest.mark.parametrize("status", ["unreachable", "forbidden", "failed", "skipped", "unknown"])
def test_a_cluster_that_could_not_be_read_is_a_row_with_its_reason(store: Store, status: ScanStatus) -> None:
    run_id = begin(store)
    record_scan(store, run_id, scan(status=status, error="no route to host"), seen_at=NOW)
    finish_run(store, run_id, now=NOW)
    assert rows(store, "SELECT status, error, pods_seen FROM run_clusters") == [(status, "no route to host", None)]


def test_gaps_and_suspects_that_are_told_twice_are_written_once(store: Store) -> None:
    gap = Gap(namespace="closed", source="events", status="forbidden", message="no")
    suspect = Suspect(
        namespace="shop", pod="x", pod_uid="u", container="c", suspect_class="exit-137", at=ago(hours=1), exit_code=137
    )
    record(store, scan(status="partial", gaps=(gap, gap), suspects=(suspect, suspect), skipped_by_rule={"name": 2}))
    assert rows(store, "SELECT namespace, source, status FROM run_gaps") == [("closed", "events", "forbidden")]
    assert rows(store, "SELECT pod, class, exit_code FROM suspects") == [("x", "exit-137", 137)]
    assert rows(store, "SELECT skipped_by_rule FROM run_clusters") == [('{"name": 2}',)]


def test_a_pod_of_which_nobody_knows_whether_it_is_gone_is_neither(store: Store) -> None:
    for index, gone in enumerate((True, False, None)):
        record(store, scan(finding(kill(ago(hours=1)), pod_gone=gone), cluster=f"c{index}"))
    assert rows(store, "SELECT pod_gone FROM findings ORDER BY cluster") == [(1,), (0,), (None,)]


def test_findings_point_to_the_run_that_captured_their_pod(store: Store) -> None:
    both = (finding(kill(ago(hours=1))), finding(loop(ago(minutes=4)), container="sidecar"))
    first = record(store, scan(*both, artifacts=(artifact(captured_at=NOW),)))
    record(store, scan(*both, finding(kill(ago(hours=1)), pod="other", pod_uid="uid-9")))
    assert rows(store, "SELECT pod, artifacts_from FROM findings ORDER BY run_id, pod") == [
        ("checkout-1", first),
        ("checkout-1", first),
        ("checkout-1", first),
        ("checkout-1", first),
        ("other", None),
    ]


def test_a_pod_of_the_same_name_on_another_cluster_has_its_own_artifacts(store: Store) -> None:
    nameless = finding(kill(ago(hours=1)), pod_uid="")
    record(store, scan(nameless, artifacts=(artifact(pod_uid=""),)))
    record(store, scan(nameless, cluster="prod-b"))
    assert rows(store, "SELECT cluster, artifacts_from FROM findings ORDER BY 1") == [("prod-a", 1), ("prod-b", None)]


@pytest.mark.parametrize("how", ["finished", "deleted"])
def test_a_closed_run_refuses(store: Store, how: str) -> None:
    run_id = begin(store)
    if how == "finished":
        finish_run(store, run_id, now=NOW)
    else:
        change(store, "DELETE FROM runs")
    with pytest.raises(StoreError, match="is closed already"):
        record_scan(store, run_id, scan(finding(kill(ago(hours=1)))), seen_at=NOW)
    assert rows(store, "SELECT count(*) FROM occurrences") == [(0,)]


def test_hostile_names_are_stored_and_come_back_letter_by_letter(store: Store) -> None:
    hostile = finding(
        kill(ago(hours=1), container_id=HOSTILE, container=HOSTILE),
        namespace=HOSTILE,
        pod=HOSTILE,
        pod_uid=HOSTILE,
        container=HOSTILE,
        workload=HOSTILE,
    )
    for _ in range(2):
        record(store, scan(hostile, cluster=HOSTILE, error=HOSTILE, skipped_by_rule={HOSTILE: 1}))
    assert rows(store, "SELECT DISTINCT cluster, namespace, pod, pod_uid, container, workload FROM findings") == [
        (HOSTILE,) * 6
    ]
    assert rows(store, "SELECT count(*) FROM occurrences") == [(1,)]
    assert check_database(store) == []


def test_two_pods_that_claim_one_uid_do_not_stop_the_recording(store: Store) -> None:
    record(
        store,
        scan(
            finding(loop_event(ago(minutes=5)), pod="honest"),
            finding(loop_event(ago(minutes=5)), pod="claims-the-same-uid"),
        ),
    )
    assert rows(store, "SELECT count(*) FROM findings") == [(2,)]
    assert rows(store, "SELECT count(*) FROM occurrences") == [(1,)]
    assert check_database(store) == []


@pytest.mark.parametrize("hours_apart", [1, 5, 23])
@pytest.mark.parametrize("next_id", ["cri-o://b", ""])
def test_an_event_sent_again_hours_later_is_the_kill_that_is_stored(
    store: Store, hours_apart: int, next_id: str
) -> None:
    first_at = ago(hours=hours_apart)
    record(store, scan(finding(kill_event(first_at, next_id=next_id))), at=first_at)
    record(store, scan(finding(kill_event(NOW, next_id=next_id, first_at=first_at))))
    assert rows(store, "SELECT count(*) FROM occurrences") == [(1,)]


def test_events_whose_senders_set_any_time_do_not_stop_the_recording(store: Store) -> None:
    future, beginning = datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 1, 0, 1, tzinfo=UTC)
    record(store, scan(finding(kill_event(ago(hours=9), first_at=future, next_id=""))), at=ago(hours=9))
    record(store, scan(finding(kill_event(NOW, first_at=future, next_id=""))))
    record(store, scan(finding(kill_event(NOW, first_at=beginning, next_id="cri-o://z"))))
    assert rows(store, "SELECT count(*) FROM occurrences") == [(2,)]


def test_a_pod_with_ten_thousand_events_does_not_stop_the_recording(store: Store) -> None:
    flood = finding(*(kill_event(ago(seconds=index), next_id=f"cri-o://{index}") for index in range(10_000)))
    folded = scan(flood)
    record(store, folded)
    assert record_scan(store, begin(store), folded, seen_at=NOW).new_occurrences == 0


@pytest.mark.parametrize("value", [2**63, -(2**64)])
def test_a_number_of_more_than_64_bits_is_refused_in_plain_words(store: Store, value: int) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        record(store, scan(finding(kill(ago(hours=1), exit_code=value))))
    assert rows(store, "SELECT count(*) FROM findings") == [(0,)]


def test_a_lone_surrogate_is_refused_in_plain_words(store: Store) -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        record(store, scan(finding(kill(ago(hours=1)), namespace="\udcff")))


def test_a_scan_that_fails_half_way_leaves_nothing(store: Store) -> None:
    run_id = begin(store)
    before = dump(store)
    with pytest.raises(StoreError):
        # the same container twice, which the key of findings refuses after the artifacts were written
        record_scan(store, run_id, scan(*[finding(kill(ago(hours=1)))] * 2, artifacts=(artifact(),)), seen_at=NOW)
    assert dump(store) == before


# --- what shall be captured -----------------------------------------------------------------------------------------


def wanted(store: Store, *sightings: object, at: datetime = NOW) -> set[str]:
    """Return the pods to capture for the usual container."""
    return list_uncaptured(store, "prod-a", [finding(*sightings)], seen_at=at)  # type: ignore[arg-type]


def test_a_pod_is_captured_once_for_each_new_occurrence(store: Store) -> None:
    assert wanted(store, kill(ago(hours=2))) == {"shop/uid-1"}
    record(store, scan(finding(kill(ago(hours=2))), artifacts=(artifact(captured_at=ago(hours=1)),)), at=ago(hours=1))
    assert wanted(store, kill(ago(hours=2))) == set()
    assert wanted(store, kill(ago(minutes=5), container_id="cri-o://b")) == {"shop/uid-1"}


def test_a_capture_that_failed_is_tried_again(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=2))), artifacts=(artifact(status="error", path=""),)))
    assert wanted(store, kill(ago(hours=2))) == {"shop/uid-1"}
    assert rows(store, "SELECT artifacts_from FROM findings") == [(None,)]


def test_a_pod_that_was_gone_is_not_tried_again(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=2))), artifacts=(artifact(status="gone", path=""),)))
    assert wanted(store, kill(ago(hours=2))) == set()


def test_a_failed_capture_after_a_good_one_is_tried_again(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=3))), artifacts=(artifact(captured_at=ago(hours=2)),)), at=ago(hours=2))
    newer = kill(ago(hours=1), container_id="cri-o://b")
    record(store, scan(finding(newer), artifacts=(artifact(status="error", path=""),)))
    assert wanted(store, newer) == {"shop/uid-1"}
    assert rows(store, "SELECT artifacts_from FROM findings ORDER BY run_id") == [(1,), (1,)]


def test_a_loop_that_goes_on_is_captured_once(store: Store) -> None:
    seen = ago(hours=1)
    record(store, scan(finding(loop(seen, restarts=5)), artifacts=(artifact(captured_at=seen),)), at=seen)
    assert wanted(store, loop(ago(minutes=2), restarts=15)) == set()
    assert wanted(store, loop(ago(minutes=2), restarts=6)) == {"shop/uid-1"}


def test_nothing_scanned_is_nothing_to_capture(store: Store) -> None:
    assert list_uncaptured(store, "prod-a", [], seen_at=NOW) == set()


def test_captures_of_thousands_of_pods_are_found(store: Store, path: Path) -> None:
    many = [finding(kill(ago(hours=1), container_id=str(i)), pod=f"p{i}", pod_uid=f"u{i}") for i in range(1500)]
    captured = tuple(artifact(pod=f"p{i}", pod_uid=f"u{i}") for i in range(1, 1500))
    record(store, scan(*many, artifacts=captured))
    assert list_uncaptured(store, "prod-a", many, seen_at=NOW) == {"shop/u0"}
    assert path.exists()
