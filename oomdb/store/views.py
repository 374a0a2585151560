"""The views for people who ask with SQL; report code reads tables. Dropped before every migration, made again after."""

# a view on a table makes alembic's batch mode fail, so they never outlive a change of the schema
from sqlalchemy import Connection, text

VIEWS: dict[str, tuple[str, str]] = {
    "latest_run": (
        "The run that exports take by default: the newest of scope 'all' that read at least one cluster, else the "
        "newest that read one.",
        """
        SELECT runs.* FROM runs
        WHERE runs.status IN ('complete', 'partial')
          AND EXISTS (SELECT 1 FROM run_clusters
                      WHERE run_clusters.run_id = runs.id AND run_clusters.status IN ('complete', 'partial'))
        ORDER BY runs.scope = 'all' DESC, runs.started_at DESC, runs.id DESC LIMIT 1
        """,
    ),
    "latest_findings": (
        "The findings of the latest run.",
        "SELECT findings.* FROM findings WHERE findings.run_id = (SELECT id FROM latest_run)",
    ),
    "findings_full": (
        "Findings with their run: when it began, its scope, how completely the cluster was read.",
        """
        SELECT findings.*, runs.started_at AS run_started_at, runs.origin, runs.scope, runs.time_range,
               run_clusters.status AS cluster_status
        FROM findings
        JOIN runs ON runs.id = findings.run_id
        LEFT JOIN run_clusters ON run_clusters.run_id = findings.run_id AND run_clusters.cluster = findings.cluster
        WHERE runs.status IN ('complete', 'partial')
        """,
    ),
    "episodes": (
        "Occurrences of one workload and type with gaps of at most six hours, as one: what significance tests count.",
        """
        WITH marked AS (
          SELECT *, CASE WHEN julianday(occurred_at) - julianday(max(last_seen_at) OVER (
                      PARTITION BY cluster, namespace, workload_kind, workload, type ORDER BY occurred_at, identity
                      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) <= 0.25 THEN 0 ELSE 1 END AS begins
          FROM occurrences
        ), numbered AS (
          SELECT *, sum(begins) OVER (PARTITION BY cluster, namespace, workload_kind, workload, type
                                      ORDER BY occurred_at, identity) AS episode
          FROM marked
        )
        SELECT cluster, namespace, workload_kind, workload, type, episode, count(*) AS occurrences,
               min(occurred_at) AS began_at, max(last_seen_at) AS ended_at, count(DISTINCT pod) AS pods
        FROM numbered GROUP BY cluster, namespace, workload_kind, workload, type, episode
        """,
    ),
    "coverage": (
        "What each run looked at: one row per cluster, with the number of gaps inside it.",
        """
        SELECT runs.id AS run_id, runs.started_at, runs.scope, run_clusters.cluster, run_clusters.status,
               run_clusters.namespaces_scanned, run_clusters.namespaces_skipped, run_clusters.namespaces_failed,
               run_clusters.pods_seen, run_clusters.events_seen, run_clusters.oldest_event_at,
               (SELECT count(*) FROM run_gaps WHERE run_gaps.run_id = run_clusters.run_id
                  AND run_gaps.cluster = run_clusters.cluster) AS gaps, run_clusters.error,
               run_clusters.clock_skew_seconds
        FROM runs JOIN run_clusters ON run_clusters.run_id = runs.id
        WHERE runs.status IN ('complete', 'partial')
        """,
    ),
}


def drop_views(conn: Connection) -> None:
    """Drop every view."""
    for name in reversed(VIEWS):
        conn.execute(text(f"DROP VIEW IF EXISTS {name}"))


def create_views(conn: Connection) -> None:
    """Create every view."""
    for name in VIEWS:
        conn.exec_driver_sql(_statement(name))


def list_stale_views(conn: Connection) -> list[str]:
    """Return the views that are missing, or not as this version of oomdb declares them."""
    stored = {
        row.name: row.sql for row in conn.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    }
    return [name for name in VIEWS if stored.get(name) != _statement(name)]


def _statement(name: str) -> str:
    return f"CREATE VIEW {name} AS {VIEWS[name][1]}".rstrip()  # as SQLite keeps it
