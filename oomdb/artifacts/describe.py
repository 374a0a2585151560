"""Describing a pod as `kubectl describe pod` does, with its events and its manifest."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from oomdb.artifacts.anyjson import as_instant, as_list, as_mapping, as_text
from oomdb.artifacts.describe_containers import format_time, write_containers, write_resources, write_seccomp_profile
from oomdb.artifacts.describe_volumes import write_volumes
from oomdb.artifacts.layout import Page, many_lines, one_line
from oomdb.artifacts.manifest import LAST_APPLIED, render_manifest

MANIFEST_HEADING = "--- manifest"
_MANIFEST_NOTE = f"# Without metadata.managedFields and the annotation {LAST_APPLIED}."


def describe_pod(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]] | None, *, now: datetime) -> str:
    """Return the sections that `kubectl describe pod` prints of a pod, then `--- manifest` and the pod as YAML.

    `pod` is a v1 Pod and `events` the v1 Events that speak of it, as decoded JSON; None says that they could not be
    read. Any JSON value may stand anywhere: a value of the wrong type is shown as it is or passed over, never raised
    on. Times are in UTC; ages are counted back from `now`. Control characters are shown instead of printed.

    Source of sections, order and words: describePod in k8s.io/kubectl/pkg/describe/describe.go (1.32 to 1.34).
    """
    page = Page()
    metadata, spec, status = (as_mapping(pod.get(key)) for key in ("metadata", "spec", "status"))
    _write_identity(page, metadata, spec, status)
    _write_phase(page, metadata, status, now)
    write_seccomp_profile(page, 0, 0, spec.get("securityContext"))
    _write_addresses(page, metadata, status)
    _write_all_containers(page, pod, spec, status)
    _write_conditions(page, spec, status)
    write_volumes(page, spec.get("volumes"))
    page.line(0, "QoS Class:", one_line(as_text(status.get("qosClass"))))
    _write_pairs(page, "Node-Selectors:", spec.get("nodeSelector"))
    _write_tolerations(page, spec.get("tolerations"))
    _write_spread_constraints(page, spec.get("topologySpreadConstraints"))
    _write_events(page, events, now)
    return f"{page.render()}\n{MANIFEST_HEADING}\n{_MANIFEST_NOTE}\n{render_manifest(pod)}"


def format_age(age: timedelta) -> str:
    """Return a duration as kubectl abbreviates it: `45s`, `3m20s`, `5h10m`, `2d3h`, `400d`, `3y10d`.

    Source: HumanDuration in k8s.io/apimachinery/pkg/util/duration/duration.go.
    """
    seconds = int(age.total_seconds())
    if seconds < -1:
        return "<invalid>"
    if seconds < 2 * 60:
        return f"{max(seconds, 0)}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return _two_units(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two_units(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two_units(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    return _two_units(days // 365, "y", days % 365, "d") if days < 8 * 365 else f"{days // 365}y"


def _two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def _write_identity(
    page: Page, metadata: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]
) -> None:
    page.line(0, "Name:", one_line(as_text(metadata.get("name"))))
    page.line(0, "Namespace:", one_line(as_text(metadata.get("namespace"))))
    _write_if_any(page, "Priority:", spec.get("priority"))
    _write_if_any(page, "Priority Class Name:", spec.get("priorityClassName"))
    _write_if_any(page, "Runtime Class Name:", spec.get("runtimeClassName"))
    _write_if_any(page, "Service Account:", spec.get("serviceAccountName"))
    node = as_text(spec.get("nodeName"))
    page.line(0, "Node:", one_line(f"{node}/{as_text(status.get('hostIP'))}") if node else "<none>")
    if status.get("startTime") is not None:
        page.line(0, "Start Time:", format_time(status["startTime"]))
    _write_pairs(page, "Labels:", metadata.get("labels"))
    _write_annotations(page, metadata.get("annotations"))


def _write_if_any(page: Page, label: str, value: object) -> None:
    text = as_text(value)
    if text:
        page.field(0, label, text)


def _write_pairs(page: Page, label: str, pairs: object) -> None:
    known = as_mapping(pairs)
    _write_column(page, label, [one_line(f"{key}={as_text(known[key])}") for key in sorted(known)])


def _write_column(page: Page, label: str, lines: Sequence[str]) -> None:
    first, *rest = lines or ["<none>"]
    page.line(0, label, first)
    for line in rest:
        page.line(0, "", line)


_LONGEST_ANNOTATION = 140  # bytes; kubectl's maxAnnotationLen


def _write_annotations(page: Page, annotations: object) -> None:
    known = as_mapping(annotations)
    lines: list[str] = []
    for key in sorted(known):
        if key == LAST_APPLIED:
            continue
        value = as_text(known[key]).removesuffix("\n")
        if "\n" in value or _count_bytes(value) + _count_bytes(key) + 2 > _LONGEST_ANNOTATION:
            lines.append(one_line(f"{key}:"))
            lines.extend(f"  {_shorten(line)}" for line in many_lines(value))
        else:
            lines.append(one_line(f"{key}: {value}"))
    _write_column(page, "Annotations:", lines)


def _count_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _shorten(line: str) -> str:
    encoded = line.encode()
    limit = _LONGEST_ANNOTATION - 2
    return line if len(encoded) <= limit else encoded[:limit].decode("utf-8", "ignore") + "..."


def _write_phase(page: Page, metadata: Mapping[str, Any], status: Mapping[str, Any], now: datetime) -> None:
    phase = status.get("phase")
    if metadata.get("deletionTimestamp") is not None and phase not in ("Failed", "Succeeded"):
        page.line(0, "Status:", f"Terminating (lasts {_format_since(metadata['deletionTimestamp'], now)})")
        grace = one_line(as_text(metadata.get("deletionGracePeriodSeconds"), "0"))
        page.line(0, "Termination Grace Period:", f"{grace}s")
    else:
        page.line(0, "Status:", one_line(as_text(phase)))
    _write_if_any(page, "Reason:", status.get("reason"))
    _write_if_any(page, "Message:", status.get("message"))


def _format_since(value: object, now: datetime) -> str:
    instant = as_instant(value)
    return format_age(now.astimezone(UTC) - instant) if instant else "<unknown>"


def _write_addresses(page: Page, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    page.line(0, "IP:", one_line(as_text(status.get("podIP"))))
    addresses = as_list(status.get("podIPs"))
    page.line(0, *(("IPs:",) if addresses else ("IPs:", "<none>")))
    for address in addresses:
        page.line(1, "IP:", one_line(as_text(as_mapping(address).get("ip"))))
    for owner in map(as_mapping, as_list(metadata.get("ownerReferences"))):
        if owner.get("controller") is True:
            page.line(0, "Controlled By:", one_line(f"{as_text(owner.get('kind'))}/{as_text(owner.get('name'))}"))
            break
    _write_if_any(page, "NominatedNodeName:", status.get("nominatedNodeName"))


def _write_all_containers(
    page: Page, pod: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]
) -> None:
    if isinstance(resources := spec.get("resources"), Mapping):
        page.line(0, "Resources:")
        write_resources(page, 1, resources)
    if as_list(spec.get("initContainers")):
        write_containers(page, "Init Containers", spec["initContainers"], status.get("initContainerStatuses"), pod)
    write_containers(page, "Containers", spec.get("containers"), status.get("containerStatuses"), pod)
    if as_list(spec.get("ephemeralContainers")):
        statuses = status.get("ephemeralContainerStatuses")
        write_containers(page, "Ephemeral Containers", spec["ephemeralContainers"], statuses, pod)


def _write_conditions(page: Page, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
    conditions = [as_mapping(each) for each in as_list(status.get("conditions"))]
    found: dict[str, str] = {}
    for each in conditions:
        found.setdefault(as_text(each.get("type")), as_text(each.get("status")))
    gates = [as_text(as_mapping(each).get("conditionType")) for each in as_list(spec.get("readinessGates"))]
    gate_rows = [(gate, found.get(gate, "<none>")) for gate in gates]
    rows = [(as_text(each.get("type")), as_text(each.get("status"))) for each in conditions]
    for heading, listed in (("Readiness Gates:", gate_rows), ("Conditions:", rows)):
        if listed:
            page.line(0, heading)
            page.line(1, "Type", "Status")
        for name, value in listed:
            page.line(1, f"{one_line(name)} ", f"{one_line(value)} ")


def _write_tolerations(page: Page, tolerations: object) -> None:
    known = sorted(map(as_mapping, as_list(tolerations)), key=lambda each: as_text(each.get("key")))
    _write_column(page, "Tolerations:", [one_line(_format_toleration(each)) for each in known])


def _format_toleration(toleration: Mapping[str, Any]) -> str:
    key, value, effect = (as_text(toleration.get(name)) for name in ("key", "value", "effect"))
    text = key + (f"={value}" if value else "") + (f":{effect}" if effect else "")
    if toleration.get("operator") == "Exists" and not value:
        text += " op=Exists" if text else "op=Exists"
    seconds = toleration.get("tolerationSeconds")
    return text if seconds is None else f"{text} for {as_text(seconds)}s"


def _write_spread_constraints(page: Page, constraints: object) -> None:
    known = sorted(map(as_mapping, as_list(constraints)), key=lambda each: as_text(each.get("topologyKey")))
    if known:
        _write_column(page, "Topology Spread Constraints:", [one_line(_format_constraint(each)) for each in known])


def _format_constraint(constraint: Mapping[str, Any]) -> str:
    key, action = as_text(constraint.get("topologyKey")), as_text(constraint.get("whenUnsatisfiable"))
    text = f"{key}:{action} when max skew {as_text(constraint.get('maxSkew'), '0')} is exceeded"
    selector = constraint.get("labelSelector")
    return f"{text} for selector {_format_selector(selector)}" if isinstance(selector, Mapping) else text


def _format_selector(selector: Mapping[str, Any]) -> str:
    labels = as_mapping(selector.get("matchLabels"))
    terms = [(key, f"{key}={as_text(labels[key])}") for key in labels]
    for expression in map(as_mapping, as_list(selector.get("matchExpressions"))):
        key, operator = as_text(expression.get("key")), as_text(expression.get("operator"))
        values = ",".join(sorted(as_text(each) for each in as_list(expression.get("values"))))
        written = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append((key, written.get(operator, f"!{key}")))
    return ",".join(text for _, text in sorted(terms, key=lambda term: term[0])) or "<none>"


def _write_events(page: Page, events: Sequence[Mapping[str, Any]] | None, now: datetime) -> None:
    if not events:
        page.line(0, "Events:", "<none>" if events is not None else "<unknown: they could not be read>")
        return
    page.line(0, "Events:")
    page.line(1, "Type", "Reason", "Age", "From", "Message")
    page.line(1, "----", "------", "----", "----", "-------")
    for event in sorted(map(as_mapping, events), key=_last_seen_at):
        source = as_text(as_mapping(event.get("source")).get("component")) or as_text(event.get("reportingComponent"))
        message, *more = many_lines(as_text(event.get("message")).strip())
        kind, reason = one_line(as_text(event.get("type"))), one_line(as_text(event.get("reason")))
        page.line(1, kind, reason, one_line(_format_event_age(event, now)), one_line(source), message)
        for line in more:
            page.line(1, "", "", "", "", line)


_NEVER = datetime.min.replace(tzinfo=UTC)


def _last_seen_at(event: Mapping[str, Any]) -> datetime:
    return as_instant(event.get("lastTimestamp")) or _NEVER


def _format_event_age(event: Mapping[str, Any], now: datetime) -> str:
    first = event.get("firstTimestamp") if event.get("eventTime") is None else event["eventTime"]
    since_first = _format_since(first, now)
    if isinstance(series := event.get("series"), Mapping):
        last, count = series.get("lastObservedTime"), series.get("count")
    else:
        last, count = event.get("lastTimestamp"), event.get("count")
        if not isinstance(count, int) or count <= 1:
            return since_first
    return f"{_format_since(last, now)} (x{as_text(count, '0')} over {since_first})"
