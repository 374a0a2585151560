"""The volumes of a description: where each comes from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from oomdb.artifacts.anyjson import as_list, as_mapping, as_text
from oomdb.artifacts.layout import Page, one_line
from oomdb.workloads import parse_quantity


def write_volumes(page: Page, volumes: object) -> None:
    """Write the volumes of a pod (source: k8s.io/kubectl/pkg/describe/describe.go, describeVolumes)."""
    listed = as_list(volumes)
    page.line(0, *(("Volumes:",) if listed else ("Volumes:", "<none>")))
    for volume in map(as_mapping, listed):
        page.line(1, f"{one_line(as_text(volume.get('name')))}:")
        kind = next((key for key in _KINDS if isinstance(volume.get(key), Mapping)), None)
        if kind is None:
            page.line(1, "<unknown>")
            continue
        page.line(2, "Type:", _KINDS[kind].title)
        source = volume[kind]
        for field in _KINDS[kind].fields:
            page.line(2, f"{field.label}:", one_line(_format_field(field, source)))
        if kind in _WRITERS:
            _WRITERS[kind](page, source)


class _Field(NamedTuple):
    label: str
    key: str
    default: str = ""


class _Kind(NamedTuple):
    title: str
    fields: Sequence[_Field]


def _format_field(field: _Field, source: Mapping[str, Any]) -> str:
    value = source.get(field.key)
    if field.key == "secretRef":
        return f"&LocalObjectReference{{Name:{as_text(as_mapping(value).get('name'))},}}" if value else "nil"
    if field.key == "sizeLimit":
        return as_text(value) if parse_quantity(as_text(value)) else field.default
    if field.key == "targetWWNs":
        return ", ".join(as_text(each) for each in as_list(value))
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(as_text(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{as_text(value[key])}' for key in sorted(value))}]"
    return as_text(value, field.default)


def _write_projected(page: Page, source: Mapping[str, Any]) -> None:
    for each in map(as_mapping, as_list(source.get("sources"))):
        if isinstance(secret := each.get("secret"), Mapping):
            _write_projected_object(page, "SecretName:", secret)
        elif isinstance(each.get("downwardAPI"), Mapping):
            page.line(2, "DownwardAPI:", "true")
        elif isinstance(config_map := each.get("configMap"), Mapping):
            _write_projected_object(page, "ConfigMapName:", config_map)
        elif isinstance(token := each.get("serviceAccountToken"), Mapping):
            page.line(2, "TokenExpirationSeconds:", one_line(as_text(token.get("expirationSeconds"), "3600")))


def _write_projected_object(page: Page, label: str, source: Mapping[str, Any]) -> None:
    page.line(2, label, one_line(as_text(source.get("name"))))
    page.line(2, "Optional:", "true" if source.get("optional") is True else "false")


def _write_downward_api(page: Page, source: Mapping[str, Any]) -> None:
    page.line(2, "Items:")
    for item in map(as_mapping, as_list(source.get("items"))):
        for key, name in (("fieldRef", "fieldPath"), ("resourceFieldRef", "resource")):
            if isinstance(reference := item.get(key), Mapping):
                page.line(3, one_line(f"{as_text(reference.get(name))} -> {as_text(item.get('path'))}"))


def _write_csi(page: Page, source: Mapping[str, Any]) -> None:
    _write_pairs(page, "VolumeAttributes:", as_mapping(source.get("volumeAttributes")), "=", none="<none>")


def _write_claim_template(page: Page, source: Mapping[str, Any]) -> None:
    template = source.get("volumeClaimTemplate")
    if not isinstance(template, Mapping):
        return
    metadata, spec = as_mapping(template.get("metadata")), as_mapping(template.get("spec"))
    page.line(2, "StorageClass:", one_line(as_text(spec.get("storageClassName"))))
    page.line(2, "Volume:", one_line(as_text(spec.get("volumeName"))))
    _write_pairs(page, "Labels:", as_mapping(metadata.get("labels")), "=", none="    <none>")
    _write_pairs(page, "Annotations:", as_mapping(metadata.get("annotations")), ": ", none="    <none>")
    # Empty, as kubectl prints them of a template: both are known of a claim only.
    page.line(2, "Capacity:", "")
    page.line(2, "Access Modes:", "")
    if spec.get("volumeMode") is not None:
        page.line(2, "VolumeMode:", one_line(as_text(spec["volumeMode"])))
    if isinstance(origin := spec.get("dataSource"), Mapping):
        page.line(2, "DataSource:")
        for label, key in (("APIGroup:", "apiGroup"), ("Kind:", "kind"), ("Name:", "name")):
            if key != "apiGroup" or origin.get(key) is not None:
                page.line(3, label, one_line(as_text(origin.get(key))))


def _write_pairs(page: Page, label: str, pairs: Mapping[str, Any], joint: str, *, none: str) -> None:
    """Write sorted pairs below one another, indented within their column as kubectl's nested writer does."""
    first, *rest = [one_line(f"    {key}{joint}{as_text(pairs[key])}") for key in sorted(pairs)] or [none]
    page.line(2, label, first)
    for line in rest:
        page.line(2, "", line)


_WRITERS = {
    "projected": _write_projected,
    "downwardAPI": _write_downward_api,
    "csi": _write_csi,
    "ephemeral": _write_claim_template,
}
_FS_TYPE = _Field("FSType", "fsType")
_READ_ONLY = _Field("ReadOnly", "readOnly", "false")
_OPTIONAL = _Field("Optional", "optional", "false")
_SECRET = _Field("SecretRef", "secretRef")
_PATH = _Field("Path", "path")
_VOLUME_ID = _Field("VolumeID", "volumeID")
_PARTITION = _Field("Partition", "partition", "0")

# The first kind that a volume has is the one that is printed.
_KINDS = {
    "hostPath": _Kind(
        "HostPath (bare host directory volume)",
        (_PATH, _Field("HostPathType", "type", "<none>")),
    ),
    "emptyDir": _Kind(
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (_Field("Medium", "medium"), _Field("SizeLimit", "sizeLimit", "<unset>")),
    ),
    "gcePersistentDisk": _Kind(
        "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        (_Field("PDName", "pdName"), _FS_TYPE, _PARTITION, _READ_ONLY),
    ),
    "awsElasticBlockStore": _Kind(
        "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        (_VOLUME_ID, _FS_TYPE, _PARTITION, _READ_ONLY),
    ),
    "gitRepo": _Kind(
        "GitRepo (a volume that is pulled from git when the pod is created)",
        (_Field("Repository", "repository"), _Field("Revision", "revision")),
    ),
    "secret": _Kind(
        "Secret (a volume populated by a Secret)",
        (_Field("SecretName", "secretName"), _OPTIONAL),
    ),
    "configMap": _Kind(
        "ConfigMap (a volume populated by a ConfigMap)",
        (_Field("Name", "name"), _OPTIONAL),
    ),
    "nfs": _Kind(
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        (_Field("Server", "server"), _PATH, _READ_ONLY),
    ),
    "iscsi": _Kind(
        "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
        (
            _Field("TargetPortal", "targetPortal"),
            _Field("IQN", "iqn"),
            _Field("Lun", "lun", "0"),
            _Field("ISCSIInterface", "iscsiInterface"),
            _FS_TYPE,
            _READ_ONLY,
            _Field("Portals", "portals", "[]"),
            _Field("DiscoveryCHAPAuth", "chapAuthDiscovery", "false"),
            _Field("SessionCHAPAuth", "chapAuthSession", "false"),
            _SECRET,
            _Field("InitiatorName", "initiatorName", "<none>"),
        ),
    ),
    "glusterfs": _Kind(
        "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        (_Field("EndpointsName", "endpoints"), _PATH, _READ_ONLY),
    ),
    "persistentVolumeClaim": _Kind(
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (_Field("ClaimName", "claimName"), _READ_ONLY),
    ),
    "ephemeral": _Kind(
        "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)", ()
    ),
    "rbd": _Kind(
        "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
        (
            _Field("CephMonitors", "monitors", "[]"),
            _Field("RBDImage", "image"),
            _FS_TYPE,
            _Field("RBDPool", "pool"),
            _Field("RadosUser", "user"),
            _Field("Keyring", "keyring"),
            _SECRET,
            _READ_ONLY,
        ),
    ),
    "quobyte": _Kind(
        "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
        (_Field("Registry", "registry"), _Field("Volume", "volume"), _READ_ONLY),
    ),
    "downwardAPI": _Kind("DownwardAPI (a volume populated by information about the pod)", ()),
    "azureDisk": _Kind(
        "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
        (
            _Field("DiskName", "diskName"),
            _Field("DiskURI", "diskURI"),
            _Field("Kind", "kind", "Shared"),
            _Field("FSType", "fsType", "ext4"),
            _Field("CachingMode", "cachingMode", "ReadWrite"),
            _READ_ONLY,
        ),
    ),
    "vsphereVolume": _Kind(
        "vSphereVolume (a Persistent Disk resource in vSphere)",
        (_Field("VolumePath", "volumePath"), _FS_TYPE, _Field("StoragePolicyName", "storagePolicyName")),
    ),
    "cinder": _Kind(
        "Cinder (a Persistent Disk resource in OpenStack)",
        (_VOLUME_ID, _FS_TYPE, _READ_ONLY, _SECRET),
    ),
    "photonPersistentDisk": _Kind(
        "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
        (_Field("PdID", "pdID"), _FS_TYPE),
    ),
    "portworxVolume": _Kind("PortworxVolume (a Portworx Volume resource)", (_VOLUME_ID,)),
    "scaleIO": _Kind(
        "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        (
            _Field("Gateway", "gateway"),
            _Field("System", "system"),
            _Field("Protection Domain", "protectionDomain"),
            _Field("Storage Pool", "storagePool"),
            _Field("Storage Mode", "storageMode"),
            _Field("VolumeName", "volumeName"),
            _FS_TYPE,
            _READ_ONLY,
        ),
    ),
    "cephfs": _Kind(
        "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
        (
            _Field("Monitors", "monitors", "[]"),
            _PATH,
            _Field("User", "user"),
            _Field("SecretFile", "secretFile"),
            _SECRET,
            _READ_ONLY,
        ),
    ),
    "storageos": _Kind(
        "StorageOS (a StorageOS Persistent Disk resource)",
        (_Field("VolumeName", "volumeName"), _Field("VolumeNamespace", "volumeNamespace"), _FS_TYPE, _READ_ONLY),
    ),
    "fc": _Kind(
        "FC (a Fibre Channel disk)",
        (_Field("TargetWWNs", "targetWWNs"), _Field("LUN", "lun", "<none>"), _FS_TYPE, _READ_ONLY),
    ),
    "azureFile": _Kind(
        "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        (_Field("SecretName", "secretName"), _Field("ShareName", "shareName"), _READ_ONLY),
    ),
    "flexVolume": _Kind(
        "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
        (_Field("Driver", "driver"), _FS_TYPE, _SECRET, _READ_ONLY, _Field("Options", "options", "map[]")),
    ),
    "flocker": _Kind(
        "Flocker (a Flocker volume mounted by the Flocker agent)",
        (_Field("DatasetName", "datasetName"), _Field("DatasetUUID", "datasetUUID")),
    ),
    "projected": _Kind("Projected (a volume that contains injected data from multiple sources)", ()),
    "csi": _Kind(
        "CSI (a Container Storage Interface (CSI) volume source)",
        (_Field("Driver", "driver"), _FS_TYPE, _READ_ONLY),
    ),
    "image": _Kind(
        "Image (a container image or OCI artifact)",
        (_Field("Reference", "reference"), _Field("PullPolicy", "pullPolicy")),
    ),
}
