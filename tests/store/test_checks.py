"""What `db check` finds, one broken rule after the other, and what `db info` tells."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oomdb.store.checks import check_artifacts, check_database, database_info
from oomdb.store.database import Store, open_for_reading, open_for_writing
from oomdb.store.schema import REVISION
from tests.store.builders import HOSTILE, NOW, ago, artifact, change, finding, kill, loop, record, rows, scan


@pytest.fixture
def filled(store: Store) -> Store:
    """Return a database of two runs, two clusters, kills, a loop and artifacts."""
    loops = finding(loop(ago(minutes=90), restarts=3), pod="cart-1", pod_uid="uid-2", workload="cart")
    parts = (
        scan(
            finding(kill(ago(hours=3))),
            loops,
            artifacts=(artifact(captured_at=ago(hours=1)),),
            namespaces_read=["shop"],
            skipped={"test-1": "name test-*"},
        ),
        scan(finding(kill(ago(hours=2)), pod_uid="uid-3"), cluster="prod-b"),
    )
    record(store, *parts, at=ago(hours=1))
    record(store, *parts)
    return store


def test_a_database_that_oomdb_wrote_is_clean(filled: Store, path: Path) -> None:
    assert check_database(filled) == []
    with open_for_reading(str(path)) as reader:
        assert check_database(reader) == []


def test_a_new_database_is_clean(store: Store) -> None:
    assert check_database(store) == []


@pytest.mark.parametrize(
    ("sql", "what", "count", "example"),
    [
        (
            "DELETE FROM occurrences WHERE cluster = 'prod-b'",
            "daily_counts do not agree with the occurrences",
            1,
            "workload='checkout', day='2026-01-15', type='OOMKilled', cluster='prod-b', namespace='shop', "
            "there=0, counted=1",
        ),
        ("DELETE FROM daily_counts", "daily_counts do not agree with the occurrences", 3, "counted=0"),
        ("UPDATE daily_counts SET day = '2026-01-14'", "daily_counts do not agree with the occurrences", 6, "there=0"),
        ("UPDATE daily_counts SET occurrences = 2", "daily_counts do not agree with the occurrences", 3, "counted=2"),
        ("DELETE FROM run_counts", "run_counts do not agree with the findings", 6, "rows_counted=0"),
        ("UPDATE run_counts SET rows = 7", "run_counts do not agree with the findings", 6, "rows_counted=7"),
        (
            "UPDATE run_counts SET findings = 7 WHERE run_id = 1 AND cluster = 'prod-b'",
            "run_counts do not agree with the findings",
            1,
            "findings_counted=7",
        ),
        (
            "DELETE FROM findings WHERE cluster = 'prod-b'",
            "run_counts do not agree with the findings",
            2,
            "run_id=1, cluster='prod-b', type='OOMKilled', rows_there=0",
        ),
        (
            "DELETE FROM run_clusters WHERE run_id = 2 AND cluster = 'prod-b'",
            "Findings of a cluster that the run has no row of in run_clusters",
            1,
            "run_id=2, cluster='prod-b', namespace='shop', pod='checkout-1'",
        ),
        (
            "UPDATE pods SET runs_until = 1 WHERE cluster = 'prod-b'",
            "Findings of a pod that a search would not look for in their run",
            1,
            "run_id=2, cluster='prod-b', namespace='shop', pod='checkout-1'",
        ),
        (
            "DELETE FROM artifacts",
            "Findings whose artifacts_from names a run without artifacts of the pod",
            2,
            "pod_uid='uid-1', artifacts_from=1",
        ),
        (
            "UPDATE artifacts SET pod_uid = 'another'",
            "Findings whose artifacts_from names a run without artifacts of the pod",
            2,
            "pod_uid='uid-1'",
        ),
        (
            "UPDATE runs SET status = 'running' WHERE id = 2",
            "Runs that are running though they have finished",
            1,
            "id=2, finished_at=",
        ),
        (
            "UPDATE namespaces SET cluster = 'prod-z' WHERE namespace = 'shop'",
            "Namespaces known to a run that has no row of their cluster in run_clusters",
            1,
            "cluster='prod-z', namespace='shop', last_run_id=2",
        ),
        (
            "UPDATE namespaces SET read_run_id = 1 WHERE namespace = 'shop'",
            "Namespaces that are not dated by the runs that know of them",
            1,
            "namespace='shop', last_run_id=2",
        ),
        (
            "UPDATE namespaces SET read_run_id = 2, read_at = last_seen_at WHERE namespace = 'test-1'",
            "Namespaces that a run read though a rule left them out",
            1,
            "namespace='test-1', last_run_id=2, rule='name test-*'",
        ),
        (
            "UPDATE findings SET finding_key = 'x' || finding_key WHERE run_id = 1",
            "Findings whose finding_key is not that of their columns",
            3,
            "finding_key='x",
        ),
        ("UPDATE alembic_version SET version_num = '0000'", f"The revision is not {REVISION}", 1, "0000"),
        ("DELETE FROM alembic_version", f"The revision is not {REVISION}", 1, "none"),
        ("DROP VIEW latest_findings", "Views are missing, or another version's", 1, "latest_findings"),
    ],
)
def test_a_broken_rule_is_found(filled: Store, sql: str, what: str, count: int, example: str) -> None:
    change(filled, sql)
    (problem,) = check_database(filled)
    assert (problem.what, problem.count) == (what, count)
    assert any(example in shown for shown in problem.examples), problem.examples
    assert problem.advice


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("UPDATE occurrences SET last_run_id = 99 WHERE cluster = 'prod-b'", "occurrences names a row of runs"),
        ("UPDATE occurrences SET first_run_id = 99 WHERE cluster = 'prod-b'", "occurrences names a row of runs"),
        ("UPDATE pods SET first_run_id = 0 WHERE cluster = 'prod-b'", "pods names a row of runs"),
        ("INSERT INTO suspects VALUES (99, 'c', 'n', 'p', '', '', 'exit-137', NULL, NULL)", "suspects names a row of"),
    ],
)
def test_rows_of_runs_that_are_not_there_are_found(filled: Store, path: Path, sql: str, shown: str) -> None:
    filled.close()
    break_without_foreign_keys(path, sql)
    with open_for_writing(str(path)) as store:
        (problem,) = check_database(store)
    assert (problem.what, problem.count) == ("Rows name others that are not there", 1)
    assert problem.examples[0].startswith(shown)


def test_a_run_that_is_not_there_is_missed_by_all_that_hangs_on_it(filled: Store, path: Path) -> None:
    filled.close()
    break_without_foreign_keys(path, "DELETE FROM runs WHERE id = 2")
    with open_for_writing(str(path)) as store:
        (problem,) = check_database(store)
    # its clusters, findings, counts, artifact, and what it saw last: occurrences, namespaces (one read)
    assert problem.count == 2 + 3 + 3 + 1 + 3 + 3


def test_a_loop_that_was_last_seen_before_it_began_is_found(filled: Store, path: Path) -> None:
    filled.close()
    break_without_foreign_keys(
        path, "UPDATE occurrences SET last_seen_at = '2020-01-01 00:00:00' WHERE identity LIKE 'loop:%'"
    )
    with open_for_writing(str(path)) as store:
        problems = check_database(store)
    assert [problem.what for problem in problems] == ["The file is damaged"]
    assert problems[0].examples == ("CHECK constraint failed in occurrences",)


def test_a_damaged_file_is_the_only_problem_that_is_told(filled: Store, path: Path) -> None:
    record(filled, scan(*(finding(kill(ago(hours=4)), pod=f"p{i}", pod_uid=f"u{i}") for i in range(500))))
    filled.close()
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        stream.write(b"\xff" * 20_000)
    with open_for_reading(str(path)) as store:
        (problem,) = check_database(store)
    assert problem.what == "The file is damaged"
    assert 1 <= len(problem.examples) <= 5


def test_examples_are_few_however_many_rows_are_wrong(store: Store) -> None:
    record(store, scan(*(finding(kill(ago(hours=4)), pod=f"p{i}", pod_uid=f"u{i}") for i in range(100))))
    change(store, "UPDATE findings SET finding_key = 'x' || finding_key")
    (problem,) = check_database(store)
    assert (problem.count, len(problem.examples)) == (100, 5)


def test_hostile_names_are_shown_on_one_line(store: Store) -> None:
    record(store, scan(finding(kill(ago(hours=1)), namespace=HOSTILE, pod=HOSTILE), cluster=HOSTILE))
    change(store, "DELETE FROM run_counts")
    (problem,) = check_database(store)
    assert "\n" not in problem.examples[0]


def break_without_foreign_keys(path: Path, sql: str) -> None:
    """Change the file as a program would that heeds neither foreign keys nor checks."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute(sql)


# --- artifact files -------------------------------------------------------------------------------------------------


def store_file(output: Path, name: str, content: bytes) -> None:
    file = output / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def record_file(store: Store, path: str, content: bytes, *, pod: str = "checkout-1") -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    kept = artifact(path=path, size_bytes=len(content), sha256=sha256, pod=pod)
    record(store, scan(finding(kill(ago(hours=1)), pod=pod), artifacts=(kept,)))


def test_artifact_files_that_are_there_are_no_problem(store: Store, tmp_path: Path) -> None:
    record_file(store, "logs/a 💥\n.txt", b"text")
    store_file(tmp_path, "logs/a 💥\n.txt", b"text")
    assert check_artifacts(store, tmp_path, with_contents=True) == []


def test_artifacts_without_a_file_are_no_problem(store: Store, tmp_path: Path) -> None:
    record(store, scan(finding(kill(ago(hours=1))), artifacts=(artifact(status="gone", path=""),)))
    assert check_artifacts(store, tmp_path) == []


@pytest.mark.parametrize("name", ["logs/gone.txt", "logs", "x" * 300, "nul\0", "logs/there.txt/below"])
def test_a_missing_file_is_found(store: Store, tmp_path: Path, name: str) -> None:
    store_file(tmp_path, "logs/there.txt", b"")
    record_file(store, name, b"text")
    (problem,) = check_artifacts(store, tmp_path)
    assert (problem.what, problem.count) == ("Artifact files that are missing", 1)
    assert problem.examples == (repr(name),)


def test_a_file_of_another_size_is_found(store: Store, tmp_path: Path) -> None:
    record_file(store, "a.txt", b"text")
    store_file(tmp_path, "a.txt", b"longer text")
    assert [it.what for it in check_artifacts(store, tmp_path)] == ["Artifact files of another size"]


def test_a_file_with_other_contents_is_found_only_where_contents_are_asked_for(store: Store, tmp_path: Path) -> None:
    record_file(store, "a.txt", b"text")
    store_file(tmp_path, "a.txt", b"TEXT")
    assert check_artifacts(store, tmp_path) == []
    problems = check_artifacts(store, tmp_path, with_contents=True)
    assert [it.what for it in problems] == ["Artifact files with other contents"]


@pytest.mark.parametrize("name", ["../secret", "logs/../../secret", "/etc/passwd", "link"])
def test_a_path_that_leads_out_of_the_folder_is_not_followed(store: Store, tmp_path: Path, name: str) -> None:
    output = tmp_path / "output"
    output.mkdir()
    (tmp_path / "secret").write_bytes(b"text")
    (output / "link").symlink_to(tmp_path / "secret")
    record_file(store, name, b"text")
    (problem,) = check_artifacts(store, output)
    assert problem.what == "Artifact paths that lead out of the output folder"


def test_missing_files_are_counted_and_a_few_are_named(store: Store, tmp_path: Path) -> None:
    many = tuple(artifact(pod=f"p{i}", path=f"{i:03}.txt") for i in range(50))
    record(store, scan(*(finding(kill(ago(hours=1)), pod=f"p{i}") for i in range(1)), artifacts=many))
    (problem,) = check_artifacts(store, tmp_path)
    assert (problem.count, len(problem.examples)) == (50, 5)


# --- info -----------------------------------------------------------------------------------------------------------


def test_info_tells_what_the_database_is(filled: Store, path: Path) -> None:
    info = dict(database_info(filled))
    size = info.pop("size in bytes")
    assert isinstance(size, int)
    assert size % 4096 == 0
    assert info == {
        "path": str(path),
        "free pages": 0,
        "page size in bytes": 4096,
        "revision": REVISION,
        "journal mode": "wal",
        "runs": 2,
        "first run": ago(hours=1),
        "last run": NOW,
        "clusters": 2,
        "findings": 6,
        "occurrences": 3,
        "artifacts": 2,
    }


def test_info_of_a_new_database_has_no_runs(store: Store) -> None:
    info = dict(database_info(store))
    assert (info["runs"], info["first run"], info["clusters"]) == (0, None, 0)
    assert rows(store, "SELECT count(*) FROM runs") == [(0,)]
