"""Trends: what a window counts, which groups come first, and which way an arrow points, if it may point at all."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import NothingReadError, UsageError
from oomdb.model import CRASH_LOOP_BACK_OFF, OOM_KILLED, Finding
from oomdb.queries.filters import FindingFilter
from oomdb.queries.trends import Dimension, Group, Trends, compare, find_trends, parse_dimensions
from oomdb.store.database import Store, open_for_writing
from tests.reports.recording import record_run
from tests.store.builders import HOSTILE, NOW, ago, change, finding, kill, loop, scan

WEEK = timedelta(days=7)
BY: tuple[Dimension, ...] = ("cluster", "namespace")
EVER = timedelta(days=60)


def trends_of(
    store: Store,
    *,
    by: Sequence[Dimension] = BY,
    window: timedelta = WEEK,
    periods: int = 2,
    **filters: Any,
) -> Trends:
    with store.reading() as conn:
        return find_trends(conn, FindingFilter(**filters), by=by, window=window, periods=periods)


def counted(trends: Trends) -> dict[tuple[str, ...], list[list[int | None]]]:
    """Return by the names of each group, in order, the counts of each window by type."""
    return {
        group.names: [[counts[type_].occurrences for type_ in trends.types] for counts in group.counts]
        for group in trends.groups
    }


def arrows(trends: Trends) -> Mapping[tuple[str, ...], str | None]:
    return {group.names: group.trend for group in trends.groups}


def killed(*ats: datetime, pod: str = "checkout-1", **where: Any) -> Finding:
    return finding(*(kill(at, container_id=f"{pod}-{at}") for at in ats), pod=pod, pod_uid=pod, **where)


def days_ago(*days: float) -> list[datetime]:
    return [ago(days=day) for day in days]


def only(trends: Trends) -> Group:
    (group,) = trends.groups
    return group


# --- what a window counts


def test_a_kill_counts_in_one_window_and_belongs_to_the_end_of_the_older_one(store: Store) -> None:
    at_the_ends = (NOW, ago(days=7) + timedelta(seconds=1), ago(days=7), ago(days=14))
    record_run(store, scan(killed(*at_the_ends)), lookback=EVER)
    assert counted(trends_of(store, periods=3)) == {("prod-a", "shop"): [[2, 0], [1, 0], [1, 0]]}


def test_a_loop_counts_in_every_window_that_it_overlaps(store: Store) -> None:
    for day in range(20, -1, -1):
        record_run(store, scan(finding(loop(ago(days=day), restarts=5 + 100 * (20 - day)))), at=ago(days=day))
    assert counted(trends_of(store, periods=4)) == {("prod-a", "shop"): [[0, 1], [0, 1], [0, 1], [None, None]]}


def test_a_kill_that_several_runs_saw_counts_once(store: Store) -> None:
    for hours in (3, 2, 1):
        record_run(store, scan(killed(ago(hours=4))), at=ago(hours=hours), lookback=EVER)
    assert counted(trends_of(store)) == {("prod-a", "shop"): [[1, 0], [0, 0]]}


def test_the_newest_window_ends_with_the_beginning_of_the_latest_run(store: Store) -> None:
    run = record_run(store, scan(killed(ago(days=2))), at=ago(days=1), lookback=EVER)
    record_run(store, scan(killed(ago(hours=1))), scope="--current")
    record_run(store, scan(status="unreachable"))
    trends = trends_of(store)
    assert [(window.since, window.until) for window in trends.windows] == [
        (ago(days=8), ago(days=1)),
        (ago(days=15), ago(days=8)),
    ]
    assert trends.run is not None
    assert trends.run.id == run
    assert counted(trends) == {("prod-a", "shop"): [[1, 0], [0, 0]]}


def test_the_newest_window_ends_where_it_is_told_to_in_whole_seconds(store: Store) -> None:
    record_run(store, scan(killed(*days_ago(1, 9))), lookback=EVER)
    trends = trends_of(store, until=ago(days=7) + timedelta(microseconds=1))
    assert trends.windows[0].until == ago(days=7)
    assert trends.run is None
    assert counted(trends) == {("prod-a", "shop"): [[1, 0], [0, 0]]}


def test_all_types_count_and_those_of_plug_ins_have_their_names(store: Store) -> None:
    record_run(
        store,
        scan(killed(ago(days=1)), killed(ago(days=1), pod="b"), finding(loop(ago(days=1)), pod="c", pod_uid="c")),
        lookback=EVER,
    )
    change(store, "UPDATE occurrences SET type = 'Evicted' WHERE pod = 'b'")
    trends = trends_of(store)
    assert trends.types == (OOM_KILLED, CRASH_LOOP_BACK_OFF, "Evicted")
    assert counted(trends) == {("prod-a", "shop"): [[1, 1, 1], [0, 0, 0]]}


@pytest.mark.parametrize(
    ("asked", "types"),
    [
        (("oomkilled",), (OOM_KILLED,)),
        (("CRASHLOOPBACKOFF", "OOMKilled"), (OOM_KILLED, CRASH_LOOP_BACK_OFF)),
        (("Evicted",), ("Evicted",)),
        (("evicted", "oomkilled"), (OOM_KILLED, "evicted")),
    ],
)
def test_types_that_are_not_asked_for_are_not_told_as_none(
    store: Store, asked: tuple[str, ...], types: tuple[str, ...]
) -> None:
    record_run(store, scan(killed(ago(days=1)), finding(loop(ago(days=1)), pod="c", pod_uid="c")), lookback=EVER)
    assert trends_of(store, types=asked).types == types


# --- groups


def test_groups_are_told_by_every_dimension(store: Store) -> None:
    at = ago(days=1)
    record_run(
        store,
        scan(
            killed(at, pod="a-1", workload="a"),
            killed(at, pod="a-2", workload="a"),
            killed(at, pod="b-1", workload="b"),
        ),
        scan(killed(at, pod="a-3", workload="a", namespace="api"), cluster="prod-b"),
        lookback=EVER,
    )
    change(store, "UPDATE occurrences SET node = 'node-' || cluster, application = 'app-' || workload")
    expected: dict[tuple[Dimension, ...], dict[tuple[str, ...], int]] = {
        ("cluster",): {("prod-a",): 3, ("prod-b",): 1},
        ("workload",): {("a",): 3, ("b",): 1},
        ("namespace", "workload"): {("shop", "a"): 2, ("api", "a"): 1, ("shop", "b"): 1},
        ("pod",): {("a-1",): 1, ("a-2",): 1, ("a-3",): 1, ("b-1",): 1},
        ("node", "cluster"): {("node-prod-a", "prod-a"): 3, ("node-prod-b", "prod-b"): 1},
        ("application",): {("app-a",): 3, ("app-b",): 1},
        ("component",): {("payments",): 4},
    }
    for by, groups in expected.items():
        found = {names: counts[0][0] for names, counts in counted(trends_of(store, by=by)).items()}
        assert list(found.items()) == list(groups.items()), by


def test_groups_come_by_the_newest_window_then_by_name_and_those_that_fell_to_nothing_too(store: Store) -> None:
    record_run(
        store,
        scan(
            killed(*days_ago(8, 9, 10), namespace="fell", pod="f"),
            killed(*days_ago(1, 2), namespace="most", pod="m"),
            killed(*days_ago(1), namespace="b", pod="b"),
            killed(*days_ago(1), namespace="a", pod="a"),
        ),
        lookback=EVER,
    )
    assert [names[1] for names in counted(trends_of(store))] == ["most", "a", "b", "fell"]


def test_of_pods_that_did_the_same_the_one_that_restarted_most_comes_first(store: Store) -> None:
    record_run(
        store,
        scan(
            *(finding(loop(ago(days=1), restarts=n), pod=pod, pod_uid=pod) for pod, n in (("a", 3), ("z", 700))),
            finding(kill(ago(days=1), restart_count=None), pod="0", pod_uid="0"),
        ),
        lookback=EVER,
    )
    trends = trends_of(store, by=("pod",))
    assert [(group.names, group.restarts) for group in trends.groups] == [(("z",), 700), (("a",), 3), (("0",), None)]


def test_filters_narrow_what_counts(store: Store) -> None:
    at = ago(days=1)
    record_run(
        store,
        scan(killed(at, pod="checkout-1"), killed(at, pod="cart-1", workload="cart", namespace="api")),
        scan(killed(at, pod="checkout-9"), cluster="prod-b"),
        lookback=EVER,
    )

    def pods(**filters: Any) -> set[str]:
        return {names[0] for names in counted(trends_of(store, by=("pod",), **filters))}

    assert pods(clusters=("*-b",)) == {"checkout-9"}
    assert pods(namespaces=("a*",)) == {"cart-1"}
    assert pods(pod="-1") == {"checkout-1", "cart-1"}
    assert pods(workloads=("cart", "nothing")) == {"cart-1"}
    assert pods(applications=("store",), components=("payments",)) == {"checkout-1", "checkout-9", "cart-1"}
    assert pods(types=(CRASH_LOOP_BACK_OFF,)) == set()


def test_names_are_taken_as_they_are(store: Store) -> None:
    name = HOSTILE.replace("\x00", "")
    record_run(store, scan(killed(ago(days=1), namespace=name, workload=name), cluster=name), lookback=EVER)
    assert counted(trends_of(store, by=("cluster", "namespace", "workload"))) == {(name,) * 3: [[1, 0], [0, 0]]}


# --- nothing, or wrong


def test_without_any_run_the_message_says_what_to_do(store: Store) -> None:
    with pytest.raises(NothingReadError, match="No run has read a cluster yet: run `oomdb collect`"):
        trends_of(store)


def test_windows_before_the_first_run_hold_nothing_and_no_cluster(store: Store) -> None:
    record_run(store, scan(killed(ago(hours=1))))
    trends = trends_of(store, until=ago(days=30))
    assert (trends.groups, trends.clusters) == ((), {})


@pytest.mark.parametrize("periods", [0, -1, 61, 10**9])
def test_the_number_of_windows_is_bounded(store: Store, periods: int) -> None:
    with pytest.raises(UsageError, match=f"{periods} windows cannot be compared: ask for 1 to 60"):
        trends_of(store, periods=periods, until=NOW)


@pytest.mark.parametrize("window", [timedelta(), -WEEK, timedelta(seconds=1.5), timedelta(milliseconds=1)])
def test_a_window_is_of_whole_seconds(store: Store, window: timedelta) -> None:
    with pytest.raises(UsageError, match="ask for whole seconds, at least one"):
        trends_of(store, window=window, until=NOW)


@pytest.mark.parametrize("window", [timedelta(days=36525), timedelta.max // 10**6 * 10**6])
def test_windows_that_begin_before_the_calendar_are_refused(store: Store, window: timedelta) -> None:
    with pytest.raises(UsageError, match="begin before the calendar does"):
        trends_of(store, window=window, periods=60, until=NOW)


def test_a_window_may_be_longer_than_the_history(store: Store) -> None:
    record_run(store, scan(killed(ago(hours=1))))
    trends = trends_of(store, window=timedelta(days=36525), periods=2)
    assert counted(trends) == {("prod-a", "shop"): [[1, 0], [None, None]]}
    assert [it.state for it in only(trends).coverage] == ["missing", "missing"]


def test_dimensions_are_parted_by_commas_or_given_one_by_one() -> None:
    assert parse_dimensions(["node, cluster", "pod", "cluster"]) == ("node", "cluster", "pod")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["clutser"], "Trends are not told by 'clutser'; did you mean 'cluster'?"),
        (["pod", "flavour"], "Trends are not told by 'flavour'; known: application, cluster,"),
        (["\x1b[31m"], r"'\\x1b\[31m'"),
        ([" , "], "Say by what to tell trends; known: cluster, namespace,"),
        ([], "Say by what"),
    ],
)
def test_an_unknown_dimension_is_wrong_usage(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_dimensions(texts)


# --- arrows


@pytest.mark.parametrize(
    ("newest", "before", "arrow"),
    [
        (0, 0, "→"),
        (1, 0, "↑"),
        (2, 0, "↑"),
        (3, 0, "↑↑"),
        (2, 1, "↑"),
        (4, 2, "↑"),
        (4, 1, "↑↑"),
        (6, 3, "↑↑"),
        (5, 3, "↑"),
        (4, 4, "→"),
        (5, 4, "↑"),
        (6, 5, "→"),
        (124, 100, "→"),
        (125, 100, "↑"),
        (199, 100, "↑"),
        (200, 100, "↑↑"),
    ],
)
def test_an_arrow_goes_by_a_quarter_and_by_twice(newest: int, before: int, arrow: str) -> None:
    assert compare(newest, before) == arrow
    turned = {"→": "→", "↑": "↓", "↑↑": "↓"}
    assert compare(before, newest) == turned[arrow]


def look(store: Store, *days: float, cluster: str = "prod-a") -> None:
    """Record a run of each day, which looked back over a day."""
    for day in sorted(days, reverse=True):
        record_run(store, scan(cluster=cluster), at=ago(days=day), lookback=timedelta(days=1))


def history(store: Store, *, newest: int, before: int, cluster: str = "prod-a") -> None:
    """Record so many kills in this week and in the one before, by a run that looked back over a second."""
    ats = [ago(hours=hour + 1) for hour in range(newest)] + [ago(days=7, hours=hour + 1) for hour in range(before)]
    record_run(store, scan(killed(*ats, pod=cluster), cluster=cluster), lookback=timedelta(seconds=1))


THIS_WEEK, WEEK_BEFORE = range(7), range(7, 14)


def test_looked_at_all_the_time_a_fall_is_a_fall(store: Store) -> None:
    look(store, *THIS_WEEK, *WEEK_BEFORE)
    history(store, newest=1, before=9)
    assert only(trends_of(store)).trend == "↓"


@pytest.mark.parametrize(("newest", "before", "arrow"), [(1, 9, "?"), (5, 5, "?"), (9, 1, "↑↑")])
def test_where_the_newest_window_was_looked_at_less_nothing_is_drawn_but_a_rise(
    store: Store, newest: int, before: int, arrow: str
) -> None:
    look(store, 0, 1, 2, 4, 5, 6, *WEEK_BEFORE)
    history(store, newest=newest, before=before)
    assert only(trends_of(store)).trend == arrow


@pytest.mark.parametrize(("newest", "before", "arrow"), [(1, 9, "↓"), (5, 5, "?"), (9, 1, "?")])
def test_where_the_window_before_was_looked_at_less_nothing_is_drawn_but_a_fall(
    store: Store, newest: int, before: int, arrow: str
) -> None:
    look(store, *THIS_WEEK, 8, 9, 10)
    history(store, newest=newest, before=before)
    assert only(trends_of(store)).trend == arrow


def test_where_partial_reads_stand_for_complete_ones_a_fall_is_not_drawn(store: Store) -> None:
    look(store, *WEEK_BEFORE)
    history(store, newest=1, before=9)
    record_run(store, scan(status="partial"), lookback=WEEK)
    group = only(trends_of(store))
    assert ([it.state for it in group.coverage], group.trend) == (["partly", "complete"], "?")


def test_windows_that_were_looked_at_alike_are_compared_though_something_is_missing(store: Store) -> None:
    look(store, *range(6), *range(7, 13))
    history(store, newest=1, before=9)
    assert only(trends_of(store)).trend == "↓"


@pytest.mark.parametrize(("newest", "before"), [(1, 9), (5, 5), (9, 1)])
def test_where_nobody_looked_at_the_cluster_in_either_window_nothing_is_drawn(
    store: Store, newest: int, before: int
) -> None:
    look(store, *range(14), cluster="other")
    history(store, newest=newest, before=before)
    change(store, "UPDATE run_clusters SET status = 'unknown' WHERE cluster = 'prod-a'")
    assert arrows(trends_of(store)) == {("prod-a", "shop"): "?"}


def test_a_single_window_has_no_trend(store: Store) -> None:
    record_run(store, scan(killed(ago(days=1))), lookback=EVER)
    assert only(trends_of(store, periods=1)).trend is None


# --- coverage of groups


def test_a_group_of_a_cluster_has_its_coverage_and_others_that_of_the_cluster_looked_at_least(store: Store) -> None:
    look(store, *range(14))
    look(store, *range(4, 14), cluster="prod-b")
    history(store, newest=1, before=9)
    history(store, newest=2, before=9, cluster="prod-b")
    assert arrows(trends_of(store)) == {("prod-b", "shop"): "?", ("prod-a", "shop"): "↓"}
    trends = trends_of(store, by=("workload",))
    assert [it.covered for it in only(trends).coverage] == [timedelta(days=3, seconds=1), WEEK]
    assert only(trends).trend == "?"
    assert arrows(trends_of(store, by=("workload",), clusters=("prod-a",))) == {("checkout",): "↓"}


def test_clusters_that_miss_different_windows_draw_neither_rise_nor_fall(store: Store) -> None:
    look(store, *range(7, 14))
    look(store, *range(7), cluster="prod-b")
    history(store, newest=9, before=1)
    assert arrows(trends_of(store, by=("workload",))) == {("checkout",): "?"}


def test_a_cluster_that_is_down_in_both_windows_hides_no_trend_of_the_others(store: Store) -> None:
    look(store, *range(14))
    history(store, newest=1, before=9)
    record_run(store, scan(cluster="gone", status="unreachable"))
    trends = trends_of(store, by=("workload",))
    assert only(trends).trend == "↓"
    assert [it.state for it in only(trends).coverage] == ["missing", "missing"]
    assert set(trends.clusters) == {"prod-a", "gone"}


def test_a_count_is_empty_where_nobody_looked_and_nought_where_somebody_did(store: Store) -> None:
    look(store, *THIS_WEEK, 10)
    history(store, newest=1, before=0)
    counts = counted(trends_of(store, periods=3))
    assert counts == {("prod-a", "shop"): [[1, 0], [0, 0], [None, None]]}


def test_what_was_seen_counts_though_nobody_knows_what_was_looked_at(store: Store) -> None:
    history(store, newest=2, before=3)
    change(store, "DELETE FROM run_clusters")
    trends = trends_of(store, until=NOW)
    assert counted(trends) == {("prod-a", "shop"): [[2, None], [3, None]]}
    assert [it.state for it in trends.clusters["prod-a"]] == ["missing", "missing"]


# --- how much it reads


def test_weeks_cost_the_same_however_long_the_history(tmp_path: Path) -> None:
    short, long = (_steps(tmp_path / f"{days}.sqlite", days) for days in (15, 150))
    assert long <= 1.25 * short


def _steps(path: Path, days: int) -> int:
    """Return how many instructions SQLite's machine takes, on a history of so many days."""
    ticks: list[None] = []
    with open_for_writing(str(path)) as store:
        for day in range(days, -1, -1):
            at = ago(days=day)
            kills = [killed(at - timedelta(hours=n + 1), pod=f"p-{n}-{day}") for n in range(4)]
            record_run(store, scan(*kills, finding(loop(at), pod=f"l-{day}", pod_uid=f"l-{day}")), at=at)
        with store.reading() as conn:
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_progress_handler(lambda: ticks.append(None), 1)
            find_trends(conn, FindingFilter(clusters=("prod-a",)), by=BY, window=WEEK, periods=2)
            driver.set_progress_handler(None, 0)
    return len(ticks)
