"""Alembic's entry: migrate over the connection and inside the transaction we were given."""

from alembic import context

from coverslip.archive.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
