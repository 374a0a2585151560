"""What a pod belongs to (workload, application, component) and how much memory it was given, read from the pod alone.

A workload's name must stay the same from run to run, or no trend can be drawn: hashes, ordinals and random suffixes
are taken off. Pure functions; the API is not asked.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from oomdb.model import OwnerReference, Pod, WorkloadRef

_APPLICATION_LABELS = (
    "appstudio.openshift.io/application",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/name",
    "app",
)
_COMPONENT_LABELS = (
    "tekton.dev/pipelineTask",
    "tekton.dev/task",
    "app.kubernetes.io/component",
    "component",
)


def find_workload(owners: Sequence[OwnerReference] | None, labels: Mapping[str, str], pod_name: str) -> WorkloadRef:
    """Return the workload of a pod.

    By the controller's owner reference: a ReplicaSet less its `pod-template-hash` is a Deployment (of Argo: a Rollout),
    a ReplicationController less its number a DeploymentConfig, a Job named `<name>-<minutes since 1970>` a CronJob;
    a mirror pod less its node's name is a `StaticPod`; every other controller is itself.

    A Tekton pod is kind `TaskRun`, and its name is not the TaskRun's, which changes at each run, but
    `<pipeline>/<pipeline task>`, the pipeline being the label `tekton.dev/pipeline` less a run's random suffix, or else
    the application; without a pipeline task the task, without a task the TaskRun less its suffix.

    Without a controller (bare pods, and deleted pods that only events speak of) the name is guessed from the pod's and
    the kind is ''; a name without a known pattern is its own workload.

    Source, in kubernetes/kubernetes: ComputeHash in pkg/controller/controller_utils.go, getJobName in
    pkg/controller/cronjob, rand.String in apimachinery/pkg/util/rand.
    """
    owner = next((each for each in owners or () if each.controller), None)
    if _is_tekton(owner, labels):
        return WorkloadRef(kind="TaskRun", name=_name_tekton_task(owner, labels, pod_name))
    if owner is None or not owner.kind or not owner.name:
        return WorkloadRef(name=_guess_workload_name(pod_name))
    if owner.kind == "Node":
        return WorkloadRef(kind="StaticPod", name=pod_name.removesuffix(f"-{owner.name}"))
    return _find_parent(owner, labels)


def find_application(labels: Mapping[str, str]) -> str:
    """Return the application that the labels name: the first of four labels that is not empty, else ''."""
    return next((labels[key] for key in _APPLICATION_LABELS if labels.get(key)), "")


def find_component(labels: Mapping[str, str]) -> str:
    """Return the component that the labels name: the first of four labels that is not empty, else ''."""
    return next((labels[key] for key in _COMPONENT_LABELS if labels.get(key)), "")


def find_memory(pod: Pod, container: str) -> tuple[int | None, int | None]:
    """Return the memory limit and request of a container in bytes, None for each that there is not or cannot be read.

    What the status says (a pod resized in place) goes before what the spec says.
    """
    spec = pod.spec
    given = next((each.resources for each in pod.container_statuses() if each.name == container), None)
    asked = next(
        (
            each.resources
            for each in (
                *(spec.containers or ()),
                *(spec.init_containers or ()),
                *(spec.ephemeral_containers or ()),
            )
            if each.name == container
        ),
        None,
    )
    sources = [_read_resources(raw) for raw in (given, asked) if raw is not None]
    limits = [parse_quantity(each.limits.memory) for each in sources if each.limits and each.limits.memory]
    requests = [parse_quantity(each.requests.memory) for each in sources if each.requests and each.requests.memory]
    return next(iter(limits), None), next(iter(requests), None)


def parse_quantity(text: str) -> int | None:
    """Return the bytes of a Kubernetes quantity such as `512Mi`, `1.5Gi`, `1e3`, `128974848` or `100m`.

    Fractions of a byte are rounded up and numbers beyond 2**63-1 are cut to it, as the API does; None for anything
    that is no quantity, and for a negative one. Source: k8s.io/apimachinery/pkg/api/resource/quantity.go.
    """
    match = _QUANTITY.fullmatch(text)
    if not match:
        return None
    number, suffix, exponent = match.groups()
    factor = Fraction(10) ** int(exponent) if exponent else _FACTORS[suffix or ""]
    amount = Fraction(number) * factor
    return min(-(-amount.numerator // amount.denominator), _LARGEST_QUANTITY)


_LARGEST_QUANTITY = 2**63 - 1
_FACTORS = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}
# Digits are bounded, so that no text can make a number of megabytes.
_QUANTITY = re.compile(
    r"\+?([0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,3}))?"
)

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"  # what Kubernetes makes random names of: no vowels, no look-alikes
_RANDOM = rf"{_SAFE}{{5}}"
_RUN_SUFFIX = re.compile(rf"-{_RANDOM}\Z")
_CRON_JOB_NAME = re.compile(r"(.+)-[0-9]{8,10}")  # minutes since 1970: eight digits until the year 2160
# In this order: what is more particular goes first.
_POD_NAMES = (
    re.compile(rf"(.+)-[0-9]{{8,10}}-{_RANDOM}"),  # CronJob
    re.compile(rf"(.+)-{_SAFE}{{6,10}}-{_RANDOM}"),  # Deployment; the hash is a 32-bit number in safe letters
    re.compile(rf"(.+)-{_RANDOM}"),  # DaemonSet, Job, ReplicationController
    re.compile(r"(.+)-(?:0|[1-9][0-9]{0,3})"),  # StatefulSet
)
_TEKTON_POD_NAME = re.compile(rf"(.+)-{_RANDOM}-(.+)-pod(?:-retry[0-9]+)?")
_LONGEST_NAME = 253  # no object of Kubernetes has a longer one


class _Amounts(msgspec.Struct, frozen=True):
    memory: str | None = None


class _Resources(msgspec.Struct, frozen=True):
    limits: _Amounts | None = None
    requests: _Amounts | None = None


def _is_tekton(owner: OwnerReference | None, labels: Mapping[str, str]) -> bool:
    return owner.kind == "TaskRun" if owner is not None else bool(labels.get("tekton.dev/taskRun"))


def _name_tekton_task(owner: OwnerReference | None, labels: Mapping[str, str], pod_name: str) -> str:
    run_name = owner.name if owner is not None and owner.name else labels.get("tekton.dev/taskRun") or pod_name
    task = labels.get("tekton.dev/pipelineTask") or labels.get("tekton.dev/task") or _RUN_SUFFIX.sub("", run_name)
    family = _name_pipeline(labels) or find_application(labels)
    return f"{family}/{task}" if family else task  # no name of Kubernetes has a slash


def _name_pipeline(labels: Mapping[str, str]) -> str:
    pipeline, pipeline_run = labels.get("tekton.dev/pipeline", ""), labels.get("tekton.dev/pipelineRun", "")
    if pipeline and pipeline_run and pipeline != pipeline_run:
        return pipeline  # a Pipeline of its own; one written into its run bears the run's name
    return _RUN_SUFFIX.sub("", pipeline or pipeline_run)


def _guess_workload_name(pod_name: str) -> str:
    if len(pod_name) > _LONGEST_NAME:
        return pod_name
    if match := _TEKTON_POD_NAME.fullmatch(pod_name):
        return f"{match[1]}/{match[2]}"
    return next((match[1] for pattern in _POD_NAMES if (match := pattern.fullmatch(pod_name))), pod_name)


def _find_parent(owner: OwnerReference, labels: Mapping[str, str]) -> WorkloadRef:
    if owner.kind == "ReplicaSet":
        for kind, label in (("Deployment", "pod-template-hash"), ("Rollout", "rollouts-pod-template-hash")):
            template_hash = labels.get(label)
            parent = owner.name.removesuffix(f"-{template_hash}") if template_hash else owner.name
            if parent not in ("", owner.name):
                return WorkloadRef(kind=kind, name=parent)
    config = labels.get("deploymentconfig")
    if owner.kind == "ReplicationController" and config and _is_numbered(owner.name, config):
        return WorkloadRef(kind="DeploymentConfig", name=config)
    if owner.kind == "Job" and (match := _CRON_JOB_NAME.fullmatch(owner.name)):
        return WorkloadRef(kind="CronJob", name=match[1])
    return WorkloadRef(kind=owner.kind, name=owner.name)


def _is_numbered(name: str, base: str) -> bool:
    return re.fullmatch(r"-[0-9]+", name.removeprefix(base)) is not None


def _read_resources(raw: msgspec.Raw) -> _Resources:
    try:
        return msgspec.json.decode(raw, type=_Resources | None) or _Resources()
    except msgspec.MsgspecError:  # another shape than the API's: no limit is known then
        return _Resources()
