"""Kubeconfig files are read as kubectl reads them, and nothing in them is ignored in silence."""

import base64
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import KubeconfigError
from oomdb.kube.impersonation import Impersonation
from oomdb.kube.kubeconfig import load_kubeconfig
from tests.kube.kubeconfigs import SERVER, cluster, context, load, load_one, plugin, user, write


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def load_list(*files: Path, home: Path) -> Any:
    return load_kubeconfig(path=None, environ={"KUBECONFIG": os.pathsep.join(map(str, files))}, home=home)


def problem_of(folder: Path, **parts: Any) -> str:
    problem = load_one(folder, **parts).problem
    assert problem is not None
    return problem.removeprefix(f"{folder / 'config'}: ")


# --- good files


def test_a_context_knows_its_server_user_and_namespace(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        clusters=[
            cluster(
                certificate_authority_data=encode("PEM"), tls_server_name="inner.example.com", disable_compression=True
            )
        ],
        contexts=[context(namespace="payments")],
    )
    kubeconfig = load(path)
    (only,) = kubeconfig.contexts
    assert kubeconfig.current_context == "dev"
    assert (only.name, only.namespace, only.in_cluster, only.problem) == ("dev", "payments", False, None)
    assert (only.cluster.file, only.cluster.name, only.cluster.server) == (path, "east", SERVER)
    assert only.cluster.certificate_authority_data == b"PEM"
    assert (only.cluster.tls_server_name, only.cluster.disable_compression) == ("inner.example.com", True)
    assert (only.user.name, only.user.token) == ("someone", "s3cret")
    only.require_usable()


def test_without_a_namespace_it_is_default(tmp_path: Path) -> None:
    assert load_one(tmp_path).namespace == "default"


def test_a_context_without_a_user_is_anonymous(tmp_path: Path) -> None:
    only = load_one(tmp_path, contexts=[{"name": "dev", "context": {"cluster": "east"}}])
    assert (only.problem, only.user.token, only.user.exec) == (None, "", None)


def test_extensions_preferences_and_other_tools_fields_are_allowed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        clusters=[cluster(extensions=[{"name": "minikube.sigs.k8s.io", "extension": {"version": "1"}}])],
        users=[user("someone", {"token": "t", "extensions": []})],
        contexts=[context(extensions=[])],
        extensions=[],
        x_tool={"anything": [1]},
    )
    assert load(path).contexts[0].problem is None


def test_empty_fields_are_unset_fields(tmp_path: Path) -> None:
    only = load_one(
        tmp_path,
        clusters=[cluster(proxy_url="", certificate_authority=None, insecure_skip_tls_verify=False)],
        users=[user("someone", {"token": "t", "as": "", "as-groups": [], "auth-provider": None, "tokenFile": ""})],
    )
    assert only.problem is None
    assert (only.cluster.certificate_authority, only.user.token_file) == (None, None)


def test_relative_paths_start_from_the_folder_of_the_file_that_names_them(tmp_path: Path) -> None:
    fields = {"tokenFile": "../token", "client-certificate": "me.crt", "client-key": "/keys/me.key"}
    one = write(tmp_path / "a" / "config", users=[user("someone", fields)], clusters=[], contexts=[], current=None)
    two = write(tmp_path / "b" / "config", users=[], clusters=[cluster(certificate_authority="ca.crt")])
    (only,) = load_list(one, two, home=tmp_path).contexts
    assert only.cluster.certificate_authority == tmp_path / "b" / "ca.crt"
    assert only.user.token_file == tmp_path / "a" / "../token"
    assert only.user.client_certificate == tmp_path / "a" / "me.crt"
    assert only.user.client_key == Path("/keys/me.key")


@pytest.mark.parametrize(
    ("command", "expected"), [("aws", "aws"), ("./bin/aws", "{folder}/bin/aws"), ("/usr/bin/aws", "/usr/bin/aws")]
)
def test_only_a_plugin_with_a_slash_is_a_path(tmp_path: Path, command: str, expected: str) -> None:
    only = load_one(tmp_path, users=[user("someone", plugin(command))])
    assert only.user.exec is not None
    assert only.user.exec.command == expected.format(folder=tmp_path)


def test_a_plugin_keeps_its_arguments_and_variables(tmp_path: Path) -> None:
    fields = plugin(args=["token", "--id", "1"], env=[{"name": "A", "value": "1"}, {"name": "B"}], installHint="get it")
    only = load_one(tmp_path, users=[user("someone", fields)])
    assert only.problem is None
    assert only.user.exec is not None
    assert only.user.exec.args == ("token", "--id", "1")
    assert only.user.exec.env == (("A", "1"), ("B", ""))
    assert only.user.exec.install_hint == "get it"


def test_plugins_of_two_users_are_equal_if_they_run_the_same(tmp_path: Path) -> None:
    users = [user("one", plugin("aws", args=["a"])), user("two", plugin("aws", args=["a"], installHint="x"))]
    contexts = [context("dev", user="one"), context("test", user="two")]
    first, second = load(write(tmp_path / "config", users=users, contexts=contexts)).contexts
    assert first.user.exec == second.user.exec
    assert hash(first.user.exec) == hash(second.user.exec)


def test_names_may_be_odd(tmp_path: Path) -> None:
    names = ['kind-dev, "scratch"', "../../etc", "<script>alert(1)</script>", "emoji 🔥", "two\nlines", "kube:admin"]
    kubeconfig = load(write(tmp_path / "config", contexts=[context(name) for name in names]))
    assert [context.name for context in kubeconfig.contexts] == names
    assert all(context.problem is None for context in kubeconfig.contexts)


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    fields = {
        "token": "s3cret-1",
        "client-certificate-data": encode("cert"),
        "client-key-data": encode("s3cret-2"),
        **plugin(args=["--password=s3cret-3"], env=[{"name": "P", "value": "s3cret-4"}]),
    }
    only = load_one(
        tmp_path, users=[user("someone", fields)], clusters=[cluster(proxy_url="http://u:s3cret-5@proxy:3128")]
    )
    assert "s3cret" not in repr(only)
    assert "s3cret" not in str(only.problem)


# --- which files


def test_the_first_file_to_set_a_name_or_the_current_context_wins(tmp_path: Path) -> None:
    one = write(
        tmp_path / "one",
        clusters=[cluster(server="https://one")],
        users=[],
        contexts=[context("zeta")],
        current=None,
    )
    two = write(
        tmp_path / "two",
        clusters=[cluster(server="https://two", tls_server_name="two")],
        contexts=[context("zeta", cluster="other"), context("alpha")],
        current="alpha",
    )
    three = write(tmp_path / "three", current="dev")
    kubeconfig = load_list(one, two, three, home=tmp_path)
    assert [context.name for context in kubeconfig.contexts] == ["zeta", "alpha", "dev"]
    assert {context.cluster.server for context in kubeconfig.contexts} == {"https://one"}
    assert {context.cluster.tls_server_name for context in kubeconfig.contexts} == {""}
    assert {context.user.file for context in kubeconfig.contexts} == {two}
    assert kubeconfig.current_context == "alpha"


def test_missing_empty_and_repeated_files_of_the_list_are_skipped(tmp_path: Path) -> None:
    real = write(tmp_path / "config")
    empty = tmp_path / "empty"
    empty.touch()
    listed = f"{tmp_path / 'no'}{os.pathsep}{os.pathsep}{empty}{os.pathsep}{real}{os.pathsep}{real}"
    kubeconfig = load_kubeconfig(path=None, environ={"KUBECONFIG": listed}, home=tmp_path)
    assert [context.problem for context in kubeconfig.contexts] == [None]


def test_without_kubeconfig_the_home_folder_has_it(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", current=None)
    kubeconfig = load_kubeconfig(path=None, environ={"KUBECONFIG": ""}, home=tmp_path)
    assert [context.name for context in kubeconfig.contexts] == ["dev"]
    assert kubeconfig.current_context is None


def test_a_given_path_goes_before_the_environment(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config")
    path = write(tmp_path / "mine", contexts=[context("mine")])
    kubeconfig = load_kubeconfig(path=str(path), environ={"KUBECONFIG": "/nowhere"}, home=tmp_path)
    assert [context.name for context in kubeconfig.contexts] == ["mine"]


def test_no_kubeconfig_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError) as caught:
        load_kubeconfig(path=None, environ={}, home=tmp_path, service_account_folder=tmp_path)
    assert str(caught.value) == (
        f"There is no kubeconfig ({tmp_path}/.kube/config does not exist, KUBECONFIG is not set); "
        "log in with `oc login`, or name another file with --kubeconfig."
    )


def test_a_list_of_missing_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"KUBECONFIG names no file that exists \(/a/b, /c\)"):
        load_kubeconfig(path=None, environ={"KUBECONFIG": "/a/b:/c"}, home=tmp_path, service_account_folder=tmp_path)


def test_a_given_path_must_exist(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"no: no such file; correct the path of the kubeconfig\.$"):
        load(tmp_path / "no")


def test_a_file_without_contexts_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "config", contexts=[])
    with pytest.raises(KubeconfigError, match="there are no contexts in it; log in"):
        load(path)


# --- a pod's own account


def service_account(folder: Path) -> dict[str, str]:
    (folder / "token").write_text("pod-token")
    (folder / "ca.crt").write_text("PEM")
    (folder / "namespace").write_text("monitoring\n")
    return {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_inside_a_pod_its_account_is_the_context(tmp_path: Path) -> None:
    environ = service_account(tmp_path)
    kubeconfig = load_kubeconfig(path=None, environ=environ, home=tmp_path, service_account_folder=tmp_path)
    (only,) = kubeconfig.contexts
    assert (only.name, kubeconfig.current_context, only.in_cluster) == ("in-cluster", "in-cluster", True)
    assert (only.cluster.server, only.namespace) == ("https://10.0.0.1:443", "monitoring")
    assert only.cluster.certificate_authority == tmp_path / "ca.crt"
    assert only.user.token_file == tmp_path / "token"


def test_inside_a_pod_with_ipv6_the_host_has_brackets(tmp_path: Path) -> None:
    environ = service_account(tmp_path) | {"KUBERNETES_SERVICE_HOST": "fd00::1"}
    (tmp_path / "namespace").write_bytes(b"\xff")
    (tmp_path / "ca.crt").unlink()
    kubeconfig = load_kubeconfig(path=None, environ=environ, home=tmp_path, service_account_folder=tmp_path)
    (only,) = kubeconfig.contexts
    assert (only.cluster.server, only.namespace) == ("https://[fd00::1]:443", "default")
    assert only.cluster.certificate_authority is None


def test_a_kubeconfig_goes_before_the_pods_account(tmp_path: Path) -> None:
    environ = service_account(tmp_path)
    write(tmp_path / ".kube" / "config")
    kubeconfig = load_kubeconfig(path=None, environ=environ, home=tmp_path, service_account_folder=tmp_path)
    assert [context.name for context in kubeconfig.contexts] == ["dev"]


def test_a_file_that_was_asked_for_is_not_replaced_by_the_pods_account(tmp_path: Path) -> None:
    environ = service_account(tmp_path)
    path = write(tmp_path / "config", contexts=[])
    with pytest.raises(KubeconfigError, match="no contexts"):
        load_kubeconfig(path=str(path), environ=environ, home=tmp_path, service_account_folder=tmp_path)


def test_without_a_token_there_is_no_pods_account(tmp_path: Path) -> None:
    environ = service_account(tmp_path)
    (tmp_path / "token").unlink()
    with pytest.raises(KubeconfigError, match="no kubeconfig"):
        load_kubeconfig(path=None, environ=environ, home=tmp_path, service_account_folder=tmp_path)


# --- files broken as a whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: b: c", "is not valid YAML (line 1, column 5: mapping values are not allowed in this context)."),
        (b"a:\n\t- x", "is not valid YAML (line 2, column 1: found character that cannot start any token)."),
        (b"a: \xff", "is not valid YAML (unacceptable character #x00ff: invalid leading UTF-8 octet)."),
        (b"a: 2026-99-99", "is not valid YAML (month must be in 1..12)."),
        (b"a: !!python/object:os.system x", "is not valid YAML (line 1, column 4: could not determine a constructor"),
        (b"a: &a {b: 1}\nc: {<<: *a}", "is not valid YAML (line 2, column 5: could not determine a constructor"),
        (b"a: 1\n---\nb: 2", "is not valid YAML (line 2, column 1: but found another document)."),
        (b"- a", "is no kubeconfig: it holds a list where a map is expected."),
        (b"just text", "is no kubeconfig: it holds a single value where a map is expected."),
        (b"[" * 300_000, "is no kubeconfig: it is nested more than 64 levels deep."),
        (b"- " * 300_000, "is no kubeconfig: it is nested more than 64 levels deep."),
        (b"kind: Deployment", "is no kubeconfig: kind is 'Deployment', not 'Config'."),
        (b"apiVersion: v2", "is no kubeconfig: apiVersion is 'v2', not 'v1'."),
        (b"current-context: 7", "current-context must be text; put it in quotes."),
        (b"current_context: dev", "field 'current_context' is not known; did you mean 'current-context'?"),
        (b"clusters: {a: 1}", "clusters must be a list; it is a map."),
        (b"contexts: [1]", "entry 1 of contexts must be a map with a name that is text."),
        (b"users:\n- {name: a, user: {}}\n- {name: 7}", "entry 2 of users must be a map with a name that is text."),
    ],
)
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(KubeconfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_secret_on_the_broken_line_is_not_told(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("users:\n- name: a\n  user: {token: s3cret: x}\n")
    with pytest.raises(KubeconfigError) as caught:
        load(path)
    assert "s3cret" not in str(caught.value)


def test_an_endless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="larger than 32 MiB"):
        load_kubeconfig(path="/dev/zero", environ={}, home=tmp_path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)


def test_a_path_with_a_null_byte_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="cannot be read"):
        load_kubeconfig(path="a\0b", environ={}, home=tmp_path)


# --- entries that cannot be used


def test_one_odd_entry_does_not_break_the_other_contexts(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        clusters=[cluster("east"), cluster("west", proxy_url="socks5://me:s3cret@proxy:1080")],
        contexts=[context("dev"), context("far", cluster="west")],
    )
    good, bad = load(path).contexts
    good.require_usable()
    with pytest.raises(KubeconfigError) as caught:
        bad.require_usable()
    assert str(caught.value) == (
        f"{path}: cluster 'west': proxy-url names a SOCKS proxy, which is not supported: "
        "name one whose URL begins with http:// or https://."
    )
    assert (bad.cluster.server, bad.cluster.proxy) == (SERVER, None)


def test_a_proxy_of_the_kubeconfig_goes_before_the_environments(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        clusters=[cluster("east"), cluster("west", proxy_url="http://me:s3cret@west-proxy:1")],
        contexts=[context("dev"), context("far", cluster="west")],
    )
    environ = {"HTTPS_PROXY": "http://me:s3cret@proxy", "NO_PROXY": "other.example.com"}
    near, far = load_kubeconfig(path=str(path), environ=environ, home=tmp_path).contexts
    assert near.cluster.proxy is not None
    assert (near.cluster.proxy.url, near.cluster.proxy.named_by) == ("http://proxy:80", "HTTPS_PROXY")
    assert far.cluster.proxy is not None
    assert (far.cluster.proxy.url, far.cluster.proxy.named_by) == ("http://west-proxy:1", "proxy-url")
    assert "s3cret" not in repr((near, far))


def test_an_exempt_server_has_no_proxy_but_that_of_the_kubeconfig(tmp_path: Path) -> None:
    path = write(tmp_path / "config", clusters=[cluster(proxy_url="http://west-proxy:1")])
    environ = {"HTTPS_PROXY": "http://proxy", "NO_PROXY": "*"}
    (only,) = load_kubeconfig(path=str(path), environ=environ, home=tmp_path).contexts
    assert only.cluster.proxy is not None
    path = write(tmp_path / "config")
    (only,) = load_kubeconfig(path=str(path), environ=environ, home=tmp_path).contexts
    assert only.cluster.proxy is None


def test_a_proxy_of_the_environment_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "config")
    environ = {"https_proxy": "socks5://me:s3cret@proxy"}
    (only,) = load_kubeconfig(path=str(path), environ=environ, home=tmp_path).contexts
    assert only.problem == (
        f"{path}: cluster 'east': https_proxy names a SOCKS proxy, which is not supported: "
        "name one whose URL begins with http:// or https://."
    )


def test_who_is_acted_as_is_read(tmp_path: Path) -> None:
    fields = {"token": "t", "as": "root", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"x/y": ["1", "2"]}}
    loaded = load_one(tmp_path, users=[user("someone", fields)])
    loaded.require_usable()
    assert loaded.user.impersonation == Impersonation(
        user="root", uid="7", groups=("a", "b"), extra=(("x/y", ("1", "2")),)
    )


def test_a_plugin_of_v1beta1_may_leave_out_whether_it_asks(tmp_path: Path) -> None:
    fields = plugin(apiVersion="client.authentication.k8s.io/v1beta1", interactiveMode=None)
    loaded = load_one(tmp_path, users=[user("someone", fields)])
    loaded.require_usable()
    assert loaded.user.exec is not None
    assert loaded.user.exec.api_version == "client.authentication.k8s.io/v1beta1"


def test_what_a_plugin_is_told_must_be_json(tmp_path: Path) -> None:
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"since": date(2026, 1, 15)}}
    problem = problem_of(tmp_path, clusters=[cluster(extensions=[{"name": "other"}, extension])])
    assert problem == (
        "cluster 'east': extensions 'client.authentication.k8s.io/exec' holds a value that JSON has not; "
        "put it in quotes."
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"server": None}, "server is missing; it should look like https://api.example.com:6443."),
        ({"server": "api.example.com:6443"}, "server is no URL that can be used; it should look like"),
        ({"server": "ftp://a"}, "server is no URL that can be used"),
        ({"server": "https://a:b"}, "server is no URL that can be used"),
        ({"server": "https://[::1"}, "server is no URL that can be used"),
        ({"server": "https://a\nb"}, "server is no URL that can be used"),
        ({"server": "https://me:s3cret@a"}, "server must not have a user, a query or a fragment in its URL"),
        ({"server": 7}, "server must be text; put it in quotes."),
        ({"insecure_skip_tls_verify": "yes"}, "insecure-skip-tls-verify must be true or false."),
        ({"certificate_authority_data": "%%%"}, "certificate-authority-data is not valid base64; write it anew"),
        ({"certificate_authority_data": "é"}, "certificate-authority-data is not valid base64"),
        (
            {"certificate_authority": "a", "certificate_authority_data": "YQ=="},
            "certificate-authority and certificate-authority-data are both set; remove one of the two.",
        ),
        (
            {"certificate_authority": "a", "insecure_skip_tls_verify": True},
            "certificate-authority contradicts insecure-skip-tls-verify; remove one of the two.",
        ),
        (
            {"certificate_autority": "a"},
            "field 'certificate-autority' is not known; did you mean 'certificate-authority'?",
        ),
        ({"color": "blue"}, "field 'color' is not known; correct or remove it."),
    ],
)
def test_a_cluster_that_cannot_be_used_is_told(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    problem = problem_of(tmp_path, clusters=[cluster(**fields)])
    assert problem.startswith(f"cluster 'east': {message}")
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"as": "ro\not"}, "as holds control characters, which no name has; remove them."),
        ({"as": "a", "as-uid": "7\r\nX: y"}, "as-uid holds control characters, which no name has"),
        ({"as": "a", "as-groups": ["ok", "a\0b"]}, "as-groups holds control characters, which no name has"),
        ({"as": "a", "as-user-extra": {"a": ["b\n"]}}, "as-user-extra holds control characters, which no name has"),
        ({"as-uid": "7"}, "as-uid is set without as; say in as which user to act as, or remove it."),
        ({"as-groups": ["a"]}, "as-groups is set without as; say in as which user"),
        ({"as-user-extra": {"a": ["b"]}}, "as-user-extra is set without as; say in as which user"),
        ({"as": 7}, "as must be text; put it in quotes."),
        ({"as": "a", "as-groups": "b"}, "as-groups must be a list of texts."),
        ({"as": "a", "as-user-extra": ["b"]}, "as-user-extra must be a map of lists of texts."),
        ({"as": "a", "as-user-extra": {"a": "b"}}, "as-user-extra must be a map of lists of texts; put each in"),
        ({"as": "a", "as-user-extra": {"a": [1]}}, "as-user-extra must be a map of lists of texts; put each in"),
        ({"as": "a", "as-user-extra": {1: ["b"]}}, "as-user-extra must be a map of lists of texts; put each in"),
        ({"username": "me", "password": "s3cret"}, "username is not supported: Kubernetes 1.19 removed basic auth"),
        ({"password": "s3cret"}, "password is not supported: Kubernetes 1.19 removed basic authentication"),
        (
            {"auth-provider": {"name": "gcp", "config": {"token": "s3cret"}}},
            "auth-provider is not supported: Kubernetes 1.26 removed it; use the exec plug-in gke-gcloud-auth-plugin",
        ),
        ({"auth-provider": {"name": "azure"}}, "auth-provider is not supported: Kubernetes 1.26 removed it; use the "),
        ({"auth-provider": "x"}, "auth-provider is not supported: Kubernetes 1.26 removed it; use an exec plug-in "),
        ({"token": 7}, "token must be text; put it in quotes."),
        ({"tokenfile": "a"}, "field 'tokenfile' is not known; did you mean 'tokenFile'?"),
        ({"client-certificate": "a"}, "client-certificate has no key; add client-key or client-key-data."),
        ({"client-key-data": "YQ=="}, "client-key has no certificate; add client-certificate or"),
        ({"client-key-data": "s3cret!"}, "client-key-data is not valid base64"),
        (
            {"client-certificate": "a", "client-certificate-data": "YQ==", "client-key": "a"},
            "client-certificate and client-certificate-data are both set; remove one of the two.",
        ),
        (
            {"client-certificate": "a", "client-key": "a", "client-key-data": "YQ=="},
            "client-key and client-key-data are both set; remove one of the two.",
        ),
        ({"exec": "aws"}, "exec must be a map."),
        (plugin(""), "exec.command is missing; it must name the plug-in to run."),
        (plugin(args="a b"), "exec.args must be a list of texts."),
        (plugin(args=[1]), "exec.args must be a list of texts; put each in quotes."),
        (plugin(env=[{"name": "A", "value": 1}]), "exec.env must be a list of maps with name and value, both text"),
        (plugin(env=[{"name": "A=B"}]), "exec.env must be a list of maps with name and value"),
        (plugin(env=["A"]), "exec.env must be a list of maps with name and value"),
        (
            plugin(apiVersion="client.authentication.k8s.io/v1alpha1"),
            "exec.apiVersion is 'client.authentication.k8s.io/v1alpha1'; 'client.authentication.k8s.io/v1' and "
            "'client.authentication.k8s.io/v1beta1' are supported: update the plug-in and let it write the entry anew.",
        ),
        (plugin(apiVersion=None), "exec.apiVersion is missing; 'client.authentication.k8s.io/v1' and"),
        (plugin(provideClusterInfo="yes"), "exec.provideClusterInfo must be true or false."),
        (
            plugin(apiVersion="client.authentication.k8s.io/v1beta1", interactiveMode="Always"),
            "exec.interactiveMode is 'Always', but oomdb never asks;",
        ),
        (plugin(interactiveMode="Always"), "exec.interactiveMode is 'Always', but oomdb never asks;"),
        (plugin(interactiveMode=None), "exec.interactiveMode must be 'Never' or 'IfAvailable'."),
        (plugin(arg=["a"]), "field 'exec.arg' is not known; did you mean 'args'?"),
    ],
)
def test_a_user_that_cannot_be_used_is_told(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    problem = problem_of(tmp_path, users=[user("someone", fields)])
    assert problem.startswith(f"user 'someone': {message}")
    assert "s3cret" not in problem


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (context(cluster="west"), "context 'dev': cluster names 'west', which is not in clusters."),
        (context(user="nobody"), "context 'dev': user names 'nobody', which is not in users."),
        (context(name_space="x"), "context 'dev': field 'name-space' is not known; did you mean 'namespace'?"),
        ({"name": "dev"}, "context 'dev': cluster is missing; it must name one of clusters."),
        ({"name": "dev", "context": ["a"]}, "context 'dev': context must be a map."),
        ({"name": "dev", "cluster": "east"}, "context 'dev': field 'cluster' is not known; correct or remove it."),
    ],
)
def test_a_context_that_leads_nowhere_is_told(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    assert problem_of(tmp_path, contexts=[entry]) == message


def test_a_name_used_twice_in_one_file_is_told(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, clusters=[cluster(), cluster(server="https://other")])
    assert problem == "cluster 'east': is there more than once; remove all but one."


def test_an_odd_name_stays_on_one_line_of_the_message(tmp_path: Path) -> None:
    problem = problem_of(tmp_path, contexts=[context("a\n\x1b[31mb" + "c" * 999, cluster="<script>")])
    assert problem.startswith("context 'a\ufffd\ufffd[31mbccc")
    assert problem.endswith("cluster names '<script>', which is not in clusters.")
    assert len(problem) < 400
