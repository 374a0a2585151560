"""Owners as a filter, as a column, and as a dimension of trends."""

from datetime import timedelta

import pytest

from oomdb.queries.filters import FindingFilter
from oomdb.queries.frames import History
from oomdb.queries.known import list_unknown
from oomdb.queries.lists import build_findings_query, build_occurrences_query, stream
from oomdb.queries.owners import count_places, list_places
from oomdb.queries.trends import find_trends
from oomdb.store.database import Store, open_for_reading
from oomdb.store.owners import record_owners
from tests.store.builders import NOW, ago, finding, kill, loop, record, scan

OWNERS = {
    ("prod-a", "shop"): ("@jdoe", "@Zoe", "ops@example.com"),
    ("prod-a", "cart"): ("@jdoe-2",),
    ("prod-a", "none"): (),
    ("prod-b", "shop"): ("@zoe",),
}
NAMESPACES = ("shop", "cart", "none", "unasked")


@pytest.fixture
def history(store: Store) -> Store:
    """Record a run with a kill in each namespace of two clusters, and owners of some."""
    for cluster in ("prod-a", "prod-b"):
        findings = [
            finding(
                kill(ago(hours=number + 1), container_id=f"{cluster}-{name}"), namespace=name, pod_uid=cluster + name
            )
            for number, name in enumerate(NAMESPACES)
        ]
        record(store, scan(*findings, cluster=cluster), at=NOW if cluster == "prod-a" else ago(hours=-1))
    record_owners(store, OWNERS, (), now=NOW)
    return store


def test_all_namespaces_that_ever_had_a_finding_are_listed_once(history: Store) -> None:
    assert list_places(history) == [(cluster, name) for cluster in ("prod-a", "prod-b") for name in sorted(NAMESPACES)]


def places(store: Store, *owners: str) -> list[tuple[str, str]]:
    """Return where the findings are that a filter by owner leaves; occurrences are in the same places."""
    filters = FindingFilter(owners=owners, since=ago(days=9))
    listed = stream(store, build_findings_query(filters, None))
    found = {tuple(row)[2:4] for row in listed.rows}
    occurred = {tuple(row)[1:3] for row in stream(store, build_occurrences_query(store, filters, None)).rows}
    assert found == occurred
    return sorted((str(cluster), str(namespace)) for cluster, namespace in found)


@pytest.mark.parametrize(
    ("owners", "left"),
    [
        (("@jdoe",), [("prod-a", "shop")]),
        (("jdoe",), [("prod-a", "shop")]),
        (("JDOE",), [("prod-a", "shop")]),
        (("zoe",), [("prod-a", "shop"), ("prod-b", "shop")]),
        (("OPS@example.com",), [("prod-a", "shop")]),
        (("@jdoe-2", "ops@example.com"), [("prod-a", "cart"), ("prod-a", "shop")]),
        (("@jdo",), []),
        (("doe",), []),
        (("%",), []),
        (("*",), []),
        (("",), []),
        (("' OR 1=1 --",), []),
    ],
)
def test_the_filter_takes_the_namespaces_of_which_one_of_them_is_an_owner(
    history: Store, owners: tuple[str, ...], left: list[tuple[str, str]]
) -> None:
    assert places(history, *owners) == left


def test_findings_have_a_column_with_the_owners_and_tell_nobody_from_never_asked(history: Store) -> None:
    table = stream(history, build_findings_query(FindingFilter(since=ago(days=9)), None))
    column = table.headers.index("owner")
    owners = {(row[2], row[3]): row[column] for row in table.rows}
    assert owners == {
        ("prod-a", "shop"): "@jdoe @Zoe ops@example.com",
        ("prod-a", "cart"): "@jdoe-2",
        ("prod-a", "none"): "",
        ("prod-a", "unasked"): None,
        ("prod-b", "shop"): "@zoe",
        ("prod-b", "cart"): None,
        ("prod-b", "none"): None,
        ("prod-b", "unasked"): None,
    }


def test_a_frame_of_findings_has_the_column_too(history: Store) -> None:
    with History(open_for_reading(str(history.path))) as notebook:
        frame = notebook.findings(owner="@jdoe", since=ago(days=9))
        assert list(frame.owner) == ["@jdoe @Zoe ops@example.com"]
        assert list(notebook.occurrences(owner=["zoe", "@jdoe-2"]).namespace) == ["shop", "shop", "cart"]


def test_trends_by_owner_count_each_occurrence_once_under_all_its_owners_together(history: Store) -> None:
    filters = FindingFilter(until=NOW)
    with history.reading() as conn:
        trends = find_trends(conn, filters, by=("owner",), window=timedelta(days=7), periods=1)
    counts = {group.names: group.counts[0]["OOMKilled"].occurrences for group in trends.groups}
    assert counts == {("",): 5, ("@jdoe @Zoe ops@example.com",): 1, ("@jdoe-2",): 1, ("@zoe",): 1}


def test_trends_by_owner_and_another_dimension_keep_the_order_that_was_asked_for(history: Store) -> None:
    filters = FindingFilter(until=NOW, owners=("zoe",))
    with history.reading() as conn:
        trends = find_trends(conn, filters, by=("owner", "cluster"), window=timedelta(days=7), periods=1)
    assert trends.by == ("owner", "cluster")
    assert {group.names for group in trends.groups} == {("@jdoe @Zoe ops@example.com", "prod-a"), ("@zoe", "prod-b")}


def test_trends_by_owner_keep_the_highest_restart_count_and_loops(store: Store) -> None:
    record(
        store, scan(finding(loop(ago(minutes=4), restarts=7)), finding(loop(ago(minutes=4), restarts=9), pod_uid="u"))
    )
    record_owners(store, {("prod-a", "shop"): ("@jdoe",)}, (), now=NOW)
    with store.reading() as conn:
        trends = find_trends(conn, FindingFilter(), by=("owner",), window=timedelta(days=7), periods=1)
    (group,) = trends.groups
    assert (group.names, group.counts[0]["CrashLoopBackOff"].occurrences, group.restarts) == (("@jdoe",), 2, 9)


def test_frames_take_owners_as_filter_and_dimension_of_trends(history: Store) -> None:
    with History(open_for_reading(str(history.path))) as notebook:
        frame = notebook.trends(by="owner", owner="jdoe", type="OOMKilled", until=NOW)
        assert list(frame.owner.unique()) == ["@jdoe @Zoe ops@example.com"]


def test_namespaces_whose_owners_nobody_asked_for_are_counted(history: Store) -> None:
    places = count_places(history)
    assert (places.known, places.never_asked) == (8, 4)


def test_an_owner_whom_nobody_knows_is_named_with_those_that_are_spelled_alike(history: Store) -> None:
    with history.reading() as conn:
        (unknown,) = list_unknown(conn, FindingFilter(owners=("jdo", "ZOE")))
    assert (unknown.kind, unknown.value, unknown.known) == ("owner", "jdo", 5)
    assert unknown.near == ("@jdoe", "@jdoe-2")
