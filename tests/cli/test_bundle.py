"""`oomdb bundle` and `oomdb collect --tarballs` as a user runs them."""

import csv
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from oomdb.artifacts.local import ArtifactFolder
from oomdb.cli.main import run
from oomdb.model import Artifact, ArtifactKind
from oomdb.store.database import open_for_writing
from tests.remote.site import HTML, ROOT, Reply, Request, Site, apache, jenkins, serving
from tests.reports.recording import record_run
from tests.store.builders import NOW, ago, artifact, finding, kill, loop, scan

from .fleet import Fleet

Bundle = Callable[..., tuple[int, str, str]]
KINDS: tuple[ArtifactKind, ...] = ("description", "log")


@pytest.fixture(autouse=True)
def no_logins(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set no login to a web server and no proxy, in an empty home."""
    for name in os.environ:
        if name.startswith(("REMOTE_", "JENKINS_", "SSL_CERT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(clean_place))


@pytest.fixture
def bundle(capsys: pytest.CaptureFixture[str]) -> Bundle:
    """Run `oomdb bundle` and return its exit code, stdout and stderr."""

    def invoke(*args: str, now: datetime = NOW) -> tuple[int, str, str]:
        code = run(["bundle", "--tz", "UTC", *args], now=now)
        out, err = capsys.readouterr()
        return code, out, err

    return invoke


def save(output: str, at: datetime, *, pod: str = "checkout-1", pod_uid: str = "uid-1") -> tuple[Artifact, ...]:
    """Write a pod's description and log to an output folder."""
    folder = ArtifactFolder(Path(output), reserved_bytes=0)
    written = [folder.write("prod-a", "shop", pod, at, kind, [f"{kind} of {pod} at {at}".encode()]) for kind in KINDS]
    return tuple(
        artifact(kind=kind, captured_at=at, path=it.path, sha256=it.sha256, pod=pod, pod_uid=pod_uid)
        for kind, it in zip(KINDS, written, strict=True)
    )


def record_history(output: str = "output") -> None:
    """Record two kills of a pod on two days, and a loop of another one."""
    with open_for_writing(f"{output}/oomdb.sqlite") as store:
        first, second = ago(hours=40), ago(hours=12)
        record_run(store, scan(finding(kill(first)), artifacts=save(output, first)), at=first)
        again = finding(kill(second, container_id="cri-o://2"))
        looping = finding(loop(second), pod="checkout-1-worker", pod_uid="uid-2", workload="worker")
        other = save(output, second, pod="checkout-1-worker", pod_uid="uid-2")
        record_run(store, scan(again, looping, artifacts=(*save(output, second), *other)), at=second)


def members(path: str | Path) -> list[str]:
    with tarfile.open(path) as tar:
        return [member.name.partition("/")[2] for member in tar]


BLOCK = """
==============================================
Report for pod: checkout-1
==============================================
OOMKilled: 1 instance(s) on 13-Jan-2026, Namespace: shop (cluster: prod-a)
OOMKilled: 1 instance(s) on 15-Jan-2026, Namespace: shop (cluster: prod-a)
CrashLoopBackOff: 0 instances (no occurrences in the history)
==============================================
Created: {output}/tarballs/OOMKilled-checkout-1-instance-13th-Jan-2026.tgz
Created: {output}/tarballs/OOMKilled-checkout-1-instance-15th-Jan-2026.tgz
"""


def test_a_pod_has_a_line_and_a_tarball_for_each_type_and_day(bundle: Bundle) -> None:
    record_history()
    code, out, err = bundle("--pod-name", "checkout-1")
    assert (code, out, err) == (0, BLOCK.format(output="output"), "")
    assert members("output/tarballs/OOMKilled-checkout-1-instance-15th-Jan-2026.tgz") == [
        "prod-a/shop__checkout-1__20260115T030000Z__desc.txt",
        "prod-a/shop__checkout-1__20260115T030000Z__log.txt",
    ]


def test_days_are_those_of_the_zone(bundle: Bundle) -> None:
    record_history()
    out = bundle("-p", "checkout-1", "--tz", "America/New_York")[1]
    assert "on 14-Jan-2026" in out
    assert "15-Jan" not in out
    assert "OOMKilled-checkout-1-instance-14th-Jan-2026.tgz" in out


def test_the_second_time_nothing_is_created(bundle: Bundle) -> None:
    record_history()
    bundle("-p", "checkout-1")
    before = {path.name: path.stat().st_mtime_ns for path in Path("output/tarballs").iterdir()}
    code, out, err = bundle("-p", "checkout-1", now=NOW + timedelta(hours=1))
    assert (code, "Created" in out) == (0, False)
    assert "output/tarballs/OOMKilled-checkout-1-instance-15th-Jan-2026.tgz is up to date" in err
    assert {path.name: path.stat().st_mtime_ns for path in Path("output/tarballs").iterdir()} == before


def test_what_came_to_a_day_makes_a_second_tarball_with_the_time_in_its_name(bundle: Bundle) -> None:
    record_history()
    bundle("-p", "checkout-1")
    with open_for_writing("output/oomdb.sqlite") as store:
        third = finding(kill(ago(hours=1), container_id="cri-o://3"))
        record_run(store, scan(third, artifacts=save("output", ago(minutes=30))))
    out = bundle("-p", "checkout-1", "--tz", "Asia/Kolkata")[1]
    assert "Created: output/tarballs/OOMKilled-checkout-1-instance-15th-Jan-2026-20-30.tgz" in out
    assert len(members("output/tarballs/OOMKilled-checkout-1-instance-15th-Jan-2026-20-30.tgz")) == 4
    assert len(members("output/tarballs/OOMKilled-checkout-1-instance-15th-Jan-2026.tgz")) == 2


def test_a_text_that_means_several_workloads_lists_them_and_bundles_all(bundle: Bundle) -> None:
    record_history()
    code, out, err = bundle("-p", "checkout")
    assert code == 0
    assert "'checkout' means pods of 2 workloads" in err
    assert "  Deployment checkout (namespace shop, cluster prod-a): 1 pod(s)\n" in err
    assert "  Deployment worker (namespace shop, cluster prod-a): 1 pod(s)\n" in err
    assert "Created: output/tarballs/CrashLoopBackOff-checkout-instance-15th-Jan-2026.tgz\n" in out
    err = bundle("-p", "checkout", "--workload", "worker")[2]
    assert "workloads" not in err


def test_a_pod_that_nobody_saw_is_said_and_makes_an_empty_folder(bundle: Bundle) -> None:
    record_history()
    code, out, err = bundle("-p", "chekout-1")
    assert code == 0
    assert "OOMKilled: 0 instances (no occurrences in the history)" in out
    assert "no known pod that fits has 'chekout-1' in its name" in err
    assert os.listdir("output/tarballs") == []


@pytest.mark.parametrize("text", ["../../etc", "a\nCreated: /x", "\x1b[31m", "💥", "%", "x" * 10_000])
def test_any_text_can_be_asked_for(bundle: Bundle, text: str) -> None:
    with open_for_writing("output/oomdb.sqlite") as store:
        hostile = finding(kill(ago(hours=3)), pod=f"a{text}b", namespace="shop")
        record_run(store, scan(hostile, artifacts=save("output", ago(hours=2), pod=f"a{text}b")))
    code, out, _ = bundle("-p", text)
    (tarball,) = os.listdir("output/tarballs")
    assert code == 0
    assert out.count("\nCreated: output/tarballs/OOMKilled-") == 1
    assert tarball.startswith("OOMKilled-")
    assert tarball.endswith("-instance-15th-Jan-2026.tgz")
    assert len(members(f"output/tarballs/{tarball}")) == 2


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_name_is_refused_instead_of_meaning_every_pod(bundle: Bundle, text: str) -> None:
    record_history()
    code, out, err = bundle("-p", text)
    assert (code, out) == (2, "")
    assert "--pod-name is empty" in err


def test_texts_that_are_missing_are_said_and_the_others_are_bundled(bundle: Bundle) -> None:
    record_history()
    for log in Path("output/logs_and_description_files/prod-a").glob("*checkout-1__*log.txt"):
        log.unlink()
    for text in Path("output/logs_and_description_files/prod-a").glob("*20260113*"):
        text.unlink()
    code, out, err = bundle("-p", "checkout-1")
    assert code == 0
    assert out.count("Created") == 1
    assert "OOMKilled on 15-Jan-2026: '" in err
    assert "__log.txt' cannot be opened: No such file or directory." in err
    assert "OOMKilled on 13-Jan-2026: nothing is saved of it, so there is no tarball" in err


def test_a_text_that_was_changed_since_it_was_captured_is_said(bundle: Bundle) -> None:
    record_history()
    (text,) = Path("output/logs_and_description_files/prod-a").glob("*checkout-1__20260115*desc.txt")
    text.write_text("another")
    code, out, err = bundle("-p", "checkout-1")
    assert (code, out.count("Created")) == (0, 2)
    assert f"OOMKilled on 15-Jan-2026: '{text.relative_to('output')}' was changed since it was captured" in err
    assert err.count("was changed") == 1


def test_long_lists_of_workloads_and_troubles_are_cut_and_say_so(bundle: Bundle) -> None:
    with open_for_writing("output/oomdb.sqlite") as store:
        names = [f"checkout-{number}" for number in range(30)]
        found = [
            finding(kill(ago(hours=3), container_id=name), pod=name, pod_uid=name, workload=name, container="")
            for name in names
        ]
        gone = [artifact(pod=name, pod_uid=name, path="", status="gone") for name in names]
        record_run(store, scan(*found, artifacts=tuple(gone)))
    err = bundle("-p", "checkout")[2]
    assert "  … and 10 more workloads\n" in err
    assert "OOMKilled on 15-Jan-2026: 25 more such lines; -v shows them\n" in err
    assert bundle("-v", "-p", "checkout")[2].count("no description of checkout-") == 30


def test_a_path_in_the_database_that_leads_elsewhere_is_never_opened(bundle: Bundle) -> None:
    Path("secret").write_text("secret")
    with open_for_writing("output/oomdb.sqlite") as store:
        bad = (artifact(path="../secret"), artifact(kind="log", path="oomdb.sqlite"))
        record_run(store, scan(finding(kill(ago(hours=3))), artifacts=bad))
    code, out, err = bundle("-p", "checkout-1")
    assert (code, "Created" in out) == (0, False)
    assert err.count("it is not opened") == 2


def test_owners_end_the_lines(bundle: Bundle) -> None:
    record_history()
    Path("konflux").mkdir()
    rule = "/tenants-config/cluster/prod-a/tenants/shop/ @jane\n"
    Path("konflux/CODEOWNERS").write_text(rule)
    out = bundle("-p", "checkout-1", "-c", "konflux", "--no-glab")[1]
    assert 'on 15-Jan-2026, Namespace: shop (cluster: prod-a) is owned by "@jane"\n' in out


def test_another_folder_is_looked_into_with_its_own_database_unless_one_is_said(bundle: Bundle) -> None:
    record_history("elsewhere")
    assert bundle("-p", "checkout-1", "-d", "elsewhere")[1] == BLOCK.format(output="elsewhere")
    assert not Path("output").exists()
    Path("elsewhere/oomdb.sqlite").rename("moved.sqlite")
    code, out, err = bundle("-p", "checkout-1", "-d", "elsewhere", "--db", "moved.sqlite")
    assert (code, "2 instance" in out, out.count("1 instance")) == (0, False, 2)
    assert "the database moved.sqlite is read, not that of elsewhere\n" in err


def test_a_database_that_the_environment_names_is_that_of_its_output_folder_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_history("elsewhere")
    with open_for_writing("central.sqlite"):
        monkeypatch.setenv("OOMDB_DB", "central.sqlite")
    code, out, err = bundle("-p", "checkout-1", "-d", "elsewhere")
    assert (code, out, err) == (0, BLOCK.format(output="elsewhere"), "")
    _, out, err = bundle("-p", "checkout-1", "-d", "./elsewhere", "--output", "elsewhere")
    assert "OOMKilled: 0 instances" in out
    assert "the database central.sqlite is read, not that of elsewhere\n" in err


def test_a_folder_with_neither_database_nor_csv_says_so(bundle: Bundle) -> None:
    Path("empty").mkdir()
    code, out, err = bundle("-p", "checkout-1", "-d", "empty")
    assert (code, out) == (1, "")
    assert "empty/oomdb.sqlite: there is no database" in err
    assert os.listdir("empty") == []


# --- folders of the legacy script -----------------------------------------------------------------------------------

COLUMNS = "cluster,namespace,pod,type,application,component,timestamps,sources,description_file,pod_log_file,time_range"
STAMP = "20260113T230500Z"


def legacy_files(pod: str = "checkout-1", cluster: str = "prod-a") -> dict[str, bytes]:
    """Return the files of an output folder of the legacy script with one kill, by path."""
    texts = {kind: f"logs_and_description_files/{cluster}/shop__{pod}__{STAMP}__{kind}.txt" for kind in ("desc", "log")}
    paths = [f"/srv/old/output/{path}" for path in texts.values()]
    row = [cluster, "shop", pod, "OOMKilled", "store", "", "2026-01-13T23:00:00Z", "oc_get_pods", *paths, "1d"]
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS.split(","), row])
    return {
        "oom_results.csv": text.getvalue().encode(),
        "oom_results.html": b"<html>",
        **{path: f"{kind} of {pod}".encode() for kind, path in texts.items()},
        f"logs_and_description_files/{cluster}/{cluster}.log": b"{}",
        f"logs_and_description_files/{cluster}/shop__other__{STAMP}__log.txt": b"of another pod",
    }


def put(folder: str, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = Path(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


LEGACY_LINE = "OOMKilled: 1 instance(s) on 13-Jan-2026, Namespace: shop (cluster: prod-a)\n"
TARBALL = "OOMKilled-checkout-1-instance-13th-Jan-2026.tgz"


def test_a_folder_of_the_legacy_script_is_bundled_and_gets_no_database(bundle: Bundle) -> None:
    put("old", legacy_files())
    before = set(Path("old").rglob("*"))
    code, out, err = bundle("-p", "checkout-1", "-d", "old")
    assert code == 0
    assert LEGACY_LINE in out
    assert f"Created: old/tarballs/{TARBALL}\n" in out
    assert "there is no database old/oomdb.sqlite: the CSV files in old are read" in err
    assert members(f"old/tarballs/{TARBALL}") == [
        f"prod-a/shop__checkout-1__{STAMP}__desc.txt",
        f"prod-a/shop__checkout-1__{STAMP}__log.txt",
    ]
    assert set(Path("old").rglob("*")) - before == {Path("old/tarballs"), Path("old/tarballs", TARBALL)}


def test_owners_of_a_legacy_folder_are_told_and_leave_no_database(bundle: Bundle) -> None:
    put("old", legacy_files())
    Path("konflux").mkdir()
    Path("konflux/CODEOWNERS").write_text("/tenants-config/cluster/prod-a/tenants/shop/ @jane\n")
    out = bundle("-p", "checkout-1", "-d", "old", "-c", "konflux", "--no-glab")[1]
    assert '(cluster: prod-a) is owned by "@jane"\n' in out
    assert [*Path().rglob("*.sqlite*")] == []


def test_a_csv_that_cannot_be_read_is_an_error_and_the_others_are_bundled(bundle: Bundle) -> None:
    put("old", {**legacy_files(), "oom_results_13-Jan-2026_12-10-22-EST.csv": b"no,table\r\n1,2\r\n"})
    code, out, err = bundle("-p", "checkout-1", "-d", "old")
    assert code == 1
    assert f"Created: old/tarballs/{TARBALL}\n" in out
    assert "old/oom_results_13-Jan-2026_12-10-22-EST.csv: " in err


# --- a folder that Jenkins serves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [apache, jenkins])
def test_a_folder_that_is_served_is_bundled_here_and_there(bundle: Bundle, page: Callable[[list[str]], str]) -> None:
    with serving(Site(legacy_files(), page=page)) as site:
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
    assert code == 0
    assert LEGACY_LINE in out
    assert f"Created: output/tarballs/{TARBALL}\n" in out
    assert f"Uploaded: {site.url}tarballs/{TARBALL}" in err
    assert site.files[f"tarballs/{TARBALL}"] == Path("output/tarballs", TARBALL).read_bytes()
    assert [*Path().rglob("*.sqlite*")] == []
    taken = [path for path in site.asked_for() if not path.endswith("/")]
    assert sorted(path.rpartition("/")[2] for path in taken if "logs_and" in path) == [
        f"shop__checkout-1__{STAMP}__desc.txt",
        f"shop__checkout-1__{STAMP}__log.txt",
    ]


def test_what_the_server_has_already_is_not_uploaded_again(bundle: Bundle) -> None:
    with serving(Site(legacy_files())) as site:
        bundle("-p", "checkout-1", "-d", site.url)
        Path("output/tarballs", TARBALL).unlink()
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
        assert (code, "Uploaded" in err) == (0, False)
        assert f"Created: output/tarballs/{TARBALL}\n" in out
        site.files[f"tarballs/{TARBALL}"] = b"another"
        code, _, err = bundle("-p", "checkout-1", "-d", site.url)
    assert code == 0
    assert f"Uploaded: {site.url}tarballs/OOMKilled-checkout-1-instance-13th-Jan-2026-15-00.tgz" in err
    assert site.files[f"tarballs/{TARBALL}"] == b"another"


def test_a_server_that_takes_no_files_is_said_and_the_rest_succeeds(bundle: Bundle) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(405) if request.method == "PUT" else None

    with serving(Site(legacy_files(), answer=refuse)) as site:
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
    assert code == 0
    assert f"Created: output/tarballs/{TARBALL}\n" in out
    assert "the server does not allow PUT (HTTP 405). The tarballs are in output/tarballs." in err


def test_an_upload_that_fails_otherwise_is_an_error(bundle: Bundle) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(409) if request.method == "PUT" else None

    with serving(Site(legacy_files(), answer=refuse)) as site:
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
    assert (code, "Created" in out) == (1, True)
    assert "not uploaded: " in err


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        ("__log.txt", "__log.txt: there is no such file or folder (HTTP 404)"),
        ("/tarballs/", "tarballs/: not allowed (HTTP 403)"),
    ],
)
def test_what_cannot_be_downloaded_is_an_error_and_the_rest_is_bundled_here_alone(
    bundle: Bundle, refused: str, told: str
) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(403 if refused.endswith("/") else 404) if request.path.endswith(refused) else None

    with serving(Site(legacy_files(), answer=refuse)) as site:
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
    assert (code, f"Created: output/tarballs/{TARBALL}\n" in out) == (1, True)
    assert told in err
    assert "nothing is uploaded: the tarballs may lack what could not be read" in err
    assert site.asked_for("PUT") == []


def test_logins_reach_the_server_and_nothing_else(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, clean_place: Path
) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", "JSESSIONID=hunter2")
    with serving(Site(legacy_files())) as site:
        code, out, err = bundle("-v", "-p", "checkout-1", "-d", site.url)
    assert code == 0
    assert {request.headers.get("Cookie") for request in site.requests} == {"JSESSIONID=hunter2"}
    assert "the login of REMOTE_TOKEN is sent without encryption" in err
    written = b"".join(path.read_bytes() for path in clean_place.rglob("*") if path.is_file())
    assert "hunter2" not in out + err
    assert b"hunter2" not in written


def test_tls_is_verified_by_the_systems_trust(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Site(legacy_files()), tls=True) as site:
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
        assert (code, out) == (1, "")
        assert "its certificate is not trusted" in err
        Path("authority.pem").write_text(site.authority_pem)
        monkeypatch.setenv("SSL_CERT_FILE", "authority.pem")
        assert bundle("-p", "checkout-1", "-d", site.url)[0] == 0


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"readme.txt": b"x"}, "no oom_results*.csv among its 1 files and folders"),
        ({}, "output/: there is no such folder: give the URL of the output folder"),
        ({"oom_results.csv": b""}, "none of its files could be read as a run"),
    ],
)
def test_a_served_folder_without_runs_is_no_empty_success(bundle: Bundle, files: dict[str, bytes], told: str) -> None:
    with serving(Site(files)) as site:
        code, out, err = bundle("-p", "checkout-1", "-d", site.url)
    assert (code > 0, out) == (True, "")
    assert told in err


def test_hostile_links_and_names_on_the_server_lead_nowhere(bundle: Bundle, clean_place: Path) -> None:
    def page(names: list[str]) -> str:
        hostile = ("../../../../evil.csv", "..%2fevil.csv", "/evil.csv", "http://127.0.0.1:9/oom_results_1_2.csv")
        return apache(names) + "".join(f'<a href="{href}">x</a>' for href in hostile)

    with serving(Site(legacy_files(), page=page)) as site:
        assert bundle("-p", "checkout-1", "-d", site.url)[0] == 0
    assert all(path.startswith(ROOT) and "evil" not in path for path in site.asked_for())
    assert [*clean_place.rglob("*evil*")] == []


def test_a_password_in_the_url_is_refused_and_not_shown(bundle: Bundle) -> None:
    code, _, err = bundle("-p", "checkout-1", "-d", "https://me:hunter2@jenkins.example.com/output/")
    assert (code, "hunter2" in err) == (2, False)
    assert "leave user and password out of the URL" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("trouble", [Reply(hangs=True), Reply(drips=True, headers=HTML)], ids=["hanging", "dripping"])
@pytest.mark.parametrize("asked_for", ["__log.txt", "/prod-a/"], ids=["downloading", "listing"])
def test_a_bundle_that_is_stopped_while_it_waits_for_the_server_ends_and_leaves_nothing(
    number: signal.Signals, trouble: Reply, asked_for: str
) -> None:
    Path("scratch").mkdir()
    asked = threading.Event()

    def answer(request: Request) -> Reply | None:
        if not request.path.endswith(asked_for):
            return None
        asked.set()
        return trouble

    with serving(Site(legacy_files(), answer=answer)) as site:
        line = [sys.executable, "-m", "oomdb", "bundle", "-p", "checkout-1", "-d", site.url]
        environ = {**os.environ, "TMPDIR": "scratch"}
        with subprocess.Popen(line, env=environ, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert asked.wait(60)
                process.send_signal(number)
                _, stderr = process.communicate(timeout=30)  # the server would keep it for minutes
            finally:
                process.kill()
    assert (process.returncode, "oomdb: " in stderr) == (128 + number, True)
    assert os.listdir("scratch") == []


# --- collect --------------------------------------------------------------------------------------------------------


def test_a_collect_makes_tarballs_of_the_pods_of_its_run(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(fleet.args("--tarballs")) == 0
    created = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Created: ")]
    (tarball,) = os.listdir(fleet.output / "tarballs")
    assert created == [f"Created: {fleet.output}/tarballs/{tarball}"]
    assert tarball.startswith("OOMKilled-shop-7f6d9c5b8-x2x7k-instance-")
    assert {name.partition("/")[0] for name in members(fleet.output / "tarballs" / tarball)} == set(fleet.servers)


def test_a_second_collect_and_a_bundle_of_the_same_pod_create_nothing_new(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    run(fleet.args("--tarballs"))
    capsys.readouterr()
    assert run(fleet.args("--tarballs")) == 0
    assert run(["bundle", "-p", "shop-7f6d9c5b8-x2x7k", "--output", str(fleet.output)]) == 0
    assert "Created" not in capsys.readouterr().out
    assert len(os.listdir(fleet.output / "tarballs")) == 1


@pytest.mark.parametrize("flags", [(), ("--no-tarballs",)])
def test_a_collect_makes_the_folder_of_tarballs_whether_or_not_it_fills_it(
    fleet: Fleet, flags: tuple[str, ...]
) -> None:
    assert run(fleet.args("-q", *flags)) == 0
    assert os.listdir(fleet.output / "tarballs") == []


def test_a_folder_of_tarballs_that_cannot_be_made_costs_no_findings(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.output.mkdir()
    (fleet.output / "tarballs").write_text("no folder")
    assert run(fleet.args()) == 0
    assert "warning: The folder '" in capsys.readouterr().err
    assert fleet.rows("SELECT count(*) FROM findings") == [(3,)]
