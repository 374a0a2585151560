"""`oomdb doctor` as a user and a monitor run it, against simulated clusters over HTTPS."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oomdb.cli.main import run
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.store.schema import REVISION

from .fleet import Fleet

ALL = "may list namespaces, list pods, list events, get pods, get pods/log, get namespaces in the whole cluster"
WITHOUT_LOGS = Permissions(refused=(Rule(resource="pods/log"),))


def args(fleet: Fleet, *more: str) -> list[str]:
    return ["doctor", "--kubeconfig", str(fleet.folder / "kubeconfig"), "--output", str(fleet.output), *more]


def test_all_that_is_well_is_shown_by_subject_with_a_mark(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    run(fleet.args("-q"))
    capsys.readouterr()
    assert run(args(fleet, "--max-age", "6h", "--contexts", "rh02", "--tz", "UTC")) == 0
    shown, told = capsys.readouterr()
    shown = re.sub(r"last read .*", "last read …", re.sub(r"[\d.]+ GiB left", "… left", shown))
    context = "default/api-kflux-prd-rh02-0fk9-p1-openshiftapps-com:6443/someone"
    assert shown == (
        "kubeconfig\n"
        "  ✓ leads to 1 cluster by 1 context\n"
        "kflux-prd-rh02\n"
        f"  ✓ answers as v1.31.6 by context '{context}'\n"
        f"  ✓ {ALL}\n"
        "  ✓ last read …\n"
        "database\n"
        f"  ✓ {fleet.output / 'oomdb.sqlite'} is whole, at revision {REVISION}\n"
        "disk\n"
        f"  ✓ {fleet.output} can be written, … left\n"
        "\n"
        "6 fine, 0 warned of, 0 failed\n"
    )
    assert f"Matched 'rh02' -> '{context}'" in told


def test_a_failure_is_exit_1_with_what_to_do(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.servers["kflux-prd-rh03"].permissions = Permissions(refused=(Rule(resource="pods"),))
    fleet.servers["stone-prod-p01"].stop()
    assert run(args(fleet)) == 1
    shown = capsys.readouterr().out
    assert "\nkflux-prd-rh02\n  ✓ " in shown
    assert (
        "  ✗ may not list pods, neither in the whole cluster nor in any of its 2 namespaces: "
        "kills go unseen, and crash loops too where no event tells of them\n"
        "    → grant the role that `oomdb rbac` prints"
    ) in shown
    assert re.search(r"\nstone-prod-p01\n  ✗ https://127\.0\.0\.1:\d+: connection refused", shown)
    assert shown.endswith("\n\n6 fine, 2 warned of, 2 failed\n")


def test_a_warning_is_exit_0_and_with_strict_3(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    run(fleet.args("-q"))
    assert run(args(fleet, "--strict")) == 0
    for server in fleet.servers.values():
        server.permissions = WITHOUT_LOGS
    capsys.readouterr()
    assert run(args(fleet)) == 0
    assert capsys.readouterr().out.count("  ! may not get pods/log, ") == 3
    assert run(args(fleet, "--strict")) == 3


def test_a_cluster_that_was_not_read_for_too_long_is_exit_1_and_quiet_names_only_what_is_wrong(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    run(fleet.args("-q"))
    later = datetime.now(UTC) + timedelta(hours=19)
    capsys.readouterr()
    assert run(args(fleet, "--max-age", "1d", "-q"), now=later) == 0
    assert capsys.readouterr() == ("", "")
    assert run(args(fleet, "--max-age", "6h", "-q"), now=later) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "kflux-prd-rh02"
    assert re.fullmatch(r"  ✗ last read 20\S+ \S+ \S+ \(19 h ago\)", lines[1])
    assert len(lines) == 9  # three clusters, each with its line and its advice


def test_json_has_the_same_checks_for_scripts(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    run(fleet.args("-q"))
    capsys.readouterr()
    assert run(args(fleet, "--json", "--tz", "Europe/Prague")) == 0
    checks = json.loads(capsys.readouterr().out)
    assert [(it["subject"], it["check"], it["status"]) for it in checks[:3]] == [
        ("kubeconfig", "file", "ok"),
        ("kflux-prd-rh02", "connection", "ok"),
        ("kflux-prd-rh02", "access", "ok"),
    ]
    assert all(set(it) == {"subject", "check", "status", "message", "advice"} for it in checks)
    assert all("UTC" in it["message"] for it in checks if it["check"] == "last read")


def test_no_kubeconfig_and_an_empty_one_fail_and_the_rest_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--kubeconfig", "nowhere"]) == 1
    missing = capsys.readouterr().out
    (tmp_path / "empty").write_text("")
    assert run(["doctor", "--kubeconfig", "empty"]) == 1
    empty = capsys.readouterr().out
    for shown in (missing, empty):
        assert shown.startswith("kubeconfig\n  ✗ ")
        assert "\ndatabase\n  ! output/oomdb.sqlite is not there: no cluster was ever read into it\n" in shown
        assert "\ndisk\n  ✓ " in shown


def test_without_a_kubeconfig_ages_are_judged_of_all_clusters_that_are_known(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    run(fleet.args("-q"))
    sent = [len(server.requests) for server in fleet.servers.values()]
    capsys.readouterr()
    assert run(["doctor", "--no-clusters", "--output", str(fleet.output)]) == 0
    assert capsys.readouterr().out.count("  ✓ last read ") == 3
    later = datetime.now(UTC) + timedelta(hours=7)
    assert run(["doctor", "--no-clusters", "--output", str(fleet.output), "--max-age", "6h"], now=later) == 1
    assert [len(server.requests) for server in fleet.servers.values()] == sent


def test_doctor_writes_nothing_anywhere(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(fleet.folder.rglob("*"))
    assert run(args(fleet)) == 0
    assert sorted(fleet.folder.rglob("*")) == before
    paths = {request.path for server in fleet.servers.values() for request in server.requests}
    assert paths == {"/version", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--no-clusters", "--current"), "--no-clusters excludes --current, --contexts, --kubeconfig and -n."),
        (("--no-clusters", "-n", "a"), "--no-clusters excludes --current, --contexts, --kubeconfig and -n."),
        (("--max-age", "6 hours"), "use a number and a unit"),
        (("--contexts", "nowhere"), "matches no context and no cluster"),
        (("-n", ","), "--namespace names nothing"),
    ],
)
def test_wrong_usage_is_exit_2(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    base = ["doctor"] if "--no-clusters" in options else args(fleet)
    assert run([*base, *options]) == 2
    assert message in capsys.readouterr().err
