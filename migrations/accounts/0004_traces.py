"""Events belong to a trace."""

from migrations.policies import outbox_traces

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    outbox_traces()
