"""The migrations, oldest first; Alembic finds them by their revision."""
