"""Who owns namespaces, what is known of those people, and what dated the run of an imported file."""

import sqlalchemy as sa
from alembic import op

from oomdb.store.dialect import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INSTANT = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"


def upgrade() -> None:
    """Add the tables and the column; until now nobody was asked for an owner, and no file was imported."""
    op.create_table(
        "namespace_owners",
        sa.Column("cluster", sa.Text(), nullable=False, comment="short name of the API server"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="the namespace"),
        sa.Column(
            "owners",
            sa.Text(),
            nullable=False,
            comment="as CODEOWNERS spells them, separated by blanks: @user, @group/team, mail; '' where none is named",
        ),
        sa.Column("updated_at", Instant(), nullable=False, comment="when CODEOWNERS was read"),
        sa.CheckConstraint(f"updated_at GLOB '{_INSTANT}'", name=op.f("ck_namespace_owners_updated_at_instant")).ddl_if(
            dialect="sqlite"
        ),
        sa.PrimaryKeyConstraint("cluster", "namespace", name=op.f("pk_namespace_owners")),
        comment="Who owns a namespace, as CODEOWNERS said when it was last asked; without a row it never was.",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "people",
        sa.Column("account", sa.Text(), nullable=False, comment="name of the account, without the @"),
        sa.Column("name", sa.Text(), nullable=False, comment="name of the person, '' where unknown"),
        sa.Column(
            "email", sa.Text(), nullable=False, comment="public address, '' where there is none or it is unknown"
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="ok, no-email (the account has no public address) or failed (the lookup did)",
        ),
        sa.Column(
            "looked_up_at", Instant(), nullable=False, comment="when it was looked up; after some days it is again"
        ),
        sa.CheckConstraint(f"looked_up_at GLOB '{_INSTANT}'", name=op.f("ck_people_looked_up_at_instant")).ddl_if(
            dialect="sqlite"
        ),
        sa.CheckConstraint("status IN ('ok', 'no-email', 'failed')", name=op.f("ck_people_status_known")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_people")),
        comment="Owners by their accounts: what GitLab said of them.",
        sqlite_with_rowid=False,
    )
    op.add_column(
        "import_files",
        sa.Column(
            "time_evidence",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="what dated the run of a legacy file: artifacts (stamps in their names), name (of the file) or "
            "mtime; '' otherwise",
        ),
    )
