"""The account that a pod is given: the context of whoever runs oomdb in the cluster itself."""

from collections.abc import Mapping
from pathlib import Path

from oomdb.kube.contexts import ClusterEntry, Context, UserEntry, show
from oomdb.kube.entries import find_proxy
from oomdb.kube.fields import Fields

SERVICE_ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER_CONTEXT = "in-cluster"


def find_service_account(environ: Mapping[str, str], folder: Path) -> Context | None:
    """Return the context that a pod is given, as client-go makes it (rest.InClusterConfig), or None outside of pods."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token, authority, namespace = folder / "token", folder / "ca.crt", folder / "namespace"
    if not host or not port or not token.is_file():
        return None
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    problems: list[str] = []
    fields = Fields(folder, f"cluster {show(IN_CLUSTER_CONTEXT)}", {}, problems)
    return Context(
        name=IN_CLUSTER_CONTEXT,
        namespace=_read_text(namespace) or "default",
        cluster=ClusterEntry(
            file=folder,
            name=IN_CLUSTER_CONTEXT,
            server=server,
            certificate_authority=authority if authority.exists() else None,
            proxy=find_proxy(fields, server, environ),
        ),
        user=UserEntry(file=folder, name="service account", token_file=token),
        in_cluster=True,
        problem=problems[0] if problems else None,
    )


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
