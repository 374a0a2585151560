"""Lives of pods: what each container went through, and what the API would show of it at any instant."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial

from oomdb.simulator.cluster import LogKey
from oomdb.simulator.objects import (
    ApiDict,
    Container,
    ContainerKind,
    back_off_event,
    container_id_of,
    event,
    image_pull_back_off,
    image_pull_back_off_event,
    node_oom_event,
    oom_event,
    pod,
    rfc3339,
    running,
    terminated,
    uid_of,
    waiting,
)

OOM = ("OOMKilled", 137)
ERROR = ("Error", 1)
SIGKILL = ("Error", 137)
COMPLETED = ("Completed", 0)

EVENT_LIFE = timedelta(hours=3)  # OpenShift's default event-ttl
FIRST_RESTART = timedelta(seconds=1)
NEVER = datetime.max.replace(tzinfo=UTC)
_SHORTEST_BACK_OFF = timedelta(seconds=10)  # kubernetes pkg/kubelet/kubelet.go: 10 s, doubled up to 5 minutes
_LONGEST_BACK_OFF = timedelta(minutes=5)
_BACK_OFF_TICK = timedelta(seconds=12)  # the kubelet looks at a waiting container about that often
_EVICTION = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 88920Ki. Container app was using "
    "1012Mi, request is 256Mi, has larger consumption of memory. "
)
_LAST_WORDS = {"OOMKilled": "WARN  cache grows beyond its budget", "Completed": "INFO  queue is empty, good bye"}


@dataclass(frozen=True, slots=True)
class Stay:
    """One instance of a container: from its start to its end, None while it goes on for ever."""

    started_at: datetime
    finished_at: datetime | None = None
    reason: str = ""
    exit_code: int = 0

    def as_terminated(self) -> ApiDict:
        """Return the state of the container once it has ended."""
        assert self.finished_at is not None
        return terminated(self.reason, at=self.finished_at, exit_code=self.exit_code, started_at=self.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One OOM kill of the story; the API shows it until `visible_until` (status, or an add-on's event)."""

    namespace: str
    pod: str
    pod_uid: str
    container: str
    container_id: str
    at: datetime
    visible_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One crash loop of the story: from the first termination that was held back until the start that held.

    The API shows it until `visible_until`: the container's next termination, the pod's end, or the event's.
    """

    namespace: str
    pod: str
    pod_uid: str
    container: str
    since: datetime
    until: datetime
    visible_until: datetime


@dataclass(frozen=True, slots=True)
class _KilledStay:
    stay: Stay
    at: datetime
    after: Stay | None
    forgotten_at: datetime  # when `lastState` shows the end of the instance after it


@dataclass(frozen=True, slots=True)
class _HeldBack:
    since: datetime
    after: Stay  # the instance that was not held back again


@dataclass(frozen=True)
class ContainerLife:
    """A container and its instances in order of time."""

    name: str
    stays: tuple[Stay, ...]
    kind: ContainerKind = "main"
    image: str = "quay.io/konflux-ci/app:1f3c9a7"
    memory_limit: str = "256Mi"
    oom_events: bool = False  # an add-on tells of its kills

    @cached_property
    def starts(self) -> list[datetime]:
        """The instants at which its instances began."""
        return [stay.started_at for stay in self.stays]

    def container_at(self, at: datetime) -> Container:
        """Return the container as spec and status show it."""
        index = bisect_right(self.starts, at) - 1
        state, last_state = self._states_at(index, at)
        return Container(
            name=self.name,
            kind=self.kind,
            image=self.image,
            memory_limit=self.memory_limit,
            memory_request=self.memory_limit,
            restart_count=max(index, 0),
            state=state,
            last_state=last_state,
        )

    def held_back_at(self, at: datetime) -> datetime:
        """Return the latest instant, at most `at`, at which the kubelet held the container back."""
        index = bisect_right(self.starts, at) - 1
        stay = self.stays[index]
        waits = _has_ended(stay, at) and self._pause_after(index) >= _SHORTEST_BACK_OFF
        return at if waits else stay.started_at

    @cached_property
    def oom_kills(self) -> tuple[_KilledStay, ...]:
        """The instances that were OOM-killed, each with the one after it."""
        return tuple(
            _KilledStay(stay, stay.finished_at, self._find_stay(index + 1), self._forgotten_at(index))
            for index, stay in enumerate(self.stays)
            if stay.reason == OOM[0] and stay.finished_at is not None
        )

    @cached_property
    def crash_loops(self) -> tuple[_HeldBack, ...]:
        """The times during which each restart was held back."""
        loops: list[_HeldBack] = []
        since: datetime | None = None
        for index, stay in enumerate(self.stays):
            held_back = self._pause_after(index) >= _SHORTEST_BACK_OFF
            if held_back:
                since = since or stay.finished_at
            elif since is not None:
                loops.append(_HeldBack(since, stay))
                since = None
        return tuple(loops)

    def log_at(self, at: datetime, *, previous: bool) -> bytes | None:
        """Return the log of the present instance or the one before it, None where there is none."""
        index = bisect_right(self.starts, at) - 1
        if index < 0:
            return None
        waits = _has_ended(self.stays[index], at) and self._pause_after(index) >= _SHORTEST_BACK_OFF
        shown = index - 1 if previous and not waits else index
        return _log_of(self, self.stays[shown], at) if shown >= 0 else None

    def _states_at(self, index: int, at: datetime) -> tuple[ApiDict, ApiDict]:
        if index < 0:
            return waiting("PodInitializing" if self.kind == "main" else "ContainerCreating"), {}
        stay = self.stays[index]
        earlier = self.stays[index - 1].as_terminated() if index > 0 else {}
        if not _has_ended(stay, at):
            return running(stay.started_at), earlier
        if self._pause_after(index) >= _SHORTEST_BACK_OFF:
            message = f"back-off 5m0s restarting failed container={self.name}"
            return waiting("CrashLoopBackOff", message), stay.as_terminated()
        return stay.as_terminated(), earlier

    def _find_stay(self, index: int) -> Stay | None:
        return self.stays[index] if index < len(self.stays) else None

    def _forgotten_at(self, index: int) -> datetime:
        after, later = self._find_stay(index + 1), self._find_stay(index + 2)
        if after is None or after.finished_at is None or later is None:
            return NEVER
        return after.finished_at if self._pause_after(index + 1) >= _SHORTEST_BACK_OFF else later.started_at

    def _pause_after(self, index: int) -> timedelta:
        finished_at = self.stays[index].finished_at
        if finished_at is None or index + 1 >= len(self.stays):
            return timedelta(0)
        return self.stays[index + 1].started_at - finished_at


@dataclass(frozen=True)
class PodLife:
    """A pod from its creation to its deletion (None: never)."""

    namespace: str
    name: str
    created_at: datetime
    containers: tuple[ContainerLife, ...]
    deleted_at: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    owner: tuple[str, str] | None = None
    node: str = "node-1"
    restart_policy: str = "Always"
    evicted_at: datetime | None = None
    unpullable_image: str = ""  # the main container never starts

    @cached_property
    def uid(self) -> str:
        """The pod's UID: another creation is another pod, though it may have the name."""
        return uid_of("pod", self.namespace, self.name, self.created_at.isoformat())

    def exists_at(self, at: datetime) -> bool:
        """Tell whether the list of pods holds it."""
        return self.created_at <= at and (self.deleted_at is None or at < self.deleted_at)

    def pod_at(self, at: datetime) -> ApiDict:
        """Return the pod as listed."""
        evicted = self.evicted_at is not None and self.evicted_at <= at
        return pod(
            self.name,
            namespace=self.namespace,
            containers=[self._container_at(life, at) for life in self.containers],
            restart_policy=self.restart_policy,
            labels=self.labels,
            owner=self.owner,
            node=self.node,
            created_at=self.created_at,
            uid=self.uid,
            phase="Failed" if evicted else "",
            reason="Evicted" if evicted else "",
            message=_EVICTION if evicted else "",
        )

    def events_at(self, at: datetime) -> Iterator[ApiDict]:
        """Yield the events that have not expired, those of a pod that was deleted since too."""
        if at < self.created_at or (self.deleted_at is not None and self.deleted_at + EVENT_LIFE <= at):
            return
        latest = min(at, self.deleted_at or at)  # nobody speaks of a pod that is gone
        oldest = at - EVENT_LIFE
        events = list(self._events_between(oldest, latest))
        if not events:
            return
        shown = self.pod_at(latest)
        for build in events:
            yield build(shown)

    def logs_at(self, at: datetime) -> Iterator[tuple[LogKey, bytes]]:
        """Yield the logs of containers that have been through something."""
        for life in self.containers:
            for previous in (False, True) if life.stays[0].finished_at is not None else ():
                text = life.log_at(at, previous=previous)
                if text is not None:
                    yield (self.namespace, self.name, life.name, previous), text

    def kills(self) -> Iterator[Kill]:
        """Yield the pod's OOM kills."""
        end = self.deleted_at or NEVER
        for life in self.containers:
            for kill in life.oom_kills:
                if kill.at >= end:
                    break
                visible_until = min(kill.forgotten_at, end)
                if life.oom_events and kill.after and kill.after.started_at <= end:
                    visible_until = max(visible_until, kill.after.started_at + EVENT_LIFE)
                yield Kill(
                    namespace=self.namespace,
                    pod=self.name,
                    pod_uid=self.uid,
                    container=life.name,
                    container_id=container_id_of(self.uid, life.name, kill.stay.started_at),
                    at=kill.at,
                    visible_until=visible_until,
                )

    def loops(self) -> Iterator[Loop]:
        """Yield the pod's crash loops."""
        end = self.deleted_at or NEVER
        for life in self.containers:
            for loop in life.crash_loops:
                if loop.since >= end:
                    break
                until = min(loop.after.started_at, end)
                yield Loop(
                    namespace=self.namespace,
                    pod=self.name,
                    pod_uid=self.uid,
                    container=life.name,
                    since=loop.since,
                    until=until,
                    visible_until=max(min(loop.after.finished_at or NEVER, end), until + EVENT_LIFE),
                )

    def _container_at(self, life: ContainerLife, at: datetime) -> Container:
        if self.unpullable_image:
            return image_pull_back_off(life.name, image=self.unpullable_image)
        if self.evicted_at is not None and self.evicted_at <= at:
            return _evict(life, self.evicted_at).container_at(at)
        return life.container_at(at)

    def _events_between(self, oldest: datetime, latest: datetime) -> Iterator[Callable[[ApiDict], ApiDict]]:
        """Yield what makes each event out of the pod: most pods have none, and are not built for it."""
        if oldest < self.created_at:
            message = f"Successfully assigned {self.namespace}/{self.name} to {self.node}"
            yield partial(_scheduled_event, message=message, at=self.created_at)
        if self.unpullable_image:
            name, began_at = self.containers[0].name, self.created_at
            count = 1 + (latest - began_at) // _BACK_OFF_TICK
            yield partial(image_pull_back_off_event, container=name, at=latest, first_at=began_at, count=count)
        if self.evicted_at is not None and oldest < self.evicted_at <= latest:
            yield partial(_eviction_event, at=self.evicted_at)
        for life in self.containers:
            yield from self._container_events(life, oldest, latest)

    def _container_events(
        self, life: ContainerLife, oldest: datetime, latest: datetime
    ) -> Iterator[Callable[[ApiDict], ApiDict]]:
        for kill in life.oom_kills:
            if oldest < kill.at <= latest:
                yield partial(_node_oom_event, node=self.node, at=kill.at)
            if life.oom_events and kill.after and oldest < kill.after.started_at <= latest:
                started_at = kill.after.started_at
                next_id = container_id_of(self.uid, life.name, started_at)
                yield partial(oom_event, container=life.name, at=started_at, next_container_id=next_id)
        for loop in life.crash_loops:
            if loop.since > latest:
                break
            told_at = life.held_back_at(min(latest, loop.after.started_at))
            if oldest < told_at:
                count = 1 + (told_at - loop.since) // _BACK_OFF_TICK
                yield partial(back_off_event, container=life.name, at=told_at, first_at=loop.since, count=count)


# --- how containers end ---------------------------------------------------------------------------------------------


def restarts(started_at: datetime, ends: Iterable[datetime], how: tuple[str, int]) -> tuple[Stay, ...]:
    """Return the instances of a container that ends now and then and is started again at once.

    `ends` are in order of time and far apart, so that no restart is held back; the last instance goes on for ever.
    """
    stays: list[Stay] = []
    for end in ends:
        stays.append(Stay(started_at, end, *how))
        started_at = end + FIRST_RESTART
    return (*stays, Stay(started_at))


def crash_loop(
    started_at: datetime, *, since: datetime, until: datetime, life: timedelta, how: tuple[str, int] = ERROR
) -> tuple[Stay, ...]:
    """Return the instances of a container that fails at `since`, is held back ever longer, and holds after `until`."""
    stays = [Stay(started_at, since, *how)]
    restart = since + FIRST_RESTART
    pause = _SHORTEST_BACK_OFF
    while restart < until:
        stays.append(Stay(restart, restart + life, *how))
        restart += life + pause
        pause = min(2 * pause, _LONGEST_BACK_OFF)
    return (*stays, Stay(restart))


def _has_ended(stay: Stay, at: datetime) -> bool:
    return stay.finished_at is not None and stay.finished_at <= at


def _evict(life: ContainerLife, at: datetime) -> ContainerLife:
    # the kubelet stops an evicted pod's containers, which heed SIGTERM here
    running_stay = next(stay for stay in reversed(life.stays) if stay.started_at <= at)
    return replace(life, stays=(Stay(running_stay.started_at, at, "Error", 143),))


def _scheduled_event(pod: ApiDict, *, message: str, at: datetime) -> ApiDict:
    return event("Scheduled", message, about=pod, at=at, component="default-scheduler")


def _eviction_event(pod: ApiDict, *, at: datetime) -> ApiDict:
    return event("Evicted", _EVICTION, about=pod, at=at, type="Warning")


def _node_oom_event(_pod: ApiDict, *, node: str, at: datetime) -> ApiDict:
    return node_oom_event(node, at=at)


def _log_of(life: ContainerLife, stay: Stay, at: datetime) -> bytes:
    began = stay.started_at
    lines = [f"{rfc3339(began)} INFO  {life.name}: starting, memory limit {life.memory_limit}"]
    lines += [
        f"{rfc3339(began + timedelta(seconds=second))} INFO  {life.name}: request {second:05d} done"
        for second in range(1, 20)
        if began + timedelta(seconds=second) <= (stay.finished_at or at)
    ]
    if _has_ended(stay, at) and stay.finished_at is not None:
        lines.append(f"{rfc3339(stay.finished_at)} {_LAST_WORDS.get(stay.reason, 'ERROR connection refused')}")
    return ("\n".join(lines) + "\n").encode()
