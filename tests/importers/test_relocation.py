"""Artifacts of /tmp come into the output folder, and whatever names them names them there."""

import csv
import html
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oomdb.errors import ImportFileError
from oomdb.importers.legacy.files import list_legacy_files
from oomdb.importers.legacy.run import ImportedFile, ImportRequest, import_surveyed
from oomdb.importers.legacy.survey import survey
from oomdb.importers.relocation.migrate import Migration, migrate_artifacts
from oomdb.importers.relocation.places import remove_sources
from oomdb.importers.relocation.references import exchange_paths, parse_reference
from oomdb.store.database import Store, open_for_writing
from oomdb.store.known_files import list_clusters_of_runs, list_known_files

SCRIPT = Path(__file__).parents[2] / "scripts" / "migrate_artifacts_from_private_tmp.py"
HEADER = ["cluster", "namespace", "pod", "type", "timestamps", "sources", "description_file", "pod_log_file"]
STAMP = "20260202T140047Z"
SCRATCH = 'kind-dev, "scratch"'
DATED_NS = 1_770_041_000_123_456_789


def name_of(pod: str, kind: str = "desc", *, stamp: str = STAMP) -> str:
    return f"shop-tenant__{pod}__{stamp}__{kind}.txt"


class Legacy:
    """A legacy output folder, and what stands for /tmp and /private/tmp."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self.roots = {"/private/tmp": folder / "private" / "tmp", "/tmp": folder / "tmp"}
        self.output.mkdir()
        for root in self.roots.values():
            root.mkdir(parents=True)
        self.rows: list[list[str]] = []

    def artifact(self, cluster: str, name: str, text: str = "text\n", *, root: str = "/private/tmp") -> Path:
        path = self.roots[root] / cluster / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, ns=(DATED_NS, DATED_NS))
        return path

    def row(self, cluster: str, pod: str, *, root: str = "/private/tmp", saved: bool = True) -> None:
        paths = []
        for kind in ("desc", "log"):
            paths.append(f"{root}/{cluster}/{name_of(pod, kind)}")
            if saved:
                self.artifact(cluster, name_of(pod, kind), f"{kind} of {pod}\n", root=root)
        self.rows.append([cluster, "shop-tenant", pod, "OOMKilled", "2026-02-02T13:00:00Z", "oc_get_pods", *paths])

    def write(self, stem: str = "oom_results") -> None:
        """Write the results of the rows as the legacy script does, long ago."""
        text = io.StringIO()
        csv.writer(text).writerows([HEADER, *self.rows])
        pods = {row[2]: {"pod": row[2], "description_file": row[6], "pod_log_file": row[7]} for row in self.rows}
        links = "".join(
            f'<td><a href="file://{html.escape(path)}">View</a></td>\n' for r in self.rows for path in r[6:]
        )
        for suffix, content in (("csv", text.getvalue()), ("json", json.dumps(pods, indent=2)), ("html", links)):
            path = self.output / f"{stem}.{suffix}"
            path.write_bytes(content.encode())
            os.utime(path, ns=(DATED_NS, DATED_NS))

    def migrate(self, store: Store | None = None, *, dry_run: bool = False) -> Migration:
        return migrate_artifacts(self.output, store, roots=self.roots, dry_run=dry_run)

    def named(self, suffix: str, stem: str = "oom_results") -> list[str]:
        """Return the paths in a result."""
        data = (self.output / f"{stem}.{suffix}").read_bytes().decode()
        if suffix == "csv":
            return [path for row in list(csv.reader(io.StringIO(data, newline="")))[1:] for path in row[6:8]]
        if suffix == "json":
            return [pod[key] for pod in json.loads(data).values() for key in ("description_file", "pod_log_file")]
        return [html.unescape(link.partition('"')[0]) for link in data.split('href="file://')[1:]]

    def states(self, done: Migration) -> list[str]:
        return sorted(move.state for move in done.moves)

    def snapshot(self) -> dict[str, tuple[bytes, int]]:
        folders = (self.output, *self.roots.values())
        files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture
def legacy(tmp_path: Path) -> Legacy:
    return Legacy(tmp_path)


@pytest.mark.parametrize("cluster", ["kflux-prd-rh02", "kube:admin", SCRATCH, "näch & <co>"])
def test_files_are_moved_and_csv_json_and_html_name_their_new_place(legacy: Legacy, cluster: str) -> None:
    legacy.row(cluster, "web-1")
    legacy.row(cluster, "db-1", root="/tmp")
    legacy.write()
    done = legacy.migrate()
    assert (legacy.states(done), done.removed_sources, done.is_clean) == (["new"] * 4, 4, True)
    for suffix in ("csv", "json", "html"):
        paths = [Path(path) for path in legacy.named(suffix)]
        assert [path.read_text() for path in paths] == [
            f"{k} of {p}\n" for p in ("web-1", "db-1") for k in ("desc", "log")
        ]
        assert {path.parent for path in paths} == {legacy.output / "logs_and_description_files" / cluster}
    assert not [path for root in legacy.roots.values() for path in root.rglob("*.txt")]


def test_times_and_modes_stay_for_they_date_the_runs(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    (legacy.output / "oom_results.csv").chmod(0o604)
    legacy.migrate()
    for path in (legacy.output / "oom_results.csv", next(legacy.output.rglob("*__desc.txt"))):
        assert path.stat().st_mtime_ns == DATED_NS
    assert (legacy.output / "oom_results.csv").stat().st_mode & 0o777 == 0o604


def test_every_byte_but_the_paths_stays_as_it_is(legacy: Legacy) -> None:
    legacy.artifact("c1", name_of("web-1"))
    path = f"/private/tmp/c1/{name_of('web-1')}"
    new = f"{legacy.output}/logs_and_description_files/c1/{name_of('web-1')}"
    text = (
        "\ufeffcluster,description_file,time_range\r\n"
        'c1,{path},"1d\n"\r\n'
        'c1,"{path}", 1d \n'
        'c1,see {path} there,"a ""{path}"" b"\r\n'
        "c1,{path}"
    )
    (legacy.output / "oom_results.csv").write_bytes(text.replace("{path}", path).encode() + b",\xff\xfe\r\n")
    legacy.migrate()
    lines = text.split("{path}")
    expected = "".join(part + here for part, here in zip(lines, [new, new, path, path, new, ""], strict=True))
    assert (legacy.output / "oom_results.csv").read_bytes() == expected.encode() + b",\xff\xfe\r\n"


def test_a_new_path_that_wants_quotes_gets_them(tmp_path: Path) -> None:
    before = b"a,/tmp/c/x,b\r\n"
    exchanged = exchange_paths(before, "oom_results.csv", {"/tmp/c/x": '/my, "own" folder/x'})
    assert exchanged == b'a,"/my, ""own"" folder/x",b\r\n'


def test_done_twice_it_changes_nothing(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    legacy.write("oom_results_02-Feb-2026_14-00-30-EDT")
    assert len(legacy.migrate().rewritten) == 6
    before = legacy.snapshot()
    again = legacy.migrate()
    assert (legacy.states(again), again.rewritten, again.is_clean) == ([], [], True)
    assert legacy.snapshot() == before


def test_a_dry_run_says_the_same_and_changes_nothing(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.row("c1", "gone-1", saved=False)
    legacy.write()
    before = legacy.snapshot()
    dry = legacy.migrate(dry_run=True)
    assert legacy.snapshot() == before
    real = legacy.migrate()
    assert (legacy.states(dry), dry.rewritten) == (legacy.states(real), real.rewritten)


def test_a_missing_file_is_reported_and_its_path_stays(legacy: Legacy) -> None:
    legacy.row("c1", "gone-1", saved=False)
    legacy.write()
    before = legacy.snapshot()
    done = legacy.migrate()
    assert (legacy.states(done), done.is_clean) == (["missing", "missing"], True)
    assert legacy.snapshot() == before


def test_another_file_of_that_name_is_not_overwritten(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    there = legacy.output / "logs_and_description_files" / "c1" / name_of("web-1")
    there.parent.mkdir(parents=True)
    there.write_text("another text\n")
    done = legacy.migrate()
    assert (legacy.states(done), done.is_clean) == (["new", "other-content"], False)
    assert there.read_text() == "another text\n"
    assert (legacy.roots["/private/tmp"] / "c1" / name_of("web-1")).exists()
    assert legacy.named("csv")[0] == f"/private/tmp/c1/{name_of('web-1')}"


@pytest.mark.parametrize(
    "path",
    [
        "/private/tmp/c1/notes.txt",
        "/private/tmp/c1/../c1/{name}",
        "/private/tmp/../{name}",
        "/private/tmp/{name}",
        "/private/tmp/c1/deeper/{name}",
        "/etc/c1/{name}",
        "c1/{name}",
        "/private/tmp/c1/{name}\0",
        "/private/tmp//{name}",
    ],
)
def test_what_is_no_artifact_in_a_clusters_folder_is_left_alone(legacy: Legacy, path: str) -> None:
    legacy.artifact("c1", name_of("web-1"))
    legacy.artifact("c1", "notes.txt")
    text = f'{",".join(HEADER)}\r\nc1,n,p,OOMKilled,,events,"{path.format(name=name_of("web-1"))}",\r\n'
    (legacy.output / "oom_results.csv").write_bytes(text.encode())
    before = legacy.snapshot()
    assert legacy.states(legacy.migrate()) == []
    assert legacy.snapshot() == before


def test_files_that_no_row_names_stay(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    other = legacy.artifact("c1", name_of("other-1"))
    legacy.write()
    legacy.migrate()
    assert other.exists()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_symlink_is_refused(legacy: Legacy, tmp_path: Path, what: str) -> None:
    legacy.row("c1", "web-1", saved=False)
    legacy.write()
    secret = tmp_path / "secret" / name_of("web-1")
    secret.parent.mkdir()
    secret.write_text("secret\n")
    place = legacy.roots["/private/tmp"] / "c1"
    if what == "folder":
        place.symlink_to(secret.parent)
    else:
        place.mkdir()
        (place / secret.name).symlink_to(secret)
    done = legacy.migrate()
    assert "refused" in legacy.states(done)
    assert not done.is_clean
    assert "is a symlink: it is not moved" in next(move.why for move in done.moves if move.why)
    assert secret.read_text() == "secret\n"
    assert not (legacy.output / "logs_and_description_files").exists()


def test_nothing_is_moved_through_a_symlink_of_the_output_folder(legacy: Legacy, tmp_path: Path) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    (tmp_path / "elsewhere").mkdir()
    (legacy.output / "logs_and_description_files").symlink_to(tmp_path / "elsewhere")
    assert set(legacy.states(legacy.migrate())) == {"refused"}
    assert not list((tmp_path / "elsewhere").iterdir())


def test_results_that_are_symlinks_are_left_alone_and_said(legacy: Legacy, tmp_path: Path) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    (legacy.output / "oom_results.csv").rename(tmp_path / "elsewhere.csv")
    (legacy.output / "oom_results.csv").symlink_to(tmp_path / "elsewhere.csv")
    done = legacy.migrate()
    assert [
        f.endswith("oom_results.csv' is a symlink, or no ordinary file: it was left alone.") for f in done.failures
    ] == [True]
    assert b"/private/tmp/c1" in (tmp_path / "elsewhere.csv").read_bytes()


def test_a_run_that_was_killed_before_the_old_files_were_removed_is_finished_by_the_next(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    legacy.migrate()
    # as it was right before the removal: everything names the new place, the old files lie there still
    legacy.artifact("c1", name_of("web-1"), "desc of web-1\n")
    legacy.artifact("c1", name_of("web-1", "log"), "log of web-1\n")
    done = legacy.migrate()
    assert (legacy.states(done), done.rewritten, done.removed_sources) == (["there", "there"], [], 2)


def test_a_run_that_was_killed_before_the_results_were_repaired_is_finished_by_the_next(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    there = legacy.output / "logs_and_description_files" / "c1" / name_of("web-1")
    there.parent.mkdir(parents=True)
    there.write_text("desc of web-1\n")  # copied, and then the light went out
    done = legacy.migrate()
    assert (legacy.states(done), done.is_clean) == (["new", "there"], True)
    assert Path(legacy.named("csv")[0]) == there


def test_an_artifact_that_is_named_below_both_roots_is_moved_once(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.row("c1", "web-1", root="/tmp")
    legacy.write()
    done = legacy.migrate()
    assert (legacy.states(done), done.is_clean) == (["new", "new", "there", "there"], True)
    assert len(set(legacy.named("csv"))) == 2
    assert not [path for root in legacy.roots.values() for path in root.rglob("*.txt")]


def test_of_two_artifacts_of_one_name_the_second_stays_and_is_told(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.row("c1", "web-1", root="/tmp")
    other = legacy.artifact("c1", name_of("web-1"), "another text\n", root="/tmp")
    legacy.write()
    done = legacy.migrate()
    assert (legacy.states(done), done.is_clean) == (["new", "new", "other-content", "there"], False)
    assert other.read_text() == "another text\n"
    assert f"/tmp/c1/{name_of('web-1')}" in legacy.named("csv")


def test_what_a_killed_migration_left_half_written_is_taken_away(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    place = legacy.output / "logs_and_description_files" / "c1"
    place.mkdir(parents=True)
    for half in (place / ".migrating.tmp", legacy.output / ".oom_results.csv.tmp"):
        half.write_text("half")
    assert legacy.migrate().is_clean
    assert not list(legacy.output.rglob("*.tmp"))


def test_what_changed_since_it_was_copied_is_not_removed(legacy: Legacy) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    (move, *_) = legacy.migrate(dry_run=True).moves
    assert remove_sources(move) == 0
    assert move.sources[0].exists()


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="is no folder; name the legacy output folder with --output-dir"):
        migrate_artifacts(tmp_path / "none", None)


def test_a_reference_has_a_root_a_cluster_and_a_name() -> None:
    path = f"/tmp/{SCRATCH}/{name_of('web-1')}"
    reference = parse_reference(path, "/tmp")
    assert reference is not None
    assert (reference.root, reference.cluster, reference.name, str(reference)) == (
        "/tmp",
        SCRATCH,
        name_of("web-1"),
        path,
    )
    assert parse_reference(path, "/private/tmp") is None


# --- the database ---------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_for_writing(str(tmp_path / "oomdb.sqlite")) as opened:
        yield opened


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.reading() as conn:
        return [tuple(row) for row in conn.exec_driver_sql(sql)]


def import_folder(legacy: Legacy, store: Store) -> list[ImportedFile]:
    """Import what is in the output folder, without copying its artifacts, and return what was new."""
    request = ImportRequest(output_dir=legacy.output, legacy_roots=tuple(legacy.roots.values()))
    found = survey(
        list_legacy_files([legacy.output]),
        list_known_files(store),
        now=datetime(2026, 3, 1, tzinfo=UTC),
        search_in=request.search_in,
        find_clusters=lambda run_ids: list_clusters_of_runs(store, run_ids),
    )
    return list(import_surveyed(store, found))


@pytest.mark.parametrize(
    ("is_real", "why"),
    [
        (True, "not in the output folder, and not copied (--copy-artifacts): "),
        (False, "not opened: outside the folders of artifacts: "),
    ],
)
def test_artifacts_of_the_database_get_their_files_and_findings_show_them(
    legacy: Legacy, store: Store, is_real: bool, why: str
) -> None:
    root = str(legacy.roots["/private/tmp"]) if is_real else "/private/tmp"
    legacy.roots = {root: legacy.roots["/private/tmp"]}
    legacy.row("c1", "web-1", root=root)
    legacy.write()
    import_folder(legacy, store)
    assert rows(store, "SELECT status, path, message FROM artifacts WHERE kind = 'log'") == [
        ("error", "", f"{why}{root}/c1/{name_of('web-1', 'log')}")
    ]
    assert rows(store, "SELECT artifacts_from FROM findings") == [(None,)]
    assert legacy.migrate(store, dry_run=True).repaired_records == 2
    assert legacy.migrate(store).repaired_records == 2
    where = "logs_and_description_files/c1/"
    assert rows(store, "SELECT kind, status, path, size_bytes, message FROM artifacts ORDER BY kind") == [
        ("description", "ok", where + name_of("web-1"), 14, ""),
        ("log", "ok", where + name_of("web-1", "log"), 13, ""),
    ]
    assert rows(store, "SELECT artifacts_from FROM findings") == [(1,)]
    assert legacy.migrate(store).repaired_records == 0


@pytest.mark.parametrize(("text", "status"), [("", "empty"), ("all\n", "ok")])
def test_an_artifact_of_the_database_says_what_its_file_holds(
    legacy: Legacy, store: Store, text: str, status: str
) -> None:
    legacy.row("c1", "web-1")
    legacy.artifact("c1", name_of("web-1"), text)
    legacy.write()
    import_folder(legacy, store)
    legacy.migrate(store)
    assert rows(store, "SELECT status, size_bytes FROM artifacts WHERE kind = 'description'") == [(status, len(text))]


def test_a_file_that_only_the_database_names_is_moved_too(legacy: Legacy, store: Store) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    import_folder(legacy, store)
    for path in legacy.output.glob("oom_results*"):
        path.unlink()
    done = legacy.migrate(store)
    assert (legacy.states(done), done.repaired_records) == (["new", "new"], 2)


def test_a_csv_that_was_imported_is_known_before_and_after_its_repair(legacy: Legacy, store: Store) -> None:
    legacy.row("c1", "web-1")
    legacy.write()
    before = legacy.snapshot()
    assert len(import_folder(legacy, store)) == 1
    legacy.migrate(store)
    assert import_folder(legacy, store) == []
    path = legacy.output / "oom_results.csv"
    path.write_bytes(before[str(path)][0])  # from a backup, say
    assert import_folder(legacy, store) == []


# --- the script -----------------------------------------------------------------------------------------------------


def run_script(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *args], capture_output=True, text=True, check=False)


def test_the_script_tells_what_it_does_and_what_is_missing(legacy: Legacy) -> None:
    """Of a cluster that no machine has, since the script looks into the real /tmp."""
    cluster = f"no-such-cluster-{os.getpid()}"
    legacy.row(cluster, "web-1", saved=False)
    legacy.write()
    done = run_script("--output-dir", str(legacy.output), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "files: 0 would be moved, 0 there, 2 missing, 0 stuck",
        "would be repaired: 0 results, 0 records of the database",
    ]
    assert done.stderr.splitlines() == [
        f"there is no database {legacy.output}/oomdb.sqlite; if another one has these runs, say --db",
        *(f"missing: /private/tmp/{cluster}/{name_of('web-1', kind)}" for kind in ("desc", "log")),
    ]


def test_the_script_ends_with_one_line_where_there_is_no_folder(tmp_path: Path) -> None:
    done = run_script("--output-dir", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: '")
    assert done.stderr.count("\n") == 1
