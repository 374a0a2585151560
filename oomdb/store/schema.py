"""The tables, declared once; the migrations create them, and every column says what it holds."""

from sqlalchemy import (
    REAL,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from oomdb.store.dialect import Instant, instant_shape, one_of

REVISION = "0004"  # the newest migration; a test holds it against the folder
APPLICATION_ID = 0x6F6F6D64  # 'oomd' in the header of the SQLite file, so that a foreign file is refused

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, comment: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable, comment=comment)


def _count(name: str, comment: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=nullable, comment=comment)


def _instant(name: str, comment: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, Instant, nullable=nullable, comment=comment)


def _run_id() -> Column[int]:
    return Column("run_id", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, comment="the run")


def _run_of_look(name: str, comment: str) -> Column[int]:
    return Column(name, Integer, ForeignKey("runs.id", ondelete="SET NULL"), nullable=True, comment=comment)


runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, comment="number of the run, never used twice"),
    Column("uid", Text, unique=True, nullable=False, comment="the run's name across databases"),
    _instant("started_at", "when it began"),
    _instant("finished_at", "when it ended; NULL while it runs or where it was killed", nullable=True),
    _text(
        "status",
        "running, complete (every cluster was read), partial (not all was, perhaps nothing: see run_clusters), aborted "
        "(cut short before any was)",
    ),
    _text("origin", "collect, import, ingest or demo"),
    _text("time_range", "the time range as typed, for example 1d, or auto"),
    _count("lookback_seconds", "the time range in seconds; of auto the longest that a cluster was looked back over"),
    _text("scope", "the selection as written: 'all', or the flags that narrow it"),
    _text("scope_hash", "hash of the scope: runs of different scope are not compared"),
    _text("tool_version", "version of oomdb, or of the legacy format"),
    _text("host", "name of the machine that ran it"),
    _count("pid", "its process", nullable=True),
    _instant("heartbeat_at", "last sign of life of a running run", nullable=True),
    _text("arguments", "command line, passwords masked"),
    one_of("status", "running", "complete", "partial", "aborted"),
    one_of("origin", "collect", "import", "ingest", "demo"),
    instant_shape("started_at"),
    Index(None, "started_at"),
    Index(None, "scope", "started_at"),
    comment="One row per execution that adds data.",
    sqlite_autoincrement=True,
)

run_clusters = Table(
    "run_clusters",
    metadata,
    _run_id(),
    _text("cluster", "short name of the API server"),
    _text("context", "kubeconfig context by which it was read"),
    _text("server", "URL of the API server"),
    _text("skipped_by_rule", "JSON: how many namespaces each rule left out"),
    _text("status", "complete, partial (see run_gaps), unreachable, forbidden, failed, skipped or unknown"),
    _text("server_version", "Kubernetes version, '' where not told"),
    _count("namespaces_scanned", "namespaces that were read; NULL where nobody counted", nullable=True),
    _count("namespaces_skipped", "namespaces left out by a rule", nullable=True),
    _count("namespaces_failed", "namespaces that could not be read", nullable=True),
    _count("pods_seen", "pods in the lists; NULL where none could be listed", nullable=True),
    _count("events_seen", "events in the lists; NULL where none could be listed", nullable=True),
    _instant("oldest_event_at", "the oldest event seen: how far back events reached", nullable=True),
    _count("requests", "requests sent"),
    _count("retries", "requests sent again"),
    _count("duration_ms", "time from the first request to the last answer, milliseconds"),
    _text("error", "why it could not be read, '' otherwise"),
    Column(
        "clock_skew_seconds", REAL, nullable=True, comment="how far the server's clock was ahead of ours; NULL unknown"
    ),
    PrimaryKeyConstraint("run_id", "cluster"),
    one_of("status", "complete", "partial", "unreachable", "forbidden", "failed", "skipped", "unknown"),
    comment="Coverage: one row per cluster and run, also for the clusters that could not be read.",
    sqlite_with_rowid=False,
)

namespaces = Table(
    "namespaces",
    metadata,
    _text("cluster", "short name of the API server"),
    _text("namespace", "the namespace"),
    _run_of_look("last_run_id", "the newest run that knew of it; NULL where that run was deleted"),
    _instant("last_seen_at", "when that run began"),
    _run_of_look("read_run_id", "the newest run that read its pods and events to the end; NULL for none, or deleted"),
    _instant("read_at", "when that run began; NULL where no run did", nullable=True),
    _text("rule", "the rule by which last_run_id left it out; NULL where it was to be looked at", nullable=True),
    PrimaryKeyConstraint("cluster", "namespace"),
    instant_shape("last_seen_at"),
    CheckConstraint("read_at <= last_seen_at", name="in_order"),
    comment="Coverage: what is known of the latest looks at each namespace; run_gaps has why one failed. Those that no "
    "run knew of in the 30 days before their cluster's newest run are dropped when that run is recorded.",
    sqlite_with_rowid=False,
)

run_counts = Table(
    "run_counts",
    metadata,
    _run_id(),
    _text("cluster", "short name of the API server"),
    _text("type", "OOMKilled, CrashLoopBackOff, …"),
    _count("rows", "rows of the exports: findings of one (cluster, namespace, pod, type) are one row"),
    _count("findings", "containers of pods that showed this type"),
    _count("new_occurrences", "kills and loops that no earlier run had seen"),
    PrimaryKeyConstraint("run_id", "cluster", "type"),
    comment="What each run counted, for charts; run_clusters tells a missing row from a cluster not read.",
    sqlite_with_rowid=False,
)

suspects = Table(
    "suspects",
    metadata,
    _run_id(),
    _text("cluster", "short name of the API server"),
    _text("namespace", "namespace of the pod"),
    _text("pod", "name of the pod"),
    _text("pod_uid", "UID of the pod, '' where unknown"),
    _text("container", "name of the container, '' where it is the whole pod"),
    _text("class", "exit-137 (killed, not by the recorded OOM killer) or evicted-memory"),
    _instant("at", "when it happened, NULL where unknown", nullable=True),
    _count("exit_code", "exit code of the container", nullable=True),
    PrimaryKeyConstraint("run_id", "cluster", "namespace", "pod", "pod_uid", "container", "class"),
    comment="Evidence that may be a kill for memory but is no proof of one; never counted.",
    sqlite_with_rowid=False,
)

run_gaps = Table(
    "run_gaps",
    metadata,
    _run_id(),
    _text("cluster", "short name of the API server"),
    _text("namespace", "the namespace, '' for the whole cluster"),
    _text("source", "what could not be read: namespaces, pods, events, artifacts; time-range: a time too long ago"),
    _text("status", "why, in a word: forbidden, timeout, not-found, …"),
    _text("message", "why, in the server's words"),
    PrimaryKeyConstraint("run_id", "cluster", "namespace", "source"),
    comment="Coverage: what could not be looked at within a cluster.",
    sqlite_with_rowid=False,
)

findings = Table(
    "findings",
    metadata,
    _run_id(),
    _text("finding_key", "hash of (cluster, namespace, pod, pod_uid, container, type)"),
    _text("cluster", "short name of the API server"),
    _text("namespace", "namespace of the pod"),
    _text("pod", "name of the pod"),
    _text("pod_uid", "UID of the pod, '' where unknown"),
    _text("container", "name of the container, '' where unknown"),
    _text("type", "OOMKilled, CrashLoopBackOff, …"),
    _text("workload_kind", "kind of the pod's controller, '' where unknown"),
    _text("workload", "name of the pod's controller, '' where unknown"),
    _text("application", "application by the pod's labels"),
    _text("component", "component by the pod's labels"),
    _count("occurrences", "distinct kills or loops behind this finding"),
    _instant("first_at", "first instant of the evidence, NULL where none is known", nullable=True),
    _instant("last_at", "last instant of the evidence, NULL where none is known", nullable=True),
    _text("timestamps", "JSON: all instants of the evidence; NULL where first_at and last_at are all", nullable=True),
    _text("sources", "events, oc_get_pods or both, joined by ;"),
    _text("evidence", "rules by which it was seen (terminated, waiting, backoff_gap, event), joined by ;"),
    _count("pod_gone", "1: the pod was deleted; 0: it was listed; NULL: pods could not be listed", nullable=True),
    Column("artifacts_from", Integer, nullable=True, comment="run that captured this pod's artifacts; NULL for none"),
    PrimaryKeyConstraint("run_id", "finding_key"),
    CheckConstraint("pod_gone IN (0, 1)", name="pod_gone_known"),
    sqlite_with_rowid=False,
    comment="In this run, this container of this pod showed this type.",
)

occurrences = Table(
    "occurrences",
    metadata,
    _instant("occurred_at", "when the kill happened, or when the loop was first seen; never changes"),
    _text(
        "identity", "'kill:' or 'loop:', a hash of the pod's UID and the container, a hash of what makes it that one"
    ),
    _text("cluster", "short name of the API server"),
    _text("namespace", "namespace of the pod"),
    _text("pod", "name of the pod"),
    _text("pod_uid", "UID of the pod, '' where unknown"),
    _text("container", "name of the container, '' where unknown"),
    _text("container_id", "ID of the container that was killed, '' where unknown"),
    _text("type", "OOMKilled, CrashLoopBackOff, …"),
    _text("workload_kind", "kind of the pod's controller, '' where unknown"),
    _text("workload", "name of the pod's controller, '' where unknown"),
    _text("application", "application by the pod's labels"),
    _text("component", "component by the pod's labels"),
    _text("node", "node of the pod, '' where unknown"),
    _text("image", "image of the container, '' where unknown"),
    _text("revision", "pod-template-hash or controller-revision-hash of the pod, '' where it has none"),
    _count("memory_limit_bytes", "memory limit at that time; NULL for none or unknown", nullable=True),
    _count("memory_request_bytes", "memory request at that time; NULL for none or unknown", nullable=True),
    _count("exit_code", "exit code, which is not always 137", nullable=True),
    _text("reason", "reason of the termination, '' where unknown"),
    _count("restart_count", "restarts of the container when it was last seen", nullable=True),
    _text("time_quality", "exact (from the status), event (from an event) or observed (the moment of the look)"),
    _instant("last_seen_at", "last sign of a loop; of a kill the same as occurred_at"),
    Column("first_run_id", Integer, ForeignKey("runs.id"), nullable=False, comment="first run that saw it"),
    Column("last_run_id", Integer, ForeignKey("runs.id"), nullable=False, comment="last run that saw it"),
    PrimaryKeyConstraint("occurred_at", "identity"),
    UniqueConstraint("identity"),
    one_of("time_quality", "exact", "event", "observed"),
    instant_shape("occurred_at"),
    instant_shape("last_seen_at"),
    CheckConstraint("last_seen_at >= occurred_at", name="in_order"),
    # loops alone: a kill is found by the time of the primary key
    Index(None, "last_seen_at", sqlite_where=text("last_seen_at > occurred_at")),
    comment="Each kill, and each crash loop, once, however many runs saw it.",
    sqlite_with_rowid=False,
)

daily_counts = Table(
    "daily_counts",
    metadata,
    _text("workload", "name of the controller, '' where unknown"),
    _text("day", "UTC day, YYYY-MM-DD"),
    _text("type", "OOMKilled, CrashLoopBackOff, …"),
    _text("cluster", "short name of the API server"),
    _text("namespace", "namespace"),
    _count("occurrences", "occurrences that began that day"),
    PrimaryKeyConstraint("workload", "day", "type", "cluster", "namespace"),
    CheckConstraint("occurrences > 0", name="counted"),
    comment="Occurrences by day: the rollup of the table occurrences.",
    sqlite_with_rowid=False,
)

pods = Table(
    "pods",
    metadata,
    _text("pod", "name of the pod"),
    _text("namespace", "namespace of the pod"),
    _text("cluster", "short name of the API server"),
    _text("workload_kind", "kind of the pod's controller, '' where unknown"),
    _text("workload", "name of the pod's controller, '' where unknown"),
    Column("first_run_id", Integer, ForeignKey("runs.id"), nullable=False, comment="first run with a finding of it"),
    _count("runs_until", "no run of a greater number has a finding of it; up to 31 more than the last that has"),
    PrimaryKeyConstraint("pod", "namespace", "cluster"),
    CheckConstraint("runs_until >= first_run_id", name="in_order"),
    comment="Pods that ever had a finding: a search by a part of the name reads only the runs that can match.",
    sqlite_with_rowid=False,
)

artifacts = Table(
    "artifacts",
    metadata,
    _run_id(),
    _text("cluster", "short name of the API server"),
    _text("namespace", "namespace of the pod"),
    _text("pod", "full name of the pod (the file's name may be shortened)"),
    _text("pod_uid", "UID of the pod, '' where unknown"),
    _text("kind", "description or log"),
    _text("status", "ok, empty (nothing to save), error (see message) or gone (the pod was deleted)"),
    _text("path", "relative to the output folder, '' where nothing was written"),
    _count("size_bytes", "size of the file"),
    _text("sha256", "SHA-256 of the file, '' where nothing was written"),
    _text("message", "why there is no text, '' otherwise"),
    _instant("captured_at", "when it was read from the cluster"),
    # by pod first: the last capture of a pod is asked for at every scan, the artifacts of a run never
    PrimaryKeyConstraint("pod_uid", "run_id", "cluster", "namespace", "pod", "kind"),
    one_of("kind", "description", "log"),
    one_of("status", "ok", "empty", "error", "gone"),
    comment="One description and one log per pod and capture; findings point here by artifacts_from.",
    sqlite_with_rowid=False,
)

import_files = Table(
    "import_files",
    metadata,
    Column("id", Integer, primary_key=True, comment="number of the file"),
    _text("sha256", "SHA-256 of the file"),
    _instant("run_at", "time of the run that the file tells of"),
    _text("kind", "export (written by oomdb, never imported) or import"),
    _text("path", "where it lay"),
    _instant("modified_at", "its time of modification"),
    Column("run_id", Integer, ForeignKey("runs.id", ondelete="SET NULL"), nullable=True, comment="the run it became"),
    _count("rows", "rows in it"),
    _count("bad_rows", "rows that could not be read"),
    Column(
        "time_evidence",
        Text,
        nullable=False,
        server_default="",
        comment="what dated the run of a legacy file: json (of an export), artifacts (stamps in their names), name or "
        "mtime; '' otherwise",
    ),
    UniqueConstraint("sha256", "run_at"),
    one_of("kind", "export", "import"),
    comment="Files that are known: imported ones, and the exports that oomdb wrote itself.",
)

namespace_owners = Table(
    "namespace_owners",
    metadata,
    _text("cluster", "short name of the API server"),
    _text("namespace", "the namespace"),
    _text("owners", "as CODEOWNERS spells them, separated by blanks: @user, @group/team, mail; '' where none is named"),
    _instant("updated_at", "when CODEOWNERS was read"),
    PrimaryKeyConstraint("cluster", "namespace"),
    instant_shape("updated_at"),
    comment="Who owns a namespace, as CODEOWNERS said when it was last asked; without a row it never was.",
    sqlite_with_rowid=False,
)

people = Table(
    "people",
    metadata,
    Column("account", Text, primary_key=True, nullable=False, comment="name of the account, without the @"),
    _text("name", "name of the person, '' where unknown"),
    _text("email", "public address, '' where there is none or it is unknown"),
    _text("status", "ok, no-email (the account has no public address) or failed (the lookup did)"),
    _instant("looked_up_at", "when it was looked up; after some days it is again"),
    one_of("status", "ok", "no-email", "failed"),
    instant_shape("looked_up_at"),
    comment="Owners by their accounts: what GitLab said of them.",
    sqlite_with_rowid=False,
)

TABLES = tuple(metadata.sorted_tables)
