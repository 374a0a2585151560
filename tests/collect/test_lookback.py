"""`--time-range auto`: how far each cluster is looked back over, and what no look can reach any more."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oomdb.collect.lookback import AUTO, LONGEST, OVERLAP, Lookback, plan_lookbacks
from oomdb.collect.run import CollectResult, Connection, Listener, collect
from oomdb.collect.scope import ALL, Scope
from oomdb.model import ClusterScan, Gap, ScanStatus
from oomdb.simulator import objects
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Refuse
from oomdb.store.database import Store, open_for_writing
from oomdb.store.runs import begin_run, finish_run, interrupt_run
from oomdb.store.writer import record_scan
from tests.collect.simulated import NOON, Fleet, running_fleet, start

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SLOW = Gap(namespace="shop", source="pods", status="timeout", message="no answer for 45 s")
NO_LIST = Gap(namespace="", source="namespaces", status="forbidden", message="may not list namespaces")
VAULT = Gap(namespace="vault", source="pods", status="forbidden", message="may not list pods")
NO_SPACE = Gap(namespace="", source="artifacts", status="artifact", message="disk full")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as opened:
        yield opened


def add_run(
    store: Store,
    ago: timedelta,
    *,
    lookback: timedelta = DAY,
    time_range: str = "1d",
    scope_hash: str = ALL,
    status: ScanStatus = "complete",
    origin: str = "collect",
    gaps: Sequence[Gap] = (),
    read: Sequence[str] = (),
) -> int:
    begun = replace(
        start(NOON - ago, lookback), scope_hash=scope_hash, scope=scope_hash, time_range=time_range, origin=origin
    )
    run_id = begin_run(store, begun, now=NOON - ago)
    part = ClusterScan(
        cluster="c1", context="c1", server="s", status=status, gaps=tuple(gaps), namespaces_read=tuple(read)
    )
    record_scan(store, run_id, part, seen_at=NOON - ago)
    finish_run(store, run_id, now=NOON - ago)
    return run_id


def plan(store: Store, scope: Scope | None = None) -> Lookback:
    return plan_lookbacks(store, ["c1"], covered_by=(scope or Scope()).covered_by, now=NOON)["c1"]


def fill(store: Store, *, until: timedelta) -> None:
    """Record a run a day, without a hole, from nine days ago to some time ago."""
    for days in range(9, 0, -1):
        if days * DAY > until:
            add_run(store, days * DAY, lookback=DAY + HOUR)
    add_run(store, until, lookback=DAY + HOUR)


def test_a_cluster_is_looked_back_over_since_its_last_complete_scan_and_a_little_more(store: Store) -> None:
    fill(store, until=3 * HOUR)
    assert plan(store) == Lookback(NOON - 3 * HOUR - OVERLAP)


def test_a_cluster_that_was_never_read_is_looked_back_over_seven_days_and_the_rest_is_a_gap(store: Store) -> None:
    add_run(store, HOUR, status="unreachable")
    add_run(store, HOUR, status="partial", gaps=[SLOW])
    lookback = plan(store)
    assert lookback.since == NOON - LONGEST
    assert lookback.gap is not None
    assert (lookback.gap.namespace, lookback.gap.source, lookback.gap.status) == ("", "time-range", "too-long-ago")
    assert lookback.gap.message == (
        "never read completely before; 7 days were looked back over, to 2026-01-08T12:00:00Z, "
        "and what happened until then is not known."
    )


def test_an_outage_of_more_than_seven_days_leaves_a_gap_with_both_its_ends(store: Store) -> None:
    add_run(store, 9 * DAY)
    lookback = plan(store)
    assert lookback.since == NOON - LONGEST
    assert lookback.gap is not None
    assert lookback.gap.message == (
        "last read completely at 2026-01-06T12:00:00Z; 7 days were looked back over, to 2026-01-08T12:00:00Z, "
        "and the time in between is not known."
    )


def test_a_scan_that_did_not_reach_back_to_the_one_before_leaves_its_hole_to_be_looked_at(store: Store) -> None:
    fill(store, until=3 * DAY)
    add_run(store, HOUR, lookback=HOUR)  # somebody's look at the last hour, after an outage of three days
    assert plan(store).since == NOON - 3 * DAY - OVERLAP


def test_an_automatic_scan_has_left_no_hole_whatever_its_run_looked_back_over_at_most(store: Store) -> None:
    add_run(store, 2 * DAY, lookback=LONGEST, time_range=AUTO)
    add_run(store, HOUR, lookback=HOUR, time_range=AUTO)
    assert plan(store).since == NOON - HOUR - OVERLAP


def test_the_look_back_is_never_longer_than_seven_days(store: Store) -> None:
    add_run(store, LONGEST - timedelta(minutes=1), lookback=LONGEST)
    assert plan(store) == Lookback(NOON - LONGEST)


def test_a_run_dated_in_the_future_by_a_wrong_clock_does_not_count(store: Store) -> None:
    fill(store, until=2 * HOUR)
    add_run(store, -DAY, lookback=LONGEST)
    assert plan(store).since == NOON - 2 * HOUR - OVERLAP


@pytest.mark.parametrize(
    ("scope", "counts"),
    [
        (Scope(), True),
        (Scope(contexts=["c1"]), True),
        (Scope(include=["^a"]), True),
        (Scope(names=["test-x"]), False),
        (Scope(include_ephemeral=True), False),
    ],
    ids=["all", "contexts", "include-ns", "names", "include-ephemeral"],
)
def test_a_scan_of_everything_counts_for_narrower_scopes_not_for_those_that_look_where_it_does_not(
    store: Store, scope: Scope, counts: bool
) -> None:
    fill(store, until=2 * HOUR)
    assert (plan(store, scope).gap is None) == counts


def test_scans_of_the_same_narrow_scope_count_and_others_do_not(store: Store) -> None:
    scope = Scope(names=["shop-tenant"])
    add_run(store, HOUR, lookback=LONGEST, scope_hash=scope.hash)
    assert plan(store, scope).since == NOON - HOUR - OVERLAP
    assert plan(store).gap is not None


def test_scans_of_the_demo_and_of_imports_do_not_count(store: Store) -> None:
    add_run(store, HOUR, lookback=LONGEST, origin="demo")
    assert plan(store).gap is not None


def test_a_complete_scan_of_a_run_that_was_stopped_counts(store: Store) -> None:
    run_id = begin_run(store, start(NOON - HOUR, LONGEST), now=NOON - HOUR)
    record_scan(store, run_id, ClusterScan(cluster="c1", context="", server="", status="complete"), seen_at=NOON)
    interrupt_run(store, run_id, now=NOON)
    assert plan(store).since == NOON - HOUR - OVERLAP


@pytest.mark.parametrize(
    "gaps", [[NO_LIST], [VAULT], [NO_LIST, VAULT], [NO_SPACE]], ids=["no list", "a namespace", "both", "artifacts"]
)
def test_a_scan_that_lacks_what_was_refused_all_the_time_counts(store: Store, gaps: Sequence[Gap]) -> None:
    for hours in (20, 3):
        add_run(store, hours * HOUR, time_range=AUTO, status="partial", gaps=gaps, read=["shop"])
    assert plan(store) == Lookback(NOON - 3 * HOUR - OVERLAP)


@pytest.mark.parametrize("status", ["timeout", "unreachable", "failed"])
def test_a_scan_that_lacks_what_another_look_may_show_does_not_count(store: Store, status: str) -> None:
    for hours in (20, 3):
        add_run(store, hours * HOUR, time_range=AUTO, status="partial", gaps=[replace(NO_LIST, status=status)])
    assert plan(store).since == NOON - LONGEST


@pytest.mark.parametrize("refused", [NO_LIST, replace(NO_LIST, source="pods"), replace(VAULT, namespace="shop")])
def test_what_was_refused_for_a_night_is_looked_at_once_it_is_granted_again(store: Store, refused: Gap) -> None:
    add_run(store, 2 * DAY, time_range=AUTO, status="partial", gaps=[VAULT], read=["shop"])
    add_run(store, 20 * HOUR, time_range=AUTO, status="partial", gaps=[VAULT], read=["shop"])
    for hours in (8, 4, 1):
        add_run(store, hours * HOUR, time_range=AUTO, status="partial", gaps=[VAULT, refused])
    assert plan(store).since == NOON - 20 * HOUR - OVERLAP


def test_namespaces_that_come_and_go_and_are_refused_from_the_first_keep_nothing_from_counting(store: Store) -> None:
    for hours in (20, 10, 2):
        passing = replace(VAULT, namespace=f"pr-{hours}")
        add_run(store, hours * HOUR, time_range=AUTO, status="partial", gaps=[VAULT, passing], read=["shop"])
    assert plan(store).since == NOON - 2 * HOUR - OVERLAP


def collect_automatically(fleet: Fleet, at: datetime, *, read_at: datetime | None = None) -> CollectResult:
    """Collect by a run that begins at an instant; its clusters wait for their turn until `read_at`."""
    names = [target.name for target in fleet.targets]
    lookbacks = plan_lookbacks(fleet.store, names, covered_by=Scope().covered_by, now=at)
    longest = max(at - lookback.since for lookback in lookbacks.values())
    request = replace(fleet.request(artifacts=False, lookback=longest), lookbacks=lookbacks)
    run_id = begin_run(fleet.store, replace(start(at, longest), time_range=AUTO), now=at)
    turn = Turn(at, read_at or at)
    return collect(fleet.store, run_id, fleet.targets, request, listener=turn, clock=turn.clock)


class Turn(Listener):
    """Lets a run that began at an instant read its clusters at a later one, as if they had waited for their turn."""

    def __init__(self, began_at: datetime, read_at: datetime) -> None:
        self._now = began_at
        self._read_at = read_at

    def connected(self, connection: Connection) -> None:
        self._now = self._read_at

    def clock(self) -> datetime:
        return self._now


def shop(*killed_at: datetime) -> SimulatedCluster:
    pods = [
        objects.pod(f"shop-7f6d9c5b8-{number:05}", namespace="shop-tenant", containers=[objects.oom_killed(at=at)])
        for number, at in enumerate(killed_at)
    ]
    return SimulatedCluster([objects.namespace("shop-tenant")], pods)


def test_after_a_day_of_outage_the_kills_in_between_are_found_each_once(tmp_path: Path) -> None:
    kills = [NOON + hours * HOUR for hours in (-1, 2, 13, 23)]
    with running_fleet(tmp_path, {"c1": shop(kills[0]), "c2": shop()}) as fleet:
        first = collect_automatically(fleet, NOON)
        down = Fault(match="/", action=Refuse(503))
        fleet.servers["c1"].faults.add(down)
        for hours in (1, 9, 17):
            collect_automatically(fleet, NOON + hours * HOUR)
        fleet.servers["c1"].faults.clear()
        fleet.servers["c1"].cluster.replace(pods=shop(*kills).pods)
        after = collect_automatically(fleet, NOON + DAY)
        again = collect_automatically(fleet, NOON + DAY + HOUR)
        runs = fleet.rows("SELECT time_range, lookback_seconds FROM runs WHERE id IN (1, 5, 6)")
        found = fleet.rows("SELECT occurred_at, first_run_id FROM occurrences ORDER BY 1")
    week, day, hour = (int((span + OVERLAP).total_seconds()) for span in (LONGEST - OVERLAP, DAY, HOUR))
    assert runs == [(AUTO, week), (AUTO, day), (AUTO, hour)]
    assert [result.new_occurrences for result in (first, after, again)] == [1, 3, 0]
    assert found == [
        ("2026-01-15 11:00:00", 1),
        ("2026-01-15 14:00:00", 5),
        ("2026-01-16 01:00:00", 5),
        ("2026-01-16 11:00:00", 5),
    ]


def test_each_cluster_is_looked_back_over_by_its_own_past(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": shop(), "c2": shop()}) as fleet:
        fleet.servers["c2"].faults.add(Fault(match="/", action=Refuse(503)))
        collect_automatically(fleet, NOON)
        fleet.servers["c2"].faults.clear()
        for server in fleet.servers.values():
            server.cluster.replace(pods=shop(NOON - 5 * DAY).pods)
        result = collect_automatically(fleet, NOON + HOUR)
    assert {scan.cluster: len(scan.findings) for scan in result.scans} == {"c1": 0, "c2": 1}


def test_the_first_scan_ever_says_what_it_cannot_know_and_is_complete(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": shop()}) as fleet:
        result = collect_automatically(fleet, NOON)
        gaps = fleet.rows("SELECT cluster, namespace, source, status FROM run_gaps")
    assert (result.status, result.scans[0].status) == ("complete", "complete")
    assert gaps == [("c1", "", "time-range", "too-long-ago")]


def test_a_cluster_that_cannot_be_read_has_no_gap_of_time_beside_its_error(tmp_path: Path) -> None:
    with running_fleet(tmp_path, {"c1": shop()}) as fleet:
        fleet.servers["c1"].stop()
        result = collect_automatically(fleet, NOON)
    assert (result.scans[0].status, result.scans[0].gaps) == ("unreachable", ())


def test_what_happened_before_and_while_a_cluster_waited_for_its_turn_is_seen(tmp_path: Path) -> None:
    kills = [NOON + timedelta(minutes=minutes) for minutes in (5, 75)]
    with running_fleet(tmp_path, {"c1": shop()}) as fleet:
        collect_automatically(fleet, NOON)
        fleet.servers["c1"].cluster.replace(pods=shop(*kills).pods)
        late = collect_automatically(fleet, NOON + HOUR, read_at=NOON + timedelta(minutes=90))
    assert late.new_occurrences == 2


def test_a_wait_is_looked_over_by_the_clusters_clock_too(tmp_path: Path) -> None:
    ahead = 2 * HOUR
    killed_at = NOON + ahead + timedelta(minutes=5)  # as it dates it
    with running_fleet(tmp_path, {"c1": shop()}) as fleet:
        fleet.servers["c1"].clock_offset_seconds = ahead.total_seconds()
        collect_automatically(fleet, NOON)
        fleet.servers["c1"].cluster.replace(pods=shop(killed_at).pods)
        late = collect_automatically(fleet, NOON + HOUR, read_at=NOON + timedelta(minutes=90))
    assert late.new_occurrences == 1


def test_a_run_of_a_fixed_time_range_looks_back_from_its_begin_at_every_cluster(tmp_path: Path) -> None:
    kills = (NOON - timedelta(minutes=59), NOON - timedelta(minutes=61))
    with running_fleet(tmp_path, {"c1": shop(*kills)}) as fleet:
        run_id = begin_run(fleet.store, start(NOON, HOUR), now=NOON)
        turn = Turn(NOON, NOON + HOUR)
        request = fleet.request(artifacts=False, lookback=HOUR)
        result = collect(fleet.store, run_id, fleet.targets, request, listener=turn, clock=turn.clock)
        found = fleet.rows("SELECT occurred_at FROM occurrences")
    assert (result.new_occurrences, found) == (1, [("2026-01-15 11:01:00",)])
