"""Pods that are known as another cluster's: one cluster has got two names, or one capture was taken for two."""

import json
from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from oomdb.model import Finding
from oomdb.store.dialect import texts_in
from oomdb.store.folding import KILL, LOOP, identity_prefix, pod_key
from oomdb.store.schema import occurrences
from oomdb.store.stored import has_prefix


def count_pods_of_other_clusters(conn: Connection, cluster: str, scanned: Iterable[Finding]) -> dict[str, int]:
    """Return of how many of a scan's pods kills and loops are stored as those of other clusters, by their names."""
    keys = {(pod_key(cluster, it), it.container) for it in scanned}
    prefix = texts_in("prefixes")
    counts = (
        select(occurrences.c.cluster, func.count(occurrences.c.pod_uid.distinct()))
        .select_from(prefix.outerjoin(occurrences, has_prefix(prefix.c.value)))  # in this order, as in store.stored
        .where(occurrences.c.cluster != cluster)
        .group_by(occurrences.c.cluster)
    )
    prefixes = sorted(identity_prefix(kind, key) for key in keys for kind in (KILL, LOOP))
    return {row[0]: row[1] for row in conn.execute(counts, {"prefixes": json.dumps(prefixes)})}
