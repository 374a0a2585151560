"""What a pod belongs to, and its memory."""

import msgspec
import pytest

from oomdb.model import OwnerReference, Pod, WorkloadRef
from oomdb.workloads import find_application, find_component, find_memory, find_workload, parse_quantity


def owned(kind: str, name: str) -> tuple[OwnerReference, ...]:
    return (OwnerReference(kind=kind, name=name, controller=True),)


@pytest.mark.parametrize(
    ("kind", "name", "labels", "expected"),
    [
        ("ReplicaSet", "web-6d4cf56db6", {"pod-template-hash": "6d4cf56db6"}, ("Deployment", "web")),
        ("ReplicaSet", "web-6d4cf56db6", {"rollouts-pod-template-hash": "6d4cf56db6"}, ("Rollout", "web")),
        ("ReplicaSet", "web-6d4cf56db6", {}, ("ReplicaSet", "web-6d4cf56db6")),
        ("ReplicaSet", "web", {"pod-template-hash": "other"}, ("ReplicaSet", "web")),
        ("ReplicaSet", "-abc", {"pod-template-hash": "abc"}, ("ReplicaSet", "-abc")),
        ("ReplicationController", "web-12", {"deploymentconfig": "web"}, ("DeploymentConfig", "web")),
        ("ReplicationController", "web-12", {}, ("ReplicationController", "web-12")),
        ("ReplicationController", "web", {"deploymentconfig": "web"}, ("ReplicationController", "web")),
        ("Job", "image-pruner-29434504", {}, ("CronJob", "image-pruner")),
        ("Job", "migrate-2", {}, ("Job", "migrate-2")),
        ("Job", "migrate", {}, ("Job", "migrate")),
        ("StatefulSet", "db", {}, ("StatefulSet", "db")),
        ("DaemonSet", "agent", {"pod-template-hash": "agent"}, ("DaemonSet", "agent")),
        ("Node", "ip-10-0-0-1.ec2.internal", {}, ("StaticPod", "etcd")),
        ("CatalogSource", "redhat-operators", {}, ("CatalogSource", "redhat-operators")),
    ],
)
def test_the_controller_names_the_workload(
    kind: str, name: str, labels: dict[str, str], expected: tuple[str, str]
) -> None:
    found = find_workload(owned(kind, name), labels, "etcd-ip-10-0-0-1.ec2.internal")
    assert (found.kind, found.name) == expected


def test_an_owner_that_does_not_control_is_not_the_workload() -> None:
    owners = (OwnerReference(kind="Config", name="x"), OwnerReference(kind="StatefulSet", name="db", controller=True))
    assert find_workload(owners, {}, "db-0") == WorkloadRef(kind="StatefulSet", name="db")
    assert find_workload(owners[:1], {}, "db-0") == WorkloadRef(name="db")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            {"pipeline": "scanner-v4-db-on-push-2kk2p", "pipelineRun": "scanner-v4-db-on-push-2kk2p"},
            "scanner-v4-db-on-push/build",
        ),
        ({"pipeline": "docker-xkcdb", "pipelineRun": "release-7wwxz"}, "docker-xkcdb/build"),
        ({"pipeline": "docker-build"}, "docker-build/build"),
        ({"pipelineRun": "release-7wwxz"}, "release/build"),
        ({}, "shop/build"),
    ],
)
def test_a_tekton_pod_is_its_pipelines_task_whatever_the_run(labels: dict[str, str], expected: str) -> None:
    all_labels = {f"tekton.dev/{key}": value for key, value in labels.items()} | {
        "tekton.dev/pipelineTask": "build",
        "tekton.dev/task": "buildah",
        "app": "shop",
    }
    found = find_workload(owned("TaskRun", "some-run-2kk2p-build"), all_labels, "some-run-2kk2p-build-pod")
    assert found == WorkloadRef(kind="TaskRun", name=expected)


def test_a_task_run_of_its_own_is_known_by_its_task_or_by_its_own_name() -> None:
    assert find_workload(owned("TaskRun", "lint-x7k2p"), {"tekton.dev/task": "lint"}, "p").name == "lint"
    assert find_workload(owned("TaskRun", "lint-x7k2p"), {}, "p").name == "lint"
    assert find_workload((), {"tekton.dev/taskRun": "lint-x7k2p"}, "p") == WorkloadRef(kind="TaskRun", name="lint")


def test_a_controller_goes_before_tekton_labels() -> None:
    labels = {"tekton.dev/taskRun": "x", "tekton.dev/pipelineRun": "y"}
    assert find_workload(owned("StatefulSet", "affinity-assistant-1"), labels, "p").kind == "StatefulSet"


@pytest.mark.parametrize(
    ("pod_name", "expected"),
    [
        ("demo-6d4cf56db6-x2x4b", "demo"),
        ("demo-7fn6xrbjk-qr42d", "demo"),
        ("image-pruner-29434504-x2x4b", "image-pruner"),
        ("node-exporter-x2x4b", "node-exporter"),
        ("postgres-0", "postgres"),
        ("postgres-12", "postgres"),
        ("scanner-v4-db-on-push-s5cnh-build-source-image-pod", "scanner-v4-db-on-push/build-source-image"),
        ("scanner-v4-db-on-push-s5cnh-build-source-image-pod-retry2", "scanner-v4-db-on-push/build-source-image"),
        ("kube-proxy", "kube-proxy"),
        ("report-2026", "report"),
        ("report-20260115", "report-20260115"),
        ("toolbox", "toolbox"),
        ("-0", "-0"),
        ("", ""),
        ("evil\n-x2x4b", "evil\n-x2x4b"),
        ("../../<script>-0", "../../<script>"),
        ("x" * 250 + "-x2x4b", "x" * 250 + "-x2x4b"),
    ],
)
def test_without_a_controller_the_pods_name_is_the_last_resort(pod_name: str, expected: str) -> None:
    assert find_workload(None, {}, pod_name) == WorkloadRef(name=expected)


def test_the_names_of_the_same_task_agree_with_and_without_labels() -> None:
    run = "catalog-4-19-enterprise-contract-wqdhw"
    labels = {
        "tekton.dev/pipeline": run,
        "tekton.dev/pipelineRun": run,
        "tekton.dev/pipelineTask": "push-dockerfile",
    }
    listed = find_workload(owned("TaskRun", f"{run}-push-dockerfile"), labels, f"{run}-push-dockerfile-pod")
    assert listed.name == find_workload(None, {}, f"{run}-push-dockerfile-pod").name


def test_applications_and_components_come_from_the_first_label_that_is_not_empty() -> None:
    labels = {
        "appstudio.openshift.io/application": "",
        "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/name": "web",
        "app": "x",
        "tekton.dev/task": "lint",
        "app.kubernetes.io/component": "api",
        "appstudio.openshift.io/component": "never",
    }
    assert (find_application(labels), find_component(labels)) == ("shop", "lint")
    labels |= {"appstudio.openshift.io/application": "first", "tekton.dev/pipelineTask": "build"}
    assert (find_application(labels), find_component(labels)) == ("first", "build")
    assert (find_application({"app": "x"}), find_component({"component": "y"})) == ("x", "y")
    assert (find_application({}), find_component({"appstudio.openshift.io/component": "never"})) == ("", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("128974848", 128974848),
        ("129e6", 129000000),
        ("129E6", 129000000),
        ("1e3", 1000),
        ("5e-1", 1),
        ("129M", 129000000),
        ("123Mi", 128974848),
        ("128974848000m", 128974848),
        ("100m", 1),
        ("1001m", 2),
        ("1n", 1),
        ("1u", 1),
        ("1.5Gi", 1610612736),
        (".5Gi", 536870912),
        ("5.Ki", 5120),
        ("+1Ki", 1024),
        ("1k", 1000),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("1Ti", 2**40),
        ("1Pi", 2**50),
        ("1Ei", 2**60),
        ("9Ei", 2**63 - 1),
        ("1e999", 2**63 - 1),
        ("9" * 40, 2**63 - 1),
    ],
)
def test_quantities_are_bytes(text: str, expected: int) -> None:
    assert parse_quantity(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "Mi", ".", "1 Mi", "1Mb", "1KI", "1ki", "1K", "-1Mi", "1e", "1e1.5", "1eMi", "1e9999999", "9" * 41,
     "0x10", "NaN", "1,5Gi", "1Gi\n", "１Gi", "\N{PILE OF POO}"],
)  # fmt: skip
def test_rubbish_is_no_quantity(text: str) -> None:
    assert parse_quantity(text) is None


def read_pod(spec: object, status: object = None) -> Pod:
    statuses = [] if status is None else [{"name": "app", "resources": status}]
    return msgspec.convert(
        {
            "spec": {"containers": [{"name": "other"}, {"name": "app", "resources": raw(spec)}]},
            "status": {"containerStatuses": [{**each, "resources": raw(each["resources"])} for each in statuses]},
        },
        type=Pod,
    )


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


LIMITS = {"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"memory": "64Mi"}}


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        (LIMITS, None, (2**30, 64 * 2**20)),
        (LIMITS, {"limits": {"memory": "2Gi"}, "requests": {"memory": "128Mi"}}, (2**31, 128 * 2**20)),
        (LIMITS, {"limits": {"cpu": "1"}}, (2**30, 64 * 2**20)),
        (LIMITS, {}, (2**30, 64 * 2**20)),
        ({"requests": {"memory": "64Mi"}}, None, (None, 64 * 2**20)),
        ({"limits": None}, None, (None, None)),
        (None, None, (None, None)),
        ({"limits": {"memory": "lots"}}, None, (None, None)),
        ({"limits": {"memory": ["1Gi"]}}, None, (None, None)),
        ("rubbish", "rubbish", (None, None)),
    ],
)
def test_memory_is_what_the_status_says_before_the_spec(
    spec: object, status: object, expected: tuple[int | None, int | None]
) -> None:
    assert find_memory(read_pod(spec, status), "app") == expected


def test_init_and_ephemeral_containers_have_memory_and_unknown_ones_have_none() -> None:
    text = """{"spec": {"initContainers": [{"name": "db", "resources": {"limits": {"memory": "1Mi"}}}],
                        "ephemeralContainers": [{"name": "debug", "resources": {"requests": {"memory": "2Mi"}}}]}}"""
    pod = msgspec.json.decode(text, type=Pod)
    assert find_memory(pod, "db") == (2**20, None)
    assert find_memory(pod, "debug") == (None, 2**21)
    assert find_memory(pod, "") == find_memory(pod, "app") == (None, None)
