"""What Alembic runs to migrate: on the connection, and in the transaction, that it is given."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # The transaction is begun and committed by the caller.
    transactional_ddl=False,
)
context.run_migrations()
