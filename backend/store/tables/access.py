"""Who may use the server."""

from sqlalchemy import Column, Table, Text

from backend.store.tables.columns import metadata, text

tokens = Table(
    "tokens", metadata, Column("sha256", Text, primary_key=True), text("kind"), Column("host", Text)
)
