"""One scan of the clusters of a kubeconfig, without a database: what it costs in this process, as JSON."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from oomdb.collect.scan import ScanRequest, scan_cluster
from oomdb.detectors.registry import load_detectors
from oomdb.kube.client import open_client
from oomdb.kube.clusters import plan_clusters
from oomdb.kube.formats import ListFormat
from oomdb.kube.kubeconfig import load_kubeconfig


def main(kubeconfig: str, lists: ListFormat) -> None:
    """Scan the first cluster and print CPU seconds, bytes and counts."""
    request = ScanRequest(lookback=timedelta(days=365), detectors=load_detectors())
    target = plan_clusters(load_kubeconfig(path=kubeconfig, environ={}, home=Path("/")), names={})[0]
    began = time.process_time()
    with open_client(target, timeout_seconds=60, retries=0, lists=lists) as client:
        scan = scan_cluster(client, request, own_namespace="default", at=datetime.now(UTC))
        used = time.process_time() - began
        if scan.status != "complete":
            raise SystemExit(f"{scan.status}: {scan.error} {scan.gaps}")
        print(
            json.dumps(
                {
                    "cpu_seconds": used,
                    "bytes": client.bytes_received,
                    "requests": client.requests,
                    "pods": scan.pods_seen,
                    "events": scan.events_seen,
                    "findings": len(scan.findings),
                }
            )
        )


if __name__ == "__main__":
    lists: ListFormat = "json" if sys.argv[2] == "json" else "protobuf"
    main(sys.argv[1], lists)
