"""`oomdb why` and `oomdb coverage --namespaces` as a user runs them, on the story of a small fleet."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oomdb.cli.main import run
from oomdb.simulator import objects
from oomdb.simulator.certificates import Authority
from oomdb.simulator.cluster import SimulatedCluster
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from oomdb.simulator.permissions import Permissions, Rule
from oomdb.simulator.server import RunningServer, serve

KEPT = Path(__file__).parent.parent / "data" / "databases" / "0001.sqlite"
HOUR = timedelta(hours=1)
# pods of the whole cluster are forbidden, so that they are read namespace by namespace, and those of one are not
REFUSED = Permissions(
    refused=(
        Rule(verb="list", resource="pods", namespace=None),
        Rule(verb="list", resource="pods", namespace="vault-tenant"),
    )
)

Ask = Callable[..., tuple[int, str, str]]


@dataclass
class Story:
    """Two clusters: `east`, where something is forbidden, and `west`; and the commands that speak of them."""

    folder: Path
    servers: dict[str, RunningServer]
    clusters: dict[str, SimulatedCluster]
    capture: pytest.CaptureFixture[str]

    def ask(self, *args: str, now: datetime | None = None) -> tuple[int, str, str]:
        """Run a command line and return its exit code, stdout and stderr."""
        code = run([*args, "--output", str(self.folder / "output"), "--tz", "UTC"], now=now)
        shown = self.capture.readouterr()
        return code, shown.out, shown.err

    def collect(self, *args: str) -> None:
        asked = ("collect", "--kubeconfig", self.kubeconfig, "--retries", "0", "--timeout", "2", "--no-artifacts", "-q")
        code, _, told = self.ask(*asked, *args)
        assert code == 0, told

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    def why(self, place: str, *args: str, now: datetime | None = None) -> dict[str, Any]:
        """Return what is said of the one cluster that has the namespace."""
        code, shown, told = self.ask("why", place, "--json", *args, now=now)
        assert code == 0, told
        (said,) = json.loads(shown)["clusters"]
        assert isinstance(said, dict)
        return said

    def live(self, place: str) -> dict[str, Any]:
        return self.why(place, "--live", "--kubeconfig", self.kubeconfig, "--retries", "0", "--timeout", "2")


@pytest.fixture
def story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Story]:
    names = ("shop-tenant", "vault-tenant", "test-x")
    killed_at = datetime.now(UTC) - 2 * HOUR
    killed = {
        name: objects.pod(f"{name}-1", namespace=name, containers=[objects.oom_killed(at=killed_at)]) for name in names
    }
    clusters = {
        "east": SimulatedCluster([objects.namespace(name) for name in names], killed.values()),
        "west": SimulatedCluster([objects.namespace("shop-tenant"), objects.namespace("west-tenant")]),
    }
    authority = Authority()
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(serve(it, authority=authority, permissions=REFUSED if name == "east" else None))
            for name, it in clusters.items()
        }
        entries = [
            ContextEntry(context=name, server=it.url, authority_pem=authority.pem, token="token")
            for name, it in servers.items()
        ]
        write_kubeconfig(tmp_path / "kubeconfig", entries)
        told = Story(tmp_path, servers, clusters, capsys)
        told.collect()
        yield told


def missed(said: dict[str, Any]) -> str:
    return "\n".join(f"{it['what']} → {it['do']}" for it in said["missed"])


# --- what the database knows ----------------------------------------------------------------------------------------


def test_a_namespace_that_was_read_is_shown_with_what_was_found_in_it(story: Story) -> None:
    said = story.why("east/shop-tenant")
    assert (said["state"], said["read_run"], said["reads"]) == ("read", 1, 1)
    assert [(it["type"], it["pod"]) for it in said["occurrences"]] == [("OOMKilled", "shop-tenant-1")]
    assert "Nothing of what is stored: 1 OOMKilled" in missed(said)
    assert "oomdb occurrences --cluster east -n shop-tenant --since 14d" in missed(said)


def test_a_forbidden_namespace_says_so_and_which_role_is_missing(story: Story) -> None:
    said = story.why("vault-tenant")
    assert (said["state"], said["read_at"]) == ("failed", None)
    assert "forbidden" in said["reason"]
    assert [(it["source"], it["everywhere"]) for it in said["refusals"]] == [("pods", False)]
    assert "no run has ever read it. → oomdb rbac --namespaced -n vault-tenant" in missed(said)


def test_an_ephemeral_namespace_says_the_rule_and_how_to_read_it_all_the_same(story: Story) -> None:
    said = story.why("test-x")
    assert (said["state"], said["reason"], said["rule_by_name"]) == ("skipped", "name test-*", "name test-*")
    assert "left it out by the rule 'name test-*'" in missed(said)
    assert "→ oomdb collect --contexts east -n test-x" in missed(said)
    story.collect("--contexts", "east", "-n", "test-x")  # what it said
    said = story.why("test-x")
    assert (said["state"], said["read_run"]) == ("read", 2)
    assert "By the settings as they are now, a collect of all namespaces leaves it out: 'name test-*'" in missed(said)


def test_a_filtered_namespace_says_the_filter_and_the_runs_that_had_it(story: Story) -> None:
    story.collect("--contexts", "west", "--exclude-ns", "^west-")
    said = story.why("west-tenant")
    assert (said["state"], said["reason"], said["read_run"]) == ("skipped", "--exclude-ns", 1)
    assert [(it["scope"], it["was_read"]) for it in said["scans"]] == [
        ("--contexts west --exclude-ns ^west-", False),
        ("all", True),
    ]
    assert "1 of 2 runs had another scope" not in missed(said)  # the rule says it already
    assert "it was read last on 20" in missed(said)
    assert "→ oomdb collect --contexts west -n west-tenant, without --exclude-ns (also in the settings)" in missed(said)


def test_a_cluster_that_could_not_be_reached_makes_its_namespaces_failed(story: Story) -> None:
    story.servers["west"].stop()
    story.collect()
    said = story.why("west-tenant")
    assert (said["state"], said["read_run"]) == ("failed", 1)
    assert "connection refused" in said["reason"]
    assert "Run 2 of 20" in missed(said)
    assert "→ oomdb doctor" in missed(said)


def test_a_later_look_at_another_namespace_is_not_blamed(story: Story) -> None:
    story.collect("--contexts", "east", "-n", "shop-tenant")
    for place in ("east/vault-tenant", "east/test-x"):
        said = story.why(place)
        assert [it["run"] for it in said["scans"]] == [2, 1]
        assert "Run 1 of 20" in missed(said)
        assert "Run 2 of 20" not in missed(said)
    assert "no run has ever read it. → oomdb rbac --namespaced -n vault-tenant" in missed(story.why("vault-tenant"))


def test_a_quiet_namespace_of_a_cluster_that_tells_no_names_is_not_called_deleted(story: Story) -> None:
    refused = Permissions(refused=(Rule(verb="list", resource="namespaces"), Rule(verb="list", resource="projects")))
    story.servers["west"].permissions = refused
    story.clusters["west"].replace(pods=[objects.pod("web-1", namespace="west-tenant")])
    story.collect("--contexts", "west")
    story.clusters["west"].replace(pods=[])
    story.collect("--contexts", "west")
    said = story.why("west/west-tenant")
    assert (said["state"], said["read_run"], said["last_run"]) == ("read", 3, 2)
    assert "it was deleted" not in missed(said)
    _, shown, _ = story.ask("why", "west/west-tenant")
    assert "  read by run 3 on 20" in shown


def test_a_deleted_namespace_is_not_seen_any_more(story: Story) -> None:
    story.clusters["west"].replace(namespaces=[objects.namespace("shop-tenant")])
    story.collect()
    said = story.why("west-tenant")
    assert (said["state"], said["last_run"]) == ("unseen", 1)
    assert "it was deleted, or renamed" in missed(said)
    assert "→ oomdb why west/west-tenant --live" in missed(said)


def test_two_clusters_that_have_the_namespace_are_shown_one_after_the_other(story: Story) -> None:
    code, shown, _ = story.ask("why", "shop-tenant")
    titles = [line for line in shown.splitlines() if line.startswith("shop-tenant in ")]
    assert (code, titles) == (0, ["shop-tenant in east", "shop-tenant in west"])
    code, shown, _ = story.ask("why", "west/shop-tenant")
    assert "shop-tenant in west" in shown
    assert "shop-tenant in east" not in shown


def test_every_section_is_there_and_the_verdict_comes_last(story: Story) -> None:
    _, shown, _ = story.ask("why", "east/vault-tenant")
    titles = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    assert [title.split(" since")[0] for title in titles] == [
        "vault-tenant in east",
        "Cluster",
        "Latest look",
        "Rules as they are now",
        "Permissions",
        "Runs",
        "Last scans",
        "Found in it",
        "What could have been missed, and why",
    ]
    assert "  never read by any run\n" in shown
    assert "  its labels are not known here: a rule about them may leave it out; --live reads them\n" in shown


def test_a_last_read_beyond_the_time_range_is_a_reason_of_its_own(story: Story) -> None:
    said = story.why("west/shop-tenant", now=datetime.now(UTC) + timedelta(days=3))
    assert "3 d ago: a run that looks back 1d does not reach that far" in missed(said)
    assert "→ oomdb collect --contexts west --time-range auto" in missed(said)


def test_no_scan_since_then_is_said(story: Story) -> None:
    said = story.why("west/shop-tenant", "--since", "1s", now=datetime.now(UTC) + HOUR)
    assert (said["scans"], said["state"]) == ([], "read")


def test_rules_of_the_settings_are_those_of_a_collect(story: Story) -> None:
    (story.folder / "oomdb.toml").write_text('[collect]\nexclude-ns = ["^shop-"]\n[ephemeral]\nname-patterns = ["x"]\n')
    assert story.why("west/shop-tenant")["rule_by_name"] == "--exclude-ns"
    assert story.why("test-x")["rule_by_name"] is None


# --- with --live ----------------------------------------------------------------------------------------------------


def test_live_tells_what_shows_now_and_is_not_stored(story: Story) -> None:
    killed_at = datetime.now(UTC) - HOUR
    pod = objects.pod("new-1", namespace="west-tenant", containers=[objects.oom_killed(at=killed_at)])
    story.clusters["west"].replace(pods=[pod])
    said = story.live("west-tenant")
    assert [(it["pod"], it["is_stored"]) for it in said["live"]["found"]] == [("new-1", False)]
    assert "1 kill or loop shows in it now that no run has stored. → oomdb collect --contexts west -n west-tenant" in (
        missed(said)
    )
    story.collect()
    assert [it["is_stored"] for it in story.live("west-tenant")["live"]["found"]] == [True]


def test_live_tells_what_is_forbidden(story: Story) -> None:
    said = story.live("vault-tenant")
    assert said["live"]["permissions"] == {
        "list pods": False,
        "list events": True,
        "get pods": True,
        "get pods/log": True,
        "get namespaces": True,
    }
    assert "We may not list pods in it: kills go unseen" in missed(said)
    _, shown, _ = story.ask("why", "vault-tenant", "--live", "--kubeconfig", story.kubeconfig)
    assert "  list pods: FORBIDDEN" in shown


def test_live_finds_a_namespace_that_no_run_knows(story: Story) -> None:
    there = [objects.namespace(name) for name in ("shop-tenant", "brand-new")]
    story.clusters["west"].replace(namespaces=there)
    code, shown, told = story.ask("why", "brand-new", "--live", "--kubeconfig", story.kubeconfig)
    assert code == 0
    assert shown.startswith("brand-new in west\n")
    assert "east: there is no namespace 'brand-new'" in told


def test_live_shows_a_namespace_that_no_run_knows_and_that_may_not_be_asked_for_by_name(story: Story) -> None:
    killed_at = datetime.now(UTC) - HOUR
    pod = objects.pod("new-1", namespace="brand-new", containers=[objects.oom_killed(at=killed_at)])
    story.clusters["west"].replace(namespaces=[objects.namespace("brand-new")], pods=[pod])
    story.servers["west"].permissions = Permissions(refused=(Rule(verb="get", resource="namespaces"),))
    said = story.live("west/brand-new")
    assert (said["cluster"], said["live"]["exists"]) == ("west", None)
    assert [it["pod"] for it in said["live"]["found"]] == ["new-1"]
    _, shown, told = story.ask("why", "west/brand-new", "--live", "--kubeconfig", story.kubeconfig)
    assert "we may not ask for it by name" in shown
    assert "there is no namespace" not in told


def test_live_says_which_cluster_could_not_be_asked_and_shows_what_is_known(story: Story) -> None:
    story.servers["west"].stop()
    args = ("--live", "--kubeconfig", story.kubeconfig, "--retries", "0", "--timeout", "2")
    code, shown, _ = story.ask("why", "west-tenant", *args)
    assert code == 1
    assert "west-tenant in west" in shown
    assert "connection refused" in shown
    assert "It cannot be read just now" in shown
    code, shown, told = story.ask("why", "brand-new", *args)
    assert (code, shown) == (2, "")
    assert "west: https://127.0.0.1:" in told
    assert "No run knows a namespace 'brand-new'" in told


def test_live_that_reaches_no_cluster_fails_whether_a_run_knows_the_namespace_or_not(story: Story) -> None:
    for server in story.servers.values():
        server.stop()
    args = ("--live", "--kubeconfig", story.kubeconfig, "--retries", "0", "--timeout", "2")
    code, shown, told = story.ask("why", "brand-new", *args)
    assert (code, shown) == (1, "")
    assert told.count("connection refused") == 2
    assert "--live" not in told
    assert story.ask("why", "west-tenant", *args)[0] == 1


def test_live_names_a_cluster_to_which_no_context_leads(story: Story) -> None:
    other = story.folder / "other"
    lines = (story.folder / "kubeconfig").read_text()
    other.write_text(lines.replace("name: west", "name: elsewhere"))
    code, shown, told = story.ask("why", "shop-tenant", "--live", "--kubeconfig", str(other))
    assert code == 0
    assert "west: not asked, since no context of the kubeconfig leads to it" in told
    assert "shop-tenant in west" in shown


# --- wrong usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["shop-*", "*/shop-tenant", "e?st/x", "a[b]"])
def test_globs_are_not_taken(story: Story, place: str) -> None:
    code, shown, told = story.ask("why", place)
    assert (code, shown) == (2, "")
    assert "globs are not taken; `oomdb coverage --namespaces --namespace GLOB` lists several" in told


@pytest.mark.parametrize("place", ["", "/", "east/", "/shop", "a/b/c", "//"])
def test_a_place_that_names_no_namespace_says_the_format(story: Story, place: str) -> None:
    code, shown, told = story.ask("why", place)
    assert (code, shown) == (2, "")
    assert "write NAMESPACE, or CLUSTER/NAMESPACE" in told


def test_an_unknown_namespace_is_told_with_its_nearest(story: Story) -> None:
    code, shown, told = story.ask("why", "shop-tennant")
    assert (code, shown) == (2, "")
    assert "did you mean 'shop-tenant'?" in told


def test_a_hostile_name_cannot_draw_on_the_terminal(story: Story) -> None:
    code, shown, told = story.ask("why", "east/\x1b[31mred\n".replace("[", ""))
    assert (code, shown) == (2, "")
    assert "\x1b" not in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("args", [("why", "shop-tenant"), ("coverage", "--namespaces")])
def test_a_database_of_an_older_revision_names_the_command_that_upgrades_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]
) -> None:
    shutil.copy(KEPT, tmp_path / "old.sqlite")
    assert run([*args, "--db", str(tmp_path / "old.sqlite")]) == 1
    assert "run `oomdb db upgrade`" in capsys.readouterr().err


def test_of_an_upgraded_database_it_says_that_nobody_noted_namespaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = str(tmp_path / "old.sqlite")
    shutil.copy(KEPT, database)
    assert run(["db", "upgrade", "--db", database]) == 0
    capsys.readouterr()
    args = ["--db", database, "--since", "2026-11-01"]
    assert run(["why", "kflux-prd-rh02/payments-tenant", *args], now=datetime(2026, 11, 23, 4, tzinfo=UTC)) == 0
    shown = capsys.readouterr().out
    assert "not known: no run has noted what it did with this namespace" in shown
    assert "21 looked at the cluster: 0 read the namespace, 0 did not, of 21 nobody noted it" in shown
    assert "oomdb collect --contexts kflux-prd-rh02 -n payments-tenant" in shown
    assert run(["coverage", "--namespaces", "--json", "--db", database]) == 0
    told = capsys.readouterr()
    assert told.out == "[]\n"
    assert told.err.count("what was looked at is not known by namespace") == 3


# --- coverage --namespaces ------------------------------------------------------------------------------------------


def test_coverage_lists_each_namespace_with_its_latest_look(story: Story) -> None:
    code, shown, told = story.ask("coverage", "--namespaces", "--json")
    rows = [(it["cluster"], it["namespace"], it["state"], it["read_run"]) for it in json.loads(shown)]
    assert (code, told) == (0, "")
    assert rows == [
        ("east", "shop-tenant", "read", 1),
        ("east", "test-x", "skipped", None),
        ("east", "vault-tenant", "failed", None),
        ("west", "shop-tenant", "read", 1),
        ("west", "west-tenant", "read", 1),
    ]
    _, shown, told = story.ask("coverage", "--namespaces", "--cluster", "e*", "-n", "*-tenant", "--csv", "--limit", "1")
    assert [line.split(",")[:3] for line in shown.splitlines()[1:]] == [["east", "shop-tenant", "read"]]
    assert "first 1 rows; more exist" in told


def test_coverage_tells_how_far_the_clock_of_each_cluster_is(story: Story) -> None:
    _, shown, _ = story.ask("coverage", "--json")
    assert all(abs(row["clock_skew_seconds"]) < 60 for row in json.loads(shown))


@pytest.mark.parametrize("more", [("--gaps",), ("--run", "1"), ("--since", "1d"), ("--until", "1d")])
def test_coverage_by_namespace_takes_no_run_and_no_window(story: Story, more: tuple[str, ...]) -> None:
    code, shown, told = story.ask("coverage", "--namespaces", *more)
    assert (code, shown) == (2, "")
    assert "--namespaces" in told
