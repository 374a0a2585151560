"""The legacy scripts' names: every command line that their users knew does what it did."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.fleet import Fleet

SCRIPTS = Path(__file__).parents[2] / "scripts"
# each line of the legacy documentation, its contexts and folders being those of the test's clusters
LINES = (
    "--current",
    "",
    "--contexts kflux-prd-rh02,stone-prod-p01",
    "--batch 4 --ns-batch-size 250 --ns-workers 250 --timeout 200",
    "--batch 2 --ns-batch-size 50 --ns-workers 20 --timeout 60",
    "--time-range 30s",
    "--time-range 1h",
    "--time-range 6h",
    "--time-range 1d",
    "--time-range 7d",
    "--time-range 1M",
    "--time-range 1d --plot-range 7d",
    "--current --output my-oom-run",
    "--include-ns tenant",
    "--include-ns 'tenant|prod'",
    "--exclude-ns test",
    "--exclude-ns 'debug|sandbox|test'",
    "--include-ns 'tenant|prod' --exclude-ns 'debug|sandbox|test'",
    "--contexts kflux-prd-rh03 --time-range 1d --include-ns 'tenant|prod' --exclude-ns 'test|debug' --batch 4 "
    "--ns-batch-size 100 --ns-workers 50 --timeout 120 --retries 5",
    "--current --time-range 6h",
    "--time-range 1d -c codeowners",
    "--contexts kflux,stone-prod --time-range 7d --include-ns tenant --exclude-ns test --batch 4 --ns-batch-size 50 "
    "--ns-workers 20 --retries 5 --timeout 120 --output my-reports -c codeowners --verbose",
    "--retries 5 --timeout 300 --time-range 1d",
    "--contexts stone-prod --verbose --time-range 1d",
    "--include-ephemeral --no-tarballs",
)


class Scripts:
    """The scripts, run in a folder whose environment leads to the clusters."""

    def __init__(self, fleet: Fleet) -> None:
        self.folder = fleet.folder
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "KUBECONFIG": str(fleet.folder / "kubeconfig"),
            "OOMDB_NO_GLAB": "true",
            "HOME": str(fleet.folder),
        }
        (fleet.folder / "codeowners").mkdir()
        (fleet.folder / "codeowners" / "CODEOWNERS").write_text("* @team\n")

    def run(self, script: str, line: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPTS / script), *shlex.split(line)]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)


@pytest.fixture
def scripts(fleet: Fleet) -> Scripts:
    return Scripts(fleet)


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_the_legacy_script_collects_and_reports(scripts: Scripts, line: str) -> None:
    line = line.replace("kflux,", "kflux-prd-rh02,")
    done = scripts.run("oc_get_ooms.py", line)
    assert done.returncode == 0, done.stderr
    words = shlex.split(line)
    output = scripts.folder / (words[words.index("--output") + 1] if "--output" in words else "output")
    assert {path.suffix for path in output.glob("oom_results.*")} == {".html", ".csv", ".json", ".table"}
    assert (output / "tarballs").is_dir()
    found = "30s" not in line and "1h" not in line  # the pods were killed two hours ago
    assert ("Report for pod: shop-" in done.stdout) is found
    assert bool(list((output / "tarballs").glob("*.tgz"))) is (found and "--no-tarballs" not in line)


def test_namespaces_are_listed_and_nothing_is_scanned(scripts: Scripts) -> None:
    done = scripts.run("oc_get_ooms.py", "--contexts stone-prod --list-namespaces")
    assert (done.returncode, done.stdout) == (0, "stone-prod-p01\tshop-tenant\n")


@pytest.mark.parametrize("line", ["--print-summary-from-dir", "--print-summary-from-dir output --plot-range 7d"])
def test_the_summary_of_a_folder_needs_no_cluster(scripts: Scripts, fleet: Fleet, line: str) -> None:
    assert scripts.run("oc_get_ooms.py", "").returncode == 0
    for server in fleet.servers.values():
        server.stop()
    output = scripts.folder / "output"
    for path in output.glob("oomdb.sqlite*"):
        path.unlink()
    csv = (output / "oom_results.csv").read_bytes()
    done = scripts.run("oc_get_ooms.py", line)
    assert done.returncode == 0, done.stderr
    assert (output / "oom_results.csv").read_bytes() == csv


@pytest.mark.parametrize("line", ["--help", "-h", "--time-range never", "--batch 0", "--contexts nowhere"])
def test_help_and_wrong_usage_end_with_1_as_they_did(scripts: Scripts, line: str) -> None:
    assert scripts.run("oc_get_ooms.py", line).returncode == 1
    assert not (scripts.folder / "output").exists()


def test_where_no_cluster_can_be_reached_it_ends_with_1_and_leaves_the_files(scripts: Scripts, fleet: Fleet) -> None:
    for server in fleet.servers.values():
        server.stop()
    assert scripts.run("oc_get_ooms.py", "--retries 1 --timeout 2").returncode == 1
    assert not list((scripts.folder / "output").glob("oom_results*"))


def test_the_bundle_generator_tells_and_packs_a_pod(scripts: Scripts) -> None:
    assert scripts.run("oc_get_ooms.py", "--no-tarballs").returncode == 0
    done = scripts.run("oom_logs_and_desc_bundle_generator", "-p shop -d output -c codeowners")
    assert done.returncode == 0, done.stderr
    assert "Report for pod: shop" in done.stdout
    assert list((scripts.folder / "output" / "tarballs").glob("OOMKilled-shop-instance-*.tgz"))
    assert scripts.run("oom_logs_and_desc_bundle_generator", "").returncode == 1
