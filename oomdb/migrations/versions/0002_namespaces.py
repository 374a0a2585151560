"""What is known of the latest looks at each namespace, and how far a server's clock was ahead."""

import sqlalchemy as sa
from alembic import op

from oomdb.store.dialect import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"


def upgrade() -> None:
    """Add the table and the column; of the runs until now, nobody knows what they would hold."""
    op.add_column(
        "run_clusters",
        sa.Column(
            "clock_skew_seconds",
            sa.REAL(),
            nullable=True,
            comment="how far the server's clock was ahead of ours; NULL unknown",
        ),
    )
    op.create_table(
        "namespaces",
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="the namespace"),
        sa.Column(
            "last_run_id",
            sa.Integer(),
            nullable=True,
            comment="the newest run that knew of it; NULL where that run was deleted",
        ),
        sa.Column("last_seen_at", Instant(), nullable=False, comment="when that run began"),
        sa.Column(
            "read_run_id",
            sa.Integer(),
            nullable=True,
            comment="the newest run that read its pods and events to the end; NULL for none, or deleted",
        ),
        sa.Column("read_at", Instant(), nullable=True, comment="when that run began; NULL where no run did"),
        sa.Column(
            "rule",
            sa.Text(),
            nullable=True,
            comment="the rule by which last_run_id left it out; NULL where it was to be looked at",
        ),
        sa.CheckConstraint(f"last_seen_at GLOB '{_INSTANT}'", name=op.f("ck_namespaces_last_seen_at_instant")).ddl_if(
            dialect="sqlite"
        ),
        sa.CheckConstraint("read_at <= last_seen_at", name=op.f("ck_namespaces_in_order")),
        sa.ForeignKeyConstraint(
            ["last_run_id"], ["runs.id"], name=op.f("fk_namespaces_last_run_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["read_run_id"], ["runs.id"], name=op.f("fk_namespaces_read_run_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("cluster", "namespace", name=op.f("pk_namespaces")),
        comment="Coverage: what is known of the latest looks at each namespace; run_gaps has why one failed. Those "
        "that no run knew of in the 30 days before their cluster's newest run are dropped when that run is recorded.",
        sqlite_with_rowid=False,
    )
