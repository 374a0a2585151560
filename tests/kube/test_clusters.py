"""One API server is one cluster, under a name that is safe and does not change, found by what people type."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from oomdb.errors import SettingsError, UsageError
from oomdb.kube.clusters import ClusterTarget, Selection, plan_clusters, select_clusters
from oomdb.kube.contexts import ClusterEntry, Context, Kubeconfig, UserEntry
from oomdb.kube.kubeconfig import load_kubeconfig
from tests.kube.kubeconfigs import cluster, context, load, write

FILE = Path("/home/me/.kube/config")


def entry(
    name: str,
    server: str = "https://api.example.com:6443",
    *,
    user: str = "someone",
    proxy_url: str = "",
    tls_server_name: str = "",
) -> Context:
    return Context(
        name=name,
        namespace="default",
        cluster=ClusterEntry(
            file=FILE, name="east", server=server, proxy_url=proxy_url, tls_server_name=tls_server_name
        ),
        user=UserEntry(file=FILE, name=user),
    )


def kubeconfig(*contexts: Context, current: str | None = None) -> Kubeconfig:
    return Kubeconfig(contexts=contexts, current_context=current)


def plan(
    *contexts: Context, current: str | None = None, names: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Return cluster names with the names of their contexts."""
    targets = plan_clusters(kubeconfig(*contexts, current=current), names=names or {})
    return {target.name: [context.name for context in target.contexts] for target in targets}


def name_of(context: Context) -> str:
    (name,) = plan(context)
    return name


# --- one server, one cluster


def test_contexts_of_one_server_are_one_cluster_and_the_current_one_is_first() -> None:
    contexts = [entry("kind-dev"), entry("west", "https://west"), entry("kind-dev-b"), entry("kind-dev-c")]
    assert plan(*contexts) == {"kind-dev": ["kind-dev", "kind-dev-b", "kind-dev-c"], "west": ["west"]}
    assert plan(*contexts, current="kind-dev-c")["kind-dev"] == ["kind-dev-c", "kind-dev", "kind-dev-b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example.com", "https://api.example.com:443"),
        ("http://api.example.com", "http://api.example.com:80/"),
        ("HTTPS://API.example.com:6443", "https://api.example.com:6443/"),
        ("https://[FD00::1]:6443", "https://[fd00::1]:6443"),
        ("https://rancher/k8s/clusters/c-1/", "https://rancher/k8s/clusters/c-1"),
    ],
)
def test_one_server_may_be_written_in_several_ways(one: str, other: str) -> None:
    assert len(plan(entry("a", one), entry("b", other))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (entry("a", "https://rancher/k8s/clusters/c-1"), entry("b", "https://rancher/k8s/clusters/c-2")),
        (entry("a", "https://api:6443"), entry("b", "https://api:7443")),
        (entry("a", "https://api:6443"), entry("b", "http://api:6443")),
        (entry("a"), entry("b", tls_server_name="inner")),
        (entry("a", proxy_url="http://one"), entry("b", proxy_url="http://two")),
        (entry("a", ""), entry("b", "")),
    ],
)
def test_other_paths_ports_proxies_and_tls_names_are_other_servers(one: Context, other: Context) -> None:
    assert plan(one, other) == {"a": ["a"], "b": ["b"]}


def test_a_context_that_cannot_be_used_is_a_cluster_that_will_fail(tmp_path: Path) -> None:
    path = write(tmp_path / "config", contexts=[context("dev"), context("broken", cluster="nowhere")])
    good, bad = plan_clusters(load(path), names={})
    assert (good.name, good.contexts[0].problem) == ("dev", None)
    assert bad.name == "broken"
    assert bad.contexts[0].problem == (f"{path}: context 'broken': cluster names 'nowhere', which is not in clusters.")


# --- names


@pytest.mark.parametrize(
    ("context", "name"),
    [
        # three parts after api-
        ("default/api-kflux-prd-rh02-0fk9-p1-openshiftapps-com:6443/someone", "kflux-prd-rh02"),
        ("api-stone-prod-p01-abc-com:6443", "stone-prod-p01"),
        ("api-a-b-c", "a-b-c"),
        ("my/api-a-b-c/kube:admin", "a-b-c"),
        ("x/api-a-b-c:6443/api-d-e-f", "a-b-c"),
        # the host of project/host:port/user
        ("default/192-168-1-1:6443/kube:admin", "192-168-1-1"),
        ("default/my-api-a-b-c:6443/someone", "my-api-a-b-c"),
        ("default/api-two-parts:6443/someone", "api-two-parts"),
        ("default/[fd00::1]:6443/someone", "fd00__1"),
        ("/host:6443/", "host"),
        ("p/host:6443/system:serviceaccount:ns:robot/x", "host"),
        # what follows the last slash
        ("arn:aws:eks:eu-west-1:123456789012:cluster/prod", "prod"),
        ("a/b/c", "c"),
        ("team/dev:blue", "dev_blue"),
        # the context
        ("kind-dev", "kind-dev"),
        ('kind-dev, "scratch"', 'kind-dev, "scratch"'),
        ("gke_project_europe-west1_prod", "gke_project_europe-west1_prod"),
        ("a:b:c", "a_b_c"),
        ("<script>alert(1)</script>", "script>"),
        ("emoji 🔥", "emoji 🔥"),
        (" spaces ", "spaces"),
        ("two\nlines\x1b[31m\u202e", "two_lines_[31m_"),
        ("...", "..."),
        # the server's host
        ("", "api.example.com"),
        (".", "api.example.com"),
        ("../..", "api.example.com"),
        ("a/", "api.example.com"),
        (":::", "api.example.com"),
        ("project/kube:admin", "api.example.com"),
        ("system:admin", "api.example.com"),
        ("project/cluster/someone", "api.example.com"),
        ("default/..:6443/bob", "api.example.com"),
    ],
)
def test_a_name_comes_from_the_context(context: str, name: str) -> None:
    assert name_of(entry(context, user="someone/api-example-com:6443")) == name


def test_a_context_named_like_its_user_is_no_users_name_without_a_slash() -> None:
    assert name_of(entry("kind-dev", user="kind-dev")) == "kind-dev"


def test_a_server_with_an_ipv6_address_gives_a_safe_name() -> None:
    assert name_of(entry("system:admin", "https://[FD00::1]:6443")) == "fd00__1"


def test_where_even_the_host_is_no_name_the_context_is_hashed() -> None:
    assert name_of(entry("..", "")) == f"cluster-{hashlib.sha256(b'..').hexdigest()[:8]}"


@pytest.mark.parametrize("server", ["https://10.0.0.1:port", "https://[::1", "https://"])
def test_a_server_that_is_no_url_is_a_cluster_of_its_own(server: str) -> None:
    assert plan(entry("a", server), entry("b", f"{server}:1")) == {"a": ["a"], "b": ["b"]}
    assert name_of(entry("..", "https://[::1")).startswith("cluster-")


def test_the_name_does_not_depend_on_the_current_context_nor_on_the_order() -> None:
    contexts = [
        entry("admin"),
        entry("default/api-kflux-prd-rh02-0fk9-com:6443/me"),
        entry("tekton/api-kflux-prd-rh02-0fk9-com:6443/me"),
    ]
    for current in (None, *(known.name for known in contexts)):
        assert list(plan(*contexts, current=current)) == ["kflux-prd-rh02"]
        assert list(plan(*reversed(contexts), current=current)) == ["kflux-prd-rh02"]


def suffix(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def test_servers_whose_names_clash_all_get_a_suffix_that_never_swaps() -> None:
    one = entry("default/api-a-b-c-east:6443/me", "https://api.a-b-c.east:6443/")
    two = entry("default/api-a-b-c-west:6443/me", "https://api.a-b-c.west")
    other = entry("kind-dev", "https://127.0.0.1")
    expected = {
        f"a-b-c-{suffix('https://api.a-b-c.east:6443')}": [one.name],
        f"a-b-c-{suffix('https://api.a-b-c.west:443')}": [two.name],
        "kind-dev": ["kind-dev"],
    }
    assert plan(one, two, other) == expected
    assert plan(other, two, one, current=two.name) == expected


def test_one_url_with_two_tls_names_gets_two_suffixes() -> None:
    names = list(plan(entry("x/dev", tls_server_name="a"), entry("y/dev", tls_server_name="b")))
    assert len(names) == 2
    assert all(name.startswith("dev-") and len(name) == len("dev-12345678") for name in names)


def test_a_context_named_like_another_with_its_suffix_is_told_apart() -> None:
    taken = f"dev-{suffix('https://one:443')}"
    names = list(plan(entry("x/dev", "https://one"), entry("y/dev", "https://two"), entry(taken, "https://three")))
    assert len(set(names)) == 3
    assert f"dev-{suffix('https://two:443')}" in names


@pytest.mark.parametrize("key", ["dev", "https://api.example.com:6443", "HTTPS://API.Example.com:6443/"])
def test_the_settings_name_a_cluster_by_its_context_or_its_server(key: str) -> None:
    assert plan(entry("prod"), entry("dev"), names={key: "East 1", "unknown": "x"}) == {"East 1": ["prod", "dev"]}


def test_a_pods_own_cluster_is_named_by_the_settings(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    config = load_kubeconfig(path=None, environ=environ, home=tmp_path, service_account_folder=tmp_path)
    assert [target.name for target in plan_clusters(config, names={})] == ["in-cluster"]
    assert [target.name for target in plan_clusters(config, names={"in-cluster": "prod"})] == ["prod"]


def test_who_clashes_with_a_configured_name_gets_the_suffix() -> None:
    assert plan(entry("dev", "https://one"), entry("two", "https://two"), names={"two": "dev"}) == {
        f"dev-{suffix('https://one:443')}": ["dev"],
        "dev": ["two"],
    }


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a:b", "a\nb", " a"])
def test_a_configured_name_that_is_not_safe_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^\[clusters\]: 'dev' is named '.*'; a cluster's name must not be empty"):
        plan(entry("dev"), names={"dev": name})


def test_two_servers_cannot_be_configured_to_one_name() -> None:
    with pytest.raises(SettingsError) as caught:
        plan(entry("a", "https://one"), entry("b", "https://two"), names={"a": "x", "b": "x"})
    assert str(caught.value) == (
        "[clusters]: 'x' is the name of two API servers, https://one (context 'a') and https://two (context 'b'); "
        "name them apart."
    )


def test_one_server_cannot_be_configured_to_two_names() -> None:
    with pytest.raises(SettingsError, match=r"one API server has several names \('a' = 'x', 'b' = 'y'\); keep one"):
        plan(entry("a"), entry("b"), names={"a": "x", "b": "y"})


# --- selection

RH02 = entry("default/api-kflux-prd-rh02-0fk9-p1-openshiftapps-com:6443/someone", "https://rh02")
RH02_TEKTON = entry("tekton/api-kflux-prd-rh02-0fk9-p1-openshiftapps-com:6443/someone", "https://rh02")
RH03 = entry("default/api-kflux-prd-rh03-abcd-p1-openshiftapps-com:6443/someone", "https://rh03")
KIND = entry('kind-dev, "scratch"', "https://127.0.0.1")


def select(
    *contexts: str, current: bool = False, current_context: str | None = None, names: Mapping[str, str] | None = None
) -> Selection:
    config = kubeconfig(RH02, RH02_TEKTON, RH03, KIND, current=current_context)
    return select_clusters(
        plan_clusters(config, names=names or {}), current=current, contexts=contexts, kubeconfig=config
    )


def names_of(targets: tuple[ClusterTarget, ...]) -> list[str]:
    return [target.name for target in targets]


def test_all_clusters_are_selected_by_default() -> None:
    selection = select()
    assert names_of(selection.targets) == ["kflux-prd-rh02", "kflux-prd-rh03", 'kind-dev, "scratch"']
    assert selection.matched == ()


def test_the_current_contexts_cluster_is_selected() -> None:
    selection = select(current=True, current_context=RH02_TEKTON.name)
    assert names_of(selection.targets) == ["kflux-prd-rh02"]
    assert selection.targets[0].contexts == (RH02_TEKTON, RH02)


def test_parts_of_contexts_are_matched_whatever_their_case() -> None:
    selection = select("RH03", "Scratch")
    assert names_of(selection.targets) == ["kflux-prd-rh03", 'kind-dev, "scratch"']
    assert selection.matched == (("RH03", RH03.name), ("Scratch", KIND.name))


def test_several_contexts_of_one_cluster_are_one_match() -> None:
    assert select("rh02").matched == (("rh02", RH02.name),)


def test_the_context_that_was_named_is_used_before_the_current_one() -> None:
    selection = select("tekton", current_context=RH02.name)
    assert selection.matched == (("tekton", RH02_TEKTON.name),)
    assert selection.targets[0].contexts == (RH02_TEKTON, RH02)


def test_a_cluster_that_is_named_twice_is_selected_once() -> None:
    selection = select("tekton", "prd-rh02", " ")
    assert names_of(selection.targets) == ["kflux-prd-rh02"]
    assert [text for text, _ in selection.matched] == ["tekton", "prd-rh02"]
    assert selection.targets[0].contexts[0] == RH02_TEKTON


def test_a_configured_name_is_matched() -> None:
    selection = select("produ", names={RH03.name: "Production"})
    assert selection.matched == (("produ", RH03.name),)


def test_a_whole_name_goes_before_parts_of_others() -> None:
    config = kubeconfig(entry("prod", "https://1"), entry("prod-2", "https://2"), entry("PROD-3", "https://3"))
    targets = plan_clusters(config, names={})
    for text, name in [("prod", "prod"), ("PROD", "prod"), ("prod-3", "PROD-3")]:
        selection = select_clusters(targets, current=False, contexts=[text], kubeconfig=config)
        assert names_of(selection.targets) == [name]


def test_among_whole_names_that_differ_in_case_the_spelling_decides() -> None:
    config = kubeconfig(entry("prod", "https://1"), entry("PROD", "https://2"))
    selection = select_clusters(plan_clusters(config, names={}), current=False, contexts=["PROD"], kubeconfig=config)
    assert names_of(selection.targets) == ["PROD"]


def test_several_clusters_for_one_text_are_listed() -> None:
    with pytest.raises(UsageError) as caught:
        select("kflux")
    assert str(caught.value) == (
        f"'kflux' matches 2 clusters: 'kflux-prd-rh02' (context '{RH02.name}'), "
        f"'kflux-prd-rh03' (context '{RH03.name}'); give more of the name."
    )


def test_no_cluster_for_a_text_lists_all() -> None:
    with pytest.raises(UsageError) as caught:
        select("rh02", "nowhere\n")
    assert str(caught.value).startswith("'nowhere' matches no context and no cluster; there are: 'kflux-prd-rh02' (")
    assert str(caught.value).endswith("'kind-dev, \"scratch\"' (context 'kind-dev, \"scratch\"').")


def test_a_long_list_of_candidates_is_cut() -> None:
    config = kubeconfig(*(entry(f"c{number}", f"https://{number}") for number in range(30)))
    with pytest.raises(UsageError, match=r"'c19' \(context 'c19'\) and 10 more\.$"):
        select_clusters(plan_clusters(config, names={}), current=False, contexts=["x"], kubeconfig=config)


def test_no_current_context_is_told() -> None:
    with pytest.raises(UsageError, match="No current context is set in the kubeconfig; set one"):
        select(current=True)


def test_a_current_context_that_leads_nowhere_is_told() -> None:
    with pytest.raises(UsageError, match="The current context 'gone' is not in the kubeconfig"):
        select(current=True, current_context="gone")


def test_both_ways_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="--current and --contexts exclude each other"):
        select("rh02", current=True)


def test_blank_texts_name_nothing() -> None:
    with pytest.raises(UsageError, match="--contexts names nothing"):
        select(" ", "")


def test_clusters_of_a_real_file_keep_its_order(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        clusters=[cluster("east"), cluster("west", server="https://west")],
        contexts=[context("w", cluster="west"), context("e")],
        current="e",
    )
    config = load(path)
    selection = select_clusters(plan_clusters(config, names={}), current=False, contexts=(), kubeconfig=config)
    assert names_of(selection.targets) == ["w", "e"]
