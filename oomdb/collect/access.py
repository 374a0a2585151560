"""What oomdb asks of a cluster, as data: the least role is made of it, and what is missing is told by it."""

from dataclasses import dataclass

from oomdb.kube.reviews import AccessReview


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One kind of request that a collect makes.

    `essential`: without it kills go unseen, not only what is told about them. `in_namespaces`: what is forbidden in
    the whole cluster is asked for in each namespace.
    """

    verb: str
    resource: str
    subresource: str = ""
    why: str
    without: str
    essential: bool = False
    in_namespaces: bool = True

    @property
    def text(self) -> str:
        """What is asked for, as RBAC spells it: `get pods/log`."""
        return f"{self.verb} {self.full_resource}"

    @property
    def full_resource(self) -> str:
        """The resource as a rule of a role names it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def review(self, namespace: str) -> AccessReview:
        """Return the question whether it is allowed in a namespace, in the whole cluster with ''."""
        return AccessReview(self.verb, self.resource, subresource=self.subresource, namespace=namespace)


# All of the core API group. What else is asked for needs no rule, since whoever is logged in may: the version
# (system:public-info-viewer), OpenShift's list of one's own projects (basic-user), reviews (system:basic-user).
NEEDS = (
    Need(
        verb="list",
        resource="namespaces",
        why="Which namespaces there are, and by their labels which ones live for a test only.",
        without="namespaces that live for a test only are read like all others, and where pods or events are forbidden "
        "in the whole cluster nobody knows in which namespaces to look",
        in_namespaces=False,
    ),
    Need(
        verb="list",
        resource="pods",
        why="Kills, restarts and crash loops stand in the status of containers.",
        without="kills go unseen, and crash loops too where no event tells of them",
        essential=True,
    ),
    Need(
        verb="list",
        resource="events",
        why="Crash loops between two looks, and of pods that are deleted since; also shown in descriptions.",
        without="crash loops of pods that are deleted go unseen, and descriptions have no events",
        essential=True,
    ),
    Need(
        verb="get",
        resource="pods",
        why="The description that is saved of a pod with a new kill or crash loop.",
        without="neither descriptions nor logs are saved",
    ),
    Need(
        verb="get",
        resource="pods",
        subresource="log",
        why="The logs that are saved of its containers; they may hold what the application writes there.",
        without="descriptions are saved without logs",
    ),
    Need(
        verb="get",
        resource="namespaces",
        why="Whether a namespace that -n names and that shows nothing is there at all.",
        without="a namespace that is named by mistake reads as one in which nothing was found",
    ),
)
