"""`oomdb rbac`: the least role that oomdb needs, as YAML."""

from collections.abc import Sequence

import click

from oomdb.cli.options import command, option
from oomdb.cli.output import write
from oomdb.cli.types import split_whole_names
from oomdb.collect.role import RoleRequest, Subject, render_role
from oomdb.errors import UsageError

_ACCOUNT = "oomdb/oomdb"


@command(
    "rbac",
    short_help="Print the least role that oomdb needs, as YAML.",
    examples=(
        ("An account that may read the whole cluster", "oomdb rbac | kubectl apply -f -"),
        (
            "Two namespaces only, for an account of another one",
            "oomdb rbac --namespaced -n team-a,team-b --service-account ops/oomdb | kubectl apply -f -",
        ),
        ("For people, without logs", "oomdb rbac --group sre --no-logs | kubectl apply -f -"),
    ),
)
@option("--namespaced", is_flag=True, help="A Role in each namespace of -n instead of a ClusterRole.")
@option(
    "-n",
    "--namespace",
    "names",
    multiple=True,
    metavar="A,B",
    help="With --namespaced: the namespaces.  [default: the account's own]",
)
@option("--no-logs", is_flag=True, help="Without the right to read logs; descriptions are saved all the same.")
@option("--name", default="oomdb", help="Of the role and its binding.")
@option("--service-account", metavar="NAMESPACE/NAME", help=f"The account that gets the role.  [default: {_ACCOUNT}]")
@option("--user", help="Give the role to a user instead.")
@option("--group", help="Give the role to a group instead.")
def rbac_command(
    *,
    namespaced: bool,
    names: Sequence[str],
    no_logs: bool,
    name: str,
    service_account: str | None,
    user: str | None,
    group: str | None,
) -> None:
    """Print the least role that a collect needs, with its binding and account: what is in it is asked for, and no more.

    The namespace of the account oomdb/oomdb is printed first; that of --service-account, and those of -n, must be
    there. No cluster is contacted. `oomdb doctor` tells what of it is missing; to ask that, nobody needs a right.
    """
    subject = _choose_subject(service_account, user, group)
    namespaces = tuple(dict.fromkeys(split_whole_names("--namespace", names)))
    if namespaces and not namespaced:
        raise UsageError("-n needs --namespaced: a ClusterRole is for all namespaces.")
    if namespaced and not namespaces:
        if not subject.namespace:
            raise UsageError(f"--namespaced needs -n: a {subject.kind.lower()} has no namespace of its own.")
        namespaces = (subject.namespace,)
    request = RoleRequest(
        name=name,
        subject=subject,
        namespaces=namespaces,
        with_logs=not no_logs,
        # another account's namespace is its owner's to make
        makes_namespace=subject.kind == "ServiceAccount" and service_account is None,
    )
    write(render_role(request))


def _choose_subject(service_account: str | None, user: str | None, group: str | None) -> Subject:
    if sum(given is not None for given in (service_account, user, group)) > 1:
        raise UsageError("--service-account, --user and --group exclude each other; use one of them.")
    if user is not None:
        return Subject("User", user)
    if group is not None:
        return Subject("Group", group)
    namespace, slash, account = (_ACCOUNT if service_account is None else service_account).partition("/")
    if not slash:
        raise click.BadParameter(f"{service_account!r} is not NAMESPACE/NAME.", param_hint="'--service-account'")
    return Subject("ServiceAccount", account, namespace)
