"""Pods that are known as those of another cluster."""

from oomdb.queries.other_clusters import count_pods_of_other_clusters
from oomdb.store.database import Store
from tests.store.builders import ago, finding, kill, loop, record, scan


def test_pods_are_counted_once_by_the_cluster_as_whose_they_are_known(store: Store) -> None:
    both = (finding(kill(ago(hours=3)), container="app"), finding(loop(ago(hours=2)), container="sidecar"))
    other = finding(kill(ago(hours=3)), pod="cart-1", pod_uid="uid-2")
    record(store, scan(*both, cluster="prod-a"))
    record(store, scan(other, cluster="prod-c"))
    new = finding(kill(ago(hours=3)), pod="new-1", pod_uid="uid-3")
    with store.reading() as conn:
        assert count_pods_of_other_clusters(conn, "prod-b", [*both, other, new]) == {"prod-a": 1, "prod-c": 1}
        assert count_pods_of_other_clusters(conn, "prod-a", [*both, new]) == {}


def test_pods_that_have_no_more_in_common_than_their_names_are_others(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=3))), cluster="prod-a"))
    namesake = finding(kill(ago(hours=3)), pod_uid="uid-2")
    nameless = finding(kill(ago(hours=3)), pod_uid="")
    with store.reading() as conn:
        assert count_pods_of_other_clusters(conn, "prod-b", [namesake, nameless]) == {}
