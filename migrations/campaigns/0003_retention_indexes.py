"""Indexes for deleting what is old in the inbox and among the answered requests."""

from migrations.policies import retention_indexes

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    retention_indexes()
