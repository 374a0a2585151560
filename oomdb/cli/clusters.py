"""Which clusters a command means: `--current`, `--contexts`, `--kubeconfig`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oomdb.cli.output import note
from oomdb.kube.clusters import ClusterTarget, plan_clusters, select_clusters
from oomdb.kube.kubeconfig import load_kubeconfig

if TYPE_CHECKING:
    from oomdb.cli.options import App


def select_targets(
    app: "App", *, current: bool, contexts: Sequence[str], kubeconfig: str | None
) -> tuple[ClusterTarget, ...]:
    """Return the clusters that the options choose, and say what each text of `--contexts` matched.

    Raises:
        KubeconfigError: there is no kubeconfig, or it cannot be read.
        UsageError: a text matches none or several clusters.
        SettingsError: the names in the settings cannot be used.
    """
    config = load_kubeconfig(path=kubeconfig, environ=os.environ, home=Path.home())
    planned = plan_clusters(config, names=app.settings.clusters)
    selection = select_clusters(planned, current=current, contexts=contexts, kubeconfig=config)
    for wanted, matched in selection.matched:
        note(f"Matched '{wanted}' -> '{matched}'", app)
    return selection.targets
