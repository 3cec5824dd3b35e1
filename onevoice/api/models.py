"""Database table of the keys that open the API; only their hashes are kept."""

from sqlalchemy import Column, DateTime, LargeBinary, Table, Text, text

from onevoice.database import metadata

api_key = Table(
    "api_key",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True),  # SHA-256: the keys are 32 random bytes, no salt needed
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)
