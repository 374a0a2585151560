"""Trust and credentials, with real plug-ins, real files and real handshakes (in memory)."""

import base64
import json
import os
import ssl
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from oomdb.errors import ClusterUnauthorized, KubeconfigError
from oomdb.kube.auth import context_warnings, open_credentials
from oomdb.kube.contexts import Context, ExecPlugin
from oomdb.kube.credential import ClientCertificate
from oomdb.kube.plugins import run_plugin
from oomdb.kube.trust import build_ssl_context
from tests.kube.kubeconfigs import cluster, context, load_one, plugin, user
from tests.waiting import is_gone, wait_until

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


# --- plug-ins -------------------------------------------------------------------------------------------------------


def script(folder: Path, body: str) -> Path:
    """Write a shell script that notes each of its runs beside itself."""
    path = folder / "plugin"
    path.write_text(f'#!/bin/sh\necho run >> "{folder}/runs"\n{textwrap.dedent(body)}\n')
    path.chmod(0o755)
    return path


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def credential(token: str = "abc", **status: Any) -> str:
    body = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}
    return json.dumps(body | {"status": {"token": token} | status})


def printing(folder: Path, text: str) -> Path:
    (folder / "answer").write_text(text)
    return script(folder, f'cat "{folder}/answer"')


def using(folder: Path, command: Path | str, **fields: Any) -> Context:
    return load_one(folder, users=[user("someone", plugin(str(command), **fields))])


def plugin_of(folder: Path, command: Path | str, **fields: Any) -> ExecPlugin:
    found = using(folder, command, **fields).user.exec
    assert found is not None
    return found


def test_a_plugins_token_is_asked_for_once(tmp_path: Path) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, credential("abc"))))
    assert [credentials.current().authorization for _ in range(3)] == ["Bearer abc"] * 3
    assert runs(tmp_path) == 1


def test_a_plugin_is_not_run_before_its_token_is_wanted(tmp_path: Path) -> None:
    open_credentials(using(tmp_path, printing(tmp_path, credential())))
    assert not (tmp_path / "runs").exists()


def test_a_token_is_kept_until_it_expires(tmp_path: Path) -> None:
    now = [NOON]
    path = printing(tmp_path, credential("one", expirationTimestamp="2026-01-15T12:10:00Z"))
    credentials = open_credentials(using(tmp_path, path), clock=lambda: now[0])
    assert credentials.current().authorization == "Bearer one"
    now[0] = NOON + timedelta(minutes=10)
    assert credentials.current().authorization == "Bearer one"
    printing(tmp_path, credential("two", expirationTimestamp="2026-01-15T13:10:00+01:00"))
    now[0] += timedelta(seconds=1)
    assert credentials.current().authorization == "Bearer two"
    assert runs(tmp_path) == 2


def test_contexts_with_equal_plugins_share_one_answer(tmp_path: Path) -> None:
    path = printing(tmp_path, credential("abc"))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = open_credentials(using(tmp_path / "a", path))
    second = open_credentials(using(tmp_path / "b", path))
    assert first.current().authorization == second.current().authorization == "Bearer abc"
    assert runs(tmp_path) == 1


def test_plugins_with_other_arguments_or_variables_are_others(tmp_path: Path) -> None:
    path = printing(tmp_path, credential("abc"))
    for fields in ({}, {"args": ["a"]}, {"env": [{"name": "A", "value": "1"}]}):
        open_credentials(using(tmp_path, path, **fields)).current()
    assert runs(tmp_path) == 3


def test_four_threads_wait_for_one_run(tmp_path: Path) -> None:
    path = printing(tmp_path, credential("abc", expirationTimestamp="2020-01-01T00:00:00Z"))  # at once too old
    credentials = open_credentials(using(tmp_path, path), run=together(4))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: credentials.current().authorization, range(4)))
    assert answers == ["Bearer abc"] * 4
    assert runs(tmp_path) == 1


def test_a_failure_is_shared_by_those_who_waited_for_it(tmp_path: Path) -> None:
    credentials = open_credentials(using(tmp_path, script(tmp_path, "exit 3")), run=together(4))

    def ask(_: int) -> str:
        with pytest.raises(ClusterUnauthorized) as caught:
            credentials.current()
        return str(caught.value)

    with ThreadPoolExecutor(4) as pool:
        messages = set(pool.map(ask, range(4)))
    assert len(messages) == 1
    assert runs(tmp_path) == 1
    printing(tmp_path, credential("later"))
    assert open_credentials(using(tmp_path, tmp_path / "plugin")).current().authorization == "Bearer later"


def together(count: int, *, inside: str = "find") -> Callable[[ExecPlugin], bytes]:
    """Return a runner that begins when all other of so many threads wait for its answer."""

    def run(plugin: ExecPlugin) -> bytes:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            waiting = [frame for frame in sys._current_frames().values() if frame.f_code.co_name == inside]
            if len(waiting) == count - 1:
                break
            time.sleep(0.005)
        return run_plugin(plugin)

    return run


def test_after_401_the_plugin_runs_again(tmp_path: Path) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, credential("one"))))
    assert credentials.current().authorization == "Bearer one"
    printing(tmp_path, credential("two"))
    assert credentials.refresh() is True
    assert credentials.current().authorization == "Bearer two"
    assert runs(tmp_path) == 2


def test_the_same_token_again_is_not_worth_a_retry(tmp_path: Path) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, credential("one"))))
    credentials.current()
    assert credentials.refresh() is False
    assert runs(tmp_path) == 2


def test_after_401_in_four_threads_the_plugin_runs_once(tmp_path: Path) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, credential("one"))))
    all_have_the_old_one = threading.Barrier(4)

    def ask(_: int) -> tuple[bool, str | None]:
        credentials.current()
        if all_have_the_old_one.wait(20) == 0:
            printing(tmp_path, credential("two"))
        all_have_the_old_one.wait(20)
        return credentials.refresh(), credentials.current().authorization

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert answers == [(True, "Bearer two")] * 4
    assert runs(tmp_path) == 2


def test_the_same_token_again_is_asked_for_once_by_four_threads(tmp_path: Path) -> None:
    path = printing(tmp_path, credential("one"))
    open_credentials(using(tmp_path, path)).current()
    credentials = open_credentials(using(tmp_path, path), run=together(4, inside="replace"))
    all_have_it = threading.Barrier(4)

    def ask(_: int) -> bool:
        credentials.current()
        all_have_it.wait(20)
        return credentials.refresh()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [False] * 4
    assert runs(tmp_path) == 2


def test_a_plugin_that_fails_after_401_is_told(tmp_path: Path) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, credential("one"))))
    credentials.current()
    script(tmp_path, "echo 'session expired' >&2; exit 1")
    with pytest.raises(ClusterUnauthorized, match="session expired"):
        credentials.refresh()


def test_a_plugin_gets_its_arguments_variables_and_exec_info(tmp_path: Path) -> None:
    path = script(tmp_path, 'printf "%s|%s|%s|%s|%s" "$1" "$2" "$WHO" "$FROM" "$KUBERNETES_EXEC_INFO"')
    plugin = plugin_of(tmp_path, path, args=["get token", "$(id)"], env=[{"name": "WHO", "value": "me & you"}])
    output = run_plugin(plugin, environ=os.environ | {"WHO": "nobody", "FROM": "outside"})
    *given, info = output.decode().split("|")
    assert given == ["get token", "$(id)", "me & you", "outside"]
    assert json.loads(info) == {
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": False},
    }


def test_a_plugin_is_found_beside_the_kubeconfig(tmp_path: Path) -> None:
    printing(tmp_path, credential("beside"))
    assert open_credentials(using(tmp_path, "./plugin")).current().authorization == "Bearer beside"


def test_a_plugin_is_found_in_the_path(tmp_path: Path) -> None:
    script(tmp_path, "printf found")
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert run_plugin(plugin_of(tmp_path, "plugin"), environ=environ) == b"found"


def test_a_plugin_has_neither_stdin_nor_a_terminal(tmp_path: Path) -> None:
    path = script(tmp_path, 'read line && echo "got $line"; (: < /dev/tty) 2> /dev/null && echo terminal; printf end')
    assert run_plugin(plugin_of(tmp_path, path)) == b"end"


def test_a_missing_plugin_is_told_with_its_hint(tmp_path: Path) -> None:
    context = using(tmp_path, "no-such-plugin", installHint="Install it:\n  brew install no-such-plugin\n")
    with pytest.raises(KubeconfigError) as caught:
        open_credentials(context).current()
    assert str(caught.value) == (
        f"{tmp_path}/config: user 'someone': exec: the plug-in 'no-such-plugin' cannot be found, or is not executable. "
        "Install it: | brew install no-such-plugin"
    )


def test_a_plugin_without_interpreter_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plugin"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(KubeconfigError, match=r"cannot be started \(No such file or directory\)\. Correct the user's"):
        run_plugin(plugin_of(tmp_path, path))


def test_a_plugin_with_a_null_byte_is_told(tmp_path: Path) -> None:
    path = script(tmp_path, "true")
    with pytest.raises(KubeconfigError, match=r"cannot be started \(embedded null byte\)"):
        run_plugin(plugin_of(tmp_path, path, args=["a\0b"]))


def test_a_failing_plugin_is_told_with_its_last_lines(tmp_path: Path) -> None:
    path = script(
        tmp_path,
        r"""
        for n in 1 2 3 4 5 6; do echo "line $n" >&2; done
        printf '\033[31mtoken\tgone\033[0m\r\n\033]0;title\007bell \a\n\n' >&2
        echo secret-on-stdout
        exit 7
        """,
    )
    with pytest.raises(ClusterUnauthorized) as caught:
        run_plugin(plugin_of(tmp_path, path))
    assert str(caught.value) == (
        f"{tmp_path}/config: user 'someone': exec: the plug-in '{path}' failed with exit code 7, saying: "
        "line 4 | line 5 | line 6 | token gone | bell \ufffd"
    )


def test_a_plugin_that_fails_without_a_word_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnauthorized, match=r"was ended by signal 9; run it by hand to see why\."):
        run_plugin(plugin_of(tmp_path, script(tmp_path, "kill -9 $$")))


def test_a_plugin_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    path = script(tmp_path, f'echo "open your browser" >&2; sleep 600 & echo $! > "{tmp_path}/child"; wait')
    with pytest.raises(ClusterUnauthorized) as caught:
        run_plugin(plugin_of(tmp_path, path), timeout_seconds=1)
    assert str(caught.value).endswith("did not end within 1 seconds and was stopped, saying: open your browser")
    wait_until(lambda: is_gone(int((tmp_path / "child").read_text())))


def test_a_plugin_is_stopped_when_we_are_interrupted(tmp_path: Path) -> None:
    # more than a pipe holds: when it has been printed, somebody reads
    body = f'echo $$ > "{tmp_path}/pid"; head -c 300000 /dev/zero; kill -INT {os.getpid()}; sleep 600'
    path = script(tmp_path, body)
    with pytest.raises(KeyboardInterrupt):
        run_plugin(plugin_of(tmp_path, path), timeout_seconds=20)
    wait_until(lambda: is_gone(int((tmp_path / "pid").read_text())))


def test_a_plugin_that_never_stops_talking_is_stopped(tmp_path: Path) -> None:
    path = script(tmp_path, "while :; do echo noise >&2; done")
    with pytest.raises(ClusterUnauthorized, match=r"did not end within 0\.5 seconds"):
        run_plugin(plugin_of(tmp_path, path), timeout_seconds=0.5)


def test_a_plugin_that_prints_without_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnauthorized, match="printed more than 1 MiB and was stopped"):
        run_plugin(plugin_of(tmp_path, script(tmp_path, "exec cat /dev/zero")))


def test_a_plugin_may_leave_a_child_behind(tmp_path: Path) -> None:
    path = script(tmp_path, 'sleep 5 & echo $! > "$0.child"; printf token')
    try:
        assert run_plugin(plugin_of(tmp_path, path)) == b"token"
    finally:
        os.kill(int((tmp_path / "plugin.child").read_text()), 9)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "printed 0 bytes that are no ExecCredential: Input data was truncated"),
        ("Please log in: s3cret", "printed 21 bytes that are no ExecCredential: JSON is malformed"),
        ("[" * 100_000, "printed 100000 bytes that are no ExecCredential"),
        (credential("s3cret") + "s3cret", "that are no ExecCredential: JSON is malformed: trailing characters"),
        ('{"status": {"token": 7}}', "no ExecCredential: Expected `str | null`, got `int` - at `$.status.token`"),
        (credential("s3cret", expirationTimestamp="tomorrow"), "Invalid RFC3339 encoded datetime"),
        (credential("s3cret", expirationTimestamp="2026-01-15T12:00:00"), "Expected `datetime` with a timezone"),
        (
            credential(""),
            "returned neither a token (status.token) nor a client certificate; run it by hand to see why.",
        ),
        ('{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1"}', "returned neither a token"),
    ],
)
def test_rubbish_of_a_plugin_is_told_but_not_shown(tmp_path: Path, output: str, message: str) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, output)))
    with pytest.raises(ClusterUnauthorized) as caught:
        credentials.current()
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            credential().replace("/v1", "/v1beta1"),
            "printed a 'ExecCredential' of 'client.authentication.k8s.io/v1beta1', not an 'ExecCredential' of",
        ),
        ("{}", "printed a '' of '', not an 'ExecCredential' of 'client.authentication.k8s.io/v1'."),
    ],
)
def test_an_answer_of_another_version_is_refused(tmp_path: Path, output: str, message: str) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, output)))
    with pytest.raises(KubeconfigError) as caught:
        credentials.current()
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugin_is_asked_and_answers_in_the_version_of_its_entry(tmp_path: Path, version: str) -> None:
    api_version = f"client.authentication.k8s.io/{version}"
    (tmp_path / "answer").write_text(credential("abc").replace("client.authentication.k8s.io/v1", api_version))
    path = script(tmp_path, f'printf %s "$KUBERNETES_EXEC_INFO" > "{tmp_path}/info"; cat "{tmp_path}/answer"')
    credentials = open_credentials(using(tmp_path, path, apiVersion=api_version))
    assert credentials.current().authorization == "Bearer abc"
    assert json.loads((tmp_path / "info").read_text())["apiVersion"] == api_version


def told(folder: Path, *, clusters: list[Any]) -> Any:
    """Return what a plug-in that wants to know is told of the cluster."""
    path = script(folder, 'printf %s "$KUBERNETES_EXEC_INFO"')
    context = load_one(folder, clusters=clusters, users=[user("someone", plugin(str(path), provideClusterInfo=True))])
    context.require_usable()
    assert context.user.exec is not None
    return json.loads(run_plugin(context.user.exec))["spec"]


def test_a_plugin_that_wants_to_know_is_told_of_the_cluster(tmp_path: Path) -> None:
    config = {"audience": "east", "nested": {"list": [1, True, None]}}
    clusters = [
        cluster(
            certificate_authority_data=encode(b"PEM"),
            tls_server_name="api.internal",
            proxy_url="http://me:pw@proxy:3128",
            disable_compression=True,
            extensions=[{"name": "client.authentication.k8s.io/exec", "extension": config}],
        )
    ]
    assert told(tmp_path, clusters=clusters) == {
        "interactive": False,
        "cluster": {
            "server": "https://api.example.com:6443",
            "tls-server-name": "api.internal",
            "certificate-authority-data": encode(b"PEM"),
            "proxy-url": "http://me:pw@proxy:3128",
            "disable-compression": True,
            "config": config,
        },
    }


def test_a_plugin_is_not_told_what_the_kubeconfig_does_not_say(tmp_path: Path) -> None:
    assert told(tmp_path, clusters=[cluster(insecure_skip_tls_verify=True)])["cluster"] == {
        "server": "https://api.example.com:6443",
        "insecure-skip-tls-verify": True,
        "config": None,
    }


def test_a_plugin_is_told_the_authority_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    told_of = told(tmp_path, clusters=[cluster(certificate_authority="ca.crt")])["cluster"]
    assert told_of["certificate-authority-data"] == encode(b"PEM")


def test_an_authority_that_a_plugin_cannot_be_told_is_the_kubeconfigs_fault(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=r"certificate-authority: .*ca\.crt cannot be read"):
        told(tmp_path, clusters=[cluster(certificate_authority="ca.crt")])


def test_plugins_that_are_told_of_other_clusters_are_others(tmp_path: Path) -> None:
    path = printing(tmp_path, credential("abc"))
    for provide, expected in ((False, 1), (True, 3)):
        for server in ("https://east", "https://west"):
            fields = plugin(str(path), provideClusterInfo=provide)
            context = load_one(tmp_path, clusters=[cluster(server=server)], users=[user("someone", fields)])
            assert open_credentials(context).current().authorization == "Bearer abc"
        assert runs(tmp_path) == expected


def issued(authority: trustme.CA, *, not_after: datetime | None = None) -> dict[str, str]:
    leaf = authority.issue_cert("me@example.com", not_before=NOON - timedelta(days=900), not_after=not_after)
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    return {
        "clientCertificateData": chain.decode(),
        "clientKeyData": leaf.private_key_pem.bytes().decode(),
    }


@pytest.mark.parametrize("token", ["", "abc"])
def test_a_plugin_may_issue_a_client_certificate_with_a_token_or_without(
    tmp_path: Path, authority: trustme.CA, token: str
) -> None:
    status = issued(authority)
    context = using(tmp_path, printing(tmp_path, credential(token, **status)))
    issued_now = open_credentials(context).current()
    assert issued_now.authorization == (f"Bearer {token}" if token else None)
    assert issued_now.certificate is not None
    assert issued_now.certificate.chain.decode() == status["clientCertificateData"]
    assert "PRIVATE KEY" not in repr(issued_now)
    server_side = shake_hands(
        build_ssl_context(trusting(tmp_path, authority), issued_now.certificate),
        server_tls(authority, client_authority=authority),
    )
    assert server_side.getpeercert()


def trusting(folder: Path, authority: trustme.CA) -> Context:
    return load_one(
        folder,
        clusters=[cluster(certificate_authority_data=encode(pem_of(authority)))],
        users=[user("someone", {})],
    )


def test_a_client_certificate_is_kept_until_it_ends(tmp_path: Path, authority: trustme.CA) -> None:
    now = [NOON]
    end = NOON + timedelta(hours=1)
    path = printing(tmp_path, credential("", **issued(authority, not_after=end)))
    credentials = open_credentials(using(tmp_path, path), clock=lambda: now[0])
    first = credentials.current()
    now[0] = end
    assert credentials.current() == first
    now[0] = end + timedelta(seconds=1)
    printing(tmp_path, credential("", **issued(authority)))
    assert credentials.current() != first
    assert runs(tmp_path) == 2


def test_the_expiry_that_a_plugin_names_goes_before_the_certificates_end(tmp_path: Path, authority: trustme.CA) -> None:
    status = issued(authority, not_after=NOON - timedelta(days=1))
    path = printing(tmp_path, credential("", expirationTimestamp="2026-01-15T12:10:00Z", **status))
    credentials = open_credentials(using(tmp_path, path), clock=lambda: NOON)
    assert credentials.current() == credentials.current()
    assert runs(tmp_path) == 1


def test_another_certificate_after_a_refusal_is_worth_a_retry(tmp_path: Path, authority: trustme.CA) -> None:
    credentials = open_credentials(using(tmp_path, printing(tmp_path, credential("", **issued(authority)))))
    credentials.current()
    assert credentials.refresh() is False
    printing(tmp_path, credential("", **issued(authority)))
    assert credentials.refresh() is True


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"clientKeyData": ""}, ClusterUnauthorized, "returned status.clientCertificateData without status.clientKeyD"),
        (
            {"clientCertificateData": None},
            ClusterUnauthorized,
            "returned status.clientKeyData without status.clientCer",
        ),
        (
            {"clientCertificateData": "rubbish"},
            KubeconfigError,
            "status.clientCertificateData, or its client-key, is n",
        ),
        (
            {"clientKeyData": "s3cret"},
            KubeconfigError,
            "status.clientCertificateData, or its client-key, is not in PEM",
        ),
    ],
)
def test_a_plugins_certificate_that_is_of_no_use_is_told_but_not_shown(
    tmp_path: Path, authority: trustme.CA, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = printing(tmp_path, credential("", **(issued(authority) | change)))
    with pytest.raises(error) as caught:
        open_credentials(using(tmp_path, path)).current()
    assert f"the plug-in '{path}'" in str(caught.value)
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_another_key_in_a_plugins_answer_is_told(tmp_path: Path, authority: trustme.CA) -> None:
    status = issued(authority) | {"clientKeyData": issued(authority)["clientKeyData"]}
    with pytest.raises(KubeconfigError, match=r"status\.clientKeyData does not belong to its client-certificate"):
        open_credentials(using(tmp_path, printing(tmp_path, credential("", **status)))).current()


def test_a_client_certificate_of_the_kubeconfig_goes_before_a_plugins(tmp_path: Path, authority: trustme.CA) -> None:
    certificate, key = identity(authority)
    fields = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    context = load_one(
        tmp_path,
        clusters=[cluster(certificate_authority_data=encode(pem_of(authority)))],
        users=[user("someone", fields | plugin("unused"))],
    )
    other = ClientCertificate(*identity(authority, "other@example.com"))
    tls = build_ssl_context(context, other)
    shown = shake_hands(tls, server_tls(authority, client_authority=authority)).getpeercert()
    assert shown is not None
    assert ("email", "admin@example.com") in shown["subjectAltName"]


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_of_the_kubeconfig_is_all_there_is(tmp_path: Path) -> None:
    credentials = open_credentials(load_one(tmp_path))
    assert credentials.current().authorization == "Bearer s3cret"
    assert credentials.refresh() is False


def test_who_has_no_token_sends_no_header(tmp_path: Path) -> None:
    assert open_credentials(load_one(tmp_path, users=[user("someone", {})])).current().authorization is None


def test_a_token_goes_before_a_plugin_and_that_is_said(tmp_path: Path) -> None:
    context = load_one(tmp_path, users=[user("someone", {"token": "t"} | plugin("no-such-plugin"))])
    assert open_credentials(context).current().authorization == "Bearer t"
    assert context_warnings(context) == (
        "context 'dev': user 'someone' has a token and an exec plug-in; the token is used, as kubectl does.",
    )


def test_a_context_that_cannot_be_used_has_no_credentials(tmp_path: Path) -> None:
    context = load_one(tmp_path, users=[user("someone", {"username": "root"})])
    with pytest.raises(KubeconfigError, match="basic authentication"):
        open_credentials(context)
    with pytest.raises(KubeconfigError, match="basic authentication"):
        build_ssl_context(context)


def reading(folder: Path, **fields: Any) -> Context:
    return load_one(folder, users=[user("someone", {"tokenFile": "token"} | fields)])


def test_a_token_file_goes_before_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  from-file\n")
    assert open_credentials(reading(tmp_path, token="from-config")).current().authorization == "Bearer from-file"


def test_a_token_stands_in_until_its_file_can_be_read(tmp_path: Path) -> None:
    credentials = open_credentials(reading(tmp_path, token="from-config"))
    assert credentials.current().authorization == "Bearer from-config"
    (tmp_path / "token").write_text("from-file")
    assert credentials.current().authorization == "Bearer from-file"


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    credentials = open_credentials(reading(tmp_path), clock=lambda: NOON)
    assert credentials.current().authorization == "Bearer one"
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(tmp_path / "token")
    assert credentials.current().authorization == "Bearer two"


def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    now = [NOON]
    path = tmp_path / "token"
    path.write_text("one")
    os.utime(path, (1, 1))
    credentials = open_credentials(reading(tmp_path), clock=lambda: now[0])
    assert credentials.current().authorization == "Bearer one"
    path.write_text("two")  # a file system whose times do not tell
    os.utime(path, (1, 1))
    assert credentials.current().authorization == "Bearer one"
    now[0] += timedelta(seconds=60)
    assert credentials.current().authorization == "Bearer two"


def test_after_401_a_token_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    os.utime(path, (1, 1))
    credentials = open_credentials(reading(tmp_path), clock=lambda: NOON)
    credentials.current()
    assert credentials.refresh() is False
    path.write_text("two")
    os.utime(path, (1, 1))
    assert credentials.refresh() is True
    assert credentials.current().authorization == "Bearer two"


def test_the_last_token_stays_while_its_file_is_away(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    credentials = open_credentials(reading(tmp_path))
    credentials.current()
    (tmp_path / "token").unlink()
    assert credentials.current().authorization == "Bearer one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "tokenFile: {folder}/token cannot be read (No such file or directory); correct its path or its mode."),
        (b" \n", "tokenFile: {folder}/token is empty; log in again."),
        (b"x" * 5_000_000, "tokenFile: {folder}/token is larger than 4 MiB."),
    ],
)
def test_a_token_file_that_is_of_no_use_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(KubeconfigError) as caught:
        open_credentials(reading(tmp_path)).current()
    assert str(caught.value) == f"{tmp_path}/config: user 'someone': {message.format(folder=tmp_path)}"


# --- trust ----------------------------------------------------------------------------------------------------------

HOST = "api.example.com"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def pem_of(authority: trustme.CA) -> bytes:
    return authority.cert_pem.bytes()


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def server_tls(authority: trustme.CA, *hosts: str, client_authority: trustme.CA | None = None) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(hosts or (HOST,))).configure_cert(tls)
    if client_authority:
        tls.verify_mode = ssl.CERT_REQUIRED
        client_authority.configure_trust(tls)
    return tls


def shake_hands(client_tls: ssl.SSLContext | None, server: ssl.SSLContext, host: str = HOST) -> ssl.SSLObject:
    """Shake hands in memory and return the server's side; raises what the client's side raises."""
    assert client_tls is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client_tls.wrap_bio(to_client, to_server, server_hostname=host)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client_side, server_side]
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    return server_side


def test_the_kubeconfigs_authority_is_trusted(tmp_path: Path, authority: trustme.CA) -> None:
    context = load_one(tmp_path, clusters=[cluster(certificate_authority_data=encode(pem_of(authority)))])
    shake_hands(build_ssl_context(context), server_tls(authority))


def test_the_authority_may_be_a_file_with_comments_and_several_certificates(
    tmp_path: Path, authority: trustme.CA
) -> None:
    bundle = "# Möhre\n".encode() + pem_of(trustme.CA()) + b"\nnext one\n" + pem_of(authority)
    (tmp_path / "ca.crt").write_bytes(bundle)
    context = load_one(tmp_path, clusters=[cluster(certificate_authority="ca.crt")])
    shake_hands(build_ssl_context(context), server_tls(authority))


def test_an_intermediate_authority_may_be_the_one_that_is_trusted(tmp_path: Path, authority: trustme.CA) -> None:
    intermediate = authority.create_child_ca()
    context = load_one(tmp_path, clusters=[cluster(certificate_authority_data=encode(pem_of(intermediate)))])
    shake_hands(build_ssl_context(context), server_tls(intermediate))


@pytest.mark.parametrize("has_own", [True, False], ids=["own authority", "the system's store"])
def test_other_authorities_are_not_trusted(tmp_path: Path, authority: trustme.CA, has_own: bool) -> None:
    fields = {"certificate_authority_data": encode(pem_of(trustme.CA()))} if has_own else {}
    context = load_one(tmp_path, clusters=[cluster(**fields)])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(build_ssl_context(context), server_tls(authority))


def test_the_servers_name_is_checked(tmp_path: Path, authority: trustme.CA) -> None:
    context = load_one(tmp_path, clusters=[cluster(certificate_authority_data=encode(pem_of(authority)))])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(build_ssl_context(context), server_tls(authority, "other.example.com"))


def test_insecure_checks_nothing_and_warns(tmp_path: Path, authority: trustme.CA) -> None:
    context = load_one(tmp_path, clusters=[cluster(insecure_skip_tls_verify=True)])
    shake_hands(build_ssl_context(context), server_tls(authority, "other.example.com"))
    assert context_warnings(context) == (
        f"context 'dev': insecure-skip-tls-verify is set in {tmp_path}/config: anybody on the way to "
        "https://api.example.com:6443 can read and change what is sent, the token included.",
    )


@pytest.mark.parametrize("fields", [{}, {"insecure_skip_tls_verify": True}], ids=["system", "insecure"])
def test_old_tls_is_not_spoken(tmp_path: Path, fields: dict[str, Any]) -> None:
    tls = build_ssl_context(load_one(tmp_path, clusters=[cluster(**fields)]))
    assert tls is not None
    assert tls.minimum_version == ssl.TLSVersion.TLSv1_2


def test_plain_http_has_no_tls_and_warns_of_the_token(tmp_path: Path) -> None:
    context = load_one(tmp_path, clusters=[cluster(server="HTTP://127.0.0.1:8001", insecure_skip_tls_verify=True)])
    assert build_ssl_context(context) is None
    assert context_warnings(context) == (
        "context 'dev': the token of user 'someone' travels unencrypted to HTTP://127.0.0.1:8001; use https://.",
    )


def test_plain_http_without_a_token_needs_no_warning(tmp_path: Path) -> None:
    context = load_one(tmp_path, clusters=[cluster(server="http://127.0.0.1:8001")], users=[user("someone", {})])
    assert context_warnings(context) == ()


def test_a_good_context_needs_no_warning(tmp_path: Path) -> None:
    assert context_warnings(load_one(tmp_path)) == ()


def test_warnings_of_a_broken_context_do_not_fail(tmp_path: Path) -> None:
    assert context_warnings(load_one(tmp_path, contexts=[context(cluster="nowhere")])) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "certificate-authority: {folder}/ca.crt cannot be read (No such file or directory); correct its path"),
        (b"not PEM", "certificate-authority holds no certificate in PEM format; write it anew, or log in again."),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "certificate-authority holds a damaged certificate; write it anew, or log in again.",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----",
            "certificate-authority holds a damaged certificate; write it anew, or log in again.",
        ),
    ],
)
def test_an_authority_that_is_of_no_use_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_bytes(content)
    context = load_one(tmp_path, clusters=[cluster(certificate_authority="ca.crt")])
    with pytest.raises(KubeconfigError) as caught:
        build_ssl_context(context)
    assert str(caught.value).startswith(f"{tmp_path}/config: cluster 'east': {message.format(folder=tmp_path)}")


def identity(authority: trustme.CA, name: str = "admin@example.com") -> tuple[bytes, bytes]:
    issued = authority.issue_cert(name)
    return b"".join(pem.bytes() for pem in issued.cert_chain_pems), issued.private_key_pem.bytes()


@pytest.mark.parametrize("place", ["inline", "files", "mixed"])
def test_a_client_certificate_is_shown_to_the_server(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    certificate, key = identity(authority)
    (tmp_path / "me.crt").write_bytes(certificate)
    (tmp_path / "me.key").write_bytes(key)
    fields = {
        "inline": {"client-certificate-data": encode(certificate), "client-key-data": encode(key)},
        "files": {"client-certificate": "me.crt", "client-key": "me.key"},
        "mixed": {"client-certificate": "me.crt", "client-key-data": encode(key)},
    }[place]
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    context = load_one(
        tmp_path,
        clusters=[cluster(certificate_authority_data=encode(pem_of(authority)))],
        users=[user("someone", fields)],
    )
    server_side = shake_hands(build_ssl_context(context), server_tls(authority, client_authority=authority))
    shown = server_side.getpeercert()
    assert shown is not None
    assert ("email", "admin@example.com") in shown["subjectAltName"]
    assert list(scratch.iterdir()) == []


def encrypted(key: bytes) -> bytes:
    loaded = serialization.load_pem_private_key(key, None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda certificate, key, other: (certificate, other),
            "client-key does not belong to its client-certificate; log in again.",
        ),
        (
            lambda certificate, key, other: (certificate, encrypted(key)),
            "client-key is encrypted, and there is nobody to ask for its password; decrypt it.",
        ),
        (
            lambda certificate, key, other: (b"rubbish", key),
            "client-certificate, or its client-key, is not in PEM format or is damaged",
        ),
        (
            lambda certificate, key, other: (certificate, b"rubbish"),
            "client-certificate, or its client-key, is not in PEM format or is damaged",
        ),
    ],
    ids=["other key", "encrypted key", "no certificate", "no key"],
)
def test_a_client_certificate_that_is_of_no_use_is_told(
    tmp_path: Path, authority: trustme.CA, change: Callable[[bytes, bytes, bytes], tuple[bytes, bytes]], message: str
) -> None:
    certificate, key = identity(authority)
    certificate, key = change(certificate, key, identity(authority)[1])
    fields = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    with pytest.raises(KubeconfigError) as caught:
        build_ssl_context(load_one(tmp_path, users=[user("someone", fields)]))
    assert str(caught.value).startswith(f"{tmp_path}/config: user 'someone': {message}")


def test_a_missing_client_key_file_is_told(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "me.crt").write_bytes(identity(authority)[0])
    fields = {"client-certificate": "me.crt", "client-key": "me.key"}
    with pytest.raises(KubeconfigError, match=r"client-key: .*/me\.key cannot be read \(No such file or directory\)"):
        build_ssl_context(load_one(tmp_path, users=[user("someone", fields)]))


def test_a_client_certificate_needs_a_place_for_a_file(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = identity(authority)
    fields = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no"))
    with pytest.raises(KubeconfigError, match=r"no temporary file can be written \(No such file or directory\)"):
        build_ssl_context(load_one(tmp_path, users=[user("someone", fields)]))
