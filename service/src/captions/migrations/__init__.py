"""Alembic's environment and versions, inside the package so that they ship with it."""
