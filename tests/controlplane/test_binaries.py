"""Where the programs of a control plane are looked for, and how they are built once."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.controlplane.binaries import ControlPlaneUnavailable, cache_folder, find_binaries, obtain_binaries

FAKE_GO = """#!/bin/sh
echo "$@" >> "$GO_CALLS"
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2" && chmod +x "$2"
"""
FAILING_GO = "#!/bin/sh\necho 'go: module lookup disabled' >&2\nexit 1\n"


def put_programs(folder: Path) -> Path:
    for name in ("kube-apiserver", "etcd"):
        put_program(folder, name, "#!/bin/sh\n")
    return folder


def put_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    system = ":".join(folder for folder in ("/usr/bin", "/bin") if not Path(folder, "go").exists())
    return {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'bin'}:{system}", "GO_CALLS": str(tmp_path / "calls")}


def test_envtest_s_folder_goes_before_path_and_path_before_the_cache(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    assets, in_path = put_programs(tmp_path / "assets"), put_programs(tmp_path / "bin")
    cache = put_programs(cache_folder(environ))
    assert find_binaries({**environ, "KUBEBUILDER_ASSETS": str(assets)}).etcd == assets / "etcd"
    assert find_binaries(environ).etcd == in_path / "etcd"
    assert find_binaries({**environ, "PATH": "/nowhere"}).etcd == cache / "etcd"


def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, environ: Mapping[str, str]) -> None:
    assert cache_folder(environ).parent == tmp_path / "home" / ".cache" / "oomdb"
    assert cache_folder({**environ, "XDG_CACHE_HOME": "/elsewhere"}).parent == Path("/elsewhere/oomdb")


def test_a_folder_that_lacks_one_of_them_is_an_error_even_where_they_could_be_built(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    put_program(tmp_path / "bin", "go", FAKE_GO)
    put_program(tmp_path / "assets", "etcd", "#!/bin/sh\n")
    with pytest.raises(ControlPlaneUnavailable, match=r"KUBEBUILDER_ASSETS=.* has no kube-apiserver and etcd"):
        obtain_binaries({**environ, "KUBEBUILDER_ASSETS": str(tmp_path / "assets")}, tell=print)


def test_they_are_built_once_into_the_cache(tmp_path: Path, environ: Mapping[str, str]) -> None:
    put_program(tmp_path / "bin", "go", FAKE_GO)
    told: list[str] = []
    built = obtain_binaries(environ, tell=told.append)
    assert built.kube_apiserver == cache_folder(environ) / "kube-apiserver"
    assert os.access(built.etcd, os.X_OK)
    assert [line.partition(" ")[0] for line in told] == ["Building", "Built"]
    assert "about" in told[0]
    assert obtain_binaries(environ, tell=told.append) == built
    assert len(told) == 2
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls] == ["k8s.io/kubernetes/cmd/kube-apiserver", "go.etcd.io/etcd/server/v3"]
    assert all("-mod=readonly" in call for call in calls)


def test_a_build_that_fails_leaves_nothing_behind_and_says_why(tmp_path: Path, environ: Mapping[str, str]) -> None:
    put_program(tmp_path / "bin", "go", FAILING_GO)
    with pytest.raises(ControlPlaneUnavailable, match="cannot be built: go: module lookup disabled"):
        obtain_binaries(environ, tell=lambda _: None)
    assert list(cache_folder(environ).iterdir()) == []


def test_without_go_it_is_said_what_would_help(environ: Mapping[str, str]) -> None:
    with pytest.raises(ControlPlaneUnavailable, match=r"no Go \(1.24 or newer\).* install Go, or set KUBEBUILDER"):
        obtain_binaries(environ, tell=print)
