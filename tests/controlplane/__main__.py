"""`scripts/control-plane`: build the programs, or run clusters on loopback in the foreground."""

import json
import shlex
import signal
import tempfile
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml

from oomdb.simulator.cluster import Content
from oomdb.simulator.fleet import tell_fleet
from oomdb.simulator.kubeconfig import ContextEntry, write_kubeconfig
from tests.controlplane.binaries import ControlPlaneUnavailable, find_binaries, obtain_binaries
from tests.controlplane.loading import load_content
from tests.controlplane.server import ApiServer, running_control_plane


@click.group(help="A real Kubernetes API server on loopback, for tests and for trying things out.")
def main() -> None:
    """Run the command line."""


@main.command(help="Build kube-apiserver and etcd into the user's cache, unless they are there already.")
def build() -> None:
    """Build the programs, or say why they cannot be had."""
    try:
        binaries = obtain_binaries(tell=_say)
    except ControlPlaneUnavailable as err:
        raise click.ClickException(str(err)) from err
    _say(f"{binaries.kube_apiserver}\n{binaries.etcd}")


@main.command(help="Say in one line if the tests against a real API server cannot run here; nothing if they can.")
def status() -> None:
    """Say why tests were not run."""
    try:
        find_binaries()
    except ControlPlaneUnavailable as err:
        _say(f"NOT RUN: the tests against a real API server: {err}")


@main.command(help="Run clusters until Ctrl-C.")
@click.option("--clusters", type=click.IntRange(1, 20), default=1, show_default=True, help="How many, named c1, c2 …")
@click.option("--demo", is_flag=True, help="The demo's three clusters as they are now, in place of empty ones.")
@click.option(
    "--load",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A list of namespaces, pods, events (JSON or YAML, as `oc get -o json` prints it) for every cluster.",
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), default=Path("kubeconfig"), show_default=True)
def start(clusters: int, demo: bool, files: tuple[Path, ...], kubeconfig: Path) -> None:
    """Run clusters in the foreground."""
    given = _read_objects(files)
    contents = {f"c{number}": given for number in range(1, clusters + 1)}
    if demo:
        contents = {story.context: story.content_at(story.until) for story in tell_fleet(until=datetime.now(UTC))}
    try:
        binaries = obtain_binaries(tell=_say)
    except ControlPlaneUnavailable as err:
        raise click.ClickException(str(err)) from err
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oomdb-control-plane-")))
        control_plane = stack.enter_context(running_control_plane(binaries, folder))
        servers = {
            context: control_plane.start_server(f"c{number}", wait=False)
            for number, context in enumerate(contents, start=1)
        }
        for context, server in servers.items():
            server.wait_until_ready()
            load_content(server, contents[context])
            _say(f"{context}: {server.url}")
        write_kubeconfig(kubeconfig, [_entry(context, server) for context, server in servers.items()])
        _say(f"try: oomdb collect --kubeconfig {shlex.quote(str(kubeconfig))}    (Ctrl-C here ends the clusters)")
        _wait_for_the_end()


def _wait_for_the_end() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        signal.pause()


def _entry(context: str, server: ApiServer) -> ContextEntry:
    pem, token = server.authority.pem, server.admin_token
    return ContextEntry(context=context, server=server.url, authority_pem=pem, token=token)


def _read_objects(files: tuple[Path, ...]) -> Content:
    by_kind: dict[str, list[Any]] = {"Namespace": [], "Pod": [], "Event": []}
    for file in files:
        text = file.read_text()
        document = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
        kind_of_list = str(document.get("kind", "")).removesuffix("List")
        for item in document["items"]:
            by_kind.get(item.get("kind") or kind_of_list, []).append(item)
    return Content(by_kind["Namespace"], by_kind["Pod"], by_kind["Event"])


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main(prog_name="scripts/control-plane")
