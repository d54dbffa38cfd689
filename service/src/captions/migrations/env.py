"""Run by alembic for each command: use the connection that ``captions.migrate`` (or a test) has opened and locked."""

from alembic import context

from captions.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
