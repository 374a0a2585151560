"""How long runs have had findings of a pod: written for many runs at a time, so that most need not write it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put `runs_until` in the place of `last_run_id`: it need not be the number of a run."""
    op.rename_table("pods", "pods_until_0003")
    op.create_table(
        "pods",
        sa.Column("pod", sa.Text(), nullable=False, comment="name of the pod"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace of the pod"),
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("workload_kind", sa.Text(), nullable=False, comment="kind of the pod's controller, '' where unknown"),
        sa.Column("workload", sa.Text(), nullable=False, comment="name of the pod's controller, '' where unknown"),
        sa.Column("first_run_id", sa.Integer(), nullable=False, comment="first run with a finding of it"),
        sa.Column(
            "runs_until",
            sa.Integer(),
            nullable=False,
            comment="no run of a greater number has a finding of it; up to 31 more than the last that has",
        ),
        sa.ForeignKeyConstraint(["first_run_id"], ["runs.id"], name=op.f("fk_pods_first_run_id")),
        sa.PrimaryKeyConstraint("pod", "namespace", "cluster", name=op.f("pk_pods")),
        sa.CheckConstraint("runs_until >= first_run_id", name=op.f("ck_pods_in_order")),
        comment="Pods that ever had a finding: a search by a part of the name reads only the runs that can match.",
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO pods (pod, namespace, cluster, workload_kind, workload, first_run_id, runs_until) "
        "SELECT pod, namespace, cluster, workload_kind, workload, first_run_id, last_run_id FROM pods_until_0003"
    )
    op.drop_table("pods_until_0003")
