"""What is other in a run than before it, and what nobody can tell because nobody looked."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED, ClusterScan, Finding, Gap, ScanStatus
from oomdb.queries.changes import MOVERS_NAMED, Changes, DarkCluster, Mover, RowKey, read_changes
from oomdb.queries.selection import find_run
from oomdb.store.database import Store
from oomdb.store.writer import record_scan
from tests.reports.recording import record_run
from tests.store.builders import HOSTILE, NOW, ago, begin, change, finding, kill, loop, scan

PODS_FORBIDDEN = Gap(namespace="shop", source="pods", status="forbidden", message="no")
NO_NAMESPACES = Gap(namespace="", source="namespaces", status="timeout", message="too slow")
DOWN = scan(status="unreachable", error="refused")
WEEK_AGO = ago(days=7)


def changes(store: Store, run_id: int) -> Changes:
    with store.reading() as conn:
        return read_changes(conn, find_run(conn, run_id))


def killed(pod: str = "checkout-1", *, at: datetime = NOW, namespace: str = "shop") -> Finding:
    return finding(kill(at, container_id=f"cri-o://{pod}/{at}"), namespace=namespace, pod=pod, pod_uid=f"uid-{pod}")


def row(pod: str, type_: str = OOM_KILLED, *, cluster: str = "prod-a", namespace: str = "shop") -> RowKey:
    return RowKey(cluster=cluster, namespace=namespace, pod=pod, type=type_)


# --- the run before ---------------------------------------------------------------------------------------------------


def test_the_run_before_is_the_newest_of_the_same_scope_that_read_a_cluster(store: Store) -> None:
    record_run(store, scan(), at=ago(hours=5))
    wanted = record_run(store, scan(status="partial", gaps=(PODS_FORBIDDEN,)), at=ago(hours=4))
    record_run(store, DOWN, at=ago(hours=3))
    record_run(store, scan(), at=ago(hours=2), scope="--current")
    aborted = begin(store, at=ago(hours=1))
    change(store, f"UPDATE runs SET status = 'aborted' WHERE id = {aborted}")
    record_scan(store, begin(store, at=ago(minutes=1)), scan(), seen_at=NOW)
    run = record_run(store, scan())
    record_run(store, scan(), at=ago(hours=-1))
    found = changes(store, run).previous
    assert found is not None
    assert found.id == wanted


def test_of_two_runs_that_began_in_one_second_the_later_number_comes_after_the_other(store: Store) -> None:
    first = record_run(store, scan(killed("a")))
    second = record_run(store, scan(killed("b")))
    assert changes(store, first).previous is None
    assert changes(store, second).appeared == (row("b"),)


def test_a_first_run_has_nothing_to_be_compared_with(store: Store) -> None:
    run = record_run(store, scan(killed()))
    assert changes(store, run) == Changes(
        previous=None,
        appeared=(),
        gone=(),
        not_comparable=(),
        partly_comparable=(),
        movers=(),
        movers_left=0,
        movers_unknown=("prod-a",),
        dark=(),
    )


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_appear_and_go_by_place_pod_and_type(store: Store) -> None:
    both = finding(loop(ago(hours=4)), pod="both", pod_uid="uid-both")
    record_run(store, scan(killed("goes"), killed("stays"), killed("both")), at=ago(hours=3))
    run = record_run(store, scan(killed("new", namespace="a"), killed("new"), killed("stays"), both))
    found = changes(store, run)
    assert found.appeared == (row("new", namespace="a"), row("both", CRASH_LOOP_BACK_OFF), row("new"))
    assert found.gone == (row("both"), row("goes"))


def test_findings_of_one_row_are_compared_as_one(store: Store) -> None:
    record_run(store, scan(finding(kill(NOW), container="app")), at=ago(hours=3))
    run = record_run(store, scan(finding(kill(NOW), container="sidecar", pod_uid="uid-2")))
    found = changes(store, run)
    assert (found.appeared, found.gone) == ((), ())


def test_names_are_compared_whatever_they_hold(store: Store) -> None:
    record_run(store, scan(), at=ago(hours=3))
    run = record_run(store, scan(killed(HOSTILE, namespace=HOSTILE)))
    assert changes(store, run).appeared == (row(HOSTILE, namespace=HOSTILE),)


@pytest.mark.parametrize("status", ["unreachable", "forbidden", "failed", "skipped", "unknown"])
def test_of_a_cluster_that_was_not_read_nothing_is_gone_and_afterwards_nothing_is_new(
    store: Store, status: ScanStatus
) -> None:
    other = scan(killed("other"), cluster="prod-b")
    record_run(store, scan(killed("a")), other, at=ago(hours=3))
    unread = record_run(store, scan(status=status, error="no"), other, at=ago(hours=2))
    read = record_run(store, scan(killed("b")), scan(cluster="prod-b"), at=ago(hours=1))
    for run, gone in ((unread, ()), (read, (row("other", cluster="prod-b"),))):
        found = changes(store, run)
        assert (found.appeared, found.gone, found.not_comparable) == ((), gone, ("prod-a",))


def test_a_cluster_that_is_in_one_of_both_runs_only_is_not_compared(store: Store) -> None:
    record_run(store, scan(killed("a")), scan(cluster="prod-b"), at=ago(hours=3))
    run = record_run(store, scan(cluster="prod-b"), scan(killed("c"), cluster="prod-c"))
    found = changes(store, run)
    assert (found.appeared, found.gone, found.not_comparable) == ((), (), ("prod-a", "prod-c"))


def test_in_a_namespace_that_was_not_read_nothing_is_gone_and_afterwards_nothing_is_new(store: Store) -> None:
    gap = scan(status="partial", gaps=(PODS_FORBIDDEN,))
    record_run(store, scan(killed("a"), killed("b", namespace="bank")), at=ago(hours=3))
    partial = record_run(store, gap, at=ago(hours=2))
    complete = record_run(store, scan(killed("c"), killed("d", namespace="bank")), at=ago(hours=1))
    found = changes(store, partial)
    assert (found.appeared, found.gone) == ((), (row("b", namespace="bank"),))
    assert (found.not_comparable, found.partly_comparable) == ((), ("prod-a",))
    found = changes(store, complete)
    assert (found.appeared, found.gone) == ((row("d", namespace="bank"),), ())
    assert (found.not_comparable, found.partly_comparable) == ((), ("prod-a",))


def test_what_is_found_in_spite_of_a_gap_is_new_where_the_run_before_had_none(store: Store) -> None:
    record_run(store, scan(), at=ago(hours=2))
    run = record_run(store, scan(killed("a"), status="partial", gaps=(PODS_FORBIDDEN,)))
    assert changes(store, run).appeared == (row("a"),)


def test_a_gap_of_the_whole_cluster_hides_what_is_gone_from_each_of_its_namespaces(store: Store) -> None:
    record_run(store, scan(killed("a")), scan(killed("a"), cluster="prod-b"), at=ago(hours=2))
    run = record_run(store, scan(status="partial", gaps=(NO_NAMESPACES,)), scan(cluster="prod-b"))
    found = changes(store, run)
    assert found.gone == (row("a", cluster="prod-b"),)
    assert found.partly_comparable == ("prod-a",)


def test_a_log_that_could_not_be_read_hides_no_row(store: Store) -> None:
    no_log = Gap(namespace="shop", source="artifacts", status="timeout", message="too slow")
    record_run(store, scan(killed("a")), at=ago(hours=2))
    run = record_run(store, scan(status="partial", gaps=(no_log,)))
    found = changes(store, run)
    assert (found.gone, found.partly_comparable) == ((row("a"),), ())


def test_a_run_that_looks_back_farther_makes_nothing_new_that_lies_before_what_the_other_looked_at(
    store: Store,
) -> None:
    undated = finding(pod="undated", pod_uid="uid-undated")
    record_run(store, scan(), at=ago(hours=3))
    old, fresh = killed("old", at=ago(hours=28)), killed("fresh", at=ago(hours=26))
    run = record_run(store, scan(old, fresh, undated), lookback=timedelta(days=3))
    assert changes(store, run).appeared == (row("fresh"), row("undated"))


def test_a_run_that_looks_back_less_far_makes_nothing_gone_that_it_would_not_have_looked_at_before(
    store: Store,
) -> None:
    undated = finding(pod="undated", pod_uid="uid-undated")
    old, fresh = killed("old", at=ago(hours=28)), killed("fresh", at=ago(hours=26))
    record_run(store, scan(old, fresh, undated), at=ago(hours=3), lookback=timedelta(days=3))
    run = record_run(store, scan())
    assert changes(store, run).gone == (row("fresh"), row("undated"))


def test_of_runs_that_look_back_as_far_what_is_older_than_that_is_new_and_gone_too(store: Store) -> None:
    # as where a container waits since its last kill, and in files of the legacy script
    record_run(store, scan(killed("a", at=ago(days=9))), at=ago(hours=3))
    found = changes(store, record_run(store, scan(killed("b", at=ago(days=9)))))
    assert (found.appeared, found.gone) == ((row("b"),), (row("a"),))


def test_a_row_that_both_runs_have_is_neither_new_nor_gone_however_far_they_look_back(store: Store) -> None:
    old = killed("old", at=ago(hours=28))
    lookbacks = [timedelta(days=3), timedelta(days=1), timedelta(days=3)]
    numbers = [
        record_run(store, scan(old), at=ago(hours=3 - number), lookback=lookback)
        for number, lookback in enumerate(lookbacks)
    ]
    for number in numbers[1:]:
        found = changes(store, number)
        assert (found.appeared, found.gone) == ((), ())


# --- movers -----------------------------------------------------------------------------------------------------------


def record_days(
    store: Store,
    days: Sequence[int],
    kills: Mapping[str, Sequence[datetime]],
    *,
    until: datetime = NOW,
    cluster: str = "prod-a",
    status: ScanStatus = "complete",
    scope: str = "all",
) -> int:
    """Record a run for each day before `until`, which sees the kills of its day by namespace; return the last one."""
    run = 0
    for days_before in sorted(days, reverse=True):
        at = until - timedelta(days=days_before)
        seen = [
            killed(f"{namespace}-{number}", at=killed_at, namespace=namespace)
            for namespace, instants in kills.items()
            for number, killed_at in enumerate(instants)
            if at - timedelta(days=1) < killed_at <= at
        ]
        run = record_run(store, scan(*seen, cluster=cluster, status=status), at=at, scope=scope)
    return run


def mover(namespace: str, now: int, before: int, *, cluster: str = "prod-a") -> Mover:
    return Mover(cluster=cluster, namespace=namespace, now=now, before=before)


TWO_WEEKS = range(14)


def test_movers_are_the_namespaces_with_more_kills_than_in_the_week_before_the_highest_rise_first(
    store: Store,
) -> None:
    run = record_days(
        store,
        TWO_WEEKS,
        {
            "falls": [ago(days=1), *(ago(days=8, hours=hour) for hour in range(3))],
            "stays": [ago(days=1), ago(days=8)],
            "rises": [ago(days=1), ago(days=2), ago(days=8)],
            "rises-most": [ago(days=3, hours=hour) for hour in range(3)],
        },
    )
    found = changes(store, run)
    assert found.movers == (mover("rises-most", 3, 0), mover("rises", 2, 1))
    assert (found.movers_left, found.movers_unknown) == (0, ())


def test_a_kill_on_the_border_of_two_weeks_is_in_the_earlier_one_alone(store: Store) -> None:
    kills = {
        "as-many": [WEEK_AGO, NOW],
        "after": [WEEK_AGO + timedelta(seconds=1)],
        "long-ago": [ago(days=14), NOW],
    }
    assert changes(store, record_days(store, range(15), kills)).movers == (
        mover("after", 1, 0),
        mover("long-ago", 1, 0),
    )


def test_a_loop_counts_once_in_each_week_that_it_overlaps(store: Store) -> None:
    record_days(store, TWO_WEEKS, {})
    for pod, days in (("long", (9, 6, 3)), ("short", (3, 2))):
        for number in days:
            looping = finding(loop(ago(days=number), restarts=5000 - 500 * number), pod=pod, pod_uid=pod, namespace=pod)
            record_run(store, scan(looping), at=ago(days=number))
    run = record_run(store, scan())
    assert changes(store, run).movers == (mover("short", 1, 0),)


def test_most_movers_are_only_counted(store: Store) -> None:
    many = {f"ns-{number}": [ago(hours=1)] for number in range(MOVERS_NAMED + 2)}
    found = changes(store, record_days(store, TWO_WEEKS, many))
    assert [it.namespace for it in found.movers] == [f"ns-{number}" for number in range(MOVERS_NAMED)]
    assert found.movers_left == 2


def test_where_less_was_looked_at_in_the_week_before_a_rise_is_not_known(store: Store) -> None:
    kills = {"shop": [ago(hours=1)]}
    record_days(store, TWO_WEEKS, kills, cluster="prod-a")
    record_days(store, range(7), kills, cluster="prod-b")
    record_days(store, [*range(7), *range(9, 14)], kills, cluster="prod-c")
    everywhere = (scan(killed(cluster, at=ago(hours=1)), cluster=cluster) for cluster in ("prod-a", "prod-b", "prod-c"))
    found = changes(store, record_run(store, *everywhere))
    assert [it.cluster for it in found.movers] == ["prod-a"]
    assert found.movers_unknown == ("prod-b", "prod-c")


def test_where_the_week_before_was_read_in_part_a_rise_is_not_known(store: Store) -> None:
    record_days(store, range(7, 14), {}, status="partial")
    found = changes(store, record_days(store, range(7), {"shop": [ago(hours=1)]}))
    assert (found.movers, found.movers_unknown) == ((), ("prod-a",))


def test_of_a_cluster_that_nobody_looked_at_what_a_later_run_found_is_no_rise(store: Store) -> None:
    run = record_run(store, scan(status="skipped"), scan(cluster="prod-b"))
    record_run(store, scan(killed(at=ago(days=1))), at=ago(days=-10))
    found = changes(store, run)
    assert (found.movers, found.movers_unknown) == ((), ("prod-a",))


def test_where_the_week_before_was_looked_at_more_a_rise_is_one(store: Store) -> None:
    record_days(store, range(7, 14), {"shop": [ago(days=8)]})
    found = changes(store, record_days(store, [0, 5], {"shop": [ago(days=8), ago(hours=1), ago(hours=2)]}))
    assert (found.movers, found.movers_unknown) == ((mover("shop", 2, 1),), ())


def test_a_week_that_was_looked_at_less_than_the_one_before_is_no_calm_one(store: Store) -> None:
    record_days(store, range(7, 14), {"shop": [ago(days=8)]})
    found = changes(store, record_days(store, [0], {"shop": [ago(days=8)]}))
    assert (found.movers, found.movers_unknown) == ((), ("prod-a",))


def test_clusters_that_are_no_part_of_the_run_have_no_movers(store: Store) -> None:
    record_days(store, TWO_WEEKS, {"shop": [ago(hours=1)]}, cluster="prod-a", scope="--current")
    run = record_days(store, TWO_WEEKS, {"bank": [ago(hours=1)]}, cluster="prod-b")
    found = changes(store, run)
    assert (found.movers, found.movers_unknown) == ((mover("bank", 1, 0, cluster="prod-b"),), ())


# --- clusters that went dark ------------------------------------------------------------------------------------------


def test_a_cluster_that_was_read_in_the_thirty_days_before_and_is_not_now_is_dark(store: Store) -> None:
    def read(*clusters: str, at: datetime, scope: str = "all") -> int:
        return record_run(store, *(scan(cluster=name) for name in clusters), at=at, scope=scope)

    read("retired", "prod-a", at=ago(days=31))
    read("prod-a", "prod-b", "prod-c", at=ago(days=3))
    read("prod-b", at=ago(days=2))
    read("laptop", at=ago(days=1), scope="--current")
    failed: ClusterScan = scan(cluster="prod-a", status="forbidden", error="log in")
    run = record_run(store, failed, scan(cluster="prod-c"))
    read("prod-b", "prod-d", at=ago(days=-1))
    assert changes(store, run).dark == (
        DarkCluster(cluster="prod-a", last_read_at=ago(days=3), status="forbidden", error="log in"),
        DarkCluster(cluster="prod-b", last_read_at=ago(days=2), status="absent", error=""),
    )


# --- a run of the past ------------------------------------------------------------------------------------------------


def test_what_came_after_a_run_does_not_change_what_changed_in_it(store: Store) -> None:
    record_run(store, scan(cluster="prod-b"), scan(), at=ago(days=20))
    record_days(store, TWO_WEEKS, {"shop": [ago(days=8), ago(days=1), ago(days=2)]})
    with store.reading() as conn:
        run = find_run(conn, "latest").id
    then = changes(store, run)
    assert then.movers
    assert then.dark
    record_days(store, range(7), {"shop": [ago(days=-6)], "new": [ago(days=-5)]}, until=ago(days=-7))
    record_run(store, scan(cluster="prod-b"), at=ago(days=-8))
    assert changes(store, run) == then
