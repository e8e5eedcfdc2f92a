"""Events belong to a trace."""

from migrations.policies import outbox_traces

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    outbox_traces()
