"""The first schema."""

import sqlalchemy as sa
from alembic import op

from oomdb.store.dialect import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "daily_counts",
        sa.Column("workload", sa.Text(), nullable=False, comment="name of the controller, '' where unknown"),
        sa.Column("day", sa.Text(), nullable=False, comment="UTC day, YYYY-MM-DD"),
        sa.Column("type", sa.Text(), nullable=False, comment="OOMKilled, CrashLoopBackOff, …"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace"),
        sa.Column("occurrences", sa.Integer(), nullable=False, comment="occurrences that began that day"),
        sa.CheckConstraint("occurrences > 0", name=op.f("ck_daily_counts_counted")),
        sa.PrimaryKeyConstraint("workload", "day", "type", "cluster", "namespace", name=op.f("pk_daily_counts")),
        comment="Occurrences by day: the rollup of the table occurrences.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), nullable=False, comment="number of the run, never used twice"),
        sa.Column("uid", sa.Text(), nullable=False, comment="the run's name across databases"),
        sa.Column("started_at", Instant(), nullable=False, comment="when it began"),
        sa.Column(
            "finished_at", Instant(), nullable=True, comment="when it ended; NULL while it runs or where it was killed"
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="running, complete (every cluster was read), partial (some were), aborted (none was recorded)",
        ),
        sa.Column("origin", sa.Text(), nullable=False, comment="collect, import, ingest or demo"),
        sa.Column("time_range", sa.Text(), nullable=False, comment="the time range as typed, for example 1d"),
        sa.Column("lookback_seconds", sa.Integer(), nullable=False, comment="the time range in seconds"),
        sa.Column(
            "scope", sa.Text(), nullable=False, comment="the selection as written: 'all', or the flags that narrow it"
        ),
        sa.Column(
            "scope_hash",
            sa.Text(),
            nullable=False,
            comment="hash of the scope: runs of different scope are not compared",
        ),
        sa.Column("tool_version", sa.Text(), nullable=False, comment="version of oomdb, or of the legacy format"),
        sa.Column("host", sa.Text(), nullable=False, comment="name of the machine that ran it"),
        sa.Column("pid", sa.Integer(), nullable=True, comment="its process"),
        sa.Column("heartbeat_at", Instant(), nullable=True, comment="last sign of life of a running run"),
        sa.Column("arguments", sa.Text(), nullable=False, comment="command line, passwords masked"),
        sa.CheckConstraint("origin IN ('collect', 'import', 'ingest', 'demo')", name=op.f("ck_runs_origin_known")),
        sa.CheckConstraint(f"started_at GLOB '{_INSTANT}'", name=op.f("ck_runs_started_at_instant")).ddl_if(
            dialect="sqlite"
        ),
        sa.CheckConstraint(
            "status IN ('running', 'complete', 'partial', 'aborted')", name=op.f("ck_runs_status_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("uid", name=op.f("uq_runs_uid")),
        comment="One row per execution that adds data.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_scope_started_at"), "runs", ["scope", "started_at"], unique=False)
    op.create_index(op.f("ix_runs_started_at"), "runs", ["started_at"], unique=False)
    op.create_table(
        "artifacts",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="the run"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace of the pod"),
        sa.Column("pod", sa.Text(), nullable=False, comment="full name of the pod (the file's name may be shortened)"),
        sa.Column("pod_uid", sa.Text(), nullable=False, comment="UID of the pod, '' where unknown"),
        sa.Column("kind", sa.Text(), nullable=False, comment="description or log"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="ok, empty (nothing to save), error (see message) or gone (the pod was deleted)",
        ),
        sa.Column(
            "path", sa.Text(), nullable=False, comment="relative to the output folder, '' where nothing was written"
        ),
        sa.Column("size_bytes", sa.Integer(), nullable=False, comment="size of the file"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the file, '' where nothing was written"),
        sa.Column("message", sa.Text(), nullable=False, comment="why there is no text, '' otherwise"),
        sa.Column("captured_at", Instant(), nullable=False, comment="when it was read from the cluster"),
        sa.CheckConstraint("kind IN ('description', 'log')", name=op.f("ck_artifacts_kind_known")),
        sa.CheckConstraint("status IN ('ok', 'empty', 'error', 'gone')", name=op.f("ck_artifacts_status_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_artifacts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pod_uid", "run_id", "cluster", "namespace", "pod", "kind", name=op.f("pk_artifacts")),
        comment="One description and one log per pod and capture; findings point here by artifacts_from.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "findings",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="the run"),
        sa.Column(
            "finding_key",
            sa.Text(),
            nullable=False,
            comment="hash of (cluster, namespace, pod, pod_uid, container, type)",
        ),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace of the pod"),
        sa.Column("pod", sa.Text(), nullable=False, comment="name of the pod"),
        sa.Column("pod_uid", sa.Text(), nullable=False, comment="UID of the pod, '' where unknown"),
        sa.Column("container", sa.Text(), nullable=False, comment="name of the container, '' where unknown"),
        sa.Column("type", sa.Text(), nullable=False, comment="OOMKilled, CrashLoopBackOff, …"),
        sa.Column("workload_kind", sa.Text(), nullable=False, comment="kind of the pod's controller, '' where unknown"),
        sa.Column("workload", sa.Text(), nullable=False, comment="name of the pod's controller, '' where unknown"),
        sa.Column("application", sa.Text(), nullable=False, comment="application by the pod's labels"),
        sa.Column("component", sa.Text(), nullable=False, comment="component by the pod's labels"),
        sa.Column("occurrences", sa.Integer(), nullable=False, comment="distinct kills or loops behind this finding"),
        sa.Column(
            "first_at", Instant(), nullable=True, comment="first instant of the evidence, NULL where none is known"
        ),
        sa.Column(
            "last_at", Instant(), nullable=True, comment="last instant of the evidence, NULL where none is known"
        ),
        sa.Column(
            "timestamps",
            sa.Text(),
            nullable=True,
            comment="JSON: all instants of the evidence; NULL where first_at and last_at are all",
        ),
        sa.Column("sources", sa.Text(), nullable=False, comment="events, oc_get_pods or both, joined by ;"),
        sa.Column(
            "evidence",
            sa.Text(),
            nullable=False,
            comment="rules by which it was seen (terminated, waiting, backoff_gap, event), joined by ;",
        ),
        sa.Column(
            "pod_gone",
            sa.Integer(),
            nullable=True,
            comment="1: the pod was deleted; 0: it was listed; NULL: pods could not be listed",
        ),
        sa.Column(
            "artifacts_from",
            sa.Integer(),
            nullable=True,
            comment="run that captured this pod's artifacts; NULL for none",
        ),
        sa.CheckConstraint("pod_gone IN (0, 1)", name=op.f("ck_findings_pod_gone_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_findings_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "finding_key", name=op.f("pk_findings")),
        comment="In this run, this container of this pod showed this type.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "import_files",
        sa.Column("id", sa.Integer(), nullable=False, comment="number of the file"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="SHA-256 of the file"),
        sa.Column("run_at", Instant(), nullable=False, comment="time of the run that the file tells of"),
        sa.Column("kind", sa.Text(), nullable=False, comment="export (written by oomdb, never imported) or import"),
        sa.Column("path", sa.Text(), nullable=False, comment="where it lay"),
        sa.Column("modified_at", Instant(), nullable=False, comment="its time of modification"),
        sa.Column("run_id", sa.Integer(), nullable=True, comment="the run it became"),
        sa.Column("rows", sa.Integer(), nullable=False, comment="rows in it"),
        sa.Column("bad_rows", sa.Integer(), nullable=False, comment="rows that could not be read"),
        sa.CheckConstraint("kind IN ('export', 'import')", name=op.f("ck_import_files_kind_known")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_import_files_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_files")),
        sa.UniqueConstraint("sha256", "run_at", name=op.f("uq_import_files_sha256_run_at")),
        comment="Files that are known: imported ones, and the exports that oomdb wrote itself.",
    )
    op.create_table(
        "occurrences",
        sa.Column(
            "occurred_at",
            Instant(),
            nullable=False,
            comment="when the kill happened, or when the loop was first seen; never changes",
        ),
        sa.Column(
            "identity",
            sa.Text(),
            nullable=False,
            comment="'kill:' or 'loop:', a hash of the pod's UID and the container, a hash of what makes it that one",
        ),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace of the pod"),
        sa.Column("pod", sa.Text(), nullable=False, comment="name of the pod"),
        sa.Column("pod_uid", sa.Text(), nullable=False, comment="UID of the pod, '' where unknown"),
        sa.Column("container", sa.Text(), nullable=False, comment="name of the container, '' where unknown"),
        sa.Column(
            "container_id", sa.Text(), nullable=False, comment="ID of the container that was killed, '' where unknown"
        ),
        sa.Column("type", sa.Text(), nullable=False, comment="OOMKilled, CrashLoopBackOff, …"),
        sa.Column("workload_kind", sa.Text(), nullable=False, comment="kind of the pod's controller, '' where unknown"),
        sa.Column("workload", sa.Text(), nullable=False, comment="name of the pod's controller, '' where unknown"),
        sa.Column("application", sa.Text(), nullable=False, comment="application by the pod's labels"),
        sa.Column("component", sa.Text(), nullable=False, comment="component by the pod's labels"),
        sa.Column("node", sa.Text(), nullable=False, comment="node of the pod, '' where unknown"),
        sa.Column("image", sa.Text(), nullable=False, comment="image of the container, '' where unknown"),
        sa.Column(
            "revision",
            sa.Text(),
            nullable=False,
            comment="pod-template-hash or controller-revision-hash of the pod, '' where it has none",
        ),
        sa.Column(
            "memory_limit_bytes",
            sa.Integer(),
            nullable=True,
            comment="memory limit at that time; NULL for none or unknown",
        ),
        sa.Column(
            "memory_request_bytes",
            sa.Integer(),
            nullable=True,
            comment="memory request at that time; NULL for none or unknown",
        ),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="exit code, which is not always 137"),
        sa.Column("reason", sa.Text(), nullable=False, comment="reason of the termination, '' where unknown"),
        sa.Column(
            "restart_count", sa.Integer(), nullable=True, comment="restarts of the container when it was last seen"
        ),
        sa.Column(
            "time_quality",
            sa.Text(),
            nullable=False,
            comment="exact (from the status), event (from an event) or observed (the moment of the look)",
        ),
        sa.Column(
            "last_seen_at", Instant(), nullable=False, comment="last sign of a loop; of a kill the same as occurred_at"
        ),
        sa.Column("first_run_id", sa.Integer(), nullable=False, comment="first run that saw it"),
        sa.Column("last_run_id", sa.Integer(), nullable=False, comment="last run that saw it"),
        sa.CheckConstraint(f"last_seen_at GLOB '{_INSTANT}'", name=op.f("ck_occurrences_last_seen_at_instant")).ddl_if(
            dialect="sqlite"
        ),
        sa.CheckConstraint(f"occurred_at GLOB '{_INSTANT}'", name=op.f("ck_occurrences_occurred_at_instant")).ddl_if(
            dialect="sqlite"
        ),
        sa.CheckConstraint(
            "time_quality IN ('exact', 'event', 'observed')", name=op.f("ck_occurrences_time_quality_known")
        ),
        sa.CheckConstraint("last_seen_at >= occurred_at", name=op.f("ck_occurrences_in_order")),
        sa.ForeignKeyConstraint(["first_run_id"], ["runs.id"], name=op.f("fk_occurrences_first_run_id")),
        sa.ForeignKeyConstraint(["last_run_id"], ["runs.id"], name=op.f("fk_occurrences_last_run_id")),
        sa.PrimaryKeyConstraint("occurred_at", "identity", name=op.f("pk_occurrences")),
        sa.UniqueConstraint("identity", name=op.f("uq_occurrences_identity")),
        comment="Each kill, and each crash loop, once, however many runs saw it.",
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_occurrences_last_seen_at"),
        "occurrences",
        ["last_seen_at"],
        unique=False,
        sqlite_where=sa.text("last_seen_at > occurred_at"),
    )
    op.create_table(
        "pods",
        sa.Column("pod", sa.Text(), nullable=False, comment="name of the pod"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace of the pod"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("workload_kind", sa.Text(), nullable=False, comment="kind of the pod's controller, '' where unknown"),
        sa.Column("workload", sa.Text(), nullable=False, comment="name of the pod's controller, '' where unknown"),
        sa.Column("first_run_id", sa.Integer(), nullable=False, comment="first run with a finding of it"),
        sa.Column("last_run_id", sa.Integer(), nullable=False, comment="last run with a finding of it"),
        sa.ForeignKeyConstraint(["first_run_id"], ["runs.id"], name=op.f("fk_pods_first_run_id")),
        sa.ForeignKeyConstraint(["last_run_id"], ["runs.id"], name=op.f("fk_pods_last_run_id")),
        sa.PrimaryKeyConstraint("pod", "namespace", "cluster", name=op.f("pk_pods")),
        comment="Pods that ever had a finding: a search by a part of the name reads only the runs that can match.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_clusters",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="the run"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("context", sa.Text(), nullable=False, comment="kubeconfig context by which it was read"),
        sa.Column("server", sa.Text(), nullable=False, comment="URL of the API server"),
        sa.Column("skipped_by_rule", sa.Text(), nullable=False, comment="JSON: how many namespaces each rule left out"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="complete, partial (see run_gaps), unreachable, forbidden, failed, skipped or unknown",
        ),
        sa.Column("server_version", sa.Text(), nullable=False, comment="Kubernetes version, '' where not told"),
        sa.Column(
            "namespaces_scanned",
            sa.Integer(),
            nullable=True,
            comment="namespaces that were read; NULL where nobody counted",
        ),
        sa.Column("namespaces_skipped", sa.Integer(), nullable=True, comment="namespaces left out by a rule"),
        sa.Column("namespaces_failed", sa.Integer(), nullable=True, comment="namespaces that could not be read"),
        sa.Column(
            "pods_seen", sa.Integer(), nullable=True, comment="pods in the lists; NULL where none could be listed"
        ),
        sa.Column(
            "events_seen", sa.Integer(), nullable=True, comment="events in the lists; NULL where none could be listed"
        ),
        sa.Column(
            "oldest_event_at", Instant(), nullable=True, comment="the oldest event seen: how far back events reached"
        ),
        sa.Column("requests", sa.Integer(), nullable=False, comment="requests sent"),
        sa.Column("retries", sa.Integer(), nullable=False, comment="requests sent again"),
        sa.Column(
            "duration_ms",
            sa.Integer(),
            nullable=False,
            comment="time from the first request to the last answer, milliseconds",
        ),
        sa.Column("error", sa.Text(), nullable=False, comment="why it could not be read, '' otherwise"),
        sa.CheckConstraint(
            "status IN ('complete', 'partial', 'unreachable', 'forbidden', 'failed', 'skipped', 'unknown')",
            name=op.f("ck_run_clusters_status_known"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_clusters_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "cluster", name=op.f("pk_run_clusters")),
        comment="Coverage: one row per cluster and run, also for the clusters that could not be read.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_counts",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="the run"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("type", sa.Text(), nullable=False, comment="OOMKilled, CrashLoopBackOff, …"),
        sa.Column(
            "rows",
            sa.Integer(),
            nullable=False,
            comment="rows of the exports: findings of one (cluster, namespace, pod, type) are one row",
        ),
        sa.Column("findings", sa.Integer(), nullable=False, comment="containers of pods that showed this type"),
        sa.Column(
            "new_occurrences", sa.Integer(), nullable=False, comment="kills and loops that no earlier run had seen"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_counts_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "cluster", "type", name=op.f("pk_run_counts")),
        comment="What each run counted, for charts; run_clusters tells a missing row from a cluster not read.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_gaps",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="the run"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="the namespace, '' for the whole cluster"),
        sa.Column(
            "source", sa.Text(), nullable=False, comment="what could not be read: namespaces, pods, events, artifacts"
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="why, in a word: forbidden, timeout, …"),
        sa.Column("message", sa.Text(), nullable=False, comment="why, in the server's words"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_gaps_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "cluster", "namespace", "source", name=op.f("pk_run_gaps")),
        comment="Coverage: what could not be looked at within a cluster.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "suspects",
        sa.Column("run_id", sa.Integer(), nullable=False, comment="the run"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace of the pod"),
        sa.Column("pod", sa.Text(), nullable=False, comment="name of the pod"),
        sa.Column("pod_uid", sa.Text(), nullable=False, comment="UID of the pod, '' where unknown"),
        sa.Column(
            "container", sa.Text(), nullable=False, comment="name of the container, '' where it is the whole pod"
        ),
        sa.Column(
            "class",
            sa.Text(),
            nullable=False,
            comment="exit-137 (killed, not by the recorded OOM killer) or evicted-memory",
        ),
        sa.Column("at", Instant(), nullable=True, comment="when it happened, NULL where unknown"),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="exit code of the container"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_suspects_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(
            "run_id", "cluster", "namespace", "pod", "pod_uid", "container", "class", name=op.f("pk_suspects")
        ),
        comment="Evidence that may be a kill for memory but is no proof of one; never counted.",
        sqlite_with_rowid=False,
    )
