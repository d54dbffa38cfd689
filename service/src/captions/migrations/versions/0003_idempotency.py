"""The answers kept for repeated POSTs."""

import sqlalchemy as sa
from alembic import op
from plimsoll_runtime.idempotency import SCHEMA

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create their table."""
    op.execute(sa.text(SCHEMA))


def downgrade() -> None:
    """Drop it."""
    op.execute(sa.text("DROP SCHEMA plimsoll_http CASCADE"))
