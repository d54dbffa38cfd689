"""Slides, reports, and the ledger of their jobs."""

import sqlalchemy as sa
from alembic import op
from plimsoll_runtime.jobs.ledger import SCHEMA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.execute(sa.text(SCHEMA))
    op.create_table(
        "slide",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_slide"),
    )
    op.create_table(
        "report",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report"),
    )


def downgrade() -> None:
    """Drop everything."""
    op.drop_table("report")
    op.drop_table("slide")
    op.execute(sa.text("DROP SCHEMA plimsoll_jobs CASCADE"))
