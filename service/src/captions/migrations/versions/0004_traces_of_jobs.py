"""A job remembers the trace that it was enqueued in. An earlier image does not know the column, nor miss it."""

import sqlalchemy as sa
from alembic import op
from plimsoll_runtime.jobs.ledger import TRACE

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add it."""
    op.execute(sa.text(TRACE))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("job", "traceparent", schema="plimsoll_jobs")
