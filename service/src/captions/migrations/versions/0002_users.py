"""Users, and whose job a slide is."""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Expand only: an image of the release before goes on working, and its jobs belong to nobody."""
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("age", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("subject", name="uq_account_subject"),
    )
    op.create_index("uq_account_email", "account", [sa.text("lower(email)")], unique=True)
    op.create_index("ix_account_created_at_id", "account", ["created_at", "id"])
    op.add_column("slide", sa.Column("owner", sa.String(), nullable=True))


def downgrade() -> None:
    """Refuse: it would forget the users. An older image works on this schema as it is."""
    raise CommandError("0002 is not taken back: roll back the image, not the schema (docs/explanation/migrations.md)")
