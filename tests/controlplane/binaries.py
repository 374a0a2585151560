"""Where kube-apiserver and etcd come from: KUBEBUILDER_ASSETS, PATH, the user's cache, else built there by Go."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

BUILD_FOLDER = Path(__file__).parent / "go"  # go.mod and go.sum: the build is pinned

_KUBERNETES_VERSION = "v1.34.4"
_TOOLS = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "etcd": "go.etcd.io/etcd/server/v3"}
_VERSION_VARIABLES = {"gitVersion": _KUBERNETES_VERSION, "gitMajor": "1", "gitMinor": "34"}


class ControlPlaneUnavailable(Exception):
    """There is no kube-apiserver or etcd to be had here; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The two programs of a control plane."""

    kube_apiserver: Path
    etcd: Path


def find_binaries(environ: Mapping[str, str] = os.environ) -> Binaries:
    """Return the programs that are there already, in the order that envtest has; nothing is built.

    Raises:
        ControlPlaneUnavailable: they are not there.
    """
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets:
        found = _in_folder(Path(assets))
        if found is None:
            raise ControlPlaneUnavailable(f"KUBEBUILDER_ASSETS={assets} has no kube-apiserver and etcd in it.")
        return found
    in_path = [shutil.which(name, path=environ.get("PATH", os.defpath)) for name in ("kube-apiserver", "etcd")]
    if all(in_path):
        return Binaries(*(Path(str(path)) for path in in_path))
    found = _in_folder(cache_folder(environ))
    if found is None:
        raise ControlPlaneUnavailable(
            "there is no kube-apiserver and etcd here: run `scripts/control-plane build` (needs Go), or set "
            "KUBEBUILDER_ASSETS."
        )
    return found


def obtain_binaries(environ: Mapping[str, str] = os.environ, *, tell: Callable[[str], None]) -> Binaries:
    """Return the programs; where they are not there they are built once, which takes minutes.

    Raises:
        ControlPlaneUnavailable: they are not there and cannot be built.
    """
    try:
        return find_binaries(environ)
    except ControlPlaneUnavailable:
        if environ.get("KUBEBUILDER_ASSETS"):
            raise
    go = shutil.which("go", path=environ.get("PATH", os.defpath))
    if go is None:
        raise ControlPlaneUnavailable(
            "there is no kube-apiserver and etcd here, and no Go (1.24 or newer) to build them with: install Go, or "
            "set KUBEBUILDER_ASSETS to a folder that has both."
        )
    folder = cache_folder(environ)
    tell(f"Building kube-apiserver {_KUBERNETES_VERSION} and etcd into {folder}: about 5 minutes, once …")
    began = time.monotonic()
    _build(go, folder, environ)
    tell(f"Built in {time.monotonic() - began:.0f} s.")
    return find_binaries(environ)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the user's cache folder for what belongs to this build: another pin is another folder."""
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/")) / ".cache"
    pin = hashlib.sha256((BUILD_FOLDER / "go.mod").read_bytes() + (BUILD_FOLDER / "go.sum").read_bytes())
    return Path(base) / "oomdb" / f"control-plane-{_KUBERNETES_VERSION}-{pin.hexdigest()[:8]}"


def _in_folder(folder: Path) -> Binaries | None:
    found = Binaries(folder / "kube-apiserver", folder / "etcd")
    return found if os.access(found.kube_apiserver, os.X_OK) and os.access(found.etcd, os.X_OK) else None


def _build(go: str, folder: Path, environ: Mapping[str, str]) -> None:
    variables = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in _VERSION_VARIABLES.items())
    folder.mkdir(parents=True, exist_ok=True)
    # beside their place and renamed at the end: of two that build at once, and of one that is stopped, nothing half
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as scratch:
        for name, package in _TOOLS.items():
            command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {variables}"]
            done = subprocess.run(
                [*command, "-o", str(Path(scratch, name)), package],
                cwd=BUILD_FOLDER,
                env={**environ, "CGO_ENABLED": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                last = " | ".join(done.stderr.strip().splitlines()[-3:])
                raise ControlPlaneUnavailable(f"{package} cannot be built: {last}")
            Path(scratch, name).replace(folder / name)
