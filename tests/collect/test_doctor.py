"""What is told of clusters before a scan: connections, credentials, clocks, permissions."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from oomdb.collect.access import NEEDS
from oomdb.collect.doctor import DoctorRequest, check_clusters
from oomdb.kube.clusters import ClusterTarget, plan_clusters
from oomdb.kube.kubeconfig import load_kubeconfig
from oomdb.model import Check
from oomdb.simulator import objects
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.faults import Fault, Faults, Refuse, html_page
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import RunningServer, serve

AUTHORITY = Authority()
REVIEWS = "selfsubjectaccessreviews"


def entry(server: RunningServer, context: str = "prod", *, token: str = "token", namespace: str = "") -> ContextEntry:
    pem = server.authority_pem
    return ContextEntry(context=context, server=server.url, authority_pem=pem, token=token, namespace=namespace)


def load_targets(folder: Path, *entries: ContextEntry) -> tuple[ClusterTarget, ...]:
    path = write_kubeconfig(folder / "kubeconfig", entries)
    return plan_clusters(load_kubeconfig(path=str(path), environ={}, home=folder), names={})


def look(targets: tuple[ClusterTarget, ...], *names: str) -> list[Check]:
    return check_clusters(targets, DoctorRequest(names=names, batch=4, timeout_seconds=5, retries=0))


def told(checks: list[Check], name: str = "access") -> list[tuple[str, str]]:
    return [(check.status, check.message) for check in checks if check.name == name]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with serve(SimulatedCluster(), authority=AUTHORITY) as running:
        yield running


def test_a_cluster_that_is_well_has_a_connection_and_all_permissions(server: RunningServer, tmp_path: Path) -> None:
    assert look(load_targets(tmp_path, entry(server))) == [
        Check(subject="prod", name="connection", status="ok", message="answers as v1.31.6 by context 'prod'"),
        Check(
            subject="prod",
            name="access",
            status="ok",
            message="may list namespaces, list pods, list events, get pods, get pods/log, get namespaces in "
            "the whole cluster",
        ),
    ]
    assert {request.method for request in server.requests} == {"GET", "POST"}
    assert len(server.requests) == 7


@pytest.mark.parametrize(
    ("verb", "resource", "status"),
    [
        ("list", "pods", "failed"),
        ("list", "events", "failed"),
        ("get", "pods", "warning"),
        ("get", "pods/log", "warning"),
    ],
)
def test_what_is_forbidden_everywhere_fails_where_kills_would_go_unseen(
    server: RunningServer, tmp_path: Path, verb: str, resource: str, status: str
) -> None:
    server.permissions = Permissions(refused=(Rule(verb=verb, resource=resource),))
    allowed, refused = told(look(load_targets(tmp_path, entry(server, namespace="shop"))))
    others = [need.text for need in NEEDS if need.text != f"{verb} {resource}"]
    assert allowed == ("ok", f"may {', '.join(others)} in the whole cluster")
    assert refused[0] == status
    assert refused[1].startswith(f"may not {verb} {resource}, neither in the whole cluster nor in 'shop': ")


def test_what_is_forbidden_in_the_whole_cluster_alone_is_asked_of_the_contexts_own_namespace(
    server: RunningServer, tmp_path: Path
) -> None:
    server.permissions = Permissions(refused=(Rule(verb="list", namespace=None),))
    allowed, *warned = told(look(load_targets(tmp_path, entry(server, namespace="shop"))))
    assert allowed == ("ok", "may get pods, get pods/log, get namespaces in the whole cluster")
    assert [(status, message.partition(":")[0]) for status, message in warned] == [
        ("warning", "may not list namespaces"),
        ("warning", "may not list pods in the whole cluster, but in 'shop'"),
        ("warning", "may not list events in the whole cluster, but in 'shop'"),
    ]


OF_THE_WHOLE_CLUSTER_OR_DEFAULT = Permissions(
    refused=(
        Rule(verb="list", resource="namespaces", namespace=None),
        *(Rule(resource=resource, namespace=None) for resource in ("pods", "pods/log", "events")),
        *(Rule(resource=resource, namespace="default") for resource in ("pods", "pods/log", "events")),
    )
)


def places(*names: str) -> SimulatedCluster:
    return SimulatedCluster([objects.namespace(name) for name in names])


def test_where_namespaces_may_not_be_listed_the_projects_are_asked_for_as_a_collect_would(
    tmp_path: Path,
) -> None:
    refused = OF_THE_WHOLE_CLUSTER_OR_DEFAULT
    with serve(places("a-tenant", "b-tenant"), authority=AUTHORITY, permissions=refused) as server:
        checks = look(load_targets(tmp_path, entry(server)))
    assert {check.status for check in checks} == {"ok", "warning"}
    assert [message.partition(":")[0] for _, message in told(checks)[1:4]] == [
        "may not list namespaces",
        "may not list pods in the whole cluster, but in 'a-tenant', 'b-tenant'",
        "may not list events in the whole cluster, but in 'a-tenant', 'b-tenant'",
    ]
    assert "the projects that may be read are looked at instead, 'a-tenant', 'b-tenant'" in told(checks)[1][1]


def test_where_namespaces_may_be_listed_and_pods_only_in_some_those_are_named(tmp_path: Path) -> None:
    refused = Permissions(refused=OF_THE_WHOLE_CLUSTER_OR_DEFAULT.refused[1:])
    with serve(places("default", "shop"), authority=AUTHORITY, permissions=refused) as server:
        _, (status, message), *_ = told(look(load_targets(tmp_path, entry(server))))
    assert status == "warning"
    assert message.startswith("may not list pods in the whole cluster, but in 'shop': elsewhere, where it is forbidden")


def test_the_contexts_own_namespace_is_asked_for_before_all_others(tmp_path: Path) -> None:
    names = [f"n-{number:02}" for number in range(12)]
    rules = [Rule(verb="list", resource="pods", namespace=name) for name in (None, *names[:-1])]
    with serve(places(*names), authority=AUTHORITY, permissions=Permissions(refused=tuple(rules))) as server:
        _, (status, message) = told(look(load_targets(tmp_path, entry(server, namespace="n-11"))))
    assert (status, message.partition(":")[0]) == ("warning", "may not list pods in the whole cluster, but in 'n-11'")


def test_of_many_namespaces_some_are_asked_for_and_the_rest_is_not_known(tmp_path: Path) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="pods"),))
    names = [f"n-{number:02}" for number in range(12)]
    with serve(places(*names), authority=AUTHORITY, permissions=refused) as server:
        _, (status, message) = told(look(load_targets(tmp_path, entry(server, namespace="n-11"))))
        asked = sum(REVIEWS in request.path for request in server.requests)
    assert (status, asked) == ("warning", 6 + 10)
    assert message.startswith(
        "may not list pods, neither in the whole cluster nor in 10 of its 12 namespaces: kills go"
    )


def test_named_namespaces_are_asked_for_one_by_one_and_nothing_of_the_whole_cluster(
    server: RunningServer, tmp_path: Path
) -> None:
    server.permissions = Permissions(refused=(Rule(namespace=None), Rule(resource="pods", namespace="bank")))
    allowed, pods, get_pods = told(look(load_targets(tmp_path, entry(server)), "shop", "bank"))
    assert allowed == ("ok", "may list events, get pods/log, get namespaces in 'shop', 'bank'")
    assert pods[0] == "failed"
    assert pods[1].startswith("may not list pods in 'bank': there kills go unseen")
    assert get_pods == ("warning", "may not get pods in 'bank': there neither descriptions nor logs are saved")


def test_an_expired_token_is_told_as_such_and_no_permission_is_asked_for(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY, tokens={"new": "ann"}) as server:
        (check,) = look(load_targets(tmp_path, entry(server, token="old")))
    assert (check.name, check.status) == ("connection", "failed")
    assert "the credentials of context 'prod' are not accepted (401: Unauthorized)" in check.message
    assert "old" not in check.message


def test_credentials_that_are_missing_show_when_permissions_are_asked_for(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY, anonymous=True) as server:
        connected, refused = look(load_targets(tmp_path, entry(server, token="")))
    assert connected.status == "ok"  # the version may be read by anybody
    assert (refused.status, "it calls us anonymous" in refused.message) == ("failed", True)


def test_one_cluster_that_is_down_does_not_hide_the_others_and_their_order_is_the_kubeconfigs(
    server: RunningServer, tmp_path: Path
) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY) as other:
        targets = load_targets(tmp_path, entry(other, "down"), entry(server, "up"))
    checks = look(targets)
    assert [(check.subject, check.status) for check in checks] == [("down", "failed"), ("up", "ok"), ("up", "ok")]
    assert "connection refused" in checks[0].message


@pytest.mark.parametrize(
    ("offset_seconds", "expected"),
    [
        (3600 + 95, r"its clock is 1:01:3\d \(h:mm:ss\) ahead of this machine's"),
        (-3600 - 95, r"its clock is 1:01:3\d \(h:mm:ss\) behind this machine's"),
    ],
)
def test_a_clock_that_differs_by_more_than_a_minute_is_warned_of(
    tmp_path: Path, offset_seconds: float, expected: str
) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY, clock_offset_seconds=offset_seconds) as server:
        ((status, message),) = told(look(load_targets(tmp_path, entry(server))), "clock")
    assert status == "warning"
    assert re.fullmatch(expected, message)


def test_a_clock_that_differs_by_less_is_no_matter(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY, clock_offset_seconds=40) as server:
        assert told(look(load_targets(tmp_path, entry(server))), "clock") == []


@pytest.mark.parametrize("action", [Refuse(403), Refuse(404)])
def test_a_server_that_answers_no_reviews_is_not_taken_for_one_that_forbids(tmp_path: Path, action: Refuse) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY, faults=Faults(Fault(match=REVIEWS, action=action))) as server:
        ((status, message),) = told(look(load_targets(tmp_path, entry(server))))
    assert status == "warning"
    assert message.startswith("permissions cannot be asked for (")


def test_a_login_page_in_between_fails(tmp_path: Path) -> None:
    with serve(SimulatedCluster(), authority=AUTHORITY, faults=Faults(Fault(match="", action=html_page()))) as server:
        (check,) = look(load_targets(tmp_path, entry(server)))
    assert (check.name, check.status) == ("connection", "failed")
    assert "is a proxy or a login page in between?" in check.message


def test_a_context_that_cannot_be_used_is_warned_of_where_another_one_leads_there(
    server: RunningServer, tmp_path: Path
) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", [entry(server, "prod-bad"), entry(server, "prod-good")])
    text = path.read_text().replace("token: token", "tokenFile: [1]", 1)
    path.write_text(text)
    targets = plan_clusters(load_kubeconfig(path=str(path), environ={}, home=tmp_path), names={})
    checks = look(targets)
    assert [(check.name, check.status) for check in checks] == [
        ("context", "warning"),
        ("connection", "ok"),
        ("access", "ok"),
    ]
    assert "prod-bad" in checks[0].message
    assert "by context 'prod-good'" in checks[1].message


def test_a_context_that_trusts_anybody_is_warned_of(server: RunningServer, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", [entry(server)])
    lines = [
        "    insecure-skip-tls-verify: true" if "certificate-authority-data" in line else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    checks = look(plan_clusters(load_kubeconfig(path=str(path), environ={}, home=tmp_path), names={}))
    assert (checks[0].name, checks[0].status) == ("context", "warning")
    assert "insecure-skip-tls-verify is set" in checks[0].message


def test_more_clusters_than_are_asked_at_a_time_are_all_asked(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(serve(SimulatedCluster(), authority=AUTHORITY)) for _ in range(6)]
        targets = load_targets(tmp_path, *(entry(it, f"c{number}") for number, it in enumerate(servers)))
        request = DoctorRequest(names=(), batch=2, timeout_seconds=5, retries=0)
        checks = check_clusters(targets, request)
    assert [check.subject for check in checks if check.name == "access"] == [f"c{number}" for number in range(6)]
