"""What of a served folder is needed to bundle a pod, and what is left where it is."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from oomdb.errors import RemoteFolderError
from oomdb.importers.remote_folder import NeededFiles, find_needed_files
from oomdb.remote.address import parse_folder_address
from oomdb.remote.connection import Connection
from oomdb.remote.folder import RemoteFolder
from tests.remote.site import Reply, Request, Site, serving

TEXTS = "logs_and_description_files/prod-a"
SHORTENED = f"shop__{'x' * 190}-4f0e6ae1c3__20260128T100000Z__log.txt"
FILES = (
    "oom_results.csv",
    "oom_results.json",
    "oom_results.html",
    "oom_results_13-Jan-2026_12-10-22-EST.csv",
    "oomdb.sqlite",
    "other.csv",
    f"{TEXTS}/shop__checkout-1__20260128T100000Z__desc.txt",
    f"{TEXTS}/shop__checkout-1__20260128T100000Z__log.failed.txt",
    f"{TEXTS}/shop__cart-1__20260128T100000Z__log.txt",
    f"{TEXTS}/{SHORTENED}",
    f"{TEXTS}/checkout.log",
    "tarballs/OOMKilled-checkout-instance-28th-Jan-2026.tgz",
    "tarballs/OOMKilled-checkout-1-instance-28th-Jan-2026.tgz",
    "tarballs/OOMKilled-cart-instance-28th-Jan-2026.tgz",
)


@contextmanager
def needed(site: Site, pod: str) -> Iterator[NeededFiles]:
    """Look up what is needed of a site for a pod."""
    with (
        serving(site),
        closing(Connection(parse_folder_address(site.url), None, sleep=lambda _: None)) as connection,
    ):
        yield find_needed_files(RemoteFolder(connection), pod)


def test_runs_texts_of_the_pod_and_its_tarballs_are_needed_and_nothing_else() -> None:
    with needed(Site(dict.fromkeys(FILES, b"")), "checkout") as found:
        assert ["/".join(names) for names in found.wanted] == [
            "oom_results.csv",
            "oom_results.json",
            "oom_results_13-Jan-2026_12-10-22-EST.csv",
            "tarballs/OOMKilled-checkout-instance-28th-Jan-2026.tgz",
            f"{TEXTS}/shop__checkout-1__20260128T100000Z__desc.txt",
            f"{TEXTS}/shop__checkout-1__20260128T100000Z__log.failed.txt",
            f"{TEXTS}/{SHORTENED}",
        ]
        assert found.problems == ()


@pytest.mark.parametrize("pod", ["ip-10-0.ec2.internal", "odd name", "a/b"])
def test_names_are_looked_for_as_files_spell_them(pod: str) -> None:
    name = f"shop__{pod.replace(' ', '_').replace('/', '_')}__20260128T100000Z__log.txt"
    with needed(Site({"oom_results.csv": b"", f"{TEXTS}/{name}": b""}), pod) as found:
        assert found.wanted[-1][-1] == name


def test_a_cluster_whose_folder_cannot_be_listed_is_a_problem_and_the_others_are_needed() -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(403) if "prod-b" in request.path else None

    files = dict.fromkeys((*FILES, "logs_and_description_files/prod-b/shop__checkout-2__log.txt"), b"")
    with needed(Site(files, answer=refuse), "checkout") as found:
        assert len(found.wanted) == 7
        assert len(found.problems) == 1
        assert "prod-b/: not allowed" in found.problems[0]


@pytest.mark.parametrize(("refused", "left"), [("tarballs", 6), ("logs_and_description_files", 4)])
def test_a_folder_below_that_cannot_be_listed_is_a_problem_and_the_rest_is_needed(refused: str, left: int) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(403) if request.path.endswith(f"/{refused}/") else None

    with needed(Site(dict.fromkeys(FILES, b""), answer=refuse), "checkout") as found:
        assert len(found.wanted) == left
        assert len(found.problems) == 1
        assert f"{refused}/: not allowed" in found.problems[0]


def test_a_folder_without_runs_is_refused() -> None:
    with pytest.raises(RemoteFolderError, match="give the URL of the output folder"), needed(Site({"a": b""}), "x"):
        pass
