"""Alembic's migrations of the outbox's tables. Only `schema` imports this package, and only if there is work for it."""
