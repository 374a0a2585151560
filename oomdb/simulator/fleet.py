"""The demo's story: three clusters over some weeks, in which many pods are well and some are in every kind of trouble.

Everything follows from the cluster's name and the story's end by hashing: the same call tells the same story.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from oomdb.errors import OomdbError
from oomdb.simulator.cluster import Content
from oomdb.simulator.kubeconfig import fleet_context
from oomdb.simulator.objects import ApiDict, namespace
from oomdb.simulator.timeline import (
    COMPLETED,
    NEVER,
    OOM,
    SIGKILL,
    ContainerLife,
    Kill,
    Loop,
    PodLife,
    Stay,
    crash_loop,
    restarts,
)

CLUSTERS = ("kflux-prd-rh02", "kflux-prd-rh03", "stone-prod-p01")
EPHEMERAL_NAMESPACE = "ephemeral-pr-1841"  # skipped by the rules for ephemeral namespaces

_AFTER_THE_END = timedelta(days=2)  # the story goes on a little, for those who look again later
_HEALTHY_COUNTS = {"kflux-prd-rh02": 46, "kflux-prd-rh03": 58, "stone-prod-p01": 52}
_SAFE_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of Kubernetes' random names: apimachinery pkg/util/rand
_TENANTS = ("payments-tenant", "search-tenant", "catalog-tenant", "media-tenant", "reporting-tenant", "webhooks-tenant")
_SYSTEMS = ("build-service", "image-controller", "integration-service", "openshift-monitoring", "release-service")
_HEALTHY_NAMES = ("api", "worker", "frontend", "gateway", "scheduler", "mailer", "auth", "proxy", "exporter")
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Truth:
    """What happened: the kills in a range of time and the loops that overlap it, in order of time."""

    kills: tuple[Kill, ...]
    loops: tuple[Loop, ...]


@dataclass(frozen=True)
class ClusterStory:
    """One cluster from `since` to `until`, and two days more."""

    cluster: str
    since: datetime
    until: datetime

    @property
    def context(self) -> str:
        """The kubeconfig's context name, as `oc login` makes it."""
        return fleet_context(self.cluster)

    def content_at(self, instant: datetime) -> Content:
        """Return what the cluster shows at an instant of the story: a pure function, a few milliseconds of work."""
        present = [life for life in self._lives if life.exists_at(instant)]
        return Content(
            namespaces=self._namespaces,
            pods=[life.pod_at(instant) for life in present],
            events=[event for life in self._lives for event in life.events_at(instant)],
            logs={key: text for life in present for key, text in life.logs_at(instant)},
        )

    def truth(self, since: datetime, until: datetime, *, include_ephemeral: bool = False) -> Truth:
        """Return the kills from `since` to `until`, both included, and the loops that overlap that time."""
        lives = [life for life in self._lives if include_ephemeral or life.namespace != EPHEMERAL_NAMESPACE]
        kills = (kill for life in lives for kill in life.kills() if since <= kill.at <= until)
        loops = (loop for life in lives for loop in life.loops() if loop.since <= until and since <= loop.until)
        return Truth(
            kills=tuple(sorted(kills, key=lambda kill: (kill.at, kill.pod, kill.container))),
            loops=tuple(sorted(loops, key=lambda loop: (loop.since, loop.pod, loop.container))),
        )

    @cached_property
    def _lives(self) -> tuple[PodLife, ...]:
        plot = _Plot(self.cluster, self.since, self.until)
        return tuple(life for chapter in _CHAPTERS for life in chapter(plot))

    @cached_property
    def _namespaces(self) -> list[ApiDict]:
        born_at = self.since - 200 * _DAY
        tenant = {"konflux-ci.dev/type": "tenant"}
        ephemeral = {"konflux-ci.dev/namespace-type": "eaas"}
        return [
            *(namespace(name, labels=tenant, created_at=born_at) for name in _TENANTS),
            *(namespace(name, created_at=born_at) for name in (*_SYSTEMS, "default")),
            namespace(EPHEMERAL_NAMESPACE, labels=ephemeral, created_at=self.since),
        ]


def tell_fleet(*, until: datetime, days: int = 28) -> tuple[ClusterStory, ...]:
    """Return the story of the three clusters over the days before `until` (at least a week).

    Raises:
        OomdbError: for less than a week, in which the story has no room.
    """
    if days < 7:
        raise OomdbError(f"The demo's story cannot be told in {days} days: give it 7 or more.")
    end = until.astimezone(UTC).replace(microsecond=0)
    return tuple(ClusterStory(cluster, end - timedelta(days=days), end) for cluster in CLUSTERS)


@dataclass(frozen=True, slots=True)
class _Plot:
    cluster: str
    since: datetime
    until: datetime

    @property
    def end(self) -> datetime:
        return self.until + _AFTER_THE_END

    def chance(self, *names: object) -> float:
        """Return a number from 0 to below 1 that the cluster and the names decide."""
        return self._number(*names) / 2**64

    def part(self, share: float) -> datetime:
        """Return the instant at a share of the story's time."""
        return (self.since + share * (self.until - self.since)).replace(microsecond=0)

    def letters(self, count: int, *names: object) -> str:
        """Return a suffix as Kubernetes makes them."""
        number = self._number("letters", *names)
        return "".join(_SAFE_LETTERS[number // 27**place % 27] for place in range(count))

    def node(self, pod: str) -> str:
        return f"ip-10-29-{64 + self._number('node', pod) % 6}-{10 + len(self.cluster)}.ec2.internal"

    def deployed(
        self,
        namespace: str,
        name: str,
        *containers: ContainerLife,
        created_at: datetime,
        deleted_at: datetime | None = None,
        revision: str = "",
        evicted_at: datetime | None = None,
        unpullable_image: str = "",
    ) -> PodLife:
        """Return a pod of a Deployment; another revision is another ReplicaSet."""
        template_hash = self.letters(9, namespace, name, revision)
        pod = f"{name}-{template_hash}-{self.letters(5, namespace, name, created_at)}"
        part_of = namespace.removesuffix("-tenant")
        return PodLife(
            namespace=namespace,
            name=pod,
            created_at=created_at,
            deleted_at=deleted_at,
            containers=containers,
            labels={
                "app.kubernetes.io/part-of": part_of,
                "app.kubernetes.io/name": name,
                "app.kubernetes.io/component": name,
                "pod-template-hash": template_hash,
            },
            owner=("ReplicaSet", f"{name}-{template_hash}"),
            node=self.node(pod),
            evicted_at=evicted_at,
            unpullable_image=unpullable_image,
        )

    def now_and_then(self, name: str, *, start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
        """Yield instants from half to one and a half of `every` apart."""
        at = start + self.chance(name, "first") * every
        number = 0
        while at < end:
            yield at.replace(microsecond=0)
            number += 1
            at += (0.5 + self.chance(name, number)) * every

    def _number(self, *names: object) -> int:
        text = "\0".join((self.cluster, *map(str, names)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


# --- the chapters: each yields the pods of one kind of life ----------------------------------------------------------


def _healthy(plot: _Plot) -> Iterator[PodLife]:
    places = (*_TENANTS, *_SYSTEMS)
    for number in range(_HEALTHY_COUNTS.get(plot.cluster, 50)):
        place = places[number % len(places)]
        created_at = plot.since - timedelta(days=1 + int(40 * plot.chance("healthy", number)), minutes=number)
        name = f"{place.removesuffix('-tenant')}-{_HEALTHY_NAMES[number // len(places) % len(_HEALTHY_NAMES)]}"
        app = ContainerLife("app", (Stay(created_at + timedelta(seconds=4)),))
        yield plot.deployed(place, name, app, created_at=created_at)


def _killed_now_and_then(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.since - 3 * _DAY
    for replica in range(2):
        start = created_at + timedelta(minutes=replica)
        ends = plot.now_and_then(f"checkout-{replica}", start=plot.since, end=plot.end, every=3 * _DAY)
        app = ContainerLife("app", restarts(start, ends, OOM), memory_limit="512Mi", oom_events=True)
        yield plot.deployed("payments-tenant", "checkout", app, created_at=start)


def _worsening(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.since - 2 * _DAY
    ends, gap = [plot.part(0.05)], 4 * _DAY
    while ends[-1] + gap < plot.end:
        ends.append((ends[-1] + gap).replace(microsecond=0))
        gap = max(gap * (0.7 + 0.2 * plot.chance("worsening", len(ends))), 7 * _HOUR)
    app = ContainerLife("indexer", restarts(created_at, ends, OOM), memory_limit="1Gi")
    yield plot.deployed("catalog-tenant", "catalog-indexer", app, created_at=created_at)


def _improving(plot: _Plot) -> Iterator[PodLife]:
    created_at, rollout = plot.since - 2 * _DAY, plot.part(0.55)
    often = plot.now_and_then("search-old", start=plot.since, end=rollout, every=9 * _HOUR)
    old = ContainerLife("search", restarts(created_at, often, OOM), image="quay.io/search/api:2.4.0")
    yield plot.deployed("search-tenant", "search-api", old, created_at=created_at, deleted_at=rollout, revision="old")
    seldom = plot.now_and_then("search-new", start=rollout + 2 * _DAY, end=plot.end, every=7 * _DAY)
    stays = restarts(rollout, seldom, OOM)
    new = ContainerLife("search", stays, image="quay.io/search/api:2.5.0", memory_limit="768Mi")
    yield plot.deployed("search-tenant", "search-api", new, created_at=rollout, revision="new")


def _two_day_crash_loop(plot: _Plot) -> Iterator[PodLife]:
    created_at, since = plot.since - 5 * _DAY, plot.part(0.3 + 0.1 * plot.chance("relay"))
    stays = crash_loop(created_at, since=since, until=since + 2 * _DAY, life=timedelta(seconds=9))
    yield plot.deployed("webhooks-tenant", "webhook-relay", ContainerLife("relay", stays), created_at=created_at)


def _init_killed(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.part(0.6)
    killed_at = created_at + timedelta(seconds=40)
    again = killed_at + timedelta(seconds=1)
    done = again + timedelta(seconds=55)
    migrate = ContainerLife("migrate-db", (Stay(created_at, killed_at, *OOM), Stay(again, done, *COMPLETED)), "init")
    app = ContainerLife("app", (Stay(done + timedelta(seconds=2)),))
    yield plot.deployed("reporting-tenant", "quality-dashboard", migrate, app, created_at=created_at)


def _sidecar_crash_loop(plot: _Plot) -> Iterator[PodLife]:
    created_at, since = plot.since - 4 * _DAY, plot.until - timedelta(hours=30)
    stays = crash_loop(created_at, since=since, until=plot.end, life=timedelta(seconds=14))
    containers = (ContainerLife("app", (Stay(created_at),)), ContainerLife("istio-proxy", stays))
    yield plot.deployed("payments-tenant", "ledger", *containers, created_at=created_at)


def _oom_crash_loop(plot: _Plot) -> Iterator[PodLife]:
    created_at, since = plot.since - 6 * _DAY, plot.part(0.75 + 0.1 * plot.chance("scanner"))
    stays = crash_loop(created_at, since=since, until=since + 3 * _HOUR, life=timedelta(seconds=70), how=OOM)
    app = ContainerLife("scanner", stays, memory_limit="2Gi")
    yield plot.deployed("image-controller", "image-scanner", app, created_at=created_at)


def _unpullable(plot: _Plot) -> Iterator[PodLife]:
    waiting = ContainerLife("notebook", (Stay(NEVER),))
    for created_at, deleted_at in ((plot.part(0.4), plot.part(0.4) + 3 * _DAY), (plot.until - 10 * _HOUR, None)):
        yield plot.deployed(
            "reporting-tenant",
            "notebook",
            waiting,
            created_at=created_at,
            deleted_at=deleted_at,
            unpullable_image="quay.io/reporting/notebook:no-such-tag",
        )


def _killed_by_somebody(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.since - 3 * _DAY
    ends = plot.now_and_then("thumbnailer", start=plot.since, end=plot.end, every=5 * _DAY)
    app = ContainerLife("thumbnailer", restarts(created_at, ends, SIGKILL))
    yield plot.deployed("media-tenant", "thumbnailer", app, created_at=created_at)


def _evicted(plot: _Plot) -> Iterator[PodLife]:
    created_at, evicted_at = plot.since - 9 * _DAY, plot.part(0.45)
    app = ContainerLife("app", (Stay(created_at),))
    yield plot.deployed(
        "reporting-tenant",
        "report-builder",
        app,
        created_at=created_at,
        evicted_at=evicted_at,
        deleted_at=evicted_at + 2 * _DAY,
    )
    successor = ContainerLife("app", (Stay(evicted_at + timedelta(seconds=9)),))
    yield plot.deployed("reporting-tenant", "report-builder", successor, created_at=evicted_at)


def _killed_then_deleted(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.since - _DAY
    for number, share in enumerate((0.2, 0.5, 0.8, None)):
        killed_at = plot.part(share) if share else None
        stays = restarts(created_at, [killed_at] if killed_at else [], OOM)
        deleted_at = killed_at + timedelta(minutes=6) if killed_at else None
        app = ContainerLife("warmer", stays, oom_events=True)
        yield plot.deployed(
            "catalog-tenant",
            "cache-warmer",
            app,
            created_at=created_at,
            deleted_at=deleted_at,
            revision=str(number),
        )
        created_at = deleted_at or created_at


def _restarts_in_order(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.since - 7 * _DAY
    ends = plot.now_and_then("drainer", start=created_at + _HOUR, end=plot.end, every=6 * _HOUR)
    app = ContainerLife("drainer", restarts(created_at, ends, COMPLETED))
    yield plot.deployed("media-tenant", "queue-drainer", app, created_at=created_at)


def _stateful(plot: _Plot) -> Iterator[PodLife]:
    # UIDs are hashes of name and birth: one born at the same second in each cluster would be one pod
    created_at = (plot.since - (1 + plot.chance("metrics-store")) * _DAY).replace(microsecond=0)
    while created_at < plot.end:
        deleted_at = created_at + 6 * _DAY
        ends = plot.now_and_then(f"store-{created_at}", start=created_at, end=deleted_at - _HOUR, every=2 * _DAY)
        app = ContainerLife("store", restarts(created_at, ends, OOM), memory_limit="4Gi")
        yield PodLife(
            namespace="openshift-monitoring",
            name="metrics-store-0",
            created_at=created_at,
            deleted_at=deleted_at,
            containers=(app,),
            labels={"app.kubernetes.io/name": "metrics-store", "statefulset.kubernetes.io/pod-name": "metrics-store-0"},
            owner=("StatefulSet", "metrics-store"),
            node=plot.node(f"metrics-store-0-{created_at}"),
        )
        created_at = deleted_at + timedelta(seconds=20)


def _cron_jobs(plot: _Plot) -> Iterator[PodLife]:
    midnight = plot.since.replace(hour=0, minute=0, second=0)
    night = midnight - 3 * _DAY
    while night < plot.end:
        starts_at = night + timedelta(hours=2, seconds=3)
        ends_at = starts_at + timedelta(minutes=11 + int(20 * plot.chance("export", night)))
        how = OOM if plot.chance("export-killed", night) < 0.3 else COMPLETED
        job = f"invoice-export-{int(night.timestamp()) // 60 + 120}"
        pod = f"{job}-{plot.letters(5, job)}"
        yield PodLife(
            namespace="reporting-tenant",
            name=pod,
            created_at=night + timedelta(hours=2),
            deleted_at=night + timedelta(days=3, hours=3),
            containers=(ContainerLife("export", (Stay(starts_at, ends_at, *how),)),),
            labels={"app.kubernetes.io/name": "invoice-export", "job-name": job},
            owner=("Job", job),
            node=plot.node(pod),
            restart_policy="Never",
        )
        night += _DAY


def _builds(plot: _Plot) -> Iterator[PodLife]:
    components = (("search-tenant", "search", "search-api"), ("media-tenant", "media", "thumbnailer"))
    for place, application, component in components:
        runs = plot.now_and_then(f"runs-{component}", start=plot.since - _DAY, end=plot.end, every=5 * _HOUR)
        for started_at in runs:
            run = f"{component}-on-push-{plot.letters(5, component, started_at)}"
            yield from _build_tasks(plot, place, application, component, run, started_at)


def _build_tasks(
    plot: _Plot, place: str, application: str, component: str, run: str, started_at: datetime
) -> Iterator[PodLife]:
    deleted_at = started_at + timedelta(minutes=25 + int(300 * plot.chance(run, "deleted")))
    for task, steps, risk in (
        ("clone-repository", ("step-clone",), 0.02),
        ("build-container", ("step-build", "step-push"), 0.15),
        ("sast-snyk-check", ("step-sast-snyk-check",), 0.06),
    ):
        task_run = f"{run}-{task}"
        killed = plot.chance(task_run, "killed") < risk
        ends_at = started_at + timedelta(minutes=1 + int(6 * plot.chance(task_run, "minutes")), seconds=7)
        yield PodLife(
            namespace=place,
            name=f"{task_run}-pod",
            created_at=started_at,
            deleted_at=deleted_at,
            containers=tuple(_build_steps(steps, started_at + timedelta(seconds=6), ends_at, killed=killed)),
            labels={
                "appstudio.openshift.io/application": application,
                "appstudio.openshift.io/component": component,
                "tekton.dev/pipeline": f"{component}-on-push",
                "tekton.dev/pipelineRun": run,
                "tekton.dev/pipelineTask": task,
                "tekton.dev/task": task,
                "tekton.dev/taskRun": task_run,
            },
            owner=("TaskRun", task_run),
            node=plot.node(task_run),
            restart_policy="Never",
        )
        if killed:
            return  # the pipeline ends here
        started_at = ends_at + timedelta(seconds=5)


def _build_steps(
    steps: tuple[str, ...], starts_at: datetime, ends_at: datetime, *, killed: bool
) -> Iterator[ContainerLife]:
    # Tekton starts all steps at once, lets them wait for each other, and fails those after one that failed
    for number, step in enumerate(steps):
        at = ends_at + timedelta(seconds=number)
        how = (OOM if number == 0 else ("Error", 1)) if killed else COMPLETED
        yield ContainerLife(step, (Stay(starts_at, at, *how),), memory_limit="1Gi")


def _ephemeral(plot: _Plot) -> Iterator[PodLife]:
    created_at = plot.since
    ends = plot.now_and_then("preview", start=created_at, end=plot.end, every=2 * _DAY)
    app = ContainerLife("preview", restarts(created_at, ends, OOM))
    yield plot.deployed(EPHEMERAL_NAMESPACE, "preview", app, created_at=created_at)
    since = plot.part(0.9)
    stays = crash_loop(created_at, since=since, until=plot.end, life=timedelta(seconds=5))
    yield plot.deployed(EPHEMERAL_NAMESPACE, "preview-db", ContainerLife("db", stays), created_at=created_at)


_CHAPTERS = (
    _healthy,
    _killed_now_and_then,
    _worsening,
    _improving,
    _two_day_crash_loop,
    _init_killed,
    _sidecar_crash_loop,
    _oom_crash_loop,
    _unpullable,
    _killed_by_somebody,
    _evicted,
    _killed_then_deleted,
    _restarts_in_order,
    _stateful,
    _cron_jobs,
    _builds,
    _ephemeral,
)
