"""One control plane for all tests of this folder: they run in one process, one after another."""

from collections.abc import Iterator

import pytest

from tests.controlplane.binaries import find_binaries
from tests.controlplane.server import ApiServer, ControlPlane, running_control_plane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An etcd, and whatever API servers a test starts on it."""
    with running_control_plane(find_binaries(), tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def api_server(control_plane: ControlPlane) -> ApiServer:
    """A running API server that all tests share: each puts its objects into namespaces of its own."""
    return control_plane.start_server("shared")
