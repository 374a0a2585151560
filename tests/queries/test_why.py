"""What the database knows of one namespace, as facts."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from oomdb.errors import UsageError
from oomdb.model import Gap, Suspect
from oomdb.queries.why import NamespaceFacts, Pause, find_facts, list_clusters_with, require_known
from oomdb.store.database import Store
from tests.reports.recording import record_run
from tests.store.builders import HOSTILE, NOW, ago, begin, change, finding, kill, loop, record, scan

SINCE = ago(days=14)
FORBIDDEN = Gap(namespace="shop", source="pods", status="forbidden", message="User x cannot list pods")


def facts(store: Store, namespace: str = "shop", *, cluster: str = "prod-a", since: datetime = SINCE) -> NamespaceFacts:
    return find_facts(store, cluster, namespace, since=since)


def outcomes(found: NamespaceFacts) -> list[tuple[Any, ...]]:
    return [(it.run_id, it.was_read, it.reason) for it in found.scans]


def test_each_scan_tells_whether_it_read_the_namespace_and_why_not(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=4))
    record(store, scan(status="unreachable", error="refused"), at=ago(hours=3))
    record(store, scan(namespaces_read=["api"], gaps=(FORBIDDEN,), status="partial"), at=ago(hours=2))
    record_run(store, scan(namespaces_read=["api"]), at=ago(hours=1), scope="--namespace api")
    record(store, scan(namespaces_read=["shop"]))
    found = facts(store)
    assert outcomes(found) == [
        (5, True, ""),
        (4, False, ""),
        (3, False, "User x cannot list pods"),
        (2, False, "refused"),
        (1, True, ""),
    ]
    assert [it.reason_status for it in found.scans] == ["", "", "forbidden", "unreachable", ""]
    assert (found.context, found.server) == ("prod-a/admin", "https://api.prod-a.example.com:6443")


def test_scans_after_the_last_read_did_not_read_it_and_the_rule_of_the_newest_is_its_reason(store: Store) -> None:
    record(store, scan(namespaces_read=["test-1"]), at=ago(hours=2))
    record(store, scan(), at=ago(hours=1))
    record(store, scan(skipped={"test-1": "name test-*"}))
    assert outcomes(facts(store, "test-1")) == [(3, False, "name test-*"), (2, False, ""), (1, True, "")]


@pytest.mark.parametrize(
    ("rules", "read_by", "was_read"),
    [
        (["name test-*"], "--include-ephemeral", None),
        (["name test-*"], "--namespace test-1", None),
        (["name *-e2e", "name clusters-<uuid>"], "--namespace test-1", True),
        (["label konflux-ci.dev/namespace-type=eaas"], "--include-ephemeral", None),
        (["label konflux-ci.dev/namespace-type=eaas"], "--namespace test-1", True),
        (["--exclude-ns"], "--namespace test-1", None),
        (["name test-*", "label x=y"], "all", True),
        ([], "--include-ephemeral", True),
    ],
)
def test_a_run_before_the_newest_read_did_read_it_unless_one_of_its_rules_may_have_left_it_out(
    store: Store, rules: list[str], read_by: str, was_read: bool | None
) -> None:
    record(store, scan(namespaces_read=["shop"], skipped_by_rule=dict.fromkeys(rules, 1)), at=ago(hours=2))
    record_run(store, scan(namespaces_read=["test-1"]), at=ago(hours=1), scope=read_by)
    assert outcomes(facts(store, "test-1")) == [(2, True, ""), (1, was_read, "")]


def test_of_runs_that_left_it_out_in_turn_with_ones_that_did_not_only_the_noted_read_counts(store: Store) -> None:
    left_out = scan(skipped={"test-1": "name test-*"}, skipped_by_rule={"name test-*": 1})
    for hours in (5, 4, 3):
        record(store, left_out, at=ago(hours=hours))
    record_run(store, scan(namespaces_read=["test-1"]), at=ago(hours=2), scope="--include-ephemeral")
    record(store, left_out)
    found = facts(store, "test-1")
    assert [(it.run_id, it.was_read) for it in found.scans] == [(5, False), (4, True), (3, None), (2, None), (1, None)]
    assert found.longest_pause is None


def test_once_the_run_that_read_it_last_is_deleted_its_rules_are_not_known(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"], skipped_by_rule={"label x=y": 1}), at=ago(hours=2))
    newest = record(store, scan(namespaces_read=["shop"], skipped_by_rule={"label x=y": 1}))
    change(store, f"DELETE FROM runs WHERE id = {newest}")
    assert outcomes(facts(store)) == [(1, None, "")]


def test_nobody_knows_of_scans_before_namespaces_were_noted_or_that_were_imported(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=5)))), at=ago(hours=4))
    record(store, scan(finding(kill(ago(hours=5))), status="unknown"), at=ago(hours=3))
    found = facts(store)
    assert found.look is None
    assert outcomes(found) == [(2, None, ""), (1, None, "")]
    assert (found.reads, found.longest_pause, found.unreached) == ((), None, None)


def test_the_longest_pause_lies_between_two_reads(store: Store) -> None:
    for hours in (30, 20, 2, 0):
        record(store, scan(namespaces_read=["shop"]), at=ago(hours=hours))
    record(store, scan(status="unreachable"), at=ago(hours=10))
    assert facts(store).longest_pause == Pause(ago(hours=20), ago(hours=2))
    assert facts(store, since=ago(hours=3)).longest_pause == Pause(ago(hours=2), NOW)
    assert facts(store).unreached is None  # each looked back over a day


def test_what_no_run_looked_back_over_is_known(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(days=3))
    record(store, scan(namespaces_read=["shop"]))
    hole = facts(store).unreached
    assert hole == Pause(ago(days=3), ago(days=1))
    assert hole.length == timedelta(days=2)


def test_what_was_forbidden_is_told_by_source_with_the_newest_message(store: Store) -> None:
    everywhere = Gap(namespace="", source="namespaces", status="forbidden", message="cannot list namespaces")
    timeout = Gap(namespace="shop", source="events", status="timeout", message="slow")
    elsewhere = Gap(namespace="api", source="pods", status="forbidden", message="other")
    record(store, scan(gaps=(FORBIDDEN, everywhere), status="partial"), at=ago(hours=2))
    newer = Gap(namespace="shop", source="pods", status="forbidden", message="newer")
    record(store, scan(gaps=(newer, timeout, elsewhere), status="partial"))
    refusals = facts(store).refusals
    assert [(it.source, it.everywhere, it.runs, it.last_run_id, it.message) for it in refusals] == [
        ("namespaces", True, 1, 1, "cannot list namespaces"),
        ("pods", False, 2, 2, "newer"),
    ]


def test_kills_loops_and_suspects_of_the_namespace_alone_come_newest_first(store: Store) -> None:
    suspect = Suspect(
        namespace="shop", pod="db-1", pod_uid="u", container="db", suspect_class="exit-137", at=ago(hours=5)
    )
    found = (
        finding(kill(ago(hours=3))),
        finding(kill(ago(hours=2), container_id="c"), namespace="api", pod_uid="uid-2"),
        finding(loop(ago(minutes=5)), pod="cart-1", pod_uid="uid-3"),
    )
    record(store, scan(*found, suspects=(suspect,)), at=ago(minutes=4))
    record(store, scan(*found, suspects=(suspect,)))
    known = facts(store)
    assert [(it.type, it.pod) for it in known.occurrences] == [
        ("CrashLoopBackOff", "cart-1"),
        ("OOMKilled", "checkout-1"),
    ]
    assert known.counts == {"CrashLoopBackOff": 1, "OOMKilled": 1}
    assert [(it.pod, it.suspect_class, it.last_run_id) for it in known.suspects] == [("db-1", "exit-137", 2)]
    assert [it.findings for it in known.scans] == [2, 2]
    assert facts(store, since=ago(hours=-1)).occurrences == ()


def test_runs_that_go_on_or_were_cut_short_tell_nothing(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), at=ago(hours=1))
    begin(store)
    change(store, "UPDATE runs SET status = 'aborted' WHERE id = 1")
    assert facts(store).scans == ()


def test_a_namespace_is_known_by_a_look_or_by_a_finding(store: Store) -> None:
    record(store, scan(namespaces_read=["shop"]), scan(skipped={"shop": "x"}, cluster="prod-b"))
    record(store, scan(finding(kill(ago(hours=2))), cluster="prod-c", status="unknown"))
    assert list_clusters_with(store, "shop") == ["prod-a", "prod-b", "prod-c"]
    assert list_clusters_with(store, "nowhere") == []


@pytest.mark.parametrize("name", ["a*b", "[shop]", "sh?p", "'; DROP TABLE runs;--", HOSTILE.replace("\x00", "")])
def test_a_name_is_taken_letter_by_letter(store: Store, name: str) -> None:
    record(store, scan(namespaces_read=[name, "shop", "axb"]))
    found = facts(store, name)
    assert found.look is not None
    assert (found.look.namespace, found.look.state) == (name, "read")


@pytest.mark.parametrize(
    ("cluster", "namespace", "words"),
    [
        ("", "shpo", "No run knows a namespace 'shpo'; did you mean 'shop'"),
        ("prod-a", "xyz", "No run knows a namespace 'xyz'; none of the 2 known ones is like it"),
        ("prod-a", "api", "No run knows a namespace 'api' in cluster 'prod-a'; did you mean 'api'"),
        ("prod-x", "shop", "No run knows a cluster 'prod-x'; did you mean 'prod-"),
    ],
)
def test_an_unknown_name_is_told_with_what_is_near_to_it(
    store: Store, cluster: str, namespace: str, words: str
) -> None:
    record(store, scan(namespaces_read=["shop"]), scan(namespaces_read=["api"], cluster="prod-b"))
    with pytest.raises(UsageError) as caught:
        require_known(store, cluster, namespace)
    assert words in str(caught.value)
