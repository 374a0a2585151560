"""The containers of a description: what was asked of each, and how it fares."""

import json
from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from oomdb.artifacts.anyjson import as_instant, as_list, as_mapping, as_text
from oomdb.artifacts.layout import Page, many_lines, one_line
from oomdb.workloads import parse_quantity


def write_containers(page: Page, heading: str, containers: object, statuses: object, pod: Mapping[str, Any]) -> None:
    """Write one of the three lists of containers (source: k8s.io/kubectl/pkg/describe/describe.go, describeContainers).

    A container without a status lacks the lines that come from one.
    """
    named = {as_text(as_mapping(each).get("name")): as_mapping(each) for each in as_list(statuses)}
    listed = as_list(containers)
    page.line(0, f"{heading}:" if listed else f"{heading}: <none>")
    for each in listed:
        container = as_mapping(each)
        status = named.get(as_text(container.get("name")))
        _write_image_and_ports(page, container, status)
        _write_arguments(page, "Command:", container.get("command"))
        _write_arguments(page, "Args:", container.get("args"))
        if status is not None:
            _write_status(page, status)
        write_resources(page, 2, container.get("resources"))
        _write_probes(page, container)
        _write_environment_sources(page, container.get("envFrom"))
        _write_environment(page, container, pod)
        _write_mounts(page, container)


def write_resources(page: Page, level: int, resources: object) -> None:
    """Write limits and requests, each with its names sorted."""
    for label, key in (("Limits:", "limits"), ("Requests:", "requests")):
        amounts = as_mapping(as_mapping(resources).get(key))
        if amounts:
            page.line(level, label)
        for name in sorted(amounts):
            page.line(level + 1, f"{one_line(name)}:", one_line(as_text(amounts[name])))


def write_seccomp_profile(page: Page, level: int, local_level: int, security_context: object) -> None:
    """Write the seccomp profile of a pod or container, if it has one."""
    profile = as_mapping(security_context).get("seccompProfile")
    if not isinstance(profile, Mapping):
        return
    page.line(level, "SeccompProfile:", one_line(as_text(profile.get("type"))))
    if profile.get("type") == "Localhost":
        page.line(local_level, "LocalhostProfile:", one_line(as_text(profile.get("localhostProfile"))))


def format_time(value: object) -> str:
    """Return a time as kubectl prints it, in UTC; a missing one is Go's zero time, as there."""
    if value is None:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    instant = as_instant(value)
    return format_datetime(instant) if instant else one_line(as_text(value))


def _write_image_and_ports(page: Page, container: Mapping[str, Any], status: Mapping[str, Any] | None) -> None:
    page.line(1, f"{one_line(as_text(container.get('name')))}:")
    if status is not None:
        page.line(2, "Container ID:", one_line(as_text(status.get("containerID"))))
    page.line(2, "Image:", one_line(as_text(container.get("image"))))
    if status is not None:
        page.line(2, "Image ID:", one_line(as_text(status.get("imageID"))))
    for label, key in (("Port", "containerPort"), ("Host Port", "hostPort")):
        ports = [
            f"{as_text(port.get(key), '0')}/{as_text(port.get('protocol'))}"
            for port in map(as_mapping, as_list(container.get("ports")))
        ]
        page.line(2, f"{label}s:" if len(ports) > 1 else f"{label}:", one_line(", ".join(ports)) or "<none>")
    write_seccomp_profile(page, 2, 3, container.get("securityContext"))


def _write_arguments(page: Page, label: str, arguments: object) -> None:
    if as_list(arguments):
        page.line(2, label)
    for argument in as_list(arguments):
        for line in many_lines(as_text(argument)):
            page.line(3, line)


def _write_status(page: Page, status: Mapping[str, Any]) -> None:
    _write_state(page, "State:", as_mapping(status.get("state")))
    last = as_mapping(status.get("lastState"))
    if isinstance(last.get("terminated"), Mapping):
        _write_state(page, "Last State:", last)
    page.line(2, "Ready:", "True" if status.get("ready") is True else "False")
    page.line(2, "Restart Count:", one_line(as_text(status.get("restartCount"), "0")))


def _write_state(page: Page, label: str, state: Mapping[str, Any]) -> None:
    if isinstance(running := state.get("running"), Mapping):
        page.line(2, label, "Running")
        page.line(3, "Started:", format_time(running.get("startedAt")))
    elif isinstance(ended := state.get("terminated"), Mapping) and not isinstance(state.get("waiting"), Mapping):
        page.line(2, label, "Terminated")
        _write_if_any(page, "Reason:", ended)
        _write_if_any(page, "Message:", ended)
        page.line(3, "Exit Code:", one_line(as_text(ended.get("exitCode"), "0")))
        if ended.get("signal"):
            page.line(3, "Signal:", one_line(as_text(ended["signal"])))
        page.line(3, "Started:", format_time(ended.get("startedAt")))
        page.line(3, "Finished:", format_time(ended.get("finishedAt")))
    else:
        page.line(2, label, "Waiting")
        _write_if_any(page, "Reason:", as_mapping(state.get("waiting")))


def _write_if_any(page: Page, label: str, values: Mapping[str, Any]) -> None:
    text = as_text(values.get(label[:-1].lower()))
    if text:
        page.field(3, label, text)


def _write_probes(page: Page, container: Mapping[str, Any]) -> None:
    for label, key in (("Liveness:", "livenessProbe"), ("Readiness:", "readinessProbe"), ("Startup:", "startupProbe")):
        probe = container.get(key)
        if isinstance(probe, Mapping):
            page.line(2, label, one_line(f"{_format_probe_action(probe)} {_format_probe_times(probe)}"))


def _format_probe_times(probe: Mapping[str, Any]) -> str:
    def number(key: str) -> str:
        return as_text(probe.get(key), "0")

    return (
        f"delay={number('initialDelaySeconds')}s timeout={number('timeoutSeconds')}s"
        f" period={number('periodSeconds')}s"
        f" #success={number('successThreshold')} #failure={number('failureThreshold')}"
    )


def _format_probe_action(probe: Mapping[str, Any]) -> str:
    if isinstance(command := probe.get("exec"), Mapping):
        return f"exec [{' '.join(as_text(each) for each in as_list(command.get('command')))}]"
    if isinstance(get := probe.get("httpGet"), Mapping):
        return f"http-get {_format_url(get)}"
    if isinstance(socket := probe.get("tcpSocket"), Mapping):
        return f"tcp-socket {as_text(socket.get('host'))}:{as_text(socket.get('port'))}"
    if isinstance(grpc := probe.get("grpc"), Mapping):
        return f"grpc <pod>:{as_text(grpc.get('port'), '0')} {as_text(grpc.get('service'))}"
    return "unknown"


def _format_url(get: Mapping[str, Any]) -> str:
    host, port, path = as_text(get.get("host")), as_text(get.get("port")), as_text(get.get("path"))
    if ":" in host:
        host = f"[{host}]"
    slash = "" if not path or path.startswith("/") else "/"
    # `?` too is escaped: kubectl takes the whole text as the path.
    escaped = quote(path, safe="/$&+,:;=@", errors="backslashreplace")
    scheme = as_text(get.get("scheme")).lower()
    return f"{scheme + ':' if scheme else ''}//{host}{':' + port if port else ''}{slash}{escaped}"


def _write_environment_sources(page: Page, sources: object) -> None:
    if as_list(sources):
        page.line(2, "Environment Variables from:")
    for each in map(as_mapping, as_list(sources)):
        kind, reference = "", as_mapping(None)
        for name, key in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
            if isinstance(each.get(key), Mapping):
                kind, reference = name, each[key]
        prefix = as_text(each.get("prefix"))
        origin = f"{kind} with prefix '{prefix}'" if prefix else kind
        page.line(3, one_line(as_text(reference.get("name"))), one_line(origin), _format_optional(reference))


def _write_environment(page: Page, container: Mapping[str, Any], pod: Mapping[str, Any]) -> None:
    variables = as_list(container.get("env"))
    page.line(2, *(("Environment:",) if variables else ("Environment:", "<none>")))
    for variable in map(as_mapping, variables):
        label = f"{one_line(as_text(variable.get('name')))}:"
        source = variable.get("valueFrom")
        if isinstance(source, Mapping):
            page.line(3, label, *_format_value_source(source, container, pod))
        else:
            page.field(3, label, as_text(variable.get("value")))


def _format_value_source(
    source: Mapping[str, Any], container: Mapping[str, Any], pod: Mapping[str, Any]
) -> Sequence[str]:
    if isinstance(field := source.get("fieldRef"), Mapping):
        value = _find_field(pod, field.get("fieldPath"))
        path = f"{as_text(field.get('apiVersion'), 'v1')}:{as_text(field.get('fieldPath'))}"
        return (one_line(f"{value} ({path})"),)
    if isinstance(amount := source.get("resourceFieldRef"), Mapping):
        return (one_line(f"{_find_amount(amount, container)} ({as_text(amount.get('resource'))})"),)
    for key, place in (("secretKeyRef", "in secret"), ("configMapKeyRef", "of config map")):
        if isinstance(reference := source.get(key), Mapping):
            chosen, name = as_text(reference.get("key")), as_text(reference.get("name"))
            return one_line(f"<set to the key '{chosen}' {place} '{name}'>"), _format_optional(reference)
    return (one_line(f"<set from {', '.join(source) or 'nothing'}>"),)


def _find_field(pod: Mapping[str, Any], path: object) -> str:
    """Return the value of the two fields that kubectl looks up; of others it prints only the path."""
    metadata = as_mapping(pod.get("metadata"))
    return as_text(metadata.get(path.removeprefix("metadata."))) if path in _KNOWN_FIELDS else ""


_KNOWN_FIELDS = ("metadata.name", "metadata.namespace")


def _find_amount(reference: Mapping[str, Any], container: Mapping[str, Any]) -> str:
    """Return a limit or request in units of the divisor, rounded up (k8s.io/kubectl/pkg/util/resource)."""
    resource = as_text(reference.get("resource"))
    which, _, name = resource.partition(".")
    amounts = as_mapping(as_mapping(container.get("resources")).get(which))
    read = _parse_thousandths if name == "cpu" else parse_quantity
    amount = read(as_text(amounts.get(name), "0"))
    divisor = read(as_text(reference.get("divisor"))) or read("1")
    if amount is None or not divisor or which not in ("limits", "requests"):
        return ""
    units = -(-amount // divisor)
    return "node allocatable" if not units and resource in ("limits.cpu", "limits.memory") else str(units)


def _parse_thousandths(text: str) -> int | None:
    if text.endswith("m"):
        return parse_quantity(text[:-1])
    amount = parse_quantity(text)
    return None if amount is None else amount * 1000


def _format_optional(reference: Mapping[str, Any]) -> str:
    return f"Optional: {'true' if reference.get('optional') is True else 'false'}"


def _write_mounts(page: Page, container: Mapping[str, Any]) -> None:
    mounts = [as_mapping(each) for each in as_list(container.get("volumeMounts"))]
    page.line(2, *(("Mounts:",) if mounts else ("Mounts:", "<none>")))
    for mount in sorted(mounts, key=lambda each: as_text(each.get("mountPath"))):
        sub_path = as_text(mount.get("subPath"))
        flags = "ro" if mount.get("readOnly") is True else "rw"
        if sub_path:
            flags += f",path={json.dumps(sub_path, ensure_ascii=False)}"
        page.line(3, one_line(f"{as_text(mount.get('mountPath'))} from {as_text(mount.get('name'))} ({flags})"))
    devices = [as_mapping(each) for each in as_list(container.get("volumeDevices"))]
    if devices:
        page.line(2, *(("Devices:",) if mounts else ("Devices:", "<none>")))
    for device in sorted(devices, key=lambda each: as_text(each.get("devicePath"))):
        page.line(3, one_line(f"{as_text(device.get('devicePath'))} from {as_text(device.get('name'))}"))
